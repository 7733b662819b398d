"""
How much can be traded at which price: the venue's own liquidity, which is finite.

The best bid is the last price, the best ask one tick above it. Every price level holds between 50,000 and 500,000
USDT, which one is a matter of the price alone. What is taken comes back with the next whole second.

Who comes first may be filled in part:

- An order that takes walks level by level, away from the best price.
- A resting order the price goes through is filled at its own price with what its level holds. The rest of it is filled
  at whole minutes as long as the price stays beyond it, all such orders of a symbol together with a tenth of what was
  traded in that minute, the oldest first.

Accounts trade with this liquidity, never with each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from ..holdings.accounts import between
from ..holdings.ledger import Ledger
from ..holdings.positions import ZERO
from ..prices.intervals import MINUTE
from ..prices.market import Market
from ..prices.symbols import Instrument

LEAST_VALUE, MOST_VALUE = 50_000, 500_000
RENEWED_EVERY = 1000
"""Milliseconds."""
SHARE = Decimal("0.1")
"""The part of a minute's volume that fills what rests."""


def level_size(instrument: Instrument, ticks: int) -> Decimal:
    """Return what a price level holds when nothing was taken, at least one step."""
    value = LEAST_VALUE + ticks * 2_654_435_761 % (MOST_VALUE - LEAST_VALUE)
    steps = Decimal(value) // (instrument.price(ticks) * instrument.step)
    return max(steps, Decimal(1)) * instrument.step


class Liquidity:
    """What is left of the venue's liquidity at this second."""

    def __init__(self, market: Market, ledger: Ledger, now: int) -> None:
        self._market = market
        self._second = now // RENEWED_EVERY
        self._taken: dict[tuple[str, str, int, bool], Decimal] = defaultdict(Decimal)
        for account in ledger.accounts.values():
            for history in account.trades_of.values():
                for trade in between(history, self._second * RENEWED_EVERY, now):
                    if not account.orders[trade.order_id].forced:
                        self._taken[trade.symbol, trade.side, trade.price, trade.maker] += trade.quantity

    def left(self, instrument: Instrument, side: str, ticks: int, now: int, *, maker: bool = False) -> Decimal:
        """Return what an order of a side can still trade at a price, taking or, as *maker*, being taken."""
        self._renew(now)
        taken = self._taken.get((instrument.symbol, side, ticks, maker), ZERO)
        return max(ZERO, level_size(instrument, ticks) - taken)

    def take(self, symbol: str, side: str, ticks: int, quantity: Decimal, now: int, *, maker: bool) -> None:
        """Note that an order traded."""
        self._renew(now)
        self._taken[symbol, side, ticks, maker] += quantity

    def levels(self, instrument: Instrument, side: str, bid: int, now: int) -> Iterator[tuple[int, Decimal]]:
        """Yield what an order of a side finds, best price first: asks for a buy, bids for a sell."""
        ticks, step = (bid + 1, 1) if side == "BUY" else (bid, -1)
        while ticks > 0:
            if left := self.left(instrument, side, ticks, now):
                yield ticks, left
            ticks += step

    def walk(
        self, instrument: Instrument, side: str, bid: int, *, limit: int, quantity: Decimal, now: int
    ) -> list[tuple[int, Decimal]]:
        """Return the (price, quantity) an order would trade up to a limit price, best price first."""
        sign = 1 if side == "BUY" else -1
        found = []
        for ticks, left in self.levels(instrument, side, bid, now):
            if not quantity or (ticks - limit) * sign > 0:
                break
            part = min(left, quantity)
            found.append((ticks, part))
            quantity -= part
        return found

    def trickle(self, instrument: Instrument, now: int) -> Decimal:
        """Return what fills resting orders at a whole minute."""
        return self._market.minute_volume(instrument.symbol, now) * SHARE // instrument.step * instrument.step

    def _renew(self, now: int) -> None:
        if now // RENEWED_EVERY != self._second:
            self._second = now // RENEWED_EVERY
            self._taken.clear()


def next_minute(now: int) -> int:
    """Return the next whole minute after a time."""
    return (now // MINUTE + 1) * MINUTE
