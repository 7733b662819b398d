"""What strangers, loops, slow senders and other sites can do to us: little, and they are told so."""

import asyncio
import socket
from typing import Any

import httpx
import pytest
from starlette.types import Message

from api import admission as admissions
from api import bounds, patience, throttle
from api.admission import TRIES_ALL, Admission
from api.bounds import MOST_BYTES, BoundedBodies
from api.errors import Problem
from api.throttle import Buckets
from shared.db.tokens import TokenTable
from shared.db.unit_of_work import Database
from tests.api.conftest import Serve

OWN = "a-token-nobody-guesses"
ADMIN = {"Authorization": f"Bearer {OWN}"}
SITE = "https://desk.example.com"


def test_whoever_tries_tokens_has_few_tries_and_whoever_is_in_stays_in(serve: Serve) -> None:
    url = serve(api_token=OWN)
    assert httpx.get(f"{url}/status", headers=ADMIN).status_code == 200

    tries = [httpx.post(f"{url}/session", json={"token": f"guess-{number}"}) for number in range(11)]

    assert [answer.status_code for answer in tries] == [401] * 10 + [429]
    assert tries[-1].json()["code"] == "too_many_attempts"
    assert 1 <= int(tries[-1].headers["retry-after"]) <= 6
    assert httpx.get(f"{url}/status", headers={"Authorization": "Bearer guess"}).status_code == 429
    assert httpx.get(f"{url}/status", headers=ADMIN).status_code == 200


def test_tries_are_counted_by_address_as_a_trusted_proxy_tells_it(serve: Serve) -> None:
    url = serve(api_token=OWN, trusted_proxies="127.0.0.0/8")

    def attempt(address: str) -> int:
        headers = {"Authorization": "Bearer guess", "X-Forwarded-For": address}
        return httpx.get(f"{url}/status", headers=headers).status_code

    assert [attempt("203.0.113.7") for _ in range(11)] == [401] * 10 + [429]
    assert attempt("203.0.113.8") == 401
    # One household has a whole network of the newer addresses.
    assert [attempt(f"2001:db8::{number}") for number in range(1, 12)] == [401] * 10 + [429]


def test_nobody_else_is_believed_where_a_request_came_from(serve: Serve) -> None:
    url = serve(api_token=OWN)
    forged = {"Authorization": "Bearer guess"}

    answers = [
        httpx.get(f"{url}/status", headers={**forged, "X-Forwarded-For": f"203.0.113.{number}"}) for number in range(11)
    ]

    assert answers[-1].status_code == 429
    assert (
        "strict-transport-security"
        not in httpx.get(f"{url}/health/live", headers={"X-Forwarded-Proto": "https"}).headers
    )


def test_refusals_by_nobody_fill_the_record_no_faster_than_the_tries_last(serve: Serve) -> None:
    url = serve(api_token=OWN)

    answers = [httpx.post(f"{url}/accounts/main/pause") for _ in range(15)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 5
    assert len(httpx.get(f"{url}/audit", headers=ADMIN).json()["items"]) == 10


def test_whoever_asks_too_often_is_told_when_to_ask_again_and_may_still_act(serve: Serve) -> None:
    url = serve(api_rate=0.01, api_burst=3)

    answers = [httpx.get(f"{url}/accounts") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["code"] == "too_many_requests"
    assert 90 <= int(answers[-1].headers["retry-after"]) <= 100
    assert httpx.post(f"{url}/accounts/main/pause").status_code == 200


async def test_a_bucket_fills_again_and_no_more_callers_are_remembered_than_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle, "MOST_CALLERS", 2)
    buckets = Buckets(rate=0.001, burst=1)

    assert buckets.take("one") == 0
    assert 999 < buckets.take("one") <= 1000
    buckets.give_back("one")
    assert buckets.take("one") == 0
    buckets.take("two")
    buckets.take("three")  # and "one" is forgotten
    assert buckets.take("one") == 0
    assert Buckets(rate=1e9, burst=1).take("fast") == 0


def test_every_answer_tells_browsers_what_to_refuse(serve: Serve) -> None:
    url = serve(api_token=OWN, trusted_proxies="127.0.0.1")

    for path in ("/health/live", "/status", "/no-such-path", "/docs", "/openapi.json"):
        headers = httpx.get(url + path, headers={"X-Forwarded-Proto": "https"}).headers

        assert (path, headers["x-content-type-options"]) == (path, "nosniff")
        assert (path, headers["referrer-policy"]) == (path, "no-referrer")
        assert (path, "frame-ancestors 'none'" in headers["content-security-policy"]) == (path, True)
        assert (path, headers["strict-transport-security"]) == (path, "max-age=31536000")
    assert httpx.get(f"{url}/status", headers=ADMIN).headers["cache-control"] == "no-store"


def test_pages_of_listed_sites_may_ask_with_a_token_and_no_others(serve: Serve) -> None:
    url = serve(api_token=OWN, cors_origins=SITE)

    def preflight(origin: str) -> httpx.Response:
        wanted = {
            "Origin": origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,idempotency-key",
        }
        return httpx.options(f"{url}/accounts/main", headers=wanted)

    allowed = preflight(SITE)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == SITE
    assert "access-control-allow-credentials" not in allowed.headers
    assert preflight("https://evil.example").status_code == 400
    asked = httpx.get(f"{url}/status", headers={**ADMIN, "Origin": SITE})
    assert asked.headers["access-control-allow-origin"] == SITE
    refused = httpx.get(f"{url}/status", headers={"Origin": SITE})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, SITE)
    assert (
        "access-control-allow-origin"
        not in httpx.get(f"{url}/status", headers={"Origin": "https://evil.example"}).headers
    )


def test_no_other_site_may_ask_where_none_is_listed(serve: Serve) -> None:
    answer = httpx.get(f"{serve(api_token=OWN)}/status", headers={**ADMIN, "Origin": SITE})

    assert "access-control-allow-origin" not in answer.headers


def test_a_body_is_bounded_whatever_it_is_for_and_whether_its_size_is_told_or_not(serve: Serve) -> None:
    url = serve()

    def chunks() -> Any:
        for _ in range(MOST_BYTES // 1024 + 1):
            yield b" " * 1024

    for path in ("/functions/fetch/invocations", "/session"):
        told = httpx.post(url + path, content=b" " * (MOST_BYTES + 1))
        untold = httpx.post(url + path, content=chunks())

        for answer in (told, untold):
            assert (path, answer.status_code, answer.json()["code"]) == (path, 413, "body_too_large")


def test_a_body_that_is_only_promised_is_refused_by_its_size_alone(serve: Serve) -> None:
    url = httpx.URL(serve())
    with socket.create_connection((url.host, url.port or 0), timeout=10) as sender:
        sender.sendall(f"POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**12}\r\n\r\n".encode())

        assert sender.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_whoever_does_not_say_what_they_want_is_hung_up_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 1.0)
    url = httpx.URL(serve())
    whole = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for before, begun in ((b"", b""), (b"", b"GET /health"), (whole, b"GET /health")):
        with socket.create_connection((url.host, url.port or 0), timeout=20) as sender:
            sender.sendall(before)
            answer = b""
            while before and not answer.endswith(b"}"):
                answer += sender.recv(1000)
                assert answer
            sender.sendall(begun)

            assert (before, begun, sender.recv(1000)) == (before, begun, b"")


async def test_wrong_tokens_from_ever_new_addresses_are_bounded_all_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admissions, "TRIES_ALL_SECONDS", 1e9)
    admission = Admission(TokenTable(database), OWN)

    for number in range(TRIES_ALL):
        with pytest.raises(Problem, match="lets nobody in"):
            await admission.by_token("guess", f"address {number}")

    with pytest.raises(Problem, match="too many tries"):
        await admission.by_token("guess", "another address")


async def test_a_body_that_comes_byte_by_byte_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.0)

    async def never() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):  # and every time it is asked for
            with pytest.raises(Problem, match="did not come within") as slow:
                await receive()
            assert (slow.value.status, slow.value.code) == (408, "body_too_slow")

    await BoundedBodies(app)({"type": "http", "headers": []}, never, _nowhere)


async def _nowhere(_: Message) -> None:
    """What is sent goes nowhere."""


async def test_whoever_waits_for_the_reader_to_go_may_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"all of it", "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"all of it"
        monkeypatch.setattr(bounds, "BODY_SECONDS", 0.0)
        assert (await receive())["type"] == "http.disconnect"

    await BoundedBodies(app)({"type": "http", "headers": []}, receive, _nowhere)
