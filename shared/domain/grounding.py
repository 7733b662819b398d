"""
Grounding: what a decision cites is held against what the model was shown.

Pure. The rationale and the exit plan's text are searched for what they state as facts: prices, values of indicators,
the price of now, and a position that is held. A number is grounded when the model was shown it, rounded as it may be,
or when it lies within the range that was shown; levels that the decision proposes by itself are no citations. What is
found to be made up is flagged with the number and where it was looked for, and refuses an entry as the account's policy
says. False alarms cost trades, so a number counts as cited only where its words leave little doubt: a threshold ("RSI
above 70"), a percentage, a multiple, a period or a time is none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from shared.domain.account import Grounding
from shared.domain.decision import Decision
from shared.domain.position import Direction
from shared.domain.rules import Finding

NEAR = Decimal("0.5")
"""A number so far from an asset's price, as a share of it, is not meant as its price."""
SLACK = Decimal("0.01")
"""A cited number may miss the range shown by this share."""
PRICES = ("close", "ema", "sma", "bb", "mark_price", "index_price")
"""Beginnings of the names of what is a price."""
PERIODS = frozenset(map(Decimal, (2, 3, 5, 7, 9, 10, 14, 20, 21, 28)))
"""What stands right behind the name of an oscillator and is no value of it."""
OSCILLATORS = ("rsi", "adx", "stoch")
CLEAR_DIGITS = 4
"""A number of so many digits that lies near the price is meant as a price, whatever words stand before it."""

_AMOUNT = r"\$?(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<thousands>k\b)?"
_NO_UNIT = (
    r"(?![A-Za-z\d]|[.,:]\d|-|\s?%|\s(?:percent|bps|basis|times|candles?|bars?|periods?|minutes?|hours?|days?|atr)\b)"
)
_START = r"(?<![\w.,:/+-])"
_IS = r"\s*(?:\b(?:is|at|of|now|currently|reads|reading)\b|[=:])"
PRICE = re.compile(
    rf"(?P<word>\b(?:support|resistance|level|price|high|low|breakout)\s(?:(?:at|of|near|around|is)\s)?)?"
    rf"{_START}{_AMOUNT}{_NO_UNIT}",
    re.IGNORECASE,
)
INDICATOR = re.compile(
    rf"\b(?P<name>rsi|adx|atr|macd|ema|sma|obv|stoch(?:astic)?)(?:[\s_-]?\(?(?P<period>\d{{1,3}})\)?)?"
    rf"(?P<is>(?:{_IS})+)?\s+(?P<sign>-?)(?<![\w.,]){_AMOUNT}{_NO_UNIT}",
    re.IGNORECASE,
)
QUOTE = re.compile(
    r"\b(?:(?:mark|index|current|last|spot)\sprice(?:\s(?:is|of|at|now|near|around))*"
    r"|(?:now|currently)\s(?:at|(?:trading\s)(?:at|near|around))|trad(?:ing|es)\s(?:at|near|around))"
    rf"\s?[:=~]?\s?{_START}{_AMOUNT}{_NO_UNIT}",
    re.IGNORECASE,
)
HELD = re.compile(
    r"(?P<not>\b(?:no|not|without|any|new|another)\s(?:\w+\s){0,2})?"
    r"\b(?:(?:our|my|existing|current|the\sopen)\s(?:\w+\s)?(?P<side>long|short)\s(?:position|exposure|trade)\b"
    r"|(?:(?:we|i)(?:\s(?:are|am)|'re|'m)(?:\s(?:already|currently|still))?|already)\s(?P<being>long|short)\b(?!-))",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Shown:
    """The numbers a model was shown: all of them, and of each asset the prices, the indicators and what is held."""

    numbers: set[Decimal] = field(default_factory=set)
    told: set[Decimal] = field(default_factory=set)
    """Those of them that tools told."""
    prices: dict[str, list[Decimal]] = field(default_factory=dict)
    indicators: dict[str, dict[str, list[Decimal]]] = field(default_factory=dict)
    held: set[tuple[str, Direction]] = field(default_factory=set)

    def marks(self, asset: str) -> Decimal | None:
        """Return the price of an asset now: the first that was shown."""
        return next(iter(self.prices.get(asset, ())), None)


def shown(briefing: Mapping[str, Any], tool_answers: Sequence[str] = ()) -> Shown:
    """Return what *briefing* and the answers of tools put before the model."""
    seen = Shown()
    for asset, market in briefing.get("market", {}).items():
        seen.prices[asset] = [*_each(market.get("mark_price")), *_each(market.get("index_price"))]
        for view in market.get("timeframes", {}).values():
            for name, values in view.get("series", {}).items():
                kind = seen.prices[asset] if name.startswith(PRICES) else []
                kind += _each(values)
                seen.indicators.setdefault(asset, {}).setdefault(name, []).extend(_each(values))
    for part in ("positions", "open_orders", "recent_fills"):
        for row in briefing.get(part, ()):
            prices = seen.prices.setdefault(row["asset"], [])
            for name in ("mark_price", "entry_price", "liquidation_price", "stop_loss", "take_profit", "price"):
                prices += [number for number in _each(row.get(name)) if number]
    seen.held = {(row["asset"], Direction(row["side"])) for row in briefing.get("positions", ())}
    seen.numbers = {abs(number) for number in _each(briefing)}
    for text in tool_answers:
        seen.told |= {Decimal(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}
    seen.numbers |= seen.told
    return seen


@dataclass(frozen=True, slots=True)
class _Made:
    """Something made up: what was said, why it is none, and whether it is a claim about what is now."""

    said: str
    why: str
    claim: bool = False


def ground(decision: Decision, seen: Shown, policy: Grounding) -> Finding:
    """Find what *decision* cites and the model was not shown."""
    made_up = [] if policy is Grounding.OFF else list(_made_up(decision, seen))
    grave = [each for each in made_up if policy is Grounding.REFUSE or (policy is not Grounding.FLAG and each.claim)]
    prices = seen.prices.get(decision.asset)
    return Finding(
        rule="grounding",
        passed=not (grave and decision.opens),
        saw={
            "policy": policy.value,
            "prices_shown": f"{min(prices):f} to {max(prices):f}" if prices else "none",
            **{f"made_up_{number}": f"{each.said}: {each.why}" for number, each in enumerate(made_up, 1)},
        },
        reason="; ".join(f"{each.said}: {each.why}" for each in grave),
    )


def _made_up(decision: Decision, seen: Shown) -> Iterator[_Made]:
    yield from _levels(decision, seen)
    text = f"{decision.rationale} \n {decision.exit_plan.text}"
    own = {number for _, number in _own_levels(decision)}
    quotes = list(QUOTE.finditer(text))
    values = [match for match in INDICATOR.finditer(text) if not any(_overlap(match, other) for other in quotes)]
    for match in quotes:
        yield from _quote(match, seen, own)
    for match in values:
        yield from _value(match, decision.asset, seen)
    for match in PRICE.finditer(text):
        if not any(_overlap(match, other) for other in (*quotes, *values)):
            yield from _price(match, decision.asset, seen, own)
    for match in HELD.finditer(text):
        side = Direction((match["side"] or match["being"]).upper())
        # The words may speak of another asset's position, so one of that side anywhere will do.
        if not match["not"] and all(direction is not side for _, direction in seen.held):
            yield _Made(match[0].strip(), f"there is no {side.value} position", claim=True)


def _levels(decision: Decision, seen: Shown) -> Iterator[_Made]:
    """Check that what the decision proposes belongs to this market at all."""
    mark = seen.marks(decision.asset)
    for name, level in _own_levels(decision):
        if mark and abs(level - mark) > mark * NEAR:
            yield _Made(f"{name} {level:f}", f"the price shown is {mark:f}", claim=True)


def _own_levels(decision: Decision) -> Iterator[tuple[str, Decimal]]:
    rule = decision.exit_plan.invalidation
    levels = {
        "stop_loss": decision.stop_loss,
        "take_profit": decision.take_profit,
        "invalidation": rule.price if rule else None,
    }
    yield from ((name, level) for name, level in levels.items() if level is not None)


def _quote(match: re.Match[str], seen: Shown, own: set[Decimal]) -> Iterator[_Made]:
    number, unit = _number(match)
    if not _known(number, unit, seen.numbers | own) and not any(_within(number, each) for each in seen.prices.values()):
        ranges = "; ".join(f"{asset} {min(each):f} to {max(each):f}" for asset, each in seen.prices.items() if each)
        yield _Made(match[0].strip(), f"prices shown: {ranges or 'none'}", claim=True)


def _value(match: re.Match[str], asset: str, seen: Shown) -> Iterator[_Made]:
    number, unit = _number(match)
    number = -number if match["sign"] else number
    kind, period = match["name"].lower()[:5], match["period"]
    if not match["is"] and number == int(number) and (kind not in OSCILLATORS or number in PERIODS):
        return  # EMA 20: a period
    shown_values = [
        value
        for name, values in seen.indicators.get(asset, {}).items()
        if name.startswith(kind) and (period is None or not name[-1].isdigit() or name == f"{kind}_{period}")
        for value in values
    ]
    if _known(number, unit, {*shown_values, *seen.told}) or _within(number, shown_values):
        return
    where = f"shown: {min(shown_values):f} to {max(shown_values):f}" if shown_values else "it was not shown"
    yield _Made(match[0].strip(), where)


def _price(match: re.Match[str], asset: str, seen: Shown, own: set[Decimal]) -> Iterator[_Made]:
    number, unit = _number(match)
    mark = seen.marks(asset)
    if not mark or abs(number - mark) > mark * NEAR:
        return
    digits = len(match["number"].replace(",", "").replace(".", "").lstrip("0"))
    clear = match["word"] or "$" in match[0] or "," in match["number"] or digits >= CLEAR_DIGITS
    if clear and not _known(number, unit, seen.numbers | own) and not _within(number, seen.prices[asset]):
        prices = seen.prices[asset]
        yield _Made(match[0].strip(), f"prices shown: {min(prices):f} to {max(prices):f}")


def _number(match: re.Match[str]) -> tuple[Decimal, Decimal]:
    """Return the number a text cites and the unit of its last digit that is not a rounded zero."""
    number = Decimal(match["number"].replace(",", ""))
    unit = Decimal(1).scaleb(_last_place(number))
    return (number * 1000, unit * 1000) if match["thousands"] else (number, unit)


def _last_place(number: Decimal) -> int:
    exponent = int(number.as_tuple().exponent)
    return exponent if exponent < 0 or not number else int(number.normalize().as_tuple().exponent)


def _known(number: Decimal, unit: Decimal, numbers: set[Decimal]) -> bool:
    """Say whether one of *numbers* is *number* once it is rounded to, or cut at, the same digit."""
    return number in numbers or any(abs(each - number) < unit for each in numbers)


def _within(number: Decimal, values: Sequence[Decimal]) -> bool:
    if not values:
        return False
    slack = abs(number) * SLACK
    return min(values) - slack <= number <= max(values) + slack


def _overlap(one: re.Match[str], other: re.Match[str]) -> bool:
    return one.start("number") < other.end() and other.start() < one.end("number")


def _each(value: Any) -> list[Decimal]:
    """Return every number in a value made of JSON's parts, numbers written as text among them."""
    match value:
        case bool() | None:
            return []
        case int() | float() | str() | Decimal():
            try:
                number = Decimal(str(value))
            except InvalidOperation:
                return []
            return [number] if number.is_finite() else []
        case Mapping():
            return [number for item in value.values() for number in _each(item)]
        case list() | tuple():
            return [number for item in value for number in _each(item)]
        case _:
            return []
