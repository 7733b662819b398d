"""The emulator's WebSockets as clients see them: a server on loopback, and listeners."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from emulators.aster import Settings, Venue, create_app
from emulators.aster.streams.streams import keepalive
from tests.emulators.aster.traders import Wallet

PATIENCE = 10.0


class Site:
    """A venue that is being served."""

    def __init__(self, venue: Venue, port: int, http: httpx.AsyncClient) -> None:
        self.venue = venue
        self.port = port
        self.http = http
        self._uses = 0

    async def ask(self, method: str, name: str, wallet: Wallet | None = None, **parameters: Any) -> Any:
        """Send a request, signed when there is a wallet, and return the answer's JSON."""
        self._uses += 1
        query = httpx.QueryParams(parameters)
        if wallet is not None:
            query = wallet.signed(parameters, self.venue.now * 1000 + self._uses)
        return (await self.http.request(method, f"/fapi/v3/{name}?{query}")).json()

    async def order(self, wallet: Wallet, side: str, kind: str = "MARKET", **parameters: Any) -> Any:
        parameters = {"symbol": "BTCUSDT", "side": side, "type": kind, **parameters}
        return await self.ask("POST", "order", wallet, newOrderRespType="RESULT", **parameters)

    async def administer(self, method: str, name: str, **fields: Any) -> Any:
        return (await self.http.request(method, f"/emulator/{name}", json=fields)).json()

    @asynccontextmanager
    async def listener(self, path: str, **options: Any) -> AsyncIterator[Listener]:
        """Open a socket; what the server closes is not closed again."""
        async with connect(f"ws://127.0.0.1:{self.port}{path}", proxy=None, **options) as socket:
            yield Listener(socket)

    async def listen_key(self, wallet: Wallet) -> str:
        answer = await self.ask("POST", "listenKey", wallet)
        return str(answer["listenKey"])


class Listener:
    """One open socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def text(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return str(await self.socket.recv())

    async def next(self) -> Any:
        return json.loads(await self.text())

    async def take(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]

    async def until(self, event: str) -> Any:
        """Return the next event of a type, whatever comes before it."""
        while True:
            said = await self.next()
            if said.get("e") == event:
                return said

    async def command(self, method: str, *params: Any, **more: Any) -> Any:
        """Send a command and return the answer; no event may come before it."""
        await self.socket.send(json.dumps({"method": method, "params": list(params), "id": 1} | more))
        return await self.next()

    async def say(self, text: str) -> Any:
        await self.socket.send(text)
        return await self.next()

    async def everything_so_far(self) -> list[str]:
        """Return what has come and not been read; the answer to a command marks the end."""
        await self.socket.send('{"method":"GET_PROPERTY","params":["combined"],"id":4242}')
        said = []
        while '"id":4242' not in (text := await self.text()):
            said.append(text)
        return said

    async def closed(self) -> int | None:
        """Return the code the server closes with, once it has."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return self.socket.close_code


@asynccontextmanager
async def serving(venue: Venue, *, speed: float | None = None, **options: Any) -> AsyncIterator[Site]:
    """Serve a venue on a free port of the loopback; the options are those of `Settings`."""
    settings = Settings(**options)
    app = create_app(venue, speed=speed, settings=settings)
    pings = keepalive(speed, settings.ping_ms)
    config = uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1, lifespan="on", **pings)
    config.load()
    server = uvicorn.Server(config)
    # Its main loop would look only ten times a second whether it should end.
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            yield Site(venue, port, http)
    finally:
        await server.shutdown()
