"""What people say of accounts while a scheduler runs is followed by it: accounts come and go, stops are finished."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from functions.configuring import add_account, change_account, remove_account
from functions.stopping import stop_account
from scheduler import cloud, local, watch
from scheduler.local import LocalScheduler
from scheduler.watch import Watcher
from shared.domain.errors import StageBusy
from tests.house import House, built_house
from tests.scheduler.test_local_scheduler import Cycles, cycles

__all__ = ["cycles"]

PATIENCE = 30


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "ROLL_CALL_SECONDS", 0.1)
    monkeypatch.setattr(watch, "ATTENTION_SECONDS", 0.05)


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with built_house(database_url) as built:
        yield built


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another process would see in the database, which nobody tells it of either."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await true():
                return
            await asyncio.sleep(0.02)


async def test_an_account_that_another_process_adds_is_run_without_a_restart(
    house: House, database_url: str, cycles: Cycles
) -> None:
    scheduler = LocalScheduler(house.runtime)
    await scheduler.start()
    [first] = await cycles.next(1)
    async with built_house(database_url) as other:
        await add_account(other.runtime, "second", {"symbols": ["ETHUSDT"]}, by="ann")
    [second] = await cycles.next(1)
    await scheduler.stop()

    assert [first["account"], second["account"]] == ["main", "second"]
    assert "equity" in second["reconcile"]


async def test_an_account_that_is_removed_is_run_no_more_and_one_that_is_changed_at_its_new_interval(
    house: House,
) -> None:
    await add_account(house.runtime, "second", {}, by="ann")
    scheduler = LocalScheduler(house.runtime)
    await scheduler.start()

    def intervals() -> dict[str, timedelta]:
        jobs = [job for job in scheduler._jobs.get_jobs() if job.id.startswith("cycle:")]
        return {job.id.removeprefix("cycle:"): job.trigger.interval for job in jobs}

    before = intervals()
    await change_account(house.runtime, "main", {"interval": "15m"}, version=1, by="ann")

    async def removed() -> bool:
        try:
            await remove_account(house.runtime, "second", by="ann")
        except StageBusy:  # its first cycle is at work
            return False
        return True

    await until(removed)

    async def followed() -> bool:
        return intervals() == {"main": timedelta(minutes=15)}

    await until(followed)
    await scheduler.stop()
    assert before == {"main": timedelta(minutes=5), "second": timedelta(minutes=5)}


async def test_a_stop_that_its_process_did_not_see_to_the_end_is_finished_by_the_scheduler(house: House) -> None:
    await house.enter("BTCUSDT")
    await house.spoil_by(method="GET", path="/fapi/v3/accountWithJoinMargin", kind="503-before", count=1000)
    asked = await stop_account(house.runtime, "main", by="ann", patience=timedelta(0))
    await house.clear_faults()

    scheduler = LocalScheduler(house.runtime)
    await scheduler.start()

    async def finished() -> bool:
        async with house.runtime.open_work() as work:
            stop = await work.stops.get("main")
        return stop is not None and stop.finished_at is not None

    await until(finished)
    await scheduler.stop()
    assert not asked.flat
    assert await house.venue_positions() == {}


async def test_the_watch_begins_and_ends_with_its_accounts(house: House) -> None:
    watcher = Watcher(house.runtime, LocalScheduler(house.runtime).turn)
    watcher.start()

    async def watches(names: set[str]) -> bool:
        return set(watcher._watched) == names

    await until(lambda: watches({"main"}))
    await add_account(house.runtime, "second", {"symbols": ["ETHUSDT"]}, by="ann")
    await until(lambda: watches({"main", "second"}))
    await remove_account(house.runtime, "second", by="ann")
    await until(lambda: watches({"main"}))
    await watcher.stop()
    assert watcher._watched == {}


async def test_the_schedules_of_the_cloud_follow_what_was_said_over_the_api(house: House) -> None:
    await add_account(house.runtime, "second", {"interval": "15m"}, by="ann")
    await remove_account(house.runtime, "main", by="ann")

    accounts = await cloud._accounts(house.runtime.settings)

    assert {account.id: account.interval for account in accounts} == {"second": timedelta(minutes=15)}


def test_the_cloud_s_door_says_what_it_lacks() -> None:
    with pytest.raises(cloud.CannotSchedule, match="lacks target_arn, role_arn"):
        cloud.handler({"group": "perpetua"}, None)
