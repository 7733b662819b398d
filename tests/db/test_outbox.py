"""The outbox: told in order, told once, and no slow transaction passed over."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.db.outbox import BEGINNING, Batch, Outbox, Place
from shared.db.unit_of_work import Database
from shared.domain.errors import BadCursor, CursorTooOld
from shared.domain.work import Work
from tests.db.samples import TICK, open_accounts


@pytest.fixture
async def outbox(database: Database) -> Outbox:
    await open_accounts(database, "main", "other")
    return Outbox(database)


@pytest.fixture
async def start(outbox: Outbox) -> Place:
    """After what the accounts' own rows have told."""
    return await outbox.end()


ROOT = Path(__file__).parents[2]


async def tell(work: Work, *kinds: str, account: str = "main") -> None:
    for kind in kinds:
        await work.journal.event(account, kind, TICK, {"of": kind})


def kinds(batch: Batch) -> list[str]:
    return [event.kind for event in batch.events]


async def test_events_are_told_oldest_first_from_where_the_reader_left_off(
    database: Database, outbox: Outbox, start: Place
) -> None:
    async with database.open_work() as work:
        await tell(work, "a", "b", "c")

    first = await outbox.read(start, limit=2)
    second = await outbox.read(first.events[-1].place, limit=2)
    third = await outbox.read(second.events[-1].place, limit=2)

    assert [kinds(batch) for batch in (first, second, third)] == [["a", "b"], ["c"], []]
    assert [batch.full for batch in (first, second, third)] == [True, False, False]
    told = first.events[0]
    assert (told.account_id, told.kind, told.at, json.loads(told.body)) == ("main", "a", TICK, {"of": "a"})
    assert Place.read(str(told.place)) == told.place


async def test_a_slow_transactions_events_are_not_passed_over(database: Database, outbox: Outbox, start: Place) -> None:
    async with database.open_work() as slow:
        await tell(slow, "slow")
        async with database.open_work() as quick:
            await tell(quick, "quick")
        meanwhile = await outbox.read(start)
    after = await outbox.read(start)

    assert (kinds(meanwhile), meanwhile.waiting) == ([], True)
    assert (kinds(after), after.waiting) == (["slow", "quick"], False)


async def test_an_event_with_an_older_number_from_a_younger_transaction_is_told_too(
    database: Database, outbox: Outbox, start: Place
) -> None:
    async with database.open_work() as older:
        await tell(older, "first of older")
        async with database.open_work() as younger:
            await tell(younger, "younger")
            await tell(older, "second of older")
            # `older` still runs, so nothing of either may be told yet, whatever the numbers say.
            assert kinds(await outbox.read(start)) == []

    assert kinds(await outbox.read(start)) == ["first of older", "second of older", "younger"]


async def test_one_accounts_events_can_be_read_alone(database: Database, outbox: Outbox, start: Place) -> None:
    async with database.open_work() as work:
        await tell(work, "a")
        await tell(work, "b", account="other")

    assert kinds(await outbox.read(start, account_id="other")) == ["b"]


async def test_an_event_that_was_rolled_back_is_never_told(database: Database, outbox: Outbox, start: Place) -> None:
    async def fail() -> None:
        async with database.open_work() as work:
            await tell(work, "undone")
            raise RuntimeError("after all")

    with pytest.raises(RuntimeError, match="after all"):
        await fail()

    assert (await outbox.read(start)).events == []


async def test_a_reader_may_begin_at_the_end(database: Database, outbox: Outbox) -> None:
    async with database.open_work() as work:
        await tell(work, "past")
    async with database.open_work() as running:
        await tell(running, "running")
        end = await outbox.end()
    async with database.open_work() as work:
        await tell(work, "future")

    assert kinds(await outbox.read(end)) == ["running", "future"]


def test_a_cursor_that_is_none_is_refused() -> None:
    for cursor in ("", "7", "7-", "-7-1", "7-1-1", "٧-1", "9" * 19 + "-1", "a-b"):
        with pytest.raises(BadCursor, match="is no cursor of an event"):
            Place.read(cursor)


async def test_a_transaction_that_only_reads_holds_no_reader_up(
    database: Database, outbox: Outbox, start: Place
) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SELECT count(*) FROM events"))
        async with database.open_work() as work:
            await tell(work, "a")
        assert kinds(await outbox.read(start)) == ["a"]


async def test_old_events_are_taken_away_and_whoever_stood_before_them_is_told_so(
    database: Database, outbox: Outbox, start: Place
) -> None:
    async with database.open_work() as work:
        await tell(work, "old", "last of the old")
    last = (await outbox.read(start)).events[-1].place
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE events SET told_at = told_at - interval '8 days'"))
    async with database.open_work() as work:
        await tell(work, "new")

    assert await outbox.prune(timedelta(days=7)) == 4  # the two accounts', and the two old ones
    assert await outbox.prune(timedelta(days=7)) == 0

    for place in (BEGINNING, start, Place(last.xid, last.id - 1)):
        with pytest.raises(CursorTooOld, match="kept no longer"):
            await outbox.read(place)
    assert kinds(await outbox.read(last)) == ["new"]


async def test_a_cursor_of_another_database_is_told_from_one_of_this(outbox: Outbox) -> None:
    with pytest.raises(CursorTooOld, match="not of this database"):
        await outbox.read(Place(10**15, 1))

    assert (await outbox.read(await outbox.end())).events == []


def test_events_are_pruned_by_hand_too(database_url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "functions.pruning"],
        cwd=ROOT,
        env=os.environ | {"ENVIRONMENT": "testing", "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "0 events taken away")


async def test_a_hint_comes_with_the_commit_of_an_event_and_with_no_other(database: Database, outbox: Outbox) -> None:
    async with outbox.watch() as watch:
        assert await watch.wait()  # the one it gives itself
        async with database.open_work() as work:
            await tell(work, "a", "b")
        assert await watch.wait()
        await open_accounts(database, "main", "other")  # changes nothing, so it tells nothing
        assert not await watch.wait()
