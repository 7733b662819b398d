"""Public prices: the `MarketData` port over HTTP. Safe to ask for many things at once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Self, TypeVar

import httpx

from shared.domain.errors import RateLimited, Refused, VenueError, VenueUnreachable
from shared.domain.instrument import Instrument
from shared.domain.market import WIDTH, Candle, Quote, Series, Timeframe
from shared.domain.ports import Clock
from shared.domain.tally import Tally
from shared.exchange.client import AsterClient
from shared.exchange.fields import milliseconds
from shared.exchange.market_wire import (
    Day,
    Emulation,
    read_books,
    read_candles,
    read_days,
    read_emulation,
    read_funding_intervals,
    read_instruments,
    read_open_interest,
    read_quotes,
    read_server_time,
)

T = TypeVar("T")

INSTRUMENTS_LIVE = timedelta(hours=1)
SILENCE = timedelta(hours=1)
"""How long what is good to know, but not needed, is not asked for again once it could not be had."""

PAGE = 499
"""Candles a request: no other number brings as many for their weight."""

DAYS_LIVE = timedelta(minutes=1)
"""How long the statistics of a day are shared by accounts that follow one another."""

FEW_DAYS = 39
"""Up to so many symbols the statistics of a day cost less one by one than those of all symbols together."""

_SHORTEST_MONTH = timedelta(days=28)
_NOBODY_KNOWS = -1121


def open_market(
    base_url: str, clock: Clock, transport: httpx.AsyncBaseTransport | None = None, *, tally: Tally | None = None
) -> "AsterMarketData":
    """Return the market at *base_url*; close it when done. A *transport* handed in is shared and stays open.

    Requests are counted in *tally*.
    """
    return AsterMarketData(AsterClient(base_url, clock=clock, transport=transport, tally=tally), clock)


class AsterMarketData:
    """What everybody may know. Raises VenueError."""

    def __init__(self, client: AsterClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._instruments: dict[str, Instrument] = {}
        self._instruments_until: datetime | None = None
        self._asking = asyncio.Lock()
        self._funding_intervals: Mapping[str, timedelta] = {}
        self._funding_until: datetime | None = None
        self._days_known: dict[str, tuple[datetime, Day]] = {}
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

    async def emulation(self) -> Emulation:
        """Return how fast time runs there and what its books are called: an emulator tells, the exchange does not."""
        return await self._client.read("time", weight=1, into=read_emulation, urgent=True)

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
        """Return what the exchange says of the candles that opened within [since, until], the running one left out.

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
            limit = min(_most_candles(series.timeframe, since, until), PAGE)
            page = [candle for candle in await self._page(series, since, until, limit) if since <= candle.opened]
            found += page
            if len(page) < limit:
                break
            since = series.timeframe.following(max(candle.opened for candle in page))
        return found

    async def first_opened(self, series: Series, since: datetime, until: datetime) -> datetime | None:
        """Return when the first candle within [since, until] opened, or None where there is none: one cheap request."""
        page = await self._page(series, since, until, 1)
        return min((candle.opened for candle in page if since <= candle.opened <= until), default=None)

    async def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return the present quote of each symbol that the exchange knows; several cost no more than one."""
        wanted = list(symbols)
        if not wanted:
            return {}
        quotes, books, days, intervals, interests = await asyncio.gather(
            self._together(("premiumIndex", tuple(wanted)), lambda: self._quotes(wanted)),
            self._together(("books", len(wanted) == 1 and wanted[0]), lambda: self._books(wanted)),
            self._days(wanted),
            self._together("fundingInfo", self._intervals),
            asyncio.gather(*(self._interest_of(symbol) for symbol in wanted)),
        )
        known = dict(zip(wanted, interests, strict=True))
        return {
            symbol: _completed(quote, known[symbol], books.get(symbol), days.get(symbol), intervals.get(symbol))
            for symbol, quote in quotes.items()
        }

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
            if exc.code != _NOBODY_KNOWS:
                raise
            return {}

    async def _books(self, symbols: Sequence[str]) -> Mapping[str, tuple[Decimal, Decimal]]:
        params = {"symbol": symbols[0]} if len(symbols) == 1 else {}
        weight = 1 if params else 2
        return await self._good_to_know("ticker/bookTicker", params, weight=weight, into=read_books) or {}

    async def _days(self, symbols: Sequence[str]) -> Mapping[str, Day]:
        now = self._clock.now()
        known = {each: day for each, (until, day) in self._days_known.items() if now < until}
        unknown = [symbol for symbol in symbols if symbol not in known]
        if len(unknown) > FEW_DAYS:
            answers = [await self._together("ticker/24hr", lambda: self._day({}, weight=40))]
        else:
            asked = (
                self._together(("ticker/24hr", symbol), partial(self._day, {"symbol": symbol}, weight=1))
                for symbol in unknown
            )
            answers = await asyncio.gather(*asked)
        for answer in answers:
            self._days_known |= {symbol: (now + DAYS_LIVE, day) for symbol, day in answer.items()}
            known |= answer
        return known

    async def _day(self, params: Mapping[str, str], *, weight: int) -> Mapping[str, Day]:
        return await self._good_to_know("ticker/24hr", params, weight=weight, into=read_days) or {}

    async def _intervals(self) -> Mapping[str, timedelta]:
        if self._funding_until is None or self._clock.now() >= self._funding_until:
            found = await self._good_to_know("fundingInfo", {}, weight=1, into=read_funding_intervals)
            if found is None:
                return self._funding_intervals
            self._funding_intervals, self._funding_until = found, self._clock.now() + INSTRUMENTS_LIVE
        return self._funding_intervals

    async def _interest_of(self, symbol: str) -> Decimal | None:
        return await self._together(("openInterest", symbol), lambda: self._open_interest(symbol))

    async def _open_interest(self, symbol: str) -> Decimal | None:
        return await self._good_to_know("openInterest", {"symbol": symbol}, weight=1, into=read_open_interest)

    async def _good_to_know(
        self, name: str, params: Mapping[str, str], *, weight: int, into: Callable[[Any], T]
    ) -> T | None:
        """Ask for what a quote can do without: None when it cannot be had, and no second question for a while.

        The manual does not promise all of it, and the test network has not all that it promises.
        """
        question = f"{name} {params.get('symbol', '')}"
        silent_until = self._silent_until.get(question)
        if silent_until is not None and self._clock.now() < silent_until:
            return None
        try:
            return await self._client.read(name, params, weight=weight, into=into)
        except (VenueUnreachable, RateLimited):
            return None
        except VenueError:
            self._silent_until[question] = self._clock.now() + SILENCE
            return None


def _completed(
    quote: Quote,
    open_interest: Decimal | None,
    book: tuple[Decimal, Decimal] | None,
    day: Day | None,
    funding_interval: timedelta | None,
) -> Quote:
    bid, ask = book or (None, None)
    quote = replace(quote, open_interest=open_interest, bid=bid, ask=ask, funding_interval=funding_interval)
    if day is None:
        return quote
    return replace(quote, change_24h=day.change, high_24h=day.high, low_24h=day.low, turnover_24h=day.turnover)


def _most_candles(timeframe: Timeframe, since: datetime, until: datetime) -> int:
    return (until - since) // WIDTH.get(timeframe, _SHORTEST_MONTH) + 1


def _weight_of_candles(limit: int) -> int:
    """The exchange's table: what a page of candles costs by its limit."""
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
