"""Indicators against plain re-implementations of their definitions, not against the library that computes them."""

import itertools
import math
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.domain.errors import MarketDataUnusable
from shared.domain.market import CandleWindow, Series, Timeframe
from shared.indicators.talib_analyst import IndicatorSettings, TalibAnalyst

ROOT = Path(__file__).parents[2]
OPENED = datetime(2025, 5, 6, tzinfo=UTC)
NAMES = [
    "close",
    "volume",
    "ema_20",
    "ema_50",
    "sma_50",
    "macd",
    "macd_signal",
    "macd_hist",
    "rsi_7",
    "rsi_14",
    "atr_3",
    "atr_14",
    "adx_14",
    "bb_upper",
    "bb_middle",
    "bb_lower",
    "stoch_k",
    "stoch_d",
    "obv",
]


def window(count: int, **columns: list[float]) -> CandleWindow:
    """A random walk of *count* candles, or the columns given instead."""
    dice = random.Random(7)
    close = [100.0]
    for _ in range(count):
        close.append(close[-1] * (1 + dice.gauss(0, 0.004)))
    opens, close = close[:-1], close[1:]
    walk = {
        "open": opens,
        "high": [max(pair) * (1 + dice.random() / 500) for pair in zip(opens, close, strict=True)],
        "low": [min(pair) * (1 - dice.random() / 500) for pair in zip(opens, close, strict=True)],
        "close": close,
        "volume": [dice.uniform(1, 50) for _ in range(count)],
    }
    return CandleWindow(
        series=Series("BTCUSDT", Timeframe.M5),
        opened=[OPENED + index * timedelta(minutes=5) for index in range(count)],
        **(walk | columns),
    )


def study(candles: CandleWindow, settings: IndicatorSettings | None = None) -> dict[str, tuple[float | None, ...]]:
    return dict(TalibAnalyst(settings or IndicatorSettings()).study(candles).series)


def ema(values: list[float], period: int) -> list[float]:
    """Seeded with the mean of the first *period* values, then each value weighs 2 / (period + 1)."""
    smooth = [sum(values[:period]) / period]
    for value in values[period:]:
        smooth.append(smooth[-1] + (value - smooth[-1]) * 2 / (period + 1))
    return smooth


def wilder(values: list[float], period: int) -> list[float]:
    """Seeded with the mean of the first *period* values, then each value weighs 1 / period."""
    smooth = [sum(values[:period]) / period]
    for value in values[period:]:
        smooth.append((smooth[-1] * (period - 1) + value) / period)
    return smooth


def changes(values: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(values)]


def test_every_name_of_the_briefing_comes_with_ten_values_and_the_last_of_them_is_the_latest() -> None:
    indicators = TalibAnalyst(IndicatorSettings()).study(window(300))

    assert list(indicators.series) == NAMES
    assert {len(values) for values in indicators.series.values()} == {10}
    assert indicators.latest == {name: values[-1] for name, values in indicators.series.items()}
    assert indicators.candles == 300


def test_closes_come_oldest_first() -> None:
    candles = window(300)

    assert study(candles)["close"] == pytest.approx(candles.close[-10:], rel=1e-7)


@pytest.mark.parametrize("period", [20, 50])
def test_the_exponential_average_is_that_of_its_definition(period: int) -> None:
    candles = window(300)

    assert study(candles)[f"ema_{period}"] == pytest.approx(ema(list(candles.close), period)[-10:], rel=1e-7)


@pytest.mark.parametrize("period", [7, 14])
def test_relative_strength_is_that_of_wilder(period: int) -> None:
    candles = window(300)
    moves = changes(list(candles.close))
    gains = wilder([max(move, 0.0) for move in moves], period)
    losses = wilder([max(-move, 0.0) for move in moves], period)
    expected = [100 - 100 / (1 + gain / loss) for gain, loss in zip(gains, losses, strict=True)]

    assert study(candles)[f"rsi_{period}"] == pytest.approx(expected[-10:], rel=1e-7)


@pytest.mark.parametrize("period", [3, 14])
def test_the_true_range_is_averaged_as_wilder_does(period: int) -> None:
    candles = window(300)
    ranges = [
        max(high, before) - min(low, before)
        for high, low, before in zip(candles.high[1:], candles.low[1:], candles.close, strict=False)
    ]

    assert study(candles)[f"atr_{period}"] == pytest.approx(wilder(ranges, period)[-10:], rel=1e-7)


def test_macd_is_the_fast_average_less_the_slow_one_and_its_signal_their_average() -> None:
    candles = window(300)
    close = list(candles.close)
    slow = ema(close, 26)
    # Both averages begin on the same candle: the fast one is seeded from the last twelve of the first twenty-six.
    fast = ema(close[14:], 12)
    macd = [quick - lazy for quick, lazy in zip(fast, slow, strict=True)]
    signal = ema(macd, 9)
    found = study(candles)

    assert found["macd"] == pytest.approx(macd[-10:], rel=1e-6)
    assert found["macd_signal"] == pytest.approx(signal[-10:], rel=1e-6)
    assert found["macd_hist"][-1] == pytest.approx(macd[-1] - signal[-1], rel=1e-5)


def test_the_bands_lie_two_deviations_from_the_mean() -> None:
    candles = window(300)
    last = list(candles.close)[-20:]
    mean = sum(last) / 20
    deviation = math.sqrt(sum((value - mean) ** 2 for value in last) / 20)
    found = study(candles)

    assert found["bb_middle"][-1] == pytest.approx(mean, rel=1e-7)
    assert found["bb_upper"][-1] == pytest.approx(mean + 2 * deviation, rel=1e-7)
    assert found["bb_lower"][-1] == pytest.approx(mean - 2 * deviation, rel=1e-7)


def test_stochastic_and_balance_volume_are_those_of_their_definitions() -> None:
    candles = window(300)
    raw = [
        100
        * (candles.close[end] - min(candles.low[end - 13 : end + 1]))
        / (max(candles.high[end - 13 : end + 1]) - min(candles.low[end - 13 : end + 1]))
        for end in range(290, 300)
    ]
    found = study(candles)
    flow = [
        math.copysign(volume, move)
        for move, volume in zip(changes(list(candles.close)), candles.volume[1:], strict=True)
    ]

    assert found["stoch_k"][-1] == pytest.approx(sum(raw[-3:]) / 3, rel=1e-7)
    assert changes([value for value in found["obv"] if value is not None]) == pytest.approx(flow[-9:], abs=1e-4)


def test_a_history_too_short_for_an_indicator_gives_none_and_the_rest_gives_numbers() -> None:
    found = TalibAnalyst(IndicatorSettings()).study(window(30))

    assert found.latest["ema_50"] is None
    assert found.latest["ema_20"] is not None
    assert found.latest["adx_14"] is not None
    assert found.series["macd_signal"] == (None,) * 10


def test_a_history_shorter_than_the_series_gives_what_there_is() -> None:
    found = TalibAnalyst(IndicatorSettings()).study(window(4))

    assert len(found.series["close"]) == 4
    assert found.series["rsi_14"] == (None,) * 4


def test_values_carry_eight_significant_digits() -> None:
    found = study(window(3, close=[95123.123456, 0.000123456789, 123456789.0]))

    assert found["close"] == (95123.123, 0.00012345679, 123456790.0)


def test_periods_are_a_matter_of_settings_and_the_names_say_them() -> None:
    found = study(window(100), IndicatorSettings(ema=(9,), rsi=(21,), atr=()))

    assert "ema_9" in found
    assert "rsi_21" in found
    assert not any(name.startswith(("ema_20", "atr_")) for name in found)


@pytest.mark.parametrize(
    ("column", "value"),
    [("close", math.nan), ("high", math.inf), ("low", 0.0), ("close", -1.0), ("volume", math.nan), ("volume", -1.0)],
)
def test_one_unsound_value_makes_the_window_unusable_and_is_named(column: str, value: float) -> None:
    values = [100.0] * 50
    values[20] = value

    with pytest.raises(MarketDataUnusable, match=rf"BTCUSDT 5m: {column} of .* at 2025-05-06 01:40"):
        study(window(50, **{column: values}))


def test_a_candle_without_trades_is_sound() -> None:
    assert study(window(50, volume=[0.0] * 50))["volume"][-1] == 0


def test_an_empty_window_is_unusable() -> None:
    with pytest.raises(MarketDataUnusable, match="BTCUSDT 5m: no candles"):
        study(window(0))


def test_settings_refuse_a_period_that_measures_nothing() -> None:
    with pytest.raises(ValueError, match="indicator rsi: a period must be at least 2, not 1"):
        IndicatorSettings(rsi=(1,))
    with pytest.raises(ValueError, match="bollinger_width"):
        IndicatorSettings(bollinger_width=0.0)


def test_a_cycle_of_twenty_series_takes_less_than_a_blink() -> None:
    analyst = TalibAnalyst(IndicatorSettings())
    candles = window(300)

    # Processor time, and the best of five: the machine may be busy with something else.
    seconds = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(20):
            analyst.study(candles)
        seconds.append(time.process_time() - started)

    assert min(seconds) < 0.02


def test_importing_the_analyst_loads_no_pandas_and_leaves_it_importable() -> None:
    program = (
        "import sys; import shared.indicators.talib_analyst; print('pandas' in sys.modules, 'polars' in sys.modules);"
        "import pandas; print(pandas.Series([1]).sum())"
    )

    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stdout.split("\n")[:2] == ["False False", "1"]
