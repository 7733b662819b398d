"""
From the text of an answer to the JSON documents in it.

Goes from strict to tolerant and stops at the first reading that works; what it had to do is named in `repairs`. A text
that is cut off or broken inside is refused as a whole: closing a bracket that the model never closed could make a
different trade out of half of one. Numbers come out as Decimal, and what cannot be one as NaN.
"""

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from shared.domain.errors import UnusableReply
from shared.llm.text import inert, storable
from shared.llm.tolerant import CLOSE_ARRAY, CLOSE_OBJECT, COLON, OPEN_ARRAY, OPEN_OBJECT, Pairs, TolerantReader

MAX_CHARACTERS = 400_000
MAX_DEPTH = 64
MAX_PIECES = 100
"""Bracketed pieces that prose may hold: each may cost a look at all that follows it."""

THINK_TAG = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
FENCE = re.compile(r"```[A-Za-z0-9_-]*")
OPENING = re.compile(f"[{re.escape(OPEN_OBJECT + OPEN_ARRAY)}]")
BRACKET = re.compile(f"[{re.escape(OPEN_OBJECT + CLOSE_OBJECT + OPEN_ARRAY + CLOSE_ARRAY)}]")
UNOPENED = re.compile(f"[{re.escape(CLOSE_OBJECT + CLOSE_ARRAY)}]")
QUOTE = re.compile('["“”]')


@dataclass(slots=True)
class Documents:
    """What was found, in the order of the text, and the repairs it took."""

    values: list[Any] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)


def find_documents(content: str) -> Documents:
    """Return the JSON objects and arrays in *content*, at least one. Raises UnusableReply."""
    if len(content) > MAX_CHARACTERS:
        raise UnusableReply(f"the answer is longer than {MAX_CHARACTERS} characters", code="too_long")
    text = storable(content).strip().removeprefix("\ufeff")
    if not text:
        raise UnusableReply("the answer is empty", code="empty")
    _require_shallow(text)
    found = _find(text)
    if len(found.values) == 1 and isinstance(found.values[0], str):
        # JSON within a JSON string. Unwrapped once: a third layer is nobody's honest answer.
        found = _find(found.values[0].strip())
        found.repairs.insert(0, "double_encoded")
    found.values = [value for value in found.values if isinstance(value, dict | list)]
    if not found.values:
        raise UnusableReply(f"the answer holds no JSON object: {inert(text, limit=100)!r}", code="no_json")
    return found


def _find(text: str) -> Documents:
    # First the whole text: only where it is not JSON by itself are tags and fences its packaging, not its content.
    try:
        return Documents([DECODER.decode(text)])
    except json.JSONDecodeError:
        pass
    if not THINK_TAG.search(text):
        return _scan(text)
    found = _scan(_after_thinking(text))
    found.repairs.insert(0, "thinking")
    return found


def _after_thinking(text: str) -> str:
    """Return what follows the last thought, which may itself hold drafts of an answer."""
    *_, last = THINK_TAG.finditer(text)
    if not last[1]:
        raise UnusableReply("the answer ends while the model is still thinking", code="still_thinking")
    return text[last.end() :].strip()


def _scan(text: str) -> Documents:
    """Read every top-level object and array in *text*, whatever stands between them."""
    found = Documents()
    pieces, place, outside = 0, 0, ""
    while opening := OPENING.search(text, place):
        pieces += 1
        if pieces > MAX_PIECES:
            raise UnusableReply(f"the answer holds more than {MAX_PIECES} bracketed pieces", code="too_many_pieces")
        start = opening.start()
        outside += text[place:start]
        try:
            value, place = DECODER.raw_decode(text, start)
        except json.JSONDecodeError:
            try:
                value, place = TOLERANT.read(text, start)
            except ValueError as exc:
                place = _end_of_prose(text, start, exc)
                continue
            found.repairs.append("tolerant")
        found.values.append(value)
    outside += text[place:]
    if UNOPENED.search(outside):
        raise UnusableReply("the answer lacks its beginning: a bracket closes that was never opened", code="cut_off")
    if FENCE.search(outside):
        found.repairs.append("fence")
    if FENCE.sub("", outside).strip():
        found.repairs.append("surrounding_text")
    return found


def _end_of_prose(text: str, start: int, flaw: ValueError) -> int:
    """Return where the bracketed words at *start* end. Raises UnusableReply when they were meant to be JSON."""
    depth = 0
    for bracket in BRACKET.finditer(text, start):
        depth += 1 if bracket[0] in OPEN_OBJECT + OPEN_ARRAY else -1
        if depth == 0:
            if _meant_as_json(text[start : bracket.end()]):
                raise UnusableReply(f"the answer is broken JSON: {flaw}", code="broken_json") from flaw
            return bracket.end()
    raise UnusableReply("the answer is cut off: a bracket is never closed", code="cut_off") from flaw


def _meant_as_json(piece: str) -> bool:
    """Say whether a bracketed piece holds a quote, or an object's bracket with a colon somewhere after it."""
    opening = min((place for place in map(piece.find, OPEN_OBJECT) if place >= 0), default=len(piece))
    return QUOTE.search(piece) is not None or any(piece.find(colon, opening) >= 0 for colon in COLON)


def _require_shallow(text: str) -> None:
    """Refuse deep nesting before a parser descends into it. Counts brackets within strings too, which are balanced."""
    depth = 0
    for bracket in BRACKET.finditer(text):
        depth = depth + 1 if bracket[0] in OPEN_OBJECT + OPEN_ARRAY else max(0, depth - 1)
        if depth > MAX_DEPTH:
            raise UnusableReply(f"the answer is nested deeper than {MAX_DEPTH} levels", code="too_deep")


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _members(pairs: Pairs) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise UnusableReply("the answer says one thing twice in the same object", code="repeated_key")
    return members


DECODER = json.JSONDecoder(
    parse_float=_number, parse_int=_number, parse_constant=_number, object_pairs_hook=_members, strict=False
)
TOLERANT = TolerantReader(number=_number, members=_members)
