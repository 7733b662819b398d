"""Candles: partitions by month, what is there, and the columns that indicators are computed from."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.candles import CandleTable
from shared.db.unit_of_work import Database
from shared.domain.candle_defects import CandleDefect, DefectKind
from shared.domain.market import Candle, Series, Span, Timeframe
from tests.db.samples import PRECISE, a_candle

BITCOIN = Series("BTCUSDT", Timeframe.M5)
MONTHLY = Series("BTCUSDT", Timeframe.MONTH)
ETHER = Series("ETHUSDT", Timeframe.M5)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def candles_from(first: datetime, count: int, width: timedelta = FIVE) -> list[Candle]:
    return [a_candle(first + n * width, close=f"{64000 + n}.1") for n in range(count)]


async def save(database: Database, *series: Series, candles: list[Candle]) -> None:
    async with database.open_work() as work:
        await work.candles.save(dict.fromkeys(series, candles))


async def partitions(database: Database) -> list[str]:
    statement = text(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'candles'::regclass ORDER BY 1"
    )
    async with database.transaction() as connection:
        return list(await connection.scalars(statement))


async def test_candles_across_a_month_border_go_to_two_partitions(database: Database) -> None:
    candles = candles_from(NEW_YEAR - FIVE, 2)

    await save(database, BITCOIN, candles=candles)

    assert await partitions(database) == ["candles_202512", "candles_202601"]
    async with database.open_work() as work:
        [window] = await work.candles.windows([BITCOIN], before=NEW_YEAR + FIVE, count=10)
    assert window.opened == [candle.opened for candle in candles]


async def test_partitions_follow_utc_months_whatever_the_sessions_time_zone(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SELECT set_config('TimeZone', 'Pacific/Auckland', false)"))
    await save(database, BITCOIN, candles=[a_candle(NEW_YEAR), a_candle(datetime(2026, 1, 31, 23, 55, tzinfo=UTC))])

    assert await partitions(database) == ["candles_202601"]


async def test_many_savers_of_a_new_month_make_its_partition_once(database: Database, database_url: str) -> None:
    others = [Database(database_url, long_lived=False) for _ in range(4)]
    candles = candles_from(NEW_YEAR, 50)

    await asyncio.gather(
        *(save(each, BITCOIN, ETHER, candles=list(reversed(candles))) for each in (database, *others)),
    )

    for each in others:
        await each.close()
    assert await partitions(database) == ["candles_202601"]
    async with database.open_work() as work:
        whole = Span(NEW_YEAR, NEW_YEAR + 49 * FIVE)
        assert await work.candles.holes(dict.fromkeys([BITCOIN, ETHER], whole)) == {}


async def test_a_partition_that_was_rolled_back_is_made_again(database: Database) -> None:
    async def save_and_fail() -> None:
        async with database.open_work() as work:
            await work.candles.save({BITCOIN: [a_candle(NEW_YEAR)]})
            raise RuntimeError("after all")

    with pytest.raises(RuntimeError, match="after all"):
        await save_and_fail()
    assert await partitions(database) == []
    await save(database, BITCOIN, candles=[a_candle(NEW_YEAR)])

    assert await partitions(database) == ["candles_202601"]


async def test_saving_tells_what_was_stored_otherwise_before(database: Database) -> None:
    first, second = candles_from(NEW_YEAR, 2)
    await save(database, BITCOIN, candles=[first])

    async with database.open_work() as work:
        same = await work.candles.save({BITCOIN: [first]})
        later = replace(first, close=Decimal("64000.2"), volume=Decimal(13))
        corrections = await work.candles.save({BITCOIN: [later, second], ETHER: [first]})

    assert same == []
    assert corrections == [
        CandleDefect(BITCOIN, DefectKind.CORRECTION, nth(0, 0), "close 64000.1 → 64000.2, volume 12.345 → 13")
    ]


async def test_saving_again_corrects_what_was_stored(database: Database) -> None:
    await save(database, BITCOIN, candles=[a_candle(NEW_YEAR, "1"), a_candle(NEW_YEAR, "2")])
    await save(database, BITCOIN, candles=[a_candle(NEW_YEAR, str(PRECISE))])
    await save(database, BITCOIN, candles=[])

    async with database.transaction() as connection:
        stored = (await connection.execute(text("SELECT close, high FROM candles"))).all()
    assert [tuple(row) for row in stored] == [(PRECISE, PRECISE + 1)]


def nth(first: int, last: int) -> Span:
    return Span(NEW_YEAR + first * FIVE, NEW_YEAR + last * FIVE)


async def test_holes_are_what_is_missing_before_between_and_after(database: Database) -> None:
    run = candles_from(NEW_YEAR, 10)
    await save(database, BITCOIN, candles=[*run[:3], *run[5:6], *run[9:]])
    await save(database, ETHER, candles=run)
    wanted = {BITCOIN: nth(-2, 12), ETHER: nth(0, 9), MONTHLY: Span(NEW_YEAR, NEW_YEAR)}

    async with database.open_work() as work:
        holes = await work.candles.holes(wanted)
        assert await work.candles.holes({}) == {}

    assert holes == {
        BITCOIN: [nth(-2, -1), nth(3, 4), nth(6, 8), nth(10, 12)],
        MONTHLY: [Span(NEW_YEAR, NEW_YEAR)],
    }


async def test_holes_among_months_and_days_follow_utc_whatever_the_sessions_time_zone(database: Database) -> None:
    months = [datetime(2025, month, 1, tzinfo=UTC) for month in (1, 2, 3, 5, 6)]
    days = [datetime(2025, 3, day, tzinfo=UTC) for day in (28, 29, 30, 31)]  # clocks are changed there on the 30th
    daily = Series("BTCUSDT", Timeframe.D1)
    await save(database, MONTHLY, candles=[a_candle(month) for month in months])
    await save(database, daily, candles=[a_candle(day) for day in [*days, days[-1] + timedelta(days=2)]])

    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL TimeZone = 'Europe/Berlin'"))
        spans = {MONTHLY: Span(months[0], months[-1]), daily: Span(days[0], days[-1] + timedelta(days=2))}
        holes = await CandleTable(connection).holes(spans)

    april = datetime(2025, 4, 1, tzinfo=UTC)
    assert holes == {MONTHLY: [Span(april, april)], daily: [Span(april, april)]}


async def test_windows_are_the_last_candles_before_the_tick_oldest_first(database: Database) -> None:
    await save(database, BITCOIN, candles=candles_from(NEW_YEAR, 10))
    await save(database, MONTHLY, candles=[a_candle(NEW_YEAR, "1.5")])

    async with database.open_work() as work:
        windows = await work.candles.windows([MONTHLY, ETHER, BITCOIN], before=NEW_YEAR + 6 * FIVE, count=3)
        assert await work.candles.windows([], before=NEW_YEAR, count=3) == []

    assert [window.series for window in windows] == [MONTHLY, ETHER, BITCOIN]
    assert [window.close for window in windows] == [[1.5], [], [64003.1, 64004.1, 64005.1]]
    assert windows[2].opened == [NEW_YEAR + n * FIVE for n in (3, 4, 5)]
    assert windows[2].volume == [float(Decimal("12.345"))] * 3
    assert windows[1].defect(NEW_YEAR) == "no candles"


async def looks(connection: AsyncConnection) -> Counter[str]:
    """Return how often this connection has looked into the index of each month lately."""
    statement = "SELECT relname, idx_scan FROM pg_stat_xact_user_tables WHERE relname LIKE 'candles\\_2%'"
    return Counter({row.relname: row.idx_scan for row in await connection.execute(text(statement))})


@asynccontextmanager
async def looking_into(database: Database, *months: str) -> AsyncIterator[CandleTable]:
    """Lend the candles, and see to it that none but those months are looked into."""
    async with database.transaction() as connection:
        before = await looks(connection)
        yield CandleTable(connection)
        assert set(await looks(connection) - before) == {f"candles_{month}" for month in months}


@pytest.mark.parametrize("long_lived", [True, False])
async def test_a_read_looks_into_no_month_but_those_it_is_about(database_url: str, long_lived: bool) -> None:
    database = Database(database_url, long_lived=long_lived)
    every = [BITCOIN, ETHER, Series("SOLUSDT", Timeframe.M5)]
    for month in range(6, 13):
        await save(database, *every, candles=candles_from(datetime(2025, month, 1, tzinfo=UTC), 2000))
    async with database.transaction() as connection:
        await connection.execute(text("ANALYZE candles"))  # as autovacuum does
    december, july = datetime(2025, 12, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)

    for _ in range(7):  # a statement that is run often gets another plan
        async with looking_into(database, "202511", "202512") as candles:
            [window] = await candles.windows([BITCOIN], before=december + 200 * FIVE, count=300)
            assert len(window.opened) == 300
        async with looking_into(database, "202507") as candles:
            [window] = await candles.windows([BITCOIN], before=july + 1500 * FIVE, count=1000)
            assert len(window.opened) == 1000
        async with looking_into(database, "202507") as candles:
            holes = await candles.holes({BITCOIN: Span(july, july + 2010 * FIVE)})
            assert holes == {BITCOIN: [Span(july + 2000 * FIVE, july + 2010 * FIVE)]}
    await database.close()


async def test_twenty_windows_over_two_years_of_partitions_are_quick(database: Database) -> None:
    every = [Series(f"COIN{n}USDT", Timeframe.M5) for n in range(20)]
    await save(database, *every, candles=candles_from(NEW_YEAR, 400))
    months = candles_from(NEW_YEAR - timedelta(days=730), 25, timedelta(days=30))
    await save(database, Series("COIN0USDT", Timeframe.D1), candles=months)

    async def read() -> float:
        async with database.open_work() as work:
            began = time.perf_counter()
            windows = await work.candles.windows(every, before=NEW_YEAR + timedelta(days=9), count=300)
            assert {len(window.close) for window in windows} == {300}
            return time.perf_counter() - began

    assert min([await read() for _ in range(5)]) < 0.1  # 15 ms on an idle machine; room for a busy one
