"""An exchange's streams over real sockets: it acknowledges, says what it is told to say, and fails as it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from shared.clock import SteppedClock

PATIENCE = 20
NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)


class Hours(SteppedClock):
    """Time that passes when a test says so, for a clock and for whoever sleeps by it."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self._passed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Short pauses are over at once; longer ones when that time has passed."""
        due = self.now() + timedelta(seconds=seconds)
        await asyncio.sleep(0)
        while seconds >= 1 and self.now() < due:
            await self._passed.wait()

    def passes(self, span: timedelta) -> None:
        self.advance(self.now() + span)
        self._passed.set()
        self._passed = asyncio.Event()


class Streams:
    """The server. What it hears and who is connected can be waited for."""

    def __init__(self) -> None:
        self.url = ""
        self.open: list[ServerConnection] = []
        self.paths: list[str] = []
        self.commands: list[dict[str, Any]] = []
        self.refuses_commands = False
        self.history: list[str] = []
        """`opened` and `closed`, in the order they happened."""
        self._changed = asyncio.Condition()

    async def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.open.append(connection)
        await self._note("opened")
        try:
            async for frame in connection:
                command = json.loads(frame)
                self.commands.append(command)
                refusal = {"code": 2, "msg": "Invalid request: as told"}
                answer = refusal if self.refuses_commands else {"result": None, "id": command["id"]}
                await connection.send(json.dumps(answer))
                await self._note("answered")
        except ConnectionClosed:
            pass
        finally:
            self.open.remove(connection)
            await self._note("closed")

    async def _note(self, what: str) -> None:
        async with self._changed:
            self.history.append(what)
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    async def say(self, payload: Any) -> None:
        """Tell every connection."""
        frame = payload if isinstance(payload, str) else json.dumps(payload)
        for connection in list(self.open):
            await connection.send(frame)

    def cut(self) -> None:
        """Break every connection without a word."""
        for connection in self.open:
            connection.transport.abort()


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[Streams]:
    streams = Streams()
    async with serve(streams.serve, "127.0.0.1", port, close_timeout=1) as server:
        streams.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield streams


class Heard:
    """Keeps what a stream tells; the next of a kind can be waited for."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._more = asyncio.Event()

    def __call__(self, news: Any) -> None:
        self.all.append(news)
        self._more.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [news for news in self.all if isinstance(news, kind)]

    async def next(self, kind: type[Any], count: int = 1) -> Any:
        """Return the *count*th of that kind, from the beginning."""
        async with asyncio.timeout(PATIENCE):
            while len(self.of(kind)) < count:
                self._more.clear()
                await self._more.wait()
        return self.of(kind)[count - 1]


@asynccontextmanager
async def running(stream: Any, heard: Heard) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(stream.run(heard))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            await task


async def eventually(hours: Hours, condition: Callable[[], Any], step: timedelta = timedelta(seconds=10)) -> None:
    """Let time pass until *condition* holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)
            hours.passes(step)
