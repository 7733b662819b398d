"""How well the work was done, in numbers that anybody can recompute from the lists."""

from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from shared.db.unit_of_work import Database
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.order import Intent, Order, OrderState
from shared.domain.position import Direction
from shared.domain.protection import NakedSpell
from tests.api.test_api_metrics import FIVE_MINUTES, finished, now_of, tick_before
from tests.db.samples import a_call, an_intent


def sent(intent: Intent, state: OrderState) -> Order:
    return Order(intent=intent, client_order_id=intent.client_order_id, state=state, sent_at=intent.tick)


async def test_the_numbers_of_an_account_are_those_of_the_time_that_is_asked_for(
    client: httpx.AsyncClient, database: Database
) -> None:
    now = await now_of(client)
    start = tick_before(now, 20)
    ticks = {number: start + number * FIVE_MINUTES for number in (-5, 0, 1, 4, 5, 7)}
    for tick in ticks.values():
        await finished(database, tick, seconds=10)
    orders = [
        sent(an_intent(symbol, tick=ticks[1]), state)
        for symbol, state in (
            ("BTCUSDT", OrderState.FILLED),
            ("ETHUSDT", OrderState.REJECTED),
            ("SOLUSDT", OrderState.FILLED),
            ("XRPUSDT", OrderState.ABSENT),
        )
    ]
    async with database.open_work() as work:
        await work.orders.promise([order.intent for order in orders], start)
        await work.orders.save(orders)
        calls = [a_call(cost=Decimal("0.25")), a_call(cost=Decimal("0.05"), content=None, error="gone")]
        await work.model_calls.save(StageRequest("main", ticks[1]), calls)
        await work.model_calls.save(StageRequest("main", ticks[4]), [a_call(cost=Decimal("0.1"))])
        await work.model_calls.save(StageRequest("main", ticks[-5]), [a_call(cost=Decimal(9))])
        spells = [(ticks[1], 3), (ticks[4], 9), (start - timedelta(seconds=5), 6)]
        await work.naked.add(
            "main",
            [
                NakedSpell(symbol="BTCUSDT", direction=Direction.LONG, since=at, until=at + timedelta(seconds=seconds))
                for at, seconds in spells
            ],
        )

    query = {"since": start.isoformat(), "until": (start + 8 * FIVE_MINUTES).isoformat()}
    [numbers] = (await client.get("/operations", params=query)).json()["items"]

    assert numbers == {
        "account": "main",
        "cycles": 5,
        "missed_cycles": 3,
        "missed_rate": 0.375,
        "outages": 2,
        # Ticks 2 and 6 were the first that nobody served; the next cycle ended 10 s after its tick.
        "recovery_seconds": pytest.approx((610 + 310) / 2),
        "longest_recovery_seconds": 610,
        "naked_spells": 3,
        "naked_seconds": 13,
        "longest_naked_seconds": 9,
        "orders_sent": 4,
        "order_errors": 2,
        "order_error_rate": 0.5,
        "decisions": 2,
        "model_cost": "0.40",
        "cost_per_decision": "0.2",
    }


async def test_ticks_since_the_last_cycle_are_missed_too_though_nobody_came_to_serve_them(
    client: httpx.AsyncClient, database: Database
) -> None:
    now = await now_of(client)
    await finished(database, tick_before(now, 4))

    [numbers] = (await client.get("/operations?account=main")).json()["items"]

    assert (numbers["cycles"], numbers["missed_cycles"], numbers["outages"]) == (1, 3, 0)


async def test_an_account_that_never_ran_has_no_rates(client: httpx.AsyncClient) -> None:
    [numbers] = (await client.get("/operations")).json()["items"]

    rates = ("missed_rate", "recovery_seconds", "order_error_rate", "cost_per_decision")
    assert [numbers[name] for name in rates] == [None] * 4
    assert (await client.get("/operations?account=nobody")).status_code == 404
    backwards = "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"
    assert (await client.get(f"/operations?{backwards}")).json()["parameter"] == "since"


async def test_a_stage_that_is_no_cycle_counts_for_none(client: httpx.AsyncClient, database: Database) -> None:
    now = await now_of(client)
    result = StageResult(stage=Stage.FETCH, request=StageRequest("main", tick_before(now)), details={})
    async with database.open_work() as work:
        await work.stages.finish(result, started_at=now, finished_at=now)

    [numbers] = (await client.get("/operations")).json()["items"]
    assert numbers["cycles"] == 0
