"""An account: what it may trade, how often, with which model, within which limits."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Hard limits that no model output can reach. Fractions are of equity unless a name says otherwise."""

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

    @property
    def patience(self) -> timedelta:
        """How old a tick may be and still be traded on."""
        return self.interval
