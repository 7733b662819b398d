"""The log files of this machine, as people read them: newest first, narrowed down, followed, and without a secret."""

import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import log_files
from api.log_files import Wanted, read_logs
from shared.logs import JsonFormatter, log_ids
from shared.secrets import MASK
from tests.api.conftest import Serve

START = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def a_line(second: float, message: str, **fields: Any) -> dict[str, Any]:
    at = (START + timedelta(seconds=second)).isoformat(timespec="milliseconds")
    return {"time": at, "level": "INFO", "channel": "trading", "message": message, **fields}


def write(folder: Path, name: str, *lines: dict[str, Any] | str) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / name).open("a", encoding="utf-8") as file:
        for line in lines:
            file.write((line if isinstance(line, str) else json.dumps(line)) + "\n")


@pytest.fixture
async def client(serve: Serve, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=serve(log_folder=tmp_path / "logs")) as client:
        (tmp_path / "logs").mkdir()
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


async def messages(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/logs", params=query)
    assert answer.status_code == 200, answer.text
    return [line["message"] for line in answer.json()["items"]]


async def test_lines_of_all_processes_stand_in_one_order_the_newest_first(
    client: httpx.AsyncClient, folder: Path
) -> None:
    write(folder, "scheduler-trading.jsonl.2026-03-30", a_line(-90_000, "yesterday"))
    write(folder, "scheduler-trading.jsonl", a_line(1, "first"), a_line(3, "third"))
    write(folder, "api-app.jsonl", a_line(2, "second", channel="app"))
    write(folder, "scheduler-errors.jsonl", a_line(3, "third", level="ERROR"))
    write(folder, "notes.txt", "not ours")

    assert await messages(client) == ["third", "second", "first", "yesterday"]


async def test_a_line_is_told_in_full_and_masked_again(client: httpx.AsyncClient, folder: Path) -> None:
    write(folder, "api-app.jsonl", a_line(1, "sent", account="main", cycle="c", order="p-1", api_key="in the clear"))

    [line] = (await client.get("/logs")).json()["items"]

    assert line.pop("id")
    assert line == {
        "process": "api",
        "time": (START + timedelta(seconds=1)).isoformat(timespec="milliseconds"),
        "level": "INFO",
        "channel": "trading",
        "message": "sent",
        "account": "main",
        "cycle": "c",
        "stage": None,
        "request": None,
        "details": {"order": "p-1", "api_key": MASK},
    }
    assert await messages(client, text="in the clear") == []


async def test_every_filter_narrows_down(client: httpx.AsyncClient, folder: Path) -> None:
    write(
        folder,
        "scheduler-trading.jsonl",
        a_line(1, "one", account="main", cycle="12:00"),
        a_line(2, "two", account="other", level="WARNING"),
        a_line(3, "three", level="ERROR", request="r-3", why="No Route"),
    )
    write(folder, "scheduler-llm.jsonl", a_line(4, "four", channel="llm", level="DEBUG"))
    write(folder, "scheduler-errors.jsonl", a_line(3, "three", level="ERROR"))

    for query, expected in (
        ({"channel": "llm"}, ["four"]),
        ({"channel": "errors"}, ["three"]),
        ({"level": "WARNING"}, ["three", "two"]),
        ({"account": "main"}, ["one"]),
        ({"cycle": "12:00"}, ["one"]),
        ({"request": "r-3"}, ["three"]),
        ({"text": "no route"}, ["three"]),
        ({"since": (START + timedelta(seconds=3)).isoformat()}, ["four", "three"]),
        ({"until": (START + timedelta(seconds=3)).isoformat()}, ["two", "one"]),
        ({"limit": 1}, ["four"]),
    ):
        assert (query, await messages(client, **query)) == (query, expected)


async def test_who_only_read_and_was_served_can_be_left_out(client: httpx.AsyncClient, folder: Path) -> None:
    write(
        folder,
        "api-app.jsonl",
        a_line(1, "request", method="GET", path="/status", status=200),
        a_line(2, "request", method=None, path="/ws/trading-events", status=None),
        a_line(3, "request", method="GET", path="/orders", status=503),
        a_line(4, "request", method="POST", path="/stop", status=200),
    )

    assert len(await messages(client)) == 4
    answer = await client.get("/logs", params={"reads": "false"})
    assert [line["details"]["path"] for line in answer.json()["items"]] == ["/stop", "/orders"]


async def test_pages_neither_repeat_nor_hide_a_line_while_files_grow_and_rotate(
    client: httpx.AsyncClient, folder: Path
) -> None:
    write(folder, "api-app.jsonl", *(a_line(n, f"a{n}") for n in range(0, 40, 2)))
    write(folder, "scheduler-app.jsonl", *(a_line(n - n % 3, f"b{n}") for n in range(1, 40, 2)))
    everything = await messages(client, limit=1000)

    page = (await client.get("/logs?limit=7")).json()
    seen = [line["message"] for line in page["items"]]
    (folder / "api-app.jsonl").rename(folder / "api-app.jsonl.2026-03-31")
    write(folder, "api-app.jsonl", a_line(90_000, "later"))
    while page["next"]:
        page = (await client.get("/logs", params={"limit": 7, "before": page["next"]})).json()
        seen += [line["message"] for line in page["items"]]

    assert len(everything) == 40
    assert seen == everything


async def test_the_log_is_followed_by_asking_for_what_came_since(client: httpx.AsyncClient, folder: Path) -> None:
    write(folder, "api-app.jsonl", a_line(1, "one"), a_line(2, "two"))
    [newest, _] = (await client.get("/logs")).json()["items"]
    write(folder, "api-app.jsonl", a_line(2, "two as well"), a_line(3, "three"))

    answer = (await client.get("/logs", params={"since": newest["time"]})).json()["items"]

    assert [line["message"] for line in answer if line["id"] != newest["id"]] == ["three", "two as well"]


async def test_all_of_it_can_be_downloaded(client: httpx.AsyncClient, folder: Path) -> None:
    write(folder, "api-app.jsonl", *(a_line(n, f"line {n}") for n in range(2500)))

    lines = (await client.get("/logs?format=jsonl")).text.splitlines()

    assert [json.loads(line)["message"] for line in lines] == [f"line {n}" for n in reversed(range(2500))]


async def test_a_machine_without_log_files_says_so(serve: Serve) -> None:
    async with httpx.AsyncClient(base_url=serve()) as client:
        answer = await client.get("/logs")

    assert (answer.status_code, answer.json()["code"]) == (404, "no_log_files")
    assert "LOG_FOLDER" in answer.json()["detail"]


async def test_what_is_no_cursor_and_no_channel_is_refused(client: httpx.AsyncClient) -> None:
    for query in ("before=nonsense", "channel=secrets", "level=LOUD", "text="):
        answer = await client.get(f"/logs?{query}")
        assert (query, answer.status_code, answer.json()["code"]) == (query, 400, "bad_parameter")


def test_a_page_ends_after_so_much_work_and_the_next_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MOST_BYTES", 20_000)
    monkeypatch.setattr(log_files, "BLOCK", 4096)
    write(tmp_path, "api-app.jsonl", a_line(-1, "needle"), *(a_line(n, "hay" * 20) for n in range(1000)))

    pages, cursor, found = 0, None, list[str]()
    while pages == 0 or cursor:
        page = read_logs(tmp_path, Wanted(text="needle"), limit=10, before=cursor)
        found += [row["message"] for row in page.rows]
        pages, cursor = pages + 1, page.next

    assert found == ["needle"]
    assert 5 < pages < 20


def test_lines_that_are_none_of_ours_are_passed_over(tmp_path: Path) -> None:
    long = a_line(2, "x" * 200_000)
    write(tmp_path, "api-app.jsonl", a_line(1, "good"), "Traceback …", '{"time": 7}', "[]", long, a_line(3, "better"))
    with (tmp_path / "api-app.jsonl").open("a") as file:
        file.write('{"time": "half a li')

    rows = read_logs(tmp_path, Wanted(), limit=10, before=None).rows

    assert [row["message"][:6] for row in rows] == ["better", "xxxxxx", "good"]


def test_what_our_formatter_writes_is_read_back(tmp_path: Path) -> None:
    logger = logging.getLogger("perpetua.market_data")
    with log_ids(account="main", cycle="12:05", stage="fetch", request="r-1"):
        record = logger.makeRecord(logger.name, logging.WARNING, "f", 1, "late", (), None, extra={"symbol": "BTCUSDT"})
        written = JsonFormatter().format(record)
    write(tmp_path, "scheduler-market-data.jsonl", written)

    [row] = read_logs(tmp_path, Wanted(channel="market_data", account="main"), limit=10, before=None).rows

    assert (row["stage"], row["request"], row["details"]) == ("fetch", "r-1", {"symbol": "BTCUSDT"})
