"""A client of the streams, as a dashboard would be one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

PATIENCE = 20.0


class Ear:
    """One open socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def first(self, kind: str) -> dict[str, Any]:
        """Return the next message, which is of that type."""
        message = await self.next()
        assert message["type"] == kind, message
        return message

    async def event(self, kind: str) -> dict[str, Any]:
        """Return the next event of that kind, whatever comes before it."""
        while True:
            message = await self.next()
            if message["type"] == "event" and message["kind"] == kind:
                return message

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next messages, all of them events."""
        return [await self.first("event") for _ in range(count)]

    async def end(self) -> tuple[dict[str, Any], int | None, str | None]:
        """Return the error that the server ends with, and the code and reason it closes with."""
        while (message := await self.next())["type"] != "error":
            pass
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return message, self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def listening(url: str, path: str, **options: Any) -> AsyncIterator[Ear]:
    """Open a stream of the API at *url*."""
    async with connect(url.replace("http", "ws", 1) + path, proxy=None, **options) as socket:
        yield Ear(socket)
