"""The outbox: told in order, told once, and no slow transaction passed over."""

from typing import Any

import pytest
from sqlalchemy import text

from shared.db.reports import Reports
from shared.db.unit_of_work import Database
from shared.domain.errors import BadCursor
from shared.domain.work import Work
from tests.db.samples import TICK, open_accounts


@pytest.fixture
async def reports(database: Database) -> Reports:
    await open_accounts(database, "main", "other")
    return Reports(database)


async def tell(work: Work, *kinds: str, account: str = "main") -> None:
    for kind in kinds:
        await work.journal.event(account, kind, TICK, {"of": kind})


def kinds(rows: list[dict[str, Any]]) -> list[str]:
    return [row["kind"] for row in rows]


async def test_events_are_told_oldest_first_from_where_the_reader_left_off(
    database: Database, reports: Reports
) -> None:
    async with database.open_work() as work:
        await tell(work, "a", "b", "c")

    first = await reports.events(limit=2)
    second = await reports.events(after=first.next, limit=2)
    third = await reports.events(after=second.next, limit=2)

    assert [kinds(page.rows) for page in (first, second, third)] == [["a", "b"], ["c"], []]
    assert third.next == second.next == second.rows[-1]["cursor"]
    assert first.rows[0] == {
        "cursor": first.rows[0]["cursor"],
        "account": "main",
        "kind": "a",
        "at": TICK.isoformat(),
        "body": {"of": "a"},
    }


async def test_a_slow_transactions_events_are_not_passed_over(database: Database, reports: Reports) -> None:
    async with database.open_work() as slow:
        await tell(slow, "slow")
        async with database.open_work() as quick:
            await tell(quick, "quick")
        meanwhile = await reports.events()
    after = await reports.events(after=meanwhile.next)

    assert kinds(meanwhile.rows) == []
    assert kinds(after.rows) == ["slow", "quick"]


async def test_an_event_with_an_older_number_from_a_younger_transaction_is_told_too(
    database: Database, reports: Reports
) -> None:
    async with database.open_work() as older:
        await tell(older, "first of older")
        async with database.open_work() as younger:
            await tell(younger, "younger")
            await tell(older, "second of older")
            # `older` still runs, so nothing of either may be told yet, whatever the numbers say.
            assert kinds((await reports.events()).rows) == []
    told = await reports.events()

    assert kinds(told.rows) == ["first of older", "second of older", "younger"]


async def test_one_accounts_events_can_be_read_alone(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await tell(work, "a")
        await tell(work, "b", account="other")

    assert kinds((await reports.events(account="other")).rows) == ["b"]


async def test_an_event_that_was_rolled_back_is_never_told(database: Database, reports: Reports) -> None:
    async def fail() -> None:
        async with database.open_work() as work:
            await tell(work, "undone")
            raise RuntimeError("after all")

    with pytest.raises(RuntimeError, match="after all"):
        await fail()

    assert (await reports.events()).rows == []


async def test_a_reader_may_begin_at_the_end(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await tell(work, "past")
    async with database.open_work() as running:
        await tell(running, "running")
        end = await reports.events_end()
    async with database.open_work() as work:
        await tell(work, "future")

    assert kinds((await reports.events(after=end)).rows) == ["running", "future"]


async def test_a_cursor_that_is_none_is_refused(reports: Reports) -> None:
    for cursor in ("", "7", "7-", "-7-1", "7-1-1", "٧-1", "9" * 19 + "-1", "a-b"):
        with pytest.raises(BadCursor, match="is no cursor of an event"):
            await reports.events(after=cursor)


async def test_a_transaction_that_only_reads_holds_no_reader_up(database: Database, reports: Reports) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SELECT count(*) FROM events"))
        async with database.open_work() as work:
            await tell(work, "a")
        assert kinds((await reports.events()).rows) == ["a"]
