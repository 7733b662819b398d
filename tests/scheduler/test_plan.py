"""The plan: which cycle is due, and when the next one is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.plan import Due, due, next_due
from tests.builders import TICK

FIVE = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("served", "found"),
    [
        (None, Due(TICK, 0)),  # the very first cycle misses nothing
        (TICK - FIVE, Due(TICK, 0)),
        (TICK - 4 * FIVE, Due(TICK, 3)),  # one cycle for all that was missed
        (TICK, None),
        (TICK + FIVE, None),  # the clock was set back
        (TICK - timedelta(minutes=2), Due(TICK, 0)),  # served at another interval
    ],
)
def test_one_cycle_is_due_however_many_were_missed(served: datetime | None, found: Due | None) -> None:
    assert due(TICK + timedelta(minutes=1), FIVE, served) == found


@pytest.mark.parametrize(
    ("now", "starts"),
    [
        (TICK, TICK + timedelta(seconds=2)),  # closed, and its delay not over
        (TICK + timedelta(seconds=1.9), TICK + timedelta(seconds=2)),
        (TICK + timedelta(seconds=2), TICK + FIVE + timedelta(seconds=2)),
        (TICK + timedelta(minutes=4), TICK + FIVE + timedelta(seconds=2)),
    ],
)
def test_a_cycle_starts_a_little_after_its_candle_closed(now: datetime, starts: datetime) -> None:
    assert next_due(now, FIVE, timedelta(seconds=2)) == starts


@given(
    now=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - made UTC
    seconds=st.sampled_from([60, 300, 900, 14400, 86400]),
    delay=st.integers(0, 59),
)
def test_the_next_start_is_always_ahead_and_within_one_interval(now: datetime, seconds: int, delay: int) -> None:
    interval, wait = timedelta(seconds=seconds), timedelta(seconds=delay)
    start = next_due(now, interval, wait)

    assert now < start <= now + interval
    assert due(start, interval, start - wait - interval) == Due(start - wait, 0)
