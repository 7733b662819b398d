"""
Candles that are not kept: whole months at once, so that nothing is left behind for the database to tidy up.

A month that is over for good is replaced by what of it is kept, or dropped where nothing is. Only the month that the
limit falls into loses its rows one by one. A month at a time, each in a transaction of its own: it can be cut short
anywhere and done again, and readers wait for moments.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import candle_defects, candles
from shared.db.unit_of_work import Database
from shared.domain.market import Timeframe

LOCK_SECONDS = 5
"""For a month that somebody else is at; everybody who comes after us waits behind us for as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was taken away."""

    months: int
    """Partitions that were dropped, or replaced by what is kept of them."""
    rows: int
    """Candles that were deleted one by one."""


async def prune_candles(database: Database, timeframes: Collection[Timeframe], *, before: datetime) -> Pruned:
    """Take away the candles of those timeframes that opened before then. Raises DatabaseUnavailable."""
    border = Timeframe.MONTH.open_at(before)
    wanted = {"timeframes": [timeframe.value for timeframe in timeframes]}
    replaced = 0
    for month in await _months(database):
        if month >= border:
            continue
        async with database.transaction() as connection:
            replaced += await _replace(connection, f"candles_{month:%Y%m}", month, wanted)
    database.forget_months()
    async with database.transaction() as connection:
        deleted = await connection.execute(
            delete(candles).where(
                candles.c.timeframe.in_(wanted["timeframes"]), candles.c.opened >= border, candles.c.opened < before
            )
        )
        await connection.execute(
            delete(candle_defects).where(
                candle_defects.c.timeframe.in_(wanted["timeframes"]), candle_defects.c.until < before
            )
        )
    return Pruned(months=replaced, rows=deleted.rowcount)


async def _months(database: Database) -> list[datetime]:
    names = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'candles'::regclass ORDER BY 1")
    async with database.transaction() as connection:
        found = await connection.scalars(names)
        return [datetime.strptime(name.removeprefix("candles_"), "%Y%m").replace(tzinfo=UTC) for name in found]


async def _replace(connection: AsyncConnection, name: str, month: datetime, wanted: dict[str, list[str]]) -> bool:
    """Leave of a month what is kept. False where nothing else is there."""
    unwanted = "timeframe = ANY(CAST(:timeframes AS text[]))"
    some = await connection.scalar(
        text(f"SELECT EXISTS (SELECT FROM {name} WHERE {unwanted})"),  # noqa: S608 - the name is made of a date
        wanted,
    )
    if not some:
        return False
    await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    await connection.execute(text(f"LOCK TABLE {name} IN SHARE MODE"))  # or a candle written now would be lost
    await connection.execute(text(f"CREATE TABLE {name}_kept (LIKE candles)"))
    kept = await connection.execute(
        text(f"INSERT INTO {name}_kept SELECT * FROM {name} WHERE NOT {unwanted}"),  # noqa: S608 - as above
        wanted,
    )
    await connection.execute(text(f"ALTER TABLE candles DETACH PARTITION {name}"))
    await connection.execute(text(f"DROP TABLE {name}"))
    if kept.rowcount == 0:
        await connection.execute(text(f"DROP TABLE {name}_kept"))
        return True
    await connection.execute(text(f"ALTER TABLE {name}_kept RENAME TO {name}"))
    bounds = f"FOR VALUES FROM ('{month}') TO ('{Timeframe.MONTH.following(month)}')"
    await connection.execute(text(f"ALTER TABLE candles ATTACH PARTITION {name} {bounds}"))
    return True
