"""
Candles of one symbol, and the price path they stand for.

Prices are whole ticks and volumes whole steps, so that nothing is ever rounded on the way out.

The path inside a candle is fixed: it leaves the open, reaches one extreme after 3/10 of the candle, the other after
7/10 and the close in the last millisecond. A rising candle (close >= open) visits its low first, a falling one its
high. Between those points the path is straight and counts whole ticks, rounded towards the point it came from, so it
shows a price only once it has truly reached it. From one candle's close to the next one's open it jumps. Where
candles are missing it rests at the last close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .intervals import MINUTE, SPANS, Times, bar_starts

Ticks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles of one timeframe, oldest first; all arrays have the same length."""

    span: int
    """Length of a candle in milliseconds."""
    time: Times
    open: Ticks
    high: Ticks
    low: Ticks
    close: Ticks
    volume: NDArray[np.int64]
    """Base asset traded, in steps."""

    def __len__(self) -> int:
        return len(self.time)

    def index(self, at: int) -> int:
        """Return the candle that rules the price at *at*: the last one opened by then, -1 before the first."""
        return int(self.time.searchsorted(at, "right")) - 1

    def rises(self, index: int) -> bool:
        """Tell whether a candle visits its low before its high."""
        return bool(self.close[index] >= self.open[index])

    def points(self, index: int) -> tuple[tuple[int, int], ...]:
        """Return the four (time, price) corners of the path inside one candle."""
        start, opened, closed = int(self.time[index]), int(self.open[index]), int(self.close[index])
        high, low = int(self.high[index]), int(self.low[index])
        first, second = (low, high) if self.rises(index) else (high, low)
        return (
            (start, opened),
            (start + self.span * 3 // 10, first),
            (start + self.span * 7 // 10, second),
            (start + self.span - 1, closed),
        )

    def price(self, at: int) -> int:
        """Return the path's price in ticks at a time, which must not lie before the first candle."""
        return _price_on(self.points(self.index(at)), at)

    def extremes(self, after: int, until: int) -> tuple[int, int]:
        """Return the lowest and highest price in ticks of the path in (after, until]."""
        begin = after + 1
        first, last = self.index(begin), self.index(until)
        if first == last:
            return self._extremes_inside(first, begin, until)
        end = int(self.time[first]) + self.span - 1
        low, high = self._extremes_inside(first, begin, max(begin, end))
        last_low, last_high = self._extremes_inside(last, int(self.time[last]), until)
        low, high = min(low, last_low), max(high, last_high)
        if last - first > 1:
            low = min(low, int(self.low[first + 1 : last].min()))
            high = max(high, int(self.high[first + 1 : last].max()))
        return low, high

    def _extremes_inside(self, index: int, begin: int, end: int) -> tuple[int, int]:
        points = self.points(index)
        prices = [_price_on(points, begin), _price_on(points, end)]
        prices.extend(price for time, price in points if begin < time < end)
        return min(prices), max(prices)

    def minute_volume(self, end: int) -> int:
        """Return the steps traded in the minute before a time; a longer candle trades evenly."""
        index = self.index(end - 1)
        if index < 0 or end - int(self.time[index]) > self.span:
            return 0
        return int(self.volume[index]) * min(MINUTE, self.span) // self.span

    def joined(self, later: Sequence[Candles]) -> Candles:
        """Return these candles followed by later ones of the same timeframe."""
        parts = (self, *later)
        return Candles(
            self.span,
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.open for part in parts]),
            np.concatenate([part.high for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.close for part in parts]),
            np.concatenate([part.volume for part in parts]),
        )

    def aggregated(self, interval: str) -> Candles:
        """Return the same trading in bars of a longer timeframe; the last bar may be unfinished."""
        starts = bar_starts(self.time, interval)
        first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
        last = np.append(first[1:], len(starts)) - 1
        return Candles(
            SPANS[interval],
            starts[first],
            self.open[first],
            np.maximum.reduceat(self.high, first),
            np.minimum.reduceat(self.low, first),
            self.close[last],
            np.add.reduceat(self.volume, first),
        )


def _price_on(points: tuple[tuple[int, int], ...], at: int) -> int:
    """Return the price at *at* on straight lines between *points*, flat after the last."""
    for (time, price), (next_time, next_price) in pairwise(points):
        if at < next_time:
            travelled, length = (next_price - price) * (at - time), next_time - time
            return price + (travelled // length if travelled >= 0 else -(-travelled // length))
    return points[-1][1]


def whole(values: NDArray[np.floating[Any]], decimals: int) -> NDArray[np.int64]:
    """Return decimal fractions as whole units of 10**-decimals, to the nearest."""
    units: NDArray[np.int64] = np.rint(values * 10**decimals).astype(np.int64)
    return units
