"""The trading floor: the market, the books and the moment, for everyone who works on it."""

from __future__ import annotations

from decimal import Decimal

from .errors import Refusal
from .ledger import Ledger
from .margin import AccountMargin, account_margin, exposure
from .market import Market
from .orders import Order
from .positions import ZERO
from .symbols import Instrument


class Floor:
    """What is where at `now`, the market time everything has happened up to."""

    def __init__(self, market: Market, ledger: Ledger, now: int) -> None:
        self.market = market
        self.ledger = ledger
        self.now = now

    def instrument(self, symbol: str) -> Instrument:
        return self.market.instruments[symbol]

    def last(self, symbol: str) -> int:
        """Return the last price in ticks, which is the best bid; refuse a symbol that is not yet listed."""
        price = self.market.price(symbol, self.now)
        if price is None:
            raise Refusal(-4140)
        return price

    def fine_mark(self, symbol: str) -> int:
        """Return the mark price in tenths of a tick."""
        self.last(symbol)
        return self.market.mark(symbol, self.now)

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price."""
        return self.instrument(symbol).fine_price(self.fine_mark(symbol))

    def margin_of(self, order: Order) -> AccountMargin:
        return account_margin(self.ledger.accounts[order.account], self.market.instruments, self.mark)

    def affordable(self, order: Order, price: Decimal) -> bool:
        """Tell whether an account has the margin, and the commission, for what an order at a price would open."""
        account = self.ledger.accounts[order.account]
        instrument = self.instrument(order.symbol)
        notional = order.remaining * price
        mark = self.mark(order.symbol)
        buying, selling = (notional, ZERO) if order.sign > 0 else (ZERO, notional)
        growth = exposure(account, instrument, mark, buying=buying, selling=selling) - exposure(
            account, instrument, mark
        )
        if growth <= 0:
            return True
        needed = growth / account.leverage(order.symbol) + notional * self.ledger.taker_fee
        return needed <= self.margin_of(order).available
