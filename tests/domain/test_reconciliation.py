"""Reconciliation: what the exchange says, what we believed, and the word for the difference."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.order import Income, IncomeKind, Leg, Order, OrderState
from shared.domain.reconciliation import (
    Difference,
    ended,
    expected_quantities,
    foreign_trade,
    order_after,
    orphans,
    position_changes,
    signed_quantities,
    wallet_change,
)
from tests.builders import BUY, LONG, SELL, SHORT, TICK, a_fill, a_position, a_venue_order, an_intent, an_order


def an_income(kind: IncomeKind, amount: str) -> Income:
    return Income(transaction_id="1", kind=kind, symbol="BTCUSDT", amount=Decimal(amount), asset="USDT", at=TICK)


def a_stop(state: OrderState = OrderState.NEW, **changes: Any) -> Order:
    return an_order(state, an_intent(leg=Leg.STOP, **changes))


def test_an_order_becomes_what_the_exchange_reports_and_stays_what_we_promised() -> None:
    order = an_order(OrderState.UNRESOLVED, reason="no answer", sent_at=TICK)
    reported = a_venue_order(
        state=OrderState.FILLED, venue_order_id=9, executed_quantity=Decimal(1), average_price=Decimal(101)
    )

    after = order_after(order, reported)

    assert (after.state, after.venue_order_id) == (OrderState.FILLED, 9)
    assert (after.executed_quantity, after.average_price) == (Decimal(1), Decimal(101))
    assert (after.intent, after.client_order_id, after.sent_at) == (order.intent, order.client_order_id, TICK)
    assert after.reason is None


def known(state: OrderState, executed: str) -> Order:
    return an_order(state, venue_order_id=1, executed_quantity=Decimal(executed), average_price=Decimal(100))


@pytest.mark.parametrize("ended", [OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED])
@pytest.mark.parametrize("told", [OrderState.NEW, OrderState.PARTIALLY_FILLED])
@pytest.mark.parametrize("executed", ["1", "2"])
def test_an_order_that_has_ended_does_not_work_again(ended: OrderState, told: OrderState, executed: str) -> None:
    order = known(ended, "1")

    assert order_after(order, a_venue_order(state=told, executed_quantity=Decimal(executed))) == order


@pytest.mark.parametrize("state", [OrderState.PARTIALLY_FILLED, OrderState.CANCELED])
@pytest.mark.parametrize("told", [OrderState.NEW, OrderState.PARTIALLY_FILLED, OrderState.CANCELED])
def test_nothing_that_was_traded_is_undone_by_an_older_report(state: OrderState, told: OrderState) -> None:
    order = known(state, "0.5")

    assert order_after(order, a_venue_order(state=told, executed_quantity=Decimal("0.4"))) == order


@pytest.mark.parametrize(
    ("state", "executed", "told", "then"),
    [
        (OrderState.NEW, "0", OrderState.NEW, "0"),
        (OrderState.NEW, "0", OrderState.PARTIALLY_FILLED, "0.5"),
        (OrderState.PARTIALLY_FILLED, "0.5", OrderState.PARTIALLY_FILLED, "0.5"),
        (OrderState.PARTIALLY_FILLED, "0.5", OrderState.CANCELED, "0.5"),
        (OrderState.CANCELED, "0.5", OrderState.CANCELED, "0.5"),
        (OrderState.CANCELED, "0.5", OrderState.FILLED, "1"),
    ],
)
def test_a_report_that_is_no_older_than_what_we_know_is_taken(
    state: OrderState, executed: str, told: OrderState, then: str
) -> None:
    after = order_after(known(state, executed), a_venue_order(state=told, executed_quantity=Decimal(then)))

    assert (after.state, after.executed_quantity) == (told, Decimal(then))


@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.ABSENT])
def test_an_order_that_was_thought_never_to_have_landed_is_what_the_exchange_shows_of_it(state: OrderState) -> None:
    assert order_after(an_order(state), a_venue_order()).state is OrderState.NEW


def test_a_later_order_of_the_same_name_is_told_by_its_other_id() -> None:
    after = order_after(known(OrderState.FILLED, "1"), a_venue_order(venue_order_id=2))

    assert (after.state, after.venue_order_id, after.executed_quantity) == (OrderState.NEW, 2, 0)


def test_positions_are_told_with_the_sign_of_their_direction() -> None:
    positions = [a_position("BTCUSDT", LONG, "2"), a_position("ETHUSDT", SHORT, "3")]

    assert signed_quantities(positions) == {"BTCUSDT": 2, "ETHUSDT": -3}


@pytest.mark.parametrize(
    ("held", "fills", "expected"),
    [
        ([], [a_fill(BUY, "1")], {"BTCUSDT": 1}),
        ([a_position(quantity="1")], [a_fill(BUY, "0.5")], {"BTCUSDT": Decimal("1.5")}),
        ([a_position(quantity="1")], [a_fill(SELL, "1")], {}),
        ([a_position(quantity="1")], [a_fill(SELL, "3")], {"BTCUSDT": -2}),
        ([a_position(direction=SHORT)], [a_fill(BUY, "0.4"), a_fill(BUY, "0.6")], {}),
        ([a_position()], [a_fill(SELL, symbol="ETHUSDT")], {"BTCUSDT": 1, "ETHUSDT": -1}),
        ([a_position(quantity="3"), a_position(direction=SHORT)], [a_fill(BUY, "0.5")], {"BTCUSDT": Decimal("2.5")}),
    ],
)
def test_what_we_held_and_the_trades_since_add_up_to_what_we_expect(held: Any, fills: Any, expected: Any) -> None:
    assert expected_quantities(held, fills) == expected


def test_trades_that_explain_a_position_leave_no_discrepancy() -> None:
    assert position_changes([a_position(quantity="1")], [a_fill(BUY, "1")], [a_position(quantity="2")]) == []


def test_a_position_that_no_trade_explains_is_a_discrepancy_either_way() -> None:
    theirs = [a_position("ETHUSDT", SHORT, "2"), a_position("SOLUSDT", LONG, "1")]
    changes = position_changes([a_position("BTCUSDT")], [], theirs)

    assert [(each.kind, each.symbol, each.ours, each.theirs) for each in changes] == [
        (Difference.POSITION_CHANGED, "BTCUSDT", "1", "0"),
        (Difference.POSITION_CHANGED, "ETHUSDT", "0", "-2"),
        (Difference.POSITION_CHANGED, "SOLUSDT", "0", "1"),
    ]


def test_the_wallet_moves_by_trades_and_by_what_the_ledger_tells_beyond_them() -> None:
    fills = [a_fill(SELL, realized_pnl=Decimal(10), commission=Decimal("0.4"))]
    incomes = [
        an_income(IncomeKind.REALIZED_PNL, "10"),  # the fill has told of both
        an_income(IncomeKind.COMMISSION, "-0.4"),
        an_income(IncomeKind.FUNDING_FEE, "-1.5"),
        an_income(IncomeKind.TRANSFER, "100"),
        replace(an_income(IncomeKind.TRANSFER, "7"), asset="ASTER"),  # the books are in USDT
    ]
    fills += [a_fill(BUY, commission=Decimal(3), commission_asset="ASTER")]

    assert wallet_change(fills, incomes) == Decimal("108.1")


@pytest.mark.parametrize(
    ("client_order_id", "kind"),
    [
        ("autoclose-1700000000", Difference.LIQUIDATION),
        ("adl_autoclose", Difference.DELEVERAGING),
        ("web_7Hk2", Difference.MANUAL_TRADE),
    ],
)
def test_a_trade_that_is_not_ours_was_made_by_hand_or_by_the_exchange(client_order_id: str, kind: Difference) -> None:
    assert foreign_trade(a_fill(), a_venue_order(client_order_id=client_order_id)).kind is kind


def test_a_trade_whose_order_nobody_remembers_counts_as_made_by_hand() -> None:
    found = foreign_trade(a_fill(SELL, "2", trade_id=7), None)

    assert (found.kind, found.theirs) == (Difference.MANUAL_TRADE, "trade 7: SELL 2 at 100")


def test_a_stop_without_a_position_is_an_orphan() -> None:
    assert orphans([a_stop()], []) == [a_stop()]


def test_a_stop_with_its_position_is_none() -> None:
    assert orphans([a_stop()], [a_position()]) == []


def test_a_stop_of_the_position_before_it_turned_around_is_an_orphan() -> None:
    assert orphans([a_stop()], [a_position(direction=SHORT)]) == [a_stop()]
    assert orphans([a_stop(side=BUY)], [a_position(direction=SHORT)]) == []


def test_in_hedge_mode_a_stop_belongs_to_its_own_position() -> None:
    both = [a_position(direction=LONG), a_position(direction=SHORT)]

    assert orphans([a_stop(), a_stop(side=BUY)], both) == []
    assert orphans([a_stop(), a_stop(side=BUY)], both[:1]) == [a_stop(side=BUY)]


@pytest.mark.parametrize(
    "state", [OrderState.INTENDED, OrderState.UNRESOLVED, OrderState.NEW, OrderState.PARTIALLY_FILLED]
)
def test_a_stop_waits_for_an_entry_that_may_yet_make_a_position(state: OrderState) -> None:
    assert orphans([a_stop(), an_order(state)], []) == []


@pytest.mark.parametrize("state", [OrderState.FILLED, OrderState.REJECTED, OrderState.ABSENT, OrderState.EXPIRED])
def test_a_stop_does_not_wait_for_an_entry_that_is_over(state: OrderState) -> None:
    assert orphans([a_stop(), an_order(state)], []) == [a_stop()]


@pytest.mark.parametrize(
    "order",
    [
        a_stop(OrderState.CANCELED),
        replace(a_stop(), intent=replace(a_stop().intent, leg=Leg.EXTERNAL)),
        an_order(intent=an_intent(leg=Leg.EXIT, reduce_only=True)),
    ],
)
def test_what_does_not_rest_is_not_ours_or_has_a_size_is_left_alone(order: Order) -> None:
    assert orphans([order], []) == []


@pytest.mark.parametrize("leg", [Leg.STOP, Leg.TARGET, Leg.EXIT])
def test_an_order_of_ours_that_filled_is_why_its_position_is_gone(leg: Leg) -> None:
    filled = an_order(OrderState.FILLED, an_intent(leg=leg), executed_quantity=Decimal(1))

    in_part = replace(filled, state=OrderState.EXPIRED, executed_quantity=Decimal("0.1"))

    assert ended([filled]) == ended([in_part]) == {("BTCUSDT", filled.intent.direction)}


@pytest.mark.parametrize("leg", [Leg.ENTRY, Leg.EXTERNAL])
def test_an_entry_and_what_others_sent_are_no_reason_of_ours(leg: Leg) -> None:
    assert ended([an_order(OrderState.FILLED, an_intent(leg=leg), executed_quantity=Decimal(1))]) == set()


def test_an_order_that_did_not_fill_has_ended_nothing() -> None:
    assert ended([a_stop(OrderState.CANCELED)]) == set()
