"""Market time: how it follows the real one."""

from __future__ import annotations

import time

from ..prices.market import Market


class SteppedClock:
    """Time that stands still until someone advances the venue."""

    speed = None

    def moved_to(self, now: int) -> int:
        return now


class RunningClock:
    """Time that runs at *speed* times the real one, from *start* (milliseconds) on."""

    def __init__(self, start: int, speed: float) -> None:
        self.speed = speed
        self._start = start
        self._began = time.monotonic()

    def moved_to(self, now: int) -> int:
        """Return where time has got to, never before *now*."""
        return max(now, self._start + int((time.monotonic() - self._began) * 1000 * self.speed))


class RealClock:
    """The real time."""

    speed = 1.0

    def moved_to(self, now: int) -> int:
        return max(now, time.time_ns() // 1_000_000)


Clock = SteppedClock | RunningClock | RealClock


def clock_for(market: Market, now: int, speed: float | None) -> Clock:
    """Return the clock of a market at a speed, stepped without one."""
    if market.real_time:
        return RealClock()
    return SteppedClock() if speed is None else RunningClock(now, speed)
