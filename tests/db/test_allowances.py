"""Processes share a limit by a row: never more than there is, and a ban outlives them all."""

import asyncio
from datetime import UTC, datetime, timedelta

from shared.db.allowances import AllowanceTable
from shared.db.unit_of_work import Database
from shared.domain.allowance import Report

NOW = datetime(2025, 6, 15, 12, 0, 5, tzinfo=UTC)
LIMIT = 2400


def asking(wanted: int, now: datetime = NOW, **fields: float) -> Report:
    return Report(now=now, limit=LIMIT, wanted=wanted, least=wanted, **fields)  # type: ignore[arg-type]


async def test_many_who_ask_at_once_get_no_more_than_there_is(database: Database) -> None:
    table = AllowanceTable(database)

    grants = await asyncio.gather(*(table.settle("an address", asking(100)) for _ in range(30)))

    assert sorted(grant.amount for grant in grants) == [0] * 11 + [100] * 19


async def test_each_address_has_a_limit_of_its_own(database: Database) -> None:
    table = AllowanceTable(database)
    await table.settle("one", asking(1900))

    assert (await table.settle("other", asking(1900))).amount == 1900
    assert (await table.settle("one", asking(100))).amount == 0


async def test_a_ban_holds_for_processes_that_begin_later(database: Database, database_url: str) -> None:
    await AllowanceTable(database).settle("an address", asking(0, closed_for=120))

    later = Database(database_url, long_lived=False)
    grant = await AllowanceTable(later).settle("an address", asking(1, NOW + timedelta(seconds=100)))
    await later.close()

    assert (grant.amount, grant.closed_for) == (0, 20)


async def test_a_process_that_knows_no_time_yet_learns_of_a_ban_by_the_database_s(database: Database) -> None:
    table = AllowanceTable(database)
    unknown = Report(now=None, limit=LIMIT, wanted=1, least=1)
    assert (await table.settle("an address", unknown)).closed_for == 0

    await table.settle("an address", asking(0, closed_for=120))

    grant = await table.settle("an address", unknown)
    assert grant.amount == 0
    assert 60 < grant.closed_for <= 120
