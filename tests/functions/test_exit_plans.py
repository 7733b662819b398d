"""A plan is a promise: code keeps it when the model is silent, fails, or says otherwise."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, between_ticks
from tests.house import House

MINUTES = timedelta(minutes=1)
SOON = {"text": "a short trade", "expiry": {"after_candles": 1, "timeframe": "5m", "at": None}}


async def enter(house: House, plan: dict[str, Any], action: str = "buy") -> dict[str, Any]:
    """Have a position with that plan: one whole cycle."""
    house.model.will_decide(await house.wish(action=action, exit_plan=plan))
    return await house.cycle()


async def level(house: House, share: str) -> float:
    """Return a price that far from the present one."""
    return float(await house.mark("BTCUSDT") * Decimal(share))


def decided(outcome: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["action"], each["source"], each["verdict"]) for each in outcome["decide"]["decisions"]]


async def test_a_plan_that_has_come_true_closes_the_position_though_the_model_says_nothing(house: House) -> None:
    await enter(house, SOON)

    outcome = await house.next_cycle()

    assert decided(outcome) == [("close", "exit plan", "approved")]
    assert await house.venue_positions() == {}
    assert await house.venue_orders(status="NEW") == []


async def test_what_a_plan_ends_does_not_wait_for_the_model_and_is_ended_once(house: House) -> None:
    await enter(house, SOON)
    await house.pass_time()
    house.model.will_decide(await house.wish(action="buy"), await house.wish("ETHUSDT"))
    ask, held = house.model.handle_async_request, []

    async def note(request: httpx.Request) -> httpx.Response:
        held.append(await house.venue_positions())
        return await ask(request)

    with patch.object(house.model, "handle_async_request", note):
        outcome = await house.cycle()

    assert held[-1] == {}
    assert outcome["promises"]["discrepancies"][0]["kind"] == "exit_plan"
    assert decided(outcome) == [
        ("close", "exit plan", "approved"),
        ("buy", "model", "refused"),
        ("buy", "model", "approved"),
    ]
    assert len(await house.venue_orders(type="MARKET", side="SELL")) == 1
    assert {order["state"] for order in outcome["execute"]["orders"]} == {"FILLED", "NEW"}
    assert list(await house.venue_positions()) == ["ETHUSDT"]


async def test_nothing_opens_while_the_fate_of_what_a_plan_ends_is_unknown(house: House) -> None:
    await enter(house, SOON)
    await house.pass_time()
    house.model.will_decide(await house.wish("ETHUSDT"))
    await house.spoil("POST", "/fapi/v3/order", "503-after", count=1)
    await house.spoil("GET", "/fapi/v3/order", "error:-1121-before", count=9)

    outcome = await house.cycle()

    assert [order["state"] for order in outcome["promises"]["repairs"]][:1] == ["UNRESOLVED"]
    assert {order["state"] for order in outcome["execute"]["orders"]} == {"ABSENT"}
    assert len(await house.venue_orders(type="MARKET", side="SELL")) == 1
    assert await house.venue_positions() == {}


async def test_a_promise_that_cannot_be_kept_at_once_is_kept_in_the_cycle_all_the_same(house: House) -> None:
    await enter(house, SOON)
    await house.pass_time()
    await house.stage(Stage.FETCH)
    await house.spoil("GET", "/fapi/v3/accountWithJoinMargin", "error:-1121-before", count=1)

    outcome = await house.cycle()

    assert outcome["promises"].keys() == {"later"}
    assert outcome["execute"]["orders"][0]["leg"] == "exit"
    assert await house.venue_positions() == {}


@pytest.mark.parametrize("answer", ["I would rather not say.", "", 401, 503])
async def test_a_plan_is_kept_when_the_model_fails(house: House, answer: str | int) -> None:
    await enter(house, SOON)
    house.model.answers += 9 * [answer]

    outcome = await house.next_cycle()

    assert outcome["decide"]["no_answer"]
    assert decided(outcome) == [("close", "exit plan", "approved")]
    assert await house.venue_positions() == {}


async def test_a_plan_is_kept_when_the_model_would_rather_hold_or_add(house: House) -> None:
    await enter(house, SOON)
    await house.pass_time()
    house.model.will_decide(await house.wish(action="buy"))

    outcome = await house.cycle()

    assert decided(outcome) == [("close", "exit plan", "approved"), ("buy", "model", "refused")]
    assert await house.venue_positions() == {}


async def test_a_model_that_closes_by_itself_is_not_helped(house: House) -> None:
    await enter(house, SOON)
    await house.pass_time()
    house.model.will_decide(await house.wish(action="close"))

    assert decided(await house.cycle()) == [("close", "model", "approved")]


async def test_a_plan_that_has_not_come_true_changes_nothing(house: House) -> None:
    low = await level(house, "0.5")
    plan = {
        "text": "far away",
        "invalidation": {"timeframe": "5m", "condition": "close_below", "price": low},
        "indicator": {"timeframe": "4h", "name": "rsi_14", "comparison": "above", "value": 99.9, "than": None},
        "expiry": {"after_candles": 9, "timeframe": "4h", "at": None},
    }
    await enter(house, plan)

    outcome = await house.next_cycle()

    assert decided(outcome) == []
    assert list(await house.venue_positions()) == ["BTCUSDT"]
    assert outcome["reconcile"]["discrepancies"] == []


async def test_a_candle_that_closes_beyond_the_price_ends_the_position(house: House) -> None:
    price = await level(house, "0.9999")
    await enter(house, {"text": "", "invalidation": {"timeframe": "5m", "condition": "close_below", "price": price}})

    for _ in range(20):
        outcome = await house.next_cycle()
        if not await house.venue_positions():
            break

    [closed] = outcome["decide"]["decisions"]
    async with house.runtime.open_work() as work:
        [decision] = await work.decisions.of_cycle(house.request)
        snapshot = await work.snapshots.get(house.request)
    assert (closed["source"], closed["verdict"]) == ("exit plan", "approved")
    assert decision.decision.rationale.startswith("exit plan: 5m close below")
    assert snapshot is not None
    closes = next(iter(snapshot.indicators["BTCUSDT"].values())).series["close"]
    assert min(close for close in closes if close) < price


async def test_between_two_ticks_a_plan_on_the_mark_price_or_the_clock_is_kept(house: House) -> None:
    until = house.clock.now() + 8 * MINUTES
    await enter(house, {"text": "", "expiry": {"after_candles": None, "timeframe": None, "at": until.isoformat()}})
    await house.pass_time(7 * MINUTES)
    early = await house.stage(Stage.RECONCILE, between_ticks("main", house.clock.now()))
    standing = await house.venue_positions()
    await house.pass_time(timedelta(seconds=80))

    late = await house.stage(Stage.RECONCILE, between_ticks("main", house.clock.now()))

    assert list(standing) == ["BTCUSDT"]
    assert early.details["discrepancies"] == []
    assert [each["kind"] for each in late.details["discrepancies"]] == ["exit_plan"]
    assert await house.venue_positions() == {}
    assert await house.venue_orders(status="NEW") == []


async def test_a_paused_account_keeps_its_plans(house: House) -> None:
    await enter(house, SOON)
    async with house.runtime.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.PAUSED, "a test")

    outcome = await house.next_cycle()

    assert set(outcome) == {"account", "tick", "reconcile"}
    assert await house.venue_positions() == {}


async def test_an_exit_whose_fate_is_unknown_is_not_sent_a_second_time(house: House) -> None:
    await enter(house, SOON)
    await house.pass_time()
    await house.spoil("POST", "/fapi/v3/order", "503-after", count=9)

    await house.cycle()

    exits = await house.venue_orders(type="MARKET", side="SELL")
    assert len(exits) == 1
    assert await house.venue_positions() == {}


async def test_a_plan_stands_when_the_position_is_added_to_without_a_new_one(house: House) -> None:
    await enter(house, {"text": "an hour", "expiry": {"after_candles": 3, "timeframe": "5m", "at": None}})
    await house.pass_time()
    await enter(house, {"text": "", "invalidation": None})
    second = await house.next_cycle()

    third = await house.next_cycle()

    assert decided(second) == []
    assert decided(third) == [("close", "exit plan", "approved")]


async def test_an_entry_whose_plan_is_true_already_is_refused(house: House) -> None:
    price = await level(house, "1.01")

    outcome = await enter(
        house, {"text": "", "invalidation": {"timeframe": None, "condition": "mark_below", "price": price}}
    )

    [refused] = outcome["decide"]["decisions"]
    assert (refused["verdict"], refused["code"]) == ("refused", "exit_plan")
    assert "closed again at once" in refused["reason"]
    assert await house.venue_orders() == []


async def test_a_rule_that_nobody_can_check_is_kept_as_text_and_told_to_the_model(house: House) -> None:
    plan = {
        "text": "by feel",
        "invalidation": {"timeframe": "1d", "condition": "close_below", "price": 1},
        "expiry": {"at": "next week"},
    }
    await enter(house, plan)
    await house.next_cycle()

    user = house.model.questions[-1]["messages"][1]["content"]
    assert '"invalidation":null,"indicator":null,"expiry":null' in user
    assert (
        '"not_enforced":["expiry: {\\"at\\": \\"next week\\"}","1d close below 1 (these candles are not shown)"]'
        in user
    )
    assert list(await house.venue_positions()) == ["BTCUSDT"]
