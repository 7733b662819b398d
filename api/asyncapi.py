"""
The AsyncAPI 3 document of the streams, made from their declarations, the models of their messages, and nothing else.

Every kind of event whose body is a row has a message of its own, so that generated code knows it; `event` is any other.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from api.live.bodies import BODIES, OTHERS, Body
from api.live.messages import Error, Event, Message
from api.live.sockets import SUBPROTOCOL, Stream
from api.openapi import given
from api.problems import CATALOGUE

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"
MESSAGES = "#/components/messages/"
JSON = "application/json"

ENDS = (
    *("bad_parameter", "unexpected_message", "token_ended", "scope_too_small", "wrong_account", "unknown_symbol"),
    *("unknown_account", "slow_reader", "internal_error", "database_unavailable", "too_many_streams"),
)
"""What a stream may be closed for: the status of each, and 4000, is the code that it closes with."""

ABOUT = f"""\
What happens, as it happens. A client asks by the query string when it opens a stream, and says nothing afterwards.

Every message is one JSON object in one text frame. Keep the `cursor` of the last message that had one and bring it
along when you come back, to any server: nothing is missed and nothing told twice. A program shows its token in the
header `Authorization`; a page, which cannot, offers the subprotocols `{SUBPROTOCOL}` and `bearer.TOKEN`, or has a
session.
"""


def document(streams: Sequence[Stream[Any]], *, version: str) -> Json:
    """Return the document of *streams*."""
    kinds = dict.fromkeys(kind for stream in streams if Event in stream.messages for kind in sorted(_kinds(stream)))
    models = dict.fromkeys(message for stream in streams for message in stream.messages)
    schemas, components = _schemas(streams, list(models))
    queries = {stream.path: _query(schemas[stream.path], components) for stream in streams}
    for name in {stream.query.__name__ for stream in streams}:
        components.pop(name, None)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Perpetua's streams", "version": version, "description": ABOUT, "license": {"name": "MIT"}},
        "defaultContentType": JSON,
        "servers": {
            "here": {
                "host": "{host}",
                "protocol": "ws",
                "description": "Wherever the API is served; by wss where that is by https.",
                "variables": {"host": {"default": "localhost:3000"}},
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": {name_of(stream): _channel(stream, queries[stream.path]) for stream in streams},
        "operations": {
            f"tell_{name_of(stream)}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{name_of(stream)}"},
                "summary": _summary(stream.serve),
                "messages": [
                    {"$ref": f"#/channels/{name_of(stream)}/messages/{name}"} for name in _messages_of(stream)
                ],
            }
            for stream in streams
        },
        "components": {
            "messages": {model.__name__: _message(model) for model in models} | {kind: _event(kind) for kind in kinds},
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def name_of(stream: Stream[Any]) -> str:
    """Return what generated code calls the stream."""
    return stream.path.rpartition("/")[2].replace("-", "_")


def _kinds(stream: Stream[Any]) -> set[str]:
    return {kind for kind in BODIES if stream.kinds is None or kind in stream.kinds}


def _messages_of(stream: Stream[Any]) -> list[str]:
    events = sorted(_kinds(stream)) if Event in stream.messages else []
    return [*(message.__name__ for message in stream.messages), *events]


def _schemas(
    streams: Sequence[Stream[Any]], models: Sequence[type[Message]]
) -> tuple[Mapping[str, Json], dict[str, Json]]:
    """Return the schema of what may be asked of each stream, and those of all that is told, by name."""
    told: list[type[Message] | type[Body]] = [*models, *dict.fromkeys(BODIES.values())]
    inputs: list[tuple[str, Any, TypeAdapter[Any]]] = [
        *((stream.path, "validation", TypeAdapter(stream.query)) for stream in streams),
        *((model.__name__, "serialization", TypeAdapter(model)) for model in told),
    ]
    found, shared = TypeAdapter.json_schemas(inputs, ref_template=SCHEMAS + "{model}")
    components: dict[str, Json] = dict(shared["$defs"])
    for model in told:
        schema = found[model.__name__, "serialization"]
        if "$ref" not in schema:
            components[model.__name__] = schema
    for model in models:
        # Everything is always there, but for a cursor that there is not.
        always = [name for name, field in model.model_fields.items() if field.default is not None]
        components[model.__name__]["required"] = always
        properties = components[model.__name__]["properties"]
        properties |= {name: given(schema) for name, schema in properties.items() if name not in always}
    components[Error.__name__]["properties"]["code"] |= {"enum": list(ENDS), "description": _ends()}
    return {stream.path: found[stream.path, "validation"] for stream in streams}, components


def _query(schema: Json, components: Mapping[str, Json]) -> Json:
    """Return what may be asked, as one object: what may be None may be left out."""
    schema = components[schema["$ref"].removeprefix(SCHEMAS)] if "$ref" in schema else schema
    return {"type": "object", "properties": {name: given(said) for name, said in schema["properties"].items()}}


def _channel(stream: Stream[Any], query: Json) -> Json:
    return {
        "address": stream.path,
        "description": inspect.getdoc(stream.serve) or "",
        "servers": [{"$ref": "#/servers/here"}],
        "messages": {name: {"$ref": MESSAGES + name} for name in _messages_of(stream)},
        "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    }


def _message(model: type[Message]) -> Json:
    told = _told(model.__name__, model.model_fields["type"].default, model)
    if model is Event:
        others = "\n".join(f"- `{kind}`: {word}" for kind, word in OTHERS.items())
        told["description"] = f"{inspect.getdoc(model)}\n\nIn words for people, which may change:\n\n{others}"
    return told | {"payload": {"$ref": SCHEMAS + model.__name__}}


def _event(kind: str) -> Json:
    body = BODIES[kind]
    told = _told(kind, kind, body)
    if body.key:
        told["description"] += f"\n\nKnown again, with its account, by {', '.join(f'`{name}`' for name in body.key)}."
    this = {"properties": {"kind": {"const": kind}, "body": {"$ref": SCHEMAS + body.__name__}}}
    return told | {"payload": {"allOf": [{"$ref": SCHEMAS + Event.__name__}, this]}}


def _told(name: str, title: str, model: type[Message] | type[Body]) -> Json:
    return {"name": name, "title": title, "summary": _summary(model), "description": inspect.getdoc(model) or ""}


def _summary(of: object) -> str:
    return (inspect.getdoc(of) or "").partition("\n")[0]


def _ends() -> str:
    return "\n".join(
        f"- `{code}`, closed with {4000 + CATALOGUE[code].status}: {CATALOGUE[code].title}. {CATALOGUE[code].remedy}"
        for code in ENDS
    )
