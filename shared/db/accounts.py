"""The accounts: their configuration, and whether they may trade."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import case, exists, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.orders import ALIVE
from shared.db.tables import accounts, equity, orders
from shared.domain.account import Account, AccountEntry, AccountStatus
from shared.domain.errors import UnknownAccount
from shared.domain.position import Modes, Sighting

_ACCOUNT = TypeAdapter(Account)


class AccountTable:
    """The `Accounts` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, account_id: str) -> Account:
        """Return the account. Raises UnknownAccount."""
        found = await self._connection.execute(
            select(accounts.c.config, accounts.c.status).where(
                accounts.c.id == account_id, accounts.c.removed_at.is_(None)
            )
        )
        row = found.one_or_none()
        if row is None:
            raise UnknownAccount(f"there is no account {account_id!r}")
        return from_json(row.config, row.status)

    async def all(self) -> Sequence[Account]:
        """Return every account that was not removed, by id."""
        found = await self._connection.execute(
            select(accounts.c.config, accounts.c.status).where(accounts.c.removed_at.is_(None)).order_by(accounts.c.id)
        )
        return [from_json(row.config, row.status) for row in found]

    async def entries(self) -> Sequence[AccountEntry]:
        """Return what was said of each account over the API, those that were removed among them."""
        found = await self._connection.execute(
            select(accounts.c.id, accounts.c.entry, accounts.c.version, accounts.c.removed_at).order_by(accounts.c.id)
        )
        return [
            AccountEntry(account_id=row.id, said=row.entry, version=row.version, removed=row.removed_at is not None)
            for row in found
        ]

    async def say(self, account_id: str, said: Mapping[str, Any], version: int) -> bool:
        """Store what is said of the account in place of *version*; False where that is not the newest any more."""
        changed = await self._connection.execute(
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.version == version, accounts.c.removed_at.is_(None))
            .values(entry=dict(said), version=version + 1, updated_at=func.now())
        )
        return changed.rowcount == 1

    async def add(self, account: Account, said: Mapping[str, Any]) -> bool:
        """Store a new account, or take over one that was removed or nobody configures; False where there is one."""
        new = {
            "status": account.status,
            "status_reason": "",
            "config": to_json(account),
            "entry": dict(said),
            "mode": None,
            "modes": null(),
            "removed_at": None,
        }
        added = await self._connection.execute(
            insert(accounts)
            .values(id=account.id, **new)
            .on_conflict_do_update(
                index_elements=[accounts.c.id],
                set_=new | {"version": accounts.c.version + 1, "updated_at": func.now()},
                where=or_(accounts.c.removed_at.is_not(None), accounts.c.entry == {}),
            )
        )
        return added.rowcount == 1

    async def remove(self, account_id: str, at: datetime) -> None:
        """Have the account run no more; its history stays. Raises UnknownAccount."""
        removed = await self._connection.execute(
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.removed_at.is_(None))
            .values(
                removed_at=at,
                status=case((accounts.c.status == AccountStatus.ACTIVE, AccountStatus.PAUSED), else_=accounts.c.status),
                status_reason="removed",
                version=accounts.c.version + 1,
                updated_at=func.now(),
            )
        )
        if removed.rowcount == 0:
            raise UnknownAccount(f"there is no account {account_id!r}")

    async def configure(self, configured: Sequence[Account]) -> None:
        """Insert or update what configuration says; an existing account keeps its status."""
        if not configured:
            return
        rows = [{"id": account.id, "status": account.status, "config": to_json(account)} for account in configured]
        statement = insert_all(accounts, rows)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[accounts.c.id],
                set_={"config": statement.excluded.config, "updated_at": func.now()},
            )
        )

    async def set_status(self, account_id: str, status: AccountStatus, reason: str) -> None:
        """Change the status; one made active trades in whatever modes it is found. Raises UnknownAccount."""
        changed = await self._connection.execute(
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(
                status=status,
                status_reason=reason,
                modes=null() if status is AccountStatus.ACTIVE else accounts.c.modes,
                updated_at=func.now(),
            )
        )
        if changed.rowcount == 0:
            raise UnknownAccount(f"there is no account {account_id!r}")

    async def reason(self, account_id: str) -> str:
        """Return why the account has the status that it has; empty where nobody said."""
        found: str | None = await self._connection.scalar(
            select(accounts.c.status_reason).where(accounts.c.id == account_id)
        )
        return found or ""

    async def sighting(self, account_id: str) -> Sighting:
        """Return what is known of the account before it is looked at. In one round trip."""
        seen = exists().where(equity.c.account_id == account_id)
        resting = select(orders.c.symbol).where(orders.c.account_id == account_id, orders.c.state.in_(ALIVE)).distinct()
        found = await self._connection.execute(
            select(accounts.c.modes, seen, func.array(resting.scalar_subquery())).where(accounts.c.id == account_id)
        )
        modes, known, symbols = found.one()
        return Sighting(modes=modes, first=not known, resting=frozenset(symbols))

    async def remember_modes(self, account_id: str, modes: Modes) -> None:
        """Store how the account holds positions."""
        await self._connection.execute(update(accounts).where(accounts.c.id == account_id).values(modes=modes))


def to_json(account: Account) -> dict[str, Any]:
    """Return the configuration as it is stored."""
    stored: dict[str, Any] = _ACCOUNT.dump_python(account, mode="json")
    return stored


def from_json(config: object, status: str) -> Account:
    """The status in force stands in its own column; the configuration holds the one the account began with."""
    return replace(_ACCOUNT.validate_python(config), status=AccountStatus(status))
