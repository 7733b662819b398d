"""What the model wants: one typed decision per asset, and what could not be read as one."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from shared.domain.market import Timeframe


class Action(StrEnum):
    """What to do with one asset. What it comes to depends on what is held, see `Move`."""

    BUY = "buy"
    SELL = "sell"
    HOLD = "hold"
    CLOSE = "close"


class Source(StrEnum):
    """Who wants it."""

    MODEL = "model"
    EXIT_PLAN = "exit plan"
    """The plan of the position has come true: code keeps the promise that the model made."""


class Move(StrEnum):
    """What a decision comes to, given what is held in its symbol."""

    OPEN = "open"
    """A buy or a sell where nothing is held."""
    ADD = "add"
    """A buy or a sell in the direction of the position: it grows, and gets the new stop and target as a whole."""
    FLIP = "flip"
    """A buy or a sell against the position: it is closed, and once that filled, one the other way is opened."""
    REDUCE = "reduce"
    """A close of less than the position."""
    CLOSE = "close"
    """A close of all that is held."""


class Condition(StrEnum):
    """What a price does when an exit plan no longer holds."""

    CLOSE_ABOVE = "close_above"
    CLOSE_BELOW = "close_below"
    MARK_ABOVE = "mark_above"
    MARK_BELOW = "mark_below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """A candle of `timeframe` closing beyond `price`, or the mark price being beyond it, which knows no timeframe."""

    timeframe: Timeframe | None = None
    condition: Condition
    price: Decimal


class Comparison(StrEnum):
    """How an indicator stands to something else at the close of a candle."""

    ABOVE = "above"
    BELOW = "below"
    CROSSES_ABOVE = "crosses_above"
    CROSSES_BELOW = "crosses_below"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorRule:
    """An indicator at the close of a candle of `timeframe`, held against a `value` or against the indicator `than`."""

    timeframe: Timeframe
    name: str
    comparison: Comparison
    value: Decimal | None = None
    than: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """So many closed candles of `timeframe` after the entry, or a moment; of two, the earlier."""

    candles: int | None = None
    timeframe: Timeframe | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPlan:
    """
    Why and when to leave: in words, and in rules that code enforces, of which the first to come true ends the position.

    `unenforced` is what was meant as a rule and is none that code can check: kept as it was said.
    """

    text: str
    invalidation: Invalidation | None = None
    indicator: IndicatorRule | None = None
    expiry: Expiry | None = None
    unenforced: tuple[str, ...] = ()

    @property
    def blank(self) -> bool:
        """True when it says nothing at all."""
        return not (self.text or self.invalidation or self.indicator or self.expiry or self.unenforced)


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
    source: Source = Source.MODEL

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
