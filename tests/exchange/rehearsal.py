"""An emulated exchange over real HTTP that stands still between steps, and clients of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import httpx
import uvicorn

from emulators.aster import Venue, create_app, synthetic_market
from emulators.aster.habits import Habits
from shared.clock import SteppedClock
from shared.domain.order import Intent, Leg, OrderType, Side
from shared.domain.position import Direction
from shared.domain.protection import protective_intent
from shared.exchange import auth, client
from shared.exchange.account import AsterExchange, open_exchange
from shared.exchange.auth import MAINNET_CHAIN, ApiKey, Credentials, Nonces, SignerWallet, WalletSigner
from shared.exchange.market import AsterMarketData, open_market

WALLET = SignerWallet("0x" + "44" * 32)
KEY = ApiKey("paper-key", "paper-secret")
ADDRESS = WalletSigner(WALLET).address
BALANCE = Decimal(10_000)


def moment(since_epoch: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=since_epoch)


@dataclass
class Rehearsal:
    """An emulated exchange that stands still between steps, and clients of it."""

    url: str
    venue: Venue
    clock: SteppedClock
    market: AsterMarketData
    account: AsterExchange
    credentials: Credentials
    paths: list[str]
    """Of every request that was served, oldest first."""

    @property
    def began(self) -> datetime:
        return moment(self.venue.market.start)

    async def pass_time(self, span: timedelta) -> None:
        self.venue.advance(self.venue.now + span // timedelta(milliseconds=1))
        self.clock.advance(moment(self.venue.now))

    async def price(self) -> Decimal:
        return (await self.market.quotes(["BTCUSDT"]))["BTCUSDT"].mark_price

    def entry(self, quantity: str, *, side: Side = Side.BUY, attempt: int = 0) -> Intent:
        return Intent(
            account_id="main",
            tick=self.clock.now(),
            symbol="BTCUSDT",
            leg=Leg.ENTRY,
            attempt=attempt,
            side=side,
            direction=Direction.LONG if side is Side.BUY else Direction.SHORT,
            type=OrderType.MARKET,
            quantity=Decimal(quantity),
        )

    async def stop(self, direction: Direction, share: str) -> Intent:
        """A stop at that share of the price."""
        instrument = (await self.market.instruments())["BTCUSDT"]
        price = instrument.round_price_down(await self.price() * Decimal(share))
        return protective_intent("main", self.clock.now(), "BTCUSDT", direction=direction, leg=Leg.STOP, price=price)

    def requests(self, call: str) -> int:
        return sum(path.endswith(f"/{call}") for path in self.paths)

    def again(self) -> AsterExchange:
        """Return another client of the same account."""
        return open_exchange(self.url, self.credentials, self.clock)

    async def fault(self, kind: str, method: str = "POST", path: str = "/fapi/v3/order") -> None:
        async with httpx.AsyncClient(base_url=self.url) as admin:
            await admin.post("/emulator/faults", json={"method": method, "path": path, "kind": kind, "count": 1})

    async def books(self) -> Any:
        async with httpx.AsyncClient(base_url=self.url) as admin:
            return (await admin.get("/emulator/books", params={"account": ADDRESS})).json()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve *app* on a port of its own and yield its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(app, log_level="error", ws="none", lifespan="on")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


@asynccontextmanager
async def rehearsed(
    credentials: Credentials, *, chain: int = MAINNET_CHAIN, habits: Habits | None = None
) -> AsyncIterator[Rehearsal]:
    venue = Venue(synthetic_market(symbols=("BTCUSDT", "ETHUSDT")), balance=BALANCE, habits=habits)
    venue.open_account(KEY.key, secret=KEY.secret)
    clock = SteppedClock(moment(venue.now))
    app, paths = create_app(venue, chain=chain), []

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            paths.append(scope["path"])
        await app(scope, receive, send)

    nonces = Nonces()  # as if in a process of its own: the market of each rehearsal begins at the same moment
    with patch.object(auth, "NONCES", nonces), patch.object(client, "NONCES", nonces):
        async with (
            served(recorded) as url,
            open_market(url, clock) as market,
            open_exchange(url, credentials, clock, instruments_changed=market.forget_instruments) as account,
        ):
            yield Rehearsal(url, venue, clock, market, account, credentials, paths)
