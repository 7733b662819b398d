"""The AsyncAPI document: made from the streams and their messages, complete, and what really is told."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft7Validator

from api.app import STREAMS
from api.asyncapi import ENDS, document, name_of
from api.live.bodies import BODIES, OTHERS
from api.live.messages import Event
from api.problems import CATALOGUE
from tests.api.conftest import Serve

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "streams.md").read_text(encoding="utf-8")


def told() -> dict[str, Any]:
    return document(STREAMS, version="1")


def references(part: object) -> Iterator[str]:
    match part:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for each in part.values():
                yield from references(each)
        case list():
            for each in part:
                yield from references(each)


def is_there(reference: str) -> bool:
    place: Any = told()
    for step in reference.removeprefix("#/").split("/"):
        place = place.get(step) if isinstance(place, dict) else None
    return place is not None


def test_whatever_is_referred_to_is_there() -> None:
    referred = set(references(told()))

    assert referred
    assert {each for each in referred if not is_there(each)} == set()


def test_every_schema_is_one() -> None:
    for name, schema in told()["components"]["schemas"].items():
        Draft7Validator.check_schema(schema)
        assert (name, schema.get("additionalProperties", False)) == (name, False)


def test_every_stream_is_a_channel_that_says_what_it_is_and_what_may_be_asked() -> None:
    channels = told()["channels"]

    assert {channel["address"] for channel in channels.values()} == {stream.path for stream in STREAMS}
    for stream in STREAMS:
        channel = channels[name_of(stream)]
        assert channel["bindings"]["ws"]["query"]["properties"].keys() == stream.query.model_fields.keys()
        assert channel["description"]
        operation = told()["operations"][f"tell_{name_of(stream)}"]
        assert (operation["action"], len(operation["messages"])) == ("send", len(channel["messages"]))


def test_every_message_says_when_it_comes() -> None:
    assert [name for name, message in told()["components"]["messages"].items() if not message["summary"]] == []


def test_every_kind_of_event_that_is_written_anywhere_is_documented() -> None:
    written = {
        call.args[1].value
        for folder in ("functions", "shared", "scheduler", "api")
        for path in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "event"
        if len(call.args) == 4 and isinstance(call.args[1], ast.Constant)
    }
    by_triggers = {
        kind
        for path in (ROOT / "migrations" / "versions").glob("*.py")
        for kind in re.findall(r'Told\(\s*"(\w+)"|added="(\w+)"|"(position_closed)"', path.read_text(encoding="utf-8"))
        for kind in kind
        if kind
    }

    assert len(by_triggers) > 15
    assert (written | by_triggers) - BODIES.keys() - OTHERS.keys() == set()
    assert not BODIES.keys() & OTHERS.keys()


def test_the_page_about_streams_tells_the_same_of_every_event() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.partition("## Events")[2].partition("\n## ")[0].splitlines()
        if line.startswith("| `")
    ]
    for kinds, key, body in rows:
        for kind in re.findall(r"`(\w+)`", kinds):
            model = BODIES[kind]
            named = set(re.findall(r"`(\w+)`", body))
            assert (kind, model.model_fields.keys() - named) == (kind, set())
            assert (kind, tuple(re.findall(r"`(\w+)`", key))) == (kind, model.key)
    assert {kind for kinds, *_ in rows for kind in re.findall(r"`(\w+)`", kinds)} == BODIES.keys()
    assert [kind for kind in OTHERS if f"`{kind}`" not in PAGE] == []


def test_the_page_about_streams_tells_every_end_with_its_code() -> None:
    table = PAGE.partition("## Ends")[2]
    for code in ENDS:
        [line] = [line for line in table.splitlines() if line.startswith("|") and f"`{code}`" in line]
        assert line.split("|")[1].strip() == str(4000 + CATALOGUE[code].status)


def test_the_page_about_streams_tells_every_type_of_message_and_its_members() -> None:
    table = PAGE.partition("## Messages")[2].partition("\n## ")[0]
    for message in {message for stream in STREAMS for message in stream.messages}:
        kind = message.model_fields["type"].default
        [line] = [line for line in table.splitlines() if line.startswith(f"| `{kind}` ")]
        lists = {"accounts", "positions", "orders", "candles"} if kind == "snapshot" else set()
        missing = {name for name in message.model_fields if f"`{name}`" not in line} - lists - {"type"}
        assert (kind, missing) == (kind, set())


def test_it_is_served_to_everybody_like_the_document_of_the_operations(serve: Serve) -> None:
    answer = httpx.get(f"{serve(api_token='secret-' * 5)}/asyncapi.json")

    assert answer.json()["asyncapi"] == "3.0.0"
    assert {"order", "alert", Event.__name__} <= answer.json()["components"]["messages"].keys()
