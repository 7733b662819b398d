"""
Who may do what, from both sides, on everything that is served: with too little it is refused, with enough it is not.

ROLES tells of every operation which scope it takes and how a token of one account is kept to that account. A route that
does not stand here fails the first test.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest
from starlette.routing import WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.app import OPERATIONS, create_app
from shared.db.alerts import AlertTable
from shared.db.unit_of_work import Database
from shared.domain.alert import Alarm, AlertKind
from shared.domain.authority import CONFIGURATION, Terms
from shared.settings import Settings, read_settings
from tests.api.conftest import serving
from tests.db.samples import an_intent

OWN = "a-token-nobody-guesses"
SCOPES = ("read", "operate", "admin")
REFUSED = {"token_missing", "scope_too_small"}

ACCOUNTS = """
accounts:
  - {{id: main, symbols: [BTCUSDT], exchange: {{private_key: "{}"}}}}
  - {{id: other, symbols: [ETHUSDT], exchange: {{private_key: "{}"}}}}
"""


class Kept(StrEnum):
    """How a token of one account is kept to it."""

    PATH = "the path names the account"
    QUERY = "the query names it, or is narrowed to it"
    BODY = "the body names it"
    FOUND = "what the path names belongs to one"
    ROWS = "what belongs to others is left out"
    HOUSE = "it is refused: all accounts are concerned"
    SHARED = "nothing of it belongs to an account"
    OPEN = "everybody may have it"


@dataclass(frozen=True)
class Role:
    """The least scope that will do, how accounts are kept apart, and something to ask for that moves nothing."""

    scope: str | None
    kept: Kept
    path: str = ""
    body: Any = None


NO_DECISION = "main@2001-01-01T00:00:00Z"
ROLES = {
    "GET /health": Role("read", Kept.ROWS),
    "GET /health/live": Role(None, Kept.OPEN),
    "GET /health/ready": Role("read", Kept.ROWS),
    "GET /status": Role("read", Kept.ROWS),
    "GET /accounts": Role("read", Kept.QUERY),
    "GET /accounts/{account}": Role("read", Kept.PATH),
    "POST /accounts": Role("admin", Kept.HOUSE),
    "PATCH /accounts/{account}": Role("admin", Kept.PATH, body={}),
    "DELETE /accounts/{account}": Role("admin", Kept.PATH, "/accounts/{account}?flatten=perhaps"),
    "POST /accounts/{account}/pause": Role("operate", Kept.PATH),
    "GET /accounts/{account}/status": Role("read", Kept.PATH),
    "POST /accounts/{account}/resume": Role("operate", Kept.PATH),
    "POST /accounts/{account}/stop": Role("operate", Kept.PATH),
    "POST /accounts/{account}/rearm": Role("operate", Kept.PATH, body={"confirm": "main"}),
    "POST /stop": Role("operate", Kept.HOUSE),
    "POST /accounts/{account}/positions/{symbol}/close": Role(
        "operate", Kept.PATH, "/accounts/{account}/positions/BTCUSDT/close"
    ),
    "POST /accounts/{account}/orders/{order}/cancel": Role(
        "operate", Kept.PATH, "/accounts/{account}/orders/none/cancel"
    ),
    "POST /accounts/{account}/orders/cancel": Role("operate", Kept.PATH),
    "GET /changes": Role("read", Kept.QUERY),
    "POST /changes/{change}/approve": Role("admin", Kept.FOUND, "/changes/999999/approve"),
    "POST /changes/{change}/withdraw": Role("admin", Kept.FOUND, "/changes/999999/withdraw"),
    "GET /accounts/{account}/prompt": Role("read", Kept.PATH),
    "GET /positions": Role("read", Kept.QUERY),
    "GET /positions/closed": Role("read", Kept.QUERY),
    "GET /orders": Role("read", Kept.QUERY),
    "GET /orders/{order}": Role("read", Kept.FOUND, "/orders/999999"),
    "GET /trades": Role("read", Kept.QUERY),
    "GET /decisions": Role("read", Kept.QUERY),
    "GET /decisions/{decision}": Role("read", Kept.FOUND, f"/decisions/{NO_DECISION}"),
    "GET /decisions/{decision}/record": Role("read", Kept.FOUND, f"/decisions/{NO_DECISION}/record"),
    "POST /decisions/{decision}/replay": Role(
        "operate", Kept.FOUND, f"/decisions/{NO_DECISION}/replay", {"kind": "rerun"}
    ),
    "GET /models": Role("read", Kept.QUERY),
    "GET /llm-interactions": Role("read", Kept.QUERY),
    "GET /llm-interactions/{call}": Role("read", Kept.FOUND, "/llm-interactions/999999"),
    "GET /costs": Role("read", Kept.QUERY),
    "GET /market-data": Role("read", Kept.SHARED),
    "GET /market-data/quotes": Role("read", Kept.QUERY),
    "GET /market-data/indicators": Role("read", Kept.SHARED),
    "GET /events": Role("read", Kept.QUERY),
    "GET /equity": Role("read", Kept.QUERY),
    "GET /equity/curve": Role("read", Kept.QUERY, "/equity/curve?account={account}"),
    "GET /diary": Role("read", Kept.QUERY),
    "GET /discrepancies": Role("read", Kept.QUERY),
    "GET /metrics": Role("read", Kept.HOUSE),
    "GET /operations": Role("read", Kept.QUERY),
    "GET /alerts": Role("read", Kept.QUERY),
    "POST /alerts/{alert}/acknowledge": Role("operate", Kept.FOUND, "/alerts/999999/acknowledge"),
    "GET /logs": Role("read", Kept.QUERY),
    "GET /performance": Role("read", Kept.QUERY),
    "GET /performance/returns": Role("read", Kept.QUERY),
    "GET /edge": Role("read", Kept.QUERY),
    "GET /limits": Role("read", Kept.QUERY),
    "POST /functions/{stage}/invocations": Role("operate", Kept.BODY, "/functions/gamble/invocations"),
    "POST /2015-03-31/functions/{name}/invocations": Role(
        "operate", Kept.BODY, "/2015-03-31/functions/gamble/invocations"
    ),
    "POST /session": Role(None, Kept.OPEN, body={"token": "wrong"}),
    "GET /session": Role("read", Kept.SHARED),
    "DELETE /session": Role("read", Kept.SHARED),
    "GET /tokens": Role("admin", Kept.HOUSE),
    "POST /tokens": Role("admin", Kept.HOUSE),
    "DELETE /tokens/{token}": Role("admin", Kept.HOUSE, "/tokens/999999"),
    "GET /audit": Role("admin", Kept.QUERY),
}
SOCKETS = {
    "/ws/trading-events": Kept.QUERY,
    "/ws/positions": Kept.QUERY,
    "/ws/market-data": Kept.QUERY,
}
"""Every WebSocket takes the scope read."""


def keys(*kept: Kept) -> list[str]:
    return [key for key, role in ROLES.items() if role.kept in kept]


@pytest.fixture
def several(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two accounts, and a token of the settings. Whoever comes without one may try every operation."""
    monkeypatch.setattr("api.admission.TRIES_EACH", 10 * len(ROLES))
    file = tmp_path / "accounts.yaml"
    file.write_text(ACCOUNTS.format(token_hex(32), token_hex(32)))
    given = settings.model_dump(exclude_unset=True, exclude={"asterdex_private_key", "assets"})
    return read_settings(**{**given, "accounts_file": file, "api_token": OWN, "log_folder": tmp_path})


@pytest.fixture
def url(several: Settings) -> Iterator[str]:
    with serving(create_app(several)) as url:
        yield url


@pytest.fixture
def tokens(url: str) -> dict[str | None, dict[str, str]]:
    """What each caller sends: nobody, a scope, and a scope that is confined to `main`."""
    found: dict[str | None, dict[str, str]] = {None: {}}
    for scope in SCOPES:
        for account in (None, "main"):
            name = f"{scope}-{account}" if account else scope
            wanted = {"name": name, "scope": scope, "account": account}
            made = httpx.post(f"{url}/tokens", json=wanted, headers={"Authorization": f"Bearer {OWN}"})
            found[name] = {"Authorization": f"Bearer {made.json()['token']}"}
    return found


def code_of(answer: httpx.Response) -> str | None:
    """Return the code of the problem, if there is one."""
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    return answer.json()["code"] if is_problem else None


def ask(url: str, key: str, headers: dict[str, str], *, account: str = "main", **more: Any) -> httpx.Response:
    method, pattern = key.split()
    role = ROLES[key]
    path = (role.path or pattern).replace("{account}", account)
    body = role.body if role.body is not None else {} if method == "POST" else None
    return httpx.request(method, url + path, headers=headers, **{"json": body, **more}, timeout=30)


def test_everything_that_is_served_stands_in_the_table(several: Settings) -> None:
    assert [f"{operation.method} {operation.path}" for operation in OPERATIONS] == list(ROLES)
    sockets = [route.path for route in create_app(several).routes if isinstance(route, WebSocketRoute)]
    assert sockets == list(SOCKETS)


def test_whoever_has_too_little_is_refused_and_whoever_has_enough_is_not(
    url: str, tokens: dict[str | None, dict[str, str]]
) -> None:
    for key, role in ROLES.items():
        for place, who in enumerate((None, *SCOPES)):
            enough = role.scope is None or (who is not None and place > SCOPES.index(role.scope))
            answer = ask(url, key, tokens[who])

            assert (key, who, code_of(answer) not in REFUSED) == (key, who, enough), answer.text
            if not enough:
                assert answer.status_code == (401 if who is None else 403)
            assert (key, answer.status_code < 500 or code_of(answer) == "not_ready") == (key, True), answer.text


def test_a_token_of_one_account_may_do_there_what_its_scope_says(
    url: str, tokens: dict[str | None, dict[str, str]]
) -> None:
    for key in keys(*set(Kept) - {Kept.HOUSE, Kept.OPEN}):
        answer = ask(url, key, tokens["admin-main"])

        assert (key, code_of(answer) in {*REFUSED, "wrong_account"}) == (key, False), answer.text
        too_little = ask(url, key, tokens["read-main"])
        assert (key, code_of(too_little) == "scope_too_small") == (key, ROLES[key].scope != "read")


def test_a_token_of_one_account_is_refused_wherever_another_is_named(
    url: str, tokens: dict[str | None, dict[str, str]]
) -> None:
    mine = tokens["admin-main"]
    asked = [(key, ask(url, key, mine, account="other")) for key in keys(Kept.PATH)]
    asked += [(key, ask(url, key, mine, params={"account": "other"})) for key in keys(Kept.QUERY)]
    asked += [(key, ask(url, key, mine, json={"account": "other"})) for key in keys(Kept.BODY)]
    asked += [(key, ask(url, key, mine)) for key in keys(Kept.HOUSE)]

    assert [(key, answer.status_code, code_of(answer)) for key, answer in asked] == [
        (key, 403, "wrong_account") for key in keys(Kept.PATH) + keys(Kept.QUERY) + keys(Kept.BODY) + keys(Kept.HOUSE)
    ]


@pytest.mark.parametrize(
    "keys",
    [
        {"exchange": {"private_key": "${OTHERS_KEY}"}},
        {"llm": {"api_key": "${OTHERS_KEY}"}},
        {"llm": {"base_url": None}},
    ],
)
def test_a_token_of_one_account_names_no_keys_which_may_be_another_s(
    url: str, tokens: dict[str | None, dict[str, str]], keys: dict[str, Any]
) -> None:
    answer = ask(url, "PATCH /accounts/{account}", tokens["admin-main"], json={"version": 1, **keys})

    assert (answer.status_code, code_of(answer)) == (403, "keys_of_the_house")


def test_a_token_of_one_account_sees_nothing_of_another(url: str, tokens: dict[str | None, dict[str, str]]) -> None:
    for account in ("main", "other"):
        run = {"account": account}
        done = httpx.post(f"{url}/functions/cycle/invocations", json=run, headers=tokens["operate"], timeout=60)
        assert done.status_code == 200

    for key in keys(Kept.QUERY, Kept.ROWS):
        everything, mine = ask(url, key, tokens["admin"]).json(), ask(url, key, tokens["admin-main"]).json()

        assert (key, "other" in accounts_in(mine)) == (key, False)
        if "main" in accounts_in(everything):
            assert (key, accounts_in(mine)) == (key, {"main"})
    assert {"main", "other"} <= accounts_in(ask(url, "GET /status", tokens["read"]).json())


async def test_what_is_found_by_a_name_of_its_own_is_shown_to_whose_it_is(
    url: str, tokens: dict[str | None, dict[str, str]], database: Database
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await client.post("/functions/cycle/invocations", json={"account": "other"}, headers=tokens["operate"])
        async with database.open_work() as work:
            intent = replace(an_intent("ETHUSDT"), account_id="other")
            await work.orders.promise([intent], intent.tick)
            raised = replace(await work.accounts.get("other"), leverage=100, authority_until=intent.tick)
            await work.accounts.configure([replace(raised, leverage=1)])
            terms = Terms(mode="paper", delay=timedelta(days=1))
            await work.changes.settle([raised], CONFIGURATION, intent.tick, terms)
        async with database.transaction() as connection:
            halted = Alarm(kind=AlertKind.ACCOUNT_HALTED, account_id="other", text="")
            await AlertTable(connection).settle([halted], intent.tick, channels=[])
        theirs = {
            "decision": await newest(client, "/decisions", tokens["read"], "cycle"),
            "order": await newest(client, "/orders", tokens["read"], "id"),
            "call": await newest(client, "/llm-interactions", tokens["read"], "id"),
            "alert": await newest(client, "/alerts", tokens["read"], "id"),
            "change": await newest(client, "/changes", tokens["read"], "id"),
        }
        nothing = {
            "decision": NO_DECISION.replace("main", "other"),
            **dict.fromkeys(theirs.keys() - {"decision"}, "99"),
        }
        for key in keys(Kept.FOUND):

            async def told(who: str, names: dict[str, str], *, key: str = key) -> tuple[str, str | None, str]:
                method, pattern = key.split()
                asked = {"headers": tokens[who], "json": ROLES[key].body}
                answer = await client.request(method, pattern.format(**names), **asked)
                return key, code_of(answer), re.sub(r"\d+", "0", str(answer.json().get("detail")))

            mine = await told("admin-main", theirs)
            assert mine == await told("admin-main", nothing)  # not even that it is there
            assert mine[1] in {
                "unknown_record",
                *(f"unknown_{name}" for name in ("order", "model_call", "alert", "change")),
            }
            assert (await told("admin", theirs))[1] is None


async def newest(client: httpx.AsyncClient, path: str, headers: dict[str, str], name: str) -> str:
    found = await client.get(path, params={"account": "other", "limit": 1}, headers=headers)
    return str(found.json()["items"][0][name])


def accounts_in(answer: Any) -> set[str]:
    """Every account that is told of, at any depth: by name, or as a key of what is told by account."""
    match answer:
        case dict():
            named = {answer["account"]} if isinstance(answer.get("account"), str) else set()
            by_account = answer.keys() & {"main", "other"}
            return named | by_account | {name for value in answer.values() for name in accounts_in(value)}
        case list():
            return {name for value in answer for name in accounts_in(value)}
        case _:
            return set()


async def test_a_decision_of_another_is_not_found_by_its_record_either(
    url: str, tokens: dict[str | None, dict[str, str]]
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        ran = await client.post("/functions/cycle/invocations", json={"account": "other"}, headers=tokens["operate"])
        record = ran.json()["decide"]["record"]
        for path in (f"/decisions/{record[:8]}", f"/decisions/{record[:8]}/record"):
            assert (await client.get(path, headers=tokens["read"])).status_code == 200
            refused = await client.get(path, headers=tokens["read-main"])
            assert (refused.status_code, refused.json()["code"]) == (404, "unknown_record")
            assert "other" not in refused.text


def test_no_event_has_a_token_of_one_account_told_of_the_others(
    url: str, tokens: dict[str | None, dict[str, str]]
) -> None:
    event: Any
    for path in ("/functions/fetch/invocations", "/2015-03-31/functions/fetch/invocations"):
        for event in ({}, [], None, "other", {"account": ["other"]}, {"account": None}, {"accounts": "other"}):
            answer = httpx.post(f"{url}{path}", json=event, headers=tokens["admin-main"], timeout=30)

            assert (path, event, answer.status_code, code_of(answer)) == (path, event, 403, "wrong_account")
            assert "other" not in answer.json()["detail"]


def test_no_stream_opens_for_somebody_without_a_token(url: str) -> None:
    for path in (*SOCKETS, "/ws/no-such-stream"):
        with pytest.raises(InvalidStatus) as refused, connect(url.replace("http", "ws") + path):
            pass
        assert (path, refused.value.response.status_code) == (path, 401)


def first_message(url: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    with connect(url.replace("http", "ws") + path, additional_headers=headers) as socket:
        message: dict[str, Any] = json.loads(socket.recv(timeout=30))
        return message


def test_every_stream_opens_for_whoever_may_read(url: str, tokens: dict[str | None, dict[str, str]]) -> None:
    for path in SOCKETS:
        for who in (*SCOPES, "read-main"):
            assert (path, who, first_message(url, path, tokens[who])["type"] != "error") == (path, who, True)


def test_a_stream_tells_a_token_of_one_account_nothing_of_another(
    url: str, tokens: dict[str | None, dict[str, str]]
) -> None:
    mine = tokens["admin-main"]
    for path in [path for path, kept in SOCKETS.items() if kept is Kept.QUERY]:
        refused = first_message(url, f"{path}?account=other", mine)
        assert (path, refused["type"], refused["code"]) == (path, "error", "wrong_account")
        assert "other" not in accounts_in(first_message(url, path, mine))
    assert accounts_in(first_message(url, "/ws/trading-events", mine)) == {"main"}
    assert accounts_in(first_message(url, "/ws/trading-events", tokens["read"])) == {"main", "other"}


def test_the_table_holds_for_downloads_too(url: str, tokens: dict[str | None, dict[str, str]]) -> None:
    for operation in OPERATIONS:
        if operation.item is None:
            continue
        key = f"{operation.method} {operation.path}"
        wanted = {"format": "jsonl"} | ({"symbol": "BTCUSDT", "timeframe": "5m"} if key == "GET /market-data" else {})
        assert (key, ask(url, key, {}, params=wanted).status_code) == (key, 401)
        assert (key, ask(url, key, tokens["admin"], params=wanted).status_code) == (key, 200)
        if ROLES[key].kept is Kept.QUERY:
            assert "other" not in ask(url, key, tokens["admin-main"], params=wanted).text
