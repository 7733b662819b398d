"""Orders: an id that follows from the work, and states that admit what we do not know."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.order import IncomeKind, Leg, OrderState, Side, leg_named
from shared.domain.position import Direction
from tests.builders import LONG, SHORT, TICK, a_position, a_venue_order, an_intent, an_order, some_holdings


def test_whoever_repeats_the_work_arrives_at_the_same_order_id() -> None:
    assert an_intent().client_order_id == an_intent().client_order_id


@pytest.mark.parametrize(
    "change",
    [
        {"account_id": "other"},
        {"tick": TICK + timedelta(minutes=5)},
        {"symbol": "ETHUSDT"},
        {"leg": Leg.EXIT},
        {"attempt": 1},
    ],
)
def test_another_piece_of_work_has_another_order_id(change: dict[str, Any]) -> None:
    assert replace(an_intent(), **change).client_order_id != an_intent().client_order_id


def test_a_changed_mind_about_size_does_not_make_a_second_order() -> None:
    assert replace(an_intent(), side=Side.SELL, quantity=None).client_order_id == an_intent().client_order_id


@pytest.mark.parametrize("leg", Leg)
def test_an_order_id_fits_the_exchange(leg: Leg) -> None:
    assert re.fullmatch(r"[.A-Z:/a-z0-9_-]{1,36}", an_intent(leg=leg, account_id="a" * 32).client_order_id)


def test_every_state_is_unsettled_working_or_over() -> None:
    unsettled = {state for state in OrderState if state.unsettled}
    working = {state for state in OrderState if state.working}

    assert unsettled == {OrderState.INTENDED, OrderState.UNRESOLVED}
    assert working == {OrderState.NEW, OrderState.PARTIALLY_FILLED}


def test_an_order_that_the_exchange_never_had_has_not_ended_there() -> None:
    ended = {state for state in OrderState if state.ended}

    assert ended == {OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED}


def test_an_order_without_a_size_ends_the_position_it_finds() -> None:
    assert an_intent(quantity=None).closes_position
    assert not an_intent().closes_position


def test_a_long_is_opened_by_buying_and_ended_by_selling() -> None:
    assert Side.opening(LONG) is Side.BUY
    assert Side.opening(SHORT) is Side.SELL
    assert Side.opening(LONG).opposite is Side.SELL
    assert Side.opening(SHORT).opposite is Side.BUY


def test_what_fills_tell_is_not_booked_from_the_ledger_again() -> None:
    assert {kind for kind in IncomeKind if kind.told_by_fills} == {IncomeKind.REALIZED_PNL, IncomeKind.COMMISSION}


def test_holdings_find_a_position_by_its_symbol() -> None:
    held = a_position("ETHUSDT")

    assert some_holdings(a_position(), held).position("ETHUSDT") == held
    assert some_holdings(held).position("BTCUSDT") is None


def test_holdings_in_hedge_mode_list_both_positions_of_a_symbol_the_larger_first() -> None:
    small, large = a_position(quantity="1"), a_position(direction=SHORT, quantity="2")

    holdings = some_holdings(small, a_position("ETHUSDT"), large)

    assert holdings.positions_in("BTCUSDT") == (large, small)
    assert holdings.position("BTCUSDT") == large
    assert holdings.positions_in("SOLUSDT") == ()


def test_an_order_tells_by_its_name_what_it_is_for_and_others_do_not() -> None:
    ours = [leg for leg in Leg if leg is not Leg.EXTERNAL]

    assert [leg_named(an_intent(leg=leg).client_order_id) for leg in ours] == ours
    assert leg_named("pp-external-1") is Leg.EXTERNAL
    assert leg_named("pp-moon-1") is Leg.EXTERNAL
    assert leg_named("stop-1") is Leg.EXTERNAL
    assert leg_named("") is Leg.EXTERNAL


@pytest.mark.parametrize(
    ("side", "reduces", "closes", "position_side", "direction"),
    [
        (Side.BUY, False, False, None, LONG),
        (Side.SELL, False, False, None, SHORT),
        (Side.SELL, True, False, None, LONG),
        (Side.SELL, False, True, None, LONG),
        (Side.BUY, True, True, None, SHORT),
        (Side.BUY, False, False, SHORT, SHORT),
    ],
)
def test_an_order_at_the_exchange_tells_which_position_it_acts_on(
    side: Side, reduces: bool, closes: bool, position_side: Direction | None, direction: Direction
) -> None:
    order = a_venue_order(side=side, reduce_only=reduces, closes_position=closes, position_side=position_side)

    assert order.direction is direction


def test_an_order_that_was_only_promised_has_done_nothing_yet() -> None:
    order = an_order(OrderState.INTENDED)

    assert (order.executed_quantity, order.average_price, order.intent.reduce_only) == (0, 0, False)
