"""
How often somebody may do something: a bucket of tokens each, refilled at a steady rate.

What is remembered is bounded: of more callers than that, whoever was quiet for the longest is forgotten, and with them
what they had used up.
"""

import asyncio
from collections import OrderedDict

MOST_CALLERS = 10_000


class Buckets:
    """A bucket for each caller, full at first."""

    def __init__(self, *, rate: float, burst: float) -> None:
        """*rate* refills a second; *burst* is what a full one holds."""
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What was left, and when."""

    def take(self, caller: str) -> float:
        """Take one. Returns 0, or the seconds until there is one."""
        now = asyncio.get_running_loop().time()
        left, at = self._buckets.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._buckets[caller] = (left if wait else left - 1, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return wait

    def give_back(self, caller: str) -> None:
        """Put one back: it should not have counted."""
        if caller in self._buckets:
            left, at = self._buckets[caller]
            self._buckets[caller] = (left + 1, at)
