"""Candles, the grid of time they stand on, and the quote of a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One closed candle. Prices in the quote asset, volume in the base asset."""

    opened: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


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

    def defect(self, tick: datetime) -> str | None:
        """Say in a few words why a decision at *tick* must not rest on this window, or return None."""
        if not self.opened:
            return "no candles"
        due = self.series.timeframe.back(self.series.timeframe.open_at(tick), 1)
        if self.opened[-1] > due:
            return f"last candle opened at {self.opened[-1]:%Y-%m-%d %H:%M}, in the future of the tick"
        if self.opened[-1] < due:
            return f"last candle opened at {self.opened[-1]:%Y-%m-%d %H:%M}, due {due:%Y-%m-%d %H:%M}"
        for before, after in zip(self.opened, self.opened[1:], strict=False):
            if self.series.timeframe.following(before) != after:
                return f"gap after {before:%Y-%m-%d %H:%M}"
        if min(self.low) <= 0:
            return "a price at or below zero"
        return None


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
