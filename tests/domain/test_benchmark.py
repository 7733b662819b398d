"""What an account is held against: worked out by hand, held against NumPy, and the same every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.benchmark import DRAWS, QUANTILES, Hold, Stake, buy_and_hold, roll

A_STAKE = Stake(share=0.5, costs=0.001, candles=3, result=0.02)


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
    prices = {"A": [float(100 + n % 7) for n in range(50)]}
    rolled = [roll([A_STAKE] * 5, prices, seed=seed) for seed in ("one", "one", "two")]

    assert rolled[0] == rolled[1] != rolled[2]


def test_dice_spread_as_far_as_chance_does() -> None:
    steps = np.random.default_rng(5).normal(0, 0.01, 4000)
    closes = list(100 * np.exp(np.cumsum(steps)))

    rolled = roll([A_STAKE] * 100, {"A": closes}, seed="s", draws=1000)

    assert rolled is not None
    spread = 0.5 * 0.01 * np.sqrt(3 * 100)  # half of equity at stake, three candles, a hundred trades
    low, median, high = rolled.quantiles[0], rolled.quantiles[2], rolled.quantiles[-1]
    assert median == pytest.approx(-0.1, abs=0.02)  # the costs
    assert (high - low) / (2 * 1.645) == pytest.approx(spread, rel=0.1)
    assert rolled.own == pytest.approx(2.0)
    assert rolled.beaten == 1.0


def test_on_prices_that_stand_still_dice_lose_the_costs_and_no_more() -> None:
    rolled = roll([A_STAKE, A_STAKE], {"A": [5.0] * 10}, seed="s")

    assert rolled is not None
    assert rolled.quantiles == pytest.approx([-0.002] * len(QUANTILES))
    assert (rolled.trips, rolled.draws) == (2, DRAWS)


def test_there_are_no_dice_without_trades_or_without_room_for_them() -> None:
    assert roll([], {"A": [1.0, 2.0]}, seed="s") is None
    assert roll([A_STAKE], {"A": [1.0, 2.0, 3.0]}, seed="s") is None
