"""What was done and what is held, page by page, through real HTTP from real tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from api.app import OPERATIONS
from shared.db.unit_of_work import Database
from shared.domain.decision import Action
from shared.domain.market import Series, Timeframe
from shared.domain.order import Income, IncomeKind, Side
from shared.domain.reconciliation import Difference, Discrepancy
from shared.domain.risk import Verdict
from shared.domain.work import Work
from tests.db.samples import (
    CYCLE,
    TICK,
    a_call,
    a_candle,
    a_fill,
    a_point,
    a_position,
    a_reviewed,
    an_account,
    an_intent,
)

FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture
async def books(client: httpx.AsyncClient, database: Database) -> None:
    """Two accounts with a history."""
    async with database.open_work() as work:
        await work.accounts.configure([an_account("other")])
        await work.orders.promise([an_intent("BTCUSDT"), an_intent("ETHUSDT"), an_intent(account_id="other")], TICK)
        await work.fills.save("main", [a_fill(number) for number in (1, 2, 3)])
        await work.fills.save("other", [a_fill(9, symbol="ETHUSDT")])
        reviewed = [
            a_reviewed("BTCUSDT"),
            a_reviewed("ETHUSDT", Action.HOLD, verdict=Verdict.HELD),
            a_reviewed("SOLUSDT", verdict=Verdict.REFUSED, code="cooldown", reason="too soon"),
        ]
        await work.decisions.save(CYCLE, reviewed, None)
        await work.model_calls.save(CYCLE, [a_call(None, error="overloaded"), a_call()])
        await work.holds.replace_positions("main", [a_position("BTCUSDT"), a_position("ETHUSDT")], TICK)
        series = Series("BTCUSDT", Timeframe.M5)
        await work.candles.save({series: [a_candle(TICK + number * FIVE_MINUTES) for number in range(5)]})
        await work.journal.diary("main", TICK, TICK, "Bought the breakout.", {"orders": 1})
        difference = Discrepancy(
            kind=Difference.MANUAL_TRADE, symbol="BTCUSDT", ours="no such order", theirs="trade 9", action="booked"
        )
        await work.journal.discrepancies("main", TICK, [difference])


async def items(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["items"]
    return rows


@pytest.mark.usefixtures("books")
async def test_every_list_can_be_narrowed_to_one_account(client: httpx.AsyncClient) -> None:
    for path in ("/orders", "/trades", "/decisions", "/llm-interactions", "/positions", "/diary", "/discrepancies"):
        mine = await items(client, path, account="main")

        assert mine
        assert (path, {row["account"] for row in mine}) == (path, {"main"})
        assert (path, {row["account"] for row in await items(client, path, account="other")} <= {"other"}) == (
            path,
            True,
        )


@pytest.mark.usefixtures("books")
async def test_orders_are_found_by_symbol_and_state(client: httpx.AsyncClient) -> None:
    found = await items(client, "/orders", symbol="ethusdt", state="INTENDED")

    assert [(row["symbol"], row["state"], row["quantity"]) for row in found] == [("ETHUSDT", "INTENDED", "0.010")]
    assert await items(client, "/orders", state="FILLED") == []


@pytest.mark.usefixtures("books")
async def test_decisions_are_found_by_action_and_verdict_and_say_in_short_what_was_wanted_and_why_not(
    client: httpx.AsyncClient,
) -> None:
    [refused] = await items(client, "/decisions", verdict="refused")
    held = await items(client, "/decisions", action="hold")

    assert (refused["asset"], refused["code"]) == ("SOLUSDT", "cooldown")
    assert (refused["rationale"], refused["confidence"]) == ("the range broke upwards", "0.72")
    assert refused["reason"] == "too soon"
    assert (refused["allocation_usd"], refused["quantity"], refused["price"]) == ("250.50", "0.003", "64000.10")
    assert (refused["decision"], refused["review"]) == (None, None)
    assert [row["asset"] for row in held] == ["ETHUSDT"]


@pytest.mark.usefixtures("books")
async def test_decisions_show_every_rule_when_asked_for_and_in_what_is_shown_of_one(client: httpx.AsyncClient) -> None:
    full = await items(client, "/decisions", full="true")

    assert {row["decision"]["rationale"] for row in full} == {"the range broke upwards"}
    assert full[0]["review"]["findings"][0]["saw"] == {"confidence": "0.72"}
    one = (await client.get(f"/decisions/{full[0]['cycle']}")).json()["decisions"]
    assert sorted(one, key=lambda row: row["asset"]) == sorted(full, key=lambda row: row["asset"])


async def test_a_page_of_decisions_is_light_however_much_was_said(
    client: httpx.AsyncClient, database: Database
) -> None:
    long = "It is so. " * 10_000
    reviewed = a_reviewed("BTCUSDT")
    said = replace(reviewed, decision=replace(reviewed.decision, rationale=long))
    async with database.open_work() as work:
        await work.decisions.save(CYCLE, [said] * 50, None)

    page = await client.get("/decisions", params={"limit": 50})

    assert len(page.content) < 50_000
    assert {(row["rationale"][:-1], row["rationale"][-1]) for row in page.json()["items"]} == {(long[:239], "…")}


@pytest.mark.usefixtures("books")
async def test_prompts_and_raw_replies_are_shown_when_asked_for(client: httpx.AsyncClient) -> None:
    short = await items(client, "/llm-interactions")
    full = await items(client, "/llm-interactions", full="true")

    assert {row["error"] for row in short} == {None, "overloaded"}
    assert {row["cost"] for row in short} == {"0.00123"}
    assert short[0]["prompt_user"] is None
    assert full[0]["prompt_user"] == "BTC is at 64000.10 …"


@pytest.mark.usefixtures("books")
async def test_questions_are_found_by_model_purpose_symbol_and_action(client: httpx.AsyncClient) -> None:
    for wanted, found in (
        ({"model": "maker/model"}, 2),
        ({"model": "maker/other"}, 0),
        ({"purpose": "decision"}, 2),
        ({"purpose": "shadow"}, 0),
        ({"symbol": "btcusdt"}, 2),
        ({"symbol": "ETHUSDT", "action": "hold"}, 2),
        ({"symbol": "ETHUSDT", "action": "buy"}, 0),
        ({"action": "close"}, 0),
    ):
        assert (wanted, len(await items(client, "/llm-interactions", **wanted))) == (wanted, found)


@pytest.mark.usefixtures("books")
async def test_candles_are_shown_of_one_series_within_a_range(client: httpx.AsyncClient) -> None:
    within = {"since": (TICK + FIVE_MINUTES).isoformat(), "until": (TICK + 3 * FIVE_MINUTES).isoformat()}

    found = await items(client, "/market-data", symbol="BTCUSDT", timeframe="5m", **within)

    assert [row["opened"] for row in found] == [
        (TICK + 2 * FIVE_MINUTES).isoformat(),
        (TICK + FIVE_MINUTES).isoformat(),
    ]
    assert found[0]["close"] == "64000.1"


@pytest.mark.usefixtures("books")
async def test_diary_and_discrepancies_are_told_in_words(client: httpx.AsyncClient) -> None:
    diary, discrepancies = await items(client, "/diary"), await items(client, "/discrepancies")

    assert [(row["text"], row["body"]) for row in diary] == [("Bought the breakout.", {"orders": 1})]
    assert [(row["kind"], row["action"]) for row in discrepancies] == [("manual_trade", "booked")]


@pytest.mark.usefixtures("books")
async def test_pages_follow_each_other_without_gap_or_repeat_while_rows_come_in(
    client: httpx.AsyncClient, database: Database
) -> None:
    seen, cursor = [], None
    while True:
        params: dict[str, Any] = {"account": "main", "limit": 2} | ({"before": cursor} if cursor else {})
        page = (await client.get("/trades", params=params)).json()
        seen += [row["trade_id"] for row in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        async with database.open_work() as work:
            await work.fills.save("main", [a_fill(100 + len(seen))])

    assert seen == ["3", "2", "1"]


async def curve(work: Work, account_id: str, *wallets: str) -> None:
    noon = datetime(2025, 1, 1, 12, tzinfo=UTC)
    for day, wallet in enumerate(wallets):
        await work.holds.add_equity(account_id, a_point(noon + timedelta(days=day), wallet))


async def test_an_account_that_never_was_is_refused_wherever_it_is_asked_for(client: httpx.AsyncClient) -> None:
    asked = [each for each in OPERATIONS if "account" in each.query.model_fields]
    answers = [await client.request(each.method, each.path, params={"account": "nobody"}) for each in asked]

    assert len(asked) > 20
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "unknown_account")}


async def test_performance_is_told_per_account_with_the_year_that_was_asked_for(
    client: httpx.AsyncClient, database: Database
) -> None:
    at = datetime(2025, 1, 2, tzinfo=UTC)
    async with database.open_work() as work:
        await curve(work, "main", "1000", "1100", "1050", "1200")
        closing = a_fill(2, side=Side.SELL, realized_pnl=Decimal(200), commission=Decimal(1), at=at + FIVE_MINUTES)
        await work.fills.save("main", [a_fill(1, commission=Decimal(1), at=at), closing])
        funding = Income(
            transaction_id="7",
            kind=IncomeKind.FUNDING_FEE,
            symbol="BTCUSDT",
            amount=Decimal("-0.5"),
            asset="USDT",
            at=at,
        )
        await work.incomes.save("main", [funding])

    years = {}
    for days in ("365", "252"):
        told = (await client.get("/performance", params={"account": "main", "annualisation": days})).json()
        assert told["annualisation"] == int(days)
        years[days] = told["items"][0]

    mine = years["365"]
    assert (mine["account"], mine["equity"], mine["profit"], mine["fees"]) == ("main", "1200", "200", "2")
    assert (Decimal(mine["total_return"]), mine["funding"], mine["win_rate"]) == (Decimal("0.2"), "-0.5", 1.0)
    assert mine["profit_factor"] is None
    assert mine["since"] == "2025-01-01T12:00:00+00:00"
    assert years["365"]["sharpe"] / years["252"]["sharpe"] == pytest.approx((365 / 252) ** 0.5)


async def test_an_account_without_history_has_a_performance_of_nulls(client: httpx.AsyncClient) -> None:
    told = (await client.get("/performance")).json()

    assert [row["account"] for row in told["items"]] == ["main"]
    assert (told["items"][0]["equity"], told["items"][0]["sharpe"]) == (None, None)


async def test_the_equity_curve_is_newest_first(client: httpx.AsyncClient, database: Database) -> None:
    async with database.open_work() as work:
        await curve(work, "main", "1000", "1100.50")

    assert [row["equity"] for row in await items(client, "/equity", account="main")] == ["1100.50", "1000"]
