"""The market that never was."""

from __future__ import annotations

import numpy as np
import pytest

from emulators.aster import synthetic_market
from emulators.aster.prices.intervals import DAY
from emulators.aster.prices.synthetic import BLOCK, HISTORY, START


def test_the_same_seed_makes_the_same_market_byte_for_byte_however_it_is_walked() -> None:
    at_once, step_by_step = synthetic_market(seed=3), synthetic_market(seed=3)
    until = START + 2 * BLOCK
    for symbol in reversed(tuple(step_by_step.instruments)):
        for day in range(0, 31, 5):
            step_by_step.candles(symbol, START + day * DAY)

    for symbol in at_once.instruments:
        one, other = at_once.candles(symbol, until), step_by_step.candles(symbol, until)
        assert one.close.tobytes() == other.close[: len(one)].tobytes()
        assert one.volume.tobytes() == other.volume[: len(one)].tobytes()


def test_another_seed_makes_another_market() -> None:
    one, other = synthetic_market(seed=1), synthetic_market(seed=2)

    assert one.price("BTCUSDT", START) != other.price("BTCUSDT", START)
    assert one.identity != other.identity


def test_candles_are_sound_and_history_lies_before_the_start() -> None:
    market = synthetic_market()

    for symbol in market.instruments:
        candles = market.candles(symbol, START)
        assert int(candles.time[0]) == START - HISTORY
        assert (candles.high >= np.maximum(candles.open, candles.close)).all()
        assert (candles.low <= np.minimum(candles.open, candles.close)).all()
        assert (candles.low > 0).all()
        assert (np.diff(candles.time) == 60_000).all()


def test_the_market_moves_about_as_much_as_real_ones() -> None:
    candles = synthetic_market().candles("BTCUSDT", START + 120 * DAY)

    daily = candles.close[::1440].astype(np.float64)
    returns = np.diff(daily) / daily[:-1]

    assert 0.01 < returns.std() < 0.06
    assert 30_000_0 < candles.close.min() < candles.close.max() < 300_000_0


def test_turbulence_comes_in_clusters() -> None:
    closes = synthetic_market().candles("BTCUSDT", START).close.astype(np.float64)
    hourly = np.abs(np.diff(closes) / closes[:-1])[: 60 * 24 * 60].reshape(-1, 60).mean(axis=1)

    assert np.corrcoef(hourly[:-1], hourly[1:])[0, 1] > 0.3


def test_it_never_ends() -> None:
    market = synthetic_market(symbols=("BTCUSDT",))

    assert market.end is None
    assert market.price("BTCUSDT", START + 400 * DAY) is not None


def test_a_symbol_without_filters_on_file_is_named() -> None:
    with pytest.raises(KeyError, match="NOPEUSDT"):
        synthetic_market(symbols=("NOPEUSDT",))


def test_funding_rates_keep_around_a_hundredth_of_a_per_cent() -> None:
    market = synthetic_market()
    rates = [float(market.funding_rate("BTCUSDT", START + day * DAY)) for day in range(100)]

    assert 0.00005 < float(np.mean(rates)) < 0.00015
    assert len(set(rates)) > 90
