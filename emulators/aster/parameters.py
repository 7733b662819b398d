"""
Request parameters: texts in, values out, or a refusal that names the parameter.

Unknown parameters are ignored, as the exchange does; booleans may be written in any case.
"""

from __future__ import annotations

import re
from decimal import Decimal

from .errors import Refusal
from .prices.intervals import DAY, SPANS

Parameters = dict[str, str]

DECIMAL = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][-+]?[0-9]{1,2})?")
INTEGER = re.compile(r"-?[0-9]{1,16}")


def text(parameters: Parameters, name: str) -> str:
    """Return a mandatory text."""
    value = parameters.get(name)
    if not value:
        raise Refusal(-1102, name)
    return value


def choice(parameters: Parameters, name: str, among: frozenset[str], refusal: int, default: str | None = None) -> str:
    """Return one of some words; *refusal* is the code for any other."""
    value = text(parameters, name) if default is None else parameters.get(name) or default
    if value not in among:
        raise Refusal(refusal, name)
    return value


def decimal(parameters: Parameters, name: str) -> Decimal | None:
    """Return a number, or nothing when it was not sent."""
    value = parameters.get(name)
    if not value:
        return None
    if not DECIMAL.fullmatch(value):
        raise Refusal(-1102, name)
    return Decimal(value)


def needed_decimal(parameters: Parameters, name: str) -> Decimal:
    """Return a mandatory number."""
    number = decimal(parameters, name)
    if number is None:
        raise Refusal(-1102, name)
    return number


def integer(parameters: Parameters, name: str) -> int | None:
    """Return a whole number, or nothing when it was not sent."""
    value = parameters.get(name)
    if not value:
        return None
    if not INTEGER.fullmatch(value):
        raise Refusal(-1102, name)
    return int(value)


def flag(parameters: Parameters, name: str) -> bool:
    """Return a boolean, false when it was not sent."""
    value = parameters.get(name, "false").lower()
    if value not in {"true", "false"}:
        raise Refusal(-1102, name)
    return value == "true"


def limit(parameters: Parameters, *, default: int, most: int) -> int:
    """Return how many rows were asked for."""
    value = integer(parameters, "limit")
    if value is None:
        return default
    if not 0 < value <= most:
        raise Refusal(-1130, "limit")
    return value


def interval(parameters: Parameters) -> str:
    """Return a candle timeframe."""
    return choice(parameters, "interval", frozenset(SPANS), -1120)


def period(parameters: Parameters, *, now: int, days: int) -> tuple[int, int]:
    """Return [start, end] of a history that may be asked for *days* at once, and by default is for the last ones."""
    start, end = integer(parameters, "startTime"), integer(parameters, "endTime")
    if start is None:
        start = (now if end is None else end) - days * DAY
    if end is None:
        end = min(now, start + days * DAY)
    if start > end:
        raise Refusal(-1023)
    if end - start > days * DAY:
        raise Refusal(-4165, days)
    return start, end
