"""The accounts: their configuration, and whether they may trade."""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter
from sqlalchemy import func, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import accounts
from shared.domain.account import Account, AccountStatus
from shared.domain.errors import UnknownAccount
from shared.domain.position import Modes

_ACCOUNT = TypeAdapter(Account)


class AccountTable:
    """The `Accounts` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, account_id: str) -> Account:
        """Return the account. Raises UnknownAccount."""
        found = await self._connection.execute(
            select(accounts.c.config, accounts.c.status).where(accounts.c.id == account_id)
        )
        row = found.one_or_none()
        if row is None:
            raise UnknownAccount(f"there is no account {account_id!r}")
        return _account(row.config, row.status)

    async def all(self) -> Sequence[Account]:
        """Return every account, by id."""
        found = await self._connection.execute(select(accounts.c.config, accounts.c.status).order_by(accounts.c.id))
        return [_account(row.config, row.status) for row in found]

    async def configure(self, configured: Sequence[Account]) -> None:
        """Insert or update what configuration says; an existing account keeps its status."""
        if not configured:
            return
        rows = [
            {"id": account.id, "status": account.status, "config": _ACCOUNT.dump_python(account, mode="json")}
            for account in configured
        ]
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

    async def modes(self, account_id: str) -> Modes | None:
        """Return how the account held positions when that was first seen, None when it was not since it was resumed."""
        found: Modes | None = await self._connection.scalar(select(accounts.c.modes).where(accounts.c.id == account_id))
        return found

    async def remember_modes(self, account_id: str, modes: Modes) -> None:
        """Store how the account holds positions."""
        await self._connection.execute(update(accounts).where(accounts.c.id == account_id).values(modes=modes))


def _account(config: object, status: str) -> Account:
    """The status in force stands in its own column; the configuration holds the one the account began with."""
    return replace(_ACCOUNT.validate_python(config), status=AccountStatus(status))
