"""Sessions of the dashboard: a token is shown once, and a cookie stands in for it."""

import asyncio
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from api import admission
from api.admission import Admission
from api.app import create_app
from api.auth import PROTOCOL, may_still_listen
from api.credentials import draw_token
from shared.db.tokens import NewToken, TokenTable
from shared.db.unit_of_work import Database
from shared.domain.access import Caller, Scope
from shared.settings import Settings, read_settings
from tests.api.conftest import Serve, serving

OWN = "a-token-nobody-guesses"


@pytest.fixture
def guarded(serve: Serve) -> str:
    return serve(api_token=OWN)


@pytest.fixture
def page(guarded: str) -> Iterator[httpx.Client]:
    """A page of ours in a browser, logged in: it keeps cookies and says where it came from."""
    with httpx.Client(base_url=guarded, headers={"Origin": guarded}) as browser:
        assert browser.post("/session", json={"token": OWN}).status_code == 200
        yield browser


def cookie_of(answer: httpx.Response) -> Any:
    cookies = SimpleCookie(answer.headers["set-cookie"])
    (cookie,) = cookies.values()
    return cookie


def test_a_token_opens_a_session_and_the_cookie_does_the_rest(page: httpx.Client) -> None:
    told = page.get("/session").json()

    assert told == {"name": "API_TOKEN", "scope": "admin", "account": None, "expires": told["expires"]}
    assert page.get("/status").status_code == 200
    assert page.post("/accounts/main/pause").status_code == 200


def test_no_script_reads_the_cookie_and_no_other_site_has_it_sent(guarded: str) -> None:
    cookie = cookie_of(httpx.post(f"{guarded}/session", json={"token": OWN}))

    assert (cookie.key, cookie["httponly"], cookie["samesite"], cookie["path"]) == ("perpetua", True, "strict", "/")
    assert (cookie["secure"], cookie["max-age"], len(cookie.value)) == ("", "3600", 43)


def test_over_https_nothing_else_carries_the_cookie(serve: Serve) -> None:
    url = serve(api_token=OWN, trusted_proxies="127.0.0.1")
    encrypted = {"X-Forwarded-Proto": "https"}

    cookie = cookie_of(httpx.post(f"{url}/session", json={"token": OWN}, headers=encrypted))

    assert (cookie.key, cookie["secure"]) == ("__Host-perpetua", True)
    shown = {**encrypted, "Cookie": f"{cookie.key}={cookie.value}"}
    assert httpx.get(f"{url}/session", headers=shown).status_code == 200


def test_another_site_may_do_nothing_with_the_cookie(page: httpx.Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        answer = page.post("/accounts/main/pause", headers=headers)

        assert (headers, answer.status_code, answer.json()["code"]) == (headers, 403, "foreign_origin")
    del page.headers["Origin"]
    assert page.post("/accounts/main/pause").json()["code"] == "foreign_origin"
    assert page.post("/accounts/main/pause", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_logging_out_ends_the_session_and_takes_the_cookie_away(page: httpx.Client) -> None:
    session = page.cookies["perpetua"]

    left = page.delete("/session")

    assert (left.status_code, dict(page.cookies)) == (204, {})
    answer = page.get("/status", headers={"Cookie": f"perpetua={session}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


def test_a_wrong_token_opens_no_session(guarded: str) -> None:
    answer = httpx.post(f"{guarded}/session", json={"token": "wrong"})

    assert (answer.status_code, answer.json()["code"]) == (401, "token_wrong")
    assert "set-cookie" not in answer.headers


async def test_a_session_ends_by_itself_unless_its_page_asks(guarded: str, database: Database) -> None:
    async def age(hours: float, column: str) -> None:
        async with database.transaction() as connection:
            shift = text(f"UPDATE sessions SET {column} = {column} - make_interval(secs => :seconds)")
            await connection.execute(shift, {"seconds": hours * 3600})

    async with httpx.AsyncClient(base_url=guarded) as page:
        await page.post("/session", json={"token": OWN})
        await age(0.9, "expires_at")
        renewed = await page.get("/session")
        assert cookie_of(renewed)["max-age"] == "3600"
        await age(0.9, "expires_at")
        assert (await page.get("/status")).status_code == 200

        await age(7 * 24, "created_at")
        await page.get("/session")
        assert (await page.get("/status")).json()["code"] == "session_ended"


@pytest.fixture
def listening(settings: Settings) -> Iterator[str]:
    """The API with a stream that answers whatever it is asked with whether its caller may still listen."""

    async def stream(socket: WebSocket) -> None:
        await socket.accept(subprotocol=PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
        async for _ in socket.iter_text():
            await socket.send_json(await may_still_listen(socket))

    app = create_app(read_settings(**{**settings.model_dump(exclude_unset=True), "api_token": OWN}))
    app.router.routes.append(WebSocketRoute("/ws/test", stream))
    with serving(app) as url:
        yield url


def stream_of(url: str) -> str:
    return f"{url.replace('http', 'ws')}/ws/test"


async def listens(socket: ClientConnection) -> bool:
    await socket.send("may I?")
    return await socket.recv() == "true"


async def test_a_stream_takes_a_token_a_subprotocol_or_a_session(listening: str) -> None:
    async with httpx.AsyncClient(base_url=listening) as client:
        session = (await client.post("/session", json={"token": OWN})).cookies["perpetua"]
    ways: tuple[dict[str, Any], ...] = (
        {"additional_headers": {"Authorization": f"Bearer {OWN}"}},
        {"subprotocols": [PROTOCOL, f"bearer.{OWN}"]},
        {"additional_headers": {"Cookie": f"perpetua={session}"}, "origin": listening},
    )
    for way in ways:
        async with connect(stream_of(listening), **way) as socket:
            assert await listens(socket)
            assert socket.subprotocol == (PROTOCOL if "subprotocols" in way else None)


async def test_a_stream_opens_for_nobody_else(listening: str) -> None:
    async with httpx.AsyncClient(base_url=listening) as client:
        session = (await client.post("/session", json={"token": OWN})).cookies["perpetua"]
    cookie = {"Cookie": f"perpetua={session}"}
    ways: tuple[tuple[int, dict[str, Any]], ...] = (
        (401, {}),
        (401, {"subprotocols": [PROTOCOL, "bearer.wrong"]}),
        (403, {"additional_headers": cookie, "origin": "https://evil.example"}),
        (403, {"additional_headers": cookie}),
    )
    for status, way in ways:
        with pytest.raises(InvalidStatus) as refused:
            await connect(stream_of(listening), **way)
        assert (way, refused.value.response.status_code) == (way, status)


async def test_a_stream_is_told_when_its_token_is_revoked_and_its_session_closed(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "FRESH_SECONDS", 0)  # as if those seconds had passed
    async with httpx.AsyncClient(base_url=listening, headers={"Origin": listening}) as client:
        admin = {"Authorization": f"Bearer {OWN}"}
        made = (await client.post("/tokens", json={"name": "desk", "scope": "read"}, headers=admin)).json()
        await client.post("/session", json={"token": made["token"]})
        cookie = {"Cookie": f"perpetua={client.cookies['perpetua']}"}
        by_token = connect(stream_of(listening), subprotocols=[PROTOCOL, f"bearer.{made['token']}"])
        by_session = connect(stream_of(listening), additional_headers=cookie, origin=Origin(listening))
        async with by_token as one, by_session as other:
            assert (await listens(one), await listens(other)) == (True, True)

            await client.delete("/session")
            assert (await listens(one), await listens(other)) == (True, False)

            await client.delete(f"/tokens/{made['id']}", headers=admin)
            assert (await listens(one), await listens(other)) == (False, False)


async def test_a_thousand_streams_that_ask_at_once_are_one_question_to_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TokenTable(database)
    drawn = draw_token()
    await table.create(
        NewToken(name="desk", scope=Scope.READ, created_by="a test", prefix=drawn.prefix, digest=drawn.digest)
    )
    admitting = Admission(table, None)
    caller = await admitting.by_token(drawn.text, "here")
    questions = 0

    async def counted(digest: str) -> Caller | None:
        nonlocal questions
        questions += 1
        return await TokenTable(database).find(digest)

    monkeypatch.setattr(table, "find", counted)
    admitting.forget()

    assert all(await asyncio.gather(*(admitting.still_admits(caller) for _ in range(1000))))
    assert questions == 1


async def test_a_database_that_is_away_lets_nobody_in_but_the_holder_of_the_settings_token(serve: Serve) -> None:
    url = serve(api_token=OWN, database_url="postgresql://nobody:hidden-word@127.0.0.1:9/none")
    async with httpx.AsyncClient(base_url=url) as client:
        answers = [
            await client.get("/session", headers={"Authorization": f"Bearer {token}"}) for token in (OWN, "another")
        ]

    assert [answer.status_code for answer in answers] == [200, 503]
    assert answers[1].json()["code"] == "database_unavailable"
