"""What becomes of orders as the price moves."""

from __future__ import annotations

from typing import Any

import pytest

from emulators.aster import Venue
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of

QUANTITY = "0.010"


def trader(*rows: tuple[float, float, float, float], **options: Any) -> Trader:
    return Trader(Venue(market_of(*rows, *flat(rows[-1][3], 5), **options)))


async def test_a_market_order_takes_the_quotes_buys_pay_one_tick_more() -> None:
    one = trader(*flat(50_000, 1))

    bought = await one.order("BUY", quantity=QUANTITY)
    sold = await one.order("SELL", quantity=QUANTITY)

    assert (bought["status"], bought["avgPrice"]) == ("FILLED", "50000.10000")
    assert (sold["status"], sold["avgPrice"]) == ("FILLED", "50000.00000")


async def test_an_acknowledged_market_order_reads_new_although_it_is_filled() -> None:
    one = trader(*flat(50_000, 1))

    answer = await one.order("BUY", quantity=QUANTITY, newOrderRespType="ACK")

    assert (answer["status"], answer["executedQty"], answer["avgPrice"]) == ("NEW", "0", "0.00000")
    assert (await one.state(answer))["status"] == "FILLED"


async def test_a_marketable_limit_order_takes_the_better_price_as_taker() -> None:
    one = trader(*flat(50_000, 1))

    answer = await one.order("BUY", "LIMIT", quantity=QUANTITY, price="50100", timeInForce="GTC")

    assert (answer["status"], answer["avgPrice"]) == ("FILLED", "50000.10000")
    assert (await one.get("userTrades", symbol="BTCUSDT"))[0]["maker"] is False


async def test_a_resting_buy_is_filled_at_its_price_as_maker_once_the_ask_has_come_down_to_it() -> None:
    one = trader((50_000, 50_000, 49_900, 49_950))
    touched = await one.order("BUY", "LIMIT", quantity=QUANTITY, price="49900", timeInForce="GTC")
    crossed = await one.order("BUY", "LIMIT", quantity=QUANTITY, price="49900.1", timeInForce="GTC")

    one.venue.advance(T0 + MINUTE)

    # The path's lowest price is a bid: the ask beside it is 49900.1.
    assert (await one.state(touched))["status"] == "NEW"
    filled = await one.state(crossed)
    assert (filled["status"], filled["avgPrice"], filled["updateTime"]) == ("FILLED", "49900.10000", T0 + 42_000)
    assert (await one.get("userTrades", symbol="BTCUSDT"))[0]["maker"] is True


async def test_a_resting_sell_is_filled_once_the_bid_has_come_up_to_it() -> None:
    one = trader((50_000, 50_100, 50_000, 50_050))
    order = await one.order("SELL", "LIMIT", quantity=QUANTITY, price="50100", timeInForce="GTC")

    one.venue.advance(T0 + 41_999)
    before = await one.state(order)
    one.venue.advance(T0 + 42_000)
    after = await one.state(order)

    assert (before["status"], after["status"], after["avgPrice"]) == ("NEW", "FILLED", "50100.00000")


@pytest.mark.parametrize(
    ("kind", "side", "stop", "price"),
    [
        ("STOP_MARKET", "SELL", "49900", "49900.00000"),
        ("STOP_MARKET", "BUY", "50100", "50100.10000"),  # a buy pays the ask
        ("TAKE_PROFIT_MARKET", "SELL", "50100", "50100.00000"),
        ("TAKE_PROFIT_MARKET", "BUY", "49900", "49900.10000"),
    ],
)
async def test_a_conditional_order_is_executed_at_its_stop_price(kind: str, side: str, stop: str, price: str) -> None:
    one = trader((50_000, 50_200, 49_800, 50_000))
    order = await one.order(side, kind, quantity=QUANTITY, stopPrice=stop)
    assert (order["status"], order["type"]) == ("NEW", kind)

    one.venue.advance(T0 + MINUTE)

    state = await one.state(order)
    assert (state["status"], state["avgPrice"]) == ("FILLED", price)
    assert (state["type"], state["origType"], state["stopPrice"]) == ("MARKET", kind, f"{stop}.0")


async def test_a_stop_the_price_jumps_over_is_executed_where_the_price_lands() -> None:
    one = trader((50_000, 50_000, 50_000, 50_000), (49_000, 49_500, 49_000, 49_500))
    stop = await one.order("SELL", "STOP_MARKET", quantity=QUANTITY, stopPrice="49900")
    limit = await one.order("BUY", "LIMIT", quantity=QUANTITY, price="49500", timeInForce="GTC")

    one.venue.advance(T0 + 2 * MINUTE)

    assert (await one.state(stop))["avgPrice"] == "49000.00000"
    assert (await one.state(limit))["avgPrice"] == "49500.00000"


async def test_orders_in_one_candle_are_executed_in_the_order_of_its_path() -> None:
    """A falling candle goes up first: the take profit is reached before the stop, which then has nothing to close."""
    one = trader((50_000, 50_200, 49_800, 49_900))
    await one.order("BUY", quantity=QUANTITY)
    stop = await one.order("SELL", "STOP_MARKET", stopPrice="49900", closePosition="true")
    take = await one.order("SELL", "TAKE_PROFIT_MARKET", stopPrice="50150", closePosition="true")

    one.venue.advance(T0 + MINUTE)

    assert (await one.state(take))["status"] == "FILLED"
    assert (await one.state(stop))["status"] == "EXPIRED"
    assert (await one.position())["positionAmt"] == "0.000"


async def test_two_stops_touched_by_one_fall_keep_their_own_prices() -> None:
    one = trader((50_000, 50_000, 40_000, 40_000))
    lower = await one.order("SELL", "STOP_MARKET", quantity=QUANTITY, stopPrice="49999.8")
    upper = await one.order("SELL", "STOP_MARKET", quantity=QUANTITY, stopPrice="49999.9")

    one.venue.advance(T0 + MINUTE)

    states = [await one.state(order) for order in (upper, lower)]
    assert [state["avgPrice"] for state in states] == ["49999.90000", "49999.80000"]
    assert [trade["orderId"] for trade in await one.get("userTrades", symbol="BTCUSDT")] == [
        upper["orderId"],
        lower["orderId"],
    ]


async def test_a_stop_limit_becomes_a_limit_order_that_may_be_left_behind() -> None:
    one = trader((50_000, 50_000, 50_000, 50_000), (49_000, 49_000, 48_000, 48_500), *flat(49_800, 2))
    order = await one.order("SELL", "STOP", quantity=QUANTITY, stopPrice="49900", price="49800")

    one.venue.advance(T0 + 2 * MINUTE - 1)
    left_behind = await one.state(order)
    one.venue.advance(T0 + 2 * MINUTE)
    recovered = await one.state(order)

    assert (left_behind["status"], left_behind["type"], left_behind["origType"]) == ("NEW", "LIMIT", "STOP")
    assert (recovered["status"], recovered["avgPrice"]) == ("FILLED", "49800.00000")


@pytest.mark.parametrize(
    ("time_in_force", "price", "status"),
    [
        ("IOC", "49000", "EXPIRED"),
        ("IOC", "50000.1", "FILLED"),
        ("FOK", "49000", "EXPIRED"),
        ("FOK", "50000.1", "FILLED"),
        ("GTX", "50000.1", "EXPIRED"),  # it would take
        ("GTX", "50000", "NEW"),
    ],
)
async def test_time_in_force_decides_at_once(time_in_force: str, price: str, status: str) -> None:
    one = trader(*flat(50_000, 1))

    answer = await one.order("BUY", "LIMIT", quantity=QUANTITY, price=price, timeInForce=time_in_force)

    assert answer["status"] == status
    assert len(await one.get("openOrders")) == (status == "NEW")


async def test_a_reduce_only_order_never_flips_a_position_and_expires_with_the_rest() -> None:
    one = trader(*flat(50_000, 1))
    await one.order("BUY", quantity="0.010")

    answer = await one.order("SELL", quantity="0.015", reduceOnly="true")

    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "0.010")
    assert (await one.position())["positionAmt"] == "0.000"


async def test_a_reduce_only_order_waits_on_after_its_position_is_gone_and_then_expires() -> None:
    one = trader((50_000, 50_200, 50_000, 50_100))
    await one.order("BUY", quantity=QUANTITY)
    exit_order = await one.order(
        "SELL", "LIMIT", quantity=QUANTITY, price="50100", timeInForce="GTC", reduceOnly="TRUE"
    )
    await one.order("SELL", quantity=QUANTITY)
    assert (await one.state(exit_order))["status"] == "NEW"

    one.venue.advance(T0 + MINUTE)

    assert (await one.state(exit_order))["status"] == "EXPIRED"


async def test_an_order_that_closes_a_position_may_come_before_the_position() -> None:
    one = trader((50_000, 50_000, 49_800, 49_900))
    stop = await one.order("SELL", "STOP_MARKET", stopPrice="49900", closePosition="true")
    await one.order("BUY", quantity="0.030")

    one.venue.advance(T0 + MINUTE)

    state = await one.state(stop)
    assert (state["status"], state["executedQty"], state["closePosition"]) == ("FILLED", "0.030", True)


async def test_an_order_that_flips_a_position_realizes_the_closed_part() -> None:
    one = trader((50_000, 50_000, 50_000, 50_000), (51_000, 51_000, 51_000, 51_000))
    await one.order("SELL", quantity="0.010")
    one.venue.advance(T0 + 2 * MINUTE)

    await one.order("BUY", quantity="0.015")

    trade = (await one.get("userTrades", symbol="BTCUSDT"))[-1]
    position = await one.position()
    assert trade["realizedPnl"] == "-10.00100000"
    assert (position["positionAmt"], position["entryPrice"]) == ("0.005", "51000.10000000")


async def test_open_orders_can_be_cancelled_one_by_one_and_all_at_once() -> None:
    one = trader(*flat(50_000, 1))
    orders = [
        await one.order(
            "BUY", "LIMIT", quantity=QUANTITY, price=price, timeInForce="GTC", newClientOrderId=f"id-{price}"
        )
        for price in ("49100", "49200", "49300")
    ]

    by_client_id = await one.ask("DELETE", "/fapi/v3/order", symbol="BTCUSDT", origClientOrderId="id-49100")
    again = await one.ask("DELETE", "/fapi/v3/order", symbol="BTCUSDT", orderId=orders[0]["orderId"])
    everything = await one.ask("DELETE", "/fapi/v3/allOpenOrders", symbol="BTCUSDT")
    nothing_left = await one.ask("DELETE", "/fapi/v3/allOpenOrders", symbol="BTCUSDT")

    assert (by_client_id.json()["status"], by_client_id.json()["orderId"]) == ("CANCELED", orders[0]["orderId"])
    assert (again.status_code, again.json()["code"]) == (400, -2011)
    assert (
        everything.json()
        == nothing_left.json()
        == {
            "code": "200",
            "msg": "The operation of cancel all open order is done.",
        }
    )
    assert await one.get("openOrders") == []


async def test_a_client_order_id_is_unique_among_open_orders_only_and_finds_the_latest() -> None:
    one = trader(*flat(50_000, 1))
    resting = {"quantity": QUANTITY, "price": "49100", "timeInForce": "GTC", "newClientOrderId": "gk-1"}
    first = await one.order("BUY", "LIMIT", **resting)

    refused = await one.order("BUY", "LIMIT", **resting)
    await one.ask("DELETE", "/fapi/v3/order", symbol="BTCUSDT", orderId=first["orderId"])
    second = await one.order("BUY", "LIMIT", **resting)

    assert refused["code"] == -4116
    found = await one.get("order", symbol="BTCUSDT", origClientOrderId="gk-1")
    assert found["orderId"] == second["orderId"] != first["orderId"]


async def test_orders_that_were_never_filled_are_forgotten_after_a_week() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 200), base="1h")))
    cancelled = await one.order("BUY", "LIMIT", quantity=QUANTITY, price="49100", timeInForce="GTC")
    await one.ask("DELETE", "/fapi/v3/order", symbol="BTCUSDT", orderId=cancelled["orderId"])
    filled = await one.order("BUY", quantity=QUANTITY)

    one.venue.advance(T0 + 7 * 24 * 60 * MINUTE + 1)

    assert (await one.state(cancelled))["code"] == -2013
    assert (await one.state(filled))["status"] == "FILLED"
    history = await one.get("allOrders", symbol="BTCUSDT", orderId=1)
    assert [order["orderId"] for order in history] == [filled["orderId"]]


async def test_orders_and_trades_can_be_paged_by_id_and_by_time() -> None:
    one = trader(*flat(50_000, 3))
    orders = []
    for _ in range(4):
        orders.append(await one.order("BUY", quantity=QUANTITY))
        one.venue.advance(one.venue.now + 1000)
    ids = [order["orderId"] for order in orders]

    by_id = await one.get("allOrders", symbol="BTCUSDT", orderId=ids[1], limit=2)
    by_time = await one.get("allOrders", symbol="BTCUSDT", startTime=T0 + 1000, endTime=T0 + 2000)
    latest = await one.get("allOrders", symbol="BTCUSDT", limit=1)
    trades = await one.get("userTrades", symbol="BTCUSDT")
    later_trades = await one.get("userTrades", symbol="BTCUSDT", fromId=trades[2]["id"])
    too_long = await one.get("userTrades", symbol="BTCUSDT", startTime=T0, endTime=T0 + 8 * 24 * 60 * MINUTE)

    assert [order["orderId"] for order in by_id] == ids[1:3]
    assert [order["orderId"] for order in by_time] == ids[1:3]
    assert [order["orderId"] for order in latest] == ids[3:]
    assert [trade["orderId"] for trade in trades] == ids
    assert later_trades == trades[2:]
    assert too_long["code"] == -4165


async def test_time_stops_with_the_last_candle_and_requests_go_on() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 3))))

    one.venue.advance(T0 + 60 * MINUTE)

    assert (await one.http.get("/emulator/clock")).json() == {"now": T0 + 3 * MINUTE, "speed": None, "ended": True}
    assert (await one.order("BUY", quantity=QUANTITY))["status"] == "FILLED"


async def test_a_year_of_waiting_is_passed_over_in_one_step() -> None:
    """Matching must not walk from candle to candle: a replay has no time for that."""
    year = 365 * 24
    one = Trader(Venue(market_of(*flat(50_000, year), (50_000, 50_000, 49_000, 49_000), base="1h")))
    order = await one.order("BUY", "LIMIT", quantity=QUANTITY, price="49500", timeInForce="GTC")
    market, asked = one.venue.market, []
    extremes = market.extremes
    market.extremes = lambda *stretch: asked.append(stretch) or extremes(*stretch)  # type: ignore[method-assign]

    one.venue.advance(T0 + (year + 1) * 60 * MINUTE)

    assert (await one.state(order))["status"] == "FILLED"
    assert len(asked) < 100
