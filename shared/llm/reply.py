"""
Reading glasses for an answer: from its text to typed decisions, repaired where the meaning is certain, never guessed.

Each item is judged on its own, and a bad one is dropped with a code, so a sound close survives a broken entry. Items
that speak twice of one asset are dropped unless they say the same, or unless every readable one of them says close.
The answer as a whole is refused only where it cannot be trusted to be one: cut off, broken, ambiguous or absent.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.decision import Action, Answer, Decision, UnreadItem
from shared.domain.errors import UnusableReply
from shared.llm.document import find_documents
from shared.llm.item import BadItem, ItemReader
from shared.llm.schema import EXAMPLE
from shared.llm.text import inert
from shared.llm.vocabulary import FIELDS, ROOTS, spelled

MAX_ITEMS = 100
REASONING_LIMIT = 8000
RAW_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class _Shape:
    """A document seen as an answer: each item with the asset it is keyed by, if it is."""

    reasoning: str
    items: list[tuple[str | None, Any]]
    repair: str | None = None


@dataclass(slots=True, kw_only=True)
class _Reading:
    """An item and what came of it: a decision, or a flaw."""

    raw: Any
    asset: str | None = None
    decision: Decision | None = None
    flaw: BadItem | None = None


def read(content: str, symbols: Sequence[str]) -> Answer:
    """Return the decisions in *content* on *symbols*, item by item, in their order. Raises UnusableReply.

    `repairs` names what it took: thinking, fence, surrounding_text, tolerant, double_encoded, repeated, root_alias,
    bare_array, single_object, keyed_by_symbol, field_alias, symbol_alias, action_alias, number_as_text, sat_out,
    duplicate.
    """
    try:
        return _read(content, symbols)
    except RecursionError as exc:
        raise UnusableReply("the answer is nested too deeply", code="too_deep") from exc


def _read(content: str, symbols: Sequence[str]) -> Answer:
    documents = find_documents(content)
    shape, repairs = _only_answer(documents.values)
    repairs = documents.repairs + repairs
    if len(shape.items) > MAX_ITEMS:
        raise UnusableReply(f"the answer holds {len(shape.items)} items, more than {MAX_ITEMS}", code="too_many_items")
    if shape.items and [item for _, item in shape.items] == EXAMPLE_ITEMS:
        raise UnusableReply("the answer repeats the example of the prompt", code="example")

    reader = ItemReader(symbols)
    readings = []
    for key, item in shape.items:
        reading = _read_item(reader, key, item)
        if reading is not None:
            readings.append(reading)
        else:
            repairs.append("sat_out")
    _settle_contradictions(readings, repairs)
    return Answer(
        reasoning=inert(shape.reasoning, limit=REASONING_LIMIT),
        decisions=tuple(reading.decision for reading in readings if reading.decision is not None),
        unread=tuple(_unread(reading.flaw, reading.raw) for reading in readings if reading.flaw is not None),
        repairs=tuple(dict.fromkeys(repairs + reader.repairs)),
    )


def _read_item(reader: ItemReader, key: str | None, item: object) -> _Reading | None:
    """Return what came of an item; None for one that sits out the whole market."""
    reading = _Reading(raw=item)
    try:
        fields = reader.fields(item, key)
        if reader.sits_out(fields):
            return None
        reading.asset = reader.asset(fields)
        reading.decision = reader.decision(fields, reading.asset)
    except BadItem as exc:
        reading.flaw = exc
    return reading


def _settle_contradictions(readings: Sequence[_Reading], repairs: list[str]) -> None:
    """Leave at most one decision per asset."""
    for asset in dict.fromkeys(reading.asset for reading in readings if reading.asset is not None):
        about = [reading for reading in readings if reading.asset == asset]
        readable = [reading for reading in about if reading.decision is not None]
        decisions = [reading.decision for reading in readable if reading.decision is not None]
        all_close = all(decision.action is Action.CLOSE for decision in decisions)
        all_same = len(readable) == len(about) and all(decision == decisions[0] for decision in decisions)
        if all_close or all_same:
            for spare in readable[1:]:
                spare.decision = None
                repairs.append("duplicate")
        else:
            for reading in readable:
                reading.decision = None
                reading.flaw = BadItem("contradiction", f"the answer says different things about {asset}")


def _only_answer(documents: Sequence[Any]) -> tuple[_Shape, list[str]]:
    """Return the one answer among *documents*, and the repairs it took. Raises UnusableReply."""
    shapes = [shape for shape in map(_shape, documents) if shape is not None]
    if not shapes:
        excerpt = inert(str(documents[0]), limit=100)
        raise UnusableReply(f"the answer holds no decisions: {excerpt}", code="no_decisions")
    first = shapes[0]
    if any(shape.items != first.items for shape in shapes[1:]):
        raise UnusableReply("the answer holds several different sets of decisions", code="ambiguous")
    repairs = ["repeated"] if len(shapes) > 1 else []
    return first, repairs + ([first.repair] if first.repair else [])


def _shape(document: Any) -> _Shape | None:
    if not isinstance(document, dict):
        return _shape_of_items("", document, "bare_array")
    reasoning = document.get("reasoning")
    reasoning = reasoning if isinstance(reasoning, str) else ""
    if "decisions" in document:
        return _shape_of_items(reasoning, document["decisions"], None)
    roots = [name for name in document if spelled(name) in ROOTS]
    if roots:
        return _shape_of_items(reasoning, document[roots[0]], "root_alias") if len(roots) == 1 else None
    return _shape_of_items(reasoning, document, None)


def _shape_of_items(reasoning: str, found: Any, repair: str | None) -> _Shape | None:
    """Return the items in *found*: a list, a single item, or items keyed by their asset. None when it is neither."""
    if isinstance(found, list):
        # A list without a single object, such as a footnote's [1], is no list of items.
        sound = not found or any(isinstance(item, dict) for item in found)
        return _Shape(reasoning, [(None, item) for item in found], repair) if sound else None
    if not isinstance(found, dict):
        return None
    if {"asset", "action"} <= _known_fields(found):
        return _Shape(reasoning, [(None, found)], "single_object")
    keyed = [(key, item) for key, item in found.items() if isinstance(item, dict)]
    if keyed and all("action" in _known_fields(item) for _, item in keyed):
        return _Shape(reasoning, list(keyed), "keyed_by_symbol")
    return None


def _known_fields(item: dict[str, Any]) -> set[str]:
    return {FIELDS[spelled(name)] for name in item if spelled(name) in FIELDS}


def _unread(flaw: BadItem, raw: Any) -> UnreadItem:
    text = json.dumps(raw, ensure_ascii=False, default=str)
    return UnreadItem(code=flaw.code, reason=str(flaw), raw=inert(text, limit=RAW_LIMIT))


# As a reader sees it, with its numbers as Decimal.
EXAMPLE_ITEMS = find_documents(json.dumps(EXAMPLE)).values[0]["decisions"]
