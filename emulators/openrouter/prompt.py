"""
What an emulated model sees of the prompt it is sent.

Promises that anything missing or unreadable comes out as None or as absent, never as a made-up value, so that the
traders can hold instead of guessing. Numbers may stand as JSON numbers or as decimal strings.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 10080}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The trading limits printed in the prompt: USD amounts, fractions of price or equity, and counts."""

    max_leverage: Decimal
    max_position_usd: Decimal
    max_total_exposure_usd: Decimal
    max_positions: Decimal
    min_notional_usd: Decimal
    risk_per_trade: Decimal
    min_reward_to_risk: Decimal
    min_stop_distance: Decimal
    max_stop_distance: Decimal
    min_confidence: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """A candle close of *timeframe* beyond *price* ends the idea behind a position."""

    timeframe: str
    condition: str
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An open position: *side* is LONG, SHORT or None when unreadable, *notional* is in USD."""

    side: str | None
    notional: Decimal | None
    invalidation: Invalidation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeframe:
    """One timeframe of one asset: the last value of each indicator, and short series, oldest first."""

    name: str
    latest: Mapping[str, Decimal]
    series: Mapping[str, Sequence[Decimal]]

    def values(self, *names: str) -> tuple[Decimal, ...] | None:
        """The latest values of *names*, or None when one of them is missing."""
        found = tuple(self.latest[name] for name in names if name in self.latest)
        return found if len(found) == len(names) else None

    def tail(self, name: str, length: int) -> Sequence[Decimal] | None:
        """The last *length* values of a series, or None when it is shorter."""
        values = self.series.get(name, ())
        return values[-length:] if len(values) >= length else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One asset of the market: its mark price and its timeframes, fastest first."""

    asset: str
    mark_price: Decimal | None
    timeframes: Sequence[Timeframe]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The document a decision rests on. `holdings` and `last_actions`, the latest buys and sells, are by asset."""

    equity: Decimal | None
    available: Decimal | None
    limits: Limits | None
    holdings: Mapping[str, Holding]
    charts: Sequence[Chart]
    last_actions: Mapping[str, str]
    time: datetime | None


def read_prompt(texts: Sequence[str]) -> Prompt:
    """
    Read the briefing among the messages *texts*: the last JSON object with a `market`.

    Without one it is the first object of the last message; without any, the prompt is empty.
    """
    document = next((found for text in reversed(texts) for found in _objects(text) if "market" in found), None)
    if document is None:
        document = next(_objects(texts[-1]), {}) if texts else {}
    account = _mapping(document.get("account"))
    holdings = {str(item.get("asset")): _holding(item) for item in map(_mapping, _list(document.get("positions")))}
    return Prompt(
        equity=number(account.get("equity")),
        available=number(account.get("available")),
        limits=_limits(_mapping(document.get("limits"))),
        holdings=holdings,
        charts=[_chart(asset, _mapping(entry)) for asset, entry in _mapping(document.get("market")).items()],
        last_actions=_last_actions(document.get("recent_decisions")),
        time=_moment(document.get("tick")) or _moment(document.get("time")),
    )


def number(value: object) -> Decimal | None:
    """A finite decimal from a JSON number or a decimal string, else None."""
    if not isinstance(value, Decimal | str):
        return None
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects in *text* that lie in no other, in order."""
    decoder = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)
    start = text.find("{")
    while start >= 0:
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield _mapping(found)
        start = text.find("{", end)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _last_actions(decisions: object) -> Mapping[str, str]:
    """The latest buy or sell of each asset, refused or not."""
    made = [_mapping(each) for each in _list(decisions)]
    openings = [each for each in made if each.get("action") in ("buy", "sell")]
    return {str(each.get("asset")): each["action"] for each in sorted(openings, key=lambda each: str(each.get("time")))}


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None


def _limits(document: Mapping[str, Any]) -> Limits | None:
    values = {field.name: number(document.get(field.name)) for field in fields(Limits)}
    known = {name: value for name, value in values.items() if value is not None}
    return Limits(**known) if len(known) == len(values) else None


def _holding(document: Mapping[str, Any]) -> Holding:
    side = document.get("side")
    invalidation = _mapping(_mapping(document.get("exit_plan")).get("invalidation"))
    price = number(invalidation.get("price"))
    return Holding(
        side=side if side in ("LONG", "SHORT") else None,
        notional=number(document.get("notional_usd")),
        invalidation=None
        if price is None
        else Invalidation(
            timeframe=str(invalidation.get("timeframe")), condition=str(invalidation.get("condition")), price=price
        ),
    )


def _chart(asset: str, document: Mapping[str, Any]) -> Chart:
    timeframes = [
        _timeframe(name, _mapping(entry))
        for name, entry in _mapping(document.get("timeframes")).items()
        if _minutes(name) is not None
    ]
    return Chart(
        asset=asset,
        mark_price=number(document.get("mark_price")),
        timeframes=sorted(timeframes, key=lambda timeframe: _minutes(timeframe.name) or 0),
    )


def _minutes(name: str) -> int | None:
    return int(name[:-1]) * MINUTES[name[-1]] if name[:-1].isdecimal() and name[-1] in MINUTES else None


def _timeframe(name: str, document: Mapping[str, Any]) -> Timeframe:
    # Indicators warm up, so a series may begin with nulls; what is left is still oldest first.
    series = {
        key: [value for value in map(number, _list(values)) if value is not None]
        for key, values in _mapping(document.get("series")).items()
    }
    stated = {key: number(value) for key, value in _mapping(document.get("latest")).items()}
    ends = {key: values[-1] for key, values in series.items() if values}
    return Timeframe(
        name=name,
        latest=ends | {key: value for key, value in stated.items() if value is not None},
        series=series,
    )
