"""Every list, by every one of its filters, is read in the order of an index: no page sorts what it does not show."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

from shared.db.reports import Reports
from shared.db.unit_of_work import Database
from shared.domain.market import Series, Timeframe
from tests.db.samples import CYCLE, TICK, a_call, a_candle, a_fill, a_reviewed, an_account, an_intent

FILTERS: dict[str, dict[str, Any]] = {
    "orders": {"symbol": "BTCUSDT", "state": "INTENDED"},
    "trades": {"symbol": "BTCUSDT"},
    "decisions": {"symbol": "BTCUSDT", "action": "buy", "verdict": "approved", "model": "maker/model-1"},
    "model_calls": {"purpose": "decision", "model": "maker/model", "symbol": "BTCUSDT", "action": "buy"},
    "discrepancies": {"symbol": "BTCUSDT", "kind": "manual_trade"},
    "diary": {},
    "equity": {},
}

ASKED = [
    (name, narrowed | account)
    for name, filters in FILTERS.items()
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
            assert [value for value in narrowed.values() if f"= '{value}'" not in found_by] == [], (name, plan)


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
