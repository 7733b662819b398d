"""What the exchange allows one address, and what it forbids it, is known to every process behind it."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emulators.aster import Settings as ExchangeSettings
from emulators.aster import Venue, create_app, synthetic_market
from shared.clock import SteppedClock
from shared.domain.allowance import ordinary_room
from shared.domain.errors import ClockSkewed, OrderNotFound, RateLimited
from shared.domain.nonce import LANES
from shared.exchange.auth import NONCES
from shared.exchange.limits import WEIGHT_A_MINUTE
from shared.runtime import Runtime
from shared.settings import TestingSettings

SPEED = 30  # a minute of the market in two seconds of ours
TICKS = 2
NOW = datetime(2025, 6, 15, 12, 0, 5, tzinfo=UTC)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Watched:
    """An exchange whose refusals are counted, and whose count of the weight is read as a client reads it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.refused = 0
        self.most_used = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.refused += message["status"] in {403, 418, 429}
                used = dict(message["headers"]).get(b"x-mbx-used-weight-1m", b"0")
                self.most_used = max(self.most_used, int(used))
            await send(message)

        await self._app(scope, receive, watch)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="on"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


async def a_process(folder: Path, name: str, **variables: str) -> dict[str, Any]:
    """Run the cycles of five accounts in a process of its own and return what it says at its end."""
    accounts = folder / f"{name}.yaml"
    accounts.write_text("accounts:\n" + "".join(f"  - {{id: {name}-{n}, interval: 1m}}\n" for n in range(5)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.functions.greedy",
        str(TICKS),
        env={**os.environ, "ENVIRONMENT": "testing", "ACCOUNTS_FILE": str(accounts), **variables},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    result: dict[str, Any] = json.loads(said.splitlines()[-1])
    return result


async def test_ten_accounts_in_two_processes_are_never_refused(database_url: str, tmp_path: Path) -> None:
    venue = Venue(synthetic_market(seed=7, symbols=SYMBOLS))
    exchange = Watched(create_app(venue, speed=SPEED))
    async with served(exchange) as url:
        variables = {
            "DATABASE_URL": database_url,
            "ASTERDEX_BASE_URL": url,
            "ASSETS": ",".join(SYMBOLS),
            "TIMEFRAMES": "1m,5m",
            "LLM_MODEL": "scripted/model",
        }
        async with asyncio.timeout(120):
            results = await asyncio.gather(*(a_process(tmp_path, name, **variables) for name in ("one", "two")))
    venue.close()

    assert exchange.refused == 0
    assert ordinary_room(WEIGHT_A_MINUTE) // 2 < exchange.most_used <= WEIGHT_A_MINUTE  # they did ask for a lot
    assert [result["failures"] for result in results] == [[], []]
    assert [result["cycles"] for result in results] == [5 * TICKS] * 2


class Banning(httpx.AsyncBaseTransport):
    """An exchange that has had enough of our address."""

    def __init__(self) -> None:
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return httpx.Response(
            418, json={"code": -1003, "msg": "Way too many requests."}, headers={"Retry-After": "600"}
        )


@asynccontextmanager
async def a_process_at(
    database_url: str, clock: SteppedClock | None, exchange: httpx.AsyncBaseTransport, **settings: Any
) -> AsyncIterator[Runtime]:
    """A process of its own, as far as the exchange and the database can tell."""
    chosen = {"database_url": SecretStr(database_url), "llm_model": "scripted/model"} | settings
    runtime = Runtime(TestingSettings(**chosen), long_lived=False, clock=clock, exchange_transport=exchange)
    try:
        yield runtime
    finally:
        await runtime.close()


@asynccontextmanager
async def a_runtime(
    database_url: str, clock: SteppedClock | None, **settings: Any
) -> AsyncIterator[tuple[Runtime, Banning]]:
    """Such a process, and the exchange that has had enough of its address."""
    banning = Banning()
    async with a_process_at(database_url, clock, banning, **settings) as runtime:
        yield runtime, banning


async def test_a_ban_is_known_to_processes_that_run_and_to_those_that_begin_later(database_url: str) -> None:
    async with (
        a_runtime(database_url, SteppedClock(NOW)) as (one, refused),
        a_runtime(database_url, SteppedClock(NOW)) as (other, quiet),
    ):
        with pytest.raises(RateLimited):
            await one.market.server_time()
        with pytest.raises(RateLimited):
            await other.exchange("main").cancel("BTCUSDT", "a-stop")
    assert (refused.requests, quiet.requests) == (1, 0)

    async with a_runtime(database_url, SteppedClock(NOW + timedelta(seconds=599))) as (later, quiet):
        with pytest.raises(RateLimited) as refusal:
            await later.exchange("main").cancel("BTCUSDT", "a-stop")
    assert (quiet.requests, refusal.value.retry_after) == (0, 1)

    async with a_runtime(database_url, SteppedClock(NOW + timedelta(seconds=600))) as (after, asked):
        with pytest.raises(RateLimited):
            await after.market.server_time()
    assert asked.requests == 1


@pytest.mark.parametrize(
    "settings",
    [ExchangeSettings(ban_after=1), ExchangeSettings(ban_after=1, ban_end_as_date=True, retry_after=False)],
    ids=["in milliseconds and Retry-After", "as a date alone"],
)
async def test_bans_that_grow_are_honoured_to_their_end_by_every_process_behind_the_address(
    database_url: str, settings: ExchangeSettings
) -> None:
    venue = Venue(synthetic_market(seed=7, symbols=SYMBOLS))
    exchange = Watched(create_app(venue, settings=settings))
    address = httpx.ASGITransport(exchange)
    clock = SteppedClock(datetime.fromtimestamp(venue.now / 1000, UTC))

    async def pass_time(span: timedelta) -> None:
        clock.advance(clock.now() + span)
        venue.advance(venue.now + span // timedelta(milliseconds=1))

    async def asked_by_a_new_process() -> float:
        """Return for how long it would have to wait to cancel a stop."""
        async with a_process_at(database_url, clock, address) as runtime:
            try:
                await runtime.exchange("main").cancel("BTCUSDT", "a-stop")
            except RateLimited as exc:
                return exc.retry_after or 0.0
            except OrderNotFound:
                return 0.0
        raise AssertionError

    async with httpx.AsyncClient(transport=address, base_url="http://exchange") as neighbour:
        for ban in (timedelta(minutes=2), timedelta(minutes=4)):
            while (await neighbour.get("/fapi/v3/ticker/24hr")).status_code != httpx.codes.IM_A_TEAPOT:
                pass
            assert await asked_by_a_new_process() == ban.total_seconds()  # by the exchange
            refused = exchange.refused
            await pass_time(ban - timedelta(seconds=1))
            assert await asked_by_a_new_process() == 1  # by what the last process left
            assert exchange.refused == refused
            await pass_time(timedelta(seconds=1))
            assert await asked_by_a_new_process() == 0
    venue.close()


async def test_not_even_the_time_is_asked_for_during_a_ban(database_url: str) -> None:
    async with a_runtime(database_url, SteppedClock(NOW)) as (one, _):
        with pytest.raises(RateLimited):
            await one.market.server_time()

    async with a_runtime(database_url, None) as (begun, quiet):
        with pytest.raises(RateLimited):
            await begun.require_time()
        with pytest.raises(ClockSkewed):
            await begun.exchange("main").cancel("BTCUSDT", "a-stop")
    assert quiet.requests == 0


async def test_another_address_is_not_banned(database_url: str) -> None:
    async with a_runtime(database_url, SteppedClock(NOW), egress="north") as (one, _):
        with pytest.raises(RateLimited):
            await one.market.server_time()

    async with a_runtime(database_url, SteppedClock(NOW), egress="south") as (other, asked):
        with pytest.raises(RateLimited):
            await other.market.server_time()
    assert asked.requests == 1


async def test_processes_sign_in_lanes_of_their_own(database_url: str) -> None:
    lanes = []
    for _ in range(3):
        async with a_runtime(database_url, SteppedClock(NOW)):
            await NONCES.ready(NOW)
            lanes.append(NONCES.take("signer", NOW) % LANES)

    assert lanes == [0, 1, 2]  # a lane that was left rests
