"""How much of each of its limits an account uses, as the review and the breakers reckon it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from shared.domain.account import Account, Breaker
from shared.domain.breakers import Figures, measured
from shared.domain.position import Position

COUNTED = {Breaker.LOSING_STREAK, Breaker.MODEL_FAILURES, Breaker.ORDER_REFUSALS}


class Effect(StrEnum):
    """What a limit does when it is reached."""

    ENTRIES = "entries"
    """Entries are cut down or refused."""
    BREAKER = "breaker"
    """Nothing opens until it is lifted."""
    MODEL = "model"
    """No model is asked; what is open stays protected."""
    REQUESTS = "requests"
    """What is not urgent waits."""


class Unit(StrEnum):
    """What a limit counts."""

    COUNT = "count"
    FRACTION = "fraction"
    """Of equity; of losses, of what there was before."""
    USD = "usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One limit. `allowed` is None where none is set, `used` where there is nothing to hold it against: no equity."""

    limit: str
    effect: Effect
    unit: Unit
    used: Decimal | None
    allowed: Decimal | None
    standing: str | None = None
    """Why its breaker stands; None where it does not."""

    @property
    def share(self) -> Decimal | None:
        """How much of it is used, 1 being all; None where that cannot be told."""
        return self.used / self.allowed if self.allowed and self.used is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What an account did since midnight, UTC. `model_money` is in USD, with what is set aside."""

    entries: int
    flips: int
    model_money: Decimal


def usages(
    account: Account,
    figures: Figures,
    positions: Sequence[Position],
    today: Today,
    standing: Mapping[Breaker, str],
) -> list[Usage]:
    """Return how much of each of the account's limits is used: those of entries, of breakers, and of its models."""
    limits, equity = account.limits, figures.equity
    largest = max((position.notional for position in positions), default=Decimal(0))
    entries: dict[str, tuple[Decimal | int | None, Decimal | int]] = {
        "max_leverage": (max((position.leverage for position in positions), default=0), limits.max_leverage),
        "max_positions": (len({position.symbol for position in positions}), limits.max_positions),
        "max_position_fraction": (_of(largest, equity), limits.max_position_fraction),
        "max_exposure_fraction": (_of(figures.exposure, equity), limits.max_exposure_fraction),
        "max_entries_per_day": (today.entries, limits.max_entries_per_day),
        "max_flips_per_day": (today.flips, limits.max_flips_per_day),
    }
    if figures.others:
        worth, exposure = equity + figures.others.equity, figures.exposure + figures.others.exposure
        entries["global_max_exposure_fraction"] = (_of(exposure, worth), limits.global_max_exposure_fraction)
    told = [
        Usage(
            limit=name,
            effect=Effect.ENTRIES,
            unit=Unit.FRACTION if name.endswith("fraction") else Unit.COUNT,
            used=None if used is None else Decimal(used),
            allowed=Decimal(allowed),
        )
        for name, (used, allowed) in entries.items()
    ]
    told += [
        Usage(
            limit=breaker.value,
            effect=Effect.BREAKER,
            unit=Unit.COUNT if breaker in COUNTED else Unit.FRACTION,
            used=max(used, Decimal(0)) if used.is_finite() else None,
            allowed=allowed,
            standing=standing.get(breaker),
        )
        for breaker, (used, allowed, _) in measured(figures, limits).items()
    ]
    budget = account.model_options.daily_budget
    return [
        *told,
        Usage(limit="daily_budget", effect=Effect.MODEL, unit=Unit.USD, used=today.model_money, allowed=budget),
    ]


def _of(notional: Decimal, equity: Decimal) -> Decimal | None:
    """Return how many times *equity* that is."""
    return notional / equity if equity > 0 else None
