"""Protection: what ends a position, and which resting orders count as doing so."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.order import Fill, Leg, OrderType, Side
from shared.domain.position import Direction, Position
from shared.domain.protection import exit_intent, fallback_stop, naked_since, protective_intent, stops_of, targets_of
from tests.builders import BUY, LONG, SELL, SHORT, TICK, a_fill, a_position, a_venue_order, an_instrument


@pytest.mark.parametrize(("direction", "side"), [(LONG, SELL), (SHORT, BUY)])
@pytest.mark.parametrize(
    ("leg", "order_type"), [(Leg.STOP, OrderType.STOP_MARKET), (Leg.TARGET, OrderType.TAKE_PROFIT_MARKET)]
)
def test_protection_ends_whatever_position_it_finds(
    direction: Direction, side: Side, leg: Leg, order_type: OrderType
) -> None:
    intent = protective_intent("main", TICK, "BTCUSDT", direction=direction, leg=leg, price=Decimal(95))

    assert (intent.side, intent.type, intent.stop_price) == (side, order_type, Decimal(95))
    assert intent.direction is direction
    assert intent.closes_position


@pytest.mark.parametrize(("direction", "side"), [(LONG, SELL), (SHORT, BUY)])
def test_an_exit_can_never_turn_a_position_around(direction: Direction, side: Side) -> None:
    intent = exit_intent("main", TICK, "BTCUSDT", direction=direction, quantity=Decimal(2))

    assert (intent.side, intent.type, intent.quantity) == (side, OrderType.MARKET, Decimal(2))
    assert intent.direction is direction
    assert intent.reduce_only


def sized(quantity: str, **changes: Any) -> Any:
    return a_venue_order(closes_position=False, quantity=Decimal(quantity), **changes)


@pytest.mark.parametrize(
    ("resting", "protects"),
    [
        (a_venue_order(), True),
        (a_venue_order(client_order_id="by-hand"), True),  # whoever placed it
        (a_venue_order(type=OrderType.STOP), True),
        (sized("1"), True),
        (sized("0.999"), False),  # a part of the position would stand naked
        (sized("1.5", executed_quantity=Decimal("0.6")), False),  # only what still rests protects
        (sized("1", reduce_only=False), False),  # it could turn the position around
        (sized("1", reduce_only=False, position_side=LONG), True),  # in hedge mode it cannot
        (a_venue_order(position_side=SHORT), False),  # in hedge mode the other position is not this one
        (a_venue_order(side=BUY), False),
        (a_venue_order(symbol="ETHUSDT"), False),
        (a_venue_order(type=OrderType.TAKE_PROFIT_MARKET), False),
        (a_venue_order(type=OrderType.LIMIT), False),
    ],
)
def test_only_an_order_that_ends_the_whole_position_counts_as_its_stop(resting: Any, protects: bool) -> None:
    assert stops_of(a_position(), [resting]) == ([resting] if protects else [])


def test_a_short_position_is_protected_by_buying() -> None:
    stop = a_venue_order(side=BUY, stop_price=Decimal(105))

    assert stops_of(a_position(direction=SHORT), [stop, a_venue_order()]) == [stop]


def test_a_target_is_no_stop_and_a_stop_no_target() -> None:
    stop, target = a_venue_order(), a_venue_order(type=OrderType.TAKE_PROFIT_MARKET)

    assert stops_of(a_position(), [stop, target]) == [stop]
    assert targets_of(a_position(), [stop, target]) == [target]


@pytest.mark.parametrize(
    ("direction", "stop"),
    [
        (LONG, "95.1"),  # 95.095 rounds up, towards the price
        (SHORT, "105.1"),  # 105.105 rounds down
    ],
)
def test_a_position_without_a_plan_gets_a_stop_no_further_away_than_allowed(direction: Direction, stop: str) -> None:
    position = a_position(direction=direction, mark_price=Decimal("100.1"))

    assert fallback_stop(position, an_instrument(), Decimal("0.05")) == Decimal(stop)


@pytest.mark.parametrize(("direction", "liquidation", "stop"), [(LONG, "96", "96.8"), (SHORT, "104", "103.2")])
def test_a_stop_without_a_plan_comes_before_liquidation(direction: Direction, liquidation: str, stop: str) -> None:
    position = a_position(direction=direction, liquidation_price=Decimal(liquidation))

    assert fallback_stop(position, an_instrument(), Decimal("0.10")) == Decimal(stop)


def test_a_position_is_taken_to_have_been_naked_for_as_long_as_it_may_have_been() -> None:
    looked_at, now = TICK, TICK + timedelta(minutes=5)
    position = a_position()
    opened = a_fill(trade_id=1, symbol=position.symbol, side=Side.BUY, at=TICK + timedelta(minutes=2))
    closed = a_fill(trade_id=2, symbol=position.symbol, side=Side.SELL, at=TICK + timedelta(minutes=1))

    def since(before: list[Position], fills: list[Fill], looked_at: datetime | None = looked_at) -> datetime:
        return naked_since(position, before=before, looked_at=looked_at, fills=fills, now=now)

    assert since([position], [opened]) == looked_at
    assert since([], [closed, opened]) == opened.at
    assert since([], []) == now
    assert since([position], [], looked_at=None) == now
