"""The exchange's time: running at any speed, or standing still until it is advanced."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared.clock import SteppedClock, VenueClock

THEN = datetime(2025, 6, 15, 12, tzinfo=UTC)


def within(first: datetime, second: datetime, seconds: float) -> bool:
    return abs((first - second).total_seconds()) < seconds


def test_a_clock_that_was_never_set_tells_the_system_s_time() -> None:
    assert within(VenueClock().now(), datetime.now(UTC), 1)


async def test_a_clock_that_was_set_tells_the_exchange_s_time() -> None:
    clock = VenueClock()

    await clock.synchronise(answering(THEN))

    assert within(clock.now(), THEN, 5)


async def test_the_answer_is_taken_for_the_middle_of_the_shortest_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    stopwatch = Stopwatch()
    monkeypatch.setattr("shared.clock.time.monotonic", stopwatch.read)
    clock, round_trips = VenueClock(speed=10), iter([9.0, 2.0])

    async def fetch() -> datetime:
        stopwatch.shows += next(round_trips)
        return THEN

    await clock.synchronise(fetch)
    stopwatch.shows += 3

    assert clock.now() == THEN + timedelta(seconds=10 * (2 / 2 + 3))


async def test_a_clock_whose_exchange_does_not_answer_runs_on() -> None:
    clock = VenueClock()

    async def fail() -> datetime:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await clock.synchronise(fail)
    assert within(clock.now(), datetime.now(UTC), 1)


def test_a_stepped_clock_stands_still_until_it_is_advanced() -> None:
    clock = SteppedClock(THEN)
    assert clock.now() == clock.now() == THEN

    clock.advance(THEN + timedelta(minutes=5))

    assert clock.now() == THEN + timedelta(minutes=5)


def test_a_stepped_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="time cannot go back"):
        SteppedClock(THEN).advance(THEN - timedelta(seconds=1))


def answering(moment: datetime) -> Callable[[], Awaitable[datetime]]:
    async def fetch() -> datetime:
        return moment

    return fetch


class Stopwatch:
    """Runs by hand, in seconds."""

    shows = 100.0

    def read(self) -> float:
        return self.shows
