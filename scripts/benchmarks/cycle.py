"""
What a cycle costs: `python -m scripts.benchmarks.cycle`.

The four stages for an account of ten symbols and two timeframes, on the emulators over loopback HTTP and a real
PostgreSQL. The same work stripped bare runs beside it, tick by tick: the HTTP calls that the cycle made, signed anew
and as much at once as it had them; TA-Lib over as many windows; as many transactions, each with one INSERT. The bare
work trades for an account of its own, so that the exchange does the same for both. Then what an account costs, by how
many there are.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr
from sqlalchemy import Engine, event

from functions.invoke import invoke_cycle
from scripts.benchmarks.bare import Bare, Recorder
from scripts.benchmarks.emulated import emulator
from shared.clock import SteppedClock
from shared.db.embedded import embedded_postgres
from shared.db.migrate import upgrade
from shared.domain.cycle import StageRequest, tick_at
from shared.domain.work import Lease, Work
from shared.runtime import Runtime
from shared.settings import TestingSettings

SYMBOLS = (
    *("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"),
    *("ADAUSDT", "DOGEUSDT", "LINKUSDT", "LTCUSDT", "BCHUSDT"),
)
TIMEFRAMES = ("5m", "4h")
INTERVAL, DELAY, MINUTE = timedelta(minutes=5), timedelta(seconds=2), timedelta(minutes=1)
WARM_UP = 2
"""Ticks before the first that counts: the first one fetches the whole history."""
TOGETHER = 10
"""Accounts that run at once. Then market time moves on by a minute, or their requests would outweigh what the exchange
allows an address in one."""


@dataclass(frozen=True, slots=True)
class World:
    """Where everything is."""

    exchange: str
    models: str
    database: str


class Trading:
    """A runtime on the emulators, whose market stands still between ticks."""

    def __init__(self, world: World, accounts: Path, now: datetime) -> None:
        self.recorder = Recorder()
        self.clock = SteppedClock(now)
        self.transactions = self.statements = 0
        event.listen(Engine, "before_cursor_execute", self._statement)
        settings = TestingSettings(
            accounts_file=accounts,
            assets=SYMBOLS,
            timeframes=TIMEFRAMES,
            interval=INTERVAL,
            database_url=SecretStr(world.database),
            asterdex_base_url=world.exchange,
            openrouter_base_url=world.models,
        )
        self.runtime = Runtime(
            settings,
            long_lived=True,
            clock=self.clock,
            exchange_transport=self.recorder,
            model_transport=self.recorder,
        )
        self._open_work = self.runtime.open_work
        self.runtime.open_work = self._counted

    def _statement(self, *_: object) -> None:
        self.statements += 1

    def _counted(self, lease: Lease | None = None) -> AbstractAsyncContextManager[Work]:
        self.transactions += 1
        return self._open_work(lease)

    async def pass_time(self, span: timedelta) -> None:
        """Let market and clock move on together."""
        self.clock.advance(self.clock.now() + span)
        await _advance(self.runtime.settings.exchange_url, self.clock.now())

    async def cycle(self, account_id: str) -> float:
        """Run the present cycle of an account and return how many seconds it took."""
        request = StageRequest(account_id, tick_at(self.clock.now(), INTERVAL))
        began = time.perf_counter()
        outcome = await invoke_cycle(self.runtime, request)
        taken = time.perf_counter() - began
        if failed := [part for part in outcome.values() if isinstance(part, dict) and "error" in part]:
            raise RuntimeError(f"a stage failed: {failed[0]}")
        return taken


@asynccontextmanager
async def trading(world: World, names: list[str], folder: Path) -> AsyncIterator[Trading]:
    """Open a runtime with accounts of these names, at the first tick to come."""
    accounts = folder / f"accounts-{len(names)}.yaml"
    accounts.write_text("accounts:\n" + "".join(f"  - id: {name}\n" for name in names))
    async with httpx.AsyncClient(base_url=world.exchange) as admin:
        now = (await admin.get("/emulator/clock")).json()["now"]
    opened = Trading(world, accounts, datetime.fromtimestamp(now / 1000, UTC))
    try:
        await opened.runtime.record_accounts()
        await _to_next_tick(opened)
        yield opened
    finally:
        await opened.runtime.close()
        await opened.recorder.aclose()


async def _to_next_tick(opened: Trading) -> None:
    now = opened.clock.now()
    await opened.pass_time(tick_at(now, INTERVAL) + INTERVAL + DELAY - now)


async def _advance(exchange: str, to: datetime) -> None:
    async with httpx.AsyncClient(base_url=exchange) as admin:
        body = {"to": round(to.timestamp() * 1000)}
        (await admin.post("/emulator/advance", json=body)).raise_for_status()


async def beside_bare(world: World, folder: Path, ticks: int) -> None:
    """Print what a cycle takes beside the bare work, over *ticks* ticks."""
    cycles: list[float] = []
    bares: list[float] = []
    parts: list[dict[str, float]] = []
    requests: list[int] = []
    transactions: list[int] = []
    statements: list[int] = []
    async with trading(world, ["main"], folder) as house, Bare.opened(world.database, house.clock) as bare:
        for number in range(WARM_UP + ticks):
            house.recorder.clear()
            house.transactions = house.statements = 0
            taken = await house.cycle("main")
            asked = house.statements
            calls = house.recorder.waves
            spent = await bare.cycle(calls, windows=len(SYMBOLS) * len(TIMEFRAMES), transactions=house.transactions)
            if number >= WARM_UP:
                cycles.append(taken)
                bares.append(sum(spent.values()))
                parts.append(spent)
                requests.append(house.recorder.count)
                transactions.append(house.transactions)
                statements.append(asked)
            await _to_next_tick(house)
    ratio = statistics.median(cycle / bare for cycle, bare in zip(cycles, bares, strict=True))
    print(f"one account, {len(SYMBOLS)} symbols × {len(TIMEFRAMES)} timeframes, median of {ticks} ticks:")
    print(f"  cycle {_ms(cycles)}, bare {_ms(bares)}: {ratio:.2f} ×")
    shares = ", ".join(f"{name} {_ms([part[name] for part in parts])}" for name in ("http", "talib", "commits"))
    print(f"  of the bare: {shares}")
    print(f"  {statistics.median(requests):.0f} requests (at most {max(requests)}), ", end="")
    print(f"{statistics.median(transactions):.0f} transactions of {statistics.median(statements):.0f} statements")


async def by_accounts(world: World, folder: Path, count: int, ticks: int) -> None:
    """Print what a cycle costs an account when *count* of them run at the same ticks."""
    names = [f"n{count}-{number}" for number in range(count)]
    per_account: list[float] = []
    latencies: list[float] = []
    requests: list[float] = []
    weights: list[float] = []
    async with trading(world, names, folder) as house:
        for number in range(1 + ticks):  # at the first tick an account is seen for the first time
            busy, sent = 0.0, 0
            for first in range(0, count, TOGETHER):
                together = names[first : first + TOGETHER]
                house.recorder.clear()
                began = time.perf_counter()
                taken = await asyncio.gather(*(house.cycle(name) for name in together))
                busy += time.perf_counter() - began
                sent += house.recorder.count
                if number:
                    latencies += taken
                    weights.append(house.recorder.weight / len(together))
                await house.pass_time(MINUTE)
            if number:
                per_account.append(busy / count)
                requests.append(sent / count)
            await _to_next_tick(house)
    print(f"{count:>3} accounts: {_ms(per_account)} an account, a cycle takes {_ms(latencies)}, ", end="")
    print(f"{statistics.median(requests):.1f} requests of weight {statistics.median(weights):.0f} a cycle")


def _ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f} ms"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmarks.cycle", description="Measure what a cycle costs."
    )
    parser.add_argument("--ticks", type=int, default=20, help="that count, beside the bare work (default 20)")
    parser.add_argument("--accounts", type=int, nargs="*", default=[1, 10, 50], help="how many (default 1 10 50)")
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    symbols = ",".join(SYMBOLS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = World(
            exchange=stack.enter_context(emulator("emulators.aster", "--stepped", "--symbols", symbols)),
            models=stack.enter_context(emulator("emulators.openrouter")),
            database=stack.enter_context(embedded_postgres(folder / "postgres")),
        )
        asyncio.run(_measure(world, folder, chosen.ticks, chosen.accounts))
    return 0


async def _measure(world: World, folder: Path, ticks: int, accounts: list[int]) -> None:
    await upgrade(world.database)
    await beside_bare(world, folder, ticks)
    for count in accounts:
        await by_accounts(world, folder, count, ticks=max(2, 20 // count))


if __name__ == "__main__":
    sys.exit(main())
