"""
Rate limits: request weight per address and minute, orders per account and minute.

Minutes are minutes of the venue's own time: an accelerated market accelerates its limits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from .errors import Refusal
from .intervals import MINUTE

WEIGHT_LIMIT, ORDER_LIMIT = 2400, 1200


class Meter:
    """Counts something by name within the current minute."""

    def __init__(self, limit: int, refusal: int) -> None:
        self.limit = limit
        self._refusal = refusal
        self._minute = 0
        self._used: dict[str, int] = defaultdict(int)

    def use(self, name: str, amount: int, now: int) -> None:
        """Count an amount, or refuse it when it is more than the minute has left; it is counted either way."""
        self.used(name, now)
        self._used[name] += amount
        if self._used[name] > self.limit:
            raise Refusal(self._refusal, self.limit)

    def used(self, name: str, now: int) -> int:
        """Return what has been counted this minute."""
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._used.clear()
        return self._used[name]


@dataclass(frozen=True, slots=True)
class Limits:
    """The two limits of a venue."""

    weights: Meter
    """Request weight by address."""
    orders: Meter
    """New orders by account."""


def kline_weight(limit: int) -> int:
    """Return the weight of asking for so many candles."""
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def depth_weight(limit: int) -> int:
    """Return the weight of asking for so many price levels."""
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20
