"""The trading floor: the market, the books and the moment, for everyone who works on it."""

from __future__ import annotations

from decimal import Decimal

from ..errors import Refusal
from ..habits import Habits
from ..holdings.ledger import Ledger
from ..holdings.margin import AccountMargin, account_margin, exposure
from ..holdings.orders import Order
from ..holdings.positions import ZERO
from ..prices.market import Market
from ..prices.symbols import Instrument


class Floor:
    """What is where at `now`, the market time everything has happened up to."""

    def __init__(self, market: Market, ledger: Ledger, now: int, habits: Habits) -> None:
        self.market = market
        self.habits = habits
        self.ledger = ledger
        self.now = now

    @property
    def now(self) -> int:
        return self._now

    @now.setter
    def now(self, moment: int) -> None:
        self._now = moment
        # Prices of the moment are asked for again and again.
        self._last: dict[str, int] = {}
        self._marks: dict[str, Decimal] = {}

    def instrument(self, symbol: str) -> Instrument:
        return self.market.instruments[symbol]

    def last(self, symbol: str) -> int:
        """Return the last price in ticks, which is the best bid; refuse a symbol that is not yet listed."""
        known = self._last.get(symbol)
        if known is not None:
            return known
        price = self.market.price(symbol, self.now)
        if price is None:
            raise Refusal(-4140)
        if not self.market.real_time:
            self._last[symbol] = price
        return price

    def fine_mark(self, symbol: str) -> int:
        """Return the mark price in tenths of a tick."""
        self.last(symbol)
        return self.market.mark(symbol, self.now)

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price."""
        known = self._marks.get(symbol)
        if known is not None:
            return known
        mark = self.instrument(symbol).fine_price(self.fine_mark(symbol))
        if not self.market.real_time:
            self._marks[symbol] = mark
        return mark

    def margin_of(self, order: Order) -> AccountMargin:
        return account_margin(self.ledger.accounts[order.account], self.market.instruments, self.mark)

    def exposed(self, order: Order, price: Decimal) -> tuple[Decimal, Decimal]:
        """Return an account's exposure in a symbol before and after an order at a price."""
        account, instrument = self.ledger.accounts[order.account], self.instrument(order.symbol)
        mark = self.mark(order.symbol)
        notional = order.remaining * price
        buying, selling = (notional, ZERO) if order.sign > 0 else (ZERO, notional)
        before = exposure(account, instrument, mark)
        return before, exposure(account, instrument, mark, buying=buying, selling=selling)

    def affordable(self, order: Order, price: Decimal) -> bool:
        """Tell whether an account has the margin, and the commission, for what an order at a price would open."""
        before, after = self.exposed(order, price)
        if after <= before:
            return True
        leverage = self.ledger.accounts[order.account].leverage(order.symbol)
        needed = (after - before) / leverage + order.remaining * price * self.ledger.taker_fee
        return needed <= self.margin_of(order).available
