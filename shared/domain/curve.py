"""
The equity curve without the deposits: what one USD that was there at the first point has become, point by point.

Between two points the account grows by what it gained, less what was paid in, over what it was worth before. Days are
kept as their last point, their highest and their deepest, so a year is three hundred rows however often an account was
looked at, and no peak and no fall is lost.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from shared.domain.performance import EquityPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityDay:
    """A UTC day of the curve, up to its last point. `growth` and what is made of it are factors, 1 at the first point.

    What nothing has explained yet is left out of `equity`: it is as likely a transfer as a profit.
    """

    day: date
    first_at: datetime
    at: datetime
    """When its first point was, and its last."""
    equity: Decimal
    deposited: Decimal
    growth: Decimal
    peak: Decimal
    """The highest growth so far, of this day and of those before it."""
    high: Decimal
    high_at: datetime
    deepest: Decimal
    """The growth where the day's deepest fall from a peak ended."""
    deepest_at: datetime
    drawdown: Decimal
    """That fall, as a share of the peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A point to draw. `drawdown` is the fall from the highest growth so far, as a share of it."""

    at: datetime
    growth: Decimal
    drawdown: Decimal


class Period(StrEnum):
    """What returns are told by."""

    DAY = "day"
    WEEK = "week"
    """From Monday on."""
    MONTH = "month"


def day_after(before: EquityDay | None, point: EquityPoint) -> EquityDay:
    """Return the day of *point*, which comes after all that *before* knows; without one the curve begins."""
    equity = point.equity - point.unexplained
    day = point.at.date()
    if before is None:
        one = Decimal(1)
        return EquityDay(
            day=day,
            first_at=point.at,
            at=point.at,
            equity=equity,
            deposited=point.deposited,
            growth=one,
            peak=one,
            high=one,
            high_at=point.at,
            deepest=one,
            deepest_at=point.at,
            drawdown=Decimal(0),
        )
    gained = equity - before.equity - (point.deposited - before.deposited)
    rate = gained / before.equity if before.equity > 0 else Decimal(0)
    growth = max(before.growth * (1 + rate), Decimal(0))
    peak = max(before.peak, growth)
    drawdown = 1 - growth / peak
    same = before.day == day
    higher, deeper = not same or growth > before.high, not same or drawdown > before.drawdown
    return EquityDay(
        day=day,
        first_at=before.first_at if same else point.at,
        at=point.at,
        equity=equity,
        deposited=point.deposited,
        growth=growth,
        peak=peak,
        high=growth if higher else before.high,
        high_at=point.at if higher else before.high_at,
        deepest=growth if deeper else before.deepest,
        deepest_at=point.at if deeper else before.deepest_at,
        drawdown=drawdown if deeper else before.drawdown,
    )


def walk(before: EquityDay | None, points: Iterable[EquityPoint]) -> Iterator[EquityDay]:
    """Yield the day of each of *points*, oldest first, as it was once that point had come."""
    for point in points:
        before = day_after(before, point)
        yield before


def drawn(day: EquityDay) -> CurvePoint:
    """Return the last point of *day* as it is drawn."""
    return CurvePoint(at=day.at, growth=day.growth, drawdown=1 - day.growth / day.peak)


def outline(days: Iterable[EquityDay], before: EquityDay | None = None) -> list[CurvePoint]:
    """Return the points that are kept of *days*, oldest first: of each the highest, the deepest and the last.

    They come after the day *before*: falls are measured from the peaks of then, too.
    """
    points = []
    peak = before.peak if before else Decimal(0)
    for day in days:
        kept = {
            day.high_at: day.high,
            day.deepest_at: day.deepest,
            day.at: day.growth,
        }
        for at, growth in sorted(kept.items()):
            peak = max(peak, growth)
            fall = day.drawdown if at == day.deepest_at else 1 - growth / peak
            points.append(CurvePoint(at=at, growth=growth, drawdown=fall))
        peak = max(peak, day.peak)
    return points


def thinned(points: Sequence[CurvePoint], most: int) -> list[CurvePoint]:
    """Return at most *most* of *points*, the first, the last, and the extremes of each stretch between them.

    The highest, the lowest and the deepest point of the whole are among them. *most* is 5 or more.
    """
    if len(points) <= most:
        return list(points)
    stretches = (most - 2) // 3
    inner = range(1, len(points) - 1)
    keep = {0, len(points) - 1}
    for number in range(stretches):
        stretch = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        if stretch:
            keep.add(max(stretch, key=lambda place: points[place].growth))
            keep.add(min(stretch, key=lambda place: points[place].growth))
            keep.add(max(stretch, key=lambda place: points[place].drawdown))
    return [points[place] for place in sorted(keep)]


def max_drawdown(days: Sequence[EquityDay]) -> Decimal | None:
    """Return the deepest fall from a peak as a share of that peak, profit and loss only."""
    return max((day.drawdown for day in days), default=None)


def daily_returns(days: Sequence[EquityDay]) -> list[float]:
    """Return what each day after the first came to; one on which nobody looked counts as a day without a change."""
    returns = []
    for before, after in pairwise(days):
        returns += [0.0] * ((after.day - before.day).days - 1)
        returns.append(_rate(before.growth, after.growth))
    return returns


def _rate(before: Decimal, after: Decimal) -> float:
    return float(after / before - 1) if before > 0 else 0.0
