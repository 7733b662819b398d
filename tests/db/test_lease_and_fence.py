"""One copy acts for an account: leases, their end, and the fence that stops whoever was overtaken."""

import asyncio

import pytest
from sqlalchemy import text

from shared.db.unit_of_work import Database
from shared.domain.cycle import Duty, Stage, StageResult
from shared.domain.errors import LeaseLost, StageBusy, UnknownAccount
from tests.db.samples import CYCLE, TICK, HeldLease, an_account, an_intent, open_accounts

LONG = 3600.0
OVER = 0.0


async def take(database: Database, holder: str, seconds: float = LONG) -> HeldLease:
    async with database.open_work() as work:
        return HeldLease("main", await work.stages.take_lease("main", holder, seconds))


async def promised(database: Database) -> int:
    async with database.open_work() as work:
        return len(await work.orders.of_cycle(CYCLE))


async def test_a_running_lease_keeps_everybody_else_out(database: Database) -> None:
    await open_accounts(database)
    await take(database, "first")

    with pytest.raises(StageBusy, match="another copy is at work on account main"):
        await take(database, "second")
    with pytest.raises(StageBusy):
        await take(database, "first")


async def test_leases_of_different_accounts_do_not_meet(database: Database) -> None:
    await open_accounts(database, "main", "other")
    await take(database, "first")

    async with database.open_work() as work:
        assert await work.stages.take_lease("other", "second", LONG) == 1


async def test_whoever_waits_for_a_model_keeps_nobody_from_acting_but_another_who_would_ask(database: Database) -> None:
    await open_accounts(database)
    async with database.open_work() as work:
        thinking = HeldLease("main", await work.stages.take_lease("main", "first", LONG, Duty.THINK), Duty.THINK)

    acting = await take(database, "second")
    with pytest.raises(StageBusy):
        async with database.open_work() as work:
            await work.stages.take_lease("main", "third", LONG, Duty.THINK)
    for lease in (thinking, acting):
        async with database.open_work(lease) as work:
            await work.stages.renew_lease("main", lease.fence, LONG, lease.duty)
            await work.stages.release_lease("main", lease.fence, lease.duty)


async def test_a_lease_that_ran_out_is_taken_over_with_a_larger_fence(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first", OVER)

    second = await take(database, "second")

    assert second.fence > first.fence


async def test_a_lease_given_back_is_free_and_its_fence_is_never_used_again(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first")
    async with database.open_work() as work:
        await work.stages.release_lease("main", first.fence)

    assert (await take(database, "second")).fence > first.fence


async def test_giving_back_a_lease_that_was_taken_over_changes_nothing(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first", OVER)
    await take(database, "second")
    async with database.open_work() as work:
        await work.stages.release_lease("main", first.fence)

    with pytest.raises(StageBusy):
        await take(database, "third")


async def test_of_many_copies_at_once_one_gets_the_lease(database: Database) -> None:
    await open_accounts(database)

    outcomes = await asyncio.gather(*(take(database, f"copy {n}") for n in range(5)), return_exceptions=True)

    assert sum(isinstance(outcome, HeldLease) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, StageBusy) for outcome in outcomes) == 4


async def test_a_writer_that_lost_its_lease_writes_nothing(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first", OVER)
    await take(database, "second")

    with pytest.raises(LeaseLost, match="another copy took over account main"):
        async with database.open_work(first) as work:
            await work.orders.promise([an_intent()], TICK)

    assert await promised(database) == 0


async def test_a_lease_that_ran_out_still_writes_while_nobody_took_it_over(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first", OVER)

    async with database.open_work(first) as work:
        await work.orders.promise([an_intent()], TICK)

    assert await promised(database) == 1


async def test_taking_over_waits_for_the_transaction_that_is_writing(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first", OVER)

    async with database.open_work(first) as work:
        await work.orders.promise([an_intent()], TICK)
        takeover = asyncio.create_task(take(database, "second"))
        await somebody_waits_for_a_lock(database)
        assert not takeover.done()
    second = await takeover

    assert second.fence > first.fence
    assert await promised(database) == 1


async def test_a_lease_given_back_by_the_transaction_that_ends_the_stage_is_free_only_after_it(
    database: Database,
) -> None:
    await open_accounts(database)
    first = await take(database, "first")

    async with database.open_work() as work:
        await work.stages.give_back(first)
        takeover = asyncio.create_task(take(database, "second"))
        await somebody_waits_for_a_lock(database)
        await work.orders.promise([an_intent()], TICK)
        assert not takeover.done()
    second = await takeover

    assert second.fence > first.fence
    assert await promised(database) == 1


async def test_a_lease_is_kept_when_the_transaction_that_gave_it_back_fails(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first")

    async def fail() -> None:
        async with database.open_work() as work:
            await work.stages.give_back(first)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await fail()
    with pytest.raises(StageBusy):
        await take(database, "second")


async def test_whoever_was_overtaken_ends_nothing(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first", OVER)
    await take(database, "second")

    async def end() -> None:
        async with database.open_work() as work:
            await work.stages.give_back(first)
            await work.orders.promise([an_intent()], TICK)

    with pytest.raises(LeaseLost, match="another copy took over account main"):
        await end()
    assert await promised(database) == 0
    with pytest.raises(StageBusy):
        await take(database, "third")


async def test_a_renewal_that_waited_for_the_end_of_the_stage_does_not_revive_its_lease(database: Database) -> None:
    await open_accounts(database)
    first = await take(database, "first")

    async def renew() -> None:
        async with database.open_work() as work:
            await work.stages.renew_lease("main", first.fence, 60)

    async with database.open_work(first) as work:
        renewal = asyncio.create_task(renew())
        await somebody_waits_for_a_lock(database)
        await work.stages.release_lease("main", first.fence)
    await renewal

    assert (await take(database, "second")).fence > first.fence


async def test_a_lease_needs_an_account(database: Database) -> None:
    with pytest.raises(UnknownAccount, match="there is no account 'main'"):
        await take(database, "first")


async def test_a_writer_without_any_lease_row_has_lost_it(database: Database) -> None:
    await open_accounts(database)

    with pytest.raises(LeaseLost):
        async with database.open_work(HeldLease("main", 1)):
            pass


async def test_a_result_is_stored_once_and_found_again_marked_as_repeated(database: Database) -> None:
    await open_accounts(database)
    result = StageResult(stage=Stage.FETCH, request=CYCLE, details={"candles": 300, "cost": "0.10"})
    async with database.open_work() as work:
        assert await work.stages.look(Stage.FETCH, CYCLE) == (an_account(), None)
        await work.stages.finish(result, started_at=TICK, finished_at=TICK)

    async with database.open_work() as work:
        _, again = await work.stages.look(Stage.FETCH, CYCLE)
        assert await work.stages.look(Stage.DECIDE, CYCLE) == (an_account(), None)

    assert again == StageResult(stage=Stage.FETCH, request=CYCLE, details=result.details, repeated=True)


async def test_a_tick_is_served_once_it_is_reconciled(database: Database) -> None:
    await open_accounts(database)
    served = []
    for stage in Stage:
        async with database.open_work() as work:
            result = StageResult(stage=stage, request=CYCLE)
            await work.stages.finish(result, started_at=TICK, finished_at=TICK)
            served.append(await work.stages.latest_tick("main"))

    assert served == [None, None, None, TICK]


async def test_a_second_result_for_the_same_cycle_undoes_its_whole_transaction(database: Database) -> None:
    await open_accounts(database)
    result = StageResult(stage=Stage.EXECUTE, request=CYCLE)
    async with database.open_work() as work:
        await work.stages.finish(result, started_at=TICK, finished_at=TICK)

    async def second_copy() -> None:
        async with database.open_work() as work:
            await work.orders.promise([an_intent()], TICK)
            await work.stages.finish(result, started_at=TICK, finished_at=TICK)

    with pytest.raises(LeaseLost, match="another copy finished execute of main"):
        await second_copy()

    assert await promised(database) == 0


async def somebody_waits_for_a_lock(database: Database) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    while True:
        async with database.transaction() as connection:
            if await connection.scalar(waiting):
                return
