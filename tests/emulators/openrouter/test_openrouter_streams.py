"""A completion as a stream of events, byte for byte."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.emulators.openrouter.conftest import SEARCH_TOOL, a_prompt

BODY = {"model": "emulated/rule-follower", "messages": [{"role": "user", "content": json.dumps(a_prompt())}]}


@pytest.fixture
def stream(client):
    """Ask for a stream; its text comes back."""

    async def streaming(**fields: Any) -> str:
        reply = await client.post("/chat/completions", json=BODY | {"stream": True} | fields)
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"].startswith("text/event-stream")
        return reply.content.decode()

    return streaming


def events(text: str) -> list[Any]:
    """The documents of a stream, its comments and its end left out."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    return [json.loads(line, parse_float=Decimal) for line in lines if line != "[DONE]"]


async def test_a_stream_says_what_the_whole_answer_says(client, stream) -> None:
    whole = json.loads((await client.post("/chat/completions", json=BODY)).content, parse_float=Decimal)
    text = await stream()
    *chunks, last = events(text)

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert text.startswith(": OPENROUTER PROCESSING\n\ndata: ")
    assert text.endswith("data: [DONE]\n\n")
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta["content"] for delta in deltas) == whole["choices"][0]["message"]["content"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]


async def test_comments_come_between_the_events_too(stream) -> None:
    blocks = (await stream(model="emulated/echo")).split("\n\n")

    assert [block.startswith(":") for block in blocks].count(True) > 2
    assert {block for block in blocks if block.startswith(":")} == {": OPENROUTER PROCESSING"}


async def test_thoughts_and_refusals_are_streamed_as_such(stream) -> None:
    thinking = events(await stream(model="emulated/reasoner", max_tokens=1000))
    refusing = events(await stream(model="emulated/refuser"))

    thoughts = "".join(choice["delta"].get("reasoning", "") for event in thinking for choice in event["choices"])
    assert len(thoughts) == 2000
    assert "financial advice" in refusing[1]["choices"][0]["delta"]["refusal"]
    assert refusing[-2]["choices"][0]["finish_reason"] == "content_filter"


async def test_the_arguments_of_a_call_come_in_fragments(stream) -> None:
    chunks = events(await stream(model="emulated/analyst", tools=[SEARCH_TOOL]))
    calls = [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", [])]

    assert [(call["index"], call["id"], call["function"]["arguments"]) for call in calls if "id" in call] == [
        (0, "call_1", ""),
        (1, "call_2", ""),
    ]
    for index in (0, 1):
        parts = [call["function"]["arguments"] for call in calls if call["index"] == index]
        assert len(parts) > 2
        assert json.loads("".join(parts))["symbol"] == "BTCUSDT"


async def test_a_stream_that_fails_in_the_middle_says_so_and_costs_nothing(client, stream) -> None:
    text = await stream(model="faulty/mid-stream-error")
    *before, last = events(text)

    assert before
    assert last["error"] == {
        "code": 502,
        "message": "Provider disconnected",
        "metadata": {"error_type": "provider_unavailable"},
    }
    assert last["choices"][0]["finish_reason"] == "error"
    assert "[DONE]" not in text
    assert (await client.get("/key")).json()["data"]["usage"] == 0


async def test_a_stream_can_be_cut_or_broken(client, stream) -> None:
    cut = await stream(model="faulty/stream-cut")
    broken = await stream(model="faulty/broken-chunk")

    assert "[DONE]" not in cut
    assert not any(choice["finish_reason"] for event in events(cut) for choice in event["choices"])
    with pytest.raises(json.JSONDecodeError):
        events(broken)


async def test_an_error_before_a_stream_is_an_ordinary_one(client) -> None:
    reply = await client.post("/chat/completions", json=BODY | {"stream": True, "model": "faulty/429-retry-after"})

    assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
    assert reply.json()["error"]["code"] == 429


@pytest.mark.parametrize(("kind", "gone"), [("no-usage", "usage"), ("no-choices", "choices"), ("no-cost", "cost")])
async def test_parts_of_a_stream_can_be_missing(stream, kind, gone) -> None:
    assert f'"{gone}":' not in await stream(model=f"faulty/{kind}")


async def test_a_stream_drips_comments_where_a_body_drips_white_space(client, stream) -> None:
    await client.post("http://emulator/emulator/faults", json={"kind": "whitespace-drip", "ms": 100})

    text = await stream()

    assert text.startswith(": OPENROUTER PROCESSING\n\n" * 3)
    assert text.endswith("data: [DONE]\n\n")


def test_a_stream_can_be_reset_in_the_middle(address) -> None:
    body = BODY | {"stream": True, "model": "faulty/reset-after-headers"}
    headers = {"Authorization": "Bearer x"}
    received = b""

    def read() -> None:
        nonlocal received
        with httpx.stream("POST", f"{address}/api/v1/chat/completions", json=body, headers=headers) as reply:
            for chunk in reply.iter_raw():
                received += chunk

    with pytest.raises(httpx.ReadError):
        read()
    assert received.startswith(b": OPENROUTER PROCESSING\n\ndata: ")
    assert b"[DONE]" not in received
