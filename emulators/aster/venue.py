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
from hashlib import sha256
from pathlib import Path

from .errors import Refusal
from .habits import Habits
from .holdings.accounts import Account
from .holdings.brackets import max_leverage, max_notional
from .holdings.journal import Journal, UnusableState
from .holdings.ledger import Ledger
from .holdings.listen_keys import ListenKeys
from .holdings.margin import AccountMargin, account_margin, exposure, position_margins
from .holdings.orders import TRAILING, Order, Transfer
from .holdings.positions import ZERO, Position, rounded
from .holdings.register import Register
from .matching.admission import NewOrder, read_amendment, read_order, refuse_if_unreasonable
from .matching.engine import Engine
from .parameters import Parameters, text
from .prices.intervals import DAY
from .prices.market import Market
from .prices.marks import FINER
from .prices.symbols import Instrument

MAKER_FEE, TAKER_FEE = Decimal("0.0001"), Decimal("0.00035")
START_BALANCE = Decimal(10_000)
MOST_AMENDMENTS = 10_000
TRANSFER_REMEMBERED = 7 * DAY


class Venue:
    """A market, its accounts, and the time."""

    def __init__(
        self,
        market: Market,
        *,
        balance: Decimal = START_BALANCE,
        maker_fee: Decimal = MAKER_FEE,
        taker_fee: Decimal = TAKER_FEE,
        habits: Habits | None = None,
        state: Path | None = None,
    ) -> None:
        """
        Open a venue on a market.

        *balance* is what a new account begins with, in USDT; fees are fractions of an order's value. With *state*, the
        books of an earlier venue on the same market are continued at the time it had reached. Raises UnusableState.
        """
        identity = f"{market.identity} fees={maker_fee}/{taker_fee}"
        journal = None if state is None else Journal(state, identity)
        self.market = market
        self.books = journal.name if journal else sha256(identity.encode()).hexdigest()[:32]
        """What these books are known by: those that are kept by a name of their own, others by their market."""
        self.balance = balance
        self.listen_keys = ListenKeys(market.identity)
        self.habits = habits or Habits()
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
        self.engine = Engine(market, self.ledger, max(self.ledger.kept_time or 0, market.start), self.habits)

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
        mark, last = self.engine.mark(instrument.symbol), instrument.price(self.engine.bid(instrument.symbol))
        refuse_if_unreasonable(new, account, instrument, mark=mark, last=last, habits=self.habits)
        order = self._enter(new, account, instrument)
        if order.type == "MARKET":
            self.engine.matching.refuse_far_market(order)
        self._refuse_taking_post_only(order)
        if not (order.only_closes or order.waits_for_trigger):
            self._refuse_unaffordable(order, account, instrument, last)
        order.id = self.ledger.next_order_id()
        order.client_id = order.client_id or f"web_{order.id}"
        accepted = copy(order)
        self.engine.submit(order)
        self.ledger.commit(self.now)
        return accepted, order

    def amend(self, account: Account, order: Order, parameters: Parameters) -> Order:
        """Give an open limit order another price and quantity and return it; a refusal leaves it as it was."""
        if order.id not in account.open_orders:
            raise Refusal(-2013)
        if order.type != "LIMIT":
            raise Refusal(-4020, order.type, "false")
        if order.amendments >= MOST_AMENDMENTS:
            raise Refusal(-5026)
        instrument = self.instrument(order.symbol)
        mark, last = self.engine.mark(order.symbol), instrument.price(self.engine.bid(order.symbol))
        quantity, price = read_amendment(parameters, order.side, instrument, mark=mark)
        ticks = instrument.ticks(price)
        if (quantity, ticks) == (order.quantity, order.price):
            raise Refusal(-5027)
        if quantity <= order.executed:
            raise Refusal(-4004)
        wanted = copy(order)
        wanted.quantity, wanted.price = quantity, ticks
        self._refuse_taking_post_only(wanted)
        if not order.only_closes:
            if quantity * price < instrument.min_notional:
                raise Refusal(-4164, instrument.min_notional)
            resting = account.open_of[order.symbol].pop(order.id)
            try:
                self._refuse_unaffordable(wanted, account, instrument, last)
            finally:
                account.open_of[order.symbol][order.id] = resting
        self.engine.amend(order, quantity, ticks)
        self.ledger.commit(self.now)
        return order

    def cancel(self, account: Account, order: Order) -> None:
        """Cancel an open order of the account."""
        if order.id not in account.open_orders:
            raise Refusal(-2011)
        self.engine.matching.end(order, "CANCELED")
        self.ledger.commit(self.now)

    def cancel_all(self, account: Account, symbol: str) -> None:
        """Cancel all open orders of the account in a symbol, which may be none."""
        for order in list(account.open_of[symbol].values()):
            self.engine.matching.end(order, "CANCELED")
        self.ledger.commit(self.now)

    def cancel_all_after(self, account: Account, symbol: str, milliseconds: int) -> None:
        """Cancel all orders in a symbol after some market time unless this is asked again; 0 calls it off."""
        self.ledger.set_countdown(account, symbol, self.now + milliseconds if milliseconds else 0)
        self.ledger.commit(self.now)

    def set_leverage(self, account: Account, symbol: str, leverage: int) -> Decimal:
        """Set the leverage of a symbol and return the largest position it allows."""
        instrument = self.instrument(symbol)
        if not 1 <= leverage <= max_leverage(symbol):
            raise Refusal(-4028, leverage)
        most, before, held = max_notional(symbol, leverage), account.leverage(symbol), account.held(symbol)
        if held and leverage != before and self.habits.locks_leverage:
            raise Refusal(-2030)
        if held and leverage < before and symbol in account.isolated:
            raise Refusal(-4161)
        if held or account.open_of[symbol]:
            exposed = exposure(account, instrument, self.engine.mark(symbol))
            if exposed > most:
                raise Refusal(-2027)
            growth = exposed / leverage - exposed / before
            if growth > self.margin(account).available:
                raise Refusal(-2028)
        self.ledger.set_leverage(account, symbol, leverage)
        self.ledger.commit(self.now)
        return most

    def set_isolated(self, account: Account, symbol: str, wanted: bool) -> None:
        """Switch a symbol between cross and isolated margin, which takes one without orders and positions."""
        self.instrument(symbol)
        if wanted and account.multi_assets:
            raise Refusal(-4168)
        if wanted == (symbol in account.isolated):
            raise Refusal(-4046)
        if account.open_of[symbol]:
            raise Refusal(-4047)
        if account.held(symbol):
            raise Refusal(-4048)
        self.ledger.set_isolated(account, symbol, wanted, self.now)
        self.ledger.commit(self.now)

    def move_margin(self, account: Account, symbol: str, side: str, amount: Decimal, *, add: bool) -> None:
        """Move margin between the cross wallet and an isolated position, as far as neither is left in danger."""
        position = self._held(account, symbol, side)
        if symbol not in account.isolated:
            raise Refusal(-4049)
        amount = rounded(amount)
        if amount <= 0:
            raise Refusal(-4055)
        if not position.quantity:
            raise Refusal(-4054)
        if add and amount > self.margin(account).available:
            raise Refusal(-4050)
        if not add:
            mark, instrument = self.engine.mark(symbol), self.instrument(symbol)
            margin = next(each for each in position_margins(account, instrument, mark) if each.position is position)
            if amount > position.isolated + min(margin.unrealized, ZERO) - margin.position_initial:
                raise Refusal(-4051)
        self.ledger.move_margin(account, symbol, position, amount if add else -amount, self.now)
        self.ledger.commit(self.now)

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

    def set_multi_assets(self, account: Account, wanted: bool) -> None:
        """Say whether an account wants margin in several assets; it may not hold isolated positions then."""
        if wanted and account.isolated:
            raise Refusal(-4168)
        self.ledger.set_multi_assets(account, wanted)
        self.ledger.commit(self.now)

    def set_self_trade(self, account: Account, mode: str) -> None:
        """Say what happens when orders of the account meet."""
        self.ledger.set_self_trade(account, mode)
        self.ledger.commit(self.now)

    def transfer(self, account: Account, amount: Decimal, client_id: str) -> Transfer:
        """Move money from the spot wallet into the futures wallet, or back with a negative amount."""
        known = account.transfers.get(client_id)
        if known is not None and self.now - known.time < TRANSFER_REMEMBERED:
            raise Refusal(-4115)
        amount = rounded(amount)
        if not amount or amount > account.spot or -amount > self.margin(account).available:
            raise Refusal(-2018)
        done = self.ledger.transfer(account, amount, client_id, self.now)
        self.ledger.commit(self.now)
        return done

    def deleverage(self, account: Account, symbol: str, side: str = "BOTH", quantity: Decimal | None = None) -> None:
        """Force a deleveraging: close a position, or part of it, at the mark price."""
        position = self._held(account, symbol, side)
        if not position.quantity:
            raise Refusal(-4054)
        whole = abs(position.quantity)
        part = whole if quantity is None else min(whole, quantity)
        self.engine.liquidator.deleverage(account, symbol, position, part)
        self.ledger.commit(self.now)

    def _held(self, account: Account, symbol: str, side: str) -> Position:
        self.instrument(symbol)
        if side not in account.sides:
            raise Refusal(-4061)
        return account.position(symbol, side)

    def _enter(self, new: NewOrder, account: Account, instrument: Instrument) -> Order:
        """Return an order that has no number yet."""
        activation, best = instrument.ticks(new.activation), 0
        if new.type == TRAILING and not activation:
            fine = new.working_type == "MARK_PRICE"
            last = self.engine.bid(instrument.symbol) * FINER
            best = self.engine.floor.fine_mark(instrument.symbol) if fine else last
            activation = best // FINER
        return Order(
            id=0,
            account=account.id,
            symbol=instrument.symbol,
            client_id=new.client_id or "",
            side=new.side,
            position_side=new.position_side,
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
            self_trade=new.self_trade or account.self_trade,
            activation=activation,
            callback_rate=new.callback_rate,
            best=best,
            time=self.now,
            update_time=self.now,
        )

    def _refuse_taking_post_only(self, order: Order) -> None:
        post_only = order.type == "LIMIT" and order.time_in_force == "GTX"
        if post_only and self.habits.refuses_taking_post_only and self.engine.matching.would_take(order):
            raise Refusal(-5022)

    def _refuse_unaffordable(self, order: Order, account: Account, instrument: Instrument, last: Decimal) -> None:
        ask = last + instrument.tick
        price = instrument.price(order.price) if order.type == "LIMIT" else ask if order.sign > 0 else last
        before, after = self.engine.floor.exposed(order, price)
        if after > before and after > max_notional(order.symbol, account.leverage(order.symbol)):
            raise Refusal(-2027)
        if not self.engine.floor.affordable(order, price):
            raise Refusal(-2019)
