"""
What a model may look up while it decides on a cycle: the `Lookup` port.

Read-only towards the account, and as of the cycle: candles that had closed by its tick, decisions of earlier ticks,
trades older than its snapshot. So it rests on the snapshot alone, and whoever is asked later, for comparison or
again, looks up what there was then. Candles that are not stored are fetched and stored as any others are.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from functions.fetch import WINDOW
from functions.gathering import gather, keep, missing
from shared.domain.errors import BadQuestion
from shared.domain.market import CandleWindow, Series, Span, Timeframe
from shared.domain.order import Fill
from shared.domain.ports import Analyst, Clock, MarketData
from shared.domain.risk import ReviewedDecision
from shared.domain.snapshot import Snapshot
from shared.domain.work import OpenWork


class CycleLookup:
    """One cycle's. Each series is read once."""

    def __init__(
        self, snapshot: Snapshot, *, open_work: OpenWork, market: MarketData, analyst: Analyst, clock: Clock
    ) -> None:
        self.symbols: Sequence[str] = sorted(snapshot.indicators)  # as a record tells them, too
        self._snapshot = snapshot
        self._open_work = open_work
        self._market = market
        self._analyst = analyst
        self._clock = clock
        self._windows: dict[Series, CandleWindow] = {}

    async def indicator(
        self, symbol: str, timeframe: Timeframe, function: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Sequence[float | None]]:
        """Return the outputs of a TA-Lib function over a series, by name and oldest first."""
        return self._analyst.compute(function, await self.candles(symbol, timeframe), parameters)

    def parameters(self, function: str) -> Mapping[str, int | float]:
        """Return the parameters of a TA-Lib function with their usual values."""
        return self._analyst.parameters(function)

    async def candles(self, symbol: str, timeframe: Timeframe) -> CandleWindow:
        """Return the closed candles of a series. Raises BadQuestion where they are not to be had, or not sound."""
        series = Series(symbol, timeframe)
        if series not in self._windows:
            self._windows[series] = await self._window(series)
        window = self._windows[series]
        if defect := window.defect(self._snapshot.tick):
            raise BadQuestion(f"{symbol} {timeframe}: {defect}")
        return window

    async def fills(self, count: int) -> Sequence[Fill]:
        """Return the account's latest trades, newest first."""
        async with self._open_work() as work:
            return await work.fills.recent(self._snapshot.account_id, count, before=self._snapshot.taken_at)

    async def decisions(self, count: int) -> Sequence[tuple[datetime, ReviewedDecision]]:
        """Return the account's latest decisions that were not plain holds, newest first."""
        async with self._open_work() as work:
            return await work.decisions.recent(self._snapshot.account_id, count, before=self._snapshot.tick)

    async def _window(self, series: Series) -> CandleWindow:
        timeframe, clock = series.timeframe, self._clock
        running = timeframe.open_at(self._snapshot.tick)
        wanted = {series: Span(timeframe.back(running, WINDOW), timeframe.back(running, 1))}
        async with self._open_work() as work:
            holes = await missing(work, wanted, clock.now())
        if holes:
            gathered = await gather(self._market, holes, clock.now())
            async with self._open_work() as work:
                await keep(work, gathered, clock.now())
        async with self._open_work() as work:
            [window] = await work.candles.windows([series], before=running, count=WINDOW)
        return window
