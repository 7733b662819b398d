"""
How reading candles grows with what is stored: `python -m scripts.benchmarks.candles`.

A server of its own, in a temporary folder on disk that is deleted at the end, is filled with candles of 300 symbols in
the order of time, as trading writes them, so that the candles of one series lie far apart. At each size it reads 1,000
candles of a random series at a random time, the same as a page of the API, and the windows of twenty series that a tick
decides on. Every read alternates with the same of a second database that stays at the first size, so that a busy moment
slows both: medians, and how many times the second one's. Then the search for one missing candle in a whole series, and
how many candles a second `save` stores.

100 million rows take 20 GB, and six minutes of two slow cores: run it with `nice`.
"""

import argparse
import asyncio
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
from sqlalchemy import make_url, text

from shared.db.embedded import embedded_postgres
from shared.db.migrate import upgrade
from shared.db.reports import Reports
from shared.db.unit_of_work import Database
from shared.domain.market import Candle, Series, Span, Timeframe

SYMBOLS = 300
FIVE = timedelta(minutes=5)
START = datetime(2020, 1, 1, tzinfo=UTC)
RUN = 1000
READS = 200

FILL = """
INSERT INTO {table}
SELECT 'COIN' || (k % {symbols}) || 'USDT', '5m', '{start}'::timestamptz + (k / {symbols}) * interval '5 minutes',
       price, price + 3.2, price - 1.7, price + 0.4, (k % 9973) * 0.125
FROM (SELECT k, 100 + (k * 7919 % 1000003) * 0.1 AS price FROM generate_series({first}::bigint, {last}) AS k) AS made
"""


async def fill(database: Database, begin: int, end: int) -> None:
    """Store the generated rows [begin, end), a month at a time; a month that is new is indexed once it is full."""
    while begin < end:
        opened = START + begin // SYMBOLS * FIVE
        month = opened.replace(day=1, hour=0, minute=0)
        following = Timeframe.MONTH.following(month)
        last = min(end, (following - START) // FIVE * SYMBOLS)
        table = f"candles_{month:%Y%m}"
        async with database.transaction() as connection:
            new = await connection.scalar(text(f"SELECT to_regclass('{table}') IS NULL"))
            if new:
                await connection.execute(text(f"CREATE TABLE {table} (LIKE candles)"))
            values = {"table": table, "symbols": SYMBOLS, "start": START, "first": begin, "last": last - 1}
            await connection.execute(text(FILL.format(**values)))
            if new:
                bounds = f"FOR VALUES FROM ('{month}') TO ('{following}')"
                await connection.execute(text(f"ALTER TABLE candles ATTACH PARTITION {table} {bounds}"))
        begin = last


async def settle(url: str) -> None:
    """Do what autovacuum would have done by the time the rows are old."""
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute("VACUUM (ANALYZE) candles")
    await connection.execute("CHECKPOINT")
    await connection.close()


Read = Callable[[], Awaitable[bool]]


def reads(database: Database, rows: int, dice: random.Random) -> dict[str, Read]:
    """Return what is measured, by name. Each returns whether it found what it should."""
    reports, candles = Reports(database), rows // SYMBOLS

    def anywhere() -> tuple[Series, datetime]:
        series = Series(f"COIN{dice.randrange(SYMBOLS)}USDT", Timeframe.M5)
        return series, START + dice.randrange(RUN, candles + 1) * FIVE

    async def window() -> bool:
        series, before = anywhere()
        async with database.open_work() as work:
            [found] = await work.candles.windows([series], before=before, count=RUN)
        return len(found.opened) == RUN

    async def page() -> bool:
        series, until = anywhere()
        found = await reports.candles(symbol=series.symbol, timeframe=series.timeframe, until=until, limit=RUN)
        return len(found.rows) == RUN

    async def tick() -> bool:
        wanted = [Series(f"COIN{n}USDT", Timeframe.M5) for n in dice.sample(range(SYMBOLS), 20)]
        async with database.open_work() as work:
            found = await work.candles.windows(wanted, before=START + candles * FIVE, count=300)
        return all(len(each.opened) == 300 for each in found)

    return {"1,000 candles": window, "a page of 1,000": page, "20 newest windows of 300": tick}


async def medians_ms(times: int, *alternating: Read) -> list[float]:
    """Return the median of each read, done *times* times in turn."""
    taken: list[list[float]] = [[] for _ in alternating]
    for turn in range(times + 10):
        for read, so_far in zip(alternating, taken, strict=True):
            began = time.perf_counter()
            found = await read()
            if turn >= 10:  # by then the statements are prepared, and the connection is there
                so_far.append((time.perf_counter() - began) * 1000)
            assert found, "not what was looked for"  # noqa: S101 - a benchmark of nothing would look fine
    return [statistics.median(each) for each in taken]


async def searching(database: Database, rows: int) -> float:
    """Return in how many milliseconds the one candle that is missing of a whole series is found."""
    series, candles = Series("COIN0USDT", Timeframe.M5), rows // SYMBOLS
    whole, lost = Span(START, START + (candles - 1) * FIVE), START + candles // 2 * FIVE
    async with database.transaction() as connection:
        delete = "DELETE FROM candles WHERE symbol = 'COIN0USDT' AND timeframe = '5m' AND opened = :opened"
        await connection.execute(text(delete), {"opened": lost})

    async def search() -> bool:
        async with database.open_work() as work:
            return await work.candles.holes({series: whole}) == {series: [Span(lost, lost)]}

    [took] = await medians_ms(9, search)
    async with database.transaction() as connection:
        values = {"table": "candles", "symbols": SYMBOLS, "start": START}
        place = candles // 2 * SYMBOLS
        await connection.execute(text(FILL.format(**values, first=place, last=place)))
    return took


async def saving(database: Database) -> float:
    """Return how many candles a second `save` stores, as a backfill brings them: 500 of each of 20 series a time."""
    price = Decimal("64000.1")
    rates = []
    for turn in range(10):
        first = datetime(2019, 1, 1, tzinfo=UTC) + turn * 500 * FIVE
        run = [
            Candle(opened=first + n * FIVE, open=price, high=price, low=price, close=price, volume=price)
            for n in range(500)
        ]
        found = {Series(f"COIN{n}USDT", Timeframe.M5): run for n in range(20)}
        began = time.perf_counter()
        async with database.open_work() as work:
            await work.candles.save(found)
        rates.append(20 * 500 / (time.perf_counter() - began))
    return statistics.median(rates)


async def measured(url: str, sizes: list[int]) -> None:
    """Fill, measure and print, size by size."""
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute("CREATE DATABASE small")
    await connection.close()
    small_url = make_url(url).set(database="small").render_as_string(hide_password=False)
    for each in (url, small_url):
        await upgrade(each)
    database, small = Database(url, long_lived=True), Database(small_url, long_lived=True)
    first = _whole(sizes[0])
    await fill(small, 0, first)
    await settle(small_url)
    beside = reads(small, first, random.Random(7))  # noqa: S311 - no secret
    filled = 0
    for rows in map(_whole, sizes):
        began = time.perf_counter()
        await fill(database, filled, rows)
        await settle(url)
        filled = rows
        print(f"{rows:>11,} rows, {await size(database)}, filled in {time.perf_counter() - began:.0f} s")
        for name, read in reads(database, rows, random.Random(8)).items():  # noqa: S311 - no secret
            here, there = await medians_ms(READS, read, beside[name])
            print(f"    {name:<26} {here:7.2f} ms, {there:7.2f} ms among {first:,}: {here / there:5.2f} ×", flush=True)
        print(f"    a gap in {rows // SYMBOLS:>9,} candles {await searching(database, rows):7.2f} ms", flush=True)
    print(f"saved by CandleTable.save: {await saving(database):,.0f} candles/s")
    await database.close()
    await small.close()


def _whole(size: int) -> int:
    return size // SYMBOLS * SYMBOLS


async def size(database: Database) -> str:
    """Return what the rows take."""
    statement = text(
        "SELECT count(*) AS months, sum(pg_total_relation_size(inhrelid)) AS bytes "
        "FROM pg_inherits WHERE inhparent = 'candles'::regclass"
    )
    async with database.transaction() as connection:
        found = (await connection.execute(statement)).one()
    return f"{found.months} months, {float(found.bytes) / 1e9:.1f} GB"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmarks.candles", description="Measure candle reads.")
    parser.add_argument("--sizes", default="1e6,1e7,1e8", help="how many rows, in rising order (default 1e6,1e7,1e8)")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made (default: the system's)")
    chosen = parser.parse_args()
    sizes = [round(float(size)) for size in chosen.sizes.split(",")]
    if sizes[0] < SYMBOLS * (RUN + 1):
        parser.error(f"--sizes: {SYMBOLS * (RUN + 1):,} rows at least, or no series has {RUN:,} candles to read")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {SYMBOLS} symbols at 5m")
    with (
        tempfile.TemporaryDirectory(dir=chosen.folder, prefix="candles-") as folder,
        embedded_postgres(Path(folder) / "postgres") as url,
    ):
        asyncio.run(measured(url, sizes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
