"""Asking through the real house: the budget, the tools, a death in the middle, and an account that only manages."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from sqlalchemy import text

from functions.invoke import invoke_compare
from functions.replaying import load, reask, rereview, rerun
from shared.db.outbox import BEGINNING, Outbox
from shared.db.reports import Reports
from shared.domain.cycle import Stage
from shared.domain.model import ModelCall
from shared.domain.model_health import ModelHealth
from shared.domain.record import RecordId
from shared.llm.reply import read
from tests.db.samples import a_fill
from tests.house import House, built_house

LISTING = {
    "id": "scripted/model",
    "pricing": {"prompt": "0.000001", "completion": "0.00001"},
    "supported_parameters": ["max_tokens", "temperature", "structured_outputs", "response_format", "tools"],
}
RSI = {"symbol": "BTCUSDT", "timeframe": "1h", "function": "RSI", "parameters": {"timeperiod": 21}, "last": 3}


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A house whose model knows tools and has a price."""
    async with built_house(database_url) as built:
        built.model.listings = [LISTING]
        yield built


async def health(house: House) -> ModelHealth:
    async with house.runtime.open_work() as work:
        return await work.model_health.get("main")


async def calls(house: House) -> list[ModelCall]:
    async with house.runtime.open_work() as work:
        return list(await work.model_calls.of_cycle(house.request))


async def spending(house: House) -> tuple[Decimal, Decimal]:
    async with house.runtime.database.reading() as connection:
        row = (await connection.exec_driver_sql("SELECT sum(reserved), sum(spent) FROM model_spending")).one()
    return row[0], row[1]


async def events(house: House, kind: str) -> list[dict[str, Any]]:
    found = await Outbox(house.runtime.database).read(BEGINNING, limit=1000)
    return [json.loads(event.body) for event in found.events if event.kind == kind]


async def test_a_model_looks_up_a_timeframe_that_nobody_fetched_and_the_account_s_own_past(house: House) -> None:
    await house.enter()
    await house.pass_time()
    house.model.will_call(("indicator", RSI), ("past_decisions", {}), ("recent_fills", {}))
    house.model.will_decide(await house.wish(action="hold"))

    outcome = await house.cycle()

    answers = [json.loads(each["content"]) for each in house.model.questions[-1]["messages"] if each["role"] == "tool"]
    assert len(answers[0]["real"]) == 3
    assert answers[1]["past_decisions"][0]["asset"] == "BTCUSDT"
    assert answers[2]["recent_fills"][0]["asset"] == "BTCUSDT"
    assert (outcome["decide"]["calls"], outcome["decide"]["tool_turns"]) == (2, 1)


async def test_nothing_is_looked_up_that_is_newer_than_the_cycle(house: House) -> None:
    await house.stage(Stage.FETCH)
    before, request = house.clock.now(), house.request
    house.model.will_call(("candles", {"symbol": "BTCUSDT", "timeframe": "1m", "last": 1}))
    house.model.will_decide()
    await house.pass_time(timedelta(minutes=3))

    await house.stage(Stage.DECIDE, request)

    [answer] = [json.loads(each["content"]) for each in house.model.questions[-1]["messages"] if each["role"] == "tool"]
    assert answer["opened"] == [(request.tick - timedelta(minutes=1)).isoformat(timespec="minutes")]
    assert request.tick < before


async def test_a_decide_killed_between_two_turns_asks_only_what_was_in_flight(house: House) -> None:
    await house.stage(Stage.FETCH)
    house.model.will_call(("indicator", RSI))
    with patch.object(house.model, "handle_async_request", dies_at(house, 2)), pytest.raises(Killed):
        await house.stage(Stage.DECIDE)
    house.model.will_decide(await house.wish())
    async with house.runtime.open_work() as work:
        await work.fills.save("main", [a_fill(1)])  # what happens in between does not change the question

    result = await house.stage(Stage.DECIDE)

    assert house.model.questions[0]["messages"] == house.model.questions[1]["messages"][:2]
    assert [len(each["messages"]) for each in house.model.questions] == [2, 4]
    assert [each["verdict"] for each in result.details["decisions"]] == ["approved"]
    assert [call.turn for call in await calls(house)] == [0, 1]
    reserved, spent = await spending(house)
    assert reserved > 0  # of the question in flight nobody knows what became: the most it can have cost stays aside
    assert spent == sum(call.cost for call in await calls(house))


def dies_at(house: House, number: int) -> Any:
    """The model's way to the wire, which takes the process with it at the question of that *number*."""
    real, posts = house.model.handle_async_request, 0

    async def handle(request: httpx.Request) -> httpx.Response:
        nonlocal posts
        posts += request.method == "POST"
        if posts == number:
            raise Killed
        return await real(request)

    return handle


async def test_what_a_cycle_cost_is_what_the_day_has_spent(house: House) -> None:
    house.model.will_call(("indicator", RSI))
    house.model.answers += [503, json.dumps({"decisions": []})]

    with patch("asyncio.sleep"):
        outcome = await house.cycle()

    assert await spending(house) == (Decimal(0), Decimal(outcome["decide"]["cost_usd"]))
    assert outcome["decide"]["cost_usd"] == "0.0024"


async def test_a_spent_budget_means_managing_only_until_midnight(database_url: str) -> None:
    async with built_house(database_url, llm_daily_budget_usd=Decimal("0.12")) as house:
        house.model.listings = [LISTING]
        await house.enter()
        async with house.runtime.open_work() as work:
            await work.model_spending.reserve("main", house.clock.now().date(), Decimal("0.05"), None)
        first = await house.next_cycle()
        second = await house.next_cycle()
        asked = len(house.model.questions)
        protected = await house.venue_orders(type="STOP_MARKET", status="NEW")
        told = await events(house, "manage_only")
        await house.pass_time(timedelta(days=1))
        third = await house.cycle()
        recovered = await events(house, "models_answer_again")

    assert first["decide"]["no_answer"] == "the day's budget for models is spent"
    assert "spent or set aside, until 2025-01-02 00:00" in second["decide"]["manage_only"]
    assert (asked, len(protected), len(told), len(recovered)) == (1, 1, 1, 1)
    assert third["decide"]["manage_only"] is None


async def test_after_three_cycles_without_an_answer_the_account_only_manages_and_recovers_by_itself(
    house: House,
) -> None:
    await house.enter()
    house.model.answers += 4 * ["I would rather not say.", "Really not."]

    failed = [await house.next_cycle() for _ in range(3)]
    asked = len(house.model.questions)
    silent = [await house.next_cycle() for _ in range(5)]

    assert [outcome["decide"]["manage_only"] is None for outcome in failed] == [True, True, False]
    assert len(house.model.questions) == asked
    assert all("no model is asked before" in outcome["decide"]["no_answer"] for outcome in silent)
    assert all("equity" in outcome["reconcile"] for outcome in silent)
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1

    house.model.answers.clear()
    house.model.will_decide(await house.wish("ETHUSDT"))
    again = await house.next_cycle()

    assert again["decide"]["decisions"][0]["verdict"] == "approved"
    assert await health(house) == ModelHealth()
    assert [len(await events(house, kind)) for kind in ("manage_only", "models_answer_again")] == [1, 1]
    diary = [row["text"] for row in (await Reports(house.runtime.database).diary()).rows]
    assert any(text.startswith("managing what is open, opening nothing: 3 cycles") for text in diary)
    assert "a model answers again: trading goes on" in diary


async def test_a_key_that_is_turned_away_is_not_used_before_it_may_work_again(house: House) -> None:
    await house.enter()
    resets = house.clock.now() + timedelta(minutes=17)
    house.model.answers.append(
        httpx.Response(
            403,
            json={
                "error": {
                    "code": 403,
                    "message": "Key limit exceeded",
                    "metadata": {"limit_source": "openrouter_key_limit", "resets_at": resets.isoformat()},
                }
            },
        )
    )

    outcomes = [await house.next_cycle() for _ in range(4)]

    assert (await health(house)) == ModelHealth()
    assert [outcome["decide"]["calls"] for outcome in outcomes] == [1, 0, 0, 1]
    [told] = await events(house, "manage_only")
    assert told["asks_again_at"] == resets.isoformat()
    assert "Key limit exceeded" in told["reason"]


async def test_status_tells_how_the_models_do_and_what_the_day_has_cost(house: House) -> None:
    await house.enter()
    house.model.answers += 3 * [401]
    await house.next_cycle()

    [row] = await Reports(house.runtime.database).status()

    assert row["models"]["manage_only_since"]
    assert "HTTP 401" in row["models"]["reason"]
    assert (row["models"]["day"], row["models"]["spent"]) == ("2025-01-01", "0.0012")
    assert Decimal(row["models"]["reserved"]) == 0


async def test_costs_are_told_by_day_by_decision_and_by_trade(house: House) -> None:
    await house.enter()
    await house.pass_time(timedelta(days=1))
    house.model.will_decide(await house.wish(action="close"))
    await house.cycle()

    page = await Reports(house.runtime.database).costs()

    newest, oldest = page.rows
    assert (newest["day"], newest["cost"]) == ("2025-01-02T00:00:00+00:00", "0.0012")
    assert (newest["cost_per_decision"], newest["entries"], newest["cost_per_entry"]) == ("0.0012", 0, None)
    assert (oldest["calls"], oldest["decisions"], oldest["entries"]) == (1, 1, 1)
    assert oldest["cost_per_entry"] == "0.0012"
    assert (oldest["estimated"], oldest["cost_estimated"]) == (0, "0")


async def test_costs_tell_how_much_of_them_the_service_did_not_tell(house: House) -> None:
    await house.enter()
    async with house.runtime.database.transaction() as connection:
        await connection.execute(text("UPDATE model_calls SET estimated = true"))

    [day] = (await Reports(house.runtime.database).costs()).rows

    assert (day["cost"], day["estimated"], day["cost_estimated"]) == ("0.0012", 1, "0.0012")


def told(question: dict[str, Any]) -> list[dict[str, Any]]:
    """What tools told in a question."""
    return [json.loads(each["content"]) for each in question["messages"] if each["role"] == "tool"]


LOOKS = (
    ("indicator", RSI),
    ("candles", {"symbol": "BTCUSDT", "timeframe": "1m", "last": 3}),
    ("past_decisions", {}),
    ("recent_fills", {}),
)


async def test_a_decision_that_looked_things_up_is_made_again_reviewed_anew_and_asked_anew(house: House) -> None:
    await house.enter()
    await house.pass_time()
    house.model.will_call(*LOOKS)
    house.model.will_decide(await house.wish("ETHUSDT"))
    await house.cycle()
    decided, then = house.request, told(house.model.questions[-1])
    offered = house.model.questions[-1]["tools"]
    await house.enter("ETHUSDT", "sell")
    await house.next_cycle()
    await house.pass_time(timedelta(hours=3))
    await house.cycle()
    record = await load(house.runtime.open_work, RecordId(account_id="main", tick=decided.tick))

    again = await rerun(record, open_work=house.runtime.open_work, read=read)
    narrow = rereview(record, replace(record.context.account.limits, max_positions=1), read=read)
    house.model.will_call(*LOOKS)
    house.model.will_decide()
    asked = await reask(
        record,
        "scripted/model",
        engine=house.runtime.engine("main"),
        account=house.runtime.accounts["main"].account,
        open_work=house.runtime.open_work,
        market=house.runtime.market,
        analyst=house.runtime.analyst,
        clock=house.clock,
        own_prompt=False,
    )

    assert again.same
    assert [call.calls_tools for call in record.calls] == [True, False]
    assert [side.judgement.reviewed[0].review.verdict for side in (narrow.before, narrow.after)] == [
        "approved",
        "refused",
    ]
    assert house.model.questions[-1]["tools"] == offered
    assert told(house.model.questions[-1]) == then
    assert [len(each) for each in (then[2]["past_decisions"], then[3]["recent_fills"])] == [1, 1]
    assert asked.after.judgement.reviewed == ()


async def test_a_shadow_looks_up_what_the_account_s_own_model_could(database_url: str) -> None:
    async with built_house(database_url, shadow_models=("scripted/other",)) as house:
        house.model.listings = [LISTING, LISTING | {"id": "scripted/other"}]
        house.model.will_call(*LOOKS)
        house.model.will_decide(await house.wish())
        await house.cycle()
        own = house.model.questions[-1]
        house.model.will_call(*LOOKS)

        outcome = await invoke_compare(house.runtime, house.request)

        shadow = house.model.questions[-1]
        assert (shadow["tools"], told(shadow)) == (own["tools"], told(own))
        assert outcome["shadows"][0]["no_answer"] is None
