"""An account: what it may trade, how often, with which model, within which limits."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from shared.domain.market import Timeframe
from shared.domain.model import ModelOptions


class AccountStatus(StrEnum):
    """ACTIVE trades; PAUSED opens nothing and keeps what is open protected; HALTED needs a person."""

    ACTIVE = "active"
    PAUSED = "paused"
    HALTED = "halted"


class Grounding(StrEnum):
    """What becomes of an entry whose decision cites what the model was not shown. A close is never refused for it."""

    OFF = "off"
    """It is not looked for."""
    FLAG = "flag"
    """It is written down."""
    REFUSE_CLAIMS = "refuse_claims"
    """A made up position, a made up price of now and a level of no such market refuse; the rest is written down."""
    REFUSE = "refuse"
    """Whatever is made up refuses."""


class Cap(StrEnum):
    """What a size or a leverage is held against. Beyond it, an entry is cut down to it or refused, as one likes."""

    LEVERAGE = "leverage"
    LIQUIDATION = "liquidation"
    """The leverage with which liquidation stays beyond the stop."""
    POSITION = "position"
    EXPOSURE = "exposure"
    GLOBAL_EXPOSURE = "global_exposure"
    RISK = "risk"
    MARGIN = "margin"
    ORDER = "order"
    """The exchange's largest market order."""


class Breaker(StrEnum):
    """What stops an account from opening anything, whatever a model says, until it is lifted."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    EXPOSURE = "exposure"
    LOSING_STREAK = "losing_streak"
    MODEL_FAILURES = "model_failures"
    ORDER_REFUSALS = "order_refusals"
    GLOBAL_DAILY_LOSS = "global_daily_loss"
    """From here on: of all accounts together."""
    GLOBAL_DRAWDOWN = "global_drawdown"
    GLOBAL_EXPOSURE = "global_exposure"


class Lift(StrEnum):
    """What lifts a breaker. A person always can."""

    NEXT_DAY = "next_day"
    COOL_OFF = "cool_off"
    BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """
    Hard limits that no model output can reach. Fractions are of equity unless a name says otherwise.

    Those that begin with `global_` are held against all accounts together, and stop this one.
    """

    max_leverage: int = 5
    max_position_fraction: Decimal = Decimal("0.5")
    max_exposure_fraction: Decimal = Decimal("1.5")
    max_positions: int = 3
    risk_per_trade: Decimal = Decimal("0.02")
    min_margin_left: Decimal = Decimal("0.1")
    min_stop_distance: Decimal = Decimal("0.002")
    """Of the price."""
    max_stop_distance: Decimal = Decimal("0.10")
    """Of the price."""
    min_reward_to_risk: Decimal = Decimal("1.2")
    min_confidence: Decimal = Decimal("0.5")
    max_daily_loss: Decimal = Decimal("0.05")
    max_drawdown: Decimal = Decimal("0.20")
    cooldown: timedelta = timedelta(minutes=15)
    """After a position in a symbol ended, before the next entry there."""
    flip_cooldown: timedelta = timedelta(minutes=60)
    """Likewise, when the next entry goes the other way."""
    max_funding_rate: Decimal = Decimal("0.001")
    """Per funding interval, when it would be ours to pay."""
    grounding: Grounding = Grounding.REFUSE_CLAIMS
    holding_time: timedelta = timedelta(hours=8)
    """For so long, funding counts among the costs of an entry."""
    max_spread: Decimal = Decimal("0.002")
    """Of the price."""
    max_price_move: Decimal = Decimal("0.005")
    """Of the price that the model was shown, either way."""
    max_quote_age: timedelta = timedelta(seconds=60)
    min_flip_confidence: Decimal = Decimal("0.6")
    """To turn a position around."""
    max_entries_per_day: int = 50
    """A UTC day, additions and flips counted."""
    max_flips_per_day: int = 6
    clip: tuple[Cap, ...] = tuple(Cap)
    """Beyond these caps an entry is cut down; beyond the others it is refused."""
    max_exposure_held: Decimal = Decimal(2)
    """Prices and losses can take the positions beyond what entries may reach; so far, and the breaker trips."""
    max_losses_in_a_row: int = 6
    """Exits that lost, one after the other."""
    max_model_failures: int = 6
    """Cycles one after the other in which the model gave no usable answer."""
    max_order_refusals: int = 6
    """Entries that the exchange refused, one after the other."""
    global_max_daily_loss: Decimal = Decimal("0.05")
    global_max_drawdown: Decimal = Decimal("0.20")
    global_max_exposure_fraction: Decimal = Decimal("1.5")
    global_max_exposure_held: Decimal = Decimal(2)
    cool_off: timedelta = timedelta(hours=4)
    lift_next_day: tuple[Breaker, ...] = (Breaker.DAILY_LOSS, Breaker.GLOBAL_DAILY_LOSS)
    lift_by_hand: tuple[Breaker, ...] = (Breaker.DRAWDOWN, Breaker.GLOBAL_DRAWDOWN)
    """Those in neither list are lifted after `cool_off`."""
    flatten_on: tuple[Breaker, ...] = ()
    """These close what is open as well."""

    def lift(self, breaker: Breaker) -> Lift:
        """Return what lifts *breaker*: of two, what takes a person."""
        if breaker in self.lift_by_hand:
            return Lift.BY_HAND
        return Lift.NEXT_DAY if breaker in self.lift_next_day else Lift.COOL_OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One trading account as configured; secrets are kept elsewhere."""

    id: str
    symbols: tuple[str, ...]
    timeframes: tuple[Timeframe, ...]
    interval: timedelta
    model: str
    fallback_models: tuple[str, ...] = ()
    model_options: ModelOptions = field(default_factory=ModelOptions)
    leverage: int = 3
    limits: RiskLimits = field(default_factory=RiskLimits)
    status: AccountStatus = AccountStatus.ACTIVE
    authority_until: datetime | None = None
    """When its authority to open anything ends; None for never. What is open is managed all the same."""

    def may_trade(self, now: datetime) -> bool:
        """Return whether it has the authority to open anything."""
        return self.authority_until is None or now < self.authority_until

    @property
    def patience(self) -> timedelta:
        """How old a tick may be and still be traded on."""
        return self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEntry:
    """What was said of an account over the API: as in an entry of accounts.yaml, and before what stands there."""

    account_id: str
    said: dict[str, Any]
    version: int
    """One more with everything that is said."""
    removed: bool
