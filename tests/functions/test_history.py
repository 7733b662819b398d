"""Any range of candles can be brought, again and again, for no more than what is missing; old ones can be let go."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from sqlalchemy import text

from functions.history import Brought, History, prune
from shared.db.unit_of_work import Database
from shared.domain.errors import Refused
from shared.domain.market import Candle, Series, Span, Timeframe
from tests.db.samples import a_candle
from tests.functions.test_candle_history import Distorted, defects, questions, rows
from tests.house import House

FINE, COARSE = Series("BTCUSDT", Timeframe.M5), Series("BTCUSDT", Timeframe.H4)
FIVE, FOUR = timedelta(minutes=5), timedelta(hours=4)


@pytest.fixture
def history(house: House) -> History:
    runtime = house.runtime
    return History(open_work=runtime.open_work, market=runtime.market, clock=runtime.clock)


def last(house: House, count: int, series: Series = FINE) -> dict[Series, Span]:
    running = series.timeframe.open_at(house.clock.now())
    return {series: Span(series.timeframe.back(running, count), series.timeframe.back(running, 1))}


async def brought(history: History, wanted: dict[Series, Span], *, again: bool = False) -> Brought:
    return await history.backfill(wanted, await history.missing(wanted, again=again), done=lambda _: None)


async def test_a_range_is_brought_whole_and_then_not_asked_for_again(house: House, history: History) -> None:
    wanted = last(house, 1200) | last(house, 60, COARSE)
    told: list[int] = []

    first = await history.backfill(wanted, await history.missing(wanted), done=told.append)
    asked = questions(house)
    second = await brought(history, wanted)

    assert (first.candles, first.failures, sum(told)) == (1260, {}, 1260)
    assert (second.candles, asked) == (0, [])
    assert await history.gaps(wanted) == []


async def test_what_was_stopped_goes_on_with_what_is_missing(house: House, history: History) -> None:
    wanted = last(house, 3000)
    began = asyncio.Event()
    task = asyncio.create_task(history.backfill(wanted, await history.missing(wanted), done=lambda _: began.set()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [(stored,)] = await rows(house, "SELECT count(*) FROM candles")

    rest = await brought(history, wanted)

    assert stored > 0
    assert rest.candles == 3000 - stored
    assert await history.gaps(wanted) == []


async def test_the_years_before_a_contract_was_listed_cost_one_request(house: House, history: History) -> None:
    year = last(house, 8 * 366 * 24 * 12)[FINE]
    asked = questions(house)

    asks = await history.missing({FINE: year})

    [span] = asks[FINE]
    assert (span.since > year.since, span.until) == (True, year.until)
    assert asked == [("BTCUSDT", "5m", 1)]


async def test_a_gap_that_the_exchange_has_is_told_and_asked_for_by_a_repair_only(
    house: House, history: History
) -> None:
    wanted = last(house, 600)
    hole = [wanted[FINE].until - n * FIVE for n in (300, 299)]

    def torn(told: list[Candle]) -> list[Candle]:
        return [each for each in told if each.opened not in hole]

    with patch.object(house.runtime.market, "candles", Distorted(house, torn)):
        await brought(history, wanted)
    [gap] = await history.gaps(wanted)
    asked = questions(house)
    assert (await brought(history, wanted)).candles == 0
    assert asked == []

    repaired = await brought(history, wanted, again=True)

    assert (gap.span, gap.candles, gap.in_vain) == (Span(*hole), 2, True)
    assert repaired.candles == 2
    assert await history.gaps(wanted) == []
    assert await defects(house) == [("BTCUSDT", "5m", "gap", *hole, 1)]


async def test_a_gap_that_nobody_asked_about_is_told_as_such(house: House, history: History) -> None:
    wanted = last(house, 50)
    await brought(history, wanted)
    opened = wanted[FINE].since + 3 * FIVE
    await rows(house, "DELETE FROM candles WHERE opened = :opened RETURNING 1", opened=opened)

    [gap] = await history.gaps(wanted)

    assert (gap.span, gap.in_vain) == (Span(opened, opened), False)
    assert (await brought(history, wanted)).candles == 1


async def test_a_series_that_fails_is_reported_and_sinks_no_other(house: House, history: History) -> None:
    candles = house.runtime.market.candles

    async def refused(series: Series, *, since: datetime, until: datetime) -> Sequence[Candle]:
        if series == FINE:
            raise Refused("not today", code=-1121)
        return await candles(series, since=since, until=until)

    with patch.object(house.runtime.market, "candles", refused):
        outcome = await brought(history, last(house, 2000) | last(house, 60, COARSE))

    assert outcome.candles == 60
    assert outcome.failures == {FINE: "not today"}
    assert await defects(house) == []  # what could not be asked for is not known to be absent


async def test_a_backfill_leaves_room_in_the_minute_for_trading(
    house: House, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.history.PAGES_A_MINUTE", 3)
    asked = questions(house)
    third = asyncio.Event()
    pages = 0

    def count(_: int) -> None:
        nonlocal pages
        pages += 1
        if pages == 3:
            third.set()

    wanted = last(house, 5 * 499)
    asks = await history.missing(wanted)
    asked.clear()
    task = asyncio.create_task(history.backfill(wanted, asks, done=count))
    await third.wait()
    assert (len(asked), task.done()) == (3, False)

    await house.pass_time(timedelta(minutes=1))
    await task
    assert len(asked) == 5


def candles(first: datetime, count: int, width: timedelta) -> list[Candle]:
    return [a_candle(first + n * width) for n in range(count)]


async def months(database: Database) -> list[str]:
    statement = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'candles'::regclass ORDER BY 1"
    async with database.transaction() as connection:
        return list(await connection.scalars(text(statement)))


async def test_old_candles_go_by_whole_months_and_wide_ones_stay(house: House) -> None:
    database, now = house.runtime.database, house.clock.now()
    cut = now - timedelta(days=30)
    border = Timeframe.MONTH.open_at(cut)
    before, long_before = Timeframe.MONTH.back(border, 1), Timeframe.MONTH.back(border, 3)
    near = Timeframe.M5.open_at(cut)
    async with house.runtime.open_work() as work:
        await work.candles.save({FINE: candles(long_before, 10, FIVE)})
        await work.candles.save({FINE: candles(before, 10, FIVE), COARSE: candles(before, 3, FOUR)})
        await work.candles.save({FINE: candles(near - 3 * FIVE, 6, FIVE)})

    pruned = await prune(database, house.clock, timedelta(days=30))
    again = await prune(database, house.clock, timedelta(days=30))

    assert f"candles_{long_before:%Y%m}" not in await months(database)
    assert f"candles_{before:%Y%m}" in await months(database)
    kept = await rows(house, "SELECT timeframe, opened FROM candles ORDER BY opened")
    assert kept[:3] == [("4h", before + n * FOUR) for n in range(3)]
    assert all(timeframe == "5m" and opened >= cut for timeframe, opened in kept[3:])
    assert (pruned.months, again.months, again.rows) == (2, 0, 0)


async def test_a_month_that_was_dropped_can_be_filled_again(house: House) -> None:
    old = datetime(2020, 3, 1, tzinfo=UTC)
    async with house.runtime.open_work() as work:
        await work.candles.save({FINE: candles(old, 3, FIVE)})
    await prune(house.runtime.database, house.clock, timedelta(days=30))

    async with house.runtime.open_work() as work:
        await work.candles.save({FINE: candles(old, 3, FIVE)})

    assert await rows(house, "SELECT count(*) FROM candles") == [(3,)]
