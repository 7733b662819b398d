"""Candles, the grid of time they stand on, what can be wrong with them, and the quote of a moment."""

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import chain

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


class Timeframe(StrEnum):
    """A candle width that the exchange serves."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"
    D3 = "3d"
    W1 = "1w"
    MONTH = "1M"

    def open_at(self, moment: datetime) -> datetime:
        """Return the opening time of the candle that *moment* falls into."""
        if self is Timeframe.MONTH:
            return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        origin = FIRST_MONDAY if self is Timeframe.W1 else EPOCH
        return moment - (moment - origin) % WIDTH[self]

    def following(self, opened: datetime) -> datetime:
        """Return the opening time of the candle after the one that opened at *opened*."""
        if self is Timeframe.MONTH:
            return self.open_at(opened + timedelta(days=31))
        return opened + WIDTH[self]

    def back(self, opened: datetime, count: int) -> datetime:
        """Return the opening time of the candle *count* candles before the one that opened at *opened*."""
        if self is Timeframe.MONTH:
            months = opened.year * 12 + opened.month - 1 - count
            return opened.replace(year=months // 12, month=months % 12 + 1)
        return opened - count * WIDTH[self]

    def number(self, since: datetime, until: datetime) -> int:
        """Return how many candles open within [since, until], which are opening times."""
        if self is Timeframe.MONTH:
            return max((until.year - since.year) * 12 + until.month - since.month + 1, 0)
        return max((until - since) // WIDTH[self] + 1, 0)


WIDTH: dict[Timeframe, timedelta] = {
    Timeframe.M1: timedelta(minutes=1),
    Timeframe.M3: timedelta(minutes=3),
    Timeframe.M5: timedelta(minutes=5),
    Timeframe.M15: timedelta(minutes=15),
    Timeframe.M30: timedelta(minutes=30),
    Timeframe.H1: timedelta(hours=1),
    Timeframe.H2: timedelta(hours=2),
    Timeframe.H4: timedelta(hours=4),
    Timeframe.H6: timedelta(hours=6),
    Timeframe.H8: timedelta(hours=8),
    Timeframe.H12: timedelta(hours=12),
    Timeframe.D1: timedelta(days=1),
    Timeframe.D3: timedelta(days=3),
    Timeframe.W1: timedelta(weeks=1),
}


@dataclass(frozen=True, slots=True)
class Series:
    """Names one run of candles: a symbol at a timeframe."""

    symbol: str
    timeframe: Timeframe


@dataclass(frozen=True, slots=True)
class Span:
    """A run of opening times of one series, both ends included."""

    since: datetime
    until: datetime

    def meets(self, other: "Span") -> bool:
        """Whether they have an opening time in common."""
        return self.since <= other.until and other.since <= self.until

    def pages(self, timeframe: Timeframe, size: int) -> Iterator["Span"]:
        """Cut it into runs of at most *size* candles, oldest first."""
        since = self.since
        while since <= self.until:
            until = min(timeframe.back(since, 1 - size), self.until)
            yield Span(since, until)
            since = timeframe.following(until)

    def without(self, others: Iterable["Span"], timeframe: Timeframe) -> Iterator["Span"]:
        """Yield what is left of it when the *others*, in any order, are taken away, oldest first."""
        since = self.since
        for other in sorted(others, key=lambda each: each.since):
            if not other.meets(Span(since, self.until)):
                continue
            if since < other.since:
                yield Span(since, timeframe.back(other.since, 1))
            since = timeframe.following(other.until)
        if since <= self.until:
            yield Span(since, self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One closed candle. Prices in the quote asset, volume in the base asset."""

    opened: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @property
    def possible(self) -> bool:
        """Whether a market can have made it: every price positive and within low and high."""
        lowest, highest = sorted((self.open, self.close))
        return 0 < self.low <= lowest <= highest <= self.high and self.volume >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleWindow:
    """The last closed candles of a series, oldest first, as columns of floats: what indicators are computed from."""

    series: Series
    opened: Sequence[datetime]
    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]
    volume: Sequence[float]

    def digest(self) -> str:
        """Return a name for exactly these candles: the SHA-256 of all their values, in hexadecimal digits."""
        columns = (self.open, self.high, self.low, self.close, self.volume)
        values = (*(opened.timestamp() for opened in self.opened), *chain.from_iterable(columns))
        said = f"{self.series.symbol} {self.series.timeframe}".encode() + struct.pack(f"<{len(values)}d", *values)
        return hashlib.sha256(said).hexdigest()

    def defect(self, tick: datetime) -> str | None:
        """Say in a few words why a decision at *tick* must not rest on this window, or return None."""
        if not self.opened:
            return "no candles"
        return self._age(tick) or self._gap() or self._unfit_prices()

    def _age(self, tick: datetime) -> str | None:
        due = self.series.timeframe.back(self.series.timeframe.open_at(tick), 1)
        if self.opened[-1] > due:
            return f"last candle opened at {self.opened[-1]:%Y-%m-%d %H:%M}, in the future of the tick"
        if self.opened[-1] < due:
            return f"last candle opened at {self.opened[-1]:%Y-%m-%d %H:%M}, due {due:%Y-%m-%d %H:%M}"
        return None

    def _gap(self) -> str | None:
        for before, after in zip(self.opened, self.opened[1:], strict=False):
            if self.series.timeframe.following(before) != after:
                return f"gap after {before:%Y-%m-%d %H:%M}"
        return None

    def _unfit_prices(self) -> str | None:
        if min(self.low) <= 0:
            return "a price at or below zero"
        if len(self.volume) >= QUIET and not any(self.volume[-QUIET:]):
            return f"no trade since {self.opened[-QUIET]:%Y-%m-%d %H:%M}"
        return None

    def disagrees(self, finer: "CandleWindow") -> str | None:
        """Say where a window of the same symbol at a finer timeframe tells another price, or return None."""
        for opened, close in zip(reversed(self.opened), reversed(self.close), strict=True):
            moment = self.series.timeframe.following(opened)
            last = finer.series.timeframe.back(moment, 1)
            place = bisect_left(finer.opened, last)
            if place == 0:
                break
            if place == len(finer.opened) or finer.opened[place] != last:
                continue
            if abs(finer.close[place] - close) > PRICE_APART * close:
                names = f"{self.series.timeframe} and {finer.series.timeframe}"
                return f"{names} disagree about {moment:%Y-%m-%d %H:%M}: {close:g} and {finer.close[place]:g}"
        return None


QUIET = 6
"""So many candles in a row without a trade, and the price is one that nobody can be sure to get."""

PRICE_APART = 0.001
"""How far apart two candles may close that close together: they end with the same trade, but for one that came late."""

QUOTE_APART = Decimal("0.05")
"""How far the mark price may be from where a candle closed just before."""

QUOTE_AFTER = timedelta(minutes=5)
"""How long before: prices do move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a contract costs and how it is funded at one moment."""

    symbol: str
    mark_price: Decimal
    index_price: Decimal
    funding_rate: Decimal
    """Fraction of notional that longs pay shorts at the next funding time."""
    next_funding_at: datetime
    open_interest: Decimal | None
    """In the base asset; None where the exchange does not tell."""
    at: datetime
    bid: Decimal | None = None
    ask: Decimal | None = None
    change_24h: Decimal | None = None
    """The fraction that the price has risen within a day. From `bid` on, None is what the exchange does not tell."""
    high_24h: Decimal | None = None
    low_24h: Decimal | None = None
    turnover_24h: Decimal | None = None
    """In the quote asset."""
    funding_interval: timedelta | None = None

    @property
    def spread(self) -> Decimal | None:
        """Return the distance of the best ask from the best bid, as a fraction of the price between them."""
        if self.bid is None or self.ask is None or self.bid + self.ask <= 0:
            return None
        return (self.ask - self.bid) * 2 / (self.ask + self.bid)

    def disagrees(self, window: CandleWindow) -> str | None:
        """Say that the mark price is far from where *window* has just closed, or return None."""
        closed = window.series.timeframe.following(window.opened[-1])
        close = Decimal(window.close[-1])
        if abs(self.at - closed) > QUOTE_AFTER or abs(self.mark_price - close) <= QUOTE_APART * close:
            return None
        return f"the mark price is {self.mark_price}, but the last candle closed at {close:g}"
