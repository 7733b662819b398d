"""Orders beyond market, limit and stop: trailing, by mark price, protected, amended, many at once, on a timer."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from emulators.aster import Venue
from emulators.aster.habits import Habits
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of

QUANTITY = "0.010"
LIMIT = {"kind": "LIMIT", "timeInForce": "GTC", "quantity": QUANTITY}


def trader(*rows: tuple[float, float, float, float], **options: Any) -> Trader:
    rows = rows or tuple(flat(50_000, 5))
    return Trader(Venue(market_of(*rows, *flat(rows[-1][3], 5)), **options))


# Trailing stops


async def test_a_trailing_stop_follows_the_best_price_and_fires_on_the_way_back() -> None:
    one = trader((50_000, 52_000, 50_000, 52_000), (52_000, 52_000, 50_500, 50_500))
    await one.order("BUY", quantity=QUANTITY)
    stop = await one.order("SELL", "TRAILING_STOP_MARKET", quantity=QUANTITY, callbackRate="1")
    assert (stop["activatePrice"], stop["priceRate"], stop["status"]) == ("50000.0", "1", "NEW")

    one.venue.advance(T0 + MINUTE)
    before = await one.state(stop)
    one.venue.advance(T0 + 2 * MINUTE)
    after = await one.state(stop)

    assert before["status"] == "NEW"
    assert (after["status"], after["type"], after["origType"]) == ("FILLED", "MARKET", "TRAILING_STOP_MARKET")
    assert Decimal(after["avgPrice"]) == Decimal("51480")  # 1 % below 52000


async def test_a_buying_trailing_stop_follows_the_price_down() -> None:
    one = trader((50_000, 50_000, 48_000, 48_000), (48_000, 49_000, 48_000, 49_000))
    stop = await one.order("BUY", "TRAILING_STOP_MARKET", quantity=QUANTITY, callbackRate="0.5")

    one.venue.advance(T0 + 2 * MINUTE)

    state = await one.state(stop)
    assert (state["status"], state["avgPrice"]) == ("FILLED", "48240.10000")


async def test_a_trailing_stop_sleeps_until_its_activation_price() -> None:
    rows = ((50_000, 50_000, 49_000, 49_500), (49_500, 51_000, 49_500, 51_000), (51_000, 51_000, 50_400, 50_400))
    one = trader(*rows)
    stop = await one.order("SELL", "TRAILING_STOP_MARKET", quantity=QUANTITY, callbackRate="1", activationPrice="50900")

    one.venue.advance(T0 + 2 * MINUTE)
    before = await one.state(stop)
    one.venue.advance(T0 + 3 * MINUTE)
    after = await one.state(stop)

    assert (before["status"], before["activatePrice"]) == ("NEW", "50900.0")
    assert (after["status"], after["avgPrice"]) == ("FILLED", "50490.00000")


@pytest.mark.parametrize(
    ("side", "wanted", "code"),
    [
        ("SELL", {"callbackRate": "0.05"}, -1130),
        ("SELL", {"callbackRate": "5.1"}, -1130),
        ("SELL", {"callbackRate": "1.001"}, -1130),
        ("SELL", {}, -1102),
        ("SELL", {"callbackRate": "1", "quantity": None}, -1102),
        ("SELL", {"callbackRate": "1", "activationPrice": "high"}, -4135),
        ("SELL", {"callbackRate": "1", "activationPrice": "49000"}, -2021),
        ("BUY", {"callbackRate": "1", "activationPrice": "51000"}, -2021),
        ("SELL", {"callbackRate": "1", "closePosition": "true", "quantity": None}, -4020),
    ],
)
async def test_a_senseless_trailing_stop_is_refused(side: str, wanted: dict[str, Any], code: int) -> None:
    asked = {"quantity": QUANTITY, **wanted}
    answer = await trader().order(
        side, "TRAILING_STOP_MARKET", **{name: value for name, value in asked.items() if value is not None}
    )

    assert answer["code"] == code


async def test_a_trailing_stop_does_not_depend_on_who_looks() -> None:
    rows = ((50_000, 50_400, 49_900, 50_300), (50_300, 50_700, 50_200, 50_250), (50_250, 50_900, 49_000, 49_100))
    seen = []
    for step in (777, 7 * MINUTE):
        one = trader(*rows)
        stops = [
            await one.order("SELL", "TRAILING_STOP_MARKET", quantity=QUANTITY, callbackRate=rate, workingType=kind)
            for rate in ("0.5", "0.9", "2")
            for kind in ("CONTRACT_PRICE", "MARK_PRICE")
        ]
        while one.venue.now < T0 + 7 * MINUTE:
            one.venue.advance(min(one.venue.now + step, T0 + 7 * MINUTE))
        seen.append([await one.state(stop) for stop in stops])

    assert seen[0] == seen[1]
    assert len({state["updateTime"] for state in seen[0]}) == len(seen[0])


# Which price


async def test_a_stop_by_mark_price_sleeps_through_a_wick_of_the_last_price() -> None:
    rows = ((50_000, 50_000, 49_000, 49_990), (49_990, 49_990, 49_300, 49_300))
    one = trader(*rows)
    by_last = await one.order("SELL", "STOP_MARKET", quantity=QUANTITY, stopPrice="49400")
    by_mark = await one.order("SELL", "STOP_MARKET", quantity=QUANTITY, stopPrice="49400", workingType="MARK_PRICE")

    one.venue.advance(T0 + MINUTE)
    after_wick = [(await one.state(order))["status"] for order in (by_last, by_mark)]
    one.venue.advance(T0 + 2 * MINUTE)
    state = await one.state(by_mark)

    assert after_wick == ["FILLED", "NEW"]
    assert (state["status"], state["workingType"]) == ("FILLED", "MARK_PRICE")
    assert Decimal(state["avgPrice"]) < 49_400  # it is executed at the last price, not at its stop price


async def test_whether_a_stop_would_trigger_at_once_is_asked_of_its_own_price() -> None:
    one = trader((50_000,) * 4, (50_500,) * 4)
    one.venue.advance(T0 + MINUTE)  # the last price has jumped, the mark price has not

    by_last = await one.order("BUY", "STOP_MARKET", quantity=QUANTITY, stopPrice="50400")
    by_mark = await one.order("BUY", "STOP_MARKET", quantity=QUANTITY, stopPrice="50400", workingType="MARK_PRICE")

    assert (by_last["code"], by_mark["status"]) == (-2021, "NEW")


async def test_a_protected_stop_expires_when_last_and_mark_price_are_far_apart() -> None:
    one = trader((50_000,) * 4, (48_900,) * 4)  # a gap of 2.2 %; BTCUSDT protects from 2 % on
    await one.order("BUY", quantity="0.030")
    plain = await one.order("SELL", "STOP_MARKET", quantity=QUANTITY, stopPrice="49500")
    protected = await one.order("SELL", "STOP_MARKET", quantity=QUANTITY, stopPrice="49500", priceProtect="TRUE")

    one.venue.advance(T0 + MINUTE)

    assert (await one.state(protected))["status"] == "EXPIRED"
    assert (await one.state(plain))["origType"] == "STOP_MARKET"


# Post only, hidden, reduce only


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_post_only_order_that_would_take_expires_or_is_refused(refuses: bool) -> None:
    one = trader(habits=Habits(refuses_taking_post_only=refuses))

    answer = await one.order("BUY", "LIMIT", timeInForce="GTX", quantity=QUANTITY, price="50000.1")

    assert answer.get("code") == -5022 if refuses else answer["status"] == "EXPIRED"
    assert (await one.order("BUY", "LIMIT", timeInForce="GTX", quantity=QUANTITY, price="50000"))["status"] == "NEW"


async def test_a_hidden_order_rests_like_any_other() -> None:
    one = trader((50_000, 50_000, 49_900, 49_950))
    order = await one.order("BUY", "LIMIT", timeInForce="HIDDEN", quantity=QUANTITY, price="49950")

    one.venue.advance(T0 + MINUTE)

    state = await one.state(order)
    assert (state["status"], state["timeInForce"]) == ("FILLED", "HIDDEN")


@pytest.mark.parametrize("refuses", [False, True])
async def test_too_large_a_reduce_only_order_is_trimmed_or_refused(refuses: bool) -> None:
    one = trader(habits=Habits(refuses_too_much_reduce_only=refuses))
    await one.order("BUY", quantity=QUANTITY)

    answer = await one.order("SELL", quantity="0.015", reduceOnly="true")

    assert answer.get("code") == -2022 if refuses else answer["executedQty"] == QUANTITY


# Self-trade prevention


@pytest.mark.parametrize(
    ("mode", "taker", "maker"),
    [
        ("EXPIRE_TAKER", "EXPIRED", "NEW"),
        ("EXPIRE_MAKER", "FILLED", "EXPIRED"),
        ("EXPIRE_BOTH", "EXPIRED", "EXPIRED"),
    ],
)
@pytest.mark.parametrize("by_account", [False, True])
async def test_an_order_that_would_trade_through_one_s_own_is_prevented(
    mode: str, taker: str, maker: str, by_account: bool
) -> None:
    one = trader(balance=Decimal(10_000_000))
    resting = await one.order("SELL", **LIMIT, price="50000.3")
    if by_account:
        await one.ask("POST", "/fapi/v3/stpMode", stpMode=mode)
        assert await one.get("stpMode") == {"stpMode": mode}
    chosen = {} if by_account else {"stpMode": mode}

    small = await one.order("BUY", quantity=QUANTITY, **chosen)
    one.venue.advance(T0 + 1000)
    book = (await one.http.get("/fapi/v3/depth?symbol=BTCUSDT&limit=5")).json()["asks"]
    sizes = [Decimal(size) for _, size in book]
    large = await one.order("BUY", "LIMIT", timeInForce="IOC", price="50000.4", quantity=sum(sizes[:4]), **chosen)

    assert small["status"] == "FILLED"  # it never came to the price of the resting one
    assert (large["status"], (await one.state(resting))["status"]) == (taker, maker)
    assert Decimal(large["executedQty"]) == sum(sizes[:4] if mode == "EXPIRE_MAKER" else sizes[:3])


# Amending


async def test_a_limit_order_can_be_given_another_price_and_quantity() -> None:
    one = trader((50_000, 50_000, 49_900, 49_950))
    order = await one.order("BUY", **LIMIT, price="49100")

    changed = await one.ask(
        "PUT", "/fapi/v3/order", symbol="BTCUSDT", orderId=order["orderId"], quantity="0.020", price="49950"
    )
    one.venue.advance(T0 + MINUTE)

    row = changed.json()
    assert (row["status"], row["price"], row["origQty"], row["orderId"]) == (
        "NEW",
        "49950.0",
        "0.020",
        order["orderId"],
    )
    state = await one.state(order)
    assert (state["status"], state["avgPrice"], state["executedQty"]) == ("FILLED", "49950.00000", "0.020")


async def test_an_amended_order_that_crosses_takes_at_once() -> None:
    one = trader()
    order = await one.order("BUY", **LIMIT, price="49100")

    await one.ask("PUT", "/fapi/v3/order", symbol="BTCUSDT", orderId=order["orderId"], quantity=QUANTITY, price="50100")

    state = await one.state(order)
    assert (state["status"], state["avgPrice"]) == ("FILLED", "50000.10000")


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"quantity": QUANTITY, "price": "49100.05"}, -1111),
        ({"quantity": QUANTITY, "price": "52000"}, -4016),
        ({"quantity": "0.010"}, -1102),
        ({"price": "49200"}, -1102),
        ({"quantity": QUANTITY, "price": "49100"}, -5027),
        ({"quantity": "90", "price": "49200"}, -2019),
        ({"quantity": QUANTITY, "price": "49200", "orderId": 1}, -2013),
        ({"quantity": "0.001", "price": "2000"}, -4164),
    ],
)
async def test_an_amendment_the_filters_refuse_leaves_the_order_untouched(wanted: dict[str, Any], code: int) -> None:
    one = trader()
    order = await one.order("BUY", **LIMIT, price="49100")
    asked = {"symbol": "BTCUSDT", "orderId": order["orderId"], **wanted}

    answer = (await one.ask("PUT", "/fapi/v3/order", **asked)).json()

    assert answer["code"] == code
    state = await one.state(order)
    assert (state["price"], state["origQty"], state["status"]) == ("49100.0", QUANTITY, "NEW")


async def test_only_open_limit_orders_can_be_amended() -> None:
    one = trader()
    stop = await one.order("SELL", "STOP_MARKET", quantity=QUANTITY, stopPrice="49000")
    done = await one.order("BUY", quantity=QUANTITY)
    wanted = {"symbol": "BTCUSDT", "quantity": QUANTITY, "price": "49500"}

    refused = [
        (await one.ask("PUT", "/fapi/v3/order", orderId=each["orderId"], **wanted)).json() for each in (stop, done)
    ]

    assert [each["code"] for each in refused] == [-4020, -2013]


# Many at once


@pytest.mark.parametrize("single_quotes", [False, True])
async def test_a_batch_answers_each_of_its_orders_and_refuses_none_for_another(single_quotes: bool) -> None:
    one = trader()
    wanted = [
        {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
            "price": "49500",
        },
        {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01", "reduceOnly": "true"},
        {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 0.01, "newOrderRespType": "RESULT"},
    ]
    text = str(wanted) if single_quotes else json.dumps(wanted)

    response = await one.ask("POST", "/fapi/v3/batchOrders", batchOrders=text)

    rows = response.json()
    assert response.status_code == 200
    assert rows[0]["status"] == "NEW"
    assert rows[1] == {"code": -2022, "msg": "ReduceOnly Order is rejected."}
    assert rows[2]["status"] == "FILLED"


@pytest.mark.parametrize("count", [0, 6])
async def test_a_batch_of_the_wrong_size_is_refused_as_a_whole(count: int) -> None:
    one = trader()
    wanted = json.dumps([{"symbol": "BTCUSDT"}] * count)

    placed = (await one.ask("POST", "/fapi/v3/batchOrders", batchOrders=wanted)).json()
    amended = (await one.ask("PUT", "/fapi/v3/batchOrders", batchOrders=wanted)).json()

    assert (placed["code"], amended["code"]) == (-4082, -1100)
    assert amended["msg"].endswith("legal range is '1 to 5'.")


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", "lots"])
async def test_a_batch_that_is_no_list_of_orders_is_refused(text: str) -> None:
    assert (await trader().ask("POST", "/fapi/v3/batchOrders", batchOrders=text)).json()["code"] == -1102


async def test_a_batch_of_amendments_is_answered_one_by_one() -> None:
    one = trader()
    order = await one.order("BUY", **LIMIT, price="49100", newClientOrderId="mine")
    wanted = [
        {"symbol": "BTCUSDT", "origClientOrderId": "mine", "quantity": "0.02", "price": "49200"},
        {"symbol": "BTCUSDT", "orderId": "5", "quantity": "0.02", "price": "49200"},
    ]

    rows = (await one.ask("PUT", "/fapi/v3/batchOrders", batchOrders=json.dumps(wanted))).json()

    assert (rows[0]["price"], rows[1]["code"]) == ("49200.0", -2013)
    assert (await one.state(order))["origQty"] == "0.02"


async def test_orders_are_cancelled_together_by_numbers_texts_or_client_ids() -> None:
    one = trader()
    orders = [await one.order("BUY", **LIMIT, price="49100", newClientOrderId=f"id-{number}") for number in range(4)]
    ids = [order["orderId"] for order in orders]

    async def cancel(**lists: str) -> Any:
        return (await one.ask("DELETE", "/fapi/v3/batchOrders", symbol="BTCUSDT", **lists)).json()

    by_number = await cancel(orderIdList=f"[{ids[0]},{ids[0]}]")
    by_text = await cancel(orderIdList=f'["{ids[1]}"]')
    by_client_id = await cancel(origClientOrderIdList='["id-2","nobody"]')
    too_many = await cancel(orderIdList=str(list(range(11))))

    assert (by_number[0]["status"], by_number[1]) == ("CANCELED", {"code": -2011, "msg": "Unknown order sent."})
    assert by_text[0]["status"] == by_client_id[0]["status"] == "CANCELED"
    assert (by_client_id[1]["code"], too_many["code"]) == (-2011, -4032)
    assert [row["orderId"] for row in await one.get("openOrders")] == [ids[3]]


# On a timer


async def test_a_countdown_cancels_a_symbol_s_orders_unless_it_is_put_off() -> None:
    one = trader()

    async def countdown(milliseconds: int) -> Any:
        return (
            await one.ask("POST", "/fapi/v3/countdownCancelAll", symbol="BTCUSDT", countdownTime=milliseconds)
        ).json()

    order = await one.order("BUY", **LIMIT, price="49100")
    assert await countdown(10_000) == {"symbol": "BTCUSDT", "countdownTime": "10000"}
    one.venue.advance(T0 + 9_000)
    await countdown(10_000)
    one.venue.advance(T0 + 18_999)
    before = (await one.state(order))["status"]
    one.venue.advance(T0 + 60_000)
    after = await one.state(order)
    another = await one.order("BUY", **LIMIT, price="49100")
    await countdown(1000)
    await countdown(0)
    one.venue.advance(T0 + 2 * MINUTE)

    assert (before, after["status"], after["updateTime"] - T0) == ("NEW", "CANCELED", 19_000)
    assert (await one.state(another))["status"] == "NEW"
    assert (await countdown(-1))["code"] == -1102


async def test_the_success_code_of_cancelling_all_may_be_a_number() -> None:
    one = trader(habits=Habits(numeric_success_code=True))

    assert (await one.ask("DELETE", "/fapi/v3/allOpenOrders", symbol="BTCUSDT")).json()["code"] == 200


async def test_doing_nothing_succeeds() -> None:
    assert (await trader().ask("POST", "/fapi/v3/noop")).json() == {"code": 200, "msg": "success"}


# What nobody knows for sure


@pytest.mark.parametrize(("cancels", "status"), [(False, "EXPIRED"), (True, "CANCELED")])
async def test_a_close_position_order_without_a_position_ends(cancels: bool, status: str) -> None:
    one = trader((50_000, 50_000, 49_000, 49_000), habits=Habits(cancels_idle_closing=cancels))
    stop = await one.order("SELL", "STOP_MARKET", stopPrice="49500", closePosition="true")

    one.venue.advance(T0 + MINUTE)

    assert (await one.state(stop))["status"] == status


async def test_what_is_uncertain_about_answers_can_be_had_the_other_way() -> None:
    habits = Habits(
        duplicate_client_id=-2010, negative_commission=True, flat_positions=False, documented_positions=True
    )
    one = trader(habits=habits)

    nothing = await one.get("positionRisk")
    await one.order("BUY", quantity=QUANTITY)
    positions, trades = await one.get("positionRisk"), await one.get("userTrades", symbol="BTCUSDT")
    resting = [await one.order("BUY", **LIMIT, price="49100", newClientOrderId="same") for _ in range(2)]

    assert nothing == []
    assert (positions[0]["positionAmt"], "notional" in positions[0], "isolatedWallet" in positions[0]) == (
        QUANTITY,
        False,
        False,
    )
    assert trades[0]["commission"] == "-0.17500035"
    assert resting[1]["code"] == -2010


async def test_a_batch_takes_callback_rates_up_to_four() -> None:
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "TRAILING_STOP_MARKET", "quantity": QUANTITY}
    wanted = json.dumps([{**stop, "callbackRate": "4"}, {**stop, "callbackRate": "5"}])

    rows = (await trader().ask("POST", "/fapi/v3/batchOrders", batchOrders=wanted)).json()

    assert (rows[0]["status"], rows[1]["code"]) == ("NEW", -1130)
