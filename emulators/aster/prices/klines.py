"""
Candles of one symbol as the exchange serves them: any timeframe, only what has been traded so far.

A served row is `[open time, open, high, low, close, volume, close time, quote volume, trades, taker buy base volume,
taker buy quote volume, "0"]`, prices and volumes as decimal texts. Rows of finished bars are kept as JSON. The last
row may be the running bar. The recordings know neither quote volume nor trades: quote volume is volume times the mean
of the four prices, takers buy six tenths of a rising bar and four tenths of a falling one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ..errors import Refusal
from .candles import Candles
from .intervals import SPANS, Times, bar_ends, bar_of
from .symbols import Instrument

VOLUME_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; prices in ticks, volume in thousandths of the base asset."""

    opens: int
    closes: int
    """Opening time of the next bar."""
    open: int
    high: int
    low: int
    close: int
    units: int
    price_decimals: int

    @property
    def volume(self) -> Decimal:
        return Decimal(self.units).scaleb(-VOLUME_DECIMALS)

    @property
    def quote_volume(self) -> Decimal:
        quarters = self.units * (self.open + self.high + self.low + self.close)
        return Decimal(quarters * 25).scaleb(-VOLUME_DECIMALS - self.price_decimals - 2)


@dataclass(slots=True)
class _Timeframe:
    bars: Candles
    ends: Times
    built_from: int
    """How many base candles the bars were made of."""
    rows: dict[int, bytes]
    untraded_rows: dict[int, bytes]


class Klines:
    """All timeframes of one symbol."""

    def __init__(self, instrument: Instrument, base: str) -> None:
        self._instrument = instrument
        self._base = base
        self._timeframes: dict[str, _Timeframe] = {}

    def answer(
        self,
        candles: Candles,
        interval: str,
        *,
        now: int,
        start: int | None,
        end: int | None,
        limit: int,
        traded: bool,
    ) -> bytes:
        """Return the rows asked for; see `Market.klines`. -1120 for bars the candles are too coarse for."""
        if SPANS[interval] % SPANS[self._base]:
            raise Refusal(-1120, text=f"Invalid interval. This market's finest candles are {self._base}.")
        frame = self._frame(candles, interval)
        closed = int(frame.ends.searchsorted(now, "right"))
        running = self.running(candles, interval, now)
        stop = closed + (running is not None)
        if end is not None:
            stop = min(stop, int(frame.bars.time.searchsorted(end, "right")))
        if start is None:
            first = max(0, stop - limit)
        else:
            first = int(frame.bars.time.searchsorted(start))
            stop = min(stop, first + limit)
        rows = [self._row(frame, index, traded) for index in range(first, min(stop, closed))]
        if running is not None and first <= closed < stop:
            rows.append(self._write(running, traded))
        return b"[" + b",".join(rows) + b"]"

    def running(self, candles: Candles, interval: str, now: int) -> Bar | None:
        """Return the unfinished bar as far as it has been traded, or nothing while no candle of it has opened."""
        opens, closes = bar_of(now, interval)
        first, last = int(candles.time.searchsorted(opens)), candles.index(now)
        if last < first:
            return None
        low, high = candles.extremes(max(opens, int(candles.time[first])) - 1, now)
        elapsed = min(now - int(candles.time[last]), candles.span)
        units = int(candles.volume[first:last].sum()) + int(candles.volume[last]) * elapsed // candles.span
        decimals = self._instrument.price_decimals
        return Bar(opens, closes, int(candles.open[first]), high, low, candles.price(now), units, decimals)

    @staticmethod
    def traded(candles: Candles, instrument: Instrument, first: int, stop: int) -> tuple[Decimal, Decimal]:
        """Return base and quote volume of the candles [first, stop)."""
        part = slice(first, stop)
        prices = candles.open[part] + candles.high[part] + candles.low[part] + candles.close[part]
        units = int(candles.volume[part].sum())
        quarters = int(candles.volume[part] @ prices)
        return (
            Decimal(units).scaleb(-VOLUME_DECIMALS),
            Decimal(quarters * 25).scaleb(-VOLUME_DECIMALS - instrument.price_decimals - 2),
        )

    def _frame(self, candles: Candles, interval: str) -> _Timeframe:
        frame = self._timeframes.get(interval)
        if frame is None or frame.built_from != len(candles):
            bars = candles if interval == self._base else candles.aggregated(interval)
            rows = ({}, {}) if frame is None else (frame.rows, frame.untraded_rows)
            frame = _Timeframe(bars, bar_ends(bars.time, interval), len(candles), *rows)
            self._timeframes[interval] = frame
        return frame

    def _row(self, frame: _Timeframe, index: int, traded: bool) -> bytes:
        rows = frame.rows if traded else frame.untraded_rows
        row = rows.get(index)
        if row is None:
            row = rows[index] = self._write(self._bar(frame, index), traded)
        return row

    def _bar(self, frame: _Timeframe, index: int) -> Bar:
        bars = frame.bars
        return Bar(
            int(bars.time[index]),
            int(frame.ends[index]),
            int(bars.open[index]),
            int(bars.high[index]),
            int(bars.low[index]),
            int(bars.close[index]),
            int(bars.volume[index]),
            self._instrument.price_decimals,
        )

    def _write(self, bar: Bar, traded: bool) -> bytes:
        text = self._instrument.price_text
        prices = f'"{text(bar.open)}","{text(bar.high)}","{text(bar.low)}","{text(bar.close)}"'
        seconds = (bar.closes - bar.opens) // 1000
        if not traded:
            return f'[{bar.opens},{prices},"0",{bar.closes - 1},"0",{seconds},"0","0","0"]'.encode()
        bought = Decimal("0.6") if bar.close >= bar.open else Decimal("0.4")
        base, quote = bar.volume, bar.quote_volume
        volumes = f'"{base}",{bar.closes - 1},"{quote:.4f}",{seconds},"{base * bought:.3f}","{quote * bought:.4f}"'
        return f'[{bar.opens},{prices},{volumes},"0"]'.encode()
