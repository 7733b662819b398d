"""
The matching engine: what happens to orders and positions as market time goes by.

Things happen in the order of their milliseconds; within one, funding comes first, then orders in the order in which
the path touched them, then liquidations.

- A market order takes the best price of the moment: buys pay the ask, sells get the bid (see `books`).
- A resting limit order is filled in full at its own price, as maker.
- A conditional order is triggered when the path reaches its stop price and is executed there, or at the price the path
  jumped to when it jumped over the stop price.
- A reduce-only order never does more than close the position: what is left of it expires.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from .accounts import Account
from .books import Book
from .brackets import maintenance_margin
from .errors import Refusal
from .ledger import Ledger, rounded
from .margin import account_margin, exposure
from .market import Market, first_time, next_funding_time
from .orders import Order
from .positions import ZERO


class Engine:
    """Matches the orders of a ledger against a market. `now` is the market time everything has happened up to."""

    def __init__(self, market: Market, ledger: Ledger, now: int) -> None:
        self.now = now
        self._market = market
        self._ledger = ledger
        self._books: dict[str, Book] = defaultdict(Book)
        for account in ledger.accounts.values():
            for order in account.open_orders.values():
                self._books[order.symbol].add(order)

    def advance(self, to: int) -> None:
        """Let everything happen up to and including a time; looking back is refused by doing nothing."""
        while (moment := self._next_moment(to)) is not None:
            self.now = moment
            self._happen()
        self.now = max(self.now, to)

    def bid(self, symbol: str) -> int:
        """Return the price of the moment in ticks; refuse a symbol that is not yet listed."""
        price = self._market.price(symbol, self.now)
        if price is None:
            raise Refusal(-4140)
        return price

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price of the moment."""
        self.bid(symbol)
        return self._market.instruments[symbol].fine_price(self._market.mark(symbol, self.now))

    def submit(self, order: Order) -> None:
        """Take in an order that has been admitted: execute it, or let it rest."""
        self._ledger.add(order)
        if order.waits_for_trigger:
            self._books[order.symbol].add(order)
        else:
            self._execute(order, self.bid(order.symbol))

    def cancel(self, order: Order) -> None:
        """Take an open order back."""
        self._books[order.symbol].remove(order)
        self._ledger.finish(order, "CANCELED", self.now)

    def affordable(self, order: Order, price: Decimal) -> bool:
        """Tell whether an account has the margin, and the commission, for what an order at a price would open."""
        account = self._ledger.accounts[order.account]
        instrument = self._market.instruments[order.symbol]
        notional = order.remaining * price
        mark = self.mark(order.symbol)
        buying, selling = (notional, ZERO) if order.sign > 0 else (ZERO, notional)
        growth = exposure(account, instrument, mark, buying=buying, selling=selling) - exposure(
            account, instrument, mark
        )
        if growth <= 0:
            return True
        needed = growth / account.leverage(order.symbol) + notional * self._ledger.taker_fee
        return needed <= account_margin(account, self._market.instruments, self.mark).available

    def _next_moment(self, to: int) -> int | None:
        """Return the first millisecond in (now, to] at which something happens."""
        moment, until = None, to
        exposed = [account for account in self._ledger.accounts.values() if account.open_positions()]
        held = {symbol for account in exposed for symbol, _ in account.open_positions()}
        for symbol in held:
            if (funding := next_funding_time(self.now, self._market.funding_interval(symbol))) <= until:
                moment = until = funding
        for symbol, book in self._books.items():
            if book and (touch := self._first_touch(symbol, book, until)) is not None:
                moment = until = touch
        for account in exposed:
            if (breach := self._first_breach(account, until)) is not None:
                moment = until = breach
        return moment

    def _first_touch(self, symbol: str, book: Book, until: int) -> int | None:
        def possible(after: int, until: int) -> bool:
            return book.reached_between(*self._market.extremes(symbol, after, until))

        return first_time(possible, self.now, until)

    def _first_breach(self, account: Account, until: int) -> int | None:
        """Return when the account's equity first falls below its maintenance margin."""
        held = [(self._market.instruments[symbol], position) for symbol, position in account.open_positions()]

        def possible(after: int, until: int) -> bool:
            equity, maintenance = account.wallet, ZERO
            for instrument, position in held:
                low, high = self._market.mark_extremes(instrument.symbol, after, until)
                equity += position.unrealized(instrument.fine_price(low if position.quantity > 0 else high))
                notional = abs(position.quantity) * instrument.fine_price(high)
                maintenance += maintenance_margin(instrument.symbol, notional)
            return equity < maintenance

        return first_time(possible, self.now, until)

    def _happen(self) -> None:
        """Let everything happen that belongs to this millisecond."""
        self._settle_funding()
        for symbol, book in self._books.items():
            if not book:
                continue
            price = self.bid(symbol)
            jumped = self._market.jumps_at(symbol, self.now)
            while (order := book.touched(price)) is not None:
                book.remove(order)
                if order.waits_for_trigger:
                    self._trigger(order, price if jumped else order.stop_price)
                else:
                    self._fill(order, order.price, maker=True)
        for account in self._ledger.accounts.values():
            self._liquidate_if_due(account)

    def _trigger(self, order: Order, price: int) -> None:
        # A waiting order ties up no margin, so what it needs is asked for only now.
        limit = self._market.instruments[order.symbol].price(order.price or price)
        affordable = order.only_closes or self.affordable(order, limit)
        self._ledger.note_trigger(order, self.now)
        if order.close_position:
            order.quantity = self._ledger.accounts[order.account].positions[order.symbol].closable(order.sign)
        if affordable:
            self._execute(order, price)
        else:
            self._ledger.finish(order, "EXPIRED", self.now)

    def _execute(self, order: Order, bid: int) -> None:
        """Execute a market or limit order that has just arrived at a best bid."""
        best = bid + 1 if order.sign > 0 else bid
        takes = order.type == "MARKET" or (order.price - best) * order.sign >= 0
        if takes and order.time_in_force != "GTX":
            self._fill(order, best, maker=False)
        elif takes or order.time_in_force in {"IOC", "FOK"}:
            self._ledger.finish(order, "EXPIRED", self.now)
        else:
            self._books[order.symbol].add(order)

    def _fill(self, order: Order, ticks: int, *, maker: bool) -> None:
        """Fill an order as far as it may go; an order that may only close expires with what is left."""
        quantity = order.remaining
        if order.only_closes:
            quantity = min(quantity, self._ledger.accounts[order.account].positions[order.symbol].closable(order.sign))
        if quantity:
            instrument = self._market.instruments[order.symbol]
            self._ledger.fill(order, instrument, ticks, quantity, maker=maker, now=self.now)
        if order.is_open:
            self._ledger.finish(order, "EXPIRED", self.now)

    def _settle_funding(self) -> None:
        for account in self._ledger.accounts.values():
            for symbol, position in account.open_positions():
                if self.now % self._market.funding_interval(symbol):
                    continue
                rate = self._market.funding_rate(symbol, self.now)
                payment = rounded(-position.quantity * self.mark(symbol) * rate)
                self._ledger.book(account, "FUNDING_FEE", payment, symbol=symbol, now=self.now)

    def _liquidate_if_due(self, account: Account) -> None:
        """Close everything when the margin is gone; the insurance fund pays what the wallet cannot."""
        margin = account_margin(account, self._market.instruments, self.mark)
        if margin.equity >= margin.maintenance:
            return
        for order in list(account.open_orders.values()):
            self.cancel(order)
        for symbol, position in account.open_positions():
            instrument = self._market.instruments[symbol]
            bid = self.bid(symbol)
            closing = Order(
                id=self._ledger.next_order_id(), account=account.id, symbol=symbol,
                client_id=f"autoclose-{self.now}{len(account.orders):06d}",
                side="SELL" if position.quantity > 0 else "BUY", type="LIMIT", original_type="LIMIT",
                time_in_force="IOC", quantity=abs(position.quantity),
                price=bid if position.quantity > 0 else bid + 1, stop_price=0, reduce_only=False, close_position=False,
                working_type="CONTRACT_PRICE", price_protect=False, status="NEW", executed=ZERO, quote=ZERO,
                time=self.now, update_time=self.now,
            )  # fmt: skip
            self._ledger.add(closing)
            self._fill(closing, closing.price, maker=False)
            fee = min(rounded(closing.quote * instrument.liquidation_fee), max(account.wallet, ZERO))
            self._ledger.book(account, "INSURANCE_CLEAR", -fee, symbol=symbol, now=self.now)
        if account.wallet < 0:
            self._ledger.book(account, "INSURANCE_CLEAR", -account.wallet, now=self.now)
