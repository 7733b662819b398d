"""
Clocks. Nothing else in the house reads the time.

Both tell the time at the exchange: one runs, at any speed, the other stands still until somebody advances it.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

_SAMPLES = 2  # the first opens the connection and is late; the second is fair


class VenueClock:
    """The exchange's time: what it said when last asked, plus the time gone by since, times `speed`.

    Until it is first synchronised it tells the system's UTC. It may step back when it is synchronised anew.
    """

    def __init__(self, *, speed: float = 1.0) -> None:
        self.speed = speed
        self._told: datetime | None = None
        self._told_at = 0.0

    def now(self) -> datetime:
        """Return the time at the exchange, UTC."""
        if self._told is None:
            return datetime.now(UTC)
        return self._told + timedelta(seconds=(time.monotonic() - self._told_at) * self.speed)

    async def synchronise(self, fetch_server_time: Callable[[], Awaitable[datetime]]) -> None:
        """Ask for the exchange's time and take it as that of the middle of the round trip, the shortest of a few.

        Whatever *fetch_server_time* raises is passed on, and the clock runs on as it was.
        """
        samples = []
        for _ in range(_SAMPLES):
            asked = time.monotonic()
            told = await fetch_server_time()
            samples.append((time.monotonic() - asked, asked, told))
        round_trip, asked, told = min(samples)
        self._told, self._told_at = told, asked + round_trip / 2


class SteppedClock:
    """A clock that stands still until it is advanced: for rehearsals, where time passes between events only."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the time last advanced to."""
        return self._now

    def advance(self, to: datetime) -> None:
        """Move on to *to*. Raises ValueError on a step back."""
        if to < self._now:
            raise ValueError(f"time cannot go back from {self._now.isoformat()} to {to.isoformat()}")
        self._now = to
