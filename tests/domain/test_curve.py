"""The curve without its deposits, each number worked out by hand once, and held against pandas on made-up curves."""

from datetime import timedelta
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.curve import CurvePoint, EquityDay, daily_returns, max_drawdown, outline, thinned, walk
from shared.domain.performance import EquityPoint
from tests.builders import TICK, equity_curve


def days_of(points: list[EquityPoint]) -> list[EquityDay]:
    """The days of a curve, each as its last point left it."""
    return list({day.day: day for day in walk(None, points)}.values())


def a_point(equity: str, deposited: str = "1000", days: int = 0) -> EquityPoint:
    return EquityPoint(
        at=TICK + timedelta(days=days), wallet=Decimal(equity), unrealized=Decimal(0), deposited=Decimal(deposited)
    )


@pytest.mark.parametrize(
    ("values", "deepest"),
    [
        ((), None),
        (("1000",), 0),
        (("1000", "1100", "1200"), 0),
        (("1000", "600"), Decimal("0.4")),
        (("1000", "1200", "900", "1100", "1000"), Decimal("0.25")),
        (("1000", "0", "0"), 1),
    ],
)
def test_a_drawdown_is_the_deepest_fall_from_a_peak(values: tuple[str, ...], deepest: Decimal | None) -> None:
    assert max_drawdown(days_of(equity_curve(*values))) == deepest


def test_money_put_in_or_taken_out_is_neither_a_gain_nor_a_fall() -> None:
    [*_, last] = walk(None, [a_point("1000"), a_point("500", "500", 1), a_point("1500", "1500", 2)])

    assert (last.growth, last.drawdown, last.peak) == (1, 0, 1)


def test_a_gain_counts_over_what_there_was_before_it() -> None:
    [*_, last] = walk(None, [a_point("1000"), a_point("1100", days=1), a_point("2310", "2000", days=2)])

    assert last.growth == Decimal("1.1") * (1 + Decimal(210) / 1100)


def test_what_nothing_explains_yet_is_not_counted() -> None:
    late = EquityPoint(
        at=TICK, wallet=Decimal(1500), unrealized=Decimal(0), deposited=Decimal(1000), unexplained=Decimal(500)
    )

    [day] = walk(None, [late])

    assert (day.equity, day.growth) == (1000, 1)


def test_an_account_that_lost_everything_and_more_stays_at_nothing() -> None:
    growths = [day.growth for day in walk(None, equity_curve("1000", "-200", "500", "700"))]

    assert growths == [1, 0, 0, 0]


def test_the_last_point_of_a_day_stands_for_the_day_and_a_day_nobody_looked_for_no_change() -> None:
    points = [*equity_curve("1000", "1300", "1100", step=timedelta(hours=5)), a_point("1210", days=3)]

    assert daily_returns(days_of(points)) == pytest.approx([0.0, 0.0, 0.1])


def test_a_day_keeps_its_peak_and_its_deepest_fall_whatever_came_later() -> None:
    [day] = days_of(equity_curve("1000", "1250", "1000", "1100", step=timedelta(hours=1)))

    assert (day.high, day.high_at) == (Decimal("1.25"), TICK + timedelta(hours=1))
    assert (day.deepest, day.deepest_at, day.drawdown) == (1, TICK + timedelta(hours=2), Decimal("0.2"))
    assert day.growth == Decimal("1.1")
    assert [point.drawdown for point in outline([day])] == [0, Decimal("0.2"), Decimal("0.12")]


worths = st.lists(st.integers(1, 3000), min_size=1, max_size=60)


@given(worths)
def test_growth_and_drawdown_are_what_pandas_makes_of_the_same_curve(values: list[int]) -> None:
    days = list(walk(None, equity_curve(*map(str, values), step=timedelta(hours=5))))

    equity = pd.Series(values, dtype=float)
    growth = equity / equity.iloc[0]
    assert [float(day.growth) for day in days] == pytest.approx(list(growth))
    falls = [float(1 - day.growth / day.peak) for day in days]
    assert falls == pytest.approx(list(1 - growth / growth.cummax()), abs=1e-12)


drawn = st.lists(
    st.builds(CurvePoint, at=st.just(TICK), growth=st.decimals(0, 9, places=3), drawdown=st.decimals(0, 1, places=3)),
    max_size=80,
)


@given(points=drawn, most=st.integers(5, 40))
def test_thinning_keeps_the_ends_and_the_extremes_within_what_was_asked_for(
    points: list[CurvePoint], most: int
) -> None:
    kept = thinned(points, most)

    assert len(kept) <= most
    assert len(kept) == len(points) or len(points) > most
    if points:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
        for extreme in (
            max(point.growth for point in points),
            min(point.growth for point in points),
        ):
            assert extreme in [point.growth for point in kept]
        assert max(point.drawdown for point in points) in [point.drawdown for point in kept]
