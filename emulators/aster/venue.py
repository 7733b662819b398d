"""
The paper exchange without its doors: everything an account can do, callable without HTTP.

Nothing happens by itself: `advance` moves market time, and every command acts at the time reached. Each command and
each advance is committed to the state folder, if there is one, before it returns. Refusals are raised as `Refusal`
and leave everything as it was.
"""

from __future__ import annotations

from contextlib import ExitStack
from copy import copy
from decimal import Decimal
from pathlib import Path

from .accounts import Account
from .admission import NewOrder, read_order, refuse_if_unreasonable
from .brackets import max_leverage, max_notional
from .engine import Engine
from .errors import Refusal
from .journal import Journal, UnusableState
from .ledger import Ledger, rounded
from .margin import AccountMargin, account_margin, exposure
from .market import Market
from .orders import Order
from .parameters import Parameters, text
from .positions import ZERO
from .register import Register
from .symbols import Instrument

MAKER_FEE, TAKER_FEE = Decimal("0.0001"), Decimal("0.00035")
START_BALANCE = Decimal(10_000)


class Venue:
    """A market, its accounts, and the time."""

    def __init__(
        self,
        market: Market,
        *,
        balance: Decimal = START_BALANCE,
        maker_fee: Decimal = MAKER_FEE,
        taker_fee: Decimal = TAKER_FEE,
        state: Path | None = None,
    ) -> None:
        """
        Open a venue on a market.

        *balance* is what a new account begins with, in USDT; fees are fractions of an order's value. With *state*, the
        books of an earlier venue on the same market are continued at the time it had reached. Raises UnusableState.
        """
        journal = None if state is None else Journal(state, f"{market.identity} fees={maker_fee}/{taker_fee}")
        self.market = market
        self.balance = balance
        self._open = ExitStack()
        if journal is not None:
            self._open.callback(journal.close)
        try:
            self.register = Register(state)
            self._open.callback(self.register.close)
            self.ledger = Ledger(maker_fee=maker_fee, taker_fee=taker_fee, journal=journal)
        except UnusableState:
            self.close()
            raise
        self.engine = Engine(market, self.ledger, max(self.ledger.kept_time or 0, market.start))

    @property
    def now(self) -> int:
        """Market time in milliseconds."""
        return self.engine.now

    @property
    def ended(self) -> bool:
        """Whether the market's prices have come to their end."""
        return self.market.end is not None and self.now >= self.market.end

    def advance(self, to: int) -> None:
        """Move market time forward, not beyond the end of the prices; a time already passed changes nothing."""
        until = to if self.market.end is None else min(to, self.market.end)
        if until > self.now:
            self.engine.advance(until)
            self.ledger.commit(self.now)

    def close(self) -> None:
        """Let go of the state folder."""
        self._open.close()

    def instrument(self, symbol: str) -> Instrument:
        """Return a symbol of this market, or refuse."""
        found = self.market.instruments.get(symbol)
        if found is None:
            raise Refusal(-1121)
        return found

    def open_account(self, name: str, *, secret: str | None = None, balance: Decimal | None = None) -> Account:
        """Open an account by its owner's address, or by its API key and secret."""
        account = self.ledger.open_account(
            name, secret=secret, balance=rounded(self.balance if balance is None else balance), now=self.now
        )
        self.ledger.commit(self.now)
        return account

    def margin(self, account: Account) -> AccountMargin:
        return account_margin(account, self.market.instruments, self.engine.mark)

    def place(self, account: Account, parameters: Parameters) -> tuple[Order, Order]:
        """Place an order and return it as it was accepted, and as it stands after what it did at once."""
        instrument = self.instrument(text(parameters, "symbol"))
        new = read_order(parameters, instrument)
        mark = self.engine.mark(instrument.symbol)
        refuse_if_unreasonable(new, account, instrument, mark=mark)
        order = self._enter(new, account, instrument)
        if not (order.only_closes or order.waits_for_trigger):
            self._refuse_unaffordable(order, account, instrument, mark)
        accepted = copy(order)
        self.engine.submit(order)
        self.ledger.commit(self.now)
        return accepted, order

    def cancel(self, account: Account, order: Order) -> None:
        """Cancel an open order of the account."""
        if order.id not in account.open_orders:
            raise Refusal(-2011)
        self.engine.cancel(order)
        self.ledger.commit(self.now)

    def cancel_all(self, account: Account, symbol: str) -> None:
        """Cancel all open orders of the account in a symbol, which may be none."""
        for order in [each for each in account.open_orders.values() if each.symbol == symbol]:
            self.engine.cancel(order)
        self.ledger.commit(self.now)

    def set_leverage(self, account: Account, symbol: str, leverage: int) -> Decimal:
        """Set the leverage of a symbol and return the largest position it allows."""
        instrument = self.instrument(symbol)
        if not 1 <= leverage <= max_leverage(symbol):
            raise Refusal(-4028, leverage)
        most = max_notional(symbol, leverage)
        if account.holds(symbol) or account.open_orders:
            exposed = exposure(account, instrument, self.engine.mark(symbol))
            if exposed > most:
                raise Refusal(-2027)
            growth = exposed / leverage - exposed / account.leverage(symbol)
            if growth > self.margin(account).available:
                raise Refusal(-2028)
        self.ledger.set_leverage(account, symbol, leverage)
        self.ledger.commit(self.now)
        return most

    def set_hedge_mode(self, account: Account, wanted: bool) -> None:
        """Switch between one-way and hedge mode, which takes an account without orders and positions."""
        if wanted == account.hedge_mode:
            raise Refusal(-4059)
        if account.open_orders:
            raise Refusal(-4067)
        if account.open_positions():
            raise Refusal(-4068)
        self.ledger.set_hedge_mode(account, wanted)
        self.ledger.commit(self.now)

    def _enter(self, new: NewOrder, account: Account, instrument: Instrument) -> Order:
        number = self.ledger.next_order_id()
        return Order(
            id=number,
            account=account.id,
            symbol=instrument.symbol,
            client_id=new.client_id or f"web_{number}",
            side=new.side,
            type=new.type,
            original_type=new.type,
            time_in_force=new.time_in_force,
            quantity=new.quantity,
            price=instrument.ticks(new.price),
            stop_price=instrument.ticks(new.stop_price),
            reduce_only=new.reduce_only,
            close_position=new.close_position,
            working_type=new.working_type,
            price_protect=new.price_protect,
            status="NEW",
            executed=ZERO,
            quote=ZERO,
            time=self.now,
            update_time=self.now,
        )

    def _refuse_unaffordable(self, order: Order, account: Account, instrument: Instrument, mark: Decimal) -> None:
        ask = mark + instrument.tick
        price = instrument.price(order.price) if order.type == "LIMIT" else ask if order.sign > 0 else mark
        notional = order.quantity * price
        buying, selling = (notional, ZERO) if order.sign > 0 else (ZERO, notional)
        after = exposure(account, instrument, mark, buying=buying, selling=selling)
        if after > exposure(account, instrument, mark) and after > max_notional(
            order.symbol, account.leverage(order.symbol)
        ):
            raise Refusal(-2027)
        if not self.engine.affordable(order, price):
            raise Refusal(-2019)
