"""
The book as it is shown: the venue's own liquidity, level by level, less what was taken from it in this second.

`Takings` hears what accounts take, so that the book of a moment can still be shown when the venue has gone on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..doors.wire import plain
from ..holdings.accounts import between
from ..holdings.happenings import Happening, OrderChanged
from ..holdings.orders import Order, Trade
from ..holdings.positions import ZERO
from ..matching.liquidity import RENEWED_EVERY, level_size
from ..prices.market import Market
from ..prices.symbols import Instrument
from ..venue import Venue

REACH = 1000
"""Levels shown on each side."""
BIDS, ASKS = "SELL", "BUY"
"""A side of the book, named by the orders that take from it."""
Levels = list[list[str]]


@dataclass(frozen=True, slots=True)
class View:
    """The book of a symbol at a moment."""

    instrument: Instrument
    bid: int
    taken: dict[tuple[str, int], Decimal]
    """By side and price in ticks."""

    def left(self, side: str, ticks: int) -> Decimal:
        """Return what a level holds, shown or not."""
        return max(ZERO, level_size(self.instrument, ticks) - self.taken.get((side, ticks), ZERO))

    def prices(self, side: str, levels: int = REACH) -> Sequence[int]:
        """Return the prices of the best levels of a side, best first."""
        first, step = (self.bid, -1) if side == BIDS else (self.bid + 1, 1)
        empty = {ticks for name, ticks in self.taken if name == side and not self.left(side, ticks)}
        reach = range(first, max(0, first + step * (levels + len(empty))), step)
        return [ticks for ticks in reach if ticks not in empty][:levels] if empty else reach

    def rows(self, side: str, prices: Iterable[int]) -> Levels:
        """Return levels as the exchange writes them."""
        price_text = self.instrument.price_text
        return [[price_text(ticks), plain(self.left(side, ticks))] for ticks in prices]


def restated(seen: Sequence[View], now: View) -> tuple[Levels, Levels]:
    """
    Return the bids and asks that whoever saw the book in one of these ways must hear of to see it as it is now.

    Quantities are absolute, and "0" where there is no level any more.
    """

    def side(name: str) -> Levels:
        shown = [set(view.prices(name)) for view in (*seen, now)]
        everywhere = shown[-1].intersection(*shown)
        changed = shown[-1].union(*shown) - everywhere
        changed.update(ticks for view in (*seen, now) for taken, ticks in view.taken if taken == name)
        there = [ticks for ticks in sorted(changed) if ticks in shown[-1]]
        gone = [[now.instrument.price_text(ticks), "0"] for ticks in sorted(changed - shown[-1])]
        return now.rows(name, there) + gone

    if all(view == now for view in seen):
        return [], []
    return side(BIDS), side(ASKS)


class Takings:
    """What accounts have taken from the books of a market in the seconds that are still spoken of."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._taken: dict[str, list[tuple[int, str, int, Decimal]]] = defaultdict(list)

    def begin(self, venue: Venue) -> None:
        """Start with what was taken in the present second."""
        self._taken.clear()
        second = venue.now // RENEWED_EVERY * RENEWED_EVERY
        for account in venue.ledger.accounts.values():
            for history in account.trades_of.values():
                for trade in between(history, second, venue.now):
                    self._take(account.orders[trade.order_id], trade)

    def hear(self, happened: Sequence[Happening]) -> None:
        for each in happened:
            if isinstance(each, OrderChanged) and each.trade is not None:
                self._take(each.order, each.trade)

    def forget(self, before: int) -> None:
        """Forget the seconds that were over at a time."""
        second = before // RENEWED_EVERY * RENEWED_EVERY
        for symbol, taken in self._taken.items():
            self._taken[symbol] = [each for each in taken if each[0] >= second]

    def view(self, symbol: str, at: int) -> View | None:
        """Return the book of a moment, or nothing while the symbol is not yet listed."""
        bid = self._market.price(symbol, at)
        if bid is None:
            return None
        taken: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
        second = at // RENEWED_EVERY * RENEWED_EVERY
        for time, side, ticks, quantity in self._taken[symbol]:
            if second <= time <= at:
                taken[side, ticks] += quantity
        return View(self._market.instruments[symbol], bid, dict(taken))

    def _take(self, order: Order, trade: Trade) -> None:
        # A maker's counterpart is nobody's level, and the venue liquidates without touching its book.
        if not trade.maker and not order.forced:
            self._taken[trade.symbol].append((trade.time, trade.side, trade.price, trade.quantity))
