"""
The engine: lets market time go by, from one thing that happens to the next.

Between two such moments nothing is computed, so an advance costs what happens in it and not how long it is. Within a
millisecond funding comes first, then orders in the order in which the path touched them, then countdowns, then
liquidations. Nothing depends on how often anybody looked.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import islice

from ..habits import Habits
from ..holdings.ledger import Ledger
from ..holdings.orders import Order
from ..prices.market import Market
from .floor import Floor
from .funding import next_settlement, settle_funding
from .liquidation import Liquidator
from .matching import Matching


class Engine:
    """Moves the orders and positions of a ledger along a market."""

    def __init__(self, market: Market, ledger: Ledger, now: int, habits: Habits) -> None:
        self.floor = Floor(market, ledger, now, habits)
        self.matching = Matching(self.floor)
        self.liquidator = Liquidator(self.floor, self.matching)

    @property
    def now(self) -> int:
        """The market time everything has happened up to."""
        return self.floor.now

    @now.setter
    def now(self, moment: int) -> None:
        self.floor.now = moment

    def bid(self, symbol: str) -> int:
        """Return the last price in ticks, which is the best bid; refuse a symbol that is not yet listed."""
        return self.floor.last(symbol)

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price of the moment."""
        return self.floor.mark(symbol)

    def depth(self, symbol: str, levels: int) -> tuple[list[tuple[int, Decimal]], list[tuple[int, Decimal]]]:
        """Return (price in ticks, size) of the best bids and asks, best first: what a market order would find."""
        bid, instrument = self.bid(symbol), self.floor.instrument(symbol)
        book = self.matching.liquidity
        bids = islice(book.levels(instrument, "SELL", bid, self.now), levels)
        return list(bids), list(islice(book.levels(instrument, "BUY", bid, self.now), levels))

    def advance(self, to: int) -> None:
        """Let everything happen up to and including a time; looking back is refused by doing nothing."""
        while (moment := self._next_moment(to)) is not None:
            self._move(moment)
            settle_funding(self.floor)
            self.matching.happen()
            self._stop_countdowns()
            self.liquidator.happen()
        self._move(max(self.now, to))

    def submit(self, order: Order) -> None:
        """Take in an order that has been admitted: execute it, or let it rest."""
        self.matching.submit(order)
        self.liquidator.cover(self.floor.ledger.accounts[order.account])

    def amend(self, order: Order, quantity: Decimal, price: int) -> None:
        """Give a resting limit order another quantity and price."""
        self.matching.amend(order, quantity, price)
        self.liquidator.cover(self.floor.ledger.accounts[order.account])

    def _move(self, moment: int) -> None:
        if moment > self.now:
            self.matching.follow(moment)
            self.now = moment

    def _next_moment(self, to: int) -> int | None:
        """Return the first millisecond in (now, to] at which something happens."""
        moment, until = None, to
        deadlines = (
            deadline
            for account in self.floor.ledger.accounts.values()
            for deadline in account.countdowns.values()
            if deadline <= to
        )
        for found in (next_settlement(self.floor, until), min(deadlines, default=None)):
            if found is not None and found <= until:
                moment = until = found
        if (touch := self.matching.next_moment(until)) is not None:
            moment = until = touch
        breach = self.liquidator.next_moment(until)
        return moment if breach is None else breach

    def _stop_countdowns(self) -> None:
        """Cancel the orders of those who did not put their countdown off."""
        for account in self.floor.ledger.accounts.values():
            for symbol in sorted(symbol for symbol, deadline in account.countdowns.items() if deadline <= self.now):
                self.floor.ledger.set_countdown(account, symbol, 0)
                for order in list(account.open_of[symbol].values()):
                    self.matching.end(order, "CANCELED")
