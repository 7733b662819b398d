"""Decisions of long ago go where somebody wants it, and nothing that a position or an order rests on."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from functions.forgetting import forget
from functions.replaying import load, rerun
from shared.db.record_retention import Forgotten
from shared.domain.cycle import Stage, StageRequest
from shared.domain.errors import UnknownRecord
from shared.domain.record import RecordId
from shared.llm.reply import read
from tests.house import House

WEEK = timedelta(days=7)
TABLES = ("decisions", "answers", "model_calls", "records", "snapshots")


async def rows(house: House, request: StageRequest) -> list[int]:
    """How many rows a cycle has in each table."""
    async with house.runtime.database.reading() as connection:
        return [
            await connection.scalar(text(f"SELECT count(*) FROM {table} WHERE tick = :tick"), {"tick": request.tick})
            for table in TABLES
        ]


async def documents(house: House) -> int:
    async with house.runtime.database.reading() as connection:
        return await connection.scalar(text("SELECT count(*) FROM documents")) or 0


async def go(house: House) -> Forgotten:
    return await forget(house.runtime.database, house.clock, WEEK)


def named(request: StageRequest) -> RecordId:
    return RecordId(account_id=request.account_id, tick=request.tick)


async def test_what_is_old_goes_with_all_that_only_it_used_and_what_is_young_stays_whole(house: House) -> None:
    house.model.will_decide(await house.wish(action="close"))
    await house.cycle()
    old, before = house.request, await documents(house)
    await house.pass_time(WEEK + timedelta(days=1))
    await house.cycle()

    gone = await go(house)

    assert (gone.decisions, gone.model_calls) == (1, 1)
    assert 0 < gone.documents < before  # the rest is used by the later decision, too
    assert await rows(house, old) == [0, 0, 0, 0, 0]
    with pytest.raises(UnknownRecord):
        await load(house.runtime.open_work, named(old))
    kept = await load(house.runtime.open_work, named(house.request))
    assert (await rerun(kept, open_work=house.runtime.open_work, read=read)).same
    assert await go(house) == Forgotten()


async def test_nothing_goes_before_its_time(house: House) -> None:
    await house.cycle()
    first, before = house.request, await rows(house, house.request)
    await house.pass_time(WEEK - timedelta(hours=1))

    assert await go(house) == Forgotten()
    assert await rows(house, first) == before


async def test_an_open_position_keeps_its_plan_and_everything_since(house: House) -> None:
    await house.cycle()
    idle = house.request
    await house.pass_time(timedelta(days=1))
    await house.enter()
    entered, before = house.request, await rows(house, house.request)
    async with house.runtime.open_work() as work:
        plans = await work.decisions.plans("main", ["BTCUSDT"])

    # The market stands still meanwhile, or a stop would end the position.
    house.clock.advance(house.clock.now() + 2 * WEEK)
    gone = await go(house)

    assert gone.model_calls == 1
    assert await rows(house, idle) == [0, 0, 0, 0, 0]
    assert await rows(house, entered) == before
    async with house.runtime.open_work() as work:
        assert await work.decisions.plans("main", ["BTCUSDT"]) == plans


async def test_an_order_whose_fate_is_unknown_keeps_its_cycle(house: House) -> None:
    house.model.will_decide(await house.wish())
    for stage in (Stage.FETCH, Stage.DECIDE):
        await house.stage(stage)
    await house.spoil("POST", "/fapi/v3/order", "503-before", count=9)
    await house.stage(Stage.EXECUTE)
    old, before = house.request, await rows(house, house.request)
    house.clock.advance(house.clock.now() + 2 * WEEK)

    assert await go(house) == Forgotten()
    assert await rows(house, old) == before
