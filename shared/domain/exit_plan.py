"""
The exit plan as code keeps it: which of its rules has come true, whatever the model says or fails to say.

Pure. A rule on candles looks at every candle that closed after the plan was made, as far back as the series go, so that
one that came true in a missed cycle is not missed with it. A rule on a timeframe or an indicator that is not shown, or
on data that cannot be trusted, is not judged: the position keeps its stop. Of several rules the first to be found true
ends the position.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from shared.domain.decision import (
    Action,
    Comparison,
    Condition,
    Decision,
    ExitPlan,
    Expiry,
    IndicatorRule,
    Invalidation,
    Source,
)
from shared.domain.market import EPOCH, Timeframe
from shared.domain.rules import Finding
from shared.domain.snapshot import Indicators, Snapshot

CLOSE = "close"
"""The name of the closing price among the indicators."""

MARK_CONDITIONS = frozenset({Condition.MARK_ABOVE, Condition.MARK_BELOW})
UPWARDS = frozenset({Condition.CLOSE_ABOVE, Condition.MARK_ABOVE, Comparison.ABOVE, Comparison.CROSSES_ABOVE})
CROSSINGS = frozenset({Comparison.CROSSES_ABOVE, Comparison.CROSSES_BELOW})

Views = Mapping[Timeframe, Indicators]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a plan is held against: the mark price now, and the indicators of one symbol as of a tick."""

    now: datetime
    mark_price: Decimal
    tick: datetime
    views: Views


def sound_views(snapshot: Snapshot, symbol: str) -> Views:
    """Return the indicators of *symbol*; none where its data cannot be trusted."""
    return {} if symbol in snapshot.defects else snapshot.indicators.get(symbol, {})


def come_true(plan: ExitPlan, made_at: datetime, sight: Sight) -> str | None:
    """Return in words which rule of a plan made at *made_at* has come true, or None."""
    return next(
        (
            f"exit plan: {said}"
            for said in (
                _price(plan.invalidation, made_at, sight),
                _indicator(plan.indicator, made_at, sight),
                _time(plan.expiry, made_at, sight),
            )
            if said
        ),
        None,
    )


def close_by_plan(symbol: str, plan: ExitPlan, why: str) -> Decision:
    """Return the close of a position whose plan has come true."""
    return Decision(
        asset=symbol,
        action=Action.CLOSE,
        allocation_usd=Decimal(0),
        leverage=1,
        stop_loss=None,
        take_profit=None,
        confidence=Decimal(1),
        exit_plan=plan,
        rationale=why,
        source=Source.EXIT_PLAN,
    )


def lies_ahead(plan: ExitPlan, sight: Sight) -> Finding:
    """Find whether an entry may be made with *plan*: not when it would be closed again at once."""
    last = {timeframe: _last_candle(view) for timeframe, view in sight.views.items()}
    # The entry starts the counting of candles, and a crossing of the past is past.
    moment = plan.expiry and replace(plan.expiry, candles=None)
    true = come_true(replace(plan, expiry=moment), EPOCH, replace(sight, views=last))
    return Finding(
        rule="exit_plan",
        passed=true is None,
        saw={"rules": ", ".join(rules(plan)) or "none", "not_enforced": ", ".join(plan.unenforced) or "none"},
        reason=f"it would be closed again at once by its own {true}",
    )


def rules(plan: ExitPlan) -> Iterator[str]:
    """Yield in words each rule that code enforces."""
    if plan.invalidation:
        yield _price_words(plan.invalidation)
    if plan.indicator:
        yield _indicator_words(plan.indicator)
    if plan.expiry:
        yield _expiry_words(plan.expiry)


def enforceable(plan: ExitPlan, views: Views) -> ExitPlan:
    """Return *plan* with those rules that *views* cannot tell about moved to what is not enforced."""
    lost = []
    invalidation, indicator = plan.invalidation, plan.indicator
    if invalidation and invalidation.timeframe and invalidation.timeframe not in views:
        lost.append(f"{_price_words(invalidation)} (these candles are not shown)")
        invalidation = None
    if indicator and not _shown(indicator, views):
        lost.append(f"{_indicator_words(indicator)} (not shown)")
        indicator = None
    return replace(plan, invalidation=invalidation, indicator=indicator, unenforced=(*plan.unenforced, *lost))


def _last_candle(view: Indicators) -> Indicators:
    return replace(view, series={name: values[-1:] for name, values in view.series.items()})


def _shown(rule: IndicatorRule, views: Views) -> bool:
    names = {rule.name} if rule.than is None else {rule.name, rule.than}
    return rule.timeframe in views and names <= views[rule.timeframe].series.keys()


def _price(rule: Invalidation | None, made_at: datetime, sight: Sight) -> str | None:
    if rule is None:
        return None
    if rule.condition in MARK_CONDITIONS:
        seen = [sight.mark_price] if sight.mark_price > 0 else []
    elif rule.timeframe and rule.timeframe in sight.views:
        seen = [Decimal(repr(close)) for _, close in _since(CLOSE, rule.timeframe, made_at, sight)]
    else:
        return None
    found = next((price for price in seen if _beyond(price, rule.price, rule.condition)), None)
    return None if found is None else f"{_price_words(rule)}, seen {found:f}"


def _indicator(rule: IndicatorRule | None, made_at: datetime, sight: Sight) -> str | None:
    if rule is None or not _shown(rule, sight.views):
        return None
    than = dict(_of(rule.than, rule.timeframe, sight)) if rule.than else {}
    before: bool | None = None
    for closed_at, value in _of(rule.name, rule.timeframe, sight):
        bar = rule.value if rule.than is None else _decimal(than.get(closed_at))
        if bar is None:
            before = None
            continue
        number = Decimal(repr(value))
        now = _beyond(number, bar, rule.comparison)
        crossed = now and before is False
        if closed_at > made_at and (crossed if rule.comparison in CROSSINGS else now):
            return f"{_indicator_words(rule)}, seen {number:f}" + (f" to {bar:f}" if rule.than else "")
        before = now
    return None


def _time(rule: Expiry | None, made_at: datetime, sight: Sight) -> str | None:
    if rule is None:
        return None
    moments = [rule.at] if rule.at else []
    if rule.candles and rule.timeframe:
        moments.append(rule.timeframe.back(rule.timeframe.open_at(made_at), -rule.candles))
    return f"{_expiry_words(rule)} has come" if moments and min(moments) <= sight.now else None


def _since(name: str, timeframe: Timeframe, made_at: datetime, sight: Sight) -> list[tuple[datetime, float]]:
    return [(closed_at, value) for closed_at, value in _of(name, timeframe, sight) if closed_at > made_at]


def _of(name: str, timeframe: Timeframe, sight: Sight) -> list[tuple[datetime, float]]:
    """Return when each candle closed and the value then, oldest first. The last closed at the tick or before."""
    values = sight.views[timeframe].series.get(name, ())
    last = timeframe.open_at(sight.tick)
    dated = ((timeframe.back(last, len(values) - 1 - place), value) for place, value in enumerate(values))
    return [(closed_at, value) for closed_at, value in dated if value is not None]


def _beyond(number: Decimal, bar: Decimal, condition: Condition | Comparison) -> bool:
    return number > bar if condition in UPWARDS else number < bar


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(repr(value))


def _price_words(rule: Invalidation) -> str:
    what, _, way = rule.condition.value.partition("_")
    subject = "mark price" if what == "mark" else f"{rule.timeframe} close"
    return f"{subject} {way} {rule.price:f}"


def _indicator_words(rule: IndicatorRule) -> str:
    comparison = rule.comparison.value.replace("_", " ")
    bar = rule.than if rule.than is not None else f"{rule.value:f}"
    return f"{rule.timeframe} {rule.name} {comparison} {bar}"


def _expiry_words(rule: Expiry) -> str:
    parts = [f"{rule.candles} candles of {rule.timeframe}"] if rule.candles else []
    parts += [rule.at.isoformat(timespec="minutes")] if rule.at else []
    return "the end after " + " or at ".join(parts)
