"""A real PostgreSQL for every test that asks for one: a server a worker, a fresh migrated database a test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings
from sqlalchemy import make_url

from shared.db.embedded import embedded_postgres
from shared.db.migrate import upgrade
from shared.db.unit_of_work import Database

# The same examples every time, and by no clock: what failed once in a while would be red for whoever came by.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server to make databases on: TEST_DATABASE_URL, or one of this worker's own."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    binaries = os.environ.get("POSTGRES_BIN")
    data = tmp_path_factory.mktemp("postgres")
    with embedded_postgres(data, binaries=Path(binaries) if binaries else None, durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database to copy."""
    name = f"template_{uuid4().hex[:12]}"
    asyncio.run(_on_server(postgres_url, f'CREATE DATABASE "{name}"'))
    asyncio.run(upgrade(_named(postgres_url, name)))
    yield name
    asyncio.run(_on_server(postgres_url, f'DROP DATABASE "{name}"'))


@pytest.fixture
async def database_url(postgres_url: str, template: str) -> AsyncIterator[str]:
    """The address of a migrated database that no other test sees."""
    async with fresh_database(postgres_url, template) as url:
        yield url


@asynccontextmanager
async def fresh_database(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Make a migrated database and yield its address; it is gone afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    await _on_server(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    yield _named(postgres_url, name)
    await _on_server(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """That database, opened as a server opens it."""
    opened = Database(database_url, long_lived=True)
    yield opened
    await opened.close()


def _named(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


async def _on_server(url: str, statement: str) -> None:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()
