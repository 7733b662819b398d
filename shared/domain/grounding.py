"""
Grounding: what a decision cites is held against what the model was shown.

Pure. The rationale, the exit plan's text and the reasoning of the whole answer are searched for what they state as
facts: prices and ranges of them, values of indicators, funding rates, the price of now, and a position that is held.
The reasoning may speak of any asset, so it is held against all of them, and it belongs to every decision. A number is
grounded when the model was shown it, rounded as it may be, or when it lies within the range that was shown; levels that
the answer proposes by itself are no citations. What is found to be made up is flagged with the number and where it was
looked for, and refuses an entry as the account's policy says. False alarms cost trades, so a number counts as cited
only where its words leave little doubt: a threshold ("RSI above 70"), a percentage, a multiple, a period or a time is
none.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

_FIGURE = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_AMOUNT = rf"\$?(?P<number>{_FIGURE})(?P<thousands>k\b)?"
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
RANGE = re.compile(
    r"(?P<now>\b(?:trad(?:ing|es)|(?:now|currently|price\sis)(?:\strading)?)\s)?"
    r"(?P<word>\b(?:between|from|range(?:\sof)?|in\sthe|zone(?:\sof)?)\s)?"
    rf"{_START}\$?(?P<low>{_FIGURE})(?P<low_k>k\b)?(?:\s?[-–—]\s?|\s(?:and|to)\s)"
    rf"\$?(?P<high>{_FIGURE})(?P<high_k>k\b)?{_NO_UNIT}",
    re.IGNORECASE,
)
FUNDING = re.compile(
    rf"\bfunding(?:\s+rates?)?(?:{_IS})*\s+(?P<sign>[+-]?)(?<![\w.,])(?P<number>{_FIGURE})(?![\d.,:]\d|[A-Za-z\d])"
    r"\s?(?P<part>%|percent\b|bps\b|basis\spoints\b)?(?!\s?(?:annual|a\syear|per\syear|apr\b|apy\b|daily|a\sday|per\sday))",
    re.IGNORECASE,
)
PARTS = {"%": Decimal(100), "percent": Decimal(100), "bps": Decimal(10_000), "basis points": Decimal(10_000)}
LARGEST_FUNDING = Decimal("0.05")
"""A bare number that is larger is no funding rate but an hour, say, or an amount."""
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
    funding: dict[str, list[Decimal]] = field(default_factory=dict)
    held: set[tuple[str, Direction]] = field(default_factory=set)

    def marks(self, asset: str) -> Decimal | None:
        """Return the price of an asset now: the first that was shown."""
        return next(iter(self.prices.get(asset, ())), None)


def shown(briefing: Mapping[str, Any], tool_answers: Sequence[str] = ()) -> Shown:
    """Return what *briefing* and the answers of tools put before the model."""
    seen = Shown()
    for asset, market in briefing.get("market", {}).items():
        seen.funding[asset] = _each(market.get("funding_rate"))
        seen.prices[asset] = [*_each(market.get("mark_price")), *_each(market.get("index_price"))]
        for view in market.get("timeframes", {}).values():
            for name, values in view.get("series", {}).items():
                numbers = _each(values)
                seen.indicators.setdefault(asset, {}).setdefault(name, []).extend(numbers)
                if name.startswith(PRICES):
                    seen.prices[asset] += numbers
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


def ground(
    decision: Decision, seen: Shown, policy: Grounding, *, reasoning: str = "", proposed: Iterable[Decimal] = ()
) -> Finding:
    """Find what *decision*, or the *reasoning* of the answer it stands in, cites and the model was not shown.

    Levels that the answer has *proposed* by itself are no citations.
    """
    made_up = [] if policy is Grounding.OFF else list(_made_up(decision, seen, reasoning, set(proposed)))
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


def levels(decision: Decision) -> Iterator[Decimal]:
    """Yield the prices that *decision* proposes by itself."""
    yield from (level for _, level in _own_levels(decision))


def _made_up(decision: Decision, seen: Shown, reasoning: str, proposed: set[Decimal]) -> Iterator[_Made]:
    yield from _levels(decision, seen)
    text = f"{decision.rationale} \n {decision.exit_plan.text}"
    yield from _cited(text, (decision.asset,), seen, set(levels(decision)))
    yield from _cited(reasoning, tuple(seen.prices), seen, proposed | set(levels(decision)))


def _cited(text: str, assets: Sequence[str], seen: Shown, own: set[Decimal]) -> Iterator[_Made]:
    """Yield what *text*, which speaks of *assets*, cites and was not shown."""
    quotes = list(QUOTE.finditer(text))
    taken = [(match.start(), match.end()) for match in quotes]
    for match in quotes:
        yield from _quote(match, seen, own)
    for pattern, check in ((FUNDING, _funding), (INDICATOR, _value), (RANGE, _range), (PRICE, _price)):
        for match in pattern.finditer(text):
            begins = match.start("low" if pattern is RANGE else "number")  # the words before it may be another's
            if not any(begins < end and start < match.end() for start, end in taken):
                taken.append((match.start(), match.end()))
                yield from check(match, assets, seen, own)
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


def _funding(match: re.Match[str], assets: Sequence[str], seen: Shown, _own: set[Decimal]) -> Iterator[_Made]:
    number = Decimal(match["number"].replace(",", ""))
    part = PARTS[" ".join(match["part"].lower().split())] if match["part"] else Decimal(1)
    rate, unit = number / part, Decimal(1).scaleb(_last_place(number)) / part
    if not match["part"] and (rate > LARGEST_FUNDING or _known(number, unit, seen.told)):
        return
    rates = [rate for asset in assets for rate in seen.funding.get(asset, ())]
    like = [each for each in rates if match["sign"] != "-" or each <= 0]
    if not _known(rate, unit, {abs(each) for each in like}):
        shown_rates = ", ".join(f"{each:f}" for each in rates)
        yield _Made(match[0].strip(), f"funding rates shown: {shown_rates or 'none'}")


def _value(match: re.Match[str], assets: Sequence[str], seen: Shown, _own: set[Decimal]) -> Iterator[_Made]:
    number, unit = _number(match)
    number = -number if match["sign"] else number
    kind, period = match["name"].lower()[:5], match["period"]
    if not match["is"] and number == int(number) and (kind not in OSCILLATORS or number in PERIODS):
        return  # EMA 20: a period
    shown_values = [
        [
            value
            for name, values in seen.indicators.get(asset, {}).items()
            if name.startswith(kind) and (period is None or not name[-1].isdigit() or name == f"{kind}_{period}")
            for value in values
        ]
        for asset in assets
    ]
    known = {*(value for values in shown_values for value in values), *seen.told}
    if _known(number, unit, known) or any(_within(number, values) for values in shown_values):
        return
    yield _Made(match[0].strip(), f"shown: {_spans(shown_values)}" if any(shown_values) else "it was not shown")


def _range(match: re.Match[str], assets: Sequence[str], seen: Shown, own: set[Decimal]) -> Iterator[_Made]:
    """Check both ends of a range; one in which the price is said to be now must meet prices that were shown."""
    low, high = (Decimal(match[name].replace(",", "")) for name in ("low", "high"))
    thousand = bool(match["high_k"])
    high, low = high * (1000 if thousand else 1), low * (1000 if match["low_k"] or thousand else 1)
    near = [asset for asset in assets if _near(low, asset, seen) or _near(high, asset, seen)]
    if low >= high or not near:
        return
    ranges = [seen.prices[asset] for asset in near]
    if match["now"] and not any(min(each) <= high and low <= max(each) for each in ranges):
        yield _Made(match[0].strip(), f"prices shown: {_spans(ranges)}", claim=True)
        return
    clear = match["word"] or match["now"] or thousand or "$" in match[0] or len(match["high"]) >= CLEAR_DIGITS
    ends = (
        (low, _unit(match["low"], thousand=low >= 1000 and thousand)),
        (high, _unit(match["high"], thousand=thousand)),
    )
    for number, unit in ends:
        if clear and not _known(number, unit, seen.numbers | own) and not any(_within(number, each) for each in ranges):
            yield _Made(match[0].strip(), f"prices shown: {_spans(ranges)}")
            return


def _price(match: re.Match[str], assets: Sequence[str], seen: Shown, own: set[Decimal]) -> Iterator[_Made]:
    number, unit = _number(match)
    ranges = [seen.prices[asset] for asset in assets if _near(number, asset, seen)]
    if not ranges:
        return
    digits = len(match["number"].replace(",", "").replace(".", "").lstrip("0"))
    clear = match["word"] or "$" in match[0] or "," in match["number"] or digits >= CLEAR_DIGITS
    if clear and not _known(number, unit, seen.numbers | own) and not any(_within(number, each) for each in ranges):
        yield _Made(match[0].strip(), f"prices shown: {_spans(ranges)}")


def _near(number: Decimal, asset: str, seen: Shown) -> bool:
    mark = seen.marks(asset)
    return mark is not None and mark > 0 and abs(number - mark) <= mark * NEAR


def _spans(ranges: Iterable[Sequence[Decimal]]) -> str:
    return "; ".join(f"{min(each):f} to {max(each):f}" for each in ranges if each)


def _number(match: re.Match[str]) -> tuple[Decimal, Decimal]:
    """Return the number a text cites and the unit of its last digit that is not a rounded zero."""
    number = Decimal(match["number"].replace(",", ""))
    return number * (1000 if match["thousands"] else 1), _unit(match["number"], thousand=bool(match["thousands"]))


def _unit(text: str, *, thousand: bool) -> Decimal:
    unit = Decimal(1).scaleb(_last_place(Decimal(text.replace(",", ""))))
    return unit * 1000 if thousand else unit


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


def _each(value: Any) -> list[Decimal]:
    """Return every number in a value made of JSON's parts, numbers written as text among them."""
    found: list[Decimal] = []
    _gather(value, found)
    return found


def _gather(value: Any, found: list[Decimal]) -> None:
    match value:
        case bool() | None:
            pass
        case float() | int() | str() | Decimal():
            try:
                number = Decimal(str(value))
            except InvalidOperation:
                return
            if number.is_finite():
                found.append(number)
        case dict():
            for item in value.values():
                _gather(item, found)
        case list() | tuple():
            for item in value:
                _gather(item, found)
