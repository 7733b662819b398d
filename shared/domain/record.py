"""
The record of one decision: everything it saw and said, so that anybody can make it again and get the same.

A record is kept as documents that are named by their content: each is canonical JSON, and its name is the SHA-256 of
its text. What is large in a record (quotes, filters, messages, replies) is a document of its own, so what two decisions
share is kept once. The rest, with the names of the parts, is the manifest, whose own name is the name of the record:
one changed character anywhere is another name.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any

from shared.domain.decision import Answer, ExitPlan
from shared.domain.errors import BadRequest, RecordBroken
from shared.domain.model import ModelCall, Prompt, PromptVersion
from shared.domain.position import Direction
from shared.domain.risk import Review, ReviewedDecision
from shared.domain.rules import RiskContext
from shared.domain.snapshot import Snapshot

FORMAT = 1

APART = 200
"""A part whose text is longer than this is a document of its own: a name alone takes 64 characters."""

HASH = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What came of a model's last word: the answer as it was read, or why there is none, and every review."""

    answer: Answer | None
    why: str
    """Empty where there is an answer."""
    reviewed: tuple[ReviewedDecision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPlan:
    """The plan of an open position, since when it stands, and the review of the entry that it came with."""

    symbol: str
    direction: Direction
    since: datetime
    plan: ExitPlan
    review: Review


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """Everything one decision saw and said. `judgement` follows from the rest, without a clock, a network or luck."""

    account_id: str
    tick: datetime
    snapshot: Snapshot
    context: RiskContext
    plans: tuple[HeldPlan, ...]
    prompt: PromptVersion | None
    """The template that the messages were made from; None when no model was asked."""
    calls: tuple[ModelCall, ...]
    unanswered: str
    """Why there is no last word, where that was not the model's own doing: no budget, nothing to decide on."""
    code: Mapping[str, str]
    """What read and judged the answer: the version of each part of the code."""
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it is kept: the manifest's name, and the text of every document by its name."""

    name: str
    documents: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RecordId:
    """What names a record: a cycle, or the first characters of the manifest's name; *within* one account, or any."""

    account_id: str | None = None
    tick: datetime | None = None
    prefix: str | None = None
    within: str | None = None


_WITH_PARTS = (DecisionRecord, Snapshot, RiskContext, ModelCall, Prompt, PromptVersion, Judgement)
"""What is taken apart field by field; anything else is one part."""


def record_id(text: str) -> RecordId:
    """Read `account@2025-05-06T16:05:00Z`, or six characters and more of a manifest's name. Raises BadRequest."""
    account_id, at, moment = text.partition("@")
    if not at:
        if not HASH.fullmatch(text):
            raise BadRequest(
                f"{text[:80]!r} names no decision: write account@tick, such as main@2025-05-06T16:05:00Z, "
                "or at least 6 hexadecimal digits of the record's name"
            )
        return RecordId(prefix=text)
    tick = _moment(moment)
    if tick is None:
        raise BadRequest(f"{moment[:80]!r} is no tick: write it with its time zone, such as 2025-05-06T16:05:00Z")
    return RecordId(account_id=account_id, tick=tick)


def cycle_name(account_id: str, tick: datetime) -> str:
    """Return what `record_id` reads: `account@2025-05-06T16:05:00Z`."""
    return f"{account_id}@{tick.astimezone(UTC).isoformat().removesuffix('+00:00')}Z"


_AS_IT_IS = {str, float, int, bool, NoneType}


def plain(value: Any) -> Any:
    """Return *value* made of JSON's parts: money and quantities as strings, durations in seconds, sets in order."""
    if type(value) in _AS_IT_IS:  # nearly all of it, so this comes first
        return value
    told: Any
    match value:
        case Enum():
            told = value.value
        case str() | int() | float():
            told = value
        case Decimal():
            told = str(value)
        case datetime():
            told = value.isoformat()
        case timedelta():
            told = value / timedelta(seconds=1)
        case Mapping():
            told = {_key(name): plain(item) for name, item in value.items()}
        case Set():
            told = sorted((plain(item) for item in value), key=canonical)
        case Sequence():
            told = [plain(item) for item in value]
        case _ if is_dataclass(value):
            told = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a record")
    return told


def canonical(value: Any) -> str:
    """Return the one JSON text of *value*: names in order, no white space, ASCII only."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def name_of(text: str) -> str:
    """Return the name of a document: the SHA-256 of its text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def take_apart(record: DecisionRecord) -> StoredRecord:
    """Return the documents of *record*, the manifest among them."""
    parts: dict[str, str] = {}
    documents: dict[str, str] = {}
    whole = _without_parts(record, "", parts, documents)
    manifest = canonical({"format": FORMAT, "record": whole, "parts": parts})
    documents[name_of(manifest)] = manifest
    return StoredRecord(name_of(manifest), documents)


def parts_of(name: str, manifest: str | None) -> Mapping[str, str]:
    """Return the names of a record's documents by the places where they belong. Raises RecordBroken."""
    parts: Mapping[str, str] = _manifest(name, manifest)["parts"]
    return parts


def put_together(stored: StoredRecord) -> dict[str, Any]:
    """Return the whole record in JSON's parts. Raises RecordBroken, which names every part that is not as it was."""
    manifest = _manifest(stored.name, stored.documents.get(stored.name))
    problems = list(_problems(manifest["parts"], stored.documents))
    if problems:
        message = f"the record {stored.name[:12]} is not as it was written: {'; '.join(problems)}"
        raise RecordBroken(message, tuple(problems))
    whole: dict[str, Any] = manifest["record"]
    for place, name in manifest["parts"].items():
        *way, last = place.split(".")
        here: Any = whole
        for step in way:
            here = here[int(step)] if isinstance(here, list) else here[step]
        here[last] = json.loads(stored.documents[name])
    return whole


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Yield in words where two values made of JSON's parts differ, each place in a line."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from differences(before.get(name), after.get(name), f"{place}.{name}" if place else name)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old, new = (side[index] if index < len(side) else None for side in (before, after))
            yield from differences(old, new, f"{place}.{index}" if place else str(index))
    elif before != after or type(before) is not type(after):
        yield f"{place}: {_shown(before)} → {_shown(after)}"


def _without_parts(value: Any, place: str, parts: dict[str, str], documents: dict[str, str]) -> Any:
    """Return *value* in JSON's parts with None where a part was; the parts are added to *parts* and *documents*."""
    if isinstance(value, _WITH_PARTS):
        return {
            field.name: _without_parts(
                getattr(value, field.name), f"{place}.{field.name}" if place else field.name, parts, documents
            )
            for field in fields(value)
        }
    if isinstance(value, tuple) and any(isinstance(item, _WITH_PARTS) for item in value):
        return [_without_parts(item, f"{place}.{index}", parts, documents) for index, item in enumerate(value)]
    text = canonical(value)
    if len(text) <= APART:
        return plain(value)
    parts[place] = name_of(text)
    documents[parts[place]] = text
    return None


def _manifest(name: str, text: str | None) -> dict[str, Any]:
    if text is None or name_of(text) != name:
        problem = "the manifest is missing" if text is None else "the manifest was changed"
        raise RecordBroken(f"the record {name[:12]} is not as it was written: {problem}", (problem,))
    manifest: dict[str, Any] = json.loads(text)
    if manifest["format"] != FORMAT:
        problem = f"it is written in format {manifest['format']}, and this program reads {FORMAT}"
        raise RecordBroken(f"the record {name[:12]} cannot be read: {problem}", (problem,))
    return manifest


def _problems(parts: Mapping[str, str], documents: Mapping[str, str]) -> Iterator[str]:
    for place, name in parts.items():
        text = documents.get(name)
        if text is None:
            yield f"{place} is missing"
        elif name_of(text) != name:
            yield f"{place} was changed"


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _key(name: Any) -> str:
    name = plain(name)
    if not isinstance(name, str):
        raise TypeError(f"{name!r} cannot name anything in JSON")
    return name


def _shown(value: Any) -> str:
    text = canonical(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
