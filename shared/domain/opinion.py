"""What models make of the same cycle, the one that decides it and those that are only compared, and how they do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from shared.domain.cycle import StageRequest
from shared.domain.model import ModelCall, Purpose
from shared.domain.outcome import Proposal
from shared.domain.record import Judgement

ENOUGH = 30
"""Fewer scored entries than this are luck."""


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who has an opinion: a model, asked with one version of a prompt."""

    model: str
    prompt_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a model made of a cycle, and what that cost in USD."""

    judgement: Judgement
    cost: Decimal
    latency_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """An entry whose end is not known yet."""

    request: StageRequest
    answerer: Answerer
    asset: str
    proposal: Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScore:
    """How a model with one version of a prompt has done. Means and rates are of the entries that risk let pass."""

    account_id: str
    model: str
    prompt_version: str
    purpose: Purpose
    asked: int
    answered: int
    entries: int
    approved: int
    scored: int
    targets: int
    stops: int
    mean_result: float | None
    mean_after: Mapping[str, float | None]
    cost: Decimal
    latency_ms: int

    @property
    def hit_rate(self) -> float | None:
        """Return how many of the entries that reached stop or target reached the target."""
        ended = self.targets + self.stops
        return self.targets / ended if ended else None

    @property
    def caution(self) -> str | None:
        """Say that the numbers tell little, or return None."""
        if self.scored >= ENOUGH:
            return None
        return f"{self.scored} scored entries tell little: wait for {ENOUGH}"


def opinion(calls: Sequence[ModelCall], judgement: Judgement) -> Opinion:
    """Return the opinion that came of *calls*."""
    return Opinion(
        judgement=judgement,
        cost=sum((call.cost for call in calls), Decimal(0)),
        latency_ms=sum(call.latency_ms for call in calls),
    )
