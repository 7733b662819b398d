"""The exchange's time: running at any speed, or standing still until it is advanced."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared.clock import SteppedClock, VenueClock
from shared.domain.errors import ClockSkewed, VenueUnreachable

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


async def test_a_clock_that_was_never_set_cannot_be_sure() -> None:
    clock = VenueClock()

    assert not clock.is_set
    with pytest.raises(ClockSkewed):
        await clock.assure()


async def test_a_clock_in_doubt_asks_its_source_once_however_many_ask() -> None:
    exchange = Exchange()

    await asyncio.gather(*(exchange.clock.assure() for _ in range(5)))
    await exchange.clock.assure()

    assert exchange.asked == 1
    assert exchange.clock.is_set


async def test_a_clock_that_the_exchange_doubts_is_set_anew() -> None:
    exchange = Exchange()
    await exchange.clock.assure()
    exchange.shows = THEN - timedelta(seconds=30)

    await exchange.clock.assure(doubted=True)

    assert within(exchange.clock.now(), THEN - timedelta(seconds=30), 5)


async def test_while_the_exchange_does_not_answer_nothing_is_sure() -> None:
    exchange = Exchange()
    await exchange.clock.assure()
    exchange.answers = False

    await exchange.clock.assure()
    with pytest.raises(ClockSkewed, match="nothing is signed: no exchange"):
        await exchange.clock.assure(doubted=True)


@pytest.mark.parametrize("skew", [-30, -2, 2, 30, 3600])
async def test_a_system_clock_that_is_wrong_or_set_by_hand_moves_nothing(
    skew: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = Exchange()
    monkeypatch.setattr("shared.clock.time.time", lambda real=time.time: real() + skew)
    await exchange.clock.assure()
    assert within(exchange.clock.now(), THEN, 5)

    monkeypatch.undo()  # the system's clock is put right
    assert within(exchange.clock.now(), THEN, 5)
    await exchange.clock.assure()

    assert exchange.asked == (1 if abs(skew) <= 2 else 2)  # to be on the safe side
    assert within(exchange.clock.now(), THEN, 5)


async def test_a_machine_that_slept_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange()
    await exchange.clock.assure()
    slept = 3600

    monkeypatch.setattr("shared.clock.time.time", lambda real=time.time: real() + slept)
    exchange.shows = THEN + timedelta(seconds=slept)
    await exchange.clock.assure()

    assert within(exchange.clock.now(), THEN + timedelta(seconds=slept), 5)


async def test_an_answer_that_takes_long_tells_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stopwatch = Stopwatch()
    monkeypatch.setattr("shared.clock.time.monotonic", stopwatch.read)

    async def answer_late() -> datetime:
        stopwatch.shows += 60
        return THEN

    async def ask() -> None:
        await clock.synchronise(answer_late)

    clock = VenueClock(source=ask)

    with pytest.raises(ClockSkewed, match="takes too long"):
        await clock.assure()


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


class Exchange:
    """Tells the time when it answers."""

    def __init__(self) -> None:
        self.clock = VenueClock(source=self._tell)
        self.shows = THEN
        self.answers = True
        self.asked = 0

    async def _tell(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.answers:
            raise VenueUnreachable("no exchange answers")
        await self.clock.synchronise(answering(self.shows))


class Stopwatch:
    """Runs by hand, in seconds."""

    shows = 100.0

    def read(self) -> float:
        return self.shows
