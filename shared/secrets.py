"""Keeps secrets out of everything people read: log lines, results, errors."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "•••"
SECRET_NAMES = re.compile(r"(?i)(api_?key|secret|private_?key|password|token$|authorization|signature|x-mbx-apikey)")
TOKEN_SHAPE = re.compile(r"(?<=ppt_[a-z2-7]{8}_)[A-Za-z0-9_-]{43}")
"""The secret part of a token of ours; how it begins may be seen."""
SECRET_SHAPES = re.compile(
    TOKEN_SHAPE.pattern + "|"
    r"sk-or-[A-Za-z0-9_-]{8,}"  # a model provider's key
    r"|(?<=Bearer )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=signature=)(?:0x)?[0-9A-Fa-f]{64,}"
    r"|(?<![0-9A-Fa-f])(?:0x)?[0-9A-Fa-f]{64}(?![0-9A-Fa-f])"  # a wallet's private key, or what looks like one
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # user:password in a URL
)
SHORTEST = 6
"""Values shorter than this are never masked by value: they would blot out ordinary words."""

_known: set[str] = set()


def remember(values: Iterable[str | None]) -> None:
    """Mask these values wherever they appear from now on."""
    _known.update(value for value in values if value and len(value) >= SHORTEST)


def mask_text(text: str) -> str:
    """Return *text* with every known or recognisable secret replaced."""
    # The longest first: a secret that begins like another would leave its tail behind.
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    return SECRET_SHAPES.sub(MASK, text)


def mask(value: Any) -> Any:
    """Return *value* with secrets replaced at any depth: by name of the key, by known value and by shape.

    Keys come out as strings, as JSON needs them; sets and tuples as lists.
    """
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {
            mask_text(str(key)): MASK if item and SECRET_NAMES.search(str(key)) else mask(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [mask(item) for item in value]
    return value
