"""What an exchange gets wrong about candles is seen, and only what is certain is kept."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.candle_defects import DefectKind, inspect
from shared.domain.market import Candle, Series, Span, Timeframe
from tests.builders import TICK

SERIES = Series("BTCUSDT", Timeframe.M5)
FIVE = timedelta(minutes=5)
ASKED = Span(TICK - 5 * FIVE, TICK - FIVE)


def candle(opened: datetime, **changes: str) -> Candle:
    usual = {"open": "100", "high": "102", "low": "99", "close": "101", "volume": "7"} | changes
    return Candle(opened=opened, **{name: Decimal(value) for name, value in usual.items()})


RUN = [candle(TICK - n * FIVE) for n in (5, 4, 3, 2, 1)]


def inspected(*answered: Candle) -> tuple[list[Candle], list[tuple[DefectKind, datetime]]]:
    sound, wrong = inspect(SERIES, answered, ASKED, now=TICK)
    return sound, [(defect.kind, defect.span.since) for defect in wrong]


def test_an_answer_without_fault_is_kept_whole() -> None:
    assert inspected(*RUN) == (RUN, [])


def test_an_answer_in_disorder_is_put_in_order() -> None:
    assert inspected(*reversed(RUN)) == (RUN, [])


def test_what_was_not_asked_for_is_left_out() -> None:
    assert inspected(candle(ASKED.since - FIVE), *RUN) == (RUN, [])


def test_a_candle_told_twice_alike_counts_once() -> None:
    assert inspected(*RUN, RUN[2]) == (RUN, [(DefectKind.DUPLICATE, RUN[2].opened)])


def test_a_candle_told_twice_and_differently_is_not_believed_at_all() -> None:
    other = replace(RUN[2], close=Decimal("101.5"))

    assert inspected(*RUN, other) == (RUN[:2] + RUN[3:], [(DefectKind.CONTRADICTION, RUN[2].opened)])


def test_a_candle_of_the_future_is_left_out() -> None:
    assert inspected(*RUN, candle(TICK + FIVE)) == (RUN, [(DefectKind.FUTURE, TICK + FIVE)])


def test_a_candle_off_the_grid_is_left_out() -> None:
    astray = candle(RUN[1].opened + timedelta(seconds=1))

    assert inspected(*RUN, astray) == (RUN, [(DefectKind.OFF_GRID, astray.opened)])


@pytest.mark.parametrize("fault", [{"high": "98"}, {"low": "101.5"}, {"low": "0"}, {"volume": "-1"}])
def test_a_candle_that_cannot_be_is_left_out(fault: dict[str, str]) -> None:
    impossible = candle(RUN[0].opened, **fault)

    assert inspected(impossible, *RUN[1:]) == (RUN[1:], [(DefectKind.IMPOSSIBLE, RUN[0].opened)])


def test_candles_without_a_trade_are_kept_and_reported_in_one_line() -> None:
    flat = [replace(RUN[n], volume=Decimal(0)) for n in (1, 3)]
    run = [RUN[0], flat[0], RUN[2], flat[1], RUN[4]]

    sound, [defect] = inspect(SERIES, run, ASKED, now=TICK)

    assert sound == run
    assert defect.kind is DefectKind.FLAT
    assert (defect.span, defect.detail) == (Span(flat[0].opened, flat[1].opened), "2 without a trade")
