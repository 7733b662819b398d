"""
History: any range of candles brought into the database, what it lacks found, and what is too old taken away.

Asks     the exchange for what is missing, many series and pages at once, and leaves room in the limit for trading
Writes   candles and their defects, each page in a transaction of its own
Repeats  safely: stopped anywhere, it goes on where it was, because it asks only for what is not there.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from functions.gathering import gather, keep, missing, settle
from shared.db.retention import Pruned, prune_candles
from shared.db.unit_of_work import Database
from shared.domain.market import EPOCH, WIDTH, Series, Span
from shared.domain.ports import Clock, MarketData
from shared.domain.work import OpenWork
from shared.exchange.market import PAGE

AT_ONCE = 8
PAGES_A_MINUTE = 480
"""960 of the 2,400 that the exchange allows in a minute: the rest is for those who trade meanwhile."""

PRUNED = tuple(timeframe for timeframe, width in WIDTH.items() if width < timedelta(hours=1))
"""The timeframes that CANDLE_RETENTION is about. Wider candles are few, and kept."""

_POLL_SECONDS = 0.5  # market time may run faster than ours, so a wait looks at the clock again and again


@dataclass(frozen=True, slots=True)
class Gap:
    """Candles that are not stored, and whether the exchange was asked for them in vain."""

    series: Series
    span: Span
    in_vain: bool

    @property
    def candles(self) -> int:
        """Return how many they are."""
        return self.series.timeframe.number(self.span.since, self.span.until)


@dataclass(slots=True)
class Brought:
    """What a backfill came to."""

    candles: int = 0
    failures: dict[Series, str] = field(default_factory=dict)
    """Why the exchange did not tell the rest of a series."""


class History:
    """What can be done about stored candles as a whole."""

    def __init__(self, *, open_work: OpenWork, market: MarketData, clock: Clock) -> None:
        self._open_work = open_work
        self._market = market
        self._clock = clock
        self._minute: datetime | None = None
        self._pages = 0

    async def gaps(self, wanted: Mapping[Series, Span]) -> list[Gap]:
        """Return what of *wanted* is not stored, by series, oldest first."""
        found = []
        async with self._open_work() as work:
            for series, span in wanted.items():
                holes = (await work.candles.holes({series: span})).get(series, ())
                known = (await work.candle_defects.absent([series], EPOCH)).get(series, ())
                for hole in holes:
                    left = list(hole.without(known, series.timeframe))
                    found += [Gap(series, part, in_vain=False) for part in left]
                    found += [Gap(series, part, in_vain=True) for part in hole.without(left, series.timeframe)]
        return sorted(found, key=lambda gap: (gap.series.symbol, gap.series.timeframe, gap.span.since))

    async def missing(self, wanted: Mapping[Series, Span], *, again: bool = False) -> dict[Series, list[Span]]:
        """Return what to ask for. With *again* also what was asked for in vain lately. Raises VenueError."""
        asks: dict[Series, list[Span]] = {}
        for series, span in wanted.items():  # one by one, since each may be millions of rows
            async with self._open_work() as work:
                whole = {series: span}
                asks |= (
                    {name: list(holes) for name, holes in (await work.candles.holes(whole)).items()}
                    if again
                    else await missing(work, whole, self._clock.now())
                )
        headless = [series for series, spans in asks.items() if spans[0].since == wanted[series].since]
        begun = await asyncio.gather(*(self._from_the_first(each, asks[each], wanted[each]) for each in headless))
        asks |= dict(zip(headless, begun, strict=True))
        return {series: spans for series, spans in asks.items() if spans}

    async def _from_the_first(self, series: Series, spans: list[Span], whole: Span) -> list[Span]:
        """Return *spans* without the years before the contract was listed, and remember those."""
        head, *others = spans
        first = await self._market.first_opened(series, head.since, head.until)
        if first is None and head.until == whole.until:
            return []  # nothing at all, or not yet
        rest = [] if first is None else [Span(series.timeframe.open_at(first), head.until)]
        async with self._open_work() as work:
            await work.candle_defects.settle({series: list(head.without(rest, series.timeframe))}, self._clock.now())
        return [*rest, *others]

    async def backfill(
        self, wanted: Mapping[Series, Span], asks: Mapping[Series, Sequence[Span]], *, done: Callable[[int], object]
    ) -> Brought:
        """Ask for it all; *done* is told of each page how many candles it was about.

        A series that fails is given up and reported; the others go on.
        """
        pages = deque(
            (series, page)
            for series, spans in asks.items()
            for span in spans
            for page in span.pages(series.timeframe, PAGE)
        )
        brought = Brought()

        async def bring() -> None:
            while pages:
                series, page = pages.popleft()
                if series not in brought.failures:
                    await self._page(series, page, brought)
                done(series.timeframe.number(page.since, page.until))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(bring())
        for series, spans in asks.items():
            if series not in brought.failures:
                async with self._open_work() as work:
                    await settle(work, wanted, {series: spans}, self._clock.now())
        return brought

    async def _page(self, series: Series, page: Span, brought: Brought) -> None:
        await self._turn()
        now = self._clock.now()
        gathered = await gather(self._market, {series: [page]}, now)
        brought.failures |= gathered.failures
        async with self._open_work() as work:
            await keep(work, gathered, now)
        brought.candles += sum(map(len, gathered.found.values()))

    async def _turn(self) -> None:
        """Wait until there is room for another page in the present minute of the exchange's time."""
        while (minute := self._clock.now().replace(second=0, microsecond=0)) == self._minute:
            if self._pages < PAGES_A_MINUTE:
                self._pages += 1
                return
            await asyncio.sleep(_POLL_SECONDS)
        self._minute, self._pages = minute, 1


async def prune(database: Database, clock: Clock, retention: timedelta) -> Pruned:
    """Take away the candles of less than an hour that opened longer than *retention* ago."""
    return await prune_candles(database, PRUNED, before=clock.now() - retention)
