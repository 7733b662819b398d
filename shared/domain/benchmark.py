"""
What an account is held against: what its symbols did by themselves, what dice would have made of the same trades, and
what doing nothing comes to.

Prices are floats here: nothing of this is ever traded.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

DRAWS = 200
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Prices = Mapping[str, Sequence[float | None]]
"""The price of each symbol at the same moments, oldest first; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Symbols bought with equal money at the first moment and held: by moment what one USD has become."""

    growth: tuple[float | None, ...]
    symbols: tuple[str, ...]
    without: tuple[str, ...]
    """Those that have no price at the first moment, and were not bought."""

    @property
    def total_return(self) -> float | None:
        """Since the first moment; None where nothing could be bought."""
        return None if not self.growth or self.growth[-1] is None else self.growth[-1] - 1

    @property
    def max_drawdown(self) -> float | None:
        """The deepest fall from a peak between the moments, as a share of the peak."""
        peak, deepest = 0.0, None
        for growth in self.growth:
            if growth is not None:
                peak = max(peak, growth)
                deepest = max(deepest or 0.0, 1 - growth / peak)
        return deepest


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """The candles of a symbol, oldest first, all of one width."""

    highs: Sequence[float]
    lows: Sequence[float]
    closes: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What a trade put at stake: its notional over the account's equity then, its costs likewise, and for how long."""

    share: float
    costs: float
    candles: int
    stop: float | None
    """How far from its entry its first stop was, as a share of the entry; None if it had none."""
    result: float
    """What it came to, net, over equity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dice:
    """What dice made of the same stakes. `quantiles` are of the sums of results over the draws."""

    trips: int
    draws: int
    own: float
    quantiles: tuple[float, ...]
    beaten: float
    """The share of the draws that the account did better than."""


def buy_and_hold(prices: Prices) -> Hold:
    """Return what equal money in every symbol has become at each moment. A price that is missing is that of before."""
    bought = {symbol: series for symbol, series in prices.items() if series and series[0]}
    without = tuple(sorted(prices.keys() - bought.keys()))
    if not bought:
        return Hold(growth=(), symbols=(), without=without)
    growths = [_growth(series) for series in bought.values()]
    growth = tuple(sum(each) / len(growths) for each in zip(*growths, strict=True))
    return Hold(growth=growth, symbols=tuple(sorted(bought)), without=without)


def roll(stakes: Sequence[Stake], bars: Mapping[str, Bars], *, seed: str, draws: int = DRAWS) -> Dice | None:
    """Return what *stakes* come to when dice choose the symbol, the direction and the moment of each trade.

    How much is at stake, for how many candles at most, how far away the stop is and what it costs stays as it was: the
    risk is the account's own. A trade whose stop a candle after its entry reaches ends at the stop. The same *seed*
    rolls the same. None where there is no room to roll in.
    """
    longest = max((stake.candles for stake in stakes), default=0)
    tables = [_Table.of(each) for _, each in sorted(bars.items()) if len(each.closes) > longest]
    if not stakes or not tables:
        return None
    dice = random.Random(seed)  # noqa: S311 - nothing secret: the same every time is what it is for
    results = sorted(sum(_thrown(stake, tables, dice) for stake in stakes) for _ in range(draws))
    own = sum(stake.result for stake in stakes)
    return Dice(
        trips=len(stakes),
        draws=draws,
        own=own,
        quantiles=tuple(results[round(share * (draws - 1))] for share in QUANTILES),
        beaten=sum(result < own for result in results) / draws,
    )


def _thrown(stake: Stake, tables: Sequence["_Table"], dice: random.Random) -> float:
    table = tables[int(dice.random() * len(tables))]
    begin = int(dice.random() * (len(table.closes) - stake.candles))
    sign = 1 if dice.random() < 0.5 else -1
    entry, end = table.closes[begin], begin + stake.candles
    worst = table.lowest(begin + 1, end) if sign > 0 else table.highest(begin + 1, end)
    moved = sign * (table.closes[end] / entry - 1)
    if stake.stop is not None and sign * (1 - worst / entry) >= stake.stop:
        moved = -stake.stop
    return stake.share * moved - stake.costs


@dataclass(frozen=True, slots=True)
class _Table:
    """Candles with the lowest low and the highest high of any stretch at hand.

    Row n holds those of the 2ⁿ candles from each one on, and any stretch is two of them that overlap (a sparse table).
    """

    closes: Sequence[float]
    lows: Sequence[Sequence[float]]
    highs: Sequence[Sequence[float]]

    @classmethod
    def of(cls, bars: Bars) -> Self:
        return cls(bars.closes, _doubled(bars.lows, min), _doubled(bars.highs, max))

    def lowest(self, first: int, last: int) -> float:
        row, second = _halves(first, last)
        return min(self.lows[row][first], self.lows[row][second])

    def highest(self, first: int, last: int) -> float:
        row, second = _halves(first, last)
        return max(self.highs[row][first], self.highs[row][second])


def _doubled(values: Sequence[float], worst: Callable[[float, float], float]) -> list[Sequence[float]]:
    rows = [values]
    while (reach := 1 << (len(rows) - 1)) < len(rows[-1]):
        rows.append([worst(one, other) for one, other in zip(rows[-1], rows[-1][reach:], strict=False)])
    return rows


def _halves(first: int, last: int) -> tuple[int, int]:
    row = (last - first + 1).bit_length() - 1
    return row, last + 1 - (1 << row)


def _growth(series: Sequence[float | None]) -> list[float]:
    first = last = series[0] or 0.0
    growth = []
    for price in series:
        last = price or last
        growth.append(last / first)
    return growth
