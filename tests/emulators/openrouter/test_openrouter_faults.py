"""Faults on demand, in process where that is enough and over a socket where it is not."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

BODY = {"model": "emulated/rule-follower", "messages": [{"role": "user", "content": '{"market": {"BTCUSDT": {}}}'}]}
STATUSES = [400, 401, 402, 403, 404, 408, 409, 412, 413, 422, 429, 500, 502, 503, 504, 524, 529]


@pytest.fixture
def order(client):
    async def ordering(**fault):
        reply = await client.post("http://emulator/emulator/faults", json=fault)
        assert reply.status_code == 200, reply.text

    return ordering


@pytest.mark.parametrize("status", STATUSES)
async def test_every_status_of_the_service_can_be_had_once(client, order, status) -> None:
    await order(kind="status", status=status, retry_after=3)

    struck = await client.post("/chat/completions", json=BODY)
    after = await client.post("/chat/completions", json=BODY)

    assert (struck.status_code, struck.headers["retry-after"]) == (status, "3")
    assert struck.json()["error"]["code"] == status
    assert after.status_code == 200


async def test_a_fault_strikes_as_often_as_asked_and_tells_no_retry_after_of_its_own(client, order) -> None:
    await order(kind="status", status=429, count=2)

    replies = [await client.post("/chat/completions", json=BODY) for _ in range(3)]

    assert [reply.status_code for reply in replies] == [429, 429, 200]
    assert "retry-after" not in replies[0].headers


async def test_an_error_can_hide_behind_a_200(client, order) -> None:
    await order(kind="200-with-error")

    reply = await client.post("/chat/completions", json=BODY)

    assert reply.status_code == 200
    assert reply.json().keys() == {"error"}
    assert reply.json()["error"]["code"] == 502


async def test_a_choice_that_failed_half_way_has_partial_content_and_is_free(client, order) -> None:
    await order(kind="choice-error")

    reply = (await client.post("/chat/completions", json=BODY)).json()

    [choice] = reply["choices"]
    assert choice["finish_reason"] == "error"
    assert choice["error"]["message"] == "Provider disconnected"
    assert choice["message"]["content"]
    assert reply["usage"]["cost"] == 0
    assert (await client.get("/key")).json()["data"]["usage"] == 0


async def test_a_page_or_nothing_can_come_in_place_of_json(client, order) -> None:
    await order(kind="html")
    await order(kind="empty")

    page, nothing = [await client.post("/chat/completions", json=BODY) for _ in range(2)]

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.text.startswith("<html>")
    assert (nothing.status_code, nothing.content) == (200, b"")


async def test_a_fault_of_one_model_waits_for_that_model(client, order) -> None:
    await order(kind="empty", model="emulated/coward")

    other = await client.post("/chat/completions", json=BODY)
    struck = await client.post("/chat/completions", json=BODY | {"model": "emulated/coward"})

    assert other.json()["model"] == "emulated/rule-follower"
    assert struck.content == b""


async def test_without_a_server_a_reset_is_an_exception(client, order) -> None:
    await order(kind="reset")

    with pytest.raises(httpx.ReadError):
        await client.post("/chat/completions", json=BODY)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("nonsense", "a JSON object is required"),
        ({}, "kind must be one of"),
        ({"kind": "earthquake"}, "kind must be one of"),
        ({"kind": "html", "colour": "red"}, "unknown field colour"),
        ({"kind": "html", "count": 0}, "count must be an integer of at least 1"),
        ({"kind": "slow-first-byte", "ms": "long"}, "ms must be an integer"),
        ({"kind": "status", "status": 418}, "status must be one of"),
        ({"kind": "html", "model": "acme/m1"}, "acme/m1 is not on offer"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_in_one_line(client, fault, complaint) -> None:
    reply = await client.post("http://emulator/emulator/faults", json=fault)

    assert reply.status_code == 400
    assert complaint in reply.json()["error"]["message"]


@pytest.fixture
def over_the_wire(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers={"Authorization": "Bearer x"}, timeout=5) as client:
        yield client


def test_a_slow_answer_sends_nothing_and_then_everything(over_the_wire) -> None:
    over_the_wire.post("/emulator/faults", json={"kind": "slow-first-byte", "ms": 400, "count": 2})

    with pytest.raises(httpx.ReadTimeout):
        over_the_wire.post("/api/v1/chat/completions", json=BODY, timeout=0.1)
    started = time.monotonic()
    late = over_the_wire.post("/api/v1/chat/completions", json=BODY)

    assert time.monotonic() - started >= 0.4
    assert late.json()["choices"][0]["finish_reason"] == "stop"


def test_a_drip_outlives_a_read_timeout_and_ends_in_an_answer(over_the_wire) -> None:
    over_the_wire.post("/emulator/faults", json={"kind": "whitespace-drip", "ms": 600})

    started = time.monotonic()
    dripped = over_the_wire.post("/api/v1/chat/completions", json=BODY, timeout=0.4)

    assert time.monotonic() - started >= 0.6
    assert dripped.content.startswith(b"\n\n")
    assert dripped.json()["choices"][0]["finish_reason"] == "stop"


def test_a_reset_breaks_the_connection_and_the_next_request_is_served(over_the_wire) -> None:
    over_the_wire.post("/emulator/faults", json={"kind": "reset"})

    with pytest.raises(httpx.ReadError, match="reset by peer"):
        over_the_wire.post("/api/v1/chat/completions", json=BODY)

    assert over_the_wire.post("/api/v1/chat/completions", json=BODY).status_code == 200


async def test_a_client_that_hangs_up_during_a_drip_leaves_the_server_well(address) -> None:
    async with httpx.AsyncClient(base_url=address, headers={"Authorization": "Bearer x"}) as client:
        await client.post("/emulator/faults", json={"kind": "whitespace-drip", "ms": 60_000})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.post("/api/v1/chat/completions", json=BODY), 0.2)

        assert (await client.get("/api/v1/key")).status_code == 200
