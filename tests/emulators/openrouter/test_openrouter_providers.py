"""Which provider serves a request, and what happens when none may."""

import json
from typing import Any

import pytest

from tests.emulators.openrouter.conftest import SEARCH_TOOL, STRICT, a_prompt


@pytest.fixture
def served(client):
    """Who serves the rule follower, which four houses offer; or the error when nobody does."""

    async def serving(provider: Any = None, **fields: Any) -> Any:
        messages = [{"role": "user", "content": json.dumps(a_prompt())}]
        body = {"model": "emulated/rule-follower", "messages": messages, "provider": provider or {}} | fields
        reply = (await client.post("/chat/completions", json=body)).json()
        return reply.get("provider") or reply["error"]

    return serving


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ({}, "Emulated"),
        ({"order": ["bare"]}, "Bare"),
        ({"order": ["nobody", "Sloppy"]}, "Sloppy"),
        ({"order": ["secondhand/fp8"], "allow_fallbacks": False}, "Secondhand"),
        ({"only": ["sloppy", "bare"]}, "Sloppy"),
        ({"ignore": ["emulated"]}, "Secondhand"),
        ({"quantizations": ["int4"]}, "Sloppy"),
        ({"sort": "price"}, "Bare"),
        ({"sort": {"by": "throughput", "partition": "model"}}, "Sloppy"),
        ({"sort": "latency"}, "Sloppy"),
        ({"sort": "price", "data_collection": "deny"}, "Emulated"),
        ({"sort": "price", "zdr": True}, "Emulated"),
        ({"ignore": ["emulated"], "max_price": {"prompt": 0.3, "completion": 1.2}}, "Sloppy"),
        ({"ignore": ["emulated"], "max_price": {"prompt": "0.3", "completion": "1.2"}}, "Sloppy"),
        ({"sort": "price", "require_parameters": True}, "Bare"),
    ],
)
async def test_preferences_choose_the_provider(served, provider, name) -> None:
    assert await served(provider) == name


async def test_a_provider_must_support_what_is_required(served) -> None:
    cheapest = {"sort": "price", "require_parameters": True}

    assert await served(cheapest, temperature=0.2, max_tokens=500) == "Bare"
    assert await served(cheapest, seed=7) == "Sloppy"
    assert await served(cheapest, response_format=STRICT) == "Sloppy"  # declares JSON mode, not schemas
    assert await served(cheapest, tools=[SEARCH_TOOL]) == "Emulated"


async def test_without_being_required_support_is_only_preferred(served) -> None:
    assert await served({"only": ["bare", "sloppy"]}, response_format=STRICT) == "Sloppy"
    assert await served({"only": ["bare"]}, response_format=STRICT, tools=[SEARCH_TOOL]) == "Bare"


@pytest.mark.parametrize(
    ("provider", "fields", "code", "words"),
    [
        ({"only": ["bare"], "require_parameters": True}, {"seed": 1}, "constraint_filtered", "requested parameters"),
        ({"only": ["nobody"]}, {}, "constraint_filtered", "No allowed providers"),
        ({"order": ["nobody"], "allow_fallbacks": False}, {}, "constraint_filtered", "No allowed providers"),
        ({"max_price": {"prompt": 0.01}}, {}, "constraint_filtered", "maximum price"),
        ({"only": ["bare"], "data_collection": "deny"}, {}, "privacy_restricted", "data policy"),
        ({}, {"max_tokens": 100_000}, "constraint_filtered", "so many tokens"),
    ],
)
async def test_when_nobody_is_left_it_is_a_404_that_says_why(served, provider, fields, code, words) -> None:
    error = await served(provider, **fields)

    assert (error["code"], error["http_status"], error["metadata"]["error_type"]) == (404, 404, "not_found")
    assert words in error["message"]
    assert (error["availability"]["code"], error["availability"]["retryable"]) == (code, False)
    assert error["availability"]["requested_models"] == ["emulated/rule-follower"]


async def test_the_next_model_answers_when_a_models_providers_are_all_filtered_out(client) -> None:
    body = {
        "model": "emulated/bare",
        "models": ["emulated/coward"],
        "provider": {"require_parameters": True},
        "seed": 1,
        "messages": [{"role": "user", "content": "{}"}],
    }

    assert (await client.post("/chat/completions", json=body)).json()["model"] == "emulated/coward"


async def test_a_provider_that_fails_hands_over_to_the_next_one_unless_that_is_forbidden(client, served) -> None:
    for _ in range(2):
        fault = {"kind": "status", "status": 502, "provider": "Emulated"}
        await client.post("http://emulator/emulator/faults", json=fault)

    failed_over = await served()
    pinned = await served({"order": ["emulated"], "allow_fallbacks": False})

    assert failed_over == "Secondhand"
    assert pinned["code"] == 502
    assert pinned["metadata"]["provider_name"] == "Emulated"


async def test_another_provider_has_another_price(client, ask) -> None:
    own = await ask("rule-follower", a_prompt())
    dearer = await ask("rule-follower", a_prompt(), provider={"only": ["secondhand"]})

    assert dearer["usage"]["cost"] == own["usage"]["cost"] * 5 / 4


async def test_strictness_depends_on_the_house(ask) -> None:
    strict = await ask("rule-follower", a_prompt(), response_format=STRICT)
    sloppy = await ask("sloppy", a_prompt(), response_format=STRICT)
    bare = await ask("bare", a_prompt(), response_format=STRICT)
    contents = [each["choices"][0]["message"]["content"] for each in (strict, sloppy, bare)]

    assert list(json.loads(contents[0])) == ["mood", "decisions"]
    assert list(json.loads(contents[1])) == ["reasoning", "decisions"]
    assert "```json" in contents[2]


async def test_a_house_without_tools_drops_them(ask) -> None:
    reply = await ask("bare", a_prompt(), tools=[SEARCH_TOOL])

    assert "tool_calls" not in reply["choices"][0]["message"]


@pytest.mark.parametrize(
    ("provider", "complaint"),
    [
        ("emulated", "must be an object"),
        ({"Order": ["emulated"]}, "Unrecognized key(s) in object: 'Order'"),
        ({"order": "emulated"}, "provider.order must be an array"),
        ({"require_parameters": "yes"}, "must be true or false"),
        ({"data_collection": "never"}, "must be allow or deny"),
        ({"quantizations": ["int3"]}, "known are int4"),
        ({"sort": "beauty"}, "provider.sort"),
        ({"max_price": 5}, "provider.max_price must be an object"),
        ({"max_price": {"prompt": "cheap"}}, "provider.max_price.prompt"),
    ],
)
async def test_preferences_that_make_no_sense_are_refused(served, provider, complaint) -> None:
    error = await served(provider)

    assert error["code"] == 400
    assert complaint in error["message"]


async def test_the_route_is_told_to_whoever_asks(client) -> None:
    fault = {"kind": "status", "status": 429, "model": "emulated/rule-follower"}
    await client.post("http://emulator/emulator/faults", json=fault)
    body = {
        "models": ["emulated/rule-follower", "emulated/trend-follower"],
        "messages": [{"role": "user", "content": "{}"}],
    }

    headers = {"X-OpenRouter-Metadata": "enabled"}
    told = (await client.post("/chat/completions", json=body, headers=headers)).json()["openrouter_metadata"]
    untold = (await client.post("/chat/completions", json=body)).json()

    assert (told["requested"], told["strategy"], told["attempt"]) == ("emulated/rule-follower", "fallback", 2)
    assert [(each["model"], each["status"]) for each in told["attempts"]] == [
        ("emulated/rule-follower", 429),
        ("emulated/trend-follower", 200),
    ]
    assert [each["selected"] for each in told["endpoints"]["available"]] == [True, False]
    assert "openrouter_metadata" not in untold
