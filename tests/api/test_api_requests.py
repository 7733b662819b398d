"""Ids, log lines and bad requests."""

import json
import logging
from collections.abc import Iterator

import asyncpg
import httpx
import pytest

from api.errors import MEANINGS
from shared.domain import errors
from shared.logs import JsonFormatter
from tests.api.conftest import Serve

log = logging.getLogger("perpetua")


class Lines(logging.Handler):
    """Keeps what was logged, as it would have been written."""

    def __init__(self) -> None:
        super().__init__()
        self.formatter = JsonFormatter()
        self.written: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    handler, level = Lines(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler.written
    log.removeHandler(handler)
    log.setLevel(level)


async def test_a_request_keeps_the_id_it_came_with(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/live", headers={"X-Request-Id": "abc-1.2_3"})

    assert answer.headers["x-request-id"] == "abc-1.2_3"


async def test_an_insane_id_is_replaced(client: httpx.AsyncClient) -> None:
    for insane in ("", "a b", "x" * 65, 'a"b', "a\tb"):
        answer = await client.get("/health/live", headers={"X-Request-Id": insane})

        assert answer.headers["x-request-id"] != insane
        assert answer.headers["x-request-id"].isalnum()


async def test_every_request_leaves_one_line_with_its_id(
    client: httpx.AsyncClient, lines: list[dict[str, object]]
) -> None:
    await client.get("/no-such-path", headers={"X-Request-Id": "seen-1"}, params={"secret": "in-the-query"})

    line = next(line for line in lines if line["message"] == "request")
    assert {name: line[name] for name in ("request", "method", "path", "status", "client", "caller")} == {
        "request": "seen-1",
        "method": "GET",
        "path": "/no-such-path",
        "status": 404,
        "client": "127.0.0.1",
        "caller": "this machine",
    }
    assert isinstance(line["ms"], float)
    assert "in-the-query" not in json.dumps(lines)


async def test_a_path_that_is_not_there_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/no-such-path")

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/docs/problems#no_such_path",
        "title": "There is nothing here",
        "status": 404,
        "detail": "there is no GET /no-such-path",
        "code": "no_such_path",
    }


async def test_a_method_that_is_not_served_is_told_which_are(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/orders")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


BAD = {
    "/orders?limit=0": "limit",
    "/orders?limit=1001": "limit",
    "/orders?limit=many": "limit",
    "/orders?limit=1&limit=2": "limit",
    "/orders?state=OPEN": "state",
    "/orders?colour=red": "colour",
    "/orders?symbol=BTC USDT": "symbol",
    "/orders?account=No Such": "account",
    "/orders?before=nonsense": "before",
    "/trades?before=WyJhIl0": "before",
    "/orders?since=2025-01-01T00:00:00": "since",
    "/orders?until=0001-01-01T00:00:00%2B10:00": "until",
    "/decisions?action=moon": "action",
    "/decisions?verdict=maybe": "verdict",
    "/market-data": "symbol",
    "/market-data?symbol=BTCUSDT&timeframe=7m": "timeframe",
    "/performance?annualisation=360": "annualisation",
    "/performance?limit=5": "limit",
    "/llm-interactions?full=perhaps": "full",
    "/status?account=main": "account",
    "/accounts/main?deep=1": "deep",
    "/health?deep=1": "deep",
    "/health/live?deep=1": "deep",
}


async def test_a_bad_parameter_is_refused_by_name(client: httpx.AsyncClient) -> None:
    for path, parameter in BAD.items():
        answer = await client.get(path)

        problem = answer.json()
        assert (path, answer.status_code, problem["code"]) == (path, 400, "bad_parameter")
        assert (path, problem["parameter"]) == (path, parameter)
        assert parameter in problem["detail"]


async def test_a_defect_is_told_to_the_log_and_not_to_the_caller(
    client: httpx.AsyncClient, database_url: str, lines: list[dict[str, object]]
) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute("DROP TABLE diary")
    await connection.execute(
        "CREATE VIEW diary AS SELECT now() AS at, 1 / (random() * 0)::int AS id, 'main' AS account_id, now() AS tick, "
        "'' AS text, '{}'::jsonb AS body"
    )
    await connection.close()

    answer = await client.get("/diary", headers={"X-Request-Id": "broken-1"})

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] == "broken-1"
    assert "diary" not in answer.text
    failure = next(line for line in lines if line["message"] == "request failed")
    assert failure["request"] == "broken-1"
    assert "diary" in str(failure["exception"])


def test_a_database_that_is_away_is_a_503_with_a_time_to_wait(serve: Serve) -> None:
    url = serve(database_url="postgresql://nobody:hidden-word@127.0.0.1:9/none")

    answer = httpx.get(f"{url}/orders")

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "hidden-word" not in answer.text


def test_every_failure_that_has_a_name_has_a_meaning_over_http() -> None:
    named = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PerpetuaError)
    ]
    nameless = {kind for kind in named if not {*kind.__mro__} & {*MEANINGS, errors.BadCursor}}

    assert nameless == {errors.PerpetuaError}
    assert len({code for _, code in MEANINGS.values()}) == len(MEANINGS)
