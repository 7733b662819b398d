"""The reply to a chat completion: its shape, its price, its routing and its schema."""

import json
from decimal import Decimal

import httpx
import pytest

from emulators.openrouter import create_app
from emulators.openrouter.catalogue import MODELS

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["decisions", "mood"],
    "properties": {
        "mood": {"type": "string"},
        "decisions": {"type": "array", "items": {"$ref": "#/$defs/Decision"}},
    },
    "$defs": {
        "Decision": {
            "type": "object",
            "additionalProperties": False,
            "required": ["action", "asset", "stop_loss", "hedge"],
            "properties": {
                "action": {"type": "string", "enum": ["buy", "sell", "hold", "close"]},
                "asset": {"type": "string", "enum": ["ETHUSDT"]},
                "stop_loss": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                "hedge": {"type": ["string", "null"]},
            },
        }
    },
}


def strictly(schema: object, **changes: object) -> dict:
    named = {"name": "trade_decisions", "strict": True, "schema": schema} | changes
    return {"type": "json_schema", "json_schema": named}


async def test_a_reply_has_every_field_the_clients_insist_on(ask, prompt) -> None:
    reply = await ask("rule-follower", prompt())
    [choice] = reply["choices"]

    assert reply["object"] == "chat.completion"
    assert reply["id"].startswith("gen-")
    assert isinstance(reply["created"], int)
    assert (reply["model"], reply["provider"]) == ("emulated/rule-follower", "Emulated")
    assert reply["system_fingerprint"] is None
    assert (choice["index"], choice["finish_reason"], choice["native_finish_reason"]) == (0, "stop", "end_turn")
    assert choice["message"]["role"] == "assistant"
    assert {"upstream_inference_prompt_cost", "upstream_inference_completions_cost"} < reply["usage"][
        "cost_details"
    ].keys()


async def test_a_token_is_four_characters_rounded_up_and_the_cost_is_exact(client) -> None:
    messages = [{"role": "system", "content": "abcd"}, {"role": "user", "content": [{"type": "text", "text": "e"}]}]

    reply = await client.post("/chat/completions", json={"model": "emulated/coward", "messages": messages})

    content = reply.json()["choices"][0]["message"]["content"]
    usage = json.loads(reply.content, parse_float=Decimal)["usage"]
    completion = -(-len(content) // 4)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (2, completion)
    assert usage["total_tokens"] == 2 + completion
    assert usage["cost"] == (2 * Decimal("0.05") + completion * Decimal("0.20")) / 1_000_000


async def test_what_a_key_spends_is_booked_on_that_key_alone(client, ask, prompt) -> None:
    spent = sum([(await ask("rule-follower", prompt()))["usage"]["cost"] for _ in range(3)])
    key = json.loads((await client.get("/key")).content, parse_float=Decimal)["data"]
    other = (await client.get("/key", headers={"Authorization": "Bearer other"})).json()["data"]
    account = json.loads((await client.get("/credits")).content, parse_float=Decimal)["data"]

    assert key["usage"] == key["usage_daily"] == spent > 0
    assert other["usage"] == 0
    assert account == {"total_credits": 1_000_000, "total_usage": spent}


async def test_every_answer_can_be_looked_up_by_its_id(client, ask, prompt) -> None:
    reply = await ask("empty", prompt())

    found = json.loads((await client.get("/generation", params={"id": reply["id"]})).content, parse_float=Decimal)

    assert found["data"]["total_cost"] == reply["usage"]["cost"]
    assert found["data"]["finish_reason"] == "length"
    assert found["data"]["native_tokens_reasoning"] > 0
    assert (await client.get("/generation", params={"id": "gen-0"})).status_code == 404


async def test_the_same_seed_and_the_same_calls_give_the_same_bytes() -> None:
    async def bytes_of(seed: int) -> list[bytes]:
        transport = httpx.ASGITransport(create_app(seed=seed))
        headers = {"Authorization": "Bearer x"}
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator", headers=headers) as client:
            body = {"model": "emulated/coward", "messages": [{"role": "user", "content": "{}"}]}
            return [(await client.post("/api/v1/chat/completions", json=body)).content for _ in range(2)]

    first, again, other = await bytes_of(7), await bytes_of(7), await bytes_of(8)

    assert first == again
    assert len({*first, *other}) == 4


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_max_tokens_cuts_the_answer_short(ask, prompt, field) -> None:
    whole = await ask("rule-follower", prompt())
    cut = await ask("rule-follower", prompt(), **{field: 20})

    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["choices"][0]["message"]["content"] == whole["choices"][0]["message"]["content"][:80]
    assert cut["usage"]["completion_tokens"] == 20


async def test_the_next_model_of_the_list_answers_when_the_first_is_unknown(ask, prompt) -> None:
    reply = await ask("gone", prompt(), models=["emulated/gone", "emulated/coward"])

    assert reply["model"] == "emulated/coward"


async def test_the_next_model_of_the_list_answers_when_the_first_one_is_down(client, ask, prompt) -> None:
    await client.post(
        "http://emulator/emulator/faults", json={"kind": "status", "status": 503, "model": "emulated/rule-follower"}
    )

    first = await ask("rule-follower", prompt(), models=["emulated/coward"])
    second = await ask("rule-follower", prompt(), models=["emulated/coward"])

    assert (first["model"], second["model"]) == ("emulated/coward", "emulated/rule-follower")


async def test_the_last_failure_is_told_when_no_model_of_the_list_answers(client) -> None:
    body = {"models": ["acme/a", "acme/b"], "messages": [{"role": "user", "content": ""}]}

    reply = await client.post("/chat/completions", json=body)

    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == "acme/b is not a valid model ID"


async def test_a_strict_schema_decides_which_fields_come_and_in_which_order(ask, prompt, rising) -> None:
    market = {"BTCUSDT": rising, "ETHUSDT": rising}

    reply = await ask("rule-follower", prompt(market=market), response_format=strictly(SCHEMA))

    answer = json.loads(reply["choices"][0]["message"]["content"])
    assert list(answer) == ["mood", "decisions"]
    assert answer["mood"] == ""
    [decision] = answer["decisions"]  # BTCUSDT is not in the enum
    assert list(decision) == ["action", "asset", "stop_loss", "hedge"]
    assert decision["stop_loss"] < 95500
    assert decision["hedge"] is None


async def test_a_schema_nothing_of_the_answer_fits_is_filled_with_blanks(ask, prompt) -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["reasoning", "side", "detail"],
        "properties": {
            "reasoning": {"type": "integer"},
            "side": {"type": "string", "enum": ["long", "short"]},
            "detail": {
                "type": "object",
                "additionalProperties": False,
                "required": ["ok", "version", "note"],
                "properties": {
                    "ok": {"type": "boolean"},
                    "version": {"type": "string", "const": "v1"},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                },
            },
        },
    }

    reply = await ask("coward", prompt(), response_format=strictly(schema))

    assert json.loads(reply["choices"][0]["message"]["content"]) == {
        "reasoning": 0,
        "side": "long",
        "detail": {"ok": False, "version": "v1", "note": None},
    }


async def test_a_schema_that_is_not_strict_is_only_a_hint(ask, prompt) -> None:
    reply = await ask("rule-follower", prompt(), response_format=strictly(SCHEMA, strict=False))

    assert "reasoning" in json.loads(reply["choices"][0]["message"]["content"])


async def test_a_misbehaving_model_ignores_the_schema_it_declares_to_support(client, ask, prompt) -> None:
    listed = {model["id"]: model for model in (await client.get("/models")).json()["data"]}

    reply = await ask("numbers-as-strings", prompt(), response_format=strictly(SCHEMA))

    assert "structured_outputs" in listed["emulated/numbers-as-strings"]["supported_parameters"]
    assert "reasoning" in json.loads(reply["choices"][0]["message"]["content"])


NODE = {"type": "object", "additionalProperties": False, "required": ["next"]} | {
    "properties": {"next": {"$ref": "#/$defs/Node"}}
}
ENDLESS = NODE | {"$defs": {"Node": NODE}}
LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("response_format", "complaint"),
    [
        ("json", "type must be one of"),
        ({"type": "yaml"}, "type must be one of"),
        ({"type": "json_schema"}, "json_schema.name"),
        (strictly(SCHEMA, name="trade decisions"), "json_schema.name"),
        (strictly(None), "an object is required"),
        (strictly({"type": "array"}), "must be a JSON Schema of"),
        (strictly(LOOSE | {"required": ["a"]}), "additionalProperties"),
        (strictly(LOOSE | {"additionalProperties": False}), "'required'"),
        (strictly(SCHEMA | {"$defs": {}}), "cannot be resolved"),
        (strictly({**SCHEMA, "properties": SCHEMA["properties"] | {"mood": {"type": "text"}}}), "is not a type"),
        (strictly({**SCHEMA, "properties": SCHEMA["properties"] | {"mood": True}}), "must be an object"),
        (strictly({**SCHEMA, "properties": []}), "'properties' has the wrong type"),
        (strictly({**SCHEMA, "required": [5]}), "names must be strings"),
        (strictly(ENDLESS), "leads back to itself"),
    ],
)
async def test_a_response_format_no_strict_provider_takes_is_refused(client, response_format, complaint) -> None:
    body = {"model": "emulated/coward", "messages": [{"role": "user", "content": "{}"}]}

    reply = await client.post("/chat/completions", json=body | {"response_format": response_format})

    assert reply.status_code == 400
    assert complaint in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hello"]}, "role"),
        ({"messages": [{"role": "wizard", "content": ""}]}, "role"),
        ({"messages": [{"role": "user", "content": 5}]}, "content"),
        ({"model": None}, "no model given"),
        ({"model": 5}, "model must be a string"),
        ({"models": "emulated/coward"}, "array of strings"),
        ({"model": "acme/m1"}, "acme/m1 is not a valid model ID"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stream": "yes"}, "stream must be true or false"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_in_one_line(client, changes, complaint) -> None:
    body = {"model": "emulated/coward", "messages": [{"role": "user", "content": "{}"}]} | changes

    reply = await client.post("/chat/completions", json=body)

    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["metadata"]["error_type"]) == (400, 400, "invalid_request")
    assert complaint in error["message"]


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]"])
async def test_a_body_that_is_no_json_object_is_refused(client, body) -> None:
    assert (await client.post("/chat/completions", content=body)).status_code == 400


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"temperature": 3}, "temperature must be a number from 0 to 2"),
        ({"top_p": "most"}, "top_p must be a number"),
        ({"seed": 1.5}, "seed must be an integer"),
        ({"stop": ["a"] * 5}, "at most 4"),
        ({"session_id": "x" * 257}, "session_id must be a string of at most 256"),
        ({"metadata": {"cycle": 412}}, "metadata must hold"),
        ({"plugins": [{"id": "magic"}]}, "plugins: each needs an id"),
        ({"reasoning": "deep"}, "reasoning must be an object"),
        ({"reasoning": {"effort": "low", "max_tokens": 5}}, "either effort or max_tokens"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort must be one of"),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "differ"),
        ({"reasoning": {"max_tokens": "all"}}, "reasoning.max_tokens must be an integer"),
    ],
)
async def test_an_option_out_of_its_range_is_refused(client, changes, complaint) -> None:
    body = {"model": "emulated/coward", "messages": [{"role": "user", "content": "{}"}]} | changes

    reply = await client.post("/chat/completions", json=body)

    assert reply.status_code == 400
    assert complaint in reply.json()["error"]["message"]


async def test_everything_a_client_may_send_is_taken(ask, prompt) -> None:
    reply = await ask(
        "rule-follower",
        prompt(),
        models=["emulated/coward"],
        route="fallback",
        temperature=0.2,
        top_p=1,
        top_k=40,
        seed=7,
        stop="###",
        max_completion_tokens=4000,
        reasoning={"effort": "low", "exclude": False},
        plugins=[{"id": "response-healing"}, {"id": "context-compression", "enabled": False}],
        transforms=[],
        usage={"include": True},
        stream_options={"include_usage": True},
        user="desk-1",
        session_id="run-2026-10-01",
        metadata={"cycle": "412"},
        response_format={"type": "json_object"},
        tools=None,
        provider={"order": ["emulated"], "require_parameters": True},
    )

    assert reply["choices"][0]["finish_reason"] == "stop"


async def test_every_model_gives_the_same_bytes_for_the_same_calls_and_seed() -> None:
    async def transcript() -> list[bytes]:
        heard = []
        transport = httpx.ASGITransport(create_app(seed=3))
        async with httpx.AsyncClient(transport=transport, headers={"Authorization": "Bearer x"}) as client:
            for slug, model in MODELS.items():
                if any("slow" in each.kind or "drip" in each.kind for each in model.troubles):
                    continue
                body = {"model": slug, "messages": [{"role": "user", "content": "{}"}], "stream": len(heard) % 2 == 0}
                try:
                    heard.append((await client.post("http://emulator/api/v1/chat/completions", json=body)).content)
                except httpx.ReadError:
                    heard.append(b"reset")
            heard.append((await client.get("http://emulator/api/v1/key")).content)
        return heard

    assert await transcript() == await transcript()
