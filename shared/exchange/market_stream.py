"""
The market as it moves: prices, best prices, trades and candles, by as few connections as the exchange's limits allow.

After every gap, the first connection included, whoever listens gets a `Resynced`: the present quotes and the candles
that closed unheard, asked for over HTTP. What is older than what was told already is dropped, so an event told twice or
late does no harm. Any process may have one, and as many of them as it has use for.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection

from shared.domain.errors import VenueError
from shared.domain.market import Candle, Quote, Series
from shared.domain.news import BookTop, CandleUpdate, MarketNews, PublicTrade, Resynced
from shared.domain.ports import Clock, MarketData
from shared.exchange.stream import LIFETIME, Frame, Sleep, Stream
from shared.exchange.stream_wire import (
    BOOK_TOP,
    MARK_PRICE,
    TRADES,
    candle_stream,
    is_answer,
    read_market,
    stream_name,
    write_subscription,
)

log = logging.getLogger("perpetua.market_data")

MOST_STREAMS = 200
BATCH = 50
"""Streams a command. The exchange takes ten messages a second: the four that fill a connection are well within."""
SILENT_SECONDS = 30.0
"""Something moves every second; a connection that is silent for so long is dead."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

Hear = Callable[[MarketNews], None]


class MarketStream:
    """What to listen to. `run` it until nobody wants to know any more."""

    def __init__(
        self,
        url: str,
        market: MarketData,
        clock: Clock,
        *,
        quotes: Iterable[str] = (),
        books: Iterable[str] = (),
        trades: Iterable[str] = (),
        candles: Iterable[Series] = (),
        most_silent: float = SILENT_SECONDS,
        lifetime: timedelta = LIFETIME,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Listen at *url* to the mark prices, best prices and trades of symbols and to candles; resync by *market*."""
        wanted: dict[str, str | Series] = {}
        for kind, symbols in ((MARK_PRICE, quotes), (BOOK_TOP, books), (TRADES, trades)):
            wanted |= {stream_name(symbol, kind): symbol for symbol in symbols}
        wanted |= {candle_stream(series): series for series in candles}
        names = list(wanted)
        self._parts = [
            _Part(
                {name: wanted[name] for name in names[start : start + MOST_STREAMS]},
                f"{url}/stream",
                market,
                clock,
                most_silent=most_silent,
                lifetime=lifetime,
                sleep=sleep,
            )
            for start in range(0, len(names), MOST_STREAMS)
        ]

    @property
    def connected(self) -> bool:
        """Whether every part of it is listened to at this moment."""
        return all(part.stream.connected for part in self._parts)

    @property
    def heard_at(self) -> datetime | None:
        """When something was last heard by it, by the exchange's time."""
        return max(filter(None, (part.stream.heard_at for part in self._parts)), default=None)

    async def run(self, hear: Hear) -> None:
        """Have *hear* told of everything until cancelled. It must not take long, and must not raise."""
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(part.run(hear))


class _Part:
    """One connection, and what has been told by it."""

    def __init__(
        self,
        wanted: dict[str, str | Series],
        address: str,
        market: MarketData,
        clock: Clock,
        *,
        most_silent: float,
        lifetime: timedelta,
        sleep: Sleep,
    ) -> None:
        self._streams = list(wanted)
        self._quoted = [what for name, what in wanted.items() if name.endswith(MARK_PRICE) and isinstance(what, str)]
        self._series = [what for what in wanted.values() if isinstance(what, Series)]
        self._address = address
        self._market = market
        self._clock = clock
        self._sleep = sleep
        self._told: dict[object, Any] = {}
        """The newest of each thing, since the last gap."""
        self._closed: dict[Series, datetime] = {}
        """When the last candle opened that we know to have closed."""
        self._owed: dict[Series, datetime] = {}
        """When the first candle opened that closed unheard."""
        self._gap: tuple[str, datetime | None] | None = None
        self._resync: asyncio.Task[None] | None = None
        self.stream = Stream(
            f"market, {len(wanted)} streams",
            self._where,
            hear=self._take,
            gap=self._lost,
            clock=clock,
            greet=self._subscribe,
            most_silent=most_silent,
            lifetime=lifetime,
            sleep=sleep,
        )

    async def run(self, hear: Hear) -> None:
        self._hear = hear
        async with asyncio.TaskGroup() as self._group:
            await self.stream.run()

    async def _where(self) -> str:
        return self._address

    async def _subscribe(self, socket: ClientConnection) -> Sequence[Frame]:
        early: list[Frame] = []
        for number, start in enumerate(range(0, len(self._streams), BATCH), start=1):
            await socket.send(write_subscription(self._streams[start : start + BATCH], number))
            while not is_answer(frame := await socket.recv(), number):
                early.append(frame)
        return early

    def _take(self, payload: Any) -> None:
        news = read_market(payload)
        if news is None or not self._is_new(news):
            return
        if isinstance(news, CandleUpdate) and news.closed:
            due = news.series.timeframe.following(self._closed.get(news.series, news.candle.opened))
            self._closed[news.series] = news.candle.opened
            if due < news.candle.opened:
                self._owed.setdefault(news.series, due)
                self._resynchronise("a candle never came", due)
        self._hear(news)

    def _is_new(self, news: Quote | BookTop | PublicTrade | CandleUpdate) -> bool:
        key: tuple[object, ...]
        age: Any
        match news:
            case Quote():
                key, age = (Quote, news.symbol), news.at
            case BookTop():
                key, age = (BookTop, news.symbol), news.update_id
            case PublicTrade():
                key, age = (PublicTrade, news.symbol), news.trade_id
            case CandleUpdate():
                key, age = (CandleUpdate, news.series), (news.candle.opened, news.closed, news.at)
        if key in self._told and age <= self._told[key]:
            return False
        self._told[key] = age
        return True

    def _lost(self, why: str, since: datetime | None) -> None:
        self._told.clear()
        for series in self._series:
            if series in self._closed:
                self._owed.setdefault(series, series.timeframe.following(self._closed[series]))
            else:
                self._closed[series] = self._last_closed(series)
        self._resynchronise(why, since)

    def _last_closed(self, series: Series) -> datetime:
        timeframe = series.timeframe
        return timeframe.back(timeframe.open_at(self._clock.now()), 1)

    def _resynchronise(self, why: str, since: datetime | None) -> None:
        """Begin to catch up. One catching up already begins anew, and answers for its own gap too."""
        if self._resync is not None and not self._resync.done():
            self._resync.cancel()
        self._gap = self._gap or (why, since)
        self._resync = self._group.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                quotes, candles = await self._present()
                break
            except VenueError as exc:
                log.info("no resync yet", extra={"why": str(exc)})
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        why, since = self._gap or ("", None)
        self._gap = None
        self._owed.clear()
        for series, found in candles.items():
            if found:
                self._closed[series] = max(self._closed[series], found[-1].opened)
        newest = {symbol: self._told.get((Quote, symbol)) for symbol in quotes}
        fresh = {symbol: quote for symbol, quote in quotes.items() if (at := newest[symbol]) is None or quote.at > at}
        self._hear(Resynced(since=since, why=why, quotes=fresh, candles=candles))

    async def _present(self) -> tuple[Mapping[str, Quote], dict[Series, Sequence[Candle]]]:
        """Return the quotes and the candles that closed unheard."""
        owed = {series: since for series, since in self._owed.items() if since <= self._last_closed(series)}
        quotes, found = await asyncio.gather(
            self._market.quotes(self._quoted),
            asyncio.gather(
                *(
                    self._market.candles(series, since=since, until=self._last_closed(series))
                    for series, since in owed.items()
                )
            ),
        )
        return quotes, dict(zip(owed, found, strict=True))
