"""Emergency stops: one an account, from when it is asked for until a person arms the account again."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import stops
from shared.domain.stop import Stop


class StopTable:
    """The `Stops` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def ask(self, account_id: str, by: str, at: datetime) -> bool:
        """Have the account stopped; False where that is under way already. One that is over begins anew."""
        begun = {"asked_at": at, "asked_by": by, "left": [], "finished_at": None, "rearmed_at": None}
        statement = (
            insert(stops)
            .values(account_id=account_id, **begun)
            .on_conflict_do_update(
                index_elements=[stops.c.account_id],
                set_=begun,
                where=func.coalesce(stops.c.finished_at, stops.c.rearmed_at).is_not(None),
            )
            .returning(stops.c.account_id)
        )
        return await self._connection.scalar(statement) is not None

    async def get(self, account_id: str) -> Stop | None:
        """Return the stop in force."""
        found = await self._connection.execute(
            select(stops).where(stops.c.account_id == account_id, stops.c.rearmed_at.is_(None))
        )
        row = found.one_or_none()
        return _stop(row) if row else None

    async def unfinished(self) -> Sequence[Stop]:
        """Return the stops that have left something, by account."""
        found = await self._connection.execute(
            select(stops)
            .where(stops.c.rearmed_at.is_(None), stops.c.finished_at.is_(None))
            .order_by(stops.c.account_id)
        )
        return [_stop(row) for row in found]

    async def note(self, account_id: str, left: Sequence[str], at: datetime) -> None:
        """Record what is left; nothing, and the stop is over."""
        await self._connection.execute(
            update(stops)
            .where(stops.c.account_id == account_id, stops.c.rearmed_at.is_(None), stops.c.finished_at.is_(None))
            .values(left=list(left), finished_at=None if left else at)
        )

    async def rearm(self, account_id: str, at: datetime) -> None:
        """Lift the stop."""
        await self._connection.execute(
            update(stops).where(stops.c.account_id == account_id, stops.c.rearmed_at.is_(None)).values(rearmed_at=at)
        )


def _stop(row: Row[tuple[object, ...]]) -> Stop:
    return Stop(
        account_id=row.account_id,
        asked_at=row.asked_at,
        asked_by=row.asked_by,
        left=tuple(row.left),
        finished_at=row.finished_at,
    )
