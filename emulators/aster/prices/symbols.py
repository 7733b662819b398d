"""
What can be traded, and under which filters: entries of `exchangeInfo`, and the rules read from them.

`symbols.json` holds the entries of BTCUSDT and ASTERUSDT as the exchange once sent them (recorded in ccxt's market
fixtures, MIT licence; newer entries write numbers as strings), and entries of the same shape for other large
symbols. Any other symbol gets an entry derived from its prices.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path
from typing import Any

ENTRIES = Path(__file__).with_name("symbols.json")
QUOTE = "USDT"
FUNDING_HOURS = {"ASTERUSDT": 4, "DOGEUSDT": 4, "LINKUSDT": 1}
"""Symbols that settle funding more often than every eight hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A symbol and its filters. Prices inside the venue are whole ticks; a tick is a power of ten."""

    symbol: str
    entry: dict[str, Any]
    """The `exchangeInfo` entry as it goes over the wire."""
    price_decimals: int
    price_precision: int
    """Most decimals a price may be sent with."""
    quantity_precision: int
    tick: Decimal
    min_price: Decimal
    max_price: Decimal
    step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    market_min_quantity: Decimal
    market_max_quantity: Decimal
    max_orders: int
    max_stop_orders: int
    min_notional: Decimal
    percent_up: Decimal
    percent_down: Decimal
    liquidation_fee: Decimal
    funding_hours: int
    """Hours between two settlements of funding."""
    trigger_protect: Decimal
    """How far mark and last price may be apart for a protected order to be triggered."""
    market_take_bound: Decimal
    """How far from the mark price a market order may trade."""

    def price(self, ticks: int) -> Decimal:
        """Return ticks as a price."""
        return Decimal(ticks).scaleb(-self.price_decimals)

    def fine_price(self, tenths: int) -> Decimal:
        """Return tenths of a tick as a price."""
        return Decimal(tenths).scaleb(-self.price_decimals - 1)

    def ticks(self, price: Decimal) -> int:
        """Return a price as ticks, to the nearest."""
        return int(price.scaleb(self.price_decimals).to_integral_value(ROUND_HALF_EVEN))

    def price_text(self, ticks: int) -> str:
        """Return ticks as the exact decimal text of the price."""
        if self.price_decimals == 0:
            return str(ticks)
        whole, part = divmod(ticks, 10**self.price_decimals)
        return f"{whole}.{part:0{self.price_decimals}d}"


def instrument_from(entry: dict[str, Any]) -> Instrument:
    """Read an `exchangeInfo` entry, whether it writes numbers as numbers or as strings."""
    filters = {each["filterType"]: each for each in entry["filters"]}
    price, lot, market_lot = filters["PRICE_FILTER"], filters["LOT_SIZE"], filters["MARKET_LOT_SIZE"]
    tick = Decimal(str(price["tickSize"]))
    decimals = decimals_of(tick)
    return Instrument(
        symbol=entry["symbol"],
        entry=entry,
        price_decimals=decimals,
        price_precision=max(decimals, int(entry["pricePrecision"])),
        quantity_precision=max(decimals_of(Decimal(str(lot["stepSize"]))), int(entry["quantityPrecision"])),
        tick=tick,
        min_price=Decimal(str(price["minPrice"])),
        max_price=Decimal(str(price["maxPrice"])),
        step=Decimal(str(lot["stepSize"])),
        min_quantity=Decimal(str(lot["minQty"])),
        max_quantity=Decimal(str(lot["maxQty"])),
        market_min_quantity=Decimal(str(market_lot["minQty"])),
        market_max_quantity=Decimal(str(market_lot["maxQty"])),
        max_orders=int(filters["MAX_NUM_ORDERS"]["limit"]),
        max_stop_orders=int(filters["MAX_NUM_ALGO_ORDERS"]["limit"]),
        min_notional=Decimal(str(filters["MIN_NOTIONAL"]["notional"])),
        percent_up=Decimal(str(filters["PERCENT_PRICE"]["multiplierUp"])),
        percent_down=Decimal(str(filters["PERCENT_PRICE"]["multiplierDown"])),
        liquidation_fee=Decimal(str(entry["liquidationFee"])),
        funding_hours=FUNDING_HOURS.get(entry["symbol"], 8),
        trigger_protect=Decimal(str(entry["triggerProtect"])),
        market_take_bound=Decimal(str(entry["marketTakeBound"])),
    )


@cache
def _entries() -> dict[str, dict[str, Any]]:
    return {entry["symbol"]: entry for entry in json.loads(ENTRIES.read_text())["symbols"]}


def known_symbols() -> list[str]:
    """Return the symbols whose filters are on file."""
    return list(_entries())


def instrument(symbol: str) -> Instrument:
    """Return a symbol on file; KeyError for any other."""
    return instrument_from(_entries()[symbol])


def instrument_for(symbol: str, *, price_decimals: int, price: float) -> Instrument:
    """
    Return the instrument for recorded prices of a symbol.

    A symbol on file keeps its entry unless the prices are finer than its tick; then, and for an unknown symbol, the
    tick is the finest digit seen. An unknown symbol's step has as many decimals as
    the *price* has digits, at most three.
    """
    entry = _entries().get(symbol)
    if entry is None:
        entry = _derived_entry(symbol, price_decimals=price_decimals, price=price)
    elif decimals_of(Decimal(str(_filter(entry, "PRICE_FILTER")["tickSize"]))) < price_decimals:
        tick = f"{Decimal(1).scaleb(-price_decimals):f}"
        price_filter = {**_filter(entry, "PRICE_FILTER"), "tickSize": tick}
        others = [each for each in entry["filters"] if each["filterType"] != "PRICE_FILTER"]
        entry = {**entry, "pricePrecision": price_decimals, "filters": [price_filter, *others]}
    return instrument_from(entry)


def decimals_of(value: Decimal) -> int:
    """Return how many decimals a number needs, trailing zeros not counted."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _filter(entry: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in entry["filters"] if each["filterType"] == kind)
    return found


def _derived_entry(symbol: str, *, price_decimals: int, price: float) -> dict[str, Any]:
    step_decimals = min(len(str(int(price))), 3) if price >= 1 else 0
    tick = f"{Decimal(1).scaleb(-price_decimals):f}"
    step = f"{Decimal(1).scaleb(-step_decimals):f}"
    base = symbol.removesuffix(QUOTE)
    return {
        **_entries()["BTCUSDT"],
        "symbol": symbol,
        "pair": symbol,
        "baseAsset": base,
        "pricePrecision": price_decimals,
        "quantityPrecision": step_decimals,
        "triggerProtect": "0.0500",
        "marketTakeBound": "0.05",
        "filters": [
            {"minPrice": tick, "maxPrice": "1000000", "filterType": "PRICE_FILTER", "tickSize": tick},
            {"stepSize": step, "filterType": "LOT_SIZE", "maxQty": "10000000", "minQty": step},
            {"stepSize": step, "filterType": "MARKET_LOT_SIZE", "maxQty": "1000000", "minQty": step},
            {"limit": 200, "filterType": "MAX_NUM_ORDERS"},
            {"limit": 10, "filterType": "MAX_NUM_ALGO_ORDERS"},
            {"notional": "5", "filterType": "MIN_NOTIONAL"},
            {
                "multiplierDown": "0.9500",
                "multiplierUp": "1.0500",
                "multiplierDecimal": "4",
                "filterType": "PERCENT_PRICE",
            },
        ],
    }
