"""
Candle timeframes: when a bar of each begins and ends, in milliseconds since the epoch, UTC.

Weeks begin on Monday and months on the first; every other timeframe counts from the epoch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FIRST_MONDAY = 4 * DAY  # 1970-01-05; the epoch was a Thursday

SPANS: dict[str, int] = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": 7 * DAY,
    "1M": 31 * DAY,
}
"""Length of each timeframe; of a month, the longest."""


def bar_starts(times: Times, interval: str) -> Times:
    """Return for each time the opening time of the bar it falls into."""
    if interval == "1M":
        return times.astype("datetime64[ms]").astype("datetime64[M]").astype("datetime64[ms]").astype(np.int64)
    offset = FIRST_MONDAY if interval == "1w" else 0
    return times - (times - offset) % SPANS[interval]


def bar_ends(starts: Times, interval: str) -> Times:
    """Return for each opening time the opening time of the bar after it."""
    if interval == "1M":
        months = starts.astype("datetime64[ms]").astype("datetime64[M]") + np.timedelta64(1, "M")
        return months.astype("datetime64[ms]").astype(np.int64)
    return starts + SPANS[interval]


def bar_of(time: int, interval: str) -> tuple[int, int]:
    """Return the opening time of the bar around *time*, and of the next one."""
    if interval == "1M":
        start = bar_starts(np.array([time], dtype=np.int64), interval)
        return int(start[0]), int(bar_ends(start, interval)[0])
    offset = FIRST_MONDAY if interval == "1w" else 0
    begin = time - (time - offset) % SPANS[interval]
    return begin, begin + SPANS[interval]
