"""How an account has done: the numbers people judge it by, and whether there are enough trades to judge by."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from shared.domain.curve import EquityDay, daily_returns, max_drawdown

ENOUGH_TRIPS = 30
"""With fewer, a mean is not yet near enough to normal for its interval to be believed."""

CONFIDENCE = 0.95

TELLING = 0.0001
"""A mean below this needs more digits than two to be more than zero."""

BEYOND_COUNTING = 10_000
"""Trades that nobody will make: how many more it would take says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What the trades of an account came to, in sums: those of days add up. Trips are those that have ended."""

    trades: int = 0
    turnover: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)
    """What funding paid the account, negative for what it cost."""
    trips: int = 0
    wins: int = 0
    losses: int = 0
    gained: Decimal = Decimal(0)
    """The net profits of the trips that won: after fees and funding."""
    lost: Decimal = Decimal(0)
    """The net losses of those that lost, positive."""
    returns: float = 0.0
    """The sum of their returns, each net profit over the notional that was entered."""
    squares: float = 0.0
    """The sum of the squares of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How much the trades prove. The interval holds the true mean return of a trade with a probability of 95 %."""

    trips: int
    enough: bool
    mean: float | None
    low: float | None
    high: float | None
    needed: int | None
    """How many trades like these would tell their mean from chance; None where it cannot be said."""
    word: str


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
    days: int
    sharpe: float | None
    sharpe_error: float | None
    sortino: float | None
    round_trips: int
    win_rate: float | None
    profit_factor: float | None
    trades: int
    turnover: Decimal
    fees: Decimal
    funding: Decimal
    sample: Sample


def assess(days: Sequence[EquityDay], traded: Traded, *, days_a_year: int = 365) -> Performance:
    """Return the performance over the *days* of the curve, oldest first, and what was *traded* on them."""
    daily = daily_returns(days)
    last = days[-1] if days else None
    ratio = sharpe(daily, days_a_year)
    return Performance(
        since=days[0].first_at if days else None,
        until=last.at if last else None,
        equity=last.equity if last else None,
        deposited=last.deposited if last else Decimal(0),
        profit=last.equity - last.deposited if last else Decimal(0),
        total_return=last.growth - 1 if last else None,
        max_drawdown=max_drawdown(days),
        days=len(daily),
        sharpe=ratio,
        sharpe_error=None if ratio is None else sharpe_error(ratio, len(daily), days_a_year),
        sortino=sortino(daily, days_a_year),
        round_trips=traded.trips,
        win_rate=traded.wins / traded.trips if traded.trips else None,
        profit_factor=profit_factor(traded.gained, traded.lost),
        trades=traded.trades,
        turnover=traded.turnover,
        fees=traded.fees,
        funding=traded.funding,
        sample=sample(traded.trips, traded.returns, traded.squares),
    )


def profit_factor(gained: Decimal, lost: Decimal) -> float | None:
    """What the winners won for each USD that the losers lost; None where nothing was lost."""
    return float(gained / lost) if lost > 0 else None


def sharpe(returns: Sequence[float], days_a_year: int) -> float | None:
    """Mean daily return over its standard deviation (sample), annualised by the square root of *days_a_year*."""
    if len(returns) < 2:
        return None
    # Exact inside: a rounding error must not pass for the deviation of returns that are all the same.
    deviation = statistics.stdev(returns)
    return statistics.fmean(returns) / deviation * math.sqrt(days_a_year) if deviation > 0 else None


def sharpe_error(ratio: float, count: int, days_a_year: int) -> float:
    """Return the standard error of a Sharpe ratio of *count* daily returns that are alike and independent.

    Lo, "The Statistics of Sharpe Ratios" (2002): √((1 + ½ SR²) / T), SR being the daily one.
    """
    daily = ratio / math.sqrt(days_a_year)
    return math.sqrt((1 + daily**2 / 2) / count * days_a_year)


def sortino(returns: Sequence[float], days_a_year: int) -> float | None:
    """Mean daily return over its downside deviation (root mean square of losses over all days), annualised."""
    if len(returns) < 2:
        return None
    mean = math.fsum(returns) / len(returns)
    downside = math.fsum(min(value, 0.0) ** 2 for value in returns) / len(returns)
    return mean / math.sqrt(downside) * math.sqrt(days_a_year) if downside > 0 else None


def sample(trips: int, returns: float, squares: float) -> Sample:
    """Return what *trips* trades prove, given the sum of their returns and of the squares of these.

    It takes them for independent of each other, which trades that overlap are not quite.
    """
    if trips < 2:
        return sample_of(trips, None, None)
    mean = returns / trips
    return sample_of(trips, mean, math.sqrt(max(squares - returns * mean, 0.0) / (trips - 1)))


def sample_of(trips: int, mean: float | None, deviation: float | None) -> Sample:
    """Return what *trips* trades prove, given the mean of their returns and its deviation, as of a sample."""
    if mean is None or deviation is None:
        word = f"{_count(trips)}: that proves nothing"
        return Sample(trips=trips, enough=False, mean=None, low=None, high=None, needed=None, word=word)
    half = student(CONFIDENCE, trips - 1) * deviation / math.sqrt(trips)
    enough = trips >= ENOUGH_TRIPS and abs(mean) > half
    needed = _needed(trips, mean, half)
    digits = 2 if abs(mean) >= TELLING else 4
    told = f"{_count(trips)} with a mean return of {mean:.{digits}%} ± {half:.{digits}%}"
    if enough:
        word = f"{told}: more than chance explains"
    elif abs(mean) > half:
        word = f"{told}: too few to go by, {ENOUGH_TRIPS} are the least"
    elif needed is None:
        word = f"{told}: nothing that could be told from chance"
    else:
        many = f"more than {BEYOND_COUNTING:,}" if needed > BEYOND_COUNTING else f"about {needed:,}"
        word = f"{told}: not to be told from chance; it would take {many} like these"
    return Sample(trips=trips, enough=enough, mean=mean, low=mean - half, high=mean + half, needed=needed, word=word)


def student(confidence: float, freedom: int) -> float:
    """Return the two-sided quantile of Student's t with *freedom* degrees of freedom.

    Exact for one and two; from there on Abramowitz & Stegun 26.7.5, within 0.3 % at 95 %.
    """
    tail = (1 + confidence) / 2
    if freedom == 1:
        return math.tan(math.pi * (tail - 0.5))
    if freedom == 2:
        return (2 * tail - 1) / math.sqrt(2 * tail * (1 - tail))
    x = statistics.NormalDist().inv_cdf(tail)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def _needed(trips: int, mean: float, half: float) -> int | None:
    if mean == 0:
        return None
    return max(ENOUGH_TRIPS, math.ceil(trips * (half / mean) ** 2))


def _count(trips: int) -> str:
    return f"{trips} closed trade{'' if trips == 1 else 's'}"
