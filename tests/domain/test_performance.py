"""Performance: the numbers people judge an account by, each worked out by hand once."""

import math
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.performance import (
    EquityMarks,
    EquityPoint,
    assess,
    max_drawdown,
    round_trips,
    sharpe,
    sortino,
)
from tests.builders import BUY, SELL, TICK, a_fill, equity_curve


def a_point(equity: str, deposited: str = "1000", days: int = 0) -> EquityPoint:
    return EquityPoint(
        at=TICK + timedelta(days=days), wallet=Decimal(equity), unrealized=Decimal(0), deposited=Decimal(deposited)
    )


def test_an_account_seen_for_the_first_time_is_measured_against_itself() -> None:
    assert EquityMarks.of(Decimal(900), None, None, None) == EquityMarks(
        day=Decimal(900), peak=Decimal(900), deposited=Decimal(900)
    )


def test_a_deposit_neither_hides_a_loss_nor_makes_a_gain() -> None:
    marks = EquityMarks.of(
        Decimal(1450), a_point("1450", deposited="1500"), a_point("1000", deposited="1000"), peak=Decimal(20)
    )

    # Worth 1000 at midnight, 500 were paid in, 50 are lost; the peak was 20 above what was paid in.
    assert marks == EquityMarks(day=Decimal(1500), peak=Decimal(1520), deposited=Decimal(1500))


def test_a_withdrawal_is_no_loss() -> None:
    marks = EquityMarks.of(
        Decimal(600), a_point("600", deposited="600"), a_point("1000", deposited="1000"), peak=Decimal(0)
    )

    assert (marks.day, marks.peak) == (Decimal(600), Decimal(600))


def test_the_peak_is_never_below_what_the_account_is_worth_now() -> None:
    assert EquityMarks.of(Decimal(1300), a_point("1200"), a_point("1000"), peak=Decimal(200)).peak == 1300


def test_a_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    assert max_drawdown(equity_curve("1000", "1200", "900", "1100", "1000")) == Decimal("0.25")


@pytest.mark.parametrize(
    ("values", "deepest"),
    [
        ((), None),
        (("1000",), 0),
        (("1000", "1100", "1200"), 0),
        (("1000", "600"), Decimal("0.4")),
    ],
)
def test_a_curve_that_never_falls_has_no_drawdown(values: tuple[str, ...], deepest: Decimal | None) -> None:
    assert max_drawdown(equity_curve(*values)) == deepest


def test_money_taken_out_is_no_drawdown() -> None:
    assert max_drawdown([a_point("1000", "1000"), a_point("500", "500", days=1)]) == 0


def test_an_account_that_lost_everything_has_no_return_from_there() -> None:
    assert max_drawdown(equity_curve("1000", "0", "0")) == 1


def test_sharpe_is_the_mean_over_the_deviation_annualised() -> None:
    returns = [0.01, -0.01, 0.03, 0.01]  # mean 0.01, sample variance 0.0008 / 3

    assert sharpe(returns, 365) == pytest.approx(0.01 / math.sqrt(0.0008 / 3) * math.sqrt(365))
    assert sharpe(returns, 252) == pytest.approx(0.01 / math.sqrt(0.0008 / 3) * math.sqrt(252))


def test_sortino_counts_only_the_losses_over_all_days() -> None:
    returns = [0.01, -0.01, 0.03, 0.01]

    assert sortino(returns, 365) == pytest.approx(0.01 / math.sqrt(0.0001 / 4) * math.sqrt(365))


@given(value=st.floats(-0.5, 0.5), days=st.integers(2, 50))
def test_returns_that_are_all_the_same_have_no_sharpe(value: float, days: int) -> None:
    assert sharpe([value] * days, 365) is None


def test_ratios_of_too_little_are_left_out() -> None:
    assert sharpe([0.01], 365) is None
    assert sortino([0.01], 365) is None
    assert sortino([0.01, 0.02], 365) is None  # not a single loss


def test_a_position_from_flat_to_flat_is_one_trip_whatever_it_took() -> None:
    fills = [
        a_fill(BUY, "1", commission=Decimal("0.1")),
        a_fill(BUY, "1", commission=Decimal("0.1"), at=TICK + timedelta(hours=1)),
        a_fill(SELL, "0.5", commission=Decimal("0.1"), realized_pnl=Decimal(3), at=TICK + timedelta(hours=2)),
        a_fill(SELL, "1.5", commission=Decimal("0.1"), realized_pnl=Decimal(5), at=TICK + timedelta(hours=3)),
    ]

    [trip] = round_trips(fills)

    assert (trip.opened_at, trip.closed_at) == (TICK, TICK + timedelta(hours=3))
    assert (trip.profit, trip.fees) == (Decimal("7.6"), Decimal("0.4"))


def test_a_trade_that_turns_a_position_around_ends_one_trip_and_begins_the_next() -> None:
    fills = [
        a_fill(BUY, "1"),
        a_fill(SELL, "3", realized_pnl=Decimal(4), at=TICK + timedelta(hours=1)),
        a_fill(BUY, "2", realized_pnl=Decimal(-1), at=TICK + timedelta(hours=2)),
    ]

    assert [(trip.opened_at, trip.profit) for trip in round_trips(fills)] == [
        (TICK, Decimal(4)),
        (TICK + timedelta(hours=1), Decimal(-1)),
    ]


def test_an_open_position_is_no_trip_yet_and_symbols_do_not_mix() -> None:
    fills = [a_fill(BUY, "1"), a_fill(SELL, "1", symbol="ETHUSDT"), a_fill(BUY, "1", symbol="ETHUSDT")]

    assert [trip.symbol for trip in round_trips(fills)] == ["ETHUSDT"]


def test_an_assessment_brings_curve_trades_and_funding_together() -> None:
    fills = [
        a_fill(BUY, "1", commission=Decimal(1)),
        a_fill(SELL, "1", commission=Decimal(1), realized_pnl=Decimal(32)),
        a_fill(SELL, "1"),
        a_fill(BUY, "1", realized_pnl=Decimal(-10)),
        a_fill(BUY, "1"),
        a_fill(SELL, "1"),  # neither won nor lost
    ]
    record = assess(equity_curve("1000", "1100", "1045", "1150"), fills, funding=Decimal("-2.5"))

    assert (record.since, record.until) == (TICK, TICK + timedelta(days=3))
    assert [record.equity, record.deposited, record.profit] == [Decimal(1150), Decimal(1000), Decimal(150)]
    assert (record.total_return, record.max_drawdown) == (Decimal("0.15"), Decimal("0.05"))
    assert record.round_trips == 3
    assert record.win_rate == pytest.approx(1 / 3)
    assert record.profit_factor == pytest.approx(3.0)
    assert (record.fees, record.funding) == (Decimal(2), Decimal("-2.5"))
    assert record.sharpe is not None
    assert record.sortino is not None


def test_days_a_year_are_chosen_by_whoever_asks() -> None:
    curve = equity_curve("1000", "1100", "1045", "1150")
    by_days, by_trading_days = (assess(curve, [], funding=Decimal(0), days_a_year=days).sharpe for days in (365, 252))

    assert by_days is not None
    assert by_trading_days == pytest.approx(by_days * math.sqrt(252 / 365))


def test_the_last_point_of_a_day_stands_for_the_day() -> None:
    busy = equity_curve(*["1000"] * 12, "1100", *["900"] * 11, "1100", step=timedelta(hours=1))  # noon to noon
    quiet = [busy[11], busy[24]]

    assert assess(busy, [], funding=Decimal(0)).sharpe == assess(quiet, [], funding=Decimal(0)).sharpe
    assert assess(busy, [], funding=Decimal(0)).sharpe is None  # a single return: two days only


def test_an_account_without_a_past_has_a_record_of_nothing() -> None:
    record = assess([], [], funding=Decimal(0))

    assert (record.since, record.until, record.equity, record.total_return) == (None, None, None, None)
    assert (record.max_drawdown, record.sharpe, record.win_rate, record.profit_factor) == (None, None, None, None)
    assert (record.profit, record.deposited, record.fees) == (Decimal(0),) * 3
    assert record.round_trips == 0


def test_a_profit_without_a_deposit_left_is_no_share_of_anything() -> None:
    record = assess(equity_curve("200", deposited="-300"), [], funding=Decimal(0))

    assert (record.profit, record.total_return) == (Decimal(500), None)
