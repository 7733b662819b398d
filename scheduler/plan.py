"""When which account's cycle is due: pure arithmetic on ticks, the same for every scheduler."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.cycle import tick_at


@dataclass(frozen=True, slots=True)
class Due:
    """The cycle to run now, and how many before it went by unserved."""

    tick: datetime
    missed: int


def due(now: datetime, interval: timedelta, served: datetime | None) -> Due | None:
    """Return the one cycle due at *now*, or None when the last tick has been *served* already.

    However long the scheduler was down, it is one cycle, for the last tick: older prices are not worth trading on.
    """
    tick = tick_at(now, interval)
    if served is None:
        return Due(tick, 0)
    if served >= tick:
        return None
    # An interval that was changed meanwhile leaves less than a whole one between the two.
    return Due(tick, max(0, (tick - served) // interval - 1))


def next_due(now: datetime, interval: timedelta, delay: timedelta) -> datetime:
    """Return when the next cycle starts: the first tick whose close, plus *delay*, is still to come."""
    return tick_at(now - delay, interval) + interval + delay
