"""From an empty database to head and back, whole or not at all, and the same tables as the code's."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.db import migrate
from shared.db.migrate import SchemaError, current, differences, downgrade, main, upgrade
from shared.db.unit_of_work import Database
from shared.domain.market import Series, Timeframe
from tests.db.samples import TICK, a_candle, an_account, open_accounts

FAILS_HALF_WAY = """
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    op.execute("CREATE TABLE half (id bigint)")
    op.execute("SELECT 1 / 0")
"""


@pytest.fixture
async def empty_url(database_url: str) -> str:
    """A database that was migrated down to nothing."""
    await downgrade(database_url, "base")
    return database_url


async def tables(url: str) -> set[str]:
    database = Database(url, long_lived=False)
    async with database.transaction() as connection:
        names = set(await connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))
    await database.close()
    return names


async def test_up_and_down_and_up_again_ends_with_the_tables_of_the_code(empty_url: str) -> None:
    assert await tables(empty_url) == {"alembic_version"}
    assert await current(empty_url) is None

    await upgrade(empty_url)

    assert await current(empty_url) is not None
    assert await differences(empty_url) == []


async def test_months_of_candles_are_no_difference_and_go_with_the_tables(
    database_url: str, database: Database
) -> None:
    async with database.open_work() as work:
        await work.candles.save({Series("BTCUSDT", Timeframe.M5): [a_candle(TICK)]})

    assert await differences(database_url) == []
    await downgrade(database_url, "base")
    assert await tables(database_url) == {"alembic_version"}


async def test_migrating_what_is_up_to_date_keeps_everything(database_url: str, database: Database) -> None:
    await open_accounts(database)

    await upgrade(database_url)

    async with database.open_work() as work:
        assert await work.accounts.all() == [an_account()]


async def test_of_two_migrations_at_once_the_second_finds_the_work_done(empty_url: str) -> None:
    await asyncio.gather(upgrade(empty_url), upgrade(empty_url))

    assert await differences(empty_url) == []


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await current(database_url), await tables(database_url)
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_half.py").write_text(FAILS_HALF_WAY.format(head=before[0]))
    monkeypatch.setattr(migrate, "FOLDER", folder)

    with pytest.raises(Exception, match="division by zero"):
        await upgrade(database_url)

    assert (await current(database_url), await tables(database_url)) == before


async def test_an_unknown_revision_is_named(database_url: str) -> None:
    with pytest.raises(SchemaError, match=r"^migration failed: [^\n]*'4711'$"):
        await upgrade(database_url, "4711")


def test_the_command_line_migrates_checks_and_says_where_it_stands(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url)

    assert [main(["current"]), main(["check"])] == [0, 1]
    told = capsys.readouterr()
    assert told.out == "the database is empty\n"
    assert told.err.startswith("the tables are not those of the code, in ")
    head = max(path.name for path in (migrate.FOLDER / "versions").glob("*.py"))[:4]
    assert [main(["upgrade"]), main(["check"]), main(["downgrade", "base"])] == [0, 0, 0]
    assert capsys.readouterr().out == f"the database is at {head}\nthe database is at {head}\nthe database is empty\n"


def test_a_database_that_cannot_be_reached_ends_the_command_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@127.0.0.1:1/books")
    assert main(["upgrade"]) == 1
    assert capsys.readouterr().err.count("\n") == 1

    monkeypatch.delenv("DATABASE_URL")
    assert main(["upgrade"]) == 1
    assert capsys.readouterr().err.startswith("DATABASE_URL is no PostgreSQL address")


def test_the_reading_and_writing_side_start_without_the_migration_library() -> None:
    script = "import sys, shared.db.reports, shared.db.unit_of_work; sys.exit('alembic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], cwd=migrate.FOLDER.parent, check=False).returncode == 0
