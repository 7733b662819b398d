"""
Clocks. Nothing else in the house reads the time.

Both tell the time at the exchange: one runs, at any speed, the other stands still until somebody advances it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from shared.domain.errors import ClockSkewed, PerpetuaError

MOST_DOUBT = timedelta(seconds=20)
"""Of the exchange's time: a third of what it forgives. Whoever is less sure than that signs nothing."""

_SAMPLES = 2  # the first opens the connection and is late; the second is fair
_DRIFT = 1e-4  # how much a machine's clock may gain or lose: more than any that is in order


def system_time() -> datetime:
    """Return this machine's time, UTC: for messages to people while the exchange's is not known."""
    return datetime.now(UTC)


class VenueClock:
    """The exchange's time: what it said when last asked, plus the time gone by since, times `speed`.

    Until it is first synchronised it tells the system's UTC. It may step back when it is synchronised anew. It knows
    how sure it is: half of the answer's round trip, what its machine may have drifted since, and as much as the
    machine's two clocks have gone apart, for one stands still while a machine sleeps and the other is set by hand.
    """

    def __init__(self, *, speed: float = 1.0, source: Callable[[], Awaitable[None]] | None = None) -> None:
        """*source* synchronises this clock; it is called when there is doubt."""
        self.speed = speed
        self._source = source
        self._told: datetime | None = None
        self._told_at = 0.0
        self._round_trip = 0.0
        self._system_ahead = 0.0
        self._asking = asyncio.Lock()

    def now(self) -> datetime:
        """Return the time at the exchange, UTC."""
        if self._told is None:
            return datetime.now(UTC)
        return self._told + timedelta(seconds=(time.monotonic() - self._told_at) * self.speed)

    @property
    def is_set(self) -> bool:
        """True once it was synchronised."""
        return self._told is not None

    @property
    def doubt(self) -> timedelta:
        """By how much of the exchange's time it may be wrong; the longest there is before it was ever synchronised."""
        if self._told is None:
            return timedelta.max
        gone = time.monotonic() - self._told_at
        apart = abs(time.time() - time.monotonic() - self._system_ahead)
        return timedelta(seconds=(self._round_trip / 2 + gone * _DRIFT + apart) * self.speed)

    async def assure(self, *, doubted: bool = False) -> None:
        """Be sure of the exchange's time to MOST_DOUBT; where that fails, or the exchange has *doubted* it, ask for it.

        However many ask, it is asked for once. Raises ClockSkewed when it cannot be known.
        """
        if not doubted and self.doubt <= MOST_DOUBT:
            return
        asked_at = time.monotonic()
        async with self._asking:
            if self._told_at < asked_at and self._source is not None:
                try:
                    await self._source()
                except PerpetuaError as exc:
                    raise ClockSkewed(f"the exchange's time cannot be known, so nothing is signed: {exc}") from exc
        if self.doubt > MOST_DOUBT:
            raise ClockSkewed("the exchange's time is not known well enough to sign: it takes too long to tell it")

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
        self._round_trip, self._system_ahead = round_trip, time.time() - time.monotonic()


class SteppedClock:
    """A clock that stands still until it is advanced: for rehearsals, where time passes between events only."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the time last advanced to."""
        return self._now

    @property
    def is_set(self) -> bool:
        """True: its time is the exchange's by agreement."""
        return True

    async def assure(self, *, doubted: bool = False) -> None:
        """Leave it as it is."""

    def advance(self, to: datetime) -> None:
        """Move on to *to*. Raises ValueError on a step back."""
        if to < self._now:
            raise ValueError(f"time cannot go back from {self._now.isoformat()} to {to.isoformat()}")
        self._now = to
