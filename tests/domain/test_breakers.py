"""Breakers: each trips at its limit and not before, and is lifted as configured and not otherwise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import Breaker, Lift, RiskLimits
from shared.domain.breakers import Figures, midnight, trips
from shared.domain.performance import Combined
from tests.builders import TICK, some_marks

LIMITS = RiskLimits()
OTHERS = Combined(accounts=1, equity=Decimal(1000), day=Decimal(1000), peak=Decimal(1000), exposure=Decimal(0))


def figures(**changes: Any) -> Figures:
    """An account that is worth the 1000 it always was, and holds nothing."""
    usual = Figures(
        equity=Decimal(1000),
        marks=some_marks(),
        exposure=Decimal(0),
        others=None,
        losses=0,
        model_failures=0,
        order_refusals=0,
    )
    return replace(usual, **changes)


def among(day: str = "1000", peak: str = "1000", exposure: str = "0", **changes: Any) -> Figures:
    """With another account, worth 1000."""
    marks = {"day": Decimal(day), "peak": Decimal(peak), "exposure": Decimal(exposure)}
    return figures(others=replace(OTHERS, **marks), **changes)


def losing(equity: str, day: str = "1000", peak: str = "1000") -> Figures:
    return figures(equity=Decimal(equity), marks=some_marks(day, peak))


CASES = [
    # breaker, just does not trip, just trips
    (Breaker.DAILY_LOSS, losing("950.001"), losing("950")),
    (Breaker.DAILY_LOSS, losing("0", day="0", peak="0"), losing("0", day="0.001", peak="0")),
    (Breaker.DRAWDOWN, losing("960.001", peak="1200"), losing("960", peak="1200")),
    (Breaker.EXPOSURE, figures(exposure=Decimal("1999.999")), figures(exposure=Decimal(2000))),
    (
        Breaker.EXPOSURE,
        figures(equity=Decimal("0.5"), marks=some_marks("0.5", "0.5"), exposure=Decimal("0.999")),
        figures(equity=Decimal("0.5"), marks=some_marks("0.5", "0.5"), exposure=Decimal(1)),
    ),
    (
        Breaker.EXPOSURE,
        figures(equity=Decimal(0), marks=some_marks("0", "0")),
        figures(equity=Decimal(0), marks=some_marks("0", "0"), exposure=Decimal("0.001")),
    ),
    (Breaker.LOSING_STREAK, figures(losses=5), figures(losses=6)),
    (Breaker.MODEL_FAILURES, figures(model_failures=5), figures(model_failures=6)),
    (Breaker.ORDER_REFUSALS, figures(order_refusals=5), figures(order_refusals=6)),
    # 2000 are left of what all accounts had
    (Breaker.GLOBAL_DAILY_LOSS, among(day="1105.26"), among(day="1105.27")),
    (Breaker.GLOBAL_DRAWDOWN, among(peak="1499.99"), among(peak="1500")),
    (Breaker.GLOBAL_EXPOSURE, among(exposure="3999.999"), among(exposure="4000")),
    # one account's gain makes up for another's loss
    (
        Breaker.GLOBAL_DAILY_LOSS,
        among(day="1150", marks=some_marks(day="950")),
        among(day="1060", marks=some_marks(day="1046")),
    ),
    (
        Breaker.GLOBAL_DRAWDOWN,
        among(peak="1400", marks=some_marks(peak="1000")),
        among(peak="1300", marks=some_marks(peak="1200")),
    ),
    (
        Breaker.GLOBAL_EXPOSURE,
        replace(among(exposure="3000"), exposure=Decimal("999.999")),
        replace(among(exposure="3000"), exposure=Decimal(1000)),
    ),
]


@pytest.mark.parametrize(("breaker", "before", "at"), CASES)
def test_a_breaker_trips_at_its_limit_and_not_before(breaker: Breaker, before: Figures, at: Figures) -> None:
    assert trips(before, LIMITS, TICK) == []

    [trip] = trips(at, LIMITS, TICK)

    assert (trip.breaker, trip.at) == (breaker, TICK)


def test_every_breaker_has_a_case_that_just_trips_it_and_one_that_just_does_not() -> None:
    assert {breaker for breaker, *_ in CASES} == set(Breaker)


def test_a_trip_says_why_in_words_and_numbers() -> None:
    told = {
        trip.breaker: (trip.reason, trip.saw["value"], trip.saw["limit"])
        for case in CASES
        for trip in trips(case[2], LIMITS, TICK)
    }
    [fall, *_] = trips(losing("930", day="1000", peak="1000"), LIMITS, TICK)

    assert fall.reason == "the account lost 7.00% today"
    assert fall.saw == {"value": "0.0700", "limit": "0.05"}
    assert told == {
        Breaker.DAILY_LOSS: ("the account lost 100.00% today", "1.0000", "0.05"),
        Breaker.DRAWDOWN: ("the account lost 20.00% from its peak", "0.2000", "0.20"),
        Breaker.EXPOSURE: ("the positions are Infinity times the equity", "Infinity", "2"),
        Breaker.LOSING_STREAK: ("6 exits in a row lost", "6.0000", "6"),
        Breaker.MODEL_FAILURES: ("6 cycles in a row had no answer", "6.0000", "6"),
        Breaker.ORDER_REFUSALS: ("6 entries in a row were refused", "6.0000", "6"),
        Breaker.GLOBAL_DAILY_LOSS: ("all accounts lost 5.03% today", "0.0503", "0.05"),
        Breaker.GLOBAL_DRAWDOWN: ("all accounts are 20.00% below their peaks", "0.2000", "0.20"),
        Breaker.GLOBAL_EXPOSURE: ("the positions of all accounts are 2.00 times what they are worth", "2.0000", "2"),
    }


def test_one_that_stands_is_not_tripped_again() -> None:
    fallen = losing("700")

    assert [each.breaker for each in trips(fallen, LIMITS, TICK)] == [Breaker.DAILY_LOSS, Breaker.DRAWDOWN]
    assert [each.breaker for each in trips(fallen, LIMITS, TICK, standing={Breaker.DAILY_LOSS})] == [Breaker.DRAWDOWN]


def test_a_day_ends_at_midnight_and_a_cool_off_when_it_is_over_and_a_person_may_take_any_time() -> None:
    limits = RiskLimits(
        lift_next_day=(Breaker.DAILY_LOSS, Breaker.DRAWDOWN),
        lift_by_hand=(Breaker.DRAWDOWN,),
        cool_off=timedelta(hours=3),
    )
    now = datetime(2026, 3, 2, 13, 14, 15, 16, tzinfo=UTC)
    figures = replace(losing("700"), losses=6)

    day, fall, streak = trips(figures, limits, now)

    assert day.lifts_at == datetime(2026, 3, 3, tzinfo=UTC)
    assert fall.lifts_at is None
    assert streak.lifts_at == now + timedelta(hours=3)
    assert [limits.lift(each.breaker) for each in (day, fall, streak)] == [Lift.NEXT_DAY, Lift.BY_HAND, Lift.COOL_OFF]
    assert midnight(now) == datetime(2026, 3, 2, tzinfo=UTC)


def test_what_is_open_is_closed_only_where_that_was_asked_for() -> None:
    limits = RiskLimits(flatten_on=(Breaker.DRAWDOWN,))

    assert [each.flatten for each in trips(losing("700"), limits, TICK)] == [False, True]


def test_an_account_that_holds_nothing_is_exposed_to_nothing() -> None:
    assert trips(figures(), RiskLimits(max_exposure_held=Decimal("0.1")), TICK) == []
