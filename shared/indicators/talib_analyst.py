"""
The `Analyst` port on TA-Lib.

Promises that a number comes out only where there was enough sound data for it: an unsound window raises
MarketDataUnusable, a history too short for an indicator gives None. Recursive indicators (EMA, RSI, MACD, ATR, ADX)
depend on how many candles they are given and agree to eight digits from about 300 on, so give every study the same
count. OBV starts at zero with the window: only its changes mean something.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.domain.errors import BadQuestion, MarketDataUnusable
from shared.domain.market import CandleWindow
from shared.domain.snapshot import Indicators


@contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """Make importing *packages* fail for a moment, unless they are loaded already."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is the import system's "not there"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


# TA-Lib loads pandas and polars wherever they are installed, to accept their series. We hand it arrays only, and
# pandas would cost every cold start a quarter of a second and 40 MB.
with _hidden("pandas", "polars"):
    import talib
    from talib import abstract

library: Any = talib
functions: Any = abstract  # whose names the library makes up as it loads

Column = npt.NDArray[np.float64]

SERIES_LENGTH = 10
SIGNIFICANT_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorSettings:
    """Which indicators to compute, as periods in candles. Values of an indicator with many periods carry the period."""

    ema: tuple[int, ...] = (20, 50)
    sma: tuple[int, ...] = (50,)
    rsi: tuple[int, ...] = (7, 14)
    atr: tuple[int, ...] = (3, 14)
    adx: tuple[int, ...] = (14,)
    macd: tuple[int, int, int] = (12, 26, 9)
    """Fast, slow, signal."""
    bollinger: int = 20
    bollinger_width: float = 2.0
    """Bands lie this many standard deviations from the middle."""
    stochastic: tuple[int, int, int] = (14, 3, 3)
    """%K, its smoothing, %D."""

    def __post_init__(self) -> None:
        """Refuse periods that TA-Lib would refuse later and less clearly."""
        for name in ("ema", "sma", "rsi", "adx", "macd"):
            _require_periods(name, getattr(self, name), least=2)
        for name in ("atr", "stochastic"):
            _require_periods(name, getattr(self, name), least=1)
        _require_periods("bollinger", (self.bollinger,), least=2)
        if not 0 < self.bollinger_width < math.inf:
            raise ValueError(f"indicator bollinger_width must be above 0, not {self.bollinger_width}")


def _require_periods(name: str, periods: tuple[int, ...], *, least: int) -> None:
    for period in periods:
        if period < least:
            raise ValueError(f"indicator {name}: a period must be at least {least}, not {period}")


class TalibAnalyst:
    """Computes the same indicators over every window it is given."""

    def __init__(self, settings: IndicatorSettings) -> None:
        """Settings hold for the life of the analyst."""
        self._settings = settings

    def study(self, window: CandleWindow) -> Indicators:
        """Return every indicator over *window*, rounded to eight significant digits. Raises MarketDataUnusable."""
        columns = self._compute(window)
        series = {name: tuple(map(_readable, column[-SERIES_LENGTH:].tolist())) for name, column in columns.items()}
        return Indicators(
            candles=len(window.opened),
            series=series,
            latest={name: values[-1] for name, values in series.items()},
        )

    def parameters(self, function: str) -> Mapping[str, int | float]:
        """Return the parameters of a TA-Lib function with their usual values. Raises BadQuestion."""
        return dict(_function(function).parameters)

    def compute(
        self, function: str, window: CandleWindow, parameters: Mapping[str, int | float]
    ) -> Mapping[str, Sequence[float | None]]:
        """Return the outputs of one TA-Lib function over *window*, by name and oldest first, to eight digits.

        Raises BadQuestion for what cannot be computed, MarketDataUnusable.
        """
        computation = _function(function)
        columns = {name: _prices(window, name) for name in ("open", "high", "low", "close")}
        columns["volume"] = _column(window, "volume")
        try:
            found = computation(columns, **parameters)
        except Exception as exc:  # TA-Lib raises a bare one
            raise BadQuestion(f"{function} cannot be computed with {dict(parameters)}") from exc
        outputs = found if isinstance(found, list) else [found]
        return {
            name: [_readable(float(value)) for value in column]
            for name, column in zip(computation.output_names, outputs, strict=True)
        }

    def _compute(self, window: CandleWindow) -> dict[str, Column]:
        """Return one column per name, as long as the window; NaN where the history is too short."""
        high, low, close = (_prices(window, name) for name in ("high", "low", "close"))
        volume = _column(window, "volume")
        settings = self._settings
        macd, macd_signal, macd_hist = talib.MACD(close, *settings.macd)
        width = settings.bollinger_width
        bb_upper, bb_middle, bb_lower = talib.BBANDS(close, settings.bollinger, width, width)
        k_period, k_smoothing, d_period = settings.stochastic
        stoch_k, stoch_d = talib.STOCH(
            high, low, close, fastk_period=k_period, slowk_period=k_smoothing, slowd_period=d_period
        )
        return {
            "close": close,
            "volume": volume,
            **{f"ema_{period}": talib.EMA(close, period) for period in settings.ema},
            **{f"sma_{period}": talib.SMA(close, period) for period in settings.sma},
            "macd": macd,
            "macd_signal": macd_signal,
            "macd_hist": macd_hist,
            **{f"rsi_{period}": talib.RSI(close, period) for period in settings.rsi},
            **{f"atr_{period}": talib.ATR(high, low, close, period) for period in settings.atr},
            **{f"adx_{period}": talib.ADX(high, low, close, period) for period in settings.adx},
            "bb_upper": bb_upper,
            "bb_middle": bb_middle,
            "bb_lower": bb_lower,
            "stoch_k": stoch_k,
            "stoch_d": stoch_d,
            "obv": talib.OBV(close, volume),
        }


def computable() -> frozenset[str]:
    """Return the names of the TA-Lib functions that can be computed from candles alone."""
    return frozenset(library.__TA_FUNCTION_NAMES__) - {"MAVP"}  # which wants a period for every candle


def _function(name: str) -> Any:
    if name not in computable():
        raise BadQuestion(f"there is no TA-Lib function {name[:40]!r}")
    return functions.Function(name)


def _column(window: CandleWindow, name: str) -> Column:
    """Return a column, checked: a single NaN in it would make TA-Lib's RSI end as 0 without a word."""
    column = np.asarray(getattr(window, name), dtype=np.float64)
    if column.size == 0:
        raise MarketDataUnusable(f"{_title(window)}: no candles")
    unsound = ~np.isfinite(column) | (column < 0)
    if unsound.any():
        place = int(unsound.argmax())
        raise MarketDataUnusable(
            f"{_title(window)}: {name} of {column[place]} at {window.opened[place]:%Y-%m-%d %H:%M}"
        )
    return column


def _prices(window: CandleWindow, name: str) -> Column:
    column = _column(window, name)
    if not column.all():
        place = int((column == 0).argmax())
        raise MarketDataUnusable(f"{_title(window)}: {name} of zero at {window.opened[place]:%Y-%m-%d %H:%M}")
    return column


def _title(window: CandleWindow) -> str:
    return f"{window.series.symbol} {window.series.timeframe}"


def _readable(value: float) -> float | None:
    """Round to what a model can use: more digits only make the prompt longer."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
