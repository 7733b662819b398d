"""
The OpenAPI 3.1 document, made from the table of operations and nothing else.

Words come from docstrings and fields, schemas from pydantic, and the problems of an operation from what it takes, from
who may, and from what it says itself.
"""

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from api.actions import KEYED as KEYED_METHODS
from api.bodies import Body
from api.downloads import CSV, JSONL
from api.errors import ProblemDocument
from api.operations import Operation
from api.problems import CATALOGUE
from api.schemas import NoQuery, Query
from shared.domain.access import Scope

Json = dict[str, Any]

JSON = "application/json"
PROBLEM = "application/problem+json"
SCHEMAS = "#/components/schemas/"

ALWAYS = ("bad_parameter", "foreign_host", "internal_error", "too_many_attempts", "too_many_requests")
WITH_SCOPE = (
    *("token_missing", "token_wrong", "session_ended", "scope_too_small", "wrong_account"),
    "database_unavailable",
)
CHANGES = ("foreign_origin", "body_incomplete", "body_too_large", "body_too_slow", "database_unavailable")
KEYED = ("bad_idempotency_key", "idempotency_key_reused", "idempotency_under_way", "idempotency_cut_short")
WITH_BODY = ("bad_json", "unsupported_media_type")
WAITS = (429, 503)
RETRY: Json = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names the request, so that it is done once however often it is sent: a UUID. Remembered for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]+$"},
}
DOWNLOADS = ("too_many_downloads",)

ABOUT = """\
An autonomous trader for AsterDEX perpetual futures: what it holds, did, decided and paid, and how to steer it.

Money, prices and quantities are strings, moments ISO 8601 with their offset. A list is `{"items": […], "next": …}`:
`next` is the `before` of the page that follows, null on the last; `?format=csv` or `jsonl` downloads all of it. Every
answer has an `X-Request-Id`. What goes wrong is a problem document (RFC 9457) whose `code` is explained at
[/docs/problems](/docs/problems).
"""

TAGS = {
    "health": "Is it well?",
    "status": "Where everything stands, at a glance.",
    "accounts": "Who trades, and whether.",
    "stop": "Everything ends, at once.",
    "changes": "What is to be allowed, and has to wait.",
    "positions": "What is held.",
    "orders": "What was sent.",
    "trades": "What was filled.",
    "decisions": "What was wanted, what risk said to it, and what came of it.",
    "events": "What happened, in order: the journal that streams are fed from.",
    "diary": "What happened, in words.",
    "discrepancies": "Where ours and the exchange's books differed.",
    "equity": "What the accounts were worth.",
    "performance": "How the accounts have done.",
    "edge": "Where profit came from.",
    "costs": "What it took.",
    "limits": "How much of what is allowed is used.",
    "models": "How language models compare.",
    "llm-interactions": "Every question to a model.",
    "market-data": "Prices.",
    "metrics": "How things stand, for Prometheus.",
    "operations": "How well the work was done.",
    "alerts": "What a person must know.",
    "logs": "What our processes have written.",
    "functions": "The stages, invoked.",
    "session": "Logging in and out of the dashboard.",
    "tokens": "Who may ask for what.",
    "audit": "Who did what, and what came of it.",
}

_Key = tuple[str, str]


class _Generator(GenerateJsonSchema):
    def normalize_name(self, name: str) -> str:
        """Name a list for what it lists: OrderList, not Listing_Order_."""
        return super().normalize_name(re.sub(r"^Listing\[(\w+)\]$", r"\1List", name))


def document(operations: Sequence[Operation], *, version: str) -> Json:
    """Return the document of *operations*."""
    schemas, components = _schemas(operations)
    paths: defaultdict[str, Json] = defaultdict(dict)
    for operation in operations:
        paths[operation.path][operation.method.lower()] = _operation(operation, schemas, components)
    for name in {operation.query.__name__ for operation in operations}:
        components.pop(name, None)  # taken apart into parameters
    used = dict.fromkeys(tag_of(operation) for operation in operations)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Perpetua", "version": version, "description": ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag, "description": TAGS.get(tag, "")} for tag in used],
        "paths": dict(paths),
        "components": {
            "schemas": dict(sorted(components.items())),
            "headers": {
                "RequestId": {
                    "description": "Names the request in the log. A sane one that was sent is kept.",
                    "schema": {"type": "string"},
                },
                "RetryAfter": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Each scope includes the ones before it: "
                    + ", ".join(f"`{scope}`" for scope in Scope)
                    + ". Not asked for where only this machine is served and no token is set.",
                }
            },
        },
    }


def codes_of(operation: Operation) -> list[str]:
    """Return the code of every problem that the operation can answer."""
    codes = [*ALWAYS, *operation.problems]
    codes += WITH_SCOPE if operation.scope is not None else ()
    codes += CHANGES if operation.method != "GET" else ()
    codes += KEYED if _takes_a_key(operation) else ()
    if operation.body is not None:
        codes += WITH_BODY
        codes += ("bad_body",) if _whole(operation.body) else ()
    codes += DOWNLOADS if operation.item else ()
    codes += ("unknown_account",) if "account" in operation.query.model_fields else ()
    return sorted(set(codes))


def _takes_a_key(operation: Operation) -> bool:
    return operation.method in KEYED_METHODS and operation.scope is not None


def tag_of(operation: Operation) -> str:
    """Return the subject of an operation: the first word of its path."""
    return next((word for word in operation.path.split("/") if word[:1].isalpha()), "")


def name_of(operation: Operation) -> str:
    """Return what generated code calls the operation."""
    words = re.findall(r"[A-Za-z0-9]+", operation.path)
    return "_".join([operation.method.lower(), *(word.lower() for word in words)])


def _schemas(operations: Iterable[Operation]) -> tuple[Mapping[_Key, Json], dict[str, Json]]:
    """Return the schema of everything that crosses the wire, by whose it is and what, and all that they refer to."""
    inputs: list[tuple[Any, Any, TypeAdapter[Any]]] = [(("", "problem"), "serialization", TypeAdapter(ProblemDocument))]
    for operation in operations:
        name = name_of(operation)
        inputs.append(((name, "query"), "validation", TypeAdapter(operation.query)))
        if operation.body is not None:
            inputs.append(((name, "body"), "validation", TypeAdapter(operation.body)))
        if operation.answer is not None:
            inputs.append(((name, "answer"), "serialization", operation.answer))
        for variable, kind in operation.variables.items():
            inputs.append(((name, f"path {variable}"), "validation", kind))
    found, shared = TypeAdapter.json_schemas(inputs, ref_template=SCHEMAS + "{model}", schema_generator=_Generator)
    components: dict[str, Json] = {name: schema | {"title": name} for name, schema in shared["$defs"].items()}
    return {key: schema for (key, _), schema in found.items()}, components


def _operation(operation: Operation, schemas: Mapping[_Key, Json], components: Mapping[str, Json]) -> Json:
    name = name_of(operation)
    summary, _, rest = (inspect.getdoc(operation.handler) or "").partition("\n")
    asked = "" if operation.query is NoQuery else inspect.getdoc(operation.query) or ""
    may = f"Takes a token with the scope `{operation.scope}`." if operation.scope else "Takes no token."
    whole = "It is about all accounts: a token of one does not do." if operation.whole_house else ""
    told: Json = {
        "operationId": name,
        "tags": [tag_of(operation)],
        "summary": summary.removesuffix("."),
        "description": "\n\n".join(part for part in (rest.strip(), asked, f"{may} {whole}".strip()) if part),
        "security": [] if operation.scope is None else [{"token": [operation.scope.value]}],
        "parameters": [
            *_path_parameters(operation, schemas),
            *_query_parameters(operation.query, schemas, name, components),
            *([IDEMPOTENCY_KEY] if _takes_a_key(operation) else []),
        ],
        "responses": _responses(operation, schemas),
    }
    if operation.body is not None:
        needed = _whole(operation.body) and any(f.is_required() for f in operation.body.model_fields.values())
        told["requestBody"] = {
            "required": needed or not _whole(operation.body),
            "content": {JSON: {"schema": schemas[name, "body"]}},
        }
    return told


def _whole(body: Any) -> bool:
    return isinstance(body, type) and issubclass(body, Body)


def _path_parameters(operation: Operation, schemas: Mapping[_Key, Json]) -> list[Json]:
    return [
        _parameter(variable, "path", schemas[name_of(operation), f"path {variable}"], required=True)
        for variable in re.findall(r"{(\w+)}", operation.path)
    ]


def _query_parameters(
    query: type[Query], schemas: Mapping[_Key, Json], name: str, components: Mapping[str, Json]
) -> list[Json]:
    schema = schemas[name, "query"]
    schema = components[schema["$ref"].removeprefix(SCHEMAS)] if "$ref" in schema else schema
    required = schema.get("required", [])
    return [
        _parameter(field, "query", given(said), required=field in required)
        for field, said in schema.get("properties", {}).items()
    ]


def _parameter(name: str, place: str, schema: Json, *, required: bool) -> Json:
    """Return a parameter: what pydantic says beside the type belongs to it, not to its schema."""
    schema = {key: value for key, value in schema.items() if key != "title"}
    told: Json = {"name": name, "in": place, "required": required}
    if description := schema.pop("description", None):
        told["description"] = description
    if examples := schema.pop("examples", None):
        told["example"] = examples[0]
    return told | {"schema": schema}


def given(schema: Json) -> Json:
    """Return the schema of what was given: what may be None may be left out, and null cannot be said."""
    choices: list[Json] = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {name: value for name, value in schema.items() if name not in {"anyOf", "default"}} | choices[0]


def _responses(operation: Operation, schemas: Mapping[_Key, Json]) -> Json:
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in codes_of(operation):
        by_status[CATALOGUE[code].status].append(code)
    good: Json = {"description": "What was asked for.", "headers": _headers()}
    if operation.status != 204:
        good["content"] = _content(operation, schemas)
    return {
        str(operation.status): good,
        **{str(status): _problem(status, codes) for status, codes in sorted(by_status.items())},
    }


def _content(operation: Operation, schemas: Mapping[_Key, Json]) -> Json:
    if operation.media_types:
        return {kind: {"schema": {"type": "string"}} for kind in operation.media_types}
    content: Json = {JSON: {"schema": schemas.get((name_of(operation), "answer"), {})}}
    if operation.item:
        content |= {kind: {"schema": {"type": "string"}} for kind in (CSV, JSONL)}
    return content


def _problem(status: int, codes: Sequence[str]) -> Json:
    lines = [f"- `{code}`: {CATALOGUE[code].title}. {CATALOGUE[code].remedy}" for code in codes]
    return {
        "description": "\n".join(lines),
        "headers": _headers() | (RETRY if status in WAITS else {}),
        "content": {PROBLEM: {"schema": {"$ref": SCHEMAS + ProblemDocument.__name__}}},
    }


def _headers() -> Json:
    return {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
