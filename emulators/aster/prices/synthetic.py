"""
A market that never was: seeded, endless, and the same for everyone who uses the same seed.

Every symbol follows one common factor and noise of its own. Days trend or range, turbulence comes in clusters, now
and then the market crashes within minutes or opens with a gap, and prices drift back towards where they began so that
years stay plausible. Candles are made in blocks of fifteen days, when they are first needed, from random numbers of
(seed, symbol, block); only sums, products and comparisons turn those into prices, so every machine agrees on them.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .candles import Candles, Ticks, whole
from .intervals import DAY, MINUTE, SPANS
from .klines import VOLUME_DECIMALS
from .market import CandleMarket
from .symbols import Instrument, instrument

Floats = NDArray[np.float64]

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT")
START = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1000
HISTORY = 60 * DAY
BLOCK = 15 * DAY
MINUTES = BLOCK // MINUTE
DAY_MINUTES = DAY // MINUTE

FIRST_PRICES = {
    "BTCUSDT": 94000.0, "ETHUSDT": 3350.0, "SOLUSDT": 190.0, "BNBUSDT": 700.0, "XRPUSDT": 2.1, "ADAUSDT": 0.85,
    "DOGEUSDT": 0.32, "LINKUSDT": 20.0, "LTCUSDT": 103.0, "BCHUSDT": 435.0, "ASTERUSDT": 1.5,
}  # fmt: skip
QUOTE_PER_MINUTE = 2_000_000.0
"""Typical turnover of a symbol in one minute, in USDT."""
MINUTE_VOLATILITY = 0.0005
USUAL_FUNDING = 0.0001


class SyntheticMarket(CandleMarket):
    """The made-up market of a seed."""

    def __init__(self, instruments: dict[str, Instrument], *, seed: int, start: int) -> None:
        super().__init__(instruments, base="1m")
        self.seed = seed
        self.start = start
        self.end = None
        self.identity = f"synthetic seed={seed} start={start} symbols={','.join(instruments)}"
        self._origin = start - HISTORY
        self._candles: dict[str, Candles] = {}
        self._common = lru_cache(maxsize=8)(self._make_common)

    def candles(self, symbol: str, until: int) -> Candles:
        candles = self._candles.get(symbol)
        if candles is None:
            candles = self._make(symbol, 0, None)
        later: list[Candles] = []
        for block in range(len(candles) // MINUTES, (until - self._origin) // BLOCK + 1):
            before = later[-1] if later else candles
            later.append(self._make(symbol, block, int(before.close[-1])))
        if later or symbol not in self._candles:
            candles = self._candles[symbol] = candles.joined(later)
        return candles

    def funding_rate(self, symbol: str, at: int) -> Decimal:
        settlement = -(-at // self.funding_interval(symbol))
        noise = self._dice(symbol, "funding", settlement).standard_normal()
        return Decimal(round((USUAL_FUNDING + 0.00004 * noise) * 10**8)).scaleb(-8)

    def _make(self, symbol: str, block: int, last_close: int | None) -> Candles:
        """Return the candles of one block, which begin where the last ones closed."""
        spec = self.instruments[symbol]
        dice = self._dice(symbol, "prices", block)
        home = FIRST_PRICES.get(symbol, 10.0)
        opening = home if last_close is None else float(spec.price(last_close))
        common, turbulence = self._common(block)
        beta = 0.8 + 0.1 * (int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:1]) % 6)
        own_turbulence = turbulence * (0.5 + 0.5 * beta)
        noise = dice.standard_normal(MINUTES) * own_turbulence * MINUTE_VOLATILITY * 0.6
        homesickness = 0.03 * (1.0 - opening / home) / DAY_MINUTES
        returns = np.clip(common * beta + noise + homesickness, -0.2, 0.2)
        gaps = _rare(dice, chance=0.1, size=0.012)

        closes = opening * np.cumprod((1.0 + returns) * (1.0 + gaps))
        opens = np.concatenate(([opening], closes[:-1])) * (1.0 + gaps)
        reach = np.abs(dice.standard_normal((2, MINUTES))) * own_turbulence * MINUTE_VOLATILITY * 0.5
        highs = np.maximum(opens, closes) * (1.0 + reach[0])
        lows = np.minimum(opens, closes) * (1.0 - reach[1])
        stir = 0.3 + np.abs(dice.standard_normal(MINUTES)) + np.abs(returns) * 2000.0
        volumes = QUOTE_PER_MINUTE * stir / closes

        times = self._origin + block * BLOCK + np.arange(MINUTES, dtype=np.int64) * MINUTE

        def ticks(prices: NDArray[np.floating[Any]]) -> Ticks:
            return np.maximum(whole(prices, spec.price_decimals), 1)

        units = whole(volumes, VOLUME_DECIMALS)
        return Candles(SPANS["1m"], times, ticks(opens), ticks(highs), ticks(lows), ticks(closes), units)

    def _make_common(self, block: int) -> tuple[Floats, Floats]:
        """Return what all symbols share in a block: the factor's return and the turbulence, minute by minute."""
        dice = self._dice("*", "common", block)
        days = MINUTES // DAY_MINUTES
        moods = dice.integers(0, 4, days)  # range, range, up, down
        trend = np.repeat(np.select([moods == 2, moods == 3], [0.025, -0.025], 0.0), DAY_MINUTES) / DAY_MINUTES

        hourly = np.abs(dice.standard_normal(days * 24 + 5))
        clustered = np.repeat(0.35 + np.convolve(hourly, np.full(6, 1 / 6), "valid"), 60)
        crashes = _crashes(dice)
        turbulence = clustered * (1.0 + np.abs(crashes) * 400.0)

        steps = dice.standard_normal(MINUTES) * turbulence * MINUTE_VOLATILITY
        ranging = np.repeat(moods < 2, DAY_MINUTES)
        # In a ranging market part of each step is taken back in the next one.
        steps[1:] -= np.where(ranging[1:], 0.4 * steps[:-1], 0.0)
        return steps + trend + crashes, turbulence

    def _dice(self, symbol: str, purpose: str, number: int) -> np.random.Generator:
        name = f"{self.seed}/{symbol}/{purpose}/{number}".encode()
        return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(name).digest()[:16])))


def _rare(dice: np.random.Generator, *, chance: float, size: float) -> Floats:
    """Return jumps of about *size*, either way, with a *chance* of one per day, and zeros elsewhere."""
    jumps = np.zeros(MINUTES)
    for day in np.flatnonzero(dice.random(MINUTES // DAY_MINUTES) < chance):
        minute = int(day) * DAY_MINUTES + int(dice.integers(1, DAY_MINUTES))
        jumps[minute] = size * dice.uniform(-1.0, 1.0)
    return jumps


def _crashes(dice: np.random.Generator) -> Floats:
    """Return the returns of crashes: about one in a month, a quarter of an hour down and half of it back."""
    returns = np.zeros(MINUTES)
    for day in np.flatnonzero(dice.random(MINUTES // DAY_MINUTES) < 1 / 30):
        minute = int(day) * DAY_MINUTES + int(dice.integers(0, DAY_MINUTES - 120))
        depth = float(dice.uniform(0.04, 0.12))
        returns[minute : minute + 15] -= depth / 15
        returns[minute + 15 : minute + 105] += depth / 2 / 90
    return returns


def synthetic_market(*, seed: int = 7, symbols: tuple[str, ...] = SYMBOLS, start: int = START) -> SyntheticMarket:
    """
    Return the synthetic market of a seed.

    *start* is when trading begins, in milliseconds; sixty days of history lie before it. KeyError names a symbol whose
    filters are not on file.
    """
    return SyntheticMarket({symbol: instrument(symbol) for symbol in symbols}, seed=seed, start=start)
