"""An emergency stop: asked for once, carried out until nothing is left, in force until a person arms the account."""

from dataclasses import dataclass
from datetime import datetime

EMERGENCY_STOP = "emergency stop"
"""How the reason of an account begins that was stopped: it is armed again, not resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The stop of an account that has not been armed again. It is over once `finished_at` is set: nothing was left."""

    account_id: str
    asked_at: datetime
    asked_by: str
    left: tuple[str, ...]
    """What stood after the last attempt, in words; empty before the first one too."""
    finished_at: datetime | None
