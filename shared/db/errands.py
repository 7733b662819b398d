"""What people had done by hand, each named by a key of theirs: asked for again, it has the moment it had at first."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import errands, orders
from shared.db.values import CleanText, Moment

A_WHILE = 200
"""Milliseconds before *at* among which one is free."""
KEPT = timedelta(days=30)
"""So long a key names the same errand."""


class ErrandTable:
    """The `Errands` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def moment(self, account_id: str, key: str, at: datetime) -> datetime:
        """Return the moment that names the errand: that of its first time, or one at or just before *at*.

        No other errand of the account has it, nor has an order, so that the errand's client order ids are its own.
        Forgets what is old.
        """
        await self._connection.execute(
            delete(errands).where(errands.c.account_id == account_id, errands.c.tick < at - KEPT)
        )
        back = func.generate_series(0, A_WHILE).table_valued("ms").render_derived(name="back")
        moment = literal(at, Moment) - back.c.ms * literal(timedelta(milliseconds=1))
        free = (
            select(literal(account_id, CleanText), literal(key, CleanText), moment)
            .where(
                ~select(errands.c.tick).where(errands.c.account_id == account_id, errands.c.tick == moment).exists(),
                ~select(orders.c.id).where(orders.c.account_id == account_id, orders.c.tick == moment).exists(),
            )
            .order_by(back.c.ms)
            .limit(1)
        )
        await self._connection.execute(
            insert(errands)
            .from_select(["account_id", "key", "tick"], free)
            .on_conflict_do_nothing(index_elements=[errands.c.account_id, errands.c.key])
        )
        tick: datetime | None = await self._connection.scalar(
            select(errands.c.tick).where(errands.c.account_id == account_id, errands.c.key == key)
        )
        assert tick is not None  # noqa: S101 - it stood before, or stands now
        return tick
