"""
The emulator's clock.

By default it knows no real time: it starts at a fixed moment and moves one second with every answer, so that the same
calls find the same times. Whoever runs the emulator may let it follow the real time, or move it forward.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

START = 1_760_000_000
"""9 October 2025, when every model appeared: seconds since 1970."""


@dataclass(slots=True)
class Clock:
    """Seconds since 1970."""

    follows_real_time: bool = False
    _moved: int = 0

    def now(self) -> int:
        return (int(time.time()) if self.follows_real_time else START) + self._moved

    def date(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def tick(self) -> int:
        """An answer is made: move on, and return the time it is made at."""
        if not self.follows_real_time:
            self._moved += 1
        return self.now()

    def advance(self, seconds: int) -> None:
        self._moved += seconds


def period_start(moment: datetime, period: str) -> datetime:
    """When the day, week (from Monday) or month of *moment* began, in UTC; *period* is daily, weekly or monthly."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "weekly":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "monthly" else day


def period_end(moment: datetime, period: str) -> datetime:
    """When the period of *moment* ends and the next begins."""
    # From within a period, this many days lead into the next one and never beyond it.
    days = {"daily": 1, "weekly": 7, "monthly": 32}[period]
    return period_start(period_start(moment, period) + timedelta(days=days), period)
