"""One of what the lists have many of, with all that belongs to it; and what is read beside the lists."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.db.unit_of_work import Database
from shared.domain.market import Series, Timeframe
from shared.domain.order import OrderState
from tests.db.samples import CYCLE, TICK, a_call, a_candle, a_fill, a_reviewed, an_intent

FIVE_MINUTES = timedelta(minutes=5)
NAME = "main@2026-03-31T23:55:00Z"
SERIES = {"symbol": "BTCUSDT", "timeframe": "5m", "until": (TICK + FIVE_MINUTES).isoformat()}


async def told(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def traded(client: httpx.AsyncClient, database: Database) -> None:
    """A cycle that bought, with the order's fills."""
    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [a_call(None, error="overloaded"), a_call()])
        await work.decisions.save(CYCLE, [a_reviewed("BTCUSDT")], None)
        await work.orders.promise([an_intent("BTCUSDT")], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=OrderState.FILLED, venue_order_id=77)])
        await work.fills.save("main", [a_fill(1), a_fill(2), a_fill(3, venue_order_id=78)])
        await work.journal.diary("main", TICK, TICK + FIVE_MINUTES, "Bought the breakout.", {"orders": 1})


async def test_a_real_cycle_is_shown_with_everything_it_saw_asked_and_decided(client: httpx.AsyncClient) -> None:
    ran = await client.post("/functions/cycle/invocations", json={"account": "main"}, timeout=60)
    [newest, *_] = (await told(client, "/decisions"))["items"]

    shown = await told(client, f"/decisions/{newest['cycle']}")

    assert set(shown["stages"]) == {"fetch", "decide", "execute", "reconcile"}
    assert shown["record"] == ran.json()["decide"]["record"]
    assert {quote["symbol"] for quote in shown["context"]["quotes"]} == {"BTCUSDT", "ETHUSDT"}
    assert shown["context"]["indicators"]["BTCUSDT"]["5m"]["rsi_14"] > 0
    assert shown["asked"]["model"] == newest["model"] == "emulated/rule-follower"
    assert shown["asked"]["prompt_tokens"] == sum(call["prompt_tokens"] for call in shown["calls"]) > 0
    assert shown["calls"][0]["raw"] is not None
    assert all(each["review"]["findings"] or each["verdict"] == "held" for each in shown["decisions"])
    assert {each["finding"]["rule"] for each in shown["grounding"]} <= {"grounding"}
    by_record = await told(client, f"/decisions/{shown['record'][:12]}")
    assert by_record == shown


@pytest.mark.usefixtures("traded")
async def test_what_came_of_a_decision_is_told_by_its_own_orders_and_fills(client: httpx.AsyncClient) -> None:
    shown = await told(client, f"/decisions/{NAME}")

    assert (shown["asked"]["questions"], shown["asked"]["cost"]) == (2, "0.00246")
    assert [order["venue_order_id"] for order in shown["orders"]] == ["77"]
    assert [fill["trade_id"] for fill in shown["fills"]] == ["1", "2"]
    assert shown["outcome"]["commission"] == {"USDT": "0.5120008"}
    assert [line["text"] for line in shown["diary"]] == ["Bought the breakout."]
    assert (shown["record"], shown["context"], shown["stages"]) == (None, None, {})


async def test_a_decision_that_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    for name in ("main@2001-01-01T00:00:00Z", "nobody@2001-01-01T00:00:00Z", "abcdef012345"):
        answer = await client.get(f"/decisions/{name}")

        assert (name, answer.status_code, answer.json()["code"]) == (name, 404, "unknown_record")
    assert (await client.get("/decisions/yesterday")).json()["code"] == "bad_request"


@pytest.mark.usefixtures("traded")
async def test_an_order_is_shown_with_its_fills(client: httpx.AsyncClient) -> None:
    [listed] = (await told(client, "/orders"))["items"]

    shown = await told(client, f"/orders/{listed['id']}")

    assert shown["cycle"] == NAME
    assert [fill["trade_id"] for fill in shown.pop("fills")] == ["1", "2"]
    assert shown == listed
    assert (await client.get("/orders/999999")).json()["code"] == "unknown_order"
    assert (await client.get("/orders/many")).json()["code"] == "bad_parameter"


@pytest.mark.usefixtures("traded")
async def test_a_question_is_shown_in_full(client: httpx.AsyncClient) -> None:
    listed = (await told(client, "/llm-interactions", full="true"))["items"]

    assert [await told(client, f"/llm-interactions/{each['id']}") for each in listed] == listed
    assert (await client.get("/llm-interactions/999999")).json()["code"] == "unknown_model_call"


@pytest.mark.usefixtures("traded")
async def test_decisions_are_found_by_the_model_they_came_from(client: httpx.AsyncClient) -> None:
    assert [row["model"] for row in (await told(client, "/decisions", model="maker/model-1"))["items"]] == [
        "maker/model-1"
    ]
    assert (await told(client, "/decisions", model="maker/other"))["items"] == []


async def test_one_account_tells_where_it_stands_as_the_status_of_all_does(client: httpx.AsyncClient) -> None:
    everything = await told(client, "/status")

    mine = await told(client, "/accounts/main/status")

    assert everything["accounts"] == [mine]
    assert (await client.get("/accounts/nobody/status")).json()["code"] == "unknown_account"


async def test_accounts_are_found_by_status(client: httpx.AsyncClient) -> None:
    await client.post("/accounts/main/pause")

    assert [row["account"] for row in (await told(client, "/accounts", status="paused"))["items"]] == ["main"]
    assert (await told(client, "/accounts", status="active"))["items"] == []


async def test_events_are_told_once_each_from_cursor_to_cursor(client: httpx.AsyncClient, database: Database) -> None:
    start = (await told(client, "/events", limit=1000))["next"]
    async with database.open_work() as work:
        for number in range(3):
            await work.journal.event("main", f"test.{number}", TICK, {"number": number})

    first = await told(client, "/events", after=start, limit=2) if start else await told(client, "/events", limit=2)
    second = await told(client, "/events", after=first["next"])
    third = await told(client, "/events", after=second["next"])

    assert [event["kind"] for event in first["items"] + second["items"]] == ["test.0", "test.1", "test.2"]
    assert (third["items"], third["next"]) == ([], second["next"])
    assert [event["body"] for event in (await told(client, "/events", kind="test.1"))["items"]] == [{"number": 1}]
    assert (await client.get("/events", params={"after": "yesterday"})).json()["parameter"] == "after"


async def test_quotes_are_those_that_the_last_cycle_saw(client: httpx.AsyncClient) -> None:
    assert await told(client, "/market-data/quotes") == {"items": [], "next": None}
    await client.post("/functions/fetch/invocations", json={"account": "main"}, timeout=60)

    quotes = (await told(client, "/market-data/quotes"))["items"]

    assert [quote["symbol"] for quote in quotes] == ["BTCUSDT", "ETHUSDT"]
    assert float(quotes[0]["mark_price"]) > 0
    assert (await told(client, "/market-data/quotes", symbol="ethusdt"))["items"] == quotes[1:]


async def test_an_indicator_is_drawn_over_the_candles_that_are_asked_for(
    client: httpx.AsyncClient, database: Database
) -> None:
    series = Series("BTCUSDT", Timeframe.M5)
    async with database.open_work() as work:
        rising = [a_candle(TICK + number * FIVE_MINUTES, str(64000 + number)) for number in range(30)]
        await work.candles.save({series: rising})
    asked = {"symbol": "BTCUSDT", "timeframe": "5m", "until": (TICK + 30 * FIVE_MINUTES).isoformat(), "limit": 12}

    average = await told(client, "/market-data/indicators", function="sma", parameters="timeperiod:20", **asked)
    bands = await told(client, "/market-data/indicators", function="BBANDS", **asked)

    assert (average["function"], average["parameters"]) == ("SMA", {"timeperiod": 20.0})
    assert [point["opened"] for point in average["items"]][:2] == [
        (TICK + 29 * FIVE_MINUTES).isoformat(),
        (TICK + 28 * FIVE_MINUTES).isoformat(),
    ]
    assert [point["values"]["real"] for point in average["items"]] == [
        *(64000 + number - 9.5 for number in range(29, 18, -1)),
        None,
    ]
    assert set(bands["items"][0]["values"]) == {"upperband", "middleband", "lowerband"}


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"function": "GUESS"}, "function"),
        ({"function": "SMA", "parameters": "length:20"}, "parameters"),
        ({"function": "SMA", "parameters": "timeperiod=20"}, "parameters"),
        ({"function": "SMA", "parameters": "timeperiod:-4"}, "parameters"),
        ({}, "function"),
    ],
)
async def test_an_indicator_that_cannot_be_computed_is_refused_by_name(
    client: httpx.AsyncClient, database: Database, params: dict[str, str], parameter: str
) -> None:
    async with database.open_work() as work:
        await work.candles.save({Series("BTCUSDT", Timeframe.M5): [a_candle(TICK)]})

    answer = await client.get("/market-data/indicators", params={**SERIES, **params})

    assert (answer.status_code, answer.json().get("parameter", answer.text)) == (400, parameter)
