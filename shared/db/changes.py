"""What is to be allowed to accounts and is not yet; one change an account can wait at a time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.accounts import AccountTable, from_json, to_json
from shared.db.tables import accounts, changes
from shared.domain.account import Account, AccountStatus
from shared.domain.authority import CONFIGURATION, NEVER, Change, ChangeKind, ChangeState, Terms, granted, judge


class ChangeTable:
    """The `Changes` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def settle(self, wanted: Sequence[Account], by: str, now: datetime, terms: Terms) -> Sequence[Change]:
        """Configure the accounts as far as that allows them no more than now; return the changes that are to wait.

        A change that waits already, and for no less, keeps its time. One that is wanted no more waits no longer.
        """
        names = [account.id for account in wanted]
        # In one order, so that two processes that start together do not wait for each other.
        found = await self._connection.execute(
            select(accounts).where(accounts.c.id.in_(names)).order_by(accounts.c.id).with_for_update()
        )
        rows = {row.id: row for row in found}
        waiting = {change.account_id: change for change in await self._read(names)} if terms.delay else {}
        in_force, waits = [], []
        for account in wanted:
            now_allowed, kind, raises = _allowed(rows.get(account.id), waiting.get(account.id), account, terms)
            in_force.append(now_allowed)
            if raises:
                waits.append((account, kind, raises))
        await AccountTable(self._connection).configure(in_force)
        await self._connection.execute(update(accounts).where(accounts.c.id.in_(names)).values(mode=terms.mode))
        kept = [
            await self._wait(waiting.get(account.id), account, kind, raises, (by, now, terms))
            for account, kind, raises in waits
        ]
        gone = waiting.keys() - {change.account_id for change in kept}
        for account_id in gone:
            await self._end(waiting[account_id].id, ChangeState.REPLACED, by, now)
        return kept

    async def pending(self, account_id: str | None = None) -> Sequence[Change]:
        """Return the changes that wait, of one account or of all, oldest first."""
        return await self._read(None if account_id is None else [account_id])

    async def get(self, change_id: int) -> Change | None:
        """Return a change, whatever became of it; nobody else can decide it before this transaction ends."""
        found = await self._connection.execute(select(changes).where(changes.c.id == change_id).with_for_update())
        row = found.one_or_none()
        return _change(row) if row else None

    async def speak(self, change_id: int, who: str) -> Sequence[str]:
        """Add a word for a change that waits; return who is for it."""
        change = await self.get(change_id)
        assert change is not None  # noqa: S101 - whoever speaks has found it
        words = tuple(dict.fromkeys((*change.words, who)))
        await self._connection.execute(update(changes).where(changes.c.id == change_id).values(words=list(words)))
        return words

    async def apply(self, change: Change, by: str, now: datetime, terms: Terms) -> Account:
        """Put a change that waits in force and return the account as it is from now on."""
        table = AccountTable(self._connection)
        current = await table.get(change.account_id)
        account = granted(change.wanted, current, now, terms, adds=change.kind is ChangeKind.ADD)
        await table.configure([account])
        await self._end(change.id, ChangeState.APPLIED, by, now)
        return account

    async def withdraw(self, change_id: int, by: str, now: datetime) -> None:
        """Have a change wait no longer."""
        await self._end(change_id, ChangeState.WITHDRAWN, by, now)

    async def _wait(
        self,
        waiting: Change | None,
        wanted: Account,
        kind: ChangeKind,
        raises: Sequence[str],
        proposal: tuple[str, datetime, Terms],
    ) -> Change:
        by, now, terms = proposal
        if waiting and waiting.kind is kind and not judge(waiting.wanted, wanted).raises:
            await self._connection.execute(
                update(changes).where(changes.c.id == waiting.id).values(wanted=to_json(wanted), raises=list(raises))
            )
            return replace(waiting, wanted=wanted, raises=tuple(raises))
        if waiting:
            await self._end(waiting.id, ChangeState.REPLACED, by, now)
        new = {
            "account_id": wanted.id,
            "kind": kind,
            "wanted": to_json(wanted),
            "raises": list(raises),
            "proposed_by": by,
            "proposed_at": now,
            "due_at": now + terms.delay,
            "words": [] if by == CONFIGURATION else [by],
            "state": ChangeState.PENDING,
        }
        found = await self._connection.execute(insert(changes).values(new).returning(changes))
        return _change(found.one())

    async def _end(self, change_id: int, state: ChangeState, by: str, now: datetime) -> None:
        await self._connection.execute(
            update(changes)
            .where(changes.c.id == change_id, changes.c.state == ChangeState.PENDING)
            .values(state=state, decided_by=by, decided_at=now)
        )

    async def _read(self, names: Sequence[str] | None) -> list[Change]:
        statement = select(changes).where(changes.c.state == ChangeState.PENDING).order_by(changes.c.id)
        if names is not None:
            statement = statement.where(changes.c.account_id.in_(names))
        return [_change(row) for row in await self._connection.execute(statement)]


def _allowed(
    row: Row[Any] | None, waiting: Change | None, wanted: Account, terms: Terms
) -> tuple[Account, ChangeKind, Sequence[str]]:
    """Return what is in force at once, and what is to wait."""
    if not terms.delay:
        return wanted, ChangeKind.RAISE, ()
    current = from_json(row.config, row.status) if row else None
    is_new = current is None or current.authority_until is None or (row is not None and row.mode != terms.mode)
    if current is None or is_new or (waiting and waiting.kind is ChangeKind.ADD):
        # It may be configured as is wanted: it has no authority to use that for anything.
        return replace(wanted, authority_until=NEVER), ChangeKind.ADD, (f"trade {terms.mode}",)
    judged = judge(current, wanted)
    return judged.now, ChangeKind.RAISE, judged.raises


def _change(row: Row[Any]) -> Change:
    named = {name: getattr(row, name) for name in ("id", "account_id", "proposed_by", "proposed_at", "due_at")}
    return Change(
        **named,
        kind=ChangeKind(row.kind),
        wanted=from_json(row.wanted, AccountStatus.ACTIVE),
        raises=tuple(row.raises),
        words=tuple(row.words),
        state=ChangeState(row.state),
    )
