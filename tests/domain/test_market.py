"""The grid that candles stand on, and what makes a window of them unfit to decide on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.market import QUIET, Span, Timeframe
from tests.builders import TICK, a_quote, a_window

moments = st.datetimes(datetime(2019, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made UTC


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("timeframe", "opened"),
    [
        ("1m", "2026-03-04 13:47"),
        ("5m", "2026-03-04 13:45"),
        ("15m", "2026-03-04 13:45"),
        ("4h", "2026-03-04 12:00"),
        ("8h", "2026-03-04 08:00"),
        ("1d", "2026-03-04 00:00"),
        ("3d", "2026-03-02 00:00"),  # the 20514th day since 1970: three days are counted from there
        ("1w", "2026-03-02 00:00"),  # weeks begin on Mondays
        ("1M", "2026-03-01 00:00"),
    ],
)
def test_a_candle_opens_where_the_exchange_opens_it(timeframe: str, opened: str) -> None:
    assert Timeframe(timeframe).open_at(at("2026-03-04 13:47:31")) == at(opened)


@given(timeframe=st.sampled_from(Timeframe), moment=moments)
def test_every_moment_lies_in_exactly_one_candle(timeframe: Timeframe, moment: datetime) -> None:
    opened = timeframe.open_at(moment)

    assert opened <= moment < timeframe.following(opened)
    assert timeframe.open_at(opened) == opened


@given(timeframe=st.sampled_from(Timeframe), moment=moments, count=st.integers(0, 40))
def test_going_back_and_forth_ends_where_it_began(timeframe: Timeframe, moment: datetime, count: int) -> None:
    start = timeframe.open_at(moment)
    opened = timeframe.back(start, count)

    for _ in range(count):
        opened = timeframe.following(opened)

    assert opened == start


@pytest.mark.parametrize(
    ("opened", "count", "before"), [("2026-03-01", 1, "2026-02-01"), ("2026-01-01", 1, "2025-12-01")]
)
def test_months_are_counted_by_the_calendar(opened: str, count: int, before: str) -> None:
    assert Timeframe.MONTH.back(at(opened), count) == at(before)


def five_minutes(*minutes_before_the_tick: int) -> list[datetime]:
    return [TICK - timedelta(minutes=minutes) for minutes in minutes_before_the_tick]


def test_a_window_that_ends_with_the_last_closed_candle_is_sound() -> None:
    assert a_window(five_minutes(15, 10, 5)).defect(TICK) is None


def test_a_slow_series_is_sound_while_its_running_candle_is_missing() -> None:
    window = a_window([at("2026-03-02 04:00"), at("2026-03-02 08:00")], Timeframe.H4)

    assert window.defect(at("2026-03-02 12:00")) is None
    assert window.defect(at("2026-03-02 15:55")) is None
    assert window.defect(at("2026-03-02 16:00")) == "last candle opened at 2026-03-02 08:00, due 2026-03-02 12:00"


@pytest.mark.parametrize(
    ("opened", "low", "defect"),
    [
        ([], 99.0, "no candles"),
        (five_minutes(15, 10), 99.0, "last candle opened at 2026-03-02 11:50, due 2026-03-02 11:55"),
        (five_minutes(5, 0), 99.0, "last candle opened at 2026-03-02 12:00, in the future of the tick"),
        (five_minutes(20, 10, 5), 99.0, "gap after 2026-03-02 11:40"),
        (five_minutes(10, 5), 0.0, "a price at or below zero"),
    ],
)
def test_a_window_unfit_to_decide_on_says_why(opened: list[datetime], low: float, defect: str) -> None:
    assert a_window(opened, low=low).defect(TICK) == defect


def test_a_window_that_ends_without_trades_is_no_price_to_rest_on() -> None:
    window = a_window(five_minutes(*range(5 * QUIET + 5, 0, -5)))
    quiet = replace(window, volume=[7.0] + [0.0] * QUIET)
    traded = replace(window, volume=[7.0] + [0.0] * (QUIET - 1) + [0.1])

    assert quiet.defect(TICK) == "no trade since 2026-03-02 11:30"
    assert traded.defect(TICK) is None


def test_two_timeframes_that_tell_different_prices_of_one_moment_disagree() -> None:
    fine = a_window(five_minutes(*range(180, 0, -5)))
    coarse = a_window([TICK - timedelta(hours=hours) for hours in (8, 4)], Timeframe.H4)

    assert coarse.disagrees(fine) is None
    assert replace(coarse, close=[300.0, 100.5]).disagrees(fine) is None  # four hours ago there is nothing to compare
    assert (
        replace(coarse, close=[100.5, 101.0]).disagrees(fine)
        == "4h and 5m disagree about 2026-03-02 12:00: 101 and 100.5"
    )


def test_a_quote_far_from_where_the_last_candle_closed_disagrees() -> None:
    window = a_window(five_minutes(10, 5))

    assert a_quote(price="105").disagrees(window) is None
    assert a_quote(price="106").disagrees(window) == "the mark price is 106, but the last candle closed at 100.5"
    assert a_quote(price="106", at=TICK + timedelta(hours=1)).disagrees(window) is None


def test_the_spread_is_a_fraction_of_the_price() -> None:
    assert a_quote(bid=Decimal(99), ask=Decimal(101)).spread == Decimal("0.02")
    assert a_quote(bid=None).spread is None


def test_a_span_is_cut_into_pages() -> None:
    span = Span(TICK - timedelta(minutes=25), TICK - timedelta(minutes=5))

    assert list(span.pages(Timeframe.M5, 2)) == [
        Span(TICK - timedelta(minutes=25), TICK - timedelta(minutes=20)),
        Span(TICK - timedelta(minutes=15), TICK - timedelta(minutes=10)),
        Span(TICK - timedelta(minutes=5), TICK - timedelta(minutes=5)),
    ]


def five(first: int, last: int) -> Span:
    return Span(TICK + timedelta(minutes=5 * first), TICK + timedelta(minutes=5 * last))


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([], [five(0, 9)]),
        ([five(-3, -1), five(10, 12)], [five(0, 9)]),
        ([five(5, 6), five(2, 3)], [five(0, 1), five(4, 4), five(7, 9)]),
        ([five(-2, 4), five(3, 8)], [five(9, 9)]),
        ([five(-1, 10)], []),
        ([five(8, 20)], [five(0, 7)]),
    ],
)
def test_a_span_is_left_without_others(others: list[Span], left: list[Span]) -> None:
    assert list(five(0, 9).without(others, Timeframe.M5)) == left


def test_candles_are_counted_on_the_grid() -> None:
    assert Timeframe.M5.number(TICK, TICK) == 1
    assert Timeframe.MONTH.number(at("2025-11-01"), at("2026-02-01")) == 4
    assert Timeframe.D3.number(at("2026-03-05"), at("2026-03-02")) == 0
