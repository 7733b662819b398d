"""The numbers people judge an account by: each worked out by hand once, and held against NumPy and pandas."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.assessment import (
    ENOUGH_TRIPS,
    Traded,
    assess,
    profit_factor,
    sample,
    sharpe,
    sharpe_error,
    sortino,
    student,
)
from shared.domain.curve import walk
from tests.builders import equity_curve

RETURNS = [0.01, -0.01, 0.03, 0.01]
"""Mean 0.01, sample variance 0.0008 / 3."""


def test_sharpe_is_the_mean_over_the_deviation_annualised() -> None:
    assert sharpe(RETURNS, 365) == pytest.approx(0.01 / math.sqrt(0.0008 / 3) * math.sqrt(365))
    assert sharpe(RETURNS, 252) == pytest.approx(0.01 / math.sqrt(0.0008 / 3) * math.sqrt(252))


def test_sortino_counts_only_the_losses_over_all_days() -> None:
    assert sortino(RETURNS, 365) == pytest.approx(0.01 / math.sqrt(0.0001 / 4) * math.sqrt(365))


@given(st.lists(st.floats(-0.5, 0.5).map(lambda value: round(value, 6)), min_size=3, max_size=60))
def test_ratios_are_what_pandas_makes_of_the_same_returns(returns: list[float]) -> None:
    series = pd.Series(returns)
    losses = series.clip(upper=0)
    if series.nunique() > 1:
        assert sharpe(returns, 252) == pytest.approx(series.mean() / series.std() * np.sqrt(252), rel=1e-6, abs=1e-9)
    if (losses < 0).any():
        downside = np.sqrt((losses**2).mean())
        assert sortino(returns, 365) == pytest.approx(series.mean() / downside * np.sqrt(365), rel=1e-6, abs=1e-9)


@given(value=st.floats(-0.5, 0.5), days=st.integers(2, 50))
def test_returns_that_are_all_the_same_have_no_sharpe(value: float, days: int) -> None:
    assert sharpe([value] * days, 365) is None


def test_ratios_of_too_little_are_left_out() -> None:
    assert sharpe([0.01], 365) is None
    assert sortino([0.01], 365) is None
    assert sortino([0.01, 0.02], 365) is None  # not a single loss
    assert profit_factor(Decimal(5), Decimal(0)) is None


def test_the_error_of_a_sharpe_ratio_is_that_of_many_made_up_records() -> None:
    made_up = np.random.default_rng(7).normal(0.001, 0.01, size=(4000, 250))
    ratios = made_up.mean(axis=1) / made_up.std(axis=1, ddof=1) * np.sqrt(365)

    assert sharpe_error(float(ratios.mean()), 250, 365) == pytest.approx(ratios.std(), rel=0.05)


@pytest.mark.parametrize(
    ("freedom", "quantile"),  # from the tables
    [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (29, 2.045), (100, 1.984), (10**6, 1.960)],
)
def test_the_quantile_of_student_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert student(0.95, freedom) == pytest.approx(quantile, rel=2e-3)


def of(returns: list[float]) -> tuple[int, float, float]:
    return len(returns), sum(returns), sum(value**2 for value in returns)


def test_the_interval_of_a_sample_is_that_of_numpy_and_holds_the_true_mean_as_often_as_it_says() -> None:
    made_up = np.random.default_rng(3).normal(0.004, 0.03, size=(2000, 40))

    told = [sample(*of(list(row))) for row in made_up]

    half = 2.0227 * made_up[0].std(ddof=1) / np.sqrt(40)
    assert told[0].low == pytest.approx(made_up[0].mean() - half, rel=1e-3)
    held = np.mean([each.low < 0.004 < each.high for each in told if each.low and each.high])
    assert held == pytest.approx(0.95, abs=0.015)


def test_a_sample_says_in_words_what_it_proves() -> None:
    nothing, one = sample(0, 0.0, 0.0), sample(1, 0.1, 0.01)
    chance = sample(*of([0.02, -0.015] * 20))
    few = sample(*of([0.02, 0.021, 0.019]))
    sound = sample(*of([0.02, 0.01] * ENOUGH_TRIPS))
    even = sample(*of([0.01, -0.00999] * 20))

    assert nothing.word == "0 closed trades: that proves nothing"
    assert one.word == "1 closed trade: that proves nothing"
    assert chance.word == (
        "40 closed trades with a mean return of 0.25% ± 0.57%: not to be told from chance;"
        " it would take about 206 like these"
    )
    assert few.word == "3 closed trades with a mean return of 2.00% ± 0.25%: too few to go by, 30 are the least"
    assert sound.word == "60 closed trades with a mean return of 1.50% ± 0.13%: more than chance explains"
    assert even.word == (
        "40 closed trades with a mean return of 0.0005% ± 0.3237%: not to be told from chance;"
        " it would take more than 10,000 like these"
    )
    assert [each.enough for each in (nothing, one, chance, few, sound)] == [False, False, False, False, True]


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=200))
def test_a_sample_is_never_enough_while_its_interval_holds_zero(returns: list[float]) -> None:
    told = sample(*of(returns))

    assert told.low is not None
    assert told.high is not None
    assert not (told.enough and told.low <= 0 <= told.high)
    assert not (told.enough and len(returns) < ENOUGH_TRIPS)


def test_an_assessment_brings_the_curve_and_what_was_traded_together() -> None:
    days = list(walk(None, equity_curve("1000", "1100", "1045", "1150")))
    traded = Traded(
        trades=6,
        fees=Decimal(2),
        funding=Decimal("-2.5"),
        trips=3,
        wins=1,
        losses=1,
        gained=Decimal(30),
        lost=Decimal(10),
        returns=0.02,
        squares=0.001,
    )

    record = assess(days, traded)

    assert (record.since, record.until) == (days[0].at, days[-1].at)
    assert [record.equity, record.deposited, record.profit] == [Decimal(1150), Decimal(1000), Decimal(150)]
    assert float(record.total_return or 0) == pytest.approx(0.15)
    assert (record.max_drawdown, record.days) == (Decimal("0.05"), 3)
    assert (record.round_trips, record.win_rate, record.profit_factor) == (3, pytest.approx(1 / 3), pytest.approx(3.0))
    assert (record.fees, record.funding, record.sample.trips) == (Decimal(2), Decimal("-2.5"), 3)
    assert record.sharpe is not None
    assert record.sortino is not None


def test_an_account_without_a_past_has_a_record_of_nothing() -> None:
    record = assess([], Traded())

    assert (record.since, record.until, record.equity, record.total_return) == (None, None, None, None)
    assert (record.max_drawdown, record.sharpe, record.win_rate, record.profit_factor) == (None, None, None, None)
    assert (record.profit, record.deposited, record.fees) == (Decimal(0),) * 3
    assert (record.round_trips, record.sample.enough) == (0, False)
