"""
The exchange's weight limit, kept before it has to remind us.

It allows so much request weight a minute to all that comes from one address, and says after each request how much was
used. Ordinary requests leave a reserve of it to what protects money: exits, protective orders, cancellations.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import httpx

from shared.domain.errors import RateLimited
from shared.domain.ports import Clock

WEIGHT_A_MINUTE = 2400
ORDINARY_SHARE = 1920  # the rest is the reserve
_POLL_SECONDS = 1.0  # market time may run faster than ours, so a wait looks at the clock again and again
_MINUTE = timedelta(minutes=1)

Sleep = Callable[[float], Awaitable[None]]


class WeightBudget:
    """What is left of the limit in the present minute of the exchange's time. Shared by everybody in the process."""

    def __init__(self) -> None:
        self._minute: datetime | None = None
        self._used = 0
        self._closed_until: datetime | None = None

    async def reserve(self, weight: int, *, clock: Clock, sleep: Sleep, patience: float, urgent: bool) -> datetime:
        """Take *weight* and return the minute it was taken from, waiting for it if need be.

        Raises RateLimited when that would take more than *patience* seconds of the exchange's time.
        """
        while (wait := self.wait(weight, clock.now(), urgent=urgent)) > 0:
            if wait > patience:
                raise RateLimited(f"the request limit is used up for another {wait:.0f} s", retry_after=wait)
            await sleep(min(wait, _POLL_SECONDS))
        minute = self._enter(clock.now())
        self._used += weight
        return minute

    def wait(self, weight: int, now: datetime, *, urgent: bool) -> float:
        """Return how many seconds from *now* there will be room for *weight*; zero when there is."""
        minute = self._enter(now)
        if self._closed_until is not None and now < self._closed_until:
            return (self._closed_until - now).total_seconds()
        room = WEIGHT_A_MINUTE if urgent else ORDINARY_SHARE
        return 0.0 if self._used + weight <= room else (minute + _MINUTE - now).total_seconds()

    def learn(self, minute: datetime, used: int) -> None:
        """Take the exchange's word for what was *used* when it served a request reserved in *minute*."""
        if minute == self._minute:
            self._used = max(self._used, used)

    def close(self, until: datetime) -> None:
        """Let nothing through until then: the exchange has refused us, and insisting makes it a ban."""
        self._closed_until = until

    def _enter(self, now: datetime) -> datetime:
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        return minute


class _Process:
    """Stands for all connections that nobody handed in."""


_PROCESS = _Process()
_BUDGETS: WeakKeyDictionary[object, dict[str, WeightBudget]] = WeakKeyDictionary()


def budget_for(base_url: str, transport: httpx.AsyncBaseTransport | None) -> WeightBudget:
    """Return the process's budget for *base_url*. A transport that was handed in, a test's say, has its own."""
    budgets = _BUDGETS.setdefault(transport or _PROCESS, {})
    return budgets.setdefault(base_url.rstrip("/"), WeightBudget())
