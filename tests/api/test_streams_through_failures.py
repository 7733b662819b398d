"""Streams while what they stand on is killed and started again: nothing is missed and nothing told twice."""

import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from websockets.exceptions import InvalidHandshake, WebSocketException

from api.app import create_app
from shared.db.embedded import embedded_postgres
from shared.db.migrate import upgrade
from shared.db.outbox import Outbox, Place
from shared.db.unit_of_work import Database
from shared.domain.errors import DatabaseUnavailable
from shared.settings import Settings, read_settings
from tests.api.conftest import serving
from tests.api.listening import api_process, listening
from tests.db.samples import TICK, open_accounts

EVENTS = "/ws/trading-events"
LAST = -1
AWAY = (OSError, TimeoutError, WebSocketException, InvalidHandshake)


class Mortal:
    """A database server of this test's own, which may be killed."""

    def __init__(self, data: Path) -> None:
        binaries = os.environ.get("POSTGRES_BIN")
        self._data = data
        self._binaries = Path(binaries) if binaries else None
        self._stack = ExitStack()

    def start(self) -> str:
        found = embedded_postgres(self._data, binaries=self._binaries, durable=False)
        return self._stack.enter_context(found)

    def kill(self) -> None:
        number = int((self._data / "cluster" / "postmaster.pid").read_text().split()[0])
        os.kill(number, signal.SIGKILL)
        os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)  # whoever started it is to find it dead as well

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[tuple[Mortal, str, Database]]:
    server = Mortal(tmp_path / "postgres")
    try:
        url = server.start()
        await upgrade(url)
        database = Database(url, long_lived=True)
        await open_accounts(database)
        yield server, url, database
        await database.close()
    finally:
        server.close()


async def add(database: Database, *numbers: int) -> None:
    """Have those numbers told, each by a transaction of its own; whether one came through nobody may know."""
    for number in numbers:
        while True:
            try:
                async with database.open_work() as work:
                    await work.journal.event("main", "n", TICK, {"n": number})
            except DatabaseUnavailable:
                await asyncio.sleep(0.05)
            else:
                break


async def hear(servers: list[str], dice: random.Random, cursor: str, told: list[int]) -> None:
    """Listen at one server or another, as long as it goes well or for some events, and go on from there."""
    while True:
        try:
            async with listening(dice.choice(servers), f"{EVENTS}?cursor={cursor}") as ear:
                for _ in range(dice.randint(1, 40)):
                    message: dict[str, Any] = await ear.next()
                    assert message["type"] in {"resumed", "event", "ping", "error"}, message
                    cursor = message.get("cursor", cursor)
                    if message.get("kind") == "n":
                        if message["body"]["n"] == LAST:
                            return
                        told.append(message["body"]["n"])
        except AWAY:
            await asyncio.sleep(0.1)


async def test_killed_databases_and_servers_leave_no_gap_and_no_repeat(
    mortal: tuple[Mortal, str, Database], settings: Settings
) -> None:
    server, url, database = mortal
    dice = random.Random(11)
    given = read_settings(**{**settings.model_dump(exclude_unset=True), "database_url": url})
    with serving(create_app(given)) as steady, ExitStack() as stack:
        second, process = stack.enter_context(api_process(given))
        servers = [steady, second]
        start = str(await Outbox(database).end())
        heard: list[list[int]] = [[], [], []]
        listeners = [
            asyncio.create_task(hear(servers, random.Random(place), start, told)) for place, told in enumerate(heard)
        ]
        numbers = iter(range(1000))
        for fate in ("database", "api", "database"):
            async with asyncio.TaskGroup() as writing:
                writing.create_task(add(database, *(next(numbers) for _ in range(dice.randint(40, 80)))))
                await add(database, *(next(numbers) for _ in range(dice.randint(5, 30))))
                if fate == "database":
                    server.kill()
                    server.start()
                else:
                    process.kill()
                    servers[1], _ = stack.enter_context(api_process(given))
        await add(database, LAST)
        async with asyncio.timeout(60):
            await asyncio.gather(*listeners)

    async with database.reading() as connection:
        rows = await connection.scalars(text("SELECT body FROM events WHERE kind = 'n' ORDER BY xid, id"))
        written = [body["n"] for body in rows]
    assert heard == [[number for number in written if number != LAST]] * 3


async def test_a_place_at_the_end_is_good_after_a_crash_that_forgets_what_was_rolled_back(
    mortal: tuple[Mortal, str, Database],
) -> None:
    server, _, database = mortal
    await add(database, 1)
    for _ in range(20):
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_current_xact_id()"))
            await connection.rollback()
    end = await Outbox(database).end()
    server.kill()
    server.start()
    await add(database, *range(2, 30))

    found = await Outbox(database).read(Place.read(str(end)), kind="n")

    assert [json.loads(event.body)["n"] for event in found.events] == list(range(2, 30))


async def test_the_client_that_the_page_shows_follows_a_server_that_is_killed_and_started_again(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")
    [program] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "follow.py").write_text(program)
    await open_accounts(database)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ExitStack() as stack:
        first = stack.enter_context(api_process(settings, port=port))[1]
        command = [sys.executable, str(tmp_path / "follow.py"), f"ws://127.0.0.1:{port}"]
        client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert client.stdout is not None
            async with asyncio.timeout(60):
                assert json.loads(await client.stdout.readline())["type"] == "snapshot"
                await add(database, 1)
                assert json.loads(await client.stdout.readline())["body"] == {"n": 1}
                first.kill()
                first.wait()
                await add(database, 2)
                stack.enter_context(api_process(settings, port=port))
                assert json.loads(await client.stdout.readline())["type"] == "resumed"
                assert json.loads(await client.stdout.readline())["body"] == {"n": 2}
        finally:
            client.kill()
            await client.wait()
