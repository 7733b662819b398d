"""
Filters that change while the market is open: a symbol under other rules from now on.

Prices go on moving by the tick they were made with, for the past cannot be changed; orders must keep to the new one.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from ..prices.symbols import Instrument, instrument_from

PLACES = {
    "tickSize": ("PRICE_FILTER",),
    "minPrice": ("PRICE_FILTER",),
    "maxPrice": ("PRICE_FILTER",),
    "stepSize": ("LOT_SIZE", "MARKET_LOT_SIZE"),
    "minQty": ("LOT_SIZE", "MARKET_LOT_SIZE"),
    "maxQty": ("LOT_SIZE", "MARKET_LOT_SIZE"),
    "notional": ("MIN_NOTIONAL",),
    "multiplierUp": ("PERCENT_PRICE",),
    "multiplierDown": ("PERCENT_PRICE",),
}
"""The filters each setting stands in."""
STATUSES = ("PENDING_TRADING", "TRADING", "PRE_SETTLE", "SETTLING", "BREAK", "CLOSE")


def with_filters(instrument: Instrument, changes: dict[str, Decimal], status: str | None) -> Instrument:
    """Return a symbol with other values in its filters, and another status if one is given."""
    entry: dict[str, Any] = {
        **instrument.entry,
        "filters": [_changed(each, changes) for each in instrument.entry["filters"]],
    }
    if status is not None:
        entry["status"] = status
    fresh = instrument_from(entry)
    # Prices inside the venue stay in the unit they have: only what an order may say changes.
    return replace(fresh, price_decimals=instrument.price_decimals, price_precision=instrument.price_precision)


def _changed(filter_: dict[str, Any], changes: dict[str, Decimal]) -> dict[str, Any]:
    kind = filter_["filterType"]
    return {**filter_, **{name: f"{value:f}" for name, value in changes.items() if kind in PLACES[name]}}
