"""
A market that was: recorded candles and funding rates.

All candles of a market have one timeframe, the finest that is found for any of its symbols. Where a settlement has no
recorded funding rate it is the usual one. `recordings` says which files can be read.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .candles import Candles, whole
from .intervals import DAY, HOUR, MINUTE, SPANS
from .klines import VOLUME_DECIMALS
from .market import CandleMarket, UnusableMarket
from .symbols import Instrument, instrument_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .recordings import Table

USUAL_FUNDING = Decimal("0.00010000")
MOST_DECIMALS = 8


class RecordedMarket(CandleMarket):
    """The market of some recorded candles. Prices end with the last candle of the symbol that was recorded longest."""

    def __init__(
        self,
        instruments: dict[str, Instrument],
        candles: dict[str, Candles],
        funding: dict[str, dict[int, Decimal]],
        *,
        base: str,
        start: int | None,
    ) -> None:
        """*funding* maps the minute of a settlement to its rate."""
        super().__init__(instruments, base=base)
        self._candles = candles
        self._funding = funding
        self._intervals = {symbol: _interval(rates) for symbol, rates in funding.items() if len(rates) > 1}
        first = min(int(each.time[0]) for each in candles.values())
        self.end = max(int(each.time[-1]) + each.span for each in candles.values())
        self.start = min(first + 2 * DAY, self.end) if start is None else start
        if not first <= self.start <= self.end:
            span = f"{_written(first)} to {_written(self.end)}"
            raise UnusableMarket(f"start {_written(self.start)} lies outside the recording, which spans {span}")
        self.identity = f"recorded {_fingerprint(candles, funding)} start={self.start}"

    def candles(self, symbol: str, until: int) -> Candles:
        return self._candles[symbol]

    def funding_interval(self, symbol: str) -> int:
        return self._intervals.get(symbol) or super().funding_interval(symbol)

    def funding_rate(self, symbol: str, at: int) -> Decimal:
        rates = self._funding.get(symbol, {})
        return rates.get(at // MINUTE, USUAL_FUNDING)


def recorded_market(
    path: Path | str, *, symbols: Iterable[str] | None = None, start: int | None = None
) -> RecordedMarket:
    """
    Read a market from a file or a folder.

    *symbols* picks some of those recorded. Trading begins at *start* (milliseconds), by default two days after the
    first candle. Raises UnusableMarket.
    """
    if not Path(path).exists():
        raise UnusableMarket(f"{path}: there is no such file or folder")
    # Only recordings need pandas, which takes a while to load.
    from .recordings import read_files  # noqa: PLC0415

    tables, funding = read_files(Path(path))
    wanted = sorted({table.symbol for table in tables}) if symbols is None else list(symbols)
    missing = [symbol for symbol in wanted if all(table.symbol != symbol for table in tables)]
    if missing or not wanted:
        raise UnusableMarket(f"{path}: no candles of {', '.join(missing) or 'any symbol'} found")
    spans = {table.file: _timeframe(table) for table in tables if table.symbol in wanted}
    base = min(spans.values(), key=lambda name: SPANS[name])
    instruments, candles = {}, {}
    for symbol in wanted:
        parts = [table for table in tables if table.symbol == symbol and spans[table.file] == base]
        if not parts:
            raise UnusableMarket(f"{path}: {symbol} has no {base} candles, but other symbols have")
        instruments[symbol], candles[symbol] = _series(parts, base)
    return RecordedMarket(instruments, candles, funding, base=base, start=start)


def _interval(rates: dict[int, Decimal]) -> int:
    """Return the time between two recorded settlements in milliseconds, in whole hours."""
    shortest = min(later - earlier for earlier, later in pairwise(sorted(rates))) * MINUTE
    return max(1, round(shortest / HOUR)) * HOUR


def _timeframe(table: Table) -> str:
    steps = np.diff(table.time)
    span = int(np.median(steps)) if len(steps) else MINUTE
    name = next((name for name, length in SPANS.items() if length == span), None)
    if name is None:
        raise UnusableMarket(f"{table.file}: candles {span} ms apart are of no known timeframe")
    astray = np.flatnonzero(table.time % span)
    if len(astray):
        line = table.lines[astray[0]]
        raise UnusableMarket(f"{table.file}, line {line}: open_time is not the beginning of a {name} candle")
    return name


def _series(parts: list[Table], base: str) -> tuple[Instrument, Candles]:
    """Join the tables of one symbol."""
    parts = sorted(parts, key=lambda part: int(part.time[0]))
    time = np.concatenate([part.time for part in parts])
    numbers = np.concatenate([part.numbers for part in parts], axis=1)
    for earlier, later in pairwise(parts):
        if later.time[0] <= earlier.time[-1]:
            raise UnusableMarket(f"{later.file}: overlaps {earlier.file.name}")
    decimals = _decimals(numbers[:4])
    instrument = instrument_for(parts[0].symbol, price_decimals=decimals, price=float(numbers[3, -1]))
    opened, high, low, closed = (whole(column, instrument.price_decimals) for column in numbers[:4])
    return instrument, Candles(SPANS[base], time, opened, high, low, closed, whole(numbers[4], VOLUME_DECIMALS))


def _decimals(prices: NDArray[np.float64]) -> int:
    """Return how many decimals the prices were written with."""
    for decimals in range(MOST_DECIMALS):
        scaled = prices * 10**decimals
        if float(np.abs(scaled - np.rint(scaled)).max()) < 1e-3:
            return decimals
    return MOST_DECIMALS


def _written(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="seconds")


def _fingerprint(candles: dict[str, Candles], funding: dict[str, dict[int, Decimal]]) -> str:
    digest = hashlib.sha256()
    for symbol, each in candles.items():
        digest.update(symbol.encode())
        for column in (each.time, each.open, each.high, each.low, each.close, each.volume):
            digest.update(column.tobytes())
        digest.update(repr(funding.get(symbol)).encode())
    return digest.hexdigest()[:16]
