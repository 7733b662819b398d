"""
Values for a JSON Schema by the names of its properties, as a model finds them that has only read the schema.

Knows what traders call things: an asset, a timeframe, an indicator, a length, a moment. Promises a value that the
schema allows, as far as types, choices and bounds go; other keywords are not looked at. A *turn* other than 0 makes
other choices, so that two calls of one tool differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from emulators.openrouter.clock import START
from emulators.openrouter.prompt import Prompt
from emulators.openrouter.schema import Schema

INDICATORS = ("rsi", "atr", "adx", "ema", "cci", "mfi", "stoch")
LENGTHS = (14, 7, 21, 50)
TIMEFRAMES = ("1h", "15m", "4h", "1m")
ASSET, TIMEFRAME, INDICATOR = (
    ("asset", "symbol", "coin", "ticker"),
    ("timeframe", "interval"),
    ("indicator", "function"),
)
PRICES, THRESHOLDS = ("price", "level"), ("value", "threshold")
OTHER_WAYS = ("at", "until", "than")
"""Properties that say what their neighbours can say as well: a moment for a span, an indicator for a value."""
COUNTS = ("limit", "count", "last", "rounds", "candles", "bars")
MOMENTS = ("time", "until", "after", "before", "since", "expires", "deadline", "_at", "date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filler:
    """Fills in schemas for one conversation. *price* stands for whatever sounds like a level."""

    prompt: Prompt
    turn: int = 0
    asset: str | None = None
    price: Decimal | None = None
    condition: str | None = None

    def fill(self, schema: Schema, name: str = "") -> Any:
        """A value for *schema*, the property *name* of something."""
        if options := schema.get("anyOf") or schema.get("oneOf"):
            real = [option for option in options if option.get("type") != "null"] or options
            return self.fill(real[self.turn % len(real)], name)
        if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
            return self._choice([each for each in choices if each is not None] or choices, name)
        kinds = schema.get("type", "string")
        kind = next((each for each in ([kinds] if isinstance(kinds, str) else kinds) if each != "null"), "null")
        if kind == "object":
            return {key: self._property(part, key) for key, part in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.fill(schema.get("items", {}), name)]
        if kind in {"integer", "number"}:
            return self._number(schema, name, kind)
        return {"boolean": True, "null": None}.get(kind, self._text(name))

    def _property(self, schema: Schema, name: str) -> Any:
        """A value for one property of several; of what may be null, some on even turns and the rest on odd ones."""
        kinds = [part.get("type") for part in schema.get("anyOf", [])] or schema.get("type", [])
        if "null" in kinds and (name in OTHER_WAYS) != (self.turn % 2 == 1):
            return None
        return self.fill(schema, name)

    def _choice(self, choices: Sequence[Any], name: str) -> Any:
        if _sounds(name, ASSET) and self.asset in choices:
            return self.asset
        if self.price is not None and (known := [each for each in choices if str(each).lower().startswith("rsi")]):
            return known[0]
        # "below" says the same as "close_below".
        meant = (self.condition or "").rpartition("_")[2]
        same = [each for each in choices if meant and str(each).rpartition("_")[2] == meant]
        return (same or choices)[self.turn % len(same or choices)]

    def _number(self, schema: Schema, name: str, kind: str) -> Any:
        value: Any = 5 if _sounds(name, COUNTS) else LENGTHS[self.turn % len(LENGTHS)]
        if self.price is not None and kind == "number" and _sounds(name, PRICES):
            value = self.price
        if self.price is not None and _sounds(name, THRESHOLDS):
            value = 30 if (self.condition or "").endswith("below") else 70
        least, most = schema.get("minimum"), schema.get("maximum")
        if least is not None and value < least:
            return least
        return most if most is not None and value > most else value

    def _text(self, name: str) -> str:
        charts = self.prompt.charts
        if _sounds(name, ASSET):
            return self.asset or (charts[self.turn % len(charts)].asset if charts else "BTCUSDT")
        if _sounds(name, TIMEFRAME):
            return TIMEFRAMES[self.turn % len(TIMEFRAMES)]
        if _sounds(name, INDICATOR) or name == "name":
            return INDICATORS[self.turn % len(INDICATORS)]
        if _sounds(name, MOMENTS) or name == "at":
            now = self.prompt.time or datetime.fromtimestamp(START, UTC)
            return (now + timedelta(hours=4)).isoformat(timespec="seconds")
        return "to see whether the trend holds"


def _sounds(name: str, like: Sequence[str]) -> bool:
    return any(word in name.lower() for word in like)


def arguments(schema: Schema, filler: Filler) -> Mapping[str, Any]:
    """Arguments for a tool: what it requires and, on every second turn, what it merely allows."""
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    names = [name for name in properties if name in required or filler.turn % 2 == 0]
    return {name: filler.fill(properties[name], name) for name in names}
