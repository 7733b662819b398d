"""Every kind of order that the exchange takes is written as its manual says, and no other can be made."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Refused
from shared.domain.order import Intent, Leg, OrderType, Side
from shared.domain.position import Direction
from shared.exchange.new_order import NewOrder, SelfTrade, TimeInForce, WatchedPrice

D = Decimal
LONG, SHORT = Direction.LONG, Direction.SHORT


def an_order(kind: OrderType = OrderType.MARKET, **said: Any) -> NewOrder:
    """Buys into a LONG position, unless told otherwise."""
    values: dict[str, Any] = {"side": Side.BUY, "direction": LONG, "client_order_id": "mine", **said}
    return NewOrder(symbol="BTCUSDT", type=kind, **values)


def leaving(kind: OrderType, **said: Any) -> NewOrder:
    """Sells out of a LONG position."""
    return an_order(kind, side=Side.SELL, **said)


LIMIT = {"quantity": D("0.010"), "price": D("65000.5")}
TRIGGER = {"quantity": D("0.010"), "stop_price": D("60000.0")}

WRITTEN = [
    (an_order(quantity=D("1E+2")), {"type": "MARKET", "quantity": "100"}),
    (
        an_order(OrderType.LIMIT, **LIMIT),
        {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": "65000.5"},
    ),
    *(
        (
            an_order(OrderType.LIMIT, **LIMIT, time_in_force=TimeInForce(name)),
            {"type": "LIMIT", "timeInForce": name, "quantity": "0.010", "price": "65000.5"},
        )
        for name in ("IOC", "FOK", "GTX", "HIDDEN")
    ),
    *(
        (
            leaving(kind, **TRIGGER, price=D("59990.0"), time_in_force=TimeInForce.IOC, watches=WatchedPrice.LAST),
            {
                "type": kind.value,
                "timeInForce": "IOC",
                "quantity": "0.010",
                "price": "59990.0",
                "stopPrice": "60000.0",
                "workingType": "CONTRACT_PRICE",
            },
        )
        for kind in (OrderType.STOP, OrderType.TAKE_PROFIT)
    ),
    *(
        (
            leaving(kind, **TRIGGER, watches=WatchedPrice.MARK, price_protect=True, reduce_only=True),
            {
                "type": kind.value,
                "quantity": "0.010",
                "stopPrice": "60000.0",
                "workingType": "MARK_PRICE",
                "priceProtect": "TRUE",
                "reduceOnly": "true",
            },
        )
        for kind in (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
    ),
    *(
        (
            leaving(kind, stop_price=D("0.00000010")),
            {"type": kind.value, "stopPrice": "0.00000010", "closePosition": "true"},
        )
        for kind in (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
    ),
    (
        leaving(
            OrderType.TRAILING_STOP_MARKET,
            quantity=D("0.010"),
            callback_rate=D("0.5"),
            activation_price=D(70000),
            self_trade=SelfTrade.MAKER,
        ),
        {
            "type": "TRAILING_STOP_MARKET",
            "quantity": "0.010",
            "activationPrice": "70000",
            "callbackRate": "0.5",
            "stpMode": "EXPIRE_MAKER",
        },
    ),
]


@pytest.mark.parametrize(("order", "written"), WRITTEN)
def test_an_order_is_written_as_the_manual_says(order: NewOrder, written: dict[str, str]) -> None:
    frame = {"symbol": "BTCUSDT", "side": order.side.value, "newClientOrderId": "mine", "newOrderRespType": "RESULT"}

    assert order.params(hedged=False) == frame | written


@pytest.mark.parametrize(("order", "written"), WRITTEN)
@pytest.mark.parametrize("direction", Direction)
def test_in_hedge_mode_an_order_names_its_position_and_never_says_reduce_only(
    order: NewOrder, written: dict[str, str], direction: Direction
) -> None:
    entered = order.side is Side.BUY
    side = Side.opening(direction) if entered else Side.opening(direction).opposite

    params = replace(order, side=side, direction=direction).params(hedged=True)

    assert params["positionSide"] == direction.value
    assert "reduceOnly" not in params
    assert {name: params[name] for name in written if name != "reduceOnly"} == {
        name: value for name, value in written.items() if name != "reduceOnly"
    }


@pytest.mark.parametrize(
    ("kind", "said", "complaint"),
    [
        (OrderType.MARKET, {}, "it needs quantity"),
        (OrderType.MARKET, LIMIT, "it cannot have price"),
        (OrderType.MARKET, {**TRIGGER, "callback_rate": D(1)}, "it cannot have stop_price, callback_rate"),
        (OrderType.MARKET, {"quantity": D(0)}, "quantity is 0"),
        (OrderType.MARKET, {"quantity": D("NaN")}, "quantity is NaN"),
        (OrderType.LIMIT, {"quantity": D(1)}, "it needs price"),
        (OrderType.LIMIT, {**LIMIT, "price": D(-1)}, "price is -1"),
        (OrderType.LIMIT, {**LIMIT, "price_protect": True}, "it cannot have price_protect"),
        (OrderType.LIMIT, {**LIMIT, "reduce_only": True}, "a BUY cannot end a LONG position"),
        (OrderType.LIMIT, {**LIMIT, "client_order_id": "a b"}, "client_order_id is 'a b'"),
        (OrderType.LIMIT, {**LIMIT, "client_order_id": "a" * 37}, "client_order_id is"),
        (OrderType.STOP, TRIGGER, "it needs price"),
        (OrderType.STOP_MARKET, {}, "it needs stop_price"),
        (OrderType.STOP_MARKET, {"stop_price": D(1)}, "a BUY cannot end a LONG position"),
        (OrderType.STOP_MARKET, {**TRIGGER, "time_in_force": TimeInForce.GTC}, "it cannot have time_in_force"),
        (OrderType.STOP_MARKET, {"stop_price": D(1), "quantity": D(0)}, "quantity is 0"),
        (
            OrderType.STOP_MARKET,
            {"stop_price": D(1), "side": Side.SELL, "reduce_only": True},
            "what closes the whole position is reduce-only already",
        ),
        (OrderType.TRAILING_STOP_MARKET, {"callback_rate": D(1)}, "it needs quantity"),
        (OrderType.TRAILING_STOP_MARKET, {"quantity": D(1)}, "it needs callback_rate"),
        (
            OrderType.TRAILING_STOP_MARKET,
            {"quantity": D(1), "callback_rate": D("5.1")},
            "callback_rate is 5.1, not between 0.1 and 5",
        ),
    ],
)
def test_what_the_exchange_cannot_take_is_refused_before_it_is_sent(
    kind: OrderType, said: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(
        Refused, match=f"no {kind.value} order for BTCUSDT can be made of this: .*{complaint}"
    ) as refusal:
        an_order(kind, **said)

    assert "\n" not in str(refusal.value)


@given(
    quantity=st.decimals(min_value=D("1e-18"), max_value=D("1e18"), allow_nan=False),
    price=st.decimals(min_value=D("1e-18"), max_value=D("1e18"), allow_nan=False),
)
def test_numbers_are_written_exactly_and_in_plain_digits(quantity: Decimal, price: Decimal) -> None:
    params = an_order(OrderType.LIMIT, quantity=quantity, price=price).params(hedged=False)

    assert (D(params["quantity"]), D(params["price"])) == (quantity, price)
    assert set(params["quantity"] + params["price"]) <= set("0123456789.")


def test_an_intent_is_sent_as_it_was_promised_and_its_trigger_watches_the_mark_price() -> None:
    intent = Intent(
        account_id="main",
        tick=datetime(2025, 6, 15, 12, tzinfo=UTC),
        symbol="BTCUSDT",
        leg=Leg.STOP,
        attempt=0,
        side=Side.BUY,
        direction=SHORT,
        type=OrderType.STOP_MARKET,
        quantity=None,
        stop_price=D("70000.0"),
    )

    assert NewOrder.of(intent).params(hedged=False) == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "STOP_MARKET",
        "stopPrice": "70000.0",
        "workingType": "MARK_PRICE",
        "closePosition": "true",
        "newClientOrderId": intent.client_order_id,
        "newOrderRespType": "RESULT",
    }
