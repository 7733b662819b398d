"""
The exchange's limits as everybody behind one address shares them: pure arithmetic, for whoever keeps the account.

It allows so much a minute and does not say which minute: the clock's, or the last sixty seconds. What is counted here
is what was taken in the last six whole slices of ten seconds and the present one, which is right under both. A part of
the limit is a reserve that only urgent requests may draw on: exits, protective orders, cancellations.

A process draws a share for the present slice and spends it by itself; what it did not need it gives back with its next
report. So a limit is asked about once a burst, not once a request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.market import EPOCH

SLICE = timedelta(seconds=10)
SLICES = 7
"""Whole minutes are in there, wherever in its slice the present moment is."""

CAREFUL = timedelta(minutes=5)
"""How long after a refusal ordinary requests make do with half of their room."""

LONGEST_BAN = timedelta(days=3)
"""Nobody is shut out for longer: an end that lies further ahead was noted by a clock that was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a process tells of itself, and what it asks for."""

    now: datetime | None
    """The exchange's time, as far as it is known: without it nothing can be counted, and nothing is granted."""
    limit: int
    urgent: bool = False
    wanted: int = 0
    least: int = 0
    """Less than this is of no use: then nothing is granted."""
    told: int = 0
    """What the exchange said was used in the present minute, by whomever; 0 when it said nothing."""
    spent: Mapping[int, int] = field(default_factory=dict)
    """By slice: what was taken without having been granted; negative where a share was not used up."""
    closed_for: float = 0.0
    """The exchange refuses us for so many seconds from now on."""
    careful: bool = False
    """It has just refused us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a process gets. It holds for the slice in which it was asked for."""

    amount: int
    wait: float = 0.0
    """In how many seconds the least that was asked for could be had; 0 when it was granted."""
    closed_for: float = 0.0
    careful_for: float = 0.0


def slice_of(now: datetime) -> int:
    """Return the number of the slice that *now* is in."""
    return (now - EPOCH) // SLICE


def ordinary_room(limit: int, *, careful: bool = False) -> int:
    """Return what ordinary requests may use of *limit* in a minute."""
    return limit * 4 // 5 // (2 if careful else 1)


class Allowance:
    """The account of one limit."""

    def __init__(
        self,
        taken: Mapping[int, int] | None = None,
        closed_until: datetime | None = None,
        careful_until: datetime | None = None,
    ) -> None:
        self.taken = dict(taken or {})
        self.closed_until = closed_until
        self.careful_until = careful_until

    def settle(self, report: Report) -> Grant:
        """Take *report* to the account and grant what there is room for. Its time must be known."""
        now = report.now
        if now is None:
            raise ValueError("a limit cannot be settled at no time")
        self._keep_only_the_last_minute(now)
        for slice_number, amount in report.spent.items():
            if slice_number in self.taken or amount > 0:
                self.taken[slice_number] = max(0, self.taken.get(slice_number, 0) + amount)
        self._close(report, now)
        closed_for = _seconds_until(self.closed_until, now, at_most=LONGEST_BAN)
        careful_for = _seconds_until(self.careful_until, now, at_most=CAREFUL)
        ordinary = ordinary_room(report.limit, careful=careful_for > 0)
        # What others at our address use is counted up to the reserve: that one is there to be tried.
        self._take(now, max(0, min(report.told, ordinary_room(report.limit)) - self.used()))
        room = ordinary - self.used()
        if report.urgent and room < report.least:
            room = min(report.least, report.limit - self.used())
        wait = closed_for or self._wait(now, report.least - room)
        amount = 0 if wait else max(0, min(report.wanted, room))
        self._take(now, amount)
        return Grant(amount=amount, wait=wait, closed_for=closed_for, careful_for=careful_for)

    def used_at(self, now: datetime) -> int:
        """Return what was taken within the minute before *now*."""
        self._keep_only_the_last_minute(now)
        return self.used()

    def used(self) -> int:
        """Return what was taken within the last minute of the last report."""
        return sum(self.taken.values())

    def _keep_only_the_last_minute(self, now: datetime) -> None:
        # One slice ahead may be that of a process whose clock runs a little before ours. Anything later comes of a
        # clock that was wrong.
        present = slice_of(now)
        self.taken = {n: amount for n, amount in self.taken.items() if present - SLICES < n <= present + 1}

    def _take(self, now: datetime, amount: int) -> None:
        if amount:
            self.taken[slice_of(now)] = self.taken.get(slice_of(now), 0) + amount

    def _close(self, report: Report, now: datetime) -> None:
        if report.closed_for > 0:
            end = now + min(timedelta(seconds=report.closed_for), LONGEST_BAN)
            if _seconds_until(self.closed_until, now, at_most=LONGEST_BAN) < (end - now).total_seconds():
                self.closed_until = end
        if report.careful:
            self.careful_until = now + CAREFUL

    def _wait(self, now: datetime, lacking: int) -> float:
        """Return the seconds until *lacking* has left the last minute."""
        if lacking <= 0:
            return 0.0
        for slice_number in sorted(self.taken):
            lacking -= self.taken[slice_number]
            if lacking <= 0:
                break
        else:
            slice_number = slice_of(now)  # more than there ever is
        return (EPOCH + (slice_number + SLICES) * SLICE - now).total_seconds()


def _seconds_until(end: datetime | None, now: datetime, *, at_most: timedelta) -> float:
    return (end - now).total_seconds() if end is not None and now < end <= now + at_most else 0.0
