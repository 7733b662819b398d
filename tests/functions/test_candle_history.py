"""Only what is missing is asked for, what the exchange gets wrong is kept, and nothing unsound is traded on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from sqlalchemy import text

from shared.domain.cycle import Stage
from shared.domain.market import Candle, Series, Timeframe
from tests.house import House

BITCOIN = Series("BTCUSDT", Timeframe.M5)
FIVE = timedelta(minutes=5)


class Distorted:
    """What the exchange says of one series, changed on its way."""

    def __init__(self, house: House, change: Callable[[list[Candle]], list[Candle]], series: Series = BITCOIN) -> None:
        self._candles = house.runtime.market.candles
        self._series, self._change = series, change

    async def __call__(self, series: Series, *, since: datetime, until: datetime) -> Sequence[Candle]:
        told = list(await self._candles(series, since=since, until=until))
        return self._change(told) if series == self._series else told


async def rows(house: House, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    async with house.runtime.database.transaction() as connection:
        return [tuple(row) for row in await connection.execute(text(statement), values)]


async def defects(house: House) -> list[tuple[Any, ...]]:
    columns = "symbol, timeframe, kind, opened, until, times"
    return await rows(house, f"SELECT {columns} FROM candle_defects ORDER BY kind, opened")


async def forget(house: House, *opened: datetime) -> None:
    for each in opened:
        statement = "DELETE FROM candles WHERE symbol = 'BTCUSDT' AND timeframe = '5m' AND opened = :opened RETURNING 1"
        assert await rows(house, statement, opened=each) == [(1,)]


def questions(house: House) -> list[tuple[str, str, int]]:
    """Return what is asked of candles from now on: symbol, timeframe and how many."""
    asked: list[tuple[str, str, int]] = []

    async def note(request: httpx.Request) -> None:
        if request.url.path.endswith("/klines"):
            params = request.url.params
            asked.append((params["symbol"], params["interval"], int(params["limit"])))

    house.watch_requests(note)
    return asked


async def test_of_a_window_with_a_gap_only_the_gap_is_asked_for(house: House) -> None:
    await house.stage(Stage.FETCH)
    await house.pass_time()
    tick = house.request.tick
    await forget(house, tick - 30 * FIVE, tick - 31 * FIVE)
    asked = questions(house)

    result = await house.stage(Stage.FETCH)

    # The newest candle comes with the one before it, which may have been corrected since.
    assert sorted(asked) == [("BTCUSDT", "5m", 2), ("BTCUSDT", "5m", 2), ("ETHUSDT", "5m", 2)]
    assert (result.details["asked"], result.details["candles"], result.details["defects"]) == (3, 4, {})
    assert await defects(house) == []


async def test_a_gap_that_the_exchange_has_itself_stops_trading_and_is_asked_for_now_and_then(house: House) -> None:
    first = house.request.tick
    hole = [first - 11 * FIVE, first - 10 * FIVE]
    with patch.object(
        house.runtime.market,
        "candles",
        Distorted(house, lambda told: [each for each in told if each.opened not in hole]),
    ):
        result = await house.stage(Stage.FETCH)
    asked = questions(house)
    counts = []
    for _ in range(13):
        await house.pass_time()
        asked.clear()
        again = await house.stage(Stage.FETCH)
        counts.append(sum(symbol == "BTCUSDT" and timeframe == "5m" for symbol, timeframe, _ in asked))

    assert result.details["defects"] == {"BTCUSDT": f"5m: gap after {first - 12 * FIVE:%Y-%m-%d %H:%M}"}
    assert counts == [1] * 11 + [2, 1]  # an hour later it is asked for again, and this time it is there
    assert again.details["defects"] == {}
    assert await defects(house) == [("BTCUSDT", "5m", "gap", *hole, 1)]
    assert await rows(house, "SELECT healed_at IS NOT NULL FROM candle_defects") == [(True,)]


async def test_a_gap_that_stays_is_asked_for_less_and_less_often(house: House) -> None:
    hole = house.request.tick - 10 * FIVE
    distorted = Distorted(house, lambda told: [each for each in told if each.opened != hole])
    asked_again = []
    with patch.object(house.runtime.market, "candles", distorted):
        for hour in range(8):
            asked = questions(house)
            await house.stage(Stage.FETCH)
            if any(symbol == "BTCUSDT" and number == 1 for symbol, _, number in asked):
                asked_again.append(hour)
            await house.pass_time(timedelta(hours=1))

    assert asked_again == [1, 3, 7]
    assert await defects(house) == [("BTCUSDT", "5m", "gap", hole, hole, 4)]


async def test_a_contract_younger_than_the_window_is_no_defect_and_not_asked_for_every_time(house: House) -> None:
    began = house.request.tick - 50 * FIVE
    distorted = Distorted(house, lambda told: [each for each in told if each.opened >= began])
    with patch.object(house.runtime.market, "candles", distorted):
        first = await house.stage(Stage.FETCH)
        await house.pass_time()
        asked = questions(house)
        second = await house.stage(Stage.FETCH)

    assert first.details["defects"] == second.details["defects"] == {}
    assert sorted(asked) == [("BTCUSDT", "5m", 2), ("ETHUSDT", "5m", 2)]
    assert [row[2:5] for row in await defects(house)] == [("start", house.request.tick - 301 * FIVE, began - FIVE)]


async def test_a_candle_corrected_after_its_close_is_stored_as_corrected_and_recorded(house: House) -> None:
    last = house.request.tick - FIVE

    def unfinished(told: list[Candle]) -> list[Candle]:
        return [replace(each, volume=each.volume - 1) if each.opened == last else each for each in told]

    with patch.object(house.runtime.market, "candles", Distorted(house, unfinished)):
        await house.stage(Stage.FETCH)
    await house.pass_time()
    result = await house.stage(Stage.FETCH)

    assert result.details["defects"] == {}
    assert await defects(house) == [("BTCUSDT", "5m", "correction", last, last, 1)]
    [(detail,)] = await rows(house, "SELECT detail FROM candle_defects")
    assert detail.startswith("volume ")


def contradicted(told: list[Candle]) -> list[Candle]:
    return [*told, replace(told[-5], close=told[-5].open)]


def from_the_future(told: list[Candle]) -> list[Candle]:
    return [*told[:-1], replace(told[-1], opened=told[-1].opened + timedelta(days=1))]


def impossible(told: list[Candle]) -> list[Candle]:
    return [*told[:-9], replace(told[-9], high=told[-9].low / 2), *told[-8:]]


def without_trades(told: list[Candle]) -> list[Candle]:
    return [*told[:-6], *(replace(each, volume=Decimal(0)) for each in told[-6:])]


def of_another_market(told: list[Candle]) -> list[Candle]:
    names = ("open", "high", "low", "close")
    return [replace(each, **{name: getattr(each, name) * 2 for name in names}) for each in told]


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (contradicted, "contradiction", "5m: gap after"),
        (from_the_future, "future", "5m: last candle opened at"),
        (impossible, "impossible", "5m: gap after"),
        (without_trades, "flat", "5m: no trade since"),
        (of_another_market, None, "4h and 5m disagree about"),
    ],
)
async def test_candles_that_cannot_be_trusted_are_recorded_and_their_symbol_is_not_traded(
    house: House, change: Callable[[list[Candle]], list[Candle]], kind: str | None, reason: str
) -> None:
    house.model.will_decide(await house.wish("BTCUSDT"), await house.wish("ETHUSDT"))
    with patch.object(house.runtime.market, "candles", Distorted(house, change)):
        outcome = await house.cycle()

    assert list(outcome["fetch"]["defects"]) == ["BTCUSDT"]
    assert outcome["fetch"]["defects"]["BTCUSDT"].startswith(reason)
    codes = {each["asset"]: each["code"] for each in outcome["decide"]["decisions"]}
    assert codes == {"BTCUSDT": "data_fresh", "ETHUSDT": None}
    assert [order["symbol"] for order in await house.venue_orders(type="MARKET")] == ["ETHUSDT"]
    assert kind is None or kind in {row[2] for row in await defects(house)}
