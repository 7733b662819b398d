"""
Bring a database from any version of the tables to another, and say whether tables and code agree.

`python -m shared.db.migrate upgrade | downgrade REVISION | current | check`, on the database that DATABASE_URL names.
One migration at a time: whoever comes second waits, and finds the work done. All of it is one transaction, so a
migration that fails half-way leaves the database as it was.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import ischema_names

from shared.db.engine import create_engine, database_failures
from shared.db.tables import metadata
from shared.db.values import TransactionId
from shared.domain.errors import PerpetuaError

T = TypeVar("T")

FOLDER = Path(__file__).parents[2] / "migrations"

ischema_names["xid8"] = TransactionId  # SQLAlchemy has no name for it, and would warn when it reads the tables


class SchemaError(PerpetuaError):
    """The tables are not what the code expects, or there is no such version. Says what to do."""


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database up to *revision*. Raises DatabaseUnavailable, and SchemaError for an unknown revision."""
    await _alembic(url, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str) -> None:
    """Bring the database down to *revision*; "base" drops every table."""
    await _alembic(url, lambda config: command.downgrade(config, revision))


async def current(url: str) -> str | None:
    """Return the revision the database is at, None for an empty one."""
    return await _run(url, lambda connection: MigrationContext.configure(connection).get_current_revision())


async def differences(url: str) -> Sequence[Any]:
    """Return what a migration would still have to change for the tables to be what the code says."""
    return await _run(url, _differences)


def include_name(name: str | None, kind: str, _: Any) -> bool:
    """Leave out the partitions of candles: they come and go with the months."""
    return not (kind == "table" and name is not None and name.startswith("candles_"))


def _differences(connection: Connection) -> Sequence[Any]:
    options = {"include_name": include_name, "compare_type": True}
    found: Sequence[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return found


async def _alembic(url: str, act: Callable[[Config], None]) -> None:
    def locked(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('migrations'))"))
        config = Config()
        config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
        config.attributes["connection"] = connection
        act(config)

    try:
        await _run(url, locked)
    except CommandError as exc:
        raise SchemaError(f"migration failed: {exc}") from exc


async def _run(url: str, act: Callable[[Connection], T]) -> T:
    engine = create_engine(url, long_lived=False)
    try:
        with database_failures(engine.url):
            async with engine.begin() as connection:
                return await connection.run_sync(act)
    finally:
        await engine.dispose()


async def _check(url: str) -> None:
    if found := await differences(url):
        raise SchemaError(f"the tables are not those of the code, in {len(found)} places; the first: {found[0]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says. Return 0, 1 when it failed, 2 when it was not understood."""
    parser = argparse.ArgumentParser(prog="python -m shared.db.migrate", description="Migrate the database.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade", help="bring the database up to date").add_argument(
        "revision", nargs="?", default="head"
    )
    commands.add_parser("downgrade", help="go back to an earlier version").add_argument("revision")
    commands.add_parser("current", help="say which version the database is at")
    commands.add_parser("check", help="say whether tables and code agree")
    chosen = parser.parse_args(arguments)
    url = os.environ.get("DATABASE_URL", "")
    try:
        match chosen.command:
            case "upgrade":
                asyncio.run(upgrade(url, chosen.revision))
            case "downgrade":
                asyncio.run(downgrade(url, chosen.revision))
            case "check":
                asyncio.run(_check(url))
        revision = asyncio.run(current(url))
        print(f"the database is at {revision}" if revision else "the database is empty")  # noqa: T201  (its answer)
    except (PerpetuaError, ValueError) as exc:
        print(exc, file=sys.stderr)  # noqa: T201  (its answer)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
