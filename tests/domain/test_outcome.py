"""What would have become of an entry, by the candles that came after it: pessimistic where they leave a choice."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.domain.decision import Action
from shared.domain.market import CandleWindow, Series, Timeframe
from shared.domain.outcome import Ending, Proposal, proposals, score
from shared.domain.position import Direction
from shared.domain.record import Judgement
from shared.domain.risk import review
from tests.builders import LONG, SHORT, TICK, a_context, a_decision

HOUR = timedelta(hours=1)


def a_proposal(direction: Direction = LONG, **changes: float | None) -> Proposal:
    """At 100, with its stop 2 away and its target 4."""
    sign = direction.sign
    usual = Proposal(direction=direction, price=100, stop=100 - 2 * sign, target=100 + 4 * sign, taker_fee=0.0005)
    return replace(usual, **changes)  # type: ignore[arg-type] # None is for a stop or a target


def a_day(*spoken: tuple[int, float, float, float, float], count: int = 24) -> CandleWindow:
    """Hours at 100, but for those that are *spoken* of: (hour, open, high, low, close)."""
    hours = {hour: values for hour, *values in spoken}
    rows = [hours.get(hour, [100.0, 100.0, 100.0, 100.0]) for hour in range(count)]
    opens, highs, lows, closes = ([row[place] for row in rows] for place in range(4))
    return CandleWindow(
        series=Series("BTCUSDT", Timeframe.H1),
        opened=[TICK + hour * HOUR for hour in range(count)],
        open=opens,
        high=highs,
        low=lows,
        close=closes,
        volume=[1.0] * count,
    )


@pytest.mark.parametrize(
    ("proposal", "hour", "ending", "result"),
    [
        (a_proposal(), (3, 100, 104, 99, 103), Ending.TARGET, 0.04),
        (a_proposal(), (3, 100, 101, 98, 99), Ending.STOP, -0.02),
        (a_proposal(), (3, 100, 104, 98, 103), Ending.STOP, -0.02),
        (a_proposal(), (3, 95, 104, 94, 103), Ending.STOP, -0.05),
        (a_proposal(), (3, 110, 111, 109, 110), Ending.TARGET, 0.04),
        (a_proposal(SHORT), (3, 100, 101, 96, 97), Ending.TARGET, 0.04),
        (a_proposal(SHORT), (3, 100, 102, 99, 101), Ending.STOP, -0.02),
        (a_proposal(SHORT), (3, 105, 106, 104, 104), Ending.STOP, -0.05),
    ],
    ids=["target", "stop", "both", "gap", "beyond", "short_target", "short_stop", "short_gap"],
)
def test_an_entry_ends_at_the_first_level_that_is_touched(
    proposal: Proposal, hour: tuple[int, float, float, float, float], ending: Ending, result: float
) -> None:
    found = score(proposal, a_day(hour), TICK)

    assert (found.ending, found.ended_at) == (ending, TICK + 4 * HOUR)
    assert found.result == pytest.approx(result - 0.001)


def test_what_nothing_ends_is_left_after_a_day_at_the_price_of_then() -> None:
    found = score(a_proposal(), a_day((23, 100, 101, 100, 101)), TICK)

    assert (found.ending, found.ended_at) == (Ending.TIME, TICK + 24 * HOUR)
    assert found.result == pytest.approx(0.009)


def test_returns_at_the_horizons_are_those_of_holding_whatever_stop_and_target_say() -> None:
    day = a_day((0, 100, 101, 90, 101), (3, 100, 103, 100, 103), (23, 100, 100, 95, 95))

    found = score(a_proposal(SHORT), day, TICK)

    assert found.after == {
        "1h": pytest.approx(-0.011),
        "4h": pytest.approx(-0.031),
        "24h": pytest.approx(0.049),
    }


def test_an_entry_without_stop_and_target_is_judged_by_time_alone() -> None:
    found = score(a_proposal(stop=None, target=None), a_day((3, 100, 200, 1, 100)), TICK)

    assert (found.ending, found.result) == (Ending.TIME, pytest.approx(-0.001))


@pytest.mark.parametrize("count", [0, 20])
def test_without_its_candles_nothing_is_made_up(count: int) -> None:
    assert score(a_proposal(), a_day(count=count), TICK).ending is Ending.UNKNOWN


def test_candles_of_before_and_after_do_not_count() -> None:
    window = a_day((0, 100, 100, 1, 100), (25, 100, 200, 100, 100), count=26)

    assert score(a_proposal(), window, TICK + HOUR).ending is Ending.TIME


def test_entries_are_proposals_whether_or_not_risk_let_them_pass() -> None:
    context = a_context()
    decisions = [
        a_decision("BTCUSDT"),
        a_decision("ETHUSDT", Action.SELL, confidence=Decimal(0)),
        a_decision("SOLUSDT", Action.CLOSE),
        a_decision("NOSUCH"),
    ]
    judgement = Judgement(answer=None, why="", reviewed=tuple(review(decisions, context)))

    found = proposals(judgement, context)

    assert {asset: (proposal.direction, approved) for asset, (proposal, approved) in found.items()} == {
        "BTCUSDT": (LONG, True),
        "ETHUSDT": (SHORT, False),
    }
    assert (found["ETHUSDT"][0].stop, found["ETHUSDT"][0].target) == (101, 96)
