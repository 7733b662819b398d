"""The public's trades as REST tells them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from emulators.aster import Venue, synthetic_market
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of

SECOND = T0 // 1000


def trader() -> Trader:
    return Trader(Venue(market_of((50_000, 50_100, 49_900, 50_050), *flat(50_050, 20))))


async def fetch(one: Trader, path: str) -> Any:
    return (await one.http.get(f"/fapi/v3/{path}")).json()


async def test_the_trades_of_a_minute_add_up_to_its_candle() -> None:
    one = Trader(Venue(synthetic_market(symbols=("BTCUSDT",))))
    one.venue.advance(one.venue.now + 3 * MINUTE)
    start = one.venue.now - 2 * MINUTE

    [candle] = await fetch(one, f"klines?symbol=BTCUSDT&interval=1m&startTime={start}&limit=1")
    rows = await fetch(one, f"aggTrades?symbol=BTCUSDT&startTime={start}&endTime={start + MINUTE - 1}&limit=1000")

    prices = [Decimal(row["p"]) for row in rows]
    assert sum(Decimal(row["q"]) for row in rows) == Decimal(candle[5])
    assert len(rows) == candle[8]
    assert Decimal(candle[3]) <= min(prices) <= max(prices) <= Decimal(candle[2])
    assert prices[-1] == Decimal(candle[4])


async def test_recent_trades_are_the_last_ones_oldest_first_and_never_of_the_future() -> None:
    one = trader()
    one.venue.advance(T0 + MINUTE + 500)

    rows = await fetch(one, "trades?symbol=BTCUSDT&limit=3")

    assert [row["id"] for row in rows] == [SECOND + 57, SECOND + 58, SECOND + 59]
    assert rows[-1]["time"] == T0 + MINUTE - 1
    assert rows[-1].keys() == {"id", "price", "qty", "quoteQty", "time", "isBuyerMaker"}
    assert Decimal(rows[-1]["quoteQty"]) == Decimal(rows[-1]["qty"]) * Decimal(rows[-1]["price"])
    assert await fetch(one, "historicalTrades?symbol=BTCUSDT&limit=3") == rows


async def test_trades_can_be_asked_for_from_an_id_and_agree_with_their_aggregates() -> None:
    one = trader()
    one.venue.advance(T0 + 2 * MINUTE)

    trades = await fetch(one, f"historicalTrades?symbol=BTCUSDT&fromId={SECOND + 10}&limit=5")
    aggregates = await fetch(one, f"aggTrades?symbol=BTCUSDT&fromId={SECOND + 10}&limit=5")

    assert [row["id"] for row in trades] == [SECOND + 10 + each for each in range(5)]
    assert [(row["a"], row["f"], row["l"], row["T"], row["p"], row["q"], row["m"]) for row in aggregates] == [
        (row["id"], row["id"], row["id"], row["time"], row["price"], row["qty"], row["isBuyerMaker"]) for row in trades
    ]
    assert await fetch(one, f"historicalTrades?symbol=BTCUSDT&fromId={SECOND + 1000}") == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("trades?symbol=NOPE", -1121),
        ("trades", -1102),
        ("trades?symbol=BTCUSDT&limit=1001", -1130),
        ("historicalTrades?symbol=BTCUSDT&fromId=x", -1102),
        (f"aggTrades?symbol=BTCUSDT&startTime={T0}&endTime={T0 + 3_600_000}", -1127),
        (f"aggTrades?symbol=BTCUSDT&startTime={T0}&endTime={T0 - 1}", -1023),
        ("indexreferences?symbol=NOPE", -1000),
        ("indexreferences", -1102),
    ],
)
async def test_bad_questions_about_trades_get_their_codes(query: str, code: int) -> None:
    assert (await fetch(trader(), query))["code"] == code


async def test_the_index_names_its_sources() -> None:
    answer = await fetch(trader(), "indexreferences?symbol=BTCUSDT")

    assert (answer["symbol"], answer["time"]) == ("BTCUSDT", T0)
    assert sum(Decimal(each["weight"]) for each in answer["references"]) == 1
