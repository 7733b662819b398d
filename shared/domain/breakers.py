"""
Breakers: what stops an account from opening anything, between two decisions too, until it is lifted.

Pure: figures go in, trips come out. Who keeps the trips, and closes what is open where one says so, is reconcile.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from shared.domain.account import Breaker, Lift, RiskLimits
from shared.domain.performance import Combined, EquityMarks


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A breaker that was tripped. It stands until `lifts_at`, or until a person lifts it where that is None."""

    breaker: Breaker
    at: datetime
    lifts_at: datetime | None
    flatten: bool
    """True where what is open is closed as well."""
    reason: str
    saw: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How an account stands. What counts in a row counts since its breaker was lifted."""

    equity: Decimal
    marks: EquityMarks
    """The day since the breaker for it was lifted, if that was today, and the peak since that was."""
    exposure: Decimal
    others: Combined | None
    """The other accounts; None where there are none."""
    losses: int
    """Exits that lost, in a row, the last one among them."""
    model_failures: int
    """Cycles without a usable answer, likewise."""
    order_refusals: int
    """Entries that the exchange refused, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """How the breakers of an account stand."""

    standing: tuple[Trip, ...]
    """The first tripped first."""
    expired: tuple[Breaker, ...]
    """Those that time has lifted without that being recorded."""
    lifted: Mapping[Breaker, datetime]
    """When each was lifted last: what it counts, counts since then."""


def trips(
    figures: Figures, limits: RiskLimits, now: datetime, *, standing: Container[Breaker] = frozenset()
) -> list[Trip]:
    """Return the breakers that the figures trip, those that stand already left out."""
    found = []
    for breaker, (value, limit, words) in measured(figures, limits).items():
        if value >= limit and breaker not in standing:
            found.append(
                Trip(
                    breaker=breaker,
                    at=now,
                    lifts_at=_lifts_at(limits.lift(breaker), now, limits.cool_off),
                    flatten=breaker in limits.flatten_on,
                    reason=words,
                    saw={"value": f"{value:.4f}", "limit": str(limit)},
                )
            )
    return found


def measured(figures: Figures, limits: RiskLimits) -> dict[Breaker, tuple[Decimal, Decimal, str]]:
    """Return for each breaker its value, the limit that trips it, and what that means in words."""
    equity, marks, others = figures.equity, figures.marks, figures.others
    day, fall, held = _lost(marks.day, equity), _lost(marks.peak, equity), _exposure(figures.exposure, equity)
    found = {
        Breaker.DAILY_LOSS: (day, limits.max_daily_loss, f"the account lost {day:.2%} today"),
        Breaker.DRAWDOWN: (fall, limits.max_drawdown, f"the account lost {fall:.2%} from its peak"),
        Breaker.EXPOSURE: (held, limits.max_exposure_held, f"the positions are {held:.2f} times the equity"),
    }
    for breaker, count, most, what in (
        (Breaker.LOSING_STREAK, figures.losses, limits.max_losses_in_a_row, "exits in a row lost"),
        (Breaker.MODEL_FAILURES, figures.model_failures, limits.max_model_failures, "cycles in a row had no answer"),
        (Breaker.ORDER_REFUSALS, figures.order_refusals, limits.max_order_refusals, "entries in a row were refused"),
    ):
        found[breaker] = (Decimal(count), Decimal(most), f"{count} {what}")
    if others:
        worth = equity + others.equity
        day, fall = _lost(marks.day + others.day, worth), _lost(marks.peak + others.peak, worth)
        held = _exposure(figures.exposure + others.exposure, worth)
        found |= {
            Breaker.GLOBAL_DAILY_LOSS: (day, limits.global_max_daily_loss, f"all accounts lost {day:.2%} today"),
            Breaker.GLOBAL_DRAWDOWN: (
                fall,
                limits.global_max_drawdown,
                f"all accounts are {fall:.2%} below their peaks",
            ),
            Breaker.GLOBAL_EXPOSURE: (
                held,
                limits.global_max_exposure_held,
                f"the positions of all accounts are {held:.2f} times what they are worth",
            ),
        }
    return found


def _lost(before: Decimal, equity: Decimal) -> Decimal:
    """Return the share of *before* that is lost; none where there was nothing to lose."""
    return (before - equity) / before if before > 0 else Decimal(0)


def _exposure(notional: Decimal, equity: Decimal) -> Decimal:
    """Return how many times its worth an account holds; any position is too much where it is worth nothing."""
    if notional == 0:
        return Decimal(0)
    return notional / equity if equity > 0 else Decimal("Infinity")


def _lifts_at(lift: Lift, now: datetime, cool_off: timedelta) -> datetime | None:
    match lift:
        case Lift.BY_HAND:
            return None
        case Lift.COOL_OFF:
            return now + cool_off
        case Lift.NEXT_DAY:
            return midnight(now) + timedelta(days=1)


def midnight(moment: datetime) -> datetime:
    """Return when the UTC day of *moment* began."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
