"""
The market, once for all who listen in this process: prices as they move, and candles as they are stored.

Prices come from the exchange's public stream, by a connection of our own that is open while somebody listens. They are
conflated: whoever is slow gets the newest of each, later. Closed candles come out of the database, where everybody
finds the same, each with its opening as a mark to go on from.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from api.live import messages
from api.live.feed import TooSlow
from shared.db.candles import CandleTable
from shared.domain.errors import DatabaseUnavailable, PerpetuaError
from shared.domain.market import Candle, Quote, Series
from shared.domain.news import CandleUpdate, MarketNews, Resynced
from shared.exchange.market_stream import MarketStream
from shared.runtime import Runtime

log = logging.getLogger("perpetua.app")

QUIET_SECONDS = 5.0
"""Prices come every second: after so long without one, they are not those of now."""
LOOK_SECONDS = 0.5
"""How often the database is asked for new candles."""
RETRY_SECONDS = 5.0
MOST_CANDLES = 300
"""Of a series, in a snapshot; whoever missed more begins anew."""

OFF = "STREAMS is off: the exchange's market stream is not listened to"
SILENT = "nothing comes from the exchange's market stream"
LIVE = "live"

Marks = Mapping[Series, datetime]
"""When the last candle of each series opened."""


class Ear:
    """One listener: what it wants, and what it has still to be told."""

    def __init__(self, symbols: Collection[str], series: Collection[Series]) -> None:
        self.symbols = frozenset(symbols)
        self.series = frozenset(series)
        self.marks: dict[Series, datetime] = {}
        """How far candles have been handed over."""
        self._newest: dict[object, str] = {}
        self._candles: list[tuple[Series, Candle]] = []
        self._failure: DatabaseUnavailable | None = None
        self._woken = asyncio.Event()

    def offer(self, what: object, message: str) -> None:
        """Have this told, instead of what was to be told of the same."""
        self._newest[what] = message
        self._woken.set()

    def hand(self, found: Mapping[Series, Sequence[Candle]]) -> None:
        """Have those candles told that come after our marks."""
        for series, mark in self.marks.items():
            if new := [candle for candle in found.get(series, ()) if candle.opened > mark]:
                self.marks[series] = new[-1].opened
                self._candles += [(series, candle) for candle in new]
                self._woken.set()

    def fail(self, failure: DatabaseUnavailable) -> None:
        """Have it told that there will be no more."""
        self._failure = failure
        self._woken.set()

    async def wait(self) -> None:
        """Return when there is something to tell."""
        await self._woken.wait()

    def take(self) -> tuple[Sequence[str], Sequence[tuple[Series, Candle]]]:
        """Return what there is to tell: the newest of what moves, and every candle.

        Raises TooSlow and DatabaseUnavailable.
        """
        self._woken.clear()
        if self._failure is not None:
            raise DatabaseUnavailable(str(self._failure)) from self._failure
        if len(self._candles) > MOST_CANDLES * len(self.series):
            raise TooSlow(f"{len(self._candles)} candles behind: come again with the last cursor")
        newest, self._newest = list(self._newest.values()), {}
        candles, self._candles = self._candles, []
        return newest, sorted(candles, key=lambda told: (told[1].opened, told[0].symbol))


class Market:
    """What the listeners of a process have in common."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ears: set[Ear] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._streamed: tuple[frozenset[str], frozenset[Series]] = (frozenset(), frozenset())
        self._prices: dict[str, str] = {}
        self._heard_at = 0.0
        self._live = False

    @property
    def state(self) -> str:
        """Say whether prices are those of now: `live`, `silent`, `off`, or `idle` while nobody listens here."""
        if not self._runtime.settings.streams:
            return "off"
        if not self._ears:
            return "idle"
        return "live" if self._live else "silent"

    @asynccontextmanager
    async def listening(self, symbols: Collection[str], series: Collection[Series]) -> AsyncIterator[Ear]:
        """Have prices of those symbols told, and candles of those series once the listener has marks."""
        ear = Ear(symbols, series)
        self._ears.add(ear)
        self._listen_to(ear)
        self._say_whether_live(ear)
        for symbol in sorted(ear.symbols & self._prices.keys() if self._live else ()):
            ear.offer(symbol, self._prices[symbol])
        try:
            yield ear
        finally:
            self._ears.discard(ear)
            if not self._ears:
                self._stop()
                self._live = False

    async def missed(self, marks: Marks) -> Mapping[Series, Sequence[Candle]] | None:
        """Return the stored candles after those marks, None where there are too many. Raises DatabaseUnavailable."""
        found = await self._stored(marks)
        return None if any(len(run) > MOST_CANDLES for run in found.values()) else found

    async def _stored(self, marks: Marks) -> Mapping[Series, Sequence[Candle]]:
        async with self._runtime.database.reading() as connection:
            return await CandleTable(connection).after(marks, MOST_CANDLES + 1)

    def _listen_to(self, ear: Ear) -> None:
        """Listen to what *ear* wants too, by another connection if need be."""
        symbols, series = self._streamed
        if self._tasks and ear.symbols <= symbols and ear.series <= series:
            return
        self._stop()
        symbols = frozenset[str]().union(*(each.symbols for each in self._ears))
        series = frozenset[Series]().union(*(each.series for each in self._ears))
        self._streamed = symbols, series
        jobs = [self._look()]
        if self._runtime.settings.streams:
            jobs += [self._listen(symbols, series), self._mind_silence()]
        self._tasks = [asyncio.create_task(job) for job in jobs]

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def _look(self) -> None:
        """Hand over candles as they are stored."""
        while True:
            marks: dict[Series, datetime] = {}
            for ear in self._ears:
                marks |= {series: min(mark, marks.get(series, mark)) for series, mark in ear.marks.items()}
            try:
                found = await self._stored(marks) if marks else {}
            except DatabaseUnavailable as exc:
                for ear in self._ears:
                    ear.fail(exc)
            else:
                for ear in self._ears:
                    ear.hand(found)
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self, symbols: Collection[str], series: Collection[Series]) -> None:
        runtime = self._runtime
        while True:
            try:
                await runtime.require_time()
                url = runtime.settings.stream_url
                await MarketStream(url, runtime.market, runtime.clock, quotes=symbols, candles=series).run(self._hear)
            except PerpetuaError as exc:
                log.info("no market stream for listeners", extra={"why": str(exc)})
            except Exception:
                log.exception("the market stream for listeners has failed")
            await asyncio.sleep(RETRY_SECONDS)

    def _hear(self, news: MarketNews) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._be_live(True)
        match news:
            case Quote():
                self._tell_price(news)
            case Resynced():
                for quote in news.quotes.values():
                    self._tell_price(quote)
            case CandleUpdate():
                message = messages.Forming(**as_told(news.series, news.candle)).written()
                for ear in self._ears:
                    if news.series in ear.series:
                        ear.offer(news.series, message)

    def _tell_price(self, quote: Quote) -> None:
        message = messages.Price(
            symbol=quote.symbol,
            mark=f"{quote.mark_price:f}",
            index=f"{quote.index_price:f}",
            funding_rate=f"{quote.funding_rate:f}",
            next_funding_at=quote.next_funding_at.isoformat(),
            at=quote.at.isoformat(),
        ).written()
        self._prices[quote.symbol] = message
        for ear in self._ears:
            if quote.symbol in ear.symbols:
                ear.offer(quote.symbol, message)

    async def _mind_silence(self) -> None:
        clock = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1)
            if clock.time() - self._heard_at > QUIET_SECONDS:
                self._be_live(False)

    def _be_live(self, is_live: bool) -> None:
        if is_live is not self._live:
            self._live = is_live
            for ear in self._ears:
                self._say_whether_live(ear)

    def _say_whether_live(self, ear: Ear) -> None:
        why_not = SILENT if self._runtime.settings.streams else OFF
        ear.offer(LIVE, messages.Live(live=self._live, detail="" if self._live else why_not).written())


def as_told(series: Series, candle: Candle) -> dict[str, Any]:
    """Return a candle as it goes over the wire."""
    values = {name: f"{getattr(candle, name):f}" for name in ("open", "high", "low", "close", "volume")}
    return {
        "symbol": series.symbol,
        "timeframe": series.timeframe.value,
        "opened": candle.opened.isoformat(),
        **values,
    }
