"""What an account is held against: worked out by hand, held against NumPy, and the same every time."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.benchmark import DRAWS, QUANTILES, Bars, Hold, Stake, buy_and_hold, roll

A_STAKE = Stake(share=0.5, costs=0.001, candles=3, stop=None, result=0.02)


def _bars(closes: list[float], *, reach: float = 0.0) -> Bars:
    """Candles whose highs and lows go *reach* beyond their closes, as a share of them."""
    return Bars(
        highs=[each * (1 + reach) for each in closes], lows=[each * (1 - reach) for each in closes], closes=closes
    )


def test_holding_is_equal_money_in_every_symbol_from_the_first_moment_on() -> None:
    hold = buy_and_hold({"A": [100.0, 110.0, 50.0], "B": [10.0, None, 20.0], "C": [None, 1.0, 9.0]})

    assert hold.growth == pytest.approx((1.0, 1.05, 1.25))
    assert (hold.symbols, hold.without) == (("A", "B"), ("C",))
    assert hold.total_return == pytest.approx(0.25)
    assert hold.max_drawdown == 0


def test_nothing_is_held_where_there_is_no_price_to_buy_at() -> None:
    assert buy_and_hold({"A": [None, 5.0], "B": []}) == Hold(growth=(), symbols=(), without=("A", "B"))
    assert buy_and_hold({}).total_return is None


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(1, 1000)), min_size=1, max_size=30))
def test_holding_is_what_numpy_makes_of_it(prices: list[tuple[float, float]]) -> None:
    table = np.array(prices)
    growth = (table / table[0]).mean(axis=1)

    hold = buy_and_hold({"A": list(table[:, 0]), "B": list(table[:, 1])})

    assert hold.growth == pytest.approx(growth)
    assert hold.max_drawdown == pytest.approx((1 - growth / np.maximum.accumulate(growth)).max(), abs=1e-12)


def test_dice_fall_the_same_for_the_same_seed_and_otherwise_for_another() -> None:
    prices = {"A": _bars([float(100 + n % 7) for n in range(50)])}
    rolled = [roll([A_STAKE] * 5, prices, seed=seed) for seed in ("one", "one", "two")]

    assert rolled[0] == rolled[1] != rolled[2]


def test_dice_spread_as_far_as_chance_does() -> None:
    steps = np.random.default_rng(5).normal(0, 0.01, 4000)
    closes = list(100 * np.exp(np.cumsum(steps)))

    rolled = roll([A_STAKE] * 100, {"A": _bars(closes)}, seed="s", draws=1000)

    assert rolled is not None
    spread = 0.5 * 0.01 * np.sqrt(3 * 100)  # half of equity at stake, three candles, a hundred trades
    low, median, high = rolled.quantiles[0], rolled.quantiles[2], rolled.quantiles[-1]
    assert median == pytest.approx(-0.1, abs=0.02)  # the costs
    assert (high - low) / (2 * 1.645) == pytest.approx(spread, rel=0.1)
    assert rolled.own == pytest.approx(2.0)
    assert rolled.beaten == 1.0


def test_on_prices_that_stand_still_dice_lose_the_costs_and_no_more() -> None:
    rolled = roll([A_STAKE, A_STAKE], {"A": _bars([5.0] * 10)}, seed="s")

    assert rolled is not None
    assert rolled.quantiles == pytest.approx([-0.002] * len(QUANTILES))
    assert (rolled.trips, rolled.draws) == (2, DRAWS)


def test_a_stop_that_a_candle_reaches_ends_the_draw_and_one_that_none_reaches_does_not() -> None:
    still = {"A": _bars([5.0] * 40, reach=0.02)}  # it goes 2 % both ways in every candle, and comes back
    reached, spared = (replace(A_STAKE, stop=stop) for stop in (0.0199, 0.0201))

    ended, stood = (roll([stake], still, seed="s") for stake in (reached, spared))

    assert ended is not None
    assert stood is not None
    assert ended.quantiles == pytest.approx([0.5 * -0.0199 - 0.001] * len(QUANTILES))
    assert stood.quantiles == pytest.approx([-0.001] * len(QUANTILES))


@given(
    lows=st.lists(st.floats(0.5, 1.0), min_size=10, max_size=40),
    candles=st.integers(1, 9),
    stop=st.floats(0.01, 0.4),
    seed=st.text(max_size=3),
)
def test_a_draw_is_what_going_through_its_candles_one_by_one_comes_to(
    lows: list[float], candles: int, stop: float, seed: str
) -> None:
    bars = Bars(highs=[2 - low for low in lows], lows=lows, closes=[1.0] * len(lows))
    dice = random.Random(seed)
    dice.random()
    begin = int(dice.random() * (len(lows) - candles))
    upwards = dice.random() < 0.5
    worst = (lows if upwards else bars.highs)[begin + 1 : begin + 1 + candles]
    stopped = any(abs(each - 1) >= stop for each in worst)

    rolled = roll([Stake(share=1, costs=0, candles=candles, stop=stop, result=0)], {"A": bars}, seed=seed, draws=1)

    assert rolled is not None
    assert rolled.quantiles[0] == (-stop if stopped else 0)


def test_there_are_no_dice_without_trades_or_without_room_for_them() -> None:
    assert roll([], {"A": _bars([1.0, 2.0])}, seed="s") is None
    assert roll([A_STAKE], {"A": _bars([1.0, 2.0, 3.0])}, seed="s") is None
