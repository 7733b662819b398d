"""
Several orders in one request: reading the lists, and an answer for each element.

Lists are JSON texts; the single quotes of Python's own notation will do as well. One element's refusal is its answer
and leaves the others alone; only a list of the wrong size is refused as a whole.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from typing import Any

from ..errors import Refusal
from ..parameters import Parameters, text

MOST_PLACED, MOST_CANCELLED = 5, 10


def elements(parameters: Parameters, name: str) -> list[Any]:
    """Return a mandatory list."""
    written = text(parameters, name)
    try:
        found = json.loads(written, parse_float=str, parse_int=str)
    except ValueError:
        try:
            found = ast.literal_eval(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as exc:
            raise Refusal(-1102, name) from exc
    if not isinstance(found, list):
        raise Refusal(-1102, name)
    return found


def orders(parameters: Parameters) -> list[Parameters]:
    """Return the parameters of each order of a batch, as texts."""
    found = elements(parameters, "batchOrders")
    if not all(isinstance(each, dict) for each in found):
        raise Refusal(-1102, "batchOrders")
    return [{str(name): str(value) for name, value in each.items() if value is not None} for each in found]


def each_answer(wanted: list[Parameters], act: Callable[[Parameters], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what became of each element, in their order."""
    answers = []
    for one in wanted:
        try:
            answers.append(act(one))
        except Refusal as refusal:
            answers.append({"code": refusal.code, "msg": refusal.text})
    return answers
