"""
The books: accounts, what they own and everything that ever happened to them.

A wallet changes only through income rows (transfers, realized profit, commission, funding, liquidation), each rounded
to eight decimals when it is booked, so adding up an account's income gives its wallet to the last digit. Changes are
gathered until `commit`, which writes them to the journal as one line and then tells them to whoever listens.
"""

from __future__ import annotations

from collections import defaultdict
from copy import copy
from decimal import Decimal
from operator import attrgetter
from typing import Any

from .accounts import Account
from .happenings import (
    AccountChanged,
    Happening,
    LeverageChanged,
    Listener,
    ModeChanged,
    OrderChanged,
    PositionSeen,
)
from .journal import Journal
from .orders import Income, Order, Trade
from .positions import ZERO, Position
from .symbols import Instrument

CENT_OF_A_CENT = Decimal("0.00000001")

ORDER_FIELDS = tuple(Order.__dataclass_fields__)
TRADE_FIELDS = tuple(Trade.__dataclass_fields__)
INCOME_FIELDS = tuple(Income.__dataclass_fields__)
ORDER_ROW, TRADE_ROW, INCOME_ROW = attrgetter(*ORDER_FIELDS), attrgetter(*TRADE_FIELDS), attrgetter(*INCOME_FIELDS)


def rounded(amount: Decimal) -> Decimal:
    """Return an amount as a wallet can book it: eight decimals, half to even."""
    return amount.quantize(CENT_OF_A_CENT)


class Ledger:
    """All accounts of a venue. Times are given by the caller; nothing here knows the clock."""

    def __init__(self, *, maker_fee: Decimal, taker_fee: Decimal, journal: Journal | None) -> None:
        self.maker_fee = maker_fee
        self.taker_fee = taker_fee
        self.accounts: dict[str, Account] = {}
        self.kept_time: int | None = None if journal is None else journal.time
        """Market time an earlier process had reached."""
        self._journal = journal
        self._last_order = self._last_trade = self._last_income = 1_000_000
        self._changed_orders: dict[int, Order] = {}
        self._changes: dict[str, list[Any]] = defaultdict(list)
        self._listeners: list[Listener] = []
        self._happened: list[Happening] = []
        if journal is not None:
            self._restore(journal)

    def listen(self, listener: Listener) -> None:
        """Have everything told that is committed from now on."""
        self._listeners.append(listener)

    def open_account(self, name: str, *, secret: str | None, balance: Decimal, now: int) -> Account:
        """Open an account with some money in it. The name must be free."""
        account = self.accounts[name] = Account(name, secret)
        self._changes["accounts"].append([name, secret])
        self.book(account, "TRANSFER", balance, now=now)
        return account

    def set_leverage(self, account: Account, symbol: str, leverage: int) -> None:
        account.leverages[symbol] = leverage
        self._changes["leverages"].append([account.id, symbol, leverage])
        if self._listeners:
            self._happened.append(LeverageChanged(account.id, symbol, leverage))

    def set_hedge_mode(self, account: Account, wanted: bool) -> None:
        account.hedge_mode = wanted
        self._changes["hedge_modes"].append([account.id, wanted])
        if self._listeners:
            self._happened.append(ModeChanged(account.id, hedge=wanted, multi_assets=False))

    def next_order_id(self) -> int:
        self._last_order += 1
        return self._last_order

    def add(self, order: Order) -> None:
        """Enter a new order."""
        self.accounts[order.account].keep(order)
        self._changed_orders[order.id] = order
        self._tell_order(order, "NEW", order.time)

    def finish(self, order: Order, status: str, now: int) -> None:
        """End an order without a trade: CANCELED or EXPIRED."""
        order.status, order.update_time = status, now
        self._note(order)
        self._tell_order(order, status, now)

    def note_trigger(self, order: Order, now: int) -> None:
        """Turn a conditional order into the plain one it stood for."""
        order.type = "MARKET" if order.type.endswith("_MARKET") else "LIMIT"
        order.update_time = now
        self._note(order)
        self._tell_order(order, "TRIGGERED", now)

    def fill(
        self, order: Order, instrument: Instrument, ticks: int, quantity: Decimal, *, maker: bool, now: int
    ) -> None:
        """Trade part or all of an order at a price and book what follows from it."""
        account = self.accounts[order.account]
        position = account.positions[order.symbol]
        price = instrument.price(ticks)
        realized = rounded(position.fill(order.sign * quantity, price))
        position.update_time = now
        commission = rounded(quantity * price * (self.maker_fee if maker else self.taker_fee))
        self._last_trade += 1
        trade = Trade(
            id=self._last_trade, order_id=order.id, account=account.id, symbol=order.symbol, side=order.side,
            price=ticks, quantity=quantity, realized=realized, commission=commission, maker=maker, time=now,
        )  # fmt: skip
        account.trades_of[order.symbol].append(trade)
        self._changes["trades"].append(TRADE_ROW(trade))
        self._changes["positions"].append([account.id, order.symbol, position.quantity, position.cost, now])

        order.executed += quantity
        order.quote += quantity * price
        order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        order.update_time = now
        self._note(order)
        self.book(account, "REALIZED_PNL", realized, symbol=order.symbol, trade_id=trade.id, now=now)
        self.book(account, "COMMISSION", -commission, symbol=order.symbol, trade_id=trade.id, now=now)
        self._tell_account(account, "ORDER", order.symbol, now)
        liquidates = order.client_id.startswith("autoclose-")
        self._tell_order(order, "CALCULATED" if liquidates else "TRADE", now, trade)

    def book(
        self, account: Account, kind: str, amount: Decimal, *, now: int, symbol: str = "", trade_id: int = 0
    ) -> None:
        """Change a wallet by an amount of at most eight decimals; nothing is booked for nothing."""
        if not amount:
            return
        self._last_income += 1
        income = Income(
            id=self._last_income,
            account=account.id,
            kind=kind,
            amount=amount,
            symbol=symbol,
            trade_id=trade_id,
            time=now,
        )
        account.income.append(income)
        account.wallet += amount
        self._changes["income"].append(INCOME_ROW(income))
        if not trade_id:
            transfer = "DEPOSIT" if amount > 0 else "WITHDRAW"
            self._tell_account(account, transfer if kind == "TRANSFER" else kind, "", now, amount)

    def commit(self, now: int) -> None:
        """Make everything since the last commit survive the process, then tell it."""
        if self._journal is not None:
            if self._changed_orders:
                self._changes["orders"] = [ORDER_ROW(order) for order in self._changed_orders.values()]
            if self._changes:
                self._journal.append({"t": now, **self._changes})
            self._journal.time = now
        self._changed_orders.clear()
        self._changes.clear()
        if self._happened:
            happened, self._happened = self._happened, []
            for listener in self._listeners:
                listener(happened, now)

    def _tell_order(self, order: Order, execution: str, now: int, trade: Trade | None = None) -> None:
        if self._listeners:
            self._happened.append(OrderChanged(now, execution, copy(order), trade))

    def _tell_account(self, account: Account, reason: str, symbol: str, now: int, change: Decimal = ZERO) -> None:
        """Tell what became of the wallet and, with a symbol, of the position in it."""
        if not self._listeners:
            return
        seen: tuple[PositionSeen, ...] = ()
        if symbol:
            position = account.positions[symbol]
            seen = (PositionSeen(symbol, "BOTH", position.quantity, position.entry_price, "cross", ZERO),)
        self._happened.append(AccountChanged(now, account.id, reason, account.wallet, account.wallet, change, seen))

    def _note(self, order: Order) -> None:
        self._changed_orders[order.id] = order
        if not order.is_open:
            self.accounts[order.account].open_orders.pop(order.id, None)

    def _restore(self, journal: Journal) -> None:
        """Take in everything an earlier process wrote."""
        orders: dict[int, Order] = {}
        for record in journal.read():
            # A line is written before the clock: after a crash in between, the line knows better.
            self.kept_time = max(self.kept_time or 0, record["t"])
            for name, secret in record.get("accounts", ()):
                self.accounts[name] = Account(name, secret)
            for name, symbol, leverage in record.get("leverages", ()):
                self.accounts[name].leverages[symbol] = leverage
            for name, wanted in record.get("hedge_modes", ()):
                self.accounts[name].hedge_mode = wanted
            for row in record.get("orders", ()):
                order = _order(row)
                orders[order.id] = order
            for row in record.get("trades", ()):
                trade = _trade(row)
                self.accounts[trade.account].trades_of[trade.symbol].append(trade)
                self._last_trade = trade.id
            for name, symbol, quantity, cost, time in record.get("positions", ()):
                self.accounts[name].positions[symbol] = Position(Decimal(quantity), Decimal(cost), time)
            for row in record.get("income", ()):
                income = _income(row)
                self.accounts[income.account].income.append(income)
                self._last_income = income.id
        for order in orders.values():
            self.accounts[order.account].keep(order)
        self._last_order = max(orders, default=self._last_order)
        for account in self.accounts.values():
            account.wallet = sum((income.amount for income in account.income), ZERO)


def _order(row: list[Any]) -> Order:
    fields = dict(zip(ORDER_FIELDS, row, strict=True))
    for name in ("quantity", "executed", "quote"):
        fields[name] = Decimal(fields[name])
    return Order(**fields)


def _trade(row: list[Any]) -> Trade:
    fields = dict(zip(TRADE_FIELDS, row, strict=True))
    for name in ("quantity", "realized", "commission"):
        fields[name] = Decimal(fields[name])
    return Trade(**fields)


def _income(row: list[Any]) -> Income:
    fields = dict(zip(INCOME_FIELDS, row, strict=True))
    fields["amount"] = Decimal(fields["amount"])
    return Income(**fields)
