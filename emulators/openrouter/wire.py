"""
JSON as the service writes it.

Promises that a `Decimal` is written as a JSON number with its exact decimal text: money and prices never pass
through a binary float.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from starlette.responses import Response

Json = dict[str, Any]


def dumps(value: object) -> str:
    """Write *value* (dicts, lists, strings, ints, bools, None, `Decimal`) as compact JSON."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(dumps(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


class WireResponse(Response):
    """A reply with a JSON body."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return dumps(content).encode()
