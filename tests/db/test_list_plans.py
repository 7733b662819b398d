"""Every list, by every one of its filters, is read in the order of an index: no page sorts what it does not show."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

from api.app import OPERATIONS
from api.schemas import ListQuery
from shared.db.audit import Action, AuditTrail
from shared.db.outbox import BEGINNING
from shared.db.reports import Reports
from shared.db.unit_of_work import Database
from shared.domain.market import Series, Timeframe
from tests.db.samples import CYCLE, TICK, a_call, a_candle, a_fill, a_reviewed, an_account, an_intent

FILTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "/orders": ("orders", {"symbol": "BTCUSDT", "state": "INTENDED"}),
    "/trades": ("trades", {"symbol": "BTCUSDT"}),
    "/decisions": (
        "decisions",
        {"symbol": "BTCUSDT", "action": "buy", "verdict": "approved", "model": "maker/model-1"},
    ),
    "/llm-interactions": (
        "model_calls",
        {"purpose": "decision", "model": "maker/model", "symbol": "BTCUSDT", "action": "buy"},
    ),
    "/positions/closed": (
        "closed_positions",
        {"symbol": "BTCUSDT", "direction": "LONG", "model": "maker/model", "exit_reason": "stop"},
    ),
    "/discrepancies": ("discrepancies", {"symbol": "BTCUSDT", "kind": "manual_trade"}),
    "/diary": ("diary", {}),
    "/equity": ("equity", {}),
    "/changes": ("changes", {"state": "pending"}),
    "/alerts": ("alerts", {"kind": "data_stale", "standing": True}),
    "/audit": ("audit", {"caller": "somebody", "action": "POST /stop", "code": "bad_request"}),
}
"""Of each list what reads it, and what it can be narrowed by."""
APART = {
    "/accounts": "as many rows as accounts",
    "/positions": "as many rows as open positions",
    "/performance/returns": "a row a day and account, which its periods are made of",
    "/costs": "a row a day and account",
    "/market-data": "one series: see below",
    "/events": "in the order of transactions: see below",
    "/logs": "files",
}
"""Lists that need no index, or are held to theirs apart."""

ASKED = [
    (name, narrowed | account)
    for name, filters in FILTERS.values()
    for narrowed in ({}, *({each: value} for each, value in filters.items()))
    for account in ({}, {"account": "main"})
]


@pytest.fixture
async def books(database: Database) -> None:
    """A few rows in every list."""
    async with database.open_work() as work:
        await work.accounts.configure([an_account()])
        await work.orders.promise([an_intent("BTCUSDT"), an_intent("ETHUSDT")], TICK)
        await work.fills.save("main", [a_fill(1), a_fill(2)])
        await work.model_calls.save(CYCLE, [a_call()] * 2)
        await work.decisions.save(CYCLE, [a_reviewed("BTCUSDT")] * 2, None)
        for number in range(2):
            await work.journal.diary("main", TICK, TICK, str(number), {})
    for _ in range(2):
        refused = Action(action="POST /stop", caller="somebody", account_id="main")
        await AuditTrail(database).add(refused, 422, "bad_request")


def test_every_list_that_the_api_has_stands_above_with_every_filter() -> None:
    lists = {operation.path: operation.query for operation in OPERATIONS if operation.item}
    offered = {
        path: query.model_fields.keys() - ListQuery.model_fields.keys() - {"full"}
        for path, query in lists.items()
        if path not in APART
    }

    assert lists.keys() - FILTERS.keys() - APART.keys() == set()
    assert offered == {path: {_asked(name) for name in filters} for path, (_, filters) in FILTERS.items()}


def _asked(name: str) -> str:
    return "exit" if name == "exit_reason" else name


@pytest.fixture
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """What is sent to the database, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        sent.append((statement, parameters))

    event.listen(database._engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(database._engine.sync_engine, "before_cursor_execute", note)


@pytest.mark.usefixtures("books")
async def test_every_list_by_every_filter_follows_an_index(
    database: Database, statements: list[tuple[str, Any]]
) -> None:
    for name, narrowed in ASKED:
        page = getattr(Reports(database), name)
        first = await page(**narrowed, limit=1)
        places = [{}, {"until": TICK}, *([{"before": first.next}] if first.next else [])]
        for place in places:
            statements.clear()
            await page(**narrowed, **place, limit=1)
            plan = await explained(database, *statements[-1])

            assert (name, narrowed, place, sorts(plan)) == (name, narrowed, place, [])
            if name == "model_calls" and narrowed.keys() & {"symbol", "action"}:
                continue  # by way of another table: in order, but among so few rows by any index of it
            found_by = " ".join(line for line in plan if "Index Cond" in line)
            if narrowed.get("standing"):
                assert "alerts_now" in " ".join(plan) or "account" in narrowed, plan
                continue
            assert [value for value in narrowed.values() if f"= '{value}'" not in found_by] == [], (name, plan)


@pytest.mark.usefixtures("books")
async def test_events_follow_an_index_whatever_they_are_narrowed_to(
    database: Database, statements: list[tuple[str, Any]]
) -> None:
    wanted: list[dict[str, str]] = [{}, {"account": "main"}, {"kind": "fill"}, {"account": "main", "kind": "fill"}]
    for narrowed in wanted:
        await Reports(database).events(after=BEGINNING, limit=1, **narrowed)  # type: ignore[arg-type]
        plan = await explained(database, *statements[-1])

        found_by = " ".join(line for line in plan if "Index Cond" in line)
        assert [value for value in narrowed.values() if f"= '{value}'" not in found_by] == [], plan
        # Of what is read, a page at most, all is put in order: and nothing else is read as a whole.
        assert [line for line in plan if "Seq Scan on events" in line] == []
        assert "Index Scan" in " ".join(line for line in plan if "events_" in line)


async def explained(database: Database, statement: str, parameters: Any) -> list[str]:
    async with database.reading() as connection:
        for way in ("seqscan", "sort", "bitmapscan"):  # not taken, then, where there is another
            await connection.execute(text(f"SET LOCAL enable_{way} = off"))
        return list((await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars())


def sorts(plan: list[str]) -> list[str]:
    """Return the steps that read a table as a whole, or put all of it in order before the first row is there."""
    return [line for line in plan if "Seq Scan" in line or line.strip().removeprefix("->  ").startswith("Sort  (")]


async def test_candles_follow_the_key_of_their_series(database: Database, statements: list[tuple[str, Any]]) -> None:
    async with database.open_work() as work:
        await work.candles.save({Series("BTCUSDT", Timeframe.M5): [a_candle(TICK)]})
    await Reports(database).candles(symbol="BTCUSDT", timeframe=Timeframe.M5)

    assert sorts(await explained(database, *statements[-1])) == []
