"""How much can be traded at which price."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from emulators.aster import Venue
from emulators.aster.matching.liquidity import LEAST_VALUE, MOST_VALUE, level_size
from emulators.aster.prices.symbols import instrument, known_symbols
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of

RICH = Decimal(100_000_000)
LIMIT = {"kind": "LIMIT", "timeInForce": "GTC"}


def trader(*rows: tuple[float, float, float, float]) -> Trader:
    return Trader(Venue(market_of(*(rows or flat(50_000, 10))), balance=RICH))


async def depth(one: Trader, limit: int = 5) -> tuple[list[Any], list[Any]]:
    book = (await one.http.get(f"/fapi/v3/depth?symbol=BTCUSDT&limit={limit}")).json()
    return (
        [(Decimal(price), Decimal(size)) for price, size in book["bids"]],
        [(Decimal(price), Decimal(size)) for price, size in book["asks"]],
    )


async def fills(one: Trader, order: dict[str, Any]) -> list[tuple[Decimal, Decimal]]:
    rows = await one.get("userTrades", symbol="BTCUSDT")
    return [(Decimal(row["price"]), Decimal(row["qty"])) for row in rows if row["orderId"] == order["orderId"]]


@pytest.mark.parametrize("symbol", known_symbols())
def test_every_level_holds_some_hundred_thousand_dollars_in_whole_steps(symbol: str) -> None:
    spec = instrument(symbol)
    for ticks in range(20_000, 21_000, 97):
        size = level_size(spec, ticks)
        assert size % spec.step == 0
        assert LEAST_VALUE - spec.price(ticks) * spec.step <= size * spec.price(ticks) <= MOST_VALUE


async def test_a_large_market_order_walks_the_book_that_depth_shows() -> None:
    one = trader()
    _, asks = await depth(one)
    quantity = asks[0][1] + asks[1][1] + Decimal("0.001")

    order = await one.order("BUY", quantity=quantity)

    assert await fills(one, order) == [asks[0], asks[1], (asks[2][0], Decimal("0.001"))]
    value = sum(price * size for price, size in await fills(one, order))
    assert (order["status"], Decimal(order["avgPrice"])) == ("FILLED", round(value / quantity, 5))


async def test_what_was_taken_is_gone_until_the_next_second() -> None:
    one = trader()
    before = await depth(one)
    await one.order("BUY", quantity=before[1][0][1] + Decimal("0.5"))

    shortly_after = await depth(one)
    ticker = (await one.http.get("/fapi/v3/ticker/bookTicker?symbol=BTCUSDT")).json()
    one.venue.advance(one.venue.now + 1000)

    (bids, asks) = before
    assert shortly_after[0] == bids
    assert shortly_after[1][0] == (asks[1][0], asks[1][1] - Decimal("0.5"))
    assert (ticker["askPrice"], Decimal(ticker["askQty"])) == (f"{asks[1][0]}", shortly_after[1][0][1])
    assert await depth(one) == before


async def test_a_limit_order_takes_up_to_its_price_and_rests_with_what_is_left() -> None:
    one = trader()
    _, asks = await depth(one)
    first = asks[0][1]

    order = await one.order("BUY", **LIMIT, quantity=first + 1, price="50000.1")

    assert (order["status"], Decimal(order["executedQty"])) == ("PARTIALLY_FILLED", first)
    assert len(await one.get("openOrders", symbol="BTCUSDT")) == 1


async def test_what_an_order_takes_beyond_the_book_fills_as_the_market_trades() -> None:
    """A tenth of the ten BTC of a minute fills what rests beyond the price, at whole minutes."""
    one = trader()
    _, asks = await depth(one)
    order = await one.order("BUY", **LIMIT, quantity=asks[0][1] + Decimal("2.5"), price="50000.1")

    one.venue.advance(T0 + 4 * MINUTE)

    state = await one.state(order)
    assert (state["status"], state["updateTime"]) == ("FILLED", T0 + 3 * MINUTE)
    trades = await one.get("userTrades", symbol="BTCUSDT")
    assert [(row["qty"], row["maker"], row["time"] - T0) for row in trades][1:] == [
        ("1.000", True, MINUTE),
        ("1.000", True, 2 * MINUTE),
        ("0.500", True, 3 * MINUTE),
    ]


async def test_a_small_resting_order_is_filled_at_once_and_a_large_one_in_part() -> None:
    rows = ((50_000, 50_000, 49_900, 49_900), (49_900, 50_100, 49_900, 50_100), *flat(50_100, 5))
    one = trader(*rows)
    level = level_size(instrument("BTCUSDT"), 499_500)
    small = await one.order("BUY", **LIMIT, quantity="0.010", price="49960")
    large = await one.order("BUY", **LIMIT, quantity=level + 5, price="49950")

    one.venue.advance(T0 + MINUTE - 1)
    first = await one.state(large)
    one.venue.advance(T0 + 2 * MINUTE)
    second = await one.state(large)
    one.venue.advance(T0 + 5 * MINUTE)

    assert (await one.state(small))["status"] == "FILLED"
    assert (first["status"], Decimal(first["executedQty"])) == ("PARTIALLY_FILLED", level)
    assert Decimal(second["executedQty"]) == level + 1  # the price had left it by the second whole minute
    assert (await one.state(large))["executedQty"] == second["executedQty"]


async def test_resting_orders_at_one_price_share_what_comes_the_oldest_first() -> None:
    one = trader((50_000, 50_000, 49_900, 49_900), *flat(49_900, 5))
    level = level_size(instrument("BTCUSDT"), 499_500)
    older = await one.order("BUY", **LIMIT, quantity=level - 1, price="49950")
    younger = await one.order("BUY", **LIMIT, quantity="2", price="49950")

    one.venue.advance(T0 + MINUTE - 1)

    assert (await one.state(older))["status"] == "FILLED"
    assert Decimal((await one.state(younger))["executedQty"]) == 1


@pytest.mark.parametrize(("time_in_force", "status", "filled"), [("IOC", "EXPIRED", True), ("FOK", "EXPIRED", False)])
async def test_immediate_or_cancel_takes_what_there_is_and_fill_or_kill_all_or_nothing(
    time_in_force: str, status: str, filled: bool
) -> None:
    one = trader()
    _, asks = await depth(one)

    more = await one.order(
        "BUY", "LIMIT", timeInForce=time_in_force, quantity=asks[0][1] + Decimal("0.001"), price="50000.1"
    )
    exact = (
        await one.order("BUY", "LIMIT", timeInForce=time_in_force, quantity=asks[1][1], price="50000.2")
        if filled
        else await one.order("BUY", "LIMIT", timeInForce=time_in_force, quantity=asks[0][1], price="50000.1")
    )

    assert (more["status"], Decimal(more["executedQty"])) == (status, asks[0][1] if filled else 0)
    assert exact["status"] == "FILLED"


async def test_a_market_order_goes_no_further_than_the_symbol_s_bound() -> None:
    one = trader()
    instruments = one.venue.market.instruments
    instruments["BTCUSDT"] = replace(instruments["BTCUSDT"], market_take_bound=Decimal("0.000003"))
    _, asks = await depth(one)

    order = await one.order("BUY", quantity=asks[0][1] + Decimal("0.001"))

    assert (order["status"], Decimal(order["executedQty"])) == ("EXPIRED", asks[0][1])  # 50000.2 lies beyond 50000.15


async def test_a_market_order_far_from_the_mark_price_is_refused() -> None:
    one = trader((50_000,) * 4, (51_100,) * 4, *flat(51_100, 5))
    one.venue.advance(T0 + MINUTE)

    assert (await one.order("BUY", quantity="0.01"))["code"] == -4131
    assert (await one.order("SELL", quantity="0.01"))["status"] == "FILLED"
