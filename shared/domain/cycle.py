"""A cycle is one pass of the four stages for one account at one tick; a tick is the candle close it serves."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.market import EPOCH


class Stage(StrEnum):
    """The four stages, in their order."""

    FETCH = "fetch"
    DECIDE = "decide"
    EXECUTE = "execute"
    RECONCILE = "reconcile"


class Duty(StrEnum):
    """What a lease gives the right to: a model may think for long, and protection must not wait for it."""

    ACT = "act"
    THINK = "think"


@dataclass(frozen=True, slots=True)
class StageRequest:
    """Names a cycle. Everything else a stage needs it reads from the database."""

    account_id: str
    tick: datetime
    between: bool = False
    """True for a reconciliation between two ticks: `tick` is the moment it is for, and names no cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What a stage did, as stored. Asked again for the same cycle, it answers the same with `repeated` set."""

    stage: Stage
    request: StageRequest
    details: dict[str, Any] = field(default_factory=dict)
    """JSON-ready: numbers that are money or quantities are strings."""
    repeated: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the form in which results cross a wire."""
        return {
            "stage": self.stage.value,
            "account": self.request.account_id,
            "tick": self.request.tick.isoformat(),
            "repeated": self.repeated,
            **self.details,
        }


def tick_at(moment: datetime, interval: timedelta) -> datetime:
    """Return the last tick at or before *moment* on the grid that *interval* draws from midnight of 1970, UTC."""
    return moment - (moment - EPOCH) % interval


def between_ticks(account_id: str, moment: datetime) -> StageRequest:
    """Return the request to reconcile at *moment*, in milliseconds; never one that lies on anybody's grid of ticks."""
    moment -= timedelta(microseconds=moment.microsecond % 1000)
    if not moment.microsecond:
        moment -= timedelta(milliseconds=1)
    return StageRequest(account_id, moment, between=True)
