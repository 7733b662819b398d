"""What an exchange gets wrong about candles, and which of them are sound all the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.market import Candle, Series, Span


class DefectKind(StrEnum):
    """What can be wrong. Gaps and starts are what the exchange was asked for and did not have."""

    GAP = "gap"
    START = "start"  # nothing before the series' first candle: no fault, but nothing to ask for again either
    FLAT = "flat"
    DUPLICATE = "duplicate"
    CONTRADICTION = "contradiction"
    CORRECTION = "correction"
    FUTURE = "future"
    OFF_GRID = "off_grid"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class CandleDefect:
    """One thing wrong with the candles of a series that opened within the span."""

    series: Series
    kind: DefectKind
    span: Span
    detail: str


@dataclass(frozen=True, slots=True)
class KeptDefect:
    """A defect as it was recorded: when it was last seen, how often, and when a gap was filled after all."""

    defect: CandleDefect
    last_seen: datetime
    times: int
    healed_at: datetime | None


def inspect(
    series: Series, answered: Iterable[Candle], asked: Span, *, now: datetime
) -> tuple[list[Candle], list[CandleDefect]]:
    """
    Return those of the candles *answered* that were *asked* for and can be trusted, oldest first, and what was wrong.

    A candle told twice is trusted when both say the same, and else not at all: nothing says which one is right. One
    that lies in the future, off the grid of its timeframe, or has its high below its low is left out. Candles without
    a trade are sound, and reported.
    """
    wrong: list[CandleDefect] = []

    def note(kind: DefectKind, candle: Candle, detail: str) -> None:
        wrong.append(CandleDefect(series, kind, Span(candle.opened, candle.opened), detail))

    told: dict[datetime, list[Candle]] = {}
    for candle in answered:
        if candle.opened > now:
            note(DefectKind.FUTURE, candle, f"opens after {now:%Y-%m-%d %H:%M:%S}")
        elif series.timeframe.open_at(candle.opened) != candle.opened:
            note(DefectKind.OFF_GRID, candle, f"no {series.timeframe} candle opens then")
        elif not asked.since <= candle.opened <= asked.until:
            continue
        elif not candle.possible:
            prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
            note(DefectKind.IMPOSSIBLE, candle, "open {} high {} low {} close {} volume {}".format(*prices))
        else:
            told.setdefault(candle.opened, []).append(candle)
    sound = []
    for opened in sorted(told):
        first, *more = told[opened]
        if any(other != first for other in more):
            closes = " and ".join(str(candle.close) for candle in told[opened])
            note(DefectKind.CONTRADICTION, first, f"told {len(more) + 1} times, closing at {closes}")
            continue
        if more:
            note(DefectKind.DUPLICATE, first, f"told {len(more) + 1} times")
        sound.append(first)
    flat = [candle.opened for candle in sound if candle.volume == 0]
    if flat:
        wrong.append(CandleDefect(series, DefectKind.FLAT, Span(flat[0], flat[-1]), f"{len(flat)} without a trade"))
    return sound, wrong
