"""Each lane of nonces has one holder, and rests before it has another."""

import asyncio

import pytest
from sqlalchemy import func, text, update

from shared.db.lanes import LaneTable
from shared.db.tables import lanes
from shared.db.unit_of_work import Database
from shared.domain.errors import DatabaseUnavailable
from shared.domain.nonce import LANE_SECONDS, LANES, REST_SECONDS


async def let_pass(database: Database, seconds: float) -> None:
    """Set the holders' leases back, as if that much time had passed."""
    span = func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    async with database.transaction() as connection:
        await connection.execute(update(lanes).values(free_at=lanes.c.free_at - span))


async def test_processes_that_start_together_get_lanes_of_their_own(database: Database) -> None:
    table = LaneTable(database)

    taken = await asyncio.gather(*(table.take(f"process {n}") for n in range(8)))

    assert sorted(taken) == [*range(8)]


async def test_a_lane_is_free_again_after_its_time_and_a_rest(database: Database) -> None:
    table = LaneTable(database)
    assert await table.take("one") == 0

    await let_pass(database, LANE_SECONDS + REST_SECONDS / 2)
    assert await table.take("two") == 1

    await let_pass(database, REST_SECONDS)
    assert await table.take("three") == 0


async def test_a_lane_that_is_kept_stays_its_holder_s(database: Database) -> None:
    table = LaneTable(database)
    lane = await table.take("one")
    await let_pass(database, LANE_SECONDS)

    assert await table.keep(lane, "one")
    await let_pass(database, LANE_SECONDS)

    assert await table.take("two") == 1


async def test_a_lane_that_is_another_s_by_now_is_not_kept(database: Database) -> None:
    table = LaneTable(database)
    lane = await table.take("one")
    await let_pass(database, LANE_SECONDS + 2 * REST_SECONDS)
    assert await table.take("two") == lane

    assert not await table.keep(lane, "one")
    assert await table.keep(lane, "two")


async def test_a_lane_that_was_left_rests_first(database: Database) -> None:
    table = LaneTable(database)
    lane = await table.take("one")
    await table.leave(lane, "one")

    assert await table.take("two") == 1
    await let_pass(database, REST_SECONDS)
    assert await table.take("three") == lane


async def test_when_every_lane_is_held_nobody_gets_one(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            text("INSERT INTO lanes SELECT n, 'somebody', now() + interval '1 hour' FROM generate_series(0, :last) n"),
            {"last": LANES - 1},
        )

    with pytest.raises(DatabaseUnavailable, match="all 1000 lanes"):
        await LaneTable(database).take("one too many")
