"""Answers gone bad: what arrives of a sound JSON answer when something between goes wrong, or the venue errs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..parameters import DECIMAL

UNKNOWN = {"unannounced": {"since": 1, "values": ["a", None]}}
"""What an object says that has a field too many."""
Change = Callable[[Any], Any]


def spoiled(content: bytes, name: str, field: str) -> bytes:
    """Return what becomes of an answer by a fault of that name: itself for other faults and for what is no JSON."""
    if name == "empty":
        return b""
    if name == "truncated":
        return content[: len(content) // 2]
    try:
        answer = json.loads(content)
    except ValueError:
        return content
    changes: dict[str, Change] = {
        "nan": lambda value: _numbers(value, lambda number: "NaN" if isinstance(number, str) else float("nan")),
        "wrong-types": lambda value: _numbers(value, lambda number: [number]),
        "extra": lambda value: _objects(value, lambda fields: {**fields, **UNKNOWN}),
        "missing": lambda value: _objects(value, lambda fields: {k: v for k, v in fields.items() if k != field}),
    }
    return json.dumps(changes[name](answer), separators=(",", ":")).encode() if name in changes else content


def _numbers(value: Any, change: Change) -> Any:
    """Return a value with every number, and every text that is one, changed."""
    if isinstance(value, dict):
        return {name: _numbers(each, change) for name, each in value.items()}
    if isinstance(value, list):
        return [_numbers(each, change) for each in value]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return change(value) if is_number or (isinstance(value, str) and DECIMAL.fullmatch(value)) else value


def _objects(value: Any, change: Change) -> Any:
    """Return a value with every object changed."""
    if isinstance(value, dict):
        return change({name: _objects(each, change) for name, each in value.items()})
    if isinstance(value, list):
        return [_objects(each, change) for each in value]
    return value
