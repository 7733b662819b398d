"""Accounts, snapshots, model calls and decisions: what a cycle thought with, and what it thought, comes back equal."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from shared.db.unit_of_work import Database
from shared.domain.account import AccountStatus
from shared.domain.cycle import StageRequest
from shared.domain.decision import Action, Answer, ExitPlan, Expiry, UnreadItem
from shared.domain.errors import UnknownAccount
from shared.domain.market import Timeframe
from shared.domain.model import Purpose
from shared.domain.order import Order, OrderState
from shared.domain.position import Direction
from shared.domain.risk import Move, ReviewedDecision, Verdict
from shared.domain.work import Work
from tests.db.samples import (
    CYCLE,
    TICK,
    a_call,
    a_position,
    a_reviewed,
    a_snapshot,
    an_account,
    an_intent,
    open_accounts,
)


@pytest.fixture(autouse=True)
async def accounts(database: Database) -> None:
    await open_accounts(database, "main", "other")


async def test_an_account_comes_back_as_it_was_configured(database: Database) -> None:
    async with database.open_work() as work:
        assert await work.accounts.get("main") == an_account("main")
        assert await work.accounts.all() == [an_account("main"), an_account("other")]


async def test_configuring_again_changes_everything_but_the_status(database: Database) -> None:
    async with database.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.HALTED, "drawdown of 21 %")
        await work.accounts.configure([an_account("main", leverage=9), an_account("third")])

        assert await work.accounts.get("main") == an_account("main", leverage=9, status=AccountStatus.HALTED)
        assert await work.accounts.get("third") == an_account("third")


async def test_an_unknown_account_is_named(database: Database) -> None:
    async with database.open_work() as work:
        with pytest.raises(UnknownAccount, match="there is no account 'nobody'"):
            await work.accounts.get("nobody")
        with pytest.raises(UnknownAccount, match="there is no account 'nobody'"):
            await work.accounts.set_status("nobody", AccountStatus.PAUSED, "")


async def test_a_snapshot_comes_back_equal_to_the_last_digit(database: Database) -> None:
    async with database.open_work() as work:
        assert await work.snapshots.get(CYCLE) is None
        await work.snapshots.save(a_snapshot())

    async with database.open_work() as work:
        assert await work.snapshots.get(CYCLE) == a_snapshot()
        assert await work.snapshots.get(StageRequest("other", TICK)) is None


async def test_a_snapshot_taken_again_replaces_the_first(database: Database) -> None:
    later = replace(a_snapshot(), taken_at=TICK + timedelta(seconds=9))

    async with database.open_work() as work:
        await work.snapshots.save(a_snapshot())
        await work.snapshots.save(later)
        assert await work.snapshots.get(CYCLE) == later


async def test_every_call_of_a_cycle_is_kept_in_the_order_made(database: Database) -> None:
    failed = a_call(None, error="timeout", answered_model=None, provider=None, raw={})
    answered, repeated = a_call(), a_call("later")
    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [failed, answered])
        await work.model_calls.save(CYCLE, [])
    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [repeated])

    async with database.open_work() as work:
        assert await work.model_calls.of_cycle(CYCLE) == [failed, answered, repeated]
        assert await work.model_calls.of_cycle(StageRequest("other", TICK)) == []


async def test_a_call_comes_back_with_the_turns_before_it_and_all_that_was_sent(database: Database) -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}], "reasoning_details": [{"index": 0}]}
    told = {"role": "tool", "tool_call_id": "c1", "content": "{}"}
    call = a_call(
        purpose=Purpose.FALLBACK,
        turn=1,
        prompt=replace(a_call().prompt, turns=(asked, told)),
        parameters={"model": "maker/model", "seed": 7, "schema": "sha256:0", "reasoning": {"effort": "low"}},
        cached_tokens=1024,
        reasoning_tokens=33,
        estimated=True,
    )

    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [call])
        [stored] = await work.model_calls.of_cycle(CYCLE)

    assert stored == call
    assert [message["role"] for message in stored.prompt.messages] == ["system", "user", "assistant", "tool"]
    assert stored.prompt.messages[2:] == [asked, told]


async def test_text_that_postgresql_cannot_store_is_stored_without_the_character_at_fault(database: Database) -> None:
    poison = "before\x00after\ud800"
    call = a_call(poison, raw={poison: [poison, float("nan"), {"deep": poison}]}, error=poison)

    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [call])
        [stored] = await work.model_calls.of_cycle(CYCLE)

    assert stored.content == stored.error == "before�after?"
    assert stored.raw == {"before�after?": ["before�after?", "nan", {"deep": "before�after?"}]}


async def test_decisions_come_back_in_the_order_of_the_answer(database: Database) -> None:
    reviewed = [
        a_reviewed("ETHUSDT"),
        a_reviewed("BTCUSDT", Action.HOLD, verdict=Verdict.HELD),
        a_reviewed("ETHUSDT", Action.SELL, verdict=Verdict.REFUSED, code="max_positions", reason="3 are open"),
    ]
    unread = UnreadItem(code="unknown_symbol", reason="no such symbol", raw='{"asset": "LUNA\x00"}')
    answer = Answer(reasoning="calm", decisions=(), unread=(unread,), repairs=("stripped a code fence",))

    async with database.open_work() as work:
        await work.decisions.save(CYCLE, reviewed, answer)
    async with database.open_work() as work:
        await work.decisions.save(CYCLE, reviewed[:1], None)

    async with database.open_work() as work:
        assert await work.decisions.of_cycle(CYCLE) == reviewed
        assert await work.decisions.of_cycle(StageRequest("other", TICK)) == []


async def test_recent_decisions_leave_out_plain_holds(database: Database) -> None:
    async with database.open_work() as work:
        for back in range(4):
            tick = TICK - timedelta(minutes=5 * back)
            hold = a_reviewed("SOLUSDT", Action.HOLD, verdict=Verdict.HELD)
            moves = [a_reviewed("BTCUSDT"), hold, a_reviewed("ETHUSDT", Action.CLOSE)]
            await work.decisions.save(StageRequest("main", tick), moves, None)

        recent = await work.decisions.recent("main", 3, before=TICK + timedelta(minutes=5))
        earlier = await work.decisions.recent("main", 1, before=TICK)

    assert [(tick, each.decision.asset) for tick, each in recent] == [
        (TICK, "BTCUSDT"),
        (TICK, "ETHUSDT"),
        (TICK - timedelta(minutes=5), "BTCUSDT"),
    ]
    assert earlier == recent[2:]


async def entered(work: Work, tick: datetime, each: ReviewedDecision, *, executed: str = "0.003") -> None:
    """Decide on an entry and have its order filled, or not."""
    direction = Direction.LONG if each.decision.action is Action.BUY else Direction.SHORT
    intent = an_intent(each.decision.asset, tick=tick, direction=direction)
    filled = Order(
        intent=intent,
        client_order_id=intent.client_order_id,
        state=OrderState.FILLED if Decimal(executed) else OrderState.REJECTED,
        executed_quantity=Decimal(executed),
    )
    await work.decisions.save(StageRequest("main", tick), [each], None)
    await work.orders.promise([intent], TICK)
    await work.orders.save([filled])


async def test_a_position_has_the_plan_of_the_entry_that_filled_and_the_stop_of_the_latest_approved(
    database: Database,
) -> None:
    earlier, before = TICK - timedelta(minutes=5), TICK - timedelta(minutes=10)
    clipped = a_reviewed("BTCUSDT", Action.SELL, verdict=Verdict.CLIPPED, quantity=Decimal("0.001"))
    bought, unfilled = a_reviewed("BTCUSDT"), a_reviewed("BTCUSDT", stop_loss=Decimal("63000"))
    async with database.open_work() as work:
        await entered(work, before, bought)
        await entered(work, earlier, clipped)
        await entered(work, TICK, unfilled, executed="0")
        refused = a_reviewed("BTCUSDT", verdict=Verdict.REFUSED)
        await work.decisions.save(StageRequest("main", TICK + timedelta(minutes=5)), [refused], None)

        plans = await work.decisions.plans("main", ["BTCUSDT", "ETHUSDT"])

    assert plans == {
        ("BTCUSDT", Direction.LONG): (before, bought.decision.exit_plan, unfilled.review),
        ("BTCUSDT", Direction.SHORT): (earlier, clipped.decision.exit_plan, clipped.review),
    }


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        (ExitPlan(text=""), True),
        (ExitPlan(text="by feel"), False),
        (ExitPlan(text="", unenforced=("no plan was given",)), False),
        (ExitPlan(text="", expiry=Expiry(candles=3, timeframe=Timeframe.M5)), False),
    ],
)
async def test_a_plan_stands_when_the_position_is_added_to_without_another(
    database: Database, said: ExitPlan, stands: bool
) -> None:
    earlier = TICK - timedelta(minutes=5)
    opened = a_reviewed("BTCUSDT", move=Move.OPEN)
    added = a_reviewed("BTCUSDT", move=Move.ADD, stop_loss=Decimal("63000"))
    added = replace(added, decision=replace(added.decision, exit_plan=said))
    async with database.open_work() as work:
        await entered(work, earlier, opened)
        await entered(work, TICK, added)

        plans = await work.decisions.plans("main", ["BTCUSDT"])

    plan = (earlier, opened.decision.exit_plan) if stands else (TICK, said)
    assert plans == {("BTCUSDT", Direction.LONG): (*plan, added.review)}


async def test_a_position_that_no_order_of_ours_opened_has_no_plan(database: Database) -> None:
    async with database.open_work() as work:
        await entered(work, TICK, a_reviewed("BTCUSDT"))
        await entered(work, TICK + timedelta(minutes=5), a_reviewed("ETHUSDT"))
        ours, theirs = a_position("BTCUSDT"), a_position("ETHUSDT")
        await work.holds.replace_positions("main", [ours, theirs], TICK, adopted={theirs.key})

        plans = await work.decisions.plans("main", ["BTCUSDT", "ETHUSDT"])

    assert list(plans) == [ours.key]
