"""How an account has done: its equity curve and the numbers people judge it by."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise

from shared.domain.order import Fill, Side
from shared.domain.position import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityPoint:
    """What the account was worth at one moment, in USD, and how much of it was ever paid in."""

    at: datetime
    wallet: Decimal
    unrealized: Decimal
    deposited: Decimal
    """Transfers in less transfers out, since the account is known."""
    unexplained: Decimal = Decimal(0)
    """What of the wallet neither trades nor the ledger have accounted for: rows that are late, or never come."""

    @property
    def equity(self) -> Decimal:
        """Wallet balance plus unrealized profit and loss."""
        return self.wallet + self.unrealized


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityMarks:
    """What equity is measured against, deposits since then taken into account. USD."""

    day: Decimal
    """Equity when the UTC day began."""
    peak: Decimal
    deposited: Decimal

    @classmethod
    def of(
        cls, now: Decimal, point: "EquityPoint | None", day: "EquityPoint | None", peak: Decimal | None
    ) -> "EquityMarks":
        """Return the marks for an equity of *now*.

        *point* is the newest point of the curve, *day* the one the day began with, *peak* the highest equity less
        deposits. What the curve does not tell is measured against *now*.
        """
        if point is None or day is None:
            return cls(day=now, peak=now, deposited=now)
        return cls(
            day=day.equity + point.deposited - day.deposited,
            peak=now if peak is None else max(now, peak + point.deposited),
            deposited=point.deposited,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """Several accounts together, each as it was last reconciled. USD; `day` and `peak` are sums of `EquityMarks`."""

    accounts: int
    equity: Decimal
    day: Decimal
    peak: Decimal
    """The sum of each account's own: they need not have stood there at one time, so a fall from it errs on the large
    side."""
    exposure: Decimal
    """The notional of all their positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """A position from flat to flat. `profit` is realized profit less commissions, before funding."""

    symbol: str
    opened_at: datetime
    closed_at: datetime
    profit: Decimal
    fees: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """The whole record in numbers. Ratios are None where there is too little to compute them from."""

    since: datetime | None
    until: datetime | None
    equity: Decimal | None
    deposited: Decimal
    profit: Decimal
    total_return: Decimal | None
    max_drawdown: Decimal | None
    sharpe: float | None
    sortino: float | None
    round_trips: int
    win_rate: float | None
    profit_factor: float | None
    fees: Decimal
    funding: Decimal


def assess(
    curve: Sequence[EquityPoint], fills: Sequence[Fill], *, funding: Decimal, days_a_year: int = 365
) -> Performance:
    """Return the performance over *curve* (oldest first) and *fills* (oldest first).

    Deposits are taken out: returns are changes of equity less what was paid in, over the equity before.
    """
    trips = round_trips(fills)
    wins = [trip.profit for trip in trips if trip.profit > 0]
    losses = [-trip.profit for trip in trips if trip.profit < 0]
    daily = _daily_returns(curve)
    last = curve[-1] if curve else None
    deposited = last.deposited if last else Decimal(0)
    profit = last.equity - deposited if last else Decimal(0)
    return Performance(
        since=curve[0].at if curve else None,
        until=last.at if last else None,
        equity=last.equity if last else None,
        deposited=deposited,
        profit=profit,
        total_return=profit / deposited if deposited > 0 else None,
        max_drawdown=max_drawdown(curve),
        sharpe=sharpe(daily, days_a_year),
        sortino=sortino(daily, days_a_year),
        round_trips=len(trips),
        win_rate=len(wins) / len(trips) if trips else None,
        profit_factor=float(sum(wins) / sum(losses)) if losses else None,
        fees=sum((fill.commission for fill in fills), Decimal(0)),
        funding=funding,
    )


def round_trips(fills: Sequence[Fill]) -> list[RoundTrip]:
    """Return the positions that *fills* (oldest first) opened and ended, in the order they ended.

    A trade that turns a position around ends one trip and begins the next.
    """
    sizes: dict[tuple[str, Direction | None], Decimal] = {}
    opened: dict[tuple[str, Direction | None], tuple[datetime, Decimal, Decimal]] = {}
    trips = []
    for fill in fills:
        position = (fill.symbol, fill.position_side)
        before = sizes.get(position, Decimal(0))
        after = before + (fill.quantity if fill.side is Side.BUY else -fill.quantity)
        sizes[position] = after
        begun, profit, fees = opened.get(position, (fill.at, Decimal(0), Decimal(0)))
        profit += fill.realized_pnl - fill.commission
        fees += fill.commission
        if before != 0 and (after == 0 or (after > 0) != (before > 0)):
            trips.append(RoundTrip(symbol=fill.symbol, opened_at=begun, closed_at=fill.at, profit=profit, fees=fees))
            opened[position] = (fill.at, Decimal(0), Decimal(0))
            if after == 0:
                del opened[position]
        else:
            opened[position] = (begun, profit, fees)
    return trips


def max_drawdown(curve: Sequence[EquityPoint]) -> Decimal | None:
    """Return the deepest fall from a peak as a fraction of that peak, profit and loss only."""
    if not curve:
        return None
    peak = deepest = Decimal(0)
    index = Decimal(1)
    for before, after in pairwise(curve):
        index *= 1 + _return(before, after)
        peak = max(peak, index, Decimal(1))
        deepest = max(deepest, (peak - index) / peak)
    return deepest


def sharpe(returns: Sequence[float], days_a_year: int) -> float | None:
    """Mean daily return over its standard deviation (sample), annualised by the square root of *days_a_year*."""
    if len(returns) < 2:
        return None
    # Exact inside: a rounding error must not pass for the deviation of returns that are all the same.
    deviation = statistics.stdev(returns)
    return statistics.fmean(returns) / deviation * math.sqrt(days_a_year) if deviation > 0 else None


def sortino(returns: Sequence[float], days_a_year: int) -> float | None:
    """Mean daily return over its downside deviation (root mean square of losses over all days), annualised."""
    if len(returns) < 2:
        return None
    mean = math.fsum(returns) / len(returns)
    downside = math.fsum(min(value, 0.0) ** 2 for value in returns) / len(returns)
    return mean / math.sqrt(downside) * math.sqrt(days_a_year) if downside > 0 else None


def _daily_returns(curve: Sequence[EquityPoint]) -> list[float]:
    last_of_day: dict[date, EquityPoint] = {}
    for point in curve:
        last_of_day[point.at.date()] = point
    return [float(_return(before, after)) for before, after in pairwise(last_of_day.values())]


def _return(before: EquityPoint, after: EquityPoint) -> Decimal:
    gained = after.equity - before.equity - (after.deposited - before.deposited)
    return gained / before.equity if before.equity > 0 else Decimal(0)
