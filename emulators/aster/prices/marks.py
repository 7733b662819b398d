"""
Mark and index price: two more paths beside the last traded price, made of the same candles.

Both are calmer than the last price and start where they ended: their candles open at their own last close, so a gap
of the last price reaches them only as the path moves on.

- The mark price closes nine tenths of the way from a candle's open to its close, and its wicks are half as long.
- The index price closes eight tenths of the way, and has no wicks.

They visit high and low in the order in which the last price does. Where nothing moves all three are the same. Both
are whole tenths of a tick, so nothing is ever rounded, and being candles they are as quick to search as the last price.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candles import Candles, Ticks

FINER = 10
"""Mark and index prices are counted in tenths of a tick."""


@dataclass(frozen=True, slots=True)
class Followers(Candles):
    """Candles that follow others, prices in tenths of a tick."""

    rising: NDArray[np.bool_]
    """Whether the candle that is followed visits its low first."""

    def rises(self, index: int) -> bool:
        return bool(self.rising[index])


def mark_candles(candles: Candles) -> Followers:
    """Return the candles of the mark price."""
    body_high, body_low = np.maximum(candles.open, candles.close), np.minimum(candles.open, candles.close)
    return _followers(candles, 9, 5 * (candles.high + body_high), 5 * (candles.low + body_low))


def index_candles(candles: Candles) -> Followers:
    """Return the candles of the index price."""
    return _followers(candles, 8, None, None)


def _followers(candles: Candles, tenths: int, high: Ticks | None, low: Ticks | None) -> Followers:
    closes = tenths * candles.close + (FINER - tenths) * candles.open
    opens = np.concatenate((candles.open[:1] * FINER, closes[:-1]))
    tops, bottoms = np.maximum(opens, closes), np.minimum(opens, closes)
    return Followers(
        candles.span,
        candles.time,
        opens,
        tops if high is None else np.maximum(tops, high),
        bottoms if low is None else np.minimum(bottoms, low),
        closes,
        candles.volume,
        candles.close >= candles.open,
    )
