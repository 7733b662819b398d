"""Who may come in, and what strangers are told."""

import httpx
import pytest

from tests.api.conftest import Serve

TOKEN = "a-token-nobody-guesses"


@pytest.fixture
def guarded(serve: Serve) -> str:
    return serve(api_token=TOKEN)


def test_with_a_token_set_nothing_but_liveness_is_open(guarded: str) -> None:
    paths = (
        "/status",
        "/accounts",
        "/orders",
        "/no-such-path",
        "/health",
        "/health/ready",
        "/health/liver",
        "/session",
    )

    assert {httpx.get(guarded + path).status_code for path in paths} == {401}
    assert httpx.post(f"{guarded}/functions/fetch/invocations").status_code == 401
    assert httpx.get(f"{guarded}/health/live").status_code == 200


def test_a_missing_token_is_asked_for_by_name(guarded: str) -> None:
    answer = httpx.get(f"{guarded}/status")

    assert answer.headers["www-authenticate"] == 'Bearer realm="perpetua"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "token_missing"


def test_a_wrong_token_is_refused(guarded: str) -> None:
    for given in ("Bearer wrong", "Bearer", "Bearer a-token-nobody-guesse", "Bearer tök€n"):
        answer = httpx.get(f"{guarded}/status", headers=[(b"Authorization", given.encode())])

        assert (given, answer.status_code, answer.json()["code"]) == (given, 401, "token_wrong")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_the_token_opens_the_door_under_any_host_name(guarded: str) -> None:
    for scheme, host in (("Bearer", "perpetua.example.org"), ("bearer", "[::1")):
        headers = {"Authorization": f"{scheme} {TOKEN}", "Host": host}

        assert httpx.get(f"{guarded}/status", headers=headers).status_code == 200
        assert httpx.get(f"{guarded}/no-such-path", headers=headers).status_code == 404


def test_without_a_token_a_foreign_host_name_is_refused(serve: Serve) -> None:
    url = serve()

    for host in ("evil.example", "evil.example:3000", "127.0.0.1.evil.example", "[::1", ""):
        answer = httpx.get(f"{url}/status", headers={"Host": host})

        assert (host, answer.status_code, answer.json()["code"]) == (host, 403, "foreign_host")


def test_without_a_token_every_name_of_this_machine_is_served(serve: Serve) -> None:
    url = serve()

    for host in ("localhost", "localhost:3000", "127.0.0.1:1", "[::1]:3000"):
        assert (host, httpx.get(f"{url}/status", headers={"Host": host}).status_code) == (host, 200)


def test_without_a_token_no_other_site_may_change_anything(serve: Serve) -> None:
    url = serve()

    for origin in ("https://evil.example", "null", "http://localhost:8080", "http://[", ""):
        answer = httpx.post(f"{url}/accounts/main/pause", headers={"Origin": origin})

        assert (origin, answer.status_code, answer.json()["code"]) == (origin, 403, "foreign_origin")
    assert httpx.get(f"{url}/accounts/main").json()["status"] == "active"


def test_a_page_of_our_own_may_change_things(serve: Serve) -> None:
    url = serve()

    assert httpx.post(f"{url}/accounts/main/pause", headers={"Origin": url}).status_code == 200
