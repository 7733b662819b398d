"""
Candles that are missing, and nothing else: which they are, what the exchange says of them, and what of that is kept.

A gap is asked for by itself, however whole the rest. What the exchange does not have is remembered and asked for again
now and then. What is wrong with its answers is logged and kept beside the candles.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.candle_defects import CandleDefect, DefectKind, inspect
from shared.domain.errors import VenueError
from shared.domain.market import Candle, Series, Span
from shared.domain.ports import MarketData
from shared.domain.work import Work

log = logging.getLogger("perpetua.market_data")

_ORDINARY = (DefectKind.FLAT, DefectKind.START)
"""Kept like the rest, but no reason to call anybody."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of asking: sound candles by series, the defects of the answers, and why a series got none."""

    found: Mapping[Series, Sequence[Candle]]
    defects: Sequence[CandleDefect]
    failures: Mapping[Series, str]


async def missing(work: Work, wanted: Mapping[Series, Span], at: datetime) -> dict[Series, list[Span]]:
    """Return what to ask for: what is not stored, less what was asked for in vain lately. Oldest first."""
    holes = await work.candles.holes(wanted)
    torn = [series for series, spans in holes.items() if spans[0].until < wanted[series].until]
    absent = await work.candle_defects.absent(torn, at) if torn else {}
    left = {
        series: [part for span in spans for part in span.without(absent.get(series, ()), series.timeframe)]
        for series, spans in holes.items()
    }
    return {series: spans for series, spans in left.items() if spans}


async def gather(market: MarketData, asks: Mapping[Series, Sequence[Span]], at: datetime) -> Gathered:
    """Ask for every span at once. A series that fails is reported and sinks no other."""
    each = [(series, span) for series, spans in asks.items() for span in spans]
    answers = await asyncio.gather(
        *(market.candles(series, since=span.since, until=span.until) for series, span in each), return_exceptions=True
    )
    found: dict[Series, list[Candle]] = {}
    defects: list[CandleDefect] = []
    failures = {}
    for (series, span), answer in zip(each, answers, strict=True):
        if isinstance(answer, VenueError):
            failures[series] = str(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            sound, wrong = inspect(series, answer, span, now=at)
            found.setdefault(series, []).extend(sound)
            defects += wrong
    return Gathered(found, defects, failures)


async def keep(work: Work, gathered: Gathered, at: datetime) -> None:
    """Store what was found, and what was wrong with it or with what stood there before."""
    corrections = await work.candles.save(gathered.found)
    defects = [*gathered.defects, *corrections]
    await work.candle_defects.save(defects, at)
    tell(defects)


async def settle(
    work: Work, wanted: Mapping[Series, Span], asked: Mapping[Series, Sequence[Span]], at: datetime
) -> None:
    """Remember what of *wanted* was *asked* for in vain.

    Not the newest candles: they may be late, and are due.
    """
    holes = await work.candles.holes({series: wanted[series] for series in asked})
    in_vain = {
        series: [
            hole
            for hole in holes.get(series, ())
            if hole.until < wanted[series].until and any(hole.meets(span) for span in spans)
        ]
        for series, spans in asked.items()
    }
    tell(await work.candle_defects.settle(in_vain, at))


def tell(defects: Iterable[CandleDefect]) -> None:
    """Log what somebody may have to look into."""
    for defect in defects:
        if defect.kind not in _ORDINARY:
            log.warning(
                "candles with a defect",
                extra={
                    "symbol": defect.series.symbol,
                    "timeframe": defect.series.timeframe.value,
                    "kind": defect.kind.value,
                    "opened": defect.span.since.isoformat(),
                    "until": defect.span.until.isoformat(),
                    "detail": defect.detail,
                },
            )
