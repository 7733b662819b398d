"""Documents are named by their content; a record comes apart into them and together again, and tells of any change."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.db.records import read_record
from shared.domain.cycle import StageRequest
from shared.domain.errors import BadRequest, RecordBroken
from shared.domain.model import ModelCall, Prompt, PromptVersion
from shared.domain.position import Direction
from shared.domain.record import (
    DecisionRecord,
    Judgement,
    RecordId,
    StoredRecord,
    canonical,
    differences,
    name_of,
    plain,
    put_together,
    record_id,
    take_apart,
)
from shared.domain.risk import review
from shared.domain.rules import Exit
from tests.builders import TICK, a_context, a_decision, a_position, a_snapshot, some_holdings

LONE = "\ud800\x00 — ü"
"""A surrogate that PostgreSQL cannot store, and a character it cannot either."""


def a_record(**changes: Any) -> DecisionRecord:
    context = a_context(
        holdings=some_holdings(a_position("SOLUSDT"), equity="1000.10"),
        unsettled=frozenset({"ETHUSDT", "BTCUSDT"}),
        last_exits={"BTCUSDT": Exit(at=TICK, direction=Direction.SHORT)},
        last_entries={"ETHUSDT": TICK},
    )
    call = ModelCall(
        asked_model="maker/model",
        answered_model=None,
        provider=None,
        prompt=Prompt(version="v1-0", system="s" * 500, user=LONE * 500, turns=({"role": "tool", "content": LONE},)),
        content=LONE,
        raw={"cost": 1e-07, "n": 12345678901234567890, "deep": [{"x" * 300: None}]},
        cost=Decimal("1.230E-7"),
        at=TICK,
    )
    usual: dict[str, Any] = {
        "account_id": "main",
        "tick": TICK,
        "snapshot": a_snapshot(),
        "context": context,
        "plans": (),
        "prompt": PromptVersion("v1-0", "At most $max_leverage."),
        "calls": (call,),
        "unanswered": "",
        "code": {"reader": "1"},
        "judgement": Judgement(answer=None, why="", reviewed=tuple(review([a_decision()], context))),
    }
    return DecisionRecord(**(usual | changes))


def test_one_value_has_one_text() -> None:
    assert canonical({"b": {2, 1}, "a": Decimal("1.50")}) == '{"a":"1.50","b":[1,2]}'
    assert canonical([timedelta(minutes=15), datetime(2026, 3, 2, tzinfo=UTC), LONE]) == (
        '[900.0,"2026-03-02T00:00:00+00:00","\\ud800\\u0000 \\u2014 \\u00fc"]'
    )
    assert canonical(frozenset({"b", "a", "c"})) == '["a","b","c"]'


@pytest.mark.parametrize("value", [object(), {1: 2}, float("nan")])
def test_what_json_cannot_hold_has_no_place_in_a_record(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical(value)


def test_a_record_comes_back_equal_whatever_it_holds() -> None:
    record = a_record()

    stored = take_apart(record)

    assert read_record(StageRequest("main", TICK), stored) == record
    assert take_apart(record) == stored
    assert all(name == name_of(body) and body.isascii() for name, body in stored.documents.items())


def test_the_manifest_is_small_and_its_parts_are_named_for_what_they_are() -> None:
    stored = take_apart(a_record())

    manifest = json.loads(stored.documents[stored.name])
    assert {"context.quotes", "context.account", "calls.0.prompt.system", "calls.0.raw", "judgement.reviewed"} <= set(
        manifest["parts"]
    )
    assert manifest["record"]["context"]["unsettled"] == ["BTCUSDT", "ETHUSDT"]
    assert len(stored.documents[stored.name]) < 6000


def test_a_part_that_two_records_share_is_one_document() -> None:
    first, second = take_apart(a_record()), take_apart(a_record(code={"reader": "2"}))

    assert first.name != second.name
    assert len(first.documents.keys() | second.documents.keys()) == len(first.documents) + 1


def test_every_changed_character_and_every_missing_part_is_told_by_its_place() -> None:
    stored = take_apart(a_record())
    parts = json.loads(stored.documents[stored.name])["parts"]
    for place, name in parts.items():
        body = stored.documents[name]
        for where in (0, len(body) // 2, len(body) - 1):
            changed = body[:where] + chr(ord(body[where]) ^ 1) + body[where + 1 :]
            with pytest.raises(RecordBroken) as told:
                put_together(StoredRecord(stored.name, {**stored.documents, name: changed}))
            assert f"{place} was changed" in told.value.problems
        rest = {each: text for each, text in stored.documents.items() if each != name}
        with pytest.raises(RecordBroken) as told:
            put_together(StoredRecord(stored.name, rest))
        assert f"{place} is missing" in told.value.problems


def test_a_record_of_another_format_is_not_guessed_at() -> None:
    manifest = canonical({"format": 2, "record": {}, "parts": {}})
    stored = StoredRecord(name_of(manifest), {name_of(manifest): manifest})

    with pytest.raises(RecordBroken, match="it is written in format 2, and this program reads 1"):
        put_together(stored)


def test_a_record_that_lacks_what_is_needed_today_says_what() -> None:
    manifest = canonical({"format": 1, "record": {**plain(a_record()), "context": {}}, "parts": {}})
    stored = StoredRecord(name_of(manifest), {name_of(manifest): manifest})

    with pytest.raises(RecordBroken, match=r"is of another version: context\.account: Field required$"):
        read_record(StageRequest("main", TICK), stored)


def test_differences_are_told_place_by_place() -> None:
    before = {"a": [1, {"b": "x"}], "same": 1, "gone": True}
    after = {"a": [1, {"b": "y"}, 3], "same": 1, "kind": None}

    assert list(differences(before, after)) == ['a.1.b: "x" → "y"', "a.2: null → 3", "gone: true → null"]
    assert list(differences(1, 1.0)) == [": 1 → 1.0"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("main@2026-03-02T12:00:00Z", RecordId(account_id="main", tick=TICK)),
        ("main@2026-03-02T13:00+01:00", RecordId(account_id="main", tick=TICK)),
        ("0a1b2c", RecordId(prefix="0a1b2c")),
    ],
)
def test_a_decision_is_named_by_its_cycle_or_its_record(text: str, meant: RecordId) -> None:
    assert record_id(text) == meant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("main", "'main' names no decision: write account@tick"),
        ("0a1b", "'0a1b' names no decision"),
        ("main@noon", "'noon' is no tick"),
        ("main@2026-03-02T12:00:00", "write it with its time zone"),
        ("", "'' names no decision"),
    ],
)
def test_what_names_no_decision_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint) as told:
        record_id(text)
    assert "\n" not in str(told.value)
