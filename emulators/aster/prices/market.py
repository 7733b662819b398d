"""
Where prices come from: what the venue asks of a market, and the market that is made of candles.

The venue only ever asks about the past and the present; a market of candles may know the future and must not show it.
Last prices are whole ticks of the symbol's instrument, mark and index prices whole tenths of one; times are
milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from .candles import Candles
from .intervals import DAY, HOUR, bar_of
from .klines import VOLUME_DECIMALS, Klines
from .marks import Followers, index_candles, mark_candles
from .symbols import Instrument

FUNDING_INTERVAL = 8 * HOUR
"""The usual time between two settlements."""
Kind = Literal["last", "mark", "index"]
"""Which of a symbol's prices."""


class UnusableMarket(Exception):
    """There is no market here; the text says in one line what is wrong and where."""


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """The last 24 hours of a symbol; prices in ticks, volumes in base and quote asset."""

    open_time: int
    close_time: int
    open: int
    high: int
    low: int
    last: int
    volume: Decimal
    quote_volume: Decimal
    trades: int


class Market(ABC):
    """Prices and funding of some symbols over a stretch of time."""

    identity: str
    """Two markets with the same identity show the same prices; books kept on one may be continued on the other."""
    instruments: dict[str, Instrument]
    start: int
    """When trading begins; there is history before it."""
    end: int | None
    """When the prices end, if they do."""
    real_time: bool = False
    """Whether prices come in as they are made, so that time cannot be hurried."""

    async def follow(self) -> None:  # noqa: B027 - only a market that prices come in to has anything to do
        """Keep up with the prices until cancelled."""

    @abstractmethod
    def price(self, symbol: str, at: int) -> int | None:
        """Return the last traded price, or nothing while the symbol is not yet listed."""

    @abstractmethod
    def extremes(self, symbol: str, after: int, until: int) -> tuple[int, int]:
        """Return the lowest and the highest price in (after, until] of a listed symbol."""

    @abstractmethod
    def mark(self, symbol: str, at: int) -> int:
        """Return the mark price of a listed symbol in tenths of a tick."""

    @abstractmethod
    def index(self, symbol: str, at: int) -> int:
        """Return the index price of a listed symbol in tenths of a tick."""

    @abstractmethod
    def mark_extremes(self, symbol: str, after: int, until: int) -> tuple[int, int]:
        """Return the lowest and the highest mark price in (after, until] of a listed symbol."""

    @abstractmethod
    def minute_volume(self, symbol: str, end: int) -> Decimal:
        """Return how much of the base asset was traded in the minute before a time."""

    @abstractmethod
    def jumps_at(self, symbol: str, at: int) -> bool:
        """Tell whether the price may jump at this millisecond instead of moving tick by tick."""

    def funding_interval(self, symbol: str) -> int:
        """Return the time between two settlements of a symbol, in milliseconds."""
        return self.instruments[symbol].funding_hours * HOUR

    @abstractmethod
    def funding_rate(self, symbol: str, at: int) -> Decimal:
        """Return the rate settled at a funding time, or expected for one to come."""

    @abstractmethod
    async def funding_history(self, symbol: str, start: int, end: int, limit: int) -> list[tuple[int, Decimal]]:
        """Return the first settlements (time, rate) in [start, end]."""

    @abstractmethod
    async def klines(
        self, symbol: str, interval: str, *, now: int, start: int | None, end: int | None, limit: int, kind: Kind
    ) -> bytes:
        """
        Return candles as the exchange writes them, a JSON array of arrays of twelve.

        With a *start* the first ones from there, else the last ones up to *end* or *now*. Candles of mark and index
        prices have no volumes.
        """

    @abstractmethod
    async def day(self, symbol: str, now: int) -> DayStatistics:
        """Return the statistics of the 24 hours before *now* of a listed symbol."""


def funding_times(start: int, end: int, interval: int) -> range:
    """Return the settlement times in [start, end]: every *interval* from midnight UTC."""
    return range(-(-start // interval) * interval, end + 1, interval)


def next_funding_time(now: int, interval: int) -> int:
    """Return the first settlement after *now*."""
    return (now // interval + 1) * interval


def first_time(possible: Callable[[int, int], bool], after: int, until: int) -> int | None:
    """
    Return the first millisecond in (after, until] at which something happens, or nothing.

    *possible(after, until)* may say yes too often for a stretch of time, but must be exact for a single millisecond;
    halving then finds the moment without walking through the candles in between.
    """
    if after >= until or not possible(after, until):
        return None
    if until - after == 1:
        return until
    middle = (after + until) // 2
    found = first_time(possible, after, middle)
    return found if found is not None else first_time(possible, middle, until)


class CandleMarket(Market):
    """A market whose prices are the path through candles."""

    def __init__(self, instruments: dict[str, Instrument], *, base: str) -> None:
        """*base* is the timeframe of the candles, the finest that can be asked for."""
        self.instruments = instruments
        self.base = base
        self._klines = {symbol: Klines(instrument, base) for symbol, instrument in instruments.items()}
        self._fine_klines = {
            (symbol, kind): Klines(replace(instrument, price_decimals=instrument.price_decimals + 1), base)
            for symbol, instrument in instruments.items()
            for kind in ("mark", "index")
        }
        self._followers: dict[str, tuple[Candles, Followers, Followers]] = {}

    @abstractmethod
    def candles(self, symbol: str, until: int) -> Candles:
        """Return the candles of a symbol, complete at least up to *until*."""

    def price(self, symbol: str, at: int) -> int | None:
        candles = self.candles(symbol, at)
        return None if at < candles.time[0] else candles.price(at)

    def extremes(self, symbol: str, after: int, until: int) -> tuple[int, int]:
        return self.candles(symbol, until).extremes(after, until)

    def mark(self, symbol: str, at: int) -> int:
        return self._following(symbol, at)[1].price(at)

    def index(self, symbol: str, at: int) -> int:
        return self._following(symbol, at)[2].price(at)

    def mark_extremes(self, symbol: str, after: int, until: int) -> tuple[int, int]:
        return self._following(symbol, until)[1].extremes(after, until)

    def minute_volume(self, symbol: str, end: int) -> Decimal:
        return Decimal(self.candles(symbol, end).minute_volume(end)).scaleb(-VOLUME_DECIMALS)

    def _following(self, symbol: str, until: int) -> tuple[Candles, Followers, Followers]:
        """Return the candles of a symbol with those of its mark and its index price."""
        candles = self.candles(symbol, until)
        known = self._followers.get(symbol)
        if known is None or known[0] is not candles:
            known = self._followers[symbol] = (candles, mark_candles(candles), index_candles(candles))
        return known

    def jumps_at(self, symbol: str, at: int) -> bool:
        candles = self.candles(symbol, at)
        return int(candles.time[candles.index(at)]) == at

    async def funding_history(self, symbol: str, start: int, end: int, limit: int) -> list[tuple[int, Decimal]]:
        listed = int(self.candles(symbol, end).time[0])
        times = funding_times(max(start, listed), end, self.funding_interval(symbol))[:limit]
        return [(time, self.funding_rate(symbol, time)) for time in times]

    async def klines(
        self, symbol: str, interval: str, *, now: int, start: int | None, end: int | None, limit: int, kind: Kind
    ) -> bytes:
        candles, mark, index = self._following(symbol, now)
        if kind == "last":
            rows = self._klines[symbol]
        else:
            rows, candles = self._fine_klines[symbol, kind], mark if kind == "mark" else index
        return rows.answer(candles, interval, now=now, start=start, end=end, limit=limit, traded=kind == "last")

    async def day(self, symbol: str, now: int) -> DayStatistics:
        candles = self.candles(symbol, now)
        instrument = self.instruments[symbol]
        first = max(0, int(candles.time.searchsorted(now - DAY)))
        last = candles.index(now)
        running = self._klines[symbol].running(candles, self.base, now)
        low, high = candles.extremes(max(now - DAY, int(candles.time[0]) - 1), now)
        closed = last if running is not None else last + 1
        volume, quote = Klines.traded(candles, instrument, min(first, closed), closed)
        if running is not None:
            volume, quote = volume + running.volume, quote + running.quote_volume
        opened, _ = bar_of(now, self.base)
        return DayStatistics(
            open_time=now - DAY,
            close_time=now,
            open=candles.price(max(now - DAY, int(candles.time[0]))),
            high=high,
            low=low,
            last=candles.price(now),
            volume=volume,
            quote_volume=quote,
            trades=max(1, (closed - first) * 60 + (now - opened) // 1000),
        )
