"""What people read: every list, page by page, and the state of things at a glance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.db.reports import Reports
from shared.db.unit_of_work import Database
from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.decision import Action, Answer, UnreadItem
from shared.domain.errors import BadCursor
from shared.domain.market import Series, Timeframe
from shared.domain.order import OrderState
from shared.domain.reconciliation import Difference, Discrepancy
from shared.domain.risk import Verdict
from tests.db.samples import (
    CYCLE,
    TICK,
    a_call,
    a_candle,
    a_fill,
    a_point,
    a_position,
    a_reviewed,
    a_venue_order,
    an_intent,
    open_accounts,
)


@pytest.fixture
async def reports(database: Database) -> Reports:
    await open_accounts(database, "main", "other")
    return Reports(database)


async def test_pages_have_neither_gap_nor_repeat_while_trades_are_added(database: Database, reports: Reports) -> None:
    same_time = [a_fill(n, at=TICK) for n in range(5)]
    async with database.open_work() as work:
        await work.fills.save("main", same_time)
        await work.fills.save("other", same_time[:2])

    seen, cursor = [], None
    for newer in range(10, 20):
        page = await reports.trades(limit=2, before=cursor)
        seen += [(row["account"], row["trade_id"]) for row in page.rows]
        async with database.open_work() as work:
            await work.fills.save("main", [a_fill(newer)])
        if (cursor := page.next) is None:
            break

    assert seen == [("other", "1"), ("other", "0"), *(("main", str(n)) for n in (4, 3, 2, 1, 0))]


async def test_a_list_narrows_down_to_an_account_a_symbol_and_a_time(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await work.fills.save("main", [a_fill(n) for n in range(1, 6)] + [a_fill(3, symbol="ETHUSDT")])
        await work.fills.save("other", [a_fill(3)])

    page = await reports.trades(
        account="main", symbol="BTCUSDT", since=TICK + timedelta(seconds=2), until=TICK + timedelta(seconds=4)
    )

    assert [row["trade_id"] for row in page.rows] == ["3", "2"]
    assert page.next is None


async def test_a_filter_that_postgresql_cannot_store_finds_nothing(reports: Reports) -> None:
    assert (await reports.trades(symbol="BTC\x00USDT", account="\ud800")).rows == []


async def test_rows_are_plain_json_with_money_as_strings(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await work.fills.save("main", [replace(a_fill(0), trade_id=2**62, realized_pnl=Decimal("0E-8"))])

    [row] = (await reports.trades()).rows

    assert row == {
        "cycle": None,
        "tick": None,
        "account": "main",
        "symbol": "BTCUSDT",
        "trade_id": "4611686018427387904",
        "venue_order_id": "77",
        "side": "BUY",
        "price": "64000.10",
        "quantity": "0.010",
        "realized_pnl": "0.00000000",
        "commission": "0.2560004",
        "commission_asset": "USDT",
        "maker": False,
        "at": "2026-03-31T23:55:00+00:00",
        "position_side": None,
    }


async def test_a_cursor_that_is_none_is_refused_in_one_line(reports: Reports) -> None:
    wrong_length, no_list, wrong_types = "W10", "bnVsbA", "WzEsMiwzLDRd"
    for cursor in ("", "nonsense", "é", "\x00", wrong_length, no_list, wrong_types):
        with pytest.raises(BadCursor, match=r"^.* is no cursor of this list: [^\n]*$"):
            await reports.trades(before=cursor)


async def test_accounts_are_listed_with_equity_tick_and_open_positions(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.PAUSED, "on holiday")
        await work.holds.add_equity("main", a_point(TICK, "1000.5", unrealized=Decimal("-0.25")))
        await work.holds.add_equity("main", a_point(TICK - timedelta(days=1)))
        await work.holds.replace_positions("main", [a_position(), a_position("ETHUSDT")], TICK)
        await work.stages.finish(StageResult(stage=Stage.FETCH, request=CYCLE), started_at=TICK, finished_at=TICK)

    first = await reports.accounts(limit=1)
    second = await reports.accounts(limit=1, before=first.next)

    [main], [other] = first.rows, second.rows
    assert main["account"] == "main"
    assert (main["status"], main["status_reason"]) == ("paused", "on holiday")
    assert main["config"]["limits"]["risk_per_trade"] == "0.0123"
    assert "status" not in main["config"]
    assert (main["equity"], main["equity_at"], main["deposited"]) == ("1000.25", TICK.isoformat(), "1000")
    assert (main["last_tick"], main["open_positions"]) == (TICK.isoformat(), 2)
    assert (other["account"], other["equity"], other["last_tick"], other["open_positions"]) == ("other", None, None, 0)
    assert second.next is None


async def test_positions_are_listed_by_account_and_symbol(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await work.holds.replace_positions("other", [a_position()], TICK)
        await work.holds.replace_positions("main", [a_position("ETHUSDT"), a_position()], TICK)

    page = await reports.positions(limit=2)
    rest = await reports.positions(limit=2, before=page.next)

    listed = [(row["account"], row["symbol"]) for row in page.rows + rest.rows]
    assert listed == [("main", "BTCUSDT"), ("main", "ETHUSDT"), ("other", "BTCUSDT")]
    assert page.rows[0]["liquidation_price"] is None
    assert len((await reports.positions(symbol="BTCUSDT", account="other")).rows) == 1


async def test_orders_are_listed_by_state_with_those_of_others(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await work.orders.promise([an_intent(), an_intent("ETHUSDT")], TICK)
        await work.orders.adopt("main", [a_venue_order("web_1")], TICK)

    everything = (await reports.orders(account="main")).rows
    new = (await reports.orders(state=OrderState.NEW, symbol="BTCUSDT")).rows

    assert [row["leg"] for row in everything] == ["external", "entry", "entry"]
    assert [(row["client_order_id"], row["venue_order_id"]) for row in new] == [("web_1", "8389765519993300001")]
    assert everything[1]["venue_order_id"] is None


async def test_decisions_show_rationale_findings_and_the_model(database: Database, reports: Reports) -> None:
    refused = a_reviewed("ETHUSDT", Action.SELL, verdict=Verdict.REFUSED, code="cooldown", reason="too soon")
    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [a_call(None, answered_model=None, error="timeout"), a_call()])
        await work.decisions.save(CYCLE, [a_reviewed(), refused], None)
        await work.decisions.save(StageRequest("other", TICK), [a_reviewed()], None)

    [row] = (await reports.decisions(action="sell", verdict="refused", symbol="ETHUSDT", full=True)).rows
    models = [each["model"] for each in (await reports.decisions()).rows]

    assert (row["code"], row["model"], row["tick"]) == ("cooldown", "maker/model-1", TICK.isoformat())
    assert row["rationale"] == row["decision"]["rationale"] == "the range broke upwards"
    assert row["review"]["findings"][0]["saw"] == {"confidence": "0.72"}
    assert models == [None, "maker/model-1", "maker/model-1"]


async def test_model_calls_show_the_prompt_only_in_full(database: Database, reports: Reports) -> None:
    unread = UnreadItem(code="unknown_symbol", reason="no such symbol", raw="{}")
    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [a_call()])
        answer = Answer(reasoning="calm", decisions=(), unread=(unread,), repairs=("a code fence",))
        await work.decisions.save(CYCLE, [], answer)
        await work.model_calls.save(StageRequest("other", TICK), [a_call(None)])

    [other, brief] = (await reports.model_calls()).rows
    [full] = (await reports.model_calls(full=True, account="main")).rows

    assert (brief["cost"], brief["error"], other["account"]) == ("0.00123", None, "other")
    assert not {"prompt_user", "prompt_system", "parameters", "content", "raw"} & brief.keys()
    assert (full["prompt_user"], full["content"]) == ("BTC is at 64000.10 …", '{"decisions": []}')
    assert full["raw"] == {"id": "gen-1", "usage": {"cost": "0.00123"}}
    assert (full["repairs"], full["unread"][0]["code"]) == (["a code fence"], "unknown_symbol")


async def test_equity_diary_and_discrepancies_are_listed_newest_first(database: Database, reports: Reports) -> None:
    later = TICK + timedelta(minutes=5)
    found = Discrepancy(kind=Difference.MISSING_STOP, symbol="BTCUSDT", ours="a stop", theirs="none", action="placed")
    async with database.open_work() as work:
        for at in (TICK, later):
            await work.holds.add_equity("main", a_point(at, unrealized=Decimal("1.5")))
            await work.journal.diary("main", TICK, at, f"line of {at:%H:%M}", {"n": "1"})
        await work.journal.discrepancies("main", TICK, [found, replace(found, symbol=None)])
        await work.journal.discrepancies("main", TICK, [])

    equity, diary = (await reports.equity()).rows, (await reports.diary()).rows
    discrepancies = (await reports.discrepancies(account="main")).rows

    assert [(row["at"], row["equity"]) for row in equity] == [
        (later.isoformat(), "1001.5"),
        (TICK.isoformat(), "1001.5"),
    ]
    assert [row["text"] for row in diary] == ["line of 00:00", "line of 23:55"]
    assert diary[0]["body"] == {"n": "1"}
    assert [(row["kind"], row["symbol"]) for row in discrepancies] == [
        ("missing_stop", None),
        ("missing_stop", "BTCUSDT"),
    ]


async def test_candles_of_one_series_are_paged_newest_first(database: Database, reports: Reports) -> None:
    first = datetime(2026, 1, 31, 23, 50, tzinfo=UTC)
    run = [a_candle(first + n * timedelta(minutes=5)) for n in range(5)]
    async with database.open_work() as work:
        await work.candles.save({Series("BTCUSDT", Timeframe.M5): run, Series("BTCUSDT", Timeframe.H4): run[:1]})

    page = await reports.candles(symbol="BTCUSDT", timeframe=Timeframe.M5, until=run[4].opened, limit=3)
    rest = await reports.candles(symbol="BTCUSDT", timeframe=Timeframe.M5, since=first, limit=3, before=page.next)

    assert [row["opened"] for row in page.rows] == [run[n].opened.isoformat() for n in (3, 2, 1)]
    assert [row["opened"] for row in rest.rows] == [first.isoformat()]
    assert page.rows[0]["close"] == "64000.1"


async def test_the_status_shows_the_last_run_of_each_stage(database: Database, reports: Reports) -> None:
    earlier = StageRequest("main", TICK - timedelta(minutes=5))
    async with database.open_work() as work:
        for request in (earlier, CYCLE):
            fetched = StageResult(stage=Stage.FETCH, request=request, details={"candles": request.tick.minute})
            await work.stages.finish(fetched, started_at=request.tick, finished_at=TICK)
        decided = StageResult(stage=Stage.DECIDE, request=earlier)
        await work.stages.finish(decided, started_at=TICK, finished_at=TICK)
        await work.orders.promise([an_intent(), an_intent("ETHUSDT")], TICK)
        await work.holds.add_equity("main", a_point(TICK))

    [main, other] = await reports.status()

    assert main["stages"]["fetch"] == {
        "cycle": "main@2026-03-31T23:55:00Z",
        "tick": TICK.isoformat(),
        "result": {"candles": 55},
        "started_at": TICK.isoformat(),
        "finished_at": TICK.isoformat(),
    }
    assert main["stages"]["decide"]["tick"] == earlier.tick.isoformat()
    assert main["stages"].keys() == {"fetch", "decide"}
    assert (main["unsettled_orders"], main["open_positions"], main["equity"]) == (2, 0, "1000")
    assert (other["account"], other["stages"], other["equity"]) == ("other", {}, None)
