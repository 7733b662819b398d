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


@dataclass(frozen=True, slots=True)
class StageRequest:
    """Names a cycle. Everything else a stage needs it reads from the database."""

    account_id: str
    tick: datetime


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
