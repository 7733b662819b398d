"""Whatever is sent, the service answers in its own words: it never breaks."""

import asyncio
import copy
import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulators.openrouter import create_app
from tests.emulators.openrouter.conftest import SEARCH_TOOL, STRICT, a_prompt

CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
SOUND: Any = {
    "model": "emulated/analyst",
    "models": ["emulated/coward"],
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Answer with JSON only."}]},
        {"role": "user", "content": json.dumps(a_prompt())},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_details": []},
        {"role": "tool", "tool_call_id": "call_1", "content": "5"},
    ],
    "tools": [SEARCH_TOOL],
    "tool_choice": {"type": "function", "function": {"name": "look_up"}},
    "response_format": STRICT,
    "provider": {
        "order": ["emulated"],
        "data_collection": "allow",
        "quantizations": ["bf16"],
        "sort": {"by": "price"},
        "max_price": {"prompt": 5, "completion": "20"},
    },
    "reasoning": {"effort": "low", "exclude": False},
    "plugins": [{"id": "context-compression", "enabled": False}],
    "transforms": ["middle-out"],
    "stop": ["#"],
    "metadata": {"cycle": "1"},
    "max_tokens": 500,
    "seed": 1,
    "stream": True,
}
ORDERS: Any = {
    "faults": {"kind": "status", "count": 1, "status": 503, "model": "emulated/coward", "probability": 0.5},
    "keys": {"key": "x", "limit": "5", "limit_reset": "daily", "exhausted_status": 402, "disabled": False},
    "credits": {"total": 100},
    "clock": {"advance": 5},
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("object"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, part in inner for path in paths(part, (*here, key)))]


def spoiled(document: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """*document* with *junk* at the end of *path*."""
    if not path:
        return junk
    changed = copy.deepcopy(document)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = junk
    return changed


async def sent(path: str, body: bytes) -> httpx.Response:
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, headers={"Authorization": "Bearer x"}) as client:
        return await client.post(f"http://emulator{path}", content=body)


ANSWERS = [(200, None), (400, 400), (402, 402), (404, 404)]
"""The statuses of an answer, each with the code that its body is to carry."""


def answer(path: str, body: bytes) -> tuple[int, int | None]:
    """Return the status of the answer to *body*, and the code of the error it tells of."""
    reply = asyncio.run(sent(path, body))
    return reply.status_code, None if reply.status_code == 200 else reply.json()["error"]["code"]


FUZZED = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZED
@given(path=st.sampled_from(paths(SOUND)), junk=JUNK)
def test_a_question_with_junk_in_any_place_is_answered(path: tuple[Any, ...], junk: Any) -> None:
    assert answer("/api/v1/chat/completions", json.dumps(spoiled(SOUND, path, junk)).encode()) in ANSWERS


@FUZZED
@given(name=st.sampled_from(sorted(ORDERS)), data=st.data(), junk=JUNK)
def test_an_order_with_junk_in_any_place_is_answered(name: str, data: st.DataObject, junk: Any) -> None:
    path = data.draw(st.sampled_from(paths(ORDERS[name])))

    assert answer(f"/emulator/{name}", json.dumps(spoiled(ORDERS[name], path, junk)).encode()) in ANSWERS


@FUZZED
@given(body=st.binary(max_size=60) | st.text(alphabet='{}[]":,0aeEnulN-\\', max_size=60).map(str.encode))
def test_a_body_of_any_bytes_is_answered(body: bytes) -> None:
    assert answer("/api/v1/chat/completions", body) in ANSWERS


BRIEFING = a_prompt(
    positions=[
        {"asset": "ETHUSDT", "side": "LONG", "notional_usd": "5", "exit_plan": {"invalidation": {"price": "1"}}}
    ],
    recent_decisions=[{"time": "2025-05-06T16:00:00Z", "asset": "BTCUSDT", "action": "buy"}],
)
READERS = ("rule-follower", "over-trader", "flipper", "planner", "fabulist", "gambler", "hallucinator", "surrogates")


@FUZZED
@given(path=st.sampled_from(paths(BRIEFING)), junk=JUNK, model=st.sampled_from(READERS))
def test_a_briefing_with_junk_in_any_place_is_decided_on(path: tuple[Any, ...], junk: Any, model: str) -> None:
    messages = [{"role": "user", "content": json.dumps(spoiled(BRIEFING, path, junk))}]
    body = {"model": f"emulated/{model}", "messages": messages}

    reply = asyncio.run(sent("/api/v1/chat/completions", json.dumps(body).encode()))

    assert json.loads(reply.json()["choices"][0]["message"]["content"])["decisions"] is not None
