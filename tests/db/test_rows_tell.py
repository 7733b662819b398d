"""Rows tell of themselves: what changed is in the outbox, in the same transaction, whoever wrote it and how."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from api.live.bodies import BODIES
from shared.db.alerts import AlertTable
from shared.db.audit import Action, AuditTrail
from shared.db.outbox import BEGINNING, Event, Outbox
from shared.db.unit_of_work import Database
from shared.domain.account import AccountStatus, Breaker
from shared.domain.alert import Alarm, AlertKind
from shared.domain.authority import Terms
from shared.domain.breakers import Trip
from shared.domain.cycle import Stage, StageResult
from shared.domain.decision import Answer
from shared.domain.order import Income, IncomeKind, Leg, OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.domain.reconciliation import Difference, Discrepancy
from tests.db.samples import (
    CYCLE,
    TICK,
    HeldLease,
    a_call,
    a_fill,
    a_point,
    a_position,
    a_reviewed,
    a_venue_order,
    an_account,
    an_intent,
    open_accounts,
)


class Told:
    """What the outbox has told since it was last asked."""

    def __init__(self, database: Database) -> None:
        self._outbox = Outbox(database)
        self._place = BEGINNING

    async def events(self) -> Sequence[Event]:
        events = (await self._outbox.read(self._place)).events
        self._place = events[-1].place if events else self._place
        for event in events:
            BODIES[event.kind].model_validate_json(event.body)
        return events

    async def news(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event.kind, json.loads(event.body)) for event in await self.events()]

    async def kinds(self) -> list[str]:
        return [kind for kind, _ in await self.news()]


@pytest.fixture
async def told(database: Database) -> Told:
    await open_accounts(database, "main", "other")
    told = Told(database)
    assert await told.kinds() == ["account", "account"]
    return told


async def test_an_account_tells_its_status_and_its_configuration_and_nothing_when_neither_changes(
    database: Database, told: Told
) -> None:
    async with database.open_work() as work:
        await work.accounts.configure([an_account(), an_account("other")])
    assert await told.kinds() == []

    async with database.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.HALTED, "the key was refused")
        await work.accounts.configure([an_account("other", model="another/model")])

    [(first, halted), (second, changed)] = await told.news()
    assert (first, second) == ("account", "account")
    assert (halted["status"], halted["was"], halted["status_reason"]) == ("halted", "active", "the key was refused")
    assert (changed["status"], changed["was"], changed["config"]["model"]) == ("active", "active", "another/model")


async def test_an_order_tells_each_state_it_passes_through_once(database: Database, told: Told) -> None:
    async with database.open_work() as work:
        await work.orders.promise([an_intent()], TICK)
        await work.orders.promise([an_intent()], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
    async with database.open_work() as work:
        await work.orders.save([replace(order, state=OrderState.UNRESOLVED)])
    async with database.open_work() as work:
        await work.orders.save([replace(order, state=OrderState.UNRESOLVED)])

    [(_, intended), (_, unresolved)] = await told.news()
    assert (intended["state"], intended["was"], intended["quantity"]) == ("INTENDED", None, "0.010")
    assert (unresolved["state"], unresolved["was"]) == ("UNRESOLVED", "INTENDED")
    assert unresolved["id"] == intended["id"]


async def test_what_rests_for_the_protection_of_a_position_is_told_when_it_comes_and_when_it_goes(
    database: Database, told: Told
) -> None:
    stop = a_venue_order("pp-stop-1", closes_position=True)
    target = a_venue_order("pp-target-1", closes_position=True, type=OrderType.TAKE_PROFIT_MARKET)
    async with database.open_work() as work:
        await work.orders.adopt("main", [stop, target], TICK)
    protected = [body for kind, body in await told.news() if kind == "protection"]
    async with database.open_work() as work:
        await work.orders.adopt("main", [a_venue_order("pp-stop-1", state=OrderState.CANCELED)], TICK)
    bare = [body for kind, body in await told.news() if kind == "protection"]

    [resting] = protected[0]["stops"]
    assert (resting["client_order_id"], resting["stop_price"], resting["quantity"]) == ("pp-stop-1", "61234.50", None)
    assert [target["client_order_id"] for target in protected[0]["targets"]] == ["pp-target-1"]
    assert (bare[0]["symbol"], bare[0]["direction"], bare[0]["stops"]) == ("BTCUSDT", Direction.LONG, [])
    assert bare[0]["targets"] == protected[0]["targets"]


async def test_a_position_tells_that_it_was_opened_changed_and_closed_and_nothing_between(
    database: Database, told: Told
) -> None:
    async def hold(*positions: Any, after: int) -> None:
        async with database.open_work() as work:
            await work.holds.replace_positions("main", positions, TICK + timedelta(seconds=after))

    await hold(a_position(), a_position("ETHUSDT"), after=1)
    await hold(a_position(), a_position("ETHUSDT"), after=2)
    await hold(a_position(mark_price=Decimal("64200.00")), after=3)
    await hold(after=4)

    assert [(kind, body["symbol"], body["mark_price"]) for kind, body in await told.news()] == [
        ("position_opened", "BTCUSDT", "64100.00"),
        ("position_opened", "ETHUSDT", "64100.00"),
        ("position_changed", "BTCUSDT", "64200.00"),
        ("position_closed", "ETHUSDT", "64100.00"),
        ("position_closed", "BTCUSDT", "64200.00"),
    ]


async def test_a_fill_and_an_income_are_told_once_however_often_they_are_seen(database: Database, told: Told) -> None:
    income = Income(
        kind=IncomeKind.FUNDING_FEE,
        transaction_id="9",
        symbol="BTCUSDT",
        amount=Decimal("-0.10"),
        asset="USDT",
        at=TICK,
    )
    for _ in range(2):
        async with database.open_work() as work:
            await work.fills.save("main", [replace(a_fill(1), trade_id=9_007_199_254_740_993)])
            await work.incomes.save("main", [income])

    [(_, fill), (opened, trip), (_, funding)] = await told.news()
    assert (opened, trip["first_trade_id"], trip["held"]) == ("round_trip", fill["trade_id"], "0.010")
    assert (fill["trade_id"], fill["price"], fill["maker"]) == ("9007199254740993", "64000.10", False)
    assert (funding["income_kind"], funding["amount"]) == ("FUNDING_FEE", "-0.10")


async def test_a_decision_tells_what_was_wanted_and_what_risk_made_of_it(database: Database, told: Told) -> None:
    answer = Answer(decisions=(), reasoning="", repairs=(), unread=())
    async with database.open_work() as work:
        await work.decisions.save(CYCLE, [a_reviewed(), a_reviewed("ETHUSDT")], answer)
        await work.decisions.save(CYCLE, [a_reviewed()], answer)

    [(_, first), (_, second)] = await told.news()
    assert (first["asset"], first["action"], first["verdict"], first["quantity"]) == (
        "BTCUSDT",
        "buy",
        "approved",
        "0.003",
    )
    assert (first["stop_loss"], first["confidence"], second["position"]) == ("61234.5", "0.72", 1)


async def test_a_question_to_a_model_tells_its_cost_and_never_what_was_said(database: Database, told: Told) -> None:
    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [a_call()])

    [(kind, body)] = await told.news()
    assert (kind, body["cost"], body["latency_ms"]) == ("model_call", "0.00123", 2140)
    assert not body.keys() & {"prompt_system", "prompt_user", "prompt_turns", "content", "raw", "parameters"}


async def test_all_else_that_happens_to_an_account_is_told(database: Database, told: Told) -> None:
    found = Discrepancy(kind=Difference.ORDER_UNKNOWN, symbol="BTCUSDT", ours="none", theirs="one", action="adopted")
    async with database.open_work() as work:
        fence = await work.stages.take_lease("main", "me", 30)
    async with database.open_work(HeldLease("main", fence)) as work:
        await work.holds.add_equity("main", a_point(TICK))
        await work.holds.add_equity("main", a_point(TICK))
        await work.journal.discrepancies("main", TICK, [found])
        await work.journal.diary("main", TICK, TICK, "a line", {})
        trip = Trip(breaker=Breaker.DRAWDOWN, at=TICK, lifts_at=None, flatten=False, reason="20 % lost")
        await work.breakers.trip("main", [trip])
        await work.breakers.lift("main", TICK + timedelta(hours=1))
        result = StageResult(stage=Stage.FETCH, request=CYCLE, details={"symbols": ["BTCUSDT"]})
        await work.stages.finish(result, started_at=TICK, finished_at=TICK + timedelta(seconds=1))

    news = await told.news()
    assert [kind for kind, _ in news] == ["equity", "discrepancy", "diary", "breaker", "breaker", "stage"]
    assert [body["standing"] for kind, body in news if kind == "breaker"] == [True, False]
    assert news[0][1]["wallet"] == "1000"
    assert news[5][1]["result"] == {"symbols": ["BTCUSDT"]}


async def test_an_alert_tells_that_it_is_raised_seen_and_over_and_of_which_account_if_of_any(
    database: Database, told: Told
) -> None:
    down = Alarm(kind=AlertKind.EXCHANGE_DOWN, text="it does not answer")
    naked = Alarm(kind=AlertKind.POSITION_NAKED, account_id="main", subject="LONG BTCUSDT", text="without a stop")
    async with database.transaction() as connection:
        table = AlertTable(connection)
        await table.settle([down, naked], TICK, channels=["webhook"])
        await table.settle([down, naked], TICK, channels=["webhook"])
    raised = await told.events()
    number = json.loads(raised[1].body)["id"]
    async with database.transaction() as connection:
        table = AlertTable(connection)
        await table.acknowledge(number, "anna", TICK)
        await table.settle([naked], TICK, channels=["webhook"])
    [seen, over] = await told.events()

    assert [(event.kind, event.account_id) for event in [*raised, seen, over]] == [
        ("alert", None),
        ("alert", "main"),
        ("alert", "main"),
        ("alert", None),
    ]
    assert json.loads(seen.body) == json.loads(raised[1].body) | {
        "acknowledged_by": "anna",
        "acknowledged_at": TICK.isoformat(),
    }
    assert json.loads(over.body) == json.loads(raised[0].body) | {"resolved_at": TICK.isoformat()}


async def test_a_change_that_waits_tells_that_it_does_and_what_became_of_it(database: Database, told: Told) -> None:
    terms = Terms(mode="live", delay=timedelta(days=1))
    async with database.open_work() as work:
        [change] = await work.changes.settle([an_account()], "anna", TICK, terms)
        await work.changes.speak(change.id, "anna")
        await work.changes.speak(change.id, "bert")
        await work.changes.withdraw(change.id, "bert", TICK)

    bodies = [body for kind, body in await told.news() if kind == "change"]
    assert [(body["state"], body["words"]) for body in bodies] == [
        ("pending", ["anna"]),
        ("pending", ["anna", "bert"]),
        ("withdrawn", ["anna", "bert"]),
    ]
    assert (bodies[0]["change_kind"], bodies[0]["raises"]) == (change.kind, list(change.raises))
    assert not bodies[0].keys() & {"wanted"}


async def test_an_emergency_stop_tells_how_far_it_is(database: Database, told: Told) -> None:
    async with database.open_work() as work:
        await work.stops.ask("main", "anna", TICK)
        await work.stops.note("main", ["LONG BTCUSDT"], TICK)
        await work.stops.note("main", [], TICK)
        await work.stops.rearm("main", TICK)

    bodies = [body for kind, body in await told.news() if kind == "stop"]
    assert [body["left"] for body in bodies[1:3]] == [["LONG BTCUSDT"], []]
    assert [(body["finished_at"] is None, body["rearmed_at"] is None) for body in bodies] == [
        (True, True),
        (True, True),
        (False, True),
        (False, False),
    ]


async def test_a_round_trip_tells_how_it_goes_and_how_it_ended(database: Database, told: Told) -> None:
    fills = [a_fill(1), replace(a_fill(2), side=Side.SELL, realized_pnl=Decimal("1.5"))]
    for fill in fills:
        async with database.open_work() as work:
            await work.fills.save("main", [fill])

    [opened, closed] = [body for kind, body in await told.news() if kind == "round_trip"]
    assert (opened["symbol"], opened["closed_at"], opened["exit"]) == ("BTCUSDT", None, None)
    assert (closed["held"], closed["realized"], closed["exit"]) == ("0.000", "1.5", "external")
    assert closed["first_trade_id"] == opened["first_trade_id"] == "1"


async def test_a_position_without_a_stop_tells_since_when_and_that_it_is_over(database: Database, told: Told) -> None:
    for standing in ({("BTCUSDT", Direction.LONG): TICK}, {}):
        async with database.open_work() as work:
            await work.naked.stand("main", standing, TICK + timedelta(seconds=7))

    [(kind, begun), (_, over)] = await told.news()
    assert (kind, begun["symbol"], begun["since"], begun["until"]) == ("naked", "BTCUSDT", TICK.isoformat(), None)
    assert over == begun | {"until": (TICK + timedelta(seconds=7)).isoformat()}


async def test_what_was_done_tells_no_more_than_that_and_what_came_of_it(database: Database, told: Told) -> None:
    trail = AuditTrail(database)
    for account in ("main", "nobody"):
        await trail.end(await trail.begin(Action(action="POST /stop", account_id=account, body={"a": 1})), 200)

    events = await told.events()
    assert [(event.kind, event.account_id) for event in events] == [
        *[("audit", "main")] * 2,
        *[("audit", None)] * 2,
    ]
    assert {tuple(json.loads(event.body)) for event in events} == {("id",)}


async def test_moments_are_told_in_utc_wherever_the_writer_sits(database: Database, told: Told) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL timezone TO 'Asia/Tokyo'"))
        await connection.execute(
            text("INSERT INTO diary (account_id, tick, at, text, body) VALUES ('main', :tick, :tick, 'x', '{}')"),
            {"tick": TICK},
        )

    [(_, body)] = await told.news()
    assert body["tick"] == "2026-03-31T23:55:00+00:00"


async def test_what_was_rolled_back_was_never_told(database: Database, told: Told) -> None:
    async def fail() -> None:
        async with database.open_work() as work:
            await work.orders.promise([an_intent(leg=Leg.ENTRY)], TICK)
            raise RuntimeError("after all")

    with pytest.raises(RuntimeError, match="after all"):
        await fail()

    assert await told.kinds() == []
