"""A cycle's outward work and nothing else: the same calls, the same indicators, as many transactions."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import parse_qsl

import asyncpg
import httpx
import numpy as np
import talib
from sqlalchemy import make_url

from shared.domain.ports import Clock
from shared.exchange.auth import SignerWallet, WalletSigner

PROOF = {"nonce", "user", "signer", "signature"}
"""What a signature adds to the parameters."""
LIMITS = httpx.Limits(max_connections=40, max_keepalive_connections=20)
CANDLES = 300
ROW = '{"stage": "fetch", "details": "' + 1000 * "x" + '"}'


class Recorder(httpx.AsyncBaseTransport):
    """Sends requests on and keeps them in waves: those of one wave were under way together."""

    def __init__(self) -> None:
        self._transport = httpx.AsyncHTTPTransport(limits=LIMITS)
        self.clear()

    def clear(self) -> None:
        """Forget what was recorded."""
        self.waves: list[list[httpx.Request]] = []
        self.weight = 0
        self._under_way = 0

    @property
    def count(self) -> int:
        return sum(map(len, self.waves))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._under_way:
            self.waves.append([])
        self.waves[-1].append(request)
        self._under_way += 1
        try:
            response = await self._transport.handle_async_request(request)
            self.weight = max(self.weight, int(response.headers.get("x-mbx-used-weight-1m", "0")))
            return response
        finally:
            self._under_way -= 1

    async def aclose(self) -> None:
        await self._transport.aclose()


class Bare:
    """Repeats recorded calls for a wallet of its own, computes indicators and commits rows."""

    def __init__(self, connection: asyncpg.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._http = httpx.AsyncClient(limits=LIMITS, timeout=10)
        self._signer = WalletSigner(SignerWallet(hashlib.sha256(b"the bare benchmark's wallet").hexdigest()))
        dice = np.random.default_rng(7)
        self._close = 100 + dice.standard_normal(CANDLES).cumsum()
        self._high, self._low = self._close + 1, self._close - 1
        self._volume = dice.random(CANDLES) * 1000

    @classmethod
    @asynccontextmanager
    async def opened(cls, database: str, clock: Clock) -> AsyncIterator[Self]:
        """Connect, with an empty table to write to."""
        dsn = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE bare_rows (id bigint GENERATED ALWAYS AS IDENTITY, body jsonb NOT NULL)")
        bare = cls(connection, clock)
        try:
            yield bare
        finally:
            await bare._http.aclose()
            await connection.close()

    async def cycle(self, waves: list[list[httpx.Request]], *, windows: int, transactions: int) -> dict[str, float]:
        """Do it all and return the seconds that each part took."""
        spent = {}
        began = time.perf_counter()
        for wave in waves:
            await asyncio.gather(*(self._repeat(request) for request in wave))
        spent["http"] = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(windows):
            self._indicators()
        spent["talib"] = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(transactions):
            async with self._connection.transaction():
                await self._connection.execute("INSERT INTO bare_rows (body) VALUES ($1)", ROW)
        spent["commits"] = time.perf_counter() - began
        return spent

    async def _repeat(self, request: httpx.Request) -> None:
        url, content = request.url, request.content
        in_query = b"signature=" in url.query
        if in_query:
            url = url.copy_with(query=self._signed(url.query).encode())
        elif b"signature=" in content:
            content = self._signed(content).encode()
        kept = {name: request.headers[name] for name in ("content-type", "authorization") if name in request.headers}
        response = await self._http.request(request.method, url, content=content or None, headers=kept)
        response.json()

    def _signed(self, parameters: bytes) -> str:
        own = {name: value for name, value in parse_qsl(parameters.decode()) if name not in PROOF}
        return self._signer.sign(own, self._clock.now()).content

    def _indicators(self) -> None:
        """Compute what the fetch stage computes over one window."""
        high, low, close, volume = self._high, self._low, self._close, self._volume
        talib.MACD(close, 12, 26, 9)
        talib.BBANDS(close, 20, 2.0, 2.0)
        talib.STOCH(high, low, close, fastk_period=14, slowk_period=3, slowd_period=3)
        for period in (20, 50):
            talib.EMA(close, period)
        talib.SMA(close, 50)
        for period in (7, 14):
            talib.RSI(close, period)
        for period in (3, 14):
            talib.ATR(high, low, close, period)
        talib.ADX(high, low, close, 14)
        talib.OBV(close, volume)
