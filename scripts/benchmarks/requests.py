"""
What cycles ask of the exchange, beside the least that could do: `python -m scripts.benchmarks.requests`.

An hour of cycles on ten symbols and two timeframes, its first tick with all that a new process asks once. The emulator
says what it all weighed. The least, for whoever wants to know what the stages know, is this:

- once for all accounts: each candle that closed (1 a series), all quotes at once (1), open interest (1 a symbol: the
  exchange tells it no other way), and filters (1 an hour);
- for each account, before it decides and again after it traded: the balance (5) and the positions (5), which no one
  call tells with both margins and liquidation prices, and the orders resting where it holds something (1 a symbol);
- what an account asks because something happened: its orders, look-ups, trades, ledger and fees.

Orders that somebody else placed where the account holds nothing are in no way part of the least; finding them is what
we pay for on top: the account's own symbols in each cycle (1 a symbol), all others once an hour (40).
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.benchmarks.cycle import DELAY, INTERVAL, SYMBOLS, TIMEFRAMES, Trading, World, trading
from scripts.benchmarks.emulated import emulator
from shared.db.embedded import embedded_postgres
from shared.db.migrate import upgrade
from shared.domain.cycle import tick_at
from shared.domain.market import Timeframe

FOR_ALL = ("exchangeInfo", "premiumIndex", "openInterest", "klines")
STANDING = ("accountWithJoinMargin", "positionRisk", "openOrders")
HOLDINGS_WEIGH = 10
EVERY_HOUR = ("exchangeInfo",)


@dataclass(slots=True)
class Tally:
    """Requests and what they weigh."""

    requests: int = 0
    weight: int = 0

    def add(self, requests: int, weight: int) -> None:
        self.requests += requests
        self.weight += weight

    def __str__(self) -> str:
        return f"{self.requests} requests of weight {self.weight}"


async def hour(world: World, folder: Path, count: int, ticks: int) -> None:
    """Run the ticks with *count* accounts and print what was asked beside the least."""
    names = [f"r{count}-{number}" for number in range(count)]
    first, used, least = Tally(), Tally(), Tally()
    asked: Counter[str] = Counter()
    async with trading(world, names, folder) as house:
        for number in range(1 + ticks):
            house.recorder.clear()
            await asyncio.gather(*(house.cycle(name) for name in names))
            sent = [request for wave in house.recorder.waves for request in wave if "/fapi/" in request.url.path]
            if number == 0:
                first.add(len(sent), house.recorder.weight)
            else:
                used.add(len(sent), house.recorder.weight)
                asked.update(_name(request) for request in sent)
                await _add_least(least, house, names, sent)
            now = house.clock.now()
            await house.pass_time(tick_at(now, INTERVAL) + INTERVAL + DELAY - now)
    print(f"{count} accounts, {ticks} ticks after the first (which takes {first}):")
    print(f"  asked  {used}, {used.weight / ticks / count:.1f} an account and tick")
    print(f"  least  {least}, {least.weight / ticks / count:.1f} an account and tick")
    print(f"  ratio  {used.requests / least.requests:.2f} × requests, {used.weight / least.weight:.2f} × weight")
    print("  of these, requests for " + ", ".join(f"{name} {n}" for name, n in asked.most_common()))


async def _add_least(least: Tally, house: Trading, names: list[str], sent: list[httpx.Request]) -> None:
    tick = tick_at(house.clock.now(), INTERVAL)
    closed = sum(Timeframe(timeframe).open_at(tick) == tick for timeframe in TIMEFRAMES)
    due = len(SYMBOLS) * (closed + 1) + 1
    least.add(due, due)
    for name in names:
        async with house.runtime.open_work() as work:
            held = len(await work.holds.positions(name))
        least.add(4 + 2 * held, 2 * (HOLDINGS_WEIGH + held))
    others = [request for request in sent if _name(request) not in {*FOR_ALL, *STANDING}]
    least.add(len(others), sum(map(_weight_of_other, others)))
    hourly = sum(_name(request) in EVERY_HOUR for request in sent)
    least.add(hourly, hourly)


def _name(request: httpx.Request) -> str:
    return request.url.path.rpartition("/")[2]


def _weight_of_other(request: httpx.Request) -> int:
    """The exchange's table, for what an account asks because something happened."""
    return {"userTrades": 5, "income": 30, "commissionRate": 20, "dual": 30}.get(_name(request), 1)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmarks.requests", description="Measure what cycles ask of the exchange."
    )
    parser.add_argument("--ticks", type=int, default=12, help="after the first (default 12: an hour)")
    parser.add_argument("--accounts", type=int, nargs="*", default=[1, 10], help="how many (default 1 10)")
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {len(SYMBOLS)} symbols × {len(TIMEFRAMES)}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = World(
            exchange=stack.enter_context(emulator("emulators.aster", "--stepped", "--symbols", ",".join(SYMBOLS))),
            models=stack.enter_context(emulator("emulators.openrouter")),
            database=stack.enter_context(embedded_postgres(folder / "postgres")),
        )
        asyncio.run(_measure(world, folder, chosen.accounts, chosen.ticks))
    return 0


async def _measure(world: World, folder: Path, accounts: list[int], ticks: int) -> None:
    await upgrade(world.database)
    for count in accounts:
        await hour(world, folder, count, ticks)


if __name__ == "__main__":
    sys.exit(main())
