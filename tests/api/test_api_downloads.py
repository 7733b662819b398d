"""Whole lists as files: the same rows as page by page, safe to open, and no work for whoever went away."""

import csv
import io
import json
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api import downloads
from api.app import OPERATIONS
from shared.db.reports import Reports
from shared.db.unit_of_work import Database
from tests.db.samples import CYCLE, TICK, a_call, a_fill, a_reviewed, an_account, an_intent

SERIES = {"symbol": "BTCUSDT", "timeframe": "5m"}


@pytest.fixture
async def books(client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows on three pages each, as the pages of downloads are made small."""
    monkeypatch.setattr(downloads, "PAGE_ROWS", 2)
    async with database.open_work() as work:
        await work.accounts.configure([an_account("other")])
        await work.orders.promise([an_intent(symbol) for symbol in ("A", "B", "C", "D", "E")], TICK)
        await work.fills.save("main", [a_fill(number) for number in range(1, 6)])
        await work.decisions.save(CYCLE, [a_reviewed(symbol) for symbol in ("A", "B", "C", "D", "E")], None)
        await work.model_calls.save(CYCLE, [a_call()] * 5)
        for number in range(5):
            await work.journal.diary("main", TICK, TICK, f"Line {number}.", {"orders": number})


async def test_every_list_is_downloaded_as_it_is_shown(client: httpx.AsyncClient, books: None) -> None:
    for operation in OPERATIONS:
        if operation.item is None or operation.path == "/logs":  # which there are none of here
            continue
        params: dict[str, Any] = SERIES if operation.path == "/market-data" else {}
        shown = (await client.get(operation.path, params={**params, "limit": 1000})).json()["items"]
        lines = await client.get(operation.path, params={**params, "format": "jsonl"})
        table = await client.get(operation.path, params={**params, "format": "csv"})

        assert lines.status_code == table.status_code == 200
        assert (operation.path, [json.loads(line) for line in lines.text.splitlines()]) == (operation.path, shown)
        header, *rows = csv.reader(io.StringIO(table.text))
        assert header == list(operation.item.model_fields)
        assert (operation.path, len(rows)) == (operation.path, len(shown))
        assert lines.headers["content-type"] == "application/jsonl"
        assert table.headers["content-type"].startswith("text/csv; charset=utf-8")
        name = f"perpetua-{operation.path[1:].replace('/', '-')}-"
        assert table.headers["content-disposition"].startswith(f'attachment; filename="{name}')
        assert table.headers["content-disposition"].endswith('Z.csv"')


async def test_a_download_is_narrowed_down_like_a_page(client: httpx.AsyncClient, books: None) -> None:
    async def symbols(**params: Any) -> list[str]:
        answer = await client.get("/orders", params={"format": "jsonl", **params})
        return [json.loads(line)["symbol"] for line in answer.text.splitlines()]

    assert await symbols(symbol="C") == ["C"]
    assert await symbols(limit=3) == ["E", "D", "C"]
    assert await symbols(limit=4, before=(await client.get("/orders", params={"limit": 2})).json()["next"]) == [
        *("C", "B", "A")
    ]
    assert await symbols(account="other") == []


async def test_events_are_downloaded_from_a_cursor_on_oldest_first(client: httpx.AsyncClient, books: None) -> None:
    everything = (await client.get("/events", params={"limit": 1000})).json()["items"]
    after = everything[-6]["cursor"]

    async def cursors(**params: Any) -> list[str]:
        answer = await client.get("/events", params={"format": "jsonl", "after": after, **params})
        return [json.loads(line)["cursor"] for line in answer.text.splitlines()]

    assert await cursors() == [event["cursor"] for event in everything[-5:]]
    assert await cursors(limit=3) == [event["cursor"] for event in everything[-5:-2]]
    assert await cursors(account="other") == []
    refused = await client.get("/events", params={"format": "csv", "after": "yesterday"})
    assert (refused.status_code, refused.json()["parameter"]) == (400, "after")


async def test_what_cannot_be_asked_is_refused_before_anything_is_sent(client: httpx.AsyncClient) -> None:
    for params in ({"format": "xlsx"}, {"format": "csv", "before": "nonsense"}, {"format": "csv", "state": "OPEN"}):
        answer = await client.get("/orders", params=params)

        assert (params, answer.status_code, answer.json()["code"]) == (params, 400, "bad_parameter")


async def test_no_cell_is_a_formula_to_a_spreadsheet_and_numbers_stay_numbers(
    client: httpx.AsyncClient, database: Database
) -> None:
    sayings = ["=1+1", "+1 is a call", "-2+3", "@SUM(A1)", "\tx", "-5.25", "plain, with\na break", '"=quoted']
    async with database.open_work() as work:
        for said in sayings:
            await work.journal.diary("main", TICK, TICK, said, {"=": "="})
        await work.fills.save("main", [a_fill(1, realized_pnl=-5)])

    lines = csv.DictReader(io.StringIO((await client.get("/diary", params={"format": "csv"})).text, newline=""))
    trades = csv.DictReader(io.StringIO((await client.get("/trades", params={"format": "csv"})).text, newline=""))

    told = list(lines)
    assert [row["text"] for row in told][::-1] == [
        *("'=1+1", "'+1 is a call", "'-2+3", "'@SUM(A1)", "'\tx", "-5.25", "plain, with\na break", '"=quoted')
    ]
    assert json.loads(told[0]["body"]) == {"=": "="}
    assert [(row["realized_pnl"], row["maker"], row["position_side"]) for row in trades] == [("-5", "false", "")]


@pytest.fixture
async def long_diary(client: httpx.AsyncClient, database: Database) -> str:
    """The address of an API whose diary is longer than what lies between a server and a client that does not read."""
    async with database.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO diary (account_id, tick, at, text, body) "
                "SELECT 'main', now(), now() + make_interval(secs => n), repeat(md5(n::text), 100), '{}' "
                "FROM generate_series(1, 10000) AS n"
            )
        )
    return str(client.base_url)


def test_only_so_many_downloads_run_at_once_and_whoever_goes_away_makes_room(long_diary: str) -> None:
    ask = {"url": f"{long_diary}/diary", "params": {"format": "jsonl"}}
    with httpx.Client(timeout=30) as client, ExitStack() as readers:
        for _ in range(downloads.MOST_AT_ONCE):
            reader = readers.enter_context(client.stream("GET", **ask))
            assert reader.status_code == 200

        refused = client.get(**ask)
        readers.close()  # who has not read to the end has gone away
        while (served := client.get(**ask)).status_code == 503:
            pass

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_downloads")
    assert int(refused.headers["retry-after"]) > 0
    assert len(served.text.splitlines()) == 10_000


def test_a_reader_who_takes_too_long_is_dropped_and_sees_that_the_file_is_not_whole(
    long_diary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "READER_SECONDS", 0.05)
    ask = {"url": f"{long_diary}/diary", "params": {"format": "jsonl"}}
    with httpx.Client(timeout=30) as client, ExitStack() as readers:
        slow = [readers.enter_context(client.stream("GET", **ask)) for _ in range(downloads.MOST_AT_ONCE)]
        while client.get(f"{long_diary}/orders", params={"format": "csv"}).status_code == 503:
            pass  # until one of them has lost its place

        with pytest.raises(httpx.RemoteProtocolError):
            [reader.read() for reader in slow]


async def test_what_is_written_meanwhile_is_not_in_the_file(database: Database) -> None:
    async with database.open_work() as work:
        await work.accounts.configure([an_account()])
        await work.fills.save("main", [a_fill(number) for number in (1, 2)])

    async with Reports(database).frozen() as frozen:
        first = await frozen.trades(limit=1)
        async with database.open_work() as work:
            await work.fills.save("main", [a_fill(0), a_fill(3)])
        rest = await frozen.trades(limit=10, before=first.next)

    assert [row["trade_id"] for row in (*first.rows, *rest.rows)] == ["2", "1"]
