"""Everything one decision is made from, taken at one tick: prices, indicators, filters, holdings and resting orders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from shared.domain.instrument import Instrument
from shared.domain.market import Quote, Timeframe
from shared.domain.order import VenueOrder
from shared.domain.position import Holdings


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicators:
    """One series seen through the indicators. None stands where the history is too short for a value."""

    candles: int
    """How many candles the values were computed from."""
    series: Mapping[str, tuple[float | None, ...]]
    """The last ten values of each indicator, oldest first."""
    latest: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleRange:
    """Which candles the indicators of one series were computed from."""

    since: datetime
    """When the first one opened."""
    until: datetime
    """When the last one opened."""
    count: int
    digest: str
    """Names what they said, see `CandleWindow.digest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was known at `tick`. A symbol with a defect is shown to nobody and opens nothing."""

    account_id: str
    tick: datetime
    taken_at: datetime
    quotes: Mapping[str, Quote]
    instruments: Mapping[str, Instrument]
    indicators: Mapping[str, Mapping[Timeframe, Indicators]]
    defects: Mapping[str, str]
    """Symbol to what is wrong with its data."""
    holdings: Holdings
    open_orders: tuple[VenueOrder, ...]
    taker_fee: Decimal
    """Fraction of notional that a market order costs."""
    candles: Mapping[str, Mapping[Timeframe, CandleRange]] = field(default_factory=dict)
    """What `indicators` were computed from."""
