"""Changes of the wallet, each counted once, by the exchange's transaction id."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.books import Books
from shared.db.tables import incomes
from shared.domain.order import Income, IncomeKind


class IncomeTable:
    """The `Incomes` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, account_id: str, booked: Sequence[Income]) -> Sequence[Income]:
        """Store and book rows; return those that were new."""
        by_key = {(income.kind, income.transaction_id): income for income in booked}
        if not by_key:
            return []
        rows = [{"account_id": account_id, **asdict(income)} for income in by_key.values()]
        stored = await self._connection.execute(
            insert_all(incomes, rows).on_conflict_do_nothing().returning(incomes.c.kind, incomes.c.transaction_id)
        )
        known = {(row.kind, row.transaction_id) for row in stored}
        new = [income for key, income in by_key.items() if key in known]
        await Books(self._connection, account_id).add_incomes(new)
        return new

    async def keys_since(self, account_id: str, since: datetime) -> frozenset[tuple[IncomeKind, str]]:
        """Return (kind, transaction id) of the rows stored since then: what names a row at the exchange."""
        found = await self._connection.execute(
            select(incomes.c.kind, incomes.c.transaction_id).where(
                incomes.c.account_id == account_id, incomes.c.at >= since
            )
        )
        return frozenset((IncomeKind(row.kind), row.transaction_id) for row in found)
