"""What the exchange's streams tell, in our words: prices as they move, and what befalls an account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from shared.domain.market import Candle, Quote, Series
from shared.domain.order import Fill, Side, VenueOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class BookTop:
    """The best prices of a book."""

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    update_id: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrade:
    """Trades of anybody's at one price, told together. `side` is that of whoever took the price."""

    symbol: str
    trade_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleUpdate:
    """A candle as it stands, and whether it has closed."""

    series: Series
    candle: Candle
    closed: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Resynced:
    """The stream may have told less than happened since then (None: ever): here is what there is by other means."""

    since: datetime | None
    why: str
    quotes: Mapping[str, Quote]
    """Where no newer one has been told meanwhile."""
    candles: Mapping[Series, Sequence[Candle]]
    """Those that closed unheard."""


MarketNews = Quote | BookTop | PublicTrade | CandleUpdate | Resynced


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdate:
    """An order as it now stands, whoever placed it."""

    order: VenueOrder
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUpdate:
    """What of the wallet and of the positions has changed, and the exchange's word for why."""

    reason: str
    wallets: Mapping[str, Decimal]
    """The new wallet balance of each asset that changed."""
    sizes: Mapping[tuple[str, str], Decimal]
    """The new signed size of each position that changed, by symbol and position side; zero when it has ended."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginCall:
    """These positions are near their liquidation."""

    symbols: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsUpdate:
    """Somebody changed how the account trades: the leverage of a symbol, or a mode of the whole account."""

    symbol: str | None
    leverage: int | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The stream may have told less than happened since then (None: ever): ask for the truth by other means."""

    since: datetime | None
    why: str


AccountNews = OrderUpdate | Fill | AccountUpdate | MarginCall | SettingsUpdate | Gap
