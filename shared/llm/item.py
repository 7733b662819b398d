"""
One item of an answer, from whatever the model wrote to a Decision.

Numbers may stand as text where the text has one meaning:
- amounts and prices: "97000", "$97,000.50", "500 USDT"; "n/a" and the like count as null;
- leverage: "3", "3x"; a whole number from 1 to 125, what the exchange knows;
- confidence: a number from 0 to 1, or a percentage with its sign, "85%". A bare 85 is refused, as no one can tell
  whether 1 would mean one percent or certainty.

Expressions, ranges and booleans are no numbers. An entry needs every number of its own except the prices of its stop
and its target: those stay None when absent, for the risk review to refuse. A hold or a close needs its asset and action
only, so that no other flaw loses a close: one whose allocation_usd cannot be read closes all, as one without does. A
rule of an exit plan that cannot be read loses that rule alone: it is kept as text, and said not to be enforced.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from shared.domain.decision import (
    Action,
    Comparison,
    Condition,
    Decision,
    ExitPlan,
    Expiry,
    IndicatorRule,
    Invalidation,
)
from shared.domain.market import Timeframe
from shared.llm.schema import EXAMPLE_MARK
from shared.llm.text import inert
from shared.llm.vocabulary import ACTIONS, EVERYTHING, FIELDS, spelled, symbol_names

MAX_LEVERAGE = 125
LARGEST_MAGNITUDE = 12
"""Numbers of a market lie between 1e-12 and 1e13."""
MOST_DIGITS = 40
TEXT_LIMIT = 2000
RULE_LIMIT = 300
MOST_CANDLES = 10_000
YEARS = range(2000, 2200)

PLAIN = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
GROUPED = r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?"
AMOUNT = re.compile(rf"\$?({PLAIN}|{GROUPED})(?: ?USD[TC]?)?")
TIMES = re.compile(rf"({PLAIN}) ?[xX]?")
SHARE = re.compile(rf"({PLAIN})")
INDICATOR = re.compile(r"[A-Za-z][A-Za-z0-9_ ().,-]{0,39}", re.ASCII)
PERCENTAGE = re.compile(rf"({PLAIN}) ?%")
PLACEHOLDERS = frozenset({"", "-", "n/a", "na", "none", "null"})

Fields = Mapping[str, Sequence[Any]]
Rule = TypeVar("Rule", Invalidation, IndicatorRule, Expiry)


class BadItem(ValueError):
    """An item that is no decision: `code` for machines, the message for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class ItemReader:
    """Reads the items of one answer, which may speak of *symbols*; collects in `repairs` what it had to repair."""

    def __init__(self, symbols: Sequence[str]) -> None:
        """Prepare the names of *symbols*."""
        self._names = symbol_names(symbols)
        self.repairs: list[str] = []

    def fields(self, item: object, key: str | None) -> Fields:
        """Return the values of each known field; *key* is the asset where items are keyed by it. Raises BadItem."""
        if not isinstance(item, dict):
            raise BadItem("not_an_object", f"an item is an object, not {_quoted(item)}")
        if "verdict" in item:
            raise BadItem("not_a_decision", "the item is a record of the past, as the prompt shows them")
        if any(isinstance(value, str) and value.startswith(EXAMPLE_MARK) for value in item.values()):
            raise BadItem("example", "the item copies the example of the prompt")
        fields: dict[str, list[Any]] = {"asset": [key]} if key is not None else {}
        for name, value in item.items():
            field = FIELDS.get(spelled(name))
            if field is not None:
                fields.setdefault(field, []).append(value)
                if field != name:
                    self.repairs.append("field_alias")
        return fields

    def sits_out(self, fields: Fields) -> bool:
        """Say whether the item holds everything at once: "ALL: wait"."""
        assets = fields.get("asset", ())
        return [*map(_spelled, assets)] == [EVERYTHING] and self.action(fields) is Action.HOLD

    def asset(self, fields: Fields) -> str:
        """Return the symbol an item is about. Raises BadItem."""
        said = fields.get("asset", ())
        if not said or said[0] is None:
            raise BadItem("missing_asset", "the item names no asset")
        meant = {self._names.get(_spelled(name)) for name in said}
        symbol = meant.pop()
        if meant or symbol is None:
            raise BadItem("unknown_symbol", f"{_quoted(*said)} is none of the symbols asked about")
        if any(name != symbol for name in said):
            self.repairs.append("symbol_alias")
        return symbol

    def action(self, fields: Fields) -> Action:
        """Return what an item wants. Raises BadItem."""
        said = _one(fields, "action")
        if said is None:
            raise BadItem("missing_action", "the item names no action")
        action = ACTIONS.get(_spelled(said))
        if action is None:
            raise BadItem("unknown_action", f"{_quoted(said)} is no action")
        if said != action:
            self.repairs.append("action_alias")
        return action

    def decision(self, fields: Fields, asset: str) -> Decision:
        """Return the decision an item about *asset* states. Raises BadItem."""
        action = self.action(fields)
        if action in {Action.BUY, Action.SELL}:
            return self._entry(fields, asset, action)
        return Decision(
            asset=asset,
            action=action,
            allocation_usd=self._part_or_zero(fields) if action is Action.CLOSE else Decimal(0),
            leverage=1,
            stop_loss=None,
            take_profit=None,
            confidence=self._confidence_or_zero(fields),
            exit_plan=self._plan(fields.get("exit_plan", (None,))[0]),
            rationale=_text(fields, "rationale"),
        )

    def _entry(self, fields: Fields, asset: str, action: Action) -> Decision:
        # Some models name the side next to the action. It decides nothing, but it may not say the opposite.
        for side in fields.get("side", ()):
            if side is not None and ACTIONS.get(_spelled(side)) is not action:
                raise BadItem("conflicting_fields", f"the action is {action.value}, the side {_quoted(side)}")
        allocation = self._amount(fields, "allocation_usd")
        if allocation is None:
            raise BadItem("bad_allocation_usd", "an entry needs an allocation_usd")
        return Decision(
            asset=asset,
            action=action,
            allocation_usd=allocation,
            leverage=self._leverage(fields),
            stop_loss=self._amount(fields, "stop_loss"),
            take_profit=self._amount(fields, "take_profit"),
            confidence=self._confidence(fields),
            exit_plan=self._plan(_one(fields, "exit_plan")),
            rationale=_text(fields, "rationale"),
        )

    def _part_or_zero(self, fields: Fields) -> Decimal:
        try:
            return self._amount(fields, "allocation_usd") or Decimal(0)
        except BadItem:
            return Decimal(0)

    def _amount(self, fields: Fields, name: str) -> Decimal | None:
        return self._positive(_one(fields, name), name)

    def _positive(self, said: object, name: str) -> Decimal | None:
        if said is None or (isinstance(said, str) and said.strip().lower() in PLACEHOLDERS):
            return None
        value = self._number(said, AMOUNT)
        if value is None or value <= 0:
            raise BadItem(f"bad_{name}", f"{name} must be a number above zero, not {_quoted(said)}")
        return value

    def _leverage(self, fields: Fields) -> int:
        said = _one(fields, "leverage")
        value = self._number(said, TIMES)
        if value is None or not 1 <= value <= MAX_LEVERAGE or value != int(value):
            raise BadItem(
                "bad_leverage", f"leverage must be a whole number from 1 to {MAX_LEVERAGE}, not {_quoted(said)}"
            )
        return int(value)

    def _confidence(self, fields: Fields) -> Decimal:
        said = _one(fields, "confidence")
        value = self._number(said, SHARE)
        if value is None and isinstance(said, str):
            percentage = self._number(said, PERCENTAGE)
            value = None if percentage is None else percentage.scaleb(-2)
        if value is None or not 0 <= value <= 1:
            raise BadItem("bad_confidence", f"confidence must be a number from 0 to 1, not {_quoted(said)}")
        return value

    def _confidence_or_zero(self, fields: Fields) -> Decimal:
        try:
            return self._confidence(fields)
        except BadItem:
            return Decimal(0)

    def _number(self, said: object, spelling: re.Pattern[str]) -> Decimal | None:
        """Return a finite number of sane length, or None."""
        if isinstance(said, str):
            match = spelling.fullmatch(said.strip())
            if match is None:
                return None
            self.repairs.append("number_as_text")
            value = Decimal(match[1].replace(",", ""))
        elif isinstance(said, Decimal):
            value = said
        else:
            return None
        if (
            not value.is_finite()
            or abs(value.adjusted()) > LARGEST_MAGNITUDE
            or len(value.as_tuple().digits) > MOST_DIGITS
        ):
            return None
        # Written out, so that 9.7E+4 is nowhere seen again.
        return Decimal(f"{value:f}")

    def _plan(self, said: object) -> ExitPlan:
        """Return the plan; what of it is no rule that code can check is kept as it was said."""
        if said is None or isinstance(said, str):
            return ExitPlan(text=inert(said or "", limit=TEXT_LIMIT))
        if not isinstance(said, dict):
            return ExitPlan(text="", unenforced=(_quoted(said),))
        text = said.get("text")
        unenforced: list[str] = []
        return ExitPlan(
            text=inert(text, limit=TEXT_LIMIT) if isinstance(text, str) else "",
            invalidation=self._rule(said, "invalidation", self._invalidation, unenforced),
            indicator=self._rule(said, "indicator", self._indicator, unenforced),
            expiry=self._rule(said, "expiry", self._expiry, unenforced),
            unenforced=tuple(unenforced),
        )

    def _rule(
        self, plan: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any]], Rule], unenforced: list[str]
    ) -> Rule | None:
        said = plan.get(name)
        if said is None:
            return None
        with suppress(BadItem):
            if isinstance(said, dict):
                return read(said)
        unenforced.append(inert(f"{name}: {_json(said)}", limit=RULE_LIMIT))
        return None

    def _invalidation(self, said: Mapping[str, Any]) -> Invalidation:
        condition, timeframe = said.get("condition"), said.get("timeframe")
        price = self._positive(said.get("price"), "exit_plan")
        if condition not in list(Condition) or price is None:
            raise BadItem("bad_rule", "a rule on a price needs a condition and a price")
        if condition in {Condition.MARK_ABOVE, Condition.MARK_BELOW}:
            return Invalidation(condition=Condition(condition), price=price)
        return Invalidation(timeframe=_timeframe(timeframe), condition=Condition(condition), price=price)

    def _indicator(self, said: Mapping[str, Any]) -> IndicatorRule:
        name, comparison, than = said.get("name"), said.get("comparison"), said.get("than")
        value = said.get("value")
        number = None if value is None else self._number(value, SHARE)
        bars = [bar for bar in (number, than) if bar is not None]
        if comparison not in list(Comparison) or len(bars) != 1 or (value is not None and number is None):
            raise BadItem("bad_rule", "a rule on an indicator needs a comparison, and a value or another indicator")
        return IndicatorRule(
            timeframe=_timeframe(said.get("timeframe")),
            name=_indicator_name(name),
            comparison=Comparison(comparison),
            value=number,
            than=None if than is None else _indicator_name(than),
        )

    def _expiry(self, said: Mapping[str, Any]) -> Expiry:
        candles, at = said.get("after_candles"), said.get("at")
        count = None if candles is None else self._number(candles, SHARE)
        moment = None if at is None else _moment(at)
        if (candles is not None and (count is None or count != int(count) or not 1 <= count <= MOST_CANDLES)) or (
            count is None and moment is None
        ):
            raise BadItem("bad_rule", "an expiry needs a whole number of candles or a moment")
        return Expiry(
            candles=None if count is None else int(count),
            timeframe=None if count is None else _timeframe(said.get("timeframe")),
            at=moment,
        )


def _timeframe(said: object) -> Timeframe:
    if said not in list(Timeframe):
        raise BadItem("bad_rule", f"{_quoted(said)} is no timeframe")
    return Timeframe(str(said))


def _indicator_name(said: object) -> str:
    """Return the name as the prompt writes it: rsi_14 for RSI(14), RSI14 or "rsi 14"."""
    if not isinstance(said, str) or not INDICATOR.fullmatch(said.strip()):
        raise BadItem("bad_rule", f"{_quoted(said)} is no indicator")
    words = re.sub(r"[^a-z0-9]+", "_", said.strip().lower()).strip("_")
    return re.sub(r"(?<=[a-z])(?=[0-9])", "_", words)


def _moment(said: object) -> datetime:
    """Return a moment that says its offset from UTC, as those of the prompt do."""
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in YEARS:
        raise BadItem("bad_rule", f"{_quoted(said)} is no moment in time")
    return moment.astimezone(UTC)


def _json(said: object) -> str:
    return json.dumps(said, ensure_ascii=False, default=str)


def _one(fields: Fields, name: str) -> Any:
    """Return the value of a field that may have been given under several names."""
    values = fields.get(name, (None,))
    if any(value != values[0] for value in values[1:]):
        raise BadItem("conflicting_fields", f"{name} is given twice: {_quoted(*values)}")
    return values[0]


def _text(fields: Fields, name: str) -> str:
    said = fields.get(name, ("",))[0]
    return inert(said, limit=TEXT_LIMIT) if isinstance(said, str) else ""


def _spelled(said: object) -> str:
    return spelled(said) if isinstance(said, str) else ""


def _quoted(*said: object) -> str:
    return ", ".join(inert(str(value), limit=80) for value in said)
