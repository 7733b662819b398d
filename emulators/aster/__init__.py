"""
The AsterDEX emulator: a paper exchange for perpetual futures, and the market it trades on.

    venue = Venue(synthetic_market(seed=7))
    app = create_app(venue)             # an ASGI application; market time stands still
    venue.advance(venue.now + 300_000)  # five minutes of matching, funding and liquidations

It knows nothing of the programs that trade on it: it is an independent reading of the exchange's documentation.
"""

from .app import create_app
from .doors.settings import Settings
from .habits import Habits
from .holdings.journal import UnusableState
from .prices.candles import Candles
from .prices.live import LiveMarket, live_market
from .prices.market import CandleMarket, Market, UnusableMarket
from .prices.recorded import RecordedMarket, recorded_market
from .prices.synthetic import SYMBOLS, SyntheticMarket, synthetic_market
from .venue import Venue

__all__ = [
    "SYMBOLS",
    "CandleMarket",
    "Candles",
    "Habits",
    "LiveMarket",
    "Market",
    "RecordedMarket",
    "Settings",
    "SyntheticMarket",
    "UnusableMarket",
    "UnusableState",
    "Venue",
    "create_app",
    "live_market",
    "recorded_market",
    "synthetic_market",
]
