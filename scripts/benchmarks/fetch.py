"""
What fetching costs: `python -m scripts.benchmarks.fetch`.

Fifty symbols × three timeframes, all at once: by our way to the exchange, which keeps its limits, asks again for what
got lost, and reads every number exactly; and by a bare httpx script that sends the same requests and parses the JSON.
First the whole history that indicators need, three hundred candles a series, then one new candle a series, which is
what a tick asks for. Both run round by round against one emulator in a process of its own, over warm connections.
Beside the time by the clock, in which the emulator has its part, stands the processor's time of this process alone.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np

from scripts.benchmarks.bare import LIMITS
from scripts.benchmarks.emulated import emulator
from shared.clock import SteppedClock
from shared.domain.market import Series, Timeframe
from shared.exchange.client import AsterClient
from shared.exchange.market import AsterMarketData

SYMBOLS = tuple(f"COIN{number:02}USDT" for number in range(50))
TIMEFRAMES = (Timeframe.M5, Timeframe.M15, Timeframe.H1)
RECORDED_FROM, STARTS = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 15, tzinfo=UTC)
RECORDED = timedelta(days=15)
PAUSE = timedelta(minutes=5)
"""Of market time between two rounds, so that each has the whole request limit."""

Spans = Mapping[Series, tuple[datetime, datetime]]
Taken = tuple[float, float]
"""Seconds by the clock, and of this process's processor."""


class Bare:
    """The same requests and nothing else."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, limits=LIMITS, timeout=30)

    async def fetch(self, spans: Spans) -> int:
        """Ask for all of it at once and return how many candles came."""
        pages = await asyncio.gather(*(self._page(series, *span) for series, span in spans.items()))
        return sum(map(len, pages))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _page(self, series: Series, since: datetime, until: datetime) -> list[object]:
        start, end = (round(moment.timestamp() * 1000) for moment in (since, until))
        query = f"symbol={series.symbol}&interval={series.timeframe.value}&startTime={start}&endTime={end}&limit=300"
        response = await self._http.get(f"/fapi/v3/klines?{query}")
        page: list[object] = response.raise_for_status().json()
        return page


class Ours:
    """Our way to the exchange, each time as if nothing were known of the market."""

    def __init__(self, url: str, clock: SteppedClock) -> None:
        self._client = AsterClient(url, clock=clock)
        self._clock = clock

    async def fetch(self, spans: Spans) -> int:
        """Ask for all of it at once and return how many candles came."""
        market = AsterMarketData(self._client, self._clock)
        answers = await asyncio.gather(
            *(market.candles(series, since=since, until=until) for series, (since, until) in spans.items())
        )
        return sum(map(len, answers))

    async def aclose(self) -> None:
        await self._client.aclose()


def record(folder: Path) -> None:
    """Write a market of random walks."""
    dice = np.random.default_rng(7)
    times = np.arange(RECORDED_FROM.timestamp(), (RECORDED_FROM + RECORDED).timestamp(), 300).astype(int)
    for symbol in SYMBOLS:
        close = 100 + dice.standard_normal(len(times)).cumsum() / 50
        rows = (
            f"{at},{price:.2f},{price:.2f},{price:.2f},{price:.2f},10" for at, price in zip(times, close, strict=True)
        )
        (folder / f"{symbol}-5m.csv").write_text("open_time,open,high,low,close,volume\n" + "\n".join(rows) + "\n")


def spans_at(now: datetime, count: int) -> Spans:
    """Return the last *count* closed candles of every series."""
    return {
        Series(symbol, timeframe): (
            timeframe.back(timeframe.open_at(now), count),
            timeframe.back(timeframe.open_at(now), 1),
        )
        for symbol in SYMBOLS
        for timeframe in TIMEFRAMES
    }


async def measured(fetch: Callable[[Spans], Awaitable[int]], spans: Spans, due: int) -> Taken:
    """Fetch, see that all of it came, and return what it took."""
    began, used = time.perf_counter(), time.process_time()
    found = await fetch(spans)
    taken = time.perf_counter() - began, time.process_time() - used
    if found != due:
        raise RuntimeError(f"{found} candles came, not {due}")
    return taken


async def measure(url: str, rounds: int) -> None:
    """Print both ways beside each other."""
    clock = SteppedClock(STARTS)
    ours, bare = Ours(url, clock), Bare(url)
    async with httpx.AsyncClient(base_url=url) as admin:
        for count, what in ((300, "300 candles"), (1, "1 candle")):
            taken: dict[str, list[Taken]] = {"ours": [], "bare": []}
            for number in range(1 + rounds):  # the first round warms up
                clock.advance(clock.now() + PAUSE)
                (
                    await admin.post("/emulator/advance", json={"to": round(clock.now().timestamp() * 1000)})
                ).raise_for_status()
                spans = spans_at(clock.now(), count)
                pair = [("ours", ours.fetch), ("bare", bare.fetch)]
                for name, fetch in pair if number % 2 else reversed(pair):
                    one = await measured(fetch, spans, count * len(spans))
                    if number:
                        taken[name].append(one)
            report(f"{len(SYMBOLS)} symbols × {len(TIMEFRAMES)} timeframes, {what} each", taken)
    await ours.aclose()
    await bare.aclose()


def report(what: str, taken: Mapping[str, list[Taken]]) -> None:
    """Print medians, and the medians of each round's own ratios."""
    print(f"{what}, {len(taken['ours'])} rounds:")
    for part, name in enumerate(("clock", "processor")):
        mine, theirs = ([one[part] for one in taken[way]] for way in ("ours", "bare"))
        ratio = statistics.median(one / other for one, other in zip(mine, theirs, strict=True))
        milliseconds = [statistics.median(each) * 1000 for each in (mine, theirs)]
        print(f"  {name:<9} ours {milliseconds[0]:6.0f} ms, bare {milliseconds[1]:6.0f} ms: {ratio:.2f} ×")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmarks.fetch", description="Measure fetching.")
    parser.add_argument("--rounds", type=int, default=10, help="of each way (default 10)")
    rounds = parser.parse_args().rounds
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        record(Path(name))
        with emulator("emulators.aster", "--stepped", "--market", name, "--start", STARTS.isoformat()) as url:
            asyncio.run(measure(url, rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
