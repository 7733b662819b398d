"""
JSON as the service writes it.

Promises that a `Decimal` is written as a JSON number with its exact decimal text: money and prices never pass
through a binary float. What UTF-8 cannot carry is still written: a lone surrogate as its escape, and a surrogate that
stands for a byte (U+DC80 to U+DCFF, as Python's `surrogateescape` has it) as that byte.
"""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from starlette.responses import Response

Json = dict[str, Any]

_UNPAIRED = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def dumps(value: object) -> str:
    """Write *value* (dicts, lists, strings, ints, bools, None, `Decimal`) as compact JSON."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(dumps(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def encoded(value: object) -> bytes:
    """Write *value* as the bytes of a body."""
    text = _UNPAIRED.sub(lambda found: f"\\u{ord(found[0]):04x}", dumps(value))
    return text.encode("utf-8", "surrogateescape")


class WireResponse(Response):
    """A reply with a JSON body."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return encoded(content)
