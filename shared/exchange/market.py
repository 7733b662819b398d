"""Public prices: the `MarketData` port over HTTP. Safe to ask for many things at once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self, TypeVar

import httpx

from shared.domain.errors import RateLimited, Refused, VenueError, VenueUnreachable
from shared.domain.instrument import Instrument
from shared.domain.market import WIDTH, Candle, Quote, Series, Timeframe
from shared.domain.ports import Clock
from shared.exchange.client import AsterClient
from shared.exchange.fields import milliseconds
from shared.exchange.market_wire import (
    read_candles,
    read_instruments,
    read_open_interest,
    read_quotes,
    read_server_time,
    read_speed,
)

T = TypeVar("T")

INSTRUMENTS_LIVE = timedelta(hours=1)
SILENCE = timedelta(hours=1)
"""How long a symbol's open interest is not asked for again once it could not be had: the manual does not promise it."""

_PAGE = 1500
_SHORTEST_MONTH = timedelta(days=28)


def open_market(base_url: str, clock: Clock, transport: httpx.AsyncBaseTransport | None = None) -> "AsterMarketData":
    """Return the market at *base_url*; close it when done. A *transport* handed in is shared and stays open."""
    return AsterMarketData(AsterClient(base_url, clock=clock, transport=transport), clock)


class AsterMarketData:
    """What everybody may know. Raises VenueError."""

    def __init__(self, client: AsterClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._instruments: dict[str, Instrument] = {}
        self._instruments_until: datetime | None = None
        self._asking = asyncio.Lock()
        self._silent_until: dict[str, datetime] = {}
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}
        self._kept: dict[Series, tuple[tuple[datetime, datetime], list[Candle]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def server_time(self) -> datetime:
        """Return what the exchange's clock shows."""
        return await self._client.read("time", weight=1, into=read_server_time)

    async def speed(self) -> float:
        """Return how many times faster than life time runs there: 1 at the exchange, any at its emulator."""
        return await self._client.read("time", weight=1, into=read_speed)

    async def instruments(self) -> Mapping[str, Instrument]:
        """Return every perpetual contract by symbol, as of within the hour."""
        async with self._asking:
            if self._instruments_until is None or self._clock.now() >= self._instruments_until:
                self._instruments = await self._client.read("exchangeInfo", weight=1, into=read_instruments)
                self._instruments_until = self._clock.now() + INSTRUMENTS_LIVE
            return self._instruments

    def forget_instruments(self) -> None:
        """Have the contracts asked for anew: an order showed that one is not what we know of it."""
        self._instruments_until = None

    async def candles(self, series: Series, *, since: datetime, until: datetime) -> Sequence[Candle]:
        """Return the closed candles that opened within [since, until], oldest first.

        The last answer of each series is kept: closed candles do not change, and accounts follow one another.
        """
        if self._kept.get(series, (None,))[0] == (since, until):
            return self._kept[series][1]
        found = await self._together((series, since, until), lambda: self._all_pages(series, since, until))
        if found and found[-1].opened == until:
            self._kept[series] = ((since, until), found)
        return found

    async def _together(self, question: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask once for everybody who wants to know the same at the same time: accounts share ticks and symbols."""
        if question not in self._under_way:
            task = asyncio.create_task(ask())
            self._under_way[question] = task
            task.add_done_callback(lambda _: self._under_way.pop(question))
        # Shielded, since whoever gives up waiting must not take the answer from the others.
        answer: T = await asyncio.shield(self._under_way[question])
        return answer

    async def _all_pages(self, series: Series, since: datetime, until: datetime) -> list[Candle]:
        found: list[Candle] = []
        while since <= until:
            limit = min(_most_candles(series.timeframe, since, until), _PAGE)
            page = [candle for candle in await self._page(series, since, until, limit) if since <= candle.opened]
            found += page
            if len(page) < limit:
                break
            since = series.timeframe.following(page[-1].opened)
        return found

    async def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return the present quote of each symbol that the exchange knows; several cost no more than one."""
        wanted = list(symbols)
        if not wanted:
            return {}
        quotes, interests = await asyncio.gather(
            self._together(("premiumIndex", tuple(wanted)), lambda: self._quotes(wanted)),
            asyncio.gather(*(self._interest_of(symbol) for symbol in wanted)),
        )
        known = dict(zip(wanted, interests, strict=True))
        return {symbol: replace(quote, open_interest=known[symbol]) for symbol, quote in quotes.items()}

    async def _page(self, series: Series, since: datetime, until: datetime, limit: int) -> list[Candle]:
        # The clock is read before asking: a candle that closes while the answer travels may be told unfinished.
        closed_by = self._clock.now()
        params = {
            "symbol": series.symbol,
            "interval": series.timeframe.value,
            "startTime": str(milliseconds(since)),
            "endTime": str(milliseconds(until)),
            "limit": str(limit),
        }
        return await self._client.read(
            "klines",
            params,
            weight=_weight_of_candles(limit),
            into=lambda payload: read_candles(payload, closed_by=closed_by),
        )

    async def _quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        params = {"symbol": symbols[0]} if len(symbols) == 1 else {}
        try:
            return await self._client.read(
                "premiumIndex", params, weight=1, into=lambda payload: read_quotes(payload, symbols)
            )
        except Refused as exc:
            if exc.code != -1121:  # a symbol nobody knows has no quote
                raise
            return {}

    async def _interest_of(self, symbol: str) -> Decimal | None:
        return await self._together(("openInterest", symbol), lambda: self._open_interest(symbol))

    async def _open_interest(self, symbol: str) -> Decimal | None:
        silent_until = self._silent_until.get(symbol)
        if silent_until is not None and self._clock.now() < silent_until:
            return None
        try:
            return await self._client.read("openInterest", {"symbol": symbol}, weight=1, into=read_open_interest)
        except (VenueUnreachable, RateLimited):
            return None
        except VenueError:
            self._silent_until[symbol] = self._clock.now() + SILENCE
            return None


def _most_candles(timeframe: Timeframe, since: datetime, until: datetime) -> int:
    return (until - since) // WIDTH.get(timeframe, _SHORTEST_MONTH) + 1


def _weight_of_candles(limit: int) -> int:
    """The exchange's table: what a page of candles costs by its limit."""
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
