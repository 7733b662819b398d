"""What the model wants: one typed decision per asset, and what could not be read as one."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from shared.domain.market import Timeframe


class Action(StrEnum):
    """What to do with one asset. What it comes to depends on what is held, see `shared.domain.risk.Move`."""

    BUY = "buy"
    SELL = "sell"
    HOLD = "hold"
    CLOSE = "close"


class Condition(StrEnum):
    """When an exit plan no longer holds."""

    CLOSE_ABOVE = "close_above"
    CLOSE_BELOW = "close_below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """The part of an exit plan that code can check: a candle of *timeframe* closing beyond *price*."""

    timeframe: Timeframe
    condition: Condition
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPlan:
    """Why and when to leave: in words, and as a condition where one was given."""

    text: str
    invalidation: Invalidation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What the model wants for one asset.

    `allocation_usd` is the notional to open or to add, for a close the notional to close, and then 0 means all of it.
    `confidence` lies within 0 and 1.
    """

    asset: str
    action: Action
    allocation_usd: Decimal
    leverage: int
    stop_loss: Decimal | None
    take_profit: Decimal | None
    confidence: Decimal
    exit_plan: ExitPlan
    rationale: str

    @property
    def opens(self) -> bool:
        """True when it asks for new exposure."""
        return self.action in {Action.BUY, Action.SELL}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadItem:
    """An item of the answer that is no decision: what it said, and why it was dropped."""

    code: str
    reason: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, item by item. `repairs` names each repair whose meaning was certain."""

    reasoning: str
    decisions: tuple[Decision, ...]
    unread: tuple[UnreadItem, ...]
    repairs: tuple[str, ...]
