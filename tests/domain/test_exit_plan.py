"""A plan that has come true says so, and one that has not, or that nobody can judge, does not."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.decision import Comparison, Condition, ExitPlan, Expiry, IndicatorRule, Invalidation
from shared.domain.exit_plan import Sight, come_true, enforceable, lies_ahead, rules, sound_views
from shared.domain.market import Timeframe
from shared.domain.snapshot import Indicators
from tests.builders import TICK, a_snapshot

M5, H4 = Timeframe.M5, Timeframe.H4
EARLIER = TICK - timedelta(minutes=15)
"""Three candles of five minutes ago."""


def view(**series: Any) -> Indicators:
    usual = {"close": (103.0, 102.0, 101.0, 100.0), "ema_20": (100.5, 100.5, 100.5, 100.5)} | series
    return Indicators(candles=300, series=usual, latest={name: values[-1] for name, values in usual.items()})


def sight(mark: str = "100", now: datetime = TICK, **series: Any) -> Sight:
    return Sight(now=now, mark_price=Decimal(mark), tick=TICK, views={M5: view(**series)})


def on_price(condition: Condition, price: str, timeframe: Timeframe | None = M5) -> ExitPlan:
    return ExitPlan(text="", invalidation=Invalidation(timeframe=timeframe, condition=condition, price=Decimal(price)))


def on_indicator(comparison: Comparison, value: str | None = None, *, name: str = "rsi_14", **rule: Any) -> ExitPlan:
    number = None if value is None else Decimal(value)
    return ExitPlan(
        text="", indicator=IndicatorRule(**{"timeframe": M5} | rule, name=name, comparison=comparison, value=number)
    )


@pytest.mark.parametrize(
    ("condition", "price", "said"),
    [
        (Condition.CLOSE_BELOW, "100.1", "exit plan: 5m close below 100.1, seen 100.0"),
        (Condition.CLOSE_BELOW, "100", None),
        (Condition.CLOSE_BELOW, "99.9", None),
        (Condition.CLOSE_ABOVE, "101.9", "exit plan: 5m close above 101.9, seen 102.0"),
        (Condition.CLOSE_ABOVE, "102", None),
        (Condition.MARK_BELOW, "100.1", "exit plan: mark price below 100.1, seen 100"),
        (Condition.MARK_BELOW, "100", None),
        (Condition.MARK_ABOVE, "99.9", "exit plan: mark price above 99.9, seen 100"),
        (Condition.MARK_ABOVE, "100", None),
    ],
)
def test_a_price_beyond_the_level_ends_it_and_one_at_the_level_does_not(
    condition: Condition, price: str, said: str | None
) -> None:
    assert come_true(on_price(condition, price), EARLIER, sight()) == said


def test_a_candle_that_closed_before_the_plan_was_made_does_not_count() -> None:
    above = on_price(Condition.CLOSE_ABOVE, "102.5")

    assert come_true(above, EARLIER, sight()) is None
    assert come_true(above, EARLIER - timedelta(seconds=1), sight())


def test_a_candle_of_a_missed_cycle_counts() -> None:
    assert come_true(on_price(Condition.CLOSE_BELOW, "99"), EARLIER, sight(close=(103.0, 98.0, 101.0, 102.0)))


def test_a_candle_that_is_still_open_at_the_tick_does_not_count() -> None:
    four_hours = Sight(
        now=TICK, mark_price=Decimal(100), tick=TICK + timedelta(hours=1), views={H4: view(close=(103.0, 98.0))}
    )

    assert come_true(on_price(Condition.CLOSE_BELOW, "99", H4), TICK, four_hours) is None
    assert come_true(on_price(Condition.CLOSE_BELOW, "99", H4), TICK - timedelta(minutes=5), four_hours)


@pytest.mark.parametrize(
    ("comparison", "value", "series", "true"),
    [
        (Comparison.ABOVE, "70", (60.0, 60.0, 60.0, 70.1), True),
        (Comparison.ABOVE, "70", (60.0, 60.0, 60.0, 70.0), False),
        (Comparison.ABOVE, "70", (71.0, 60.0, 60.0, 60.0), False),
        (Comparison.BELOW, "30", (40.0, 29.9, 40.0, 40.0), True),
        (Comparison.BELOW, "30", (40.0, 30.0, 40.0, 40.0), False),
        (Comparison.CROSSES_ABOVE, "70", (69.0, 71.0, 71.0, 71.0), True),
        (Comparison.CROSSES_ABOVE, "70", (71.0, 71.0, 71.0, 71.0), False),
        (Comparison.CROSSES_ABOVE, "70", (None, None, None, 71.0), False),
        (Comparison.CROSSES_BELOW, "70", (71.0, 71.0, 71.0, 69.0), True),
        (Comparison.CROSSES_BELOW, "70", (69.0, 69.0, 71.0, 71.0), False),
        (Comparison.CROSSES_BELOW, "0", (-1.0, 0.5, 0.2, -0.1), True),
    ],
)
def test_an_indicator_is_held_against_a_value(
    comparison: Comparison, value: str, series: tuple[float | None, ...], true: bool
) -> None:
    found = come_true(on_indicator(comparison, value), EARLIER, sight(rsi_14=series))

    assert bool(found) is true


def test_an_indicator_is_held_against_another() -> None:
    crossed = on_indicator(Comparison.CROSSES_BELOW, name="close", than="ema_20")

    assert come_true(crossed, EARLIER, sight()) == "exit plan: 5m close crosses below ema_20, seen 100.0 to 100.5"
    assert come_true(crossed, EARLIER, sight(ema_20=(99.0, 99.0, 99.0, 99.0))) is None
    assert come_true(crossed, EARLIER, sight(ema_20=(None, None, None, 100.5))) is None


@pytest.mark.parametrize(
    ("expiry", "after"),
    [
        (Expiry(candles=3, timeframe=M5), timedelta(minutes=15)),
        (Expiry(candles=1, timeframe=H4), timedelta(hours=4)),
        (Expiry(at=TICK + timedelta(minutes=7)), timedelta(minutes=7)),
        (Expiry(candles=3, timeframe=M5, at=TICK + timedelta(minutes=7)), timedelta(minutes=7)),
        (Expiry(candles=1, timeframe=M5, at=TICK + timedelta(minutes=7)), timedelta(minutes=5)),
    ],
)
def test_a_plan_ends_at_its_time_and_not_before(expiry: Expiry, after: timedelta) -> None:
    plan = ExitPlan(text="", expiry=expiry)

    assert come_true(plan, TICK, sight(now=TICK + after - timedelta(seconds=1))) is None
    assert come_true(plan, TICK, sight(now=TICK + after)) is not None


def test_candles_are_counted_from_the_one_that_was_open_when_the_plan_was_made() -> None:
    plan = ExitPlan(text="", expiry=Expiry(candles=1, timeframe=H4))

    assert come_true(plan, TICK - timedelta(minutes=5), sight(now=TICK)) is not None


@pytest.mark.parametrize(
    "plan",
    [
        ExitPlan(text="when it feels wrong"),
        on_price(Condition.CLOSE_BELOW, "1000", H4),
        on_indicator(Comparison.BELOW, "1000", name="rsi_9"),
        on_indicator(Comparison.BELOW, name="close", than="ema_9"),
        on_indicator(Comparison.BELOW, "1000", timeframe=H4),
    ],
)
def test_what_cannot_be_judged_does_not_come_true(plan: ExitPlan) -> None:
    assert come_true(plan, EARLIER, sight()) is None


def test_no_price_is_no_price_below() -> None:
    assert come_true(on_price(Condition.MARK_BELOW, "100", None), EARLIER, sight("0")) is None


def test_data_that_cannot_be_trusted_is_not_looked_at() -> None:
    snapshot = a_snapshot()

    assert sound_views(snapshot, "BTCUSDT")
    assert sound_views(replace(snapshot, defects={"BTCUSDT": "gap"}), "BTCUSDT") == {}
    assert sound_views(snapshot, "DOGEUSDT") == {}


def test_rules_on_what_is_not_shown_are_said_not_to_be_enforced() -> None:
    plan = ExitPlan(
        text="x",
        invalidation=Invalidation(timeframe=H4, condition=Condition.CLOSE_BELOW, price=Decimal(90)),
        indicator=IndicatorRule(timeframe=M5, name="rsi_9", comparison=Comparison.ABOVE, value=Decimal(70)),
        expiry=Expiry(candles=2, timeframe=H4),
        unenforced=("the moon",),
    )

    kept = enforceable(plan, {M5: view()})

    assert list(rules(kept)) == ["the end after 2 candles of 4h"]
    assert kept.unenforced == (
        "the moon",
        "4h close below 90 (these candles are not shown)",
        "5m rsi_9 above 70 (not shown)",
    )


def test_a_plan_on_what_is_shown_stays_as_it_is() -> None:
    plan = replace(on_price(Condition.CLOSE_BELOW, "90"), indicator=on_indicator(Comparison.ABOVE, "1").indicator)

    assert enforceable(plan, {M5: view(rsi_14=(50.0,))}) == plan


@pytest.mark.parametrize(
    ("plan", "ahead"),
    [
        (on_price(Condition.CLOSE_BELOW, "99"), True),
        (on_price(Condition.CLOSE_BELOW, "100.5"), False),
        (on_price(Condition.CLOSE_ABOVE, "102.5"), True),
        (on_price(Condition.MARK_ABOVE, "99"), False),
        (on_indicator(Comparison.BELOW, name="close", than="ema_20"), False),
        (on_indicator(Comparison.ABOVE, name="close", than="ema_20"), True),
        (on_indicator(Comparison.CROSSES_BELOW, name="close", than="ema_20"), True),
        (ExitPlan(text="", expiry=Expiry(candles=1, timeframe=M5)), True),
        (ExitPlan(text="", expiry=Expiry(candles=1, timeframe=M5, at=TICK)), False),
        (ExitPlan(text="by feel"), True),
    ],
)
def test_an_entry_whose_plan_is_true_already_is_found_out(plan: ExitPlan, ahead: bool) -> None:
    finding = lies_ahead(plan, sight())

    assert (finding.rule, finding.passed) == ("exit_plan", ahead)
    assert bool(finding.reason) is not ahead
