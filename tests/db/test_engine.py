"""The way to the database: what a failure is called, how long anybody waits, and a pooler in between."""

import asyncio
from typing import Any

import pytest
from asyncpg import Connection
from sqlalchemy import make_url, select, text

from shared.db import engine
from shared.db.engine import create_engine
from shared.db.tables import accounts
from shared.db.unit_of_work import Database
from shared.domain.errors import DatabaseUnavailable
from tests.db.samples import an_account, open_accounts

PID = text("SELECT pg_backend_pid()")


async def backend(database: Database) -> int:
    async with database.transaction() as connection:
        return int((await connection.execute(PID)).scalar_one())


async def ask(url: str) -> None:
    database = Database(url, long_lived=False)
    try:
        await backend(database)
    finally:
        await database.close()


async def test_a_database_that_is_down_is_told_in_one_line_without_the_password() -> None:
    complaint = (
        r"^PostgreSQL at 127\.0\.0\.1:1/books does not serve us \([^\n]*Connect call failed[^\n]*\): "
        r"check it, and DATABASE_URL$"
    )
    with pytest.raises(DatabaseUnavailable, match=complaint) as caught:
        await ask("postgres://me:hunter2@127.0.0.1:1/books")
    assert "hunter2" not in str(caught.value)


async def test_a_database_that_does_not_exist_is_told_in_one_line(postgres_url: str) -> None:
    url = make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)

    with pytest.raises(DatabaseUnavailable, match=r'^[^\n]*database "nowhere" does not exist[^\n]*DATABASE_URL$'):
        await ask(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_usual_way_to_write_the_address_is_understood(scheme: str) -> None:
    opened = create_engine(f"{scheme}://me:pw@db.example:6432/books?sslmode=require", long_lived=True)

    assert opened.url.drivername == "postgresql+asyncpg"
    assert (opened.url.host, opened.url.port, dict(opened.url.query)) == ("db.example", 6432, {"ssl": "require"})
    await opened.dispose()


@pytest.mark.parametrize("url", ["", "books", "mysql://me@db/books", "sqlite:///books.db", "postgresql:/books"])
def test_an_address_of_something_else_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(ValueError, match=r"^DATABASE_URL is no PostgreSQL address: write postgresql://[^\n]*$"):
        create_engine(url, long_lived=True)


def test_an_option_that_would_be_misread_is_named() -> None:
    with pytest.raises(ValueError, match=r"^DATABASE_URL has an option that is not supported, channel_binding: "):
        create_engine("postgresql://me@db/books?channel_binding=require", long_lived=True)


async def test_waiting_for_a_free_connection_ends(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WAIT_SECONDS", 0.05)
    database = Database(database_url, long_lived=False)

    async with database.transaction():
        with pytest.raises(DatabaseUnavailable, match=r"^all connections to [^\n]* were busy for 0\.05 s: "):
            await backend(database)

    await database.close()


async def test_a_command_that_takes_too_long_is_given_up(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "COMMAND_SECONDS", 1.0)
    database = Database(database_url, long_lived=False)

    async def dawdle() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(DatabaseUnavailable, match=r"no answer within 1 s"):
        await dawdle()
    assert await backend(database) > 0
    await database.close()


async def test_a_killed_connection_is_told_and_the_next_transaction_gets_a_new_one(database: Database) -> None:
    async def write_and_lose_the_connection() -> None:
        async with database.open_work() as work, database.transaction() as other:
            await work.accounts.configure([an_account()])
            await other.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
                )
            )

    with pytest.raises(DatabaseUnavailable, match=r"^PostgreSQL at [^\n]* does not serve us"):
        await write_and_lose_the_connection()

    async with database.open_work() as work:
        assert await work.accounts.all() == []


@pytest.mark.parametrize("noticed", [True, False])
async def test_a_connection_that_dies_while_it_idles_is_replaced_before_it_is_lent(
    database: Database, database_url: str, noticed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await backend(database)
    other = Database(database_url, long_lived=False)
    async with other.transaction() as connection:
        await connection.execute(text(f"SELECT pg_terminate_backend({first}, 10_000)"))
    await other.close()
    if not noticed:  # as when a firewall has forgotten it
        monkeypatch.setattr(Connection, "is_closed", lambda _: False)
        monkeypatch.setattr(engine, "IDLE_SECONDS", -1.0)

    assert await backend(database) != first


async def test_the_loser_of_a_deadlock_is_told_to_try_the_whole_again(database: Database) -> None:
    await open_accounts(database, "a", "b")
    both_hold_one = asyncio.Barrier(2)

    async def lock(*names: str) -> None:
        async with database.transaction() as connection:
            for name in names:
                await connection.execute(select(accounts.c.id).where(accounts.c.id == name).with_for_update())
                if name == names[0]:
                    await both_hold_one.wait()

    outcomes = await asyncio.gather(lock("a", "b"), lock("b", "a"), return_exceptions=True)

    [failure] = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(failure, DatabaseUnavailable)
    assert "deadlock detected" in str(failure)


async def test_a_failure_that_is_not_the_databases_is_left_as_it_is(database: Database) -> None:
    async def fail() -> None:
        async with database.open_work():
            raise ConnectionResetError("somebody else's")

    with pytest.raises(ConnectionResetError, match="somebody else's"):
        await fail()


async def test_a_short_lived_function_keeps_one_connection(database_url: str) -> None:
    database = Database(database_url, long_lived=False)

    assert await backend(database) == await backend(database)

    await database.close()


@pytest.mark.parametrize(("long_lived", "pooled"), [(False, False), (True, True)])
async def test_a_pooler_may_hand_each_transaction_to_another_server(
    database_url: str, long_lived: bool, pooled: bool
) -> None:
    database = Database(database_url, long_lived=long_lived, pooled=pooled)
    await open_accounts(database)
    for _ in range(7):  # past the number of runs after which servers prefer a prepared plan
        async with database.transaction() as connection:
            prepared = await connection.scalar(text("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"))
            await connection.exec_driver_sql("DEALLOCATE ALL")  # what another server knows of our statements: nothing
        async with database.open_work() as work:
            assert await work.accounts.get("main") == an_account()
    assert prepared == 0
    await database.close()


async def test_a_connection_says_whose_it_is(database: Database) -> None:
    async with database.transaction() as connection:
        assert await connection.scalar(text("SHOW application_name")) == "perpetua"


async def test_whoever_is_cut_short_while_listening_leaves_no_connection_open(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, listeners = asyncio.Event(), []
    add_listener = Connection.add_listener

    async def noted(self: Connection, *arguments: Any) -> None:
        listeners.append(self)
        await add_listener(self, *arguments)

    async def listen() -> None:
        async with database.listening("news", lambda: None) as connection:
            asking.set()
            await connection.execute(text("SELECT pg_sleep(600)"))

    monkeypatch.setattr(Connection, "add_listener", noted)
    listening = asyncio.create_task(listen())
    await asking.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening

    assert [connection.is_closed() for connection in listeners] == [True]
