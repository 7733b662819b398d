"""Cycles: one request, one tick, one result."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cycle import Stage, StageRequest, StageResult, between_ticks, tick_at
from shared.domain.market import EPOCH
from tests.builders import TICK, an_account


@pytest.mark.parametrize(
    ("moment", "minutes", "tick"),
    [
        ("12:03:59.999", 5, "12:00"),
        ("12:05:00", 5, "12:05"),  # the close itself belongs to the tick it makes
        ("12:03:59", 60, "12:00"),
        ("12:03:59", 240, "12:00"),
        ("12:03:59", 1440, "00:00"),
    ],
)
def test_a_tick_is_the_last_close_at_or_before_the_moment(moment: str, minutes: int, tick: str) -> None:
    def on_the_day(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)

    assert tick_at(on_the_day(moment), timedelta(minutes=minutes)) == on_the_day(tick)


@given(seconds=st.integers(0, 10**9), interval=st.integers(1, 10**6))
def test_no_moment_is_further_from_its_tick_than_the_interval(seconds: int, interval: int) -> None:
    moment, width = datetime.fromtimestamp(seconds, UTC), timedelta(seconds=interval)
    tick = tick_at(moment, width)

    assert tick <= moment < tick + width
    assert tick_at(tick, width) == tick


def test_a_result_crosses_the_wire_with_the_cycle_it_belongs_to() -> None:
    result = StageResult(stage=Stage.FETCH, request=StageRequest("main", TICK), details={"candles": 7})

    assert result.as_json() == {
        "stage": "fetch",
        "account": "main",
        "tick": "2026-03-02T12:00:00+00:00",
        "repeated": False,
        "candles": 7,
    }


def test_stages_stand_in_their_order() -> None:
    assert [stage.value for stage in Stage] == ["fetch", "decide", "execute", "reconcile"]


def test_a_tick_may_be_traded_on_for_one_interval() -> None:
    assert an_account(interval=timedelta(hours=1)).patience == timedelta(hours=1)


@given(microseconds=st.integers(0, 10**15))
def test_a_reconciliation_between_ticks_is_for_a_moment_just_past_that_is_on_no_grid(microseconds: int) -> None:
    moment = EPOCH + timedelta(microseconds=microseconds)
    request = between_ticks("main", moment)

    assert request.between
    assert timedelta(0) <= moment - request.tick < timedelta(milliseconds=2)
    assert request.tick.microsecond % 1000 == 0
    assert tick_at(request.tick, timedelta(seconds=1)) != request.tick
