"""
The lanes of nonces: which process may give out which.

A lane is held for an hour of the exchange's time and rests before it is given to another: by then the exchange takes
no nonce any more that its last holder can have given out (docs/decisions/0006).
"""

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from shared.db.tables import lanes
from shared.db.unit_of_work import Database
from shared.domain.errors import DatabaseUnavailable
from shared.domain.nonce import LANE_SECONDS, LANES, REST_SECONDS

_now = func.clock_timestamp


class LaneTable:
    """The `Lanes` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, holder: str) -> int:
        """Return the first lane that is free. Raises DatabaseUnavailable, also when none is."""
        async with self._database.transaction() as connection:
            await connection.execute(text("LOCK TABLE lanes IN EXCLUSIVE MODE"))
            every = func.generate_series(0, LANES - 1).table_valued("number").render_derived()
            free = await connection.scalar(
                select(every.c.number)
                .where(
                    ~select(lanes.c.lane).where(lanes.c.lane == every.c.number, lanes.c.free_at > _now()).exists(),
                )
                .order_by(every.c.number)
                .limit(1)
            )
            if free is None:
                raise DatabaseUnavailable(f"all {LANES} lanes of nonces are held: too many processes sign at once")
            values = {"holder": holder, "free_at": _in(LANE_SECONDS + REST_SECONDS)}
            await connection.execute(
                insert(lanes)
                .values(lane=free, **values)
                .on_conflict_do_update(index_elements=[lanes.c.lane], set_=values)
            )
            return int(free)

    async def keep(self, lane: int, holder: str) -> bool:
        """Hold the lane for another LANE_SECONDS; False when it is no longer that holder's."""
        return await self._set(lane, holder, LANE_SECONDS + REST_SECONDS)

    async def leave(self, lane: int, holder: str) -> None:
        """Let others have the lane, after a rest."""
        await self._set(lane, holder, REST_SECONDS)

    async def _set(self, lane: int, holder: str, seconds: float) -> bool:
        async with self._database.transaction() as connection:
            kept = await connection.execute(
                update(lanes)
                .where(lanes.c.lane == lane, lanes.c.holder == holder, lanes.c.free_at > _now())
                .values(free_at=_in(seconds))
            )
            return kept.rowcount == 1


def _in(seconds: float) -> object:
    return _now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
