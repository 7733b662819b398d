"""
The public's trades: one a second, whose quantities add up to the volume of the candles.

Trade *n* is made at the last millisecond of the *n*th second since the epoch, at the price of that moment, of what the
candle trades in that second. A second in which nothing is traded has none. A market whose volume is not known trades
the least quantity whenever its price moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from .klines import VOLUME_DECIMALS
from .market import CandleMarket, Market

SECOND = 1000


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade between strangers; the price in ticks."""

    id: int
    time: int
    price: int
    quantity: Decimal
    buyer_made: bool
    """Whether the buyer had been waiting, and the seller came."""


def trades_between(market: Market, symbol: str, after: int, until: int, most: int) -> Iterator[PublicTrade]:
    """Yield the trades in (after, until], of the last *most* seconds only."""
    last = (until + 1) // SECOND - 1
    first = max((after + 1) // SECOND, last - most + 1)
    before = market.price(symbol, first * SECOND - 1)
    for number in range(first, last + 1):
        time = number * SECOND + SECOND - 1
        price = market.price(symbol, time)
        if price is None:
            continue
        quantity = _traded(market, symbol, number, moved=price != before)
        if quantity:
            fell = bool(number % 2) if before is None or price == before else price < before
            yield PublicTrade(number, time, price, quantity, fell)
        before = price


def _traded(market: Market, symbol: str, number: int, *, moved: bool) -> Decimal:
    if not isinstance(market, CandleMarket):
        return market.instruments[symbol].min_quantity if moved else Decimal(0)
    begin = number * SECOND
    candles = market.candles(symbol, begin)
    index = candles.index(begin)
    elapsed = begin - int(candles.time[index])
    if elapsed >= candles.span:
        return Decimal(0)
    volume = int(candles.volume[index])
    units = volume * (elapsed + SECOND) // candles.span - volume * elapsed // candles.span
    return Decimal(units).scaleb(-VOLUME_DECIMALS)
