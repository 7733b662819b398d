"""Faults on demand, in process where that is enough and over a socket where it is not."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from emulators.openrouter import create_app
from emulators.openrouter.catalogue import MODELS
from emulators.openrouter.errors import AVAILABILITIES

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
        ({"kind": "html", "model": 5}, "model must be a string"),
        ({"kind": "html", "provider": "Acme"}, "provider Acme is not known"),
        ({"kind": "html", "probability": 2}, "probability must be a number from 0 to 1"),
        ({"kind": "availability", "code": "closed"}, "code must be one of"),
        ({"kind": "status", "error_type": "mood"}, "error_type must be one of"),
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


LATE = {"faulty/slow-first-byte", "faulty/whitespace-drip"}
"""Late, but sound."""


@pytest.mark.parametrize("slug", sorted({slug for slug in MODELS if slug.startswith("faulty/")} - LATE))
async def test_a_model_that_always_fails_never_gives_a_sound_answer(client, slug) -> None:
    body = BODY | {"model": slug}
    try:
        reply = await client.post("/chat/completions", json=body)
        document = reply.json()
        sound = reply.status_code == 200 and document["model"] == slug and document["usage"]["cost"] > 0
        sound = sound and document["choices"][0]["finish_reason"] == "stop"
    except (httpx.ReadError, ValueError, KeyError):
        sound = False

    assert not sound


@pytest.mark.parametrize("slug", ["faulty/429-retry-after", "faulty/404", "faulty/capacity_exhausted"])
async def test_the_service_goes_on_to_the_next_model_when_one_always_fails(client, slug) -> None:
    reply = await client.post("/chat/completions", json=BODY | {"models": ["emulated/coward"], "model": slug})

    assert reply.json()["model"] == "emulated/coward"


@pytest.mark.parametrize("code", sorted(AVAILABILITIES))
async def test_an_availability_error_says_whether_asking_again_helps(client, code) -> None:
    reply = await client.post("/chat/completions", json=BODY | {"model": f"faulty/{code}"})

    error = reply.json()["error"]
    assert reply.status_code == error["http_status"] == AVAILABILITIES[code][0]
    assert error["availability"]["code"] == code
    assert error["availability"]["retryable"] == (code in {"capacity_exhausted", "temporarily_unavailable"})


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("in-flight-budget", 402, {"limit_source": "openrouter_in_flight_budget"}),
        ("key-limit", 403, {"limit_source": "openrouter_key_limit", "resets_at": "2025-10-10T00:00:00+00:00"}),
        ("moderation", 403, {"error_type": "content_policy_violation", "reasons": ["financial-advice"]}),
        ("guardrail", 403, {"patterns": ["ignore previous instructions"]}),
        ("upstream", 502, {"provider_name": "Emulated", "provider_code": "overloaded"}),
    ],
)
async def test_some_errors_say_more_than_their_status(client, order, kind, status, told) -> None:
    await order(kind=kind)

    reply = await client.post("/chat/completions", json=BODY)

    assert reply.status_code == status
    assert told.items() <= reply.json()["error"]["metadata"].items()
    assert ("retry-after" in reply.headers) == (kind == "in-flight-budget")


async def test_an_error_may_have_any_type_of_the_vocabulary(client, order) -> None:
    await order(kind="status", status=400, error_type="context_length_exceeded")

    reply = await client.post("/chat/completions", json=BODY)

    assert reply.json()["error"]["metadata"]["error_type"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("error-as-text", "upstream connect error"),
        ("code-as-digits", {"code": "429", "message": "Slow down"}),
        ("code-as-word", {"code": "rate_limit", "message": "Slow down"}),
        ("no-code", {"message": "Something went wrong"}),
    ],
)
async def test_an_error_can_have_the_wrong_shape(client, order, kind, shape) -> None:
    await order(kind=kind)

    assert (await client.post("/chat/completions", json=BODY)).json() == {"error": shape}


async def test_parts_of_a_reply_can_be_missing_or_wrong(client, order) -> None:
    for kind in ("no-choices", "no-usage", "no-cost", "other-model"):
        await order(kind=kind)

    bare, unused, unpriced, renamed = [(await client.post("/chat/completions", json=BODY)).json() for _ in range(4)]

    assert "choices" not in bare
    assert "usage" not in unused
    assert "cost" not in unpriced["usage"]
    assert renamed["model"] == "emulated/rule-follower-20260101"


async def test_a_page_or_nothing_can_have_any_status(client, order) -> None:
    await order(kind="html", status=524)
    await order(kind="empty", status=502)

    page, nothing = [await client.post("/chat/completions", json=BODY) for _ in range(2)]

    assert (page.status_code, nothing.status_code, nothing.content) == (524, 502, b"")


async def test_a_truncated_body_is_the_first_half_and_is_paid_for(client, order) -> None:
    await order(kind="truncated")

    half = await client.post("/chat/completions", json=BODY)

    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        half.json()
    assert (await client.get("/key")).json()["data"]["usage"] > 0


async def test_a_fault_without_an_end_strikes_until_it_is_cleared(client, order) -> None:
    await order(kind="status", status=500, count=None)
    struck = [(await client.post("/chat/completions", json=BODY)).status_code for _ in range(5)]
    pending = (await client.get("http://emulator/emulator/faults")).json()["pending"]
    await client.delete("http://emulator/emulator/faults")

    assert struck == [500] * 5
    assert pending == [{"kind": "status", "model": None, "left": None, "struck": 5}]
    assert (await client.post("/chat/completions", json=BODY)).status_code == 200


async def test_dice_with_a_seed_decide_when_a_fault_has_a_probability(client, order) -> None:
    async def rolled(seed: int) -> list[int]:
        await order(kind="status", status=503, probability=0.5, seed=seed)
        statuses = [(await client.post("/chat/completions", json=BODY)).status_code for _ in range(20)]
        await client.delete("http://emulator/emulator/faults")
        return statuses

    first, again, other = await rolled(1), await rolled(1), await rolled(2)

    assert first == again != other
    assert 3 < first.count(503) < 17


async def test_a_request_can_bring_its_own_fault(client) -> None:
    headers = {"X-Emulator-Fault": '{"kind": "status", "status": 529}'}

    struck = await client.post("/chat/completions", json=BODY, headers=headers)
    after = await client.post("/chat/completions", json=BODY)
    nonsense = await client.post("/chat/completions", json=BODY, headers={"X-Emulator-Fault": "529"})

    assert [each.status_code for each in (struck, after, nonsense)] == [529, 200, 400]


async def test_the_flaky_model_fails_a_third_of_the_time_the_same_way_with_the_same_seed() -> None:
    async def fates(seed: int) -> list[str]:
        transport = httpx.ASGITransport(create_app(seed))
        found = []
        async with httpx.AsyncClient(transport=transport, headers={"Authorization": "Bearer x"}) as client:
            for _ in range(60):
                try:
                    reply = await client.post(
                        "http://emulator/api/v1/chat/completions", json=BODY | {"model": "emulated/flaky"}
                    )
                    found.append(f"{reply.status_code} {reply.content[:12]!r}")
                except httpx.ReadError:
                    found.append("reset")
        return found

    first, again, other = await fates(1), await fates(1), await fates(2)
    sound = sum(fate.startswith('200 b\'{"id":"gen-') for fate in first)

    assert first == again != other
    assert 30 <= sound <= 50
    assert len(set(first)) > 4


def test_a_reset_in_the_middle_comes_after_the_headers(over_the_wire) -> None:
    over_the_wire.post("/emulator/faults", json={"kind": "reset-after-headers"})

    with over_the_wire.stream("POST", "/api/v1/chat/completions", json=BODY) as reply:
        assert reply.status_code == 200
        with pytest.raises(httpx.ReadError):
            reply.read()


def test_a_slow_model_takes_its_time_by_itself(over_the_wire) -> None:
    started = time.monotonic()

    reply = over_the_wire.post("/api/v1/chat/completions", json=BODY | {"model": "emulated/slow"})

    assert time.monotonic() - started >= 2
    assert reply.json()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("model", ["mute", "endless-dripper"])
async def test_some_models_never_answer(address, model) -> None:
    async with httpx.AsyncClient(base_url=address, headers={"Authorization": "Bearer x"}) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.post("/api/v1/chat/completions", json=BODY | {"model": f"emulated/{model}"})
