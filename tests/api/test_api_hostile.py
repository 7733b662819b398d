"""Whatever stands in a query, a cursor, a path or a body: it is refused by name, and nothing breaks."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api import admission
from api.app import OPERATIONS
from api.operations import Operation
from tests.api.conftest import Serve
from tests.api.test_roles import ROLES

TOKEN = "a-token-nobody-guesses"

TEXTS = ("\x00", "a\x00b", "BTCUSDT\x00", "'", "x" * 5000, "💣", "-1", "9" * 400, "1e999")
MOMENTS = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59")
NAMES = ("%00", "main%00", "BTC%00", "9" * 30, "-1", "0", "a" * 3000, "main@9999-12-31T23:59:59-23:59", "main%0aX")


def cursor(said: Any) -> str:
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


CURSORS = (
    *("\x00", "é", cursor("x"), cursor({"a": 1}), cursor(b"[" * 40_000), cursor([1e400]), cursor([True])),
    *(cursor([at, *key]) for at in MOMENTS for key in ([], [1], ["a"], ["main", 1], ["a\x00", "\ud800", 1])),
    *(cursor(["a\x00"] * length) for length in (1, 3)),
    cursor(["2025-05-06T16:05:00", 1]),
)
BODIES: tuple[Any, ...] = (
    *([1], "x", None, {"account": "main", "x": "\x00"}, {"account": "main\x00"}),
    *({"account": "main", "tick": at} for at in MOMENTS),
    *({"quantity": said} for said in ("1e1000000", "1E-1000000", float("nan"), 10**4000)),
    *({"version": version} for version in (10**30, -1)),
    *({"version": 1, "risk": {"max_leverage": said}} for said in (10**400, "1e1000000", "\x00")),
    *({"version": 1, "authority_until": at} for at in MOMENTS),
    *({"id": "new", "symbols": symbols} for symbols in (["BTC\x00"], ["\ud800"], ["x" * 50_000])),
    {"id": "new", "symbols": ["BTCUSDT"], "prompt": "\x00"},
    *({"name": "new", "scope": "read", "expires_in": said} for said in ("999999999999d", "0d", "\x00")),
    *({name: "\x00"} for name in ("confirm", "token", "symbol", "limits")),
    {"kind": "reask", "model": "\x00"},
    {"kind": "rereview", "limits": {"max_leverage": "1e1000000"}},
)
NEEDED = {
    "/market-data": {"symbol": "BTCUSDT", "timeframe": "5m"},
    "/market-data/indicators": {"symbol": "BTCUSDT", "timeframe": "5m", "function": "EMA"},
    "/equity/curve": {"account": "main"},
}


@pytest.fixture
def client(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr(admission, "TRIES_EACH", 10**6)
    monkeypatch.setattr(admission, "TRIES_ALL", 10**6)
    url = serve(api_token=TOKEN, api_rate=10**6, api_burst=10**6)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
        yield client


def path_of(operation: Operation) -> str:
    role = ROLES[f"{operation.method} {operation.path}"]
    return (role.path or operation.path).replace("{account}", "main")


def test_no_query_breaks_anything_and_what_is_wrong_with_it_is_told_by_name(client: httpx.Client) -> None:
    for operation in OPERATIONS:
        for name in operation.query.model_fields:
            hostile = TEXTS + MOMENTS + (CURSORS if name in {"before", "after"} else ())
            for value in hostile:
                params = {**NEEDED.get(operation.path, {}), name: value}
                answer = client.request(operation.method, path_of(operation), params=params)
                told = (operation.path, name, value[:100], answer.status_code)

                assert answer.status_code in {200, 400, 404}, told
                if answer.status_code == 400:
                    assert (*told, answer.json().get("parameter")) == (*told, name)


def test_no_path_breaks_anything(client: httpx.Client) -> None:
    for operation in OPERATIONS:
        for variable in re.findall(r"{(\w+)}", operation.path):
            for name in NAMES:
                path = operation.path.replace(f"{{{variable}}}", name)
                path = path.format(account="main", symbol="BTCUSDT", order="none", name="fetch", stage="fetch")
                answer = client.request(operation.method, path, json={} if operation.method == "POST" else None)

                assert 400 <= answer.status_code < 500, (operation.method, path[:100], answer.text)


def test_no_body_breaks_anything(client: httpx.Client) -> None:
    for operation in OPERATIONS:
        if operation.method == "GET" or operation.path == "/stop":
            continue
        for body in BODIES:
            text = json.dumps(body)
            headers = {"Content-Type": "application/json"}
            answer = client.request(operation.method, path_of(operation), content=text, headers=headers)

            assert answer.status_code < 500, (operation.method, operation.path, text[:200], answer.text)


def test_a_body_that_says_to_be_packed_or_of_another_kind_is_not_taken_for_json(client: httpx.Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"):
        answer = client.post("/tokens", content=b"{}", headers={"Content-Type": kind})
        assert (kind, answer.status_code, answer.json()["code"]) == (kind, 415, "unsupported_media_type")
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert client.post("/tokens", content=b"{}", headers=packed).json()["code"] == "unsupported_media_type"
