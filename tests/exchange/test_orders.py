"""Orders one by one and several at once: what was sent, and what each answer means."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.errors import (
    InstrumentChanged,
    InsufficientMargin,
    NotFillable,
    NothingToReduce,
    OrderNotFound,
    OutcomeUnknown,
    PositionModeChanged,
    RateLimited,
    Refused,
    VenueError,
)
from shared.domain.order import OrderState, OrderType, Side, VenueOrder
from shared.domain.position import Direction
from shared.exchange.auth import ApiKey
from shared.exchange.new_order import NewOrder, TimeInForce

RISK, MODE = "GET /fapi/v3/positionRisk", "GET /fapi/v3/positionSide/dual"
PLACE, MODIFY, FIND = "POST /fapi/v3/order", "PUT /fapi/v3/order", "GET /fapi/v3/order"
BATCH, CANCEL_SEVERAL = "POST /fapi/v3/batchOrders", "DELETE /fapi/v3/batchOrders"
D = Decimal


def a_limit(name: str = "mine", **said: Any) -> NewOrder:
    return NewOrder(
        symbol="BTCUSDT",
        side=Side.BUY,
        direction=Direction.LONG,
        type=OrderType.LIMIT,
        client_order_id=name,
        quantity=D("0.010"),
        price=D("65000.5"),
        **said,
    )


def an_exit(name: str = "mine") -> NewOrder:
    return NewOrder(
        symbol="BTCUSDT",
        side=Side.SELL,
        direction=Direction.LONG,
        type=OrderType.MARKET,
        client_order_id=name,
        quantity=D(2),
        reduce_only=True,
    )


@pytest.fixture
def one_way(venue: Any, samples: Any) -> Any:
    venue.answer(RISK, samples["positionRisk"])
    return venue


def placed(samples: Any, name: str = "mine", **told: Any) -> dict[str, Any]:
    return samples["placed order"] | {"clientOrderId": name, "positionSide": "BOTH", **told}


def no(code: int, msg: str = "No.") -> tuple[int, dict[str, Any]]:
    return 400, {"code": code, "msg": msg}


async def test_an_order_is_placed_once_and_read(one_way: Any, samples: Any) -> None:
    one_way.answer(PLACE, placed(samples))

    order = await one_way.account().orders.place(a_limit())

    assert (order.client_order_id, order.venue_order_id, order.state) == ("mine", 22542179, OrderState.NEW)
    assert one_way.calls() == [RISK, PLACE]
    assert one_way.received[-1].params["price"] == "65000.5"


@pytest.mark.parametrize("patience", [TimeInForce.GTX, TimeInForce.FOK])
async def test_an_order_the_book_has_no_room_for_ends_without_a_trade_whichever_way_it_is_told(
    one_way: Any, samples: Any, patience: TimeInForce
) -> None:
    one_way.answer(PLACE, placed(samples, status="EXPIRED"), no(-5022 if patience is TimeInForce.GTX else -5021))
    orders = one_way.account().orders

    told_as_an_order = await orders.place(a_limit(time_in_force=patience))
    assert (told_as_an_order.state, told_as_an_order.executed_quantity) == (OrderState.EXPIRED, 0)
    with pytest.raises(NotFillable):
        await orders.place(a_limit(time_in_force=patience))


@pytest.mark.parametrize("code", [-2022, -4118])
async def test_an_exit_larger_than_the_position_is_trimmed_or_refused(one_way: Any, samples: Any, code: int) -> None:
    trimmed = placed(samples, status="EXPIRED", origQty="2", executedQty="1.5", avgPrice="65000")
    one_way.answer(PLACE, trimmed, no(code))
    orders = one_way.account().orders

    order = await orders.place(an_exit())
    assert (order.state, order.quantity, order.executed_quantity) == (OrderState.EXPIRED, D(2), D("1.5"))
    with pytest.raises(NothingToReduce):
        await orders.place(an_exit())


async def test_an_order_whose_id_is_open_already_may_be_the_one_whose_answer_was_lost(one_way: Any) -> None:
    one_way.answer(PLACE, no(-4116, "ClientOrderId is duplicated."))

    with pytest.raises(OutcomeUnknown):
        await one_way.account().orders.place(a_limit())


@pytest.mark.parametrize("code", [-1111, -4014, -4023, -4164])
async def test_a_refusal_that_shows_other_filters_is_told_to_whoever_knows_them(one_way: Any, code: int) -> None:
    one_way.answer(PLACE, no(code))

    with pytest.raises(InstrumentChanged):
        await one_way.account().orders.place(a_limit())

    assert one_way.instruments_changed == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda placed: {name: value for name, value in placed.items() if name != "orderId"},
        lambda placed: placed | {"executedQty": 1.5, "status": 7},
        lambda placed: placed | {"executedQty": "NaN"},
        lambda placed: [placed],
        lambda placed: (200, json.dumps(placed)[:-20]),
        lambda placed: (200, "<html>"),
        lambda placed: (502, "<html>"),
        lambda placed: placed | {"clientOrderId": "another"},
    ],
)
async def test_an_unreadable_answer_to_an_order_is_an_unknown_outcome(one_way: Any, samples: Any, answer: Any) -> None:
    one_way.answer(PLACE, answer(placed(samples)))

    with pytest.raises(OutcomeUnknown):
        await one_way.account().orders.place(a_limit())

    assert one_way.calls().count(PLACE) == 1


async def test_each_order_of_a_batch_has_an_outcome_of_its_own(one_way: Any, samples: Any) -> None:
    one_way.answer(
        BATCH,
        [
            placed(samples, "a"),
            {"code": -2019, "msg": "Margin is insufficient."},
            {"code": "-1007", "msg": "Timeout."},
            placed(samples, "d", status="DREAMT"),
            placed(samples, "somebody's"),
        ],
    )

    outcomes = await one_way.account().orders.place_all([a_limit(name) for name in "abcde"])

    assert [type(each) for each in outcomes] == [
        VenueOrder,
        InsufficientMargin,
        OutcomeUnknown,
        OutcomeUnknown,
        OutcomeUnknown,
    ]
    sent = json.loads(one_way.received[-1].params["batchOrders"])
    assert [order["newClientOrderId"] for order in sent] == list("abcde")
    assert sent[0] == a_limit("a").params(hedged=False)


@pytest.mark.parametrize("answer", [(503, ""), (200, "{"), [], {"code": 200}, no(-1007), no(-4083)])
async def test_a_batch_whose_answer_tells_nothing_leaves_every_outcome_unknown(one_way: Any, answer: Any) -> None:
    one_way.answer(BATCH, answer)

    outcomes = await one_way.account().orders.place_all([a_limit("a"), a_limit("b")])

    assert [type(each) for each in outcomes] == [OutcomeUnknown, OutcomeUnknown]


@pytest.mark.parametrize(("answer", "kind"), [(no(-4082), Refused), ((429, {"code": -1015, "msg": ""}), RateLimited)])
async def test_a_batch_that_is_refused_is_refused_for_each(one_way: Any, answer: Any, kind: type[VenueError]) -> None:
    one_way.answer(BATCH, answer)

    outcomes = await one_way.account().orders.place_all([a_limit("a"), a_limit("b")])

    assert [type(each) for each in outcomes] == [kind, kind]


async def test_a_batch_notices_another_position_mode_and_other_filters(one_way: Any, samples: Any) -> None:
    one_way.answer(MODE, samples["positionSide/dual"])
    one_way.answer(BATCH, [{"code": -4061, "msg": "No."}, {"code": -4061, "msg": "No."}, {"code": -4014, "msg": "No."}])
    account = one_way.account()

    one, other, third = await account.orders.place_all([a_limit(name) for name in "abc"])

    assert isinstance(one, PositionModeChanged)
    assert isinstance(other, PositionModeChanged)
    assert "written for one-way mode, the account is in hedge mode" in str(other)
    assert isinstance(third, InstrumentChanged)
    assert one_way.calls().count(MODE) == 1
    assert one_way.instruments_changed == 1
    assert await account.mode.hedged()


async def test_more_orders_than_the_exchange_takes_at_once_are_not_sent(venue: Any) -> None:
    orders = venue.account().orders

    with pytest.raises(Refused, match="6 orders in one request: the exchange takes 5"):
        await orders.place_all([a_limit(str(n)) for n in range(6)])
    with pytest.raises(Refused, match="11 orders in one request: the exchange takes 10"):
        await orders.cancel_several("BTCUSDT", [str(n) for n in range(11)])
    assert await orders.place_all([]) == await orders.cancel_several("BTCUSDT", []) == []
    assert venue.received == []


async def test_a_resting_order_is_given_a_new_size_and_price(venue: Any, samples: Any) -> None:
    venue.answer(MODIFY, samples["order"])

    await venue.account().orders.modify("BTCUSDT", "abc", quantity=D("0.4"), price=D("9.5"))

    params = venue.received[0].params
    assert (params["origClientOrderId"], params["quantity"], params["price"]) == ("abc", "0.4", "9.5")
    assert venue.received[0].query == b""


async def test_a_change_that_breaks_the_filters_is_noticed_like_an_order_that_does(venue: Any) -> None:
    venue.answer(MODIFY, no(-4014))

    with pytest.raises(InstrumentChanged):
        await venue.account().orders.modify("BTCUSDT", 1, quantity=D(1), price=D(1))

    assert venue.instruments_changed == 1


async def test_the_older_generation_cannot_modify_and_is_not_asked_to(venue: Any) -> None:
    with pytest.raises(Refused, match="cancel it and place another"):
        await venue.account(ApiKey("k", "s")).orders.modify("BTCUSDT", "abc", quantity=D(1), price=D(1))

    assert venue.received == []


async def test_an_order_is_found_by_either_id(venue: Any, samples: Any) -> None:
    venue.answer(FIND, samples["order"])
    venue.answer("GET /fapi/v3/openOrder", samples["order"], no(-2013))
    orders = venue.account().orders

    assert await orders.find("BTCUSDT", "abc") == await orders.find("BTCUSDT", 1917641)
    assert await orders.find_open("BTCUSDT", 1917641) is not None
    assert await orders.find_open("BTCUSDT", 1917641) is None
    assert venue.received[1].params["orderId"] == "1917641"


async def test_an_answer_about_another_order_is_not_taken_for_the_one_asked_for(venue: Any, samples: Any) -> None:
    venue.answer(FIND, samples["order"])

    with pytest.raises(VenueError, match="it tells of order 1917641, not 7"):
        await venue.account().orders.find("BTCUSDT", 7)


async def test_the_resting_orders_of_one_symbol_cost_less_than_all(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/openOrders", [samples["order"]])

    assert len(await venue.account().orders.resting("BTCUSDT")) == 1
    assert venue.received[0].params["symbol"] == "BTCUSDT"


async def test_several_orders_are_cancelled_each_with_an_outcome_of_its_own(venue: Any, samples: Any) -> None:
    venue.answer(CANCEL_SEVERAL, [samples["cancelled order"], {"code": -2011, "msg": "Unknown order sent."}])

    cancelled, gone = await venue.account().orders.cancel_several("BTCUSDT", ["myOrder1", "other"])

    assert isinstance(cancelled, VenueOrder)
    assert cancelled.state is OrderState.CANCELED
    assert isinstance(gone, OrderNotFound)
    assert venue.received[0].params["origClientOrderIdList"] == '["myOrder1","other"]'


async def test_a_cancellation_of_several_whose_answer_is_lost_is_unknown_for_each(venue: Any) -> None:
    venue.answer(CANCEL_SEVERAL, (503, ""))

    outcomes = await venue.account().orders.cancel_several("BTCUSDT", ["a", "b"])

    assert [type(each) for each in outcomes] == [OutcomeUnknown, OutcomeUnknown]


@pytest.mark.parametrize("code", ["200", 200])
async def test_all_orders_of_a_symbol_are_cancelled_however_success_is_spelled(
    venue: Any, samples: Any, code: Any
) -> None:
    venue.answer("DELETE /fapi/v3/allOpenOrders", samples["allOpenOrders"] | {"code": code})

    await venue.account().orders.cancel_all("BTCUSDT")

    assert venue.received[0].params["symbol"] == "BTCUSDT"


async def test_the_dead_mans_switch_is_wound_up_and_stopped(venue: Any, samples: Any) -> None:
    call = "POST /fapi/v3/countdownCancelAll"
    venue.answer(call, samples["countdownCancelAll"], samples["countdownCancelAll"] | {"countdownTime": "0"})
    orders = venue.account().orders

    await orders.cancel_after("BTCUSDT", timedelta(seconds=100))
    await orders.cancel_after("BTCUSDT", timedelta(0))

    assert [received.params["countdownTime"] for received in venue.received] == ["100000", "0"]


async def test_a_countdown_other_than_the_one_asked_for_is_not_relied_on(venue: Any, samples: Any) -> None:
    venue.answer("POST /fapi/v3/countdownCancelAll", samples["countdownCancelAll"])

    with pytest.raises(OutcomeUnknown, match="the countdown of BTCUSDT is 100000"):
        await venue.account().orders.cancel_after("BTCUSDT", timedelta(seconds=30))
