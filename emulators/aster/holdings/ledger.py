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

from ..prices.symbols import Instrument
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
from .orders import LIQUIDATION, Income, MarginChange, Order, Trade, Transfer
from .positions import ZERO, Position, rounded

ORDER_FIELDS = tuple(Order.__dataclass_fields__)
TRADE_FIELDS = tuple(Trade.__dataclass_fields__)
INCOME_FIELDS = tuple(Income.__dataclass_fields__)
MARGIN_FIELDS = tuple(MarginChange.__dataclass_fields__)
TRANSFER_FIELDS = tuple(Transfer.__dataclass_fields__)
ORDER_ROW, TRADE_ROW, INCOME_ROW = attrgetter(*ORDER_FIELDS), attrgetter(*TRADE_FIELDS), attrgetter(*INCOME_FIELDS)
MARGIN_ROW, TRANSFER_ROW = attrgetter(*MARGIN_FIELDS), attrgetter(*TRANSFER_FIELDS)


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
        """Have every commit told from now on, also one that only moves the time."""
        self._listeners.append(listener)

    def stop_listening(self, listener: Listener) -> None:
        self._listeners.remove(listener)

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
            self._happened.append(ModeChanged(account.id, hedge=wanted, multi_assets=account.multi_assets))

    def set_multi_assets(self, account: Account, wanted: bool) -> None:
        account.multi_assets = wanted
        self._changes["multi_assets"].append([account.id, wanted])
        if self._listeners:
            self._happened.append(ModeChanged(account.id, hedge=account.hedge_mode, multi_assets=wanted))

    def set_self_trade(self, account: Account, mode: str) -> None:
        account.self_trade = mode
        self._changes["self_trades"].append([account.id, mode])

    def set_isolated(self, account: Account, symbol: str, wanted: bool, now: int) -> None:
        (account.isolated.add if wanted else account.isolated.discard)(symbol)
        self._changes["isolated"].append([account.id, symbol, wanted])
        seen = [(symbol, account.position(symbol, side)) for side in account.sides]
        self._tell_account(account, "MARGIN_TYPE_CHANGE", now, *seen)

    def set_countdown(self, account: Account, symbol: str, deadline: int) -> None:
        """Have all orders of a symbol cancelled at a time, or never with 0."""
        if deadline:
            account.countdowns[symbol] = deadline
        else:
            account.countdowns.pop(symbol, None)
        self._changes["countdowns"].append([account.id, symbol, deadline])

    def move_margin(self, account: Account, symbol: str, position: Position, amount: Decimal, now: int) -> None:
        """Move margin into an isolated position, or out of it with a negative amount."""
        position.isolated += amount
        change = MarginChange(account=account.id, symbol=symbol, position_side=position.side, amount=amount, time=now)
        account.margin_changes.append(change)
        self._changes["margin_changes"].append(MARGIN_ROW(change))
        self._note_position(account, symbol, position, now)
        self._tell_account(account, "MARGIN_TRANSFER", now, (symbol, position))

    def transfer(self, account: Account, amount: Decimal, client_id: str, now: int) -> Transfer:
        """Move money from the spot wallet into the futures wallet, or back with a negative amount."""
        self.book(account, "TRANSFER", amount, now=now)
        account.spot -= amount
        done = Transfer(id=self._last_income, account=account.id, client_id=client_id, amount=amount, time=now)
        account.transfers[client_id] = done
        self._changes["transfers"].append(TRANSFER_ROW(done))
        return done

    def next_order_id(self) -> int:
        self._last_order += 1
        return self._last_order

    def add(self, order: Order) -> None:
        """Enter a new order."""
        self.accounts[order.account].keep(order)
        self._changed_orders[order.id] = order
        self._tell_order(order, "NEW", order.time)

    def note(self, order: Order) -> None:
        """Keep what was changed about an open order."""
        self._changed_orders[order.id] = order

    def amend(self, order: Order, quantity: Decimal, price: int, now: int) -> None:
        """Change quantity and price of an open order."""
        order.quantity, order.price, order.update_time, order.pauses_until = quantity, price, now, 0
        order.amendments += 1
        self._note(order)
        self._tell_order(order, "AMENDMENT", now)

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
        self,
        order: Order,
        instrument: Instrument,
        ticks: int,
        quantity: Decimal,
        *,
        maker: bool,
        now: int,
        fee: Decimal | None = None,
    ) -> Trade:
        """Trade part or all of an order at a price and book what follows from it; *fee* is for a rate of its own."""
        account = self.accounts[order.account]
        position = account.position(order.symbol, order.position_side)
        price = instrument.price(ticks)
        leverage = account.leverage(order.symbol) if order.symbol in account.isolated else None
        realized = rounded(position.fill(order.sign * quantity, price, leverage=leverage))
        rate = fee if fee is not None else self.maker_fee if maker else self.taker_fee
        commission = rounded(quantity * price * rate)
        self._last_trade += 1
        trade = Trade(
            id=self._last_trade, order_id=order.id, account=account.id, symbol=order.symbol, side=order.side,
            position_side=order.position_side, price=ticks, quantity=quantity, realized=realized,
            commission=commission, maker=maker, time=now,
        )  # fmt: skip
        account.trades_of[order.symbol].append(trade)
        self._changes["trades"].append(TRADE_ROW(trade))
        self._note_position(account, order.symbol, position, now)

        order.executed += quantity
        order.quote += quantity * price
        order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        order.update_time = now
        self._note(order)
        self.book(account, "REALIZED_PNL", realized, symbol=order.symbol, trade_id=trade.id, now=now)
        self.book(account, "COMMISSION", -commission, symbol=order.symbol, trade_id=trade.id, now=now)
        self._tell_account(account, "ORDER", now, (order.symbol, position))
        liquidates = order.client_id.startswith(LIQUIDATION)
        self._tell_order(order, "CALCULATED" if liquidates else "TRADE", now, trade)
        return trade

    def fund(self, account: Account, symbol: str, position: Position, amount: Decimal, now: int) -> None:
        """Settle funding of a position; an isolated one pays and receives from its own wallet."""
        isolated = symbol in account.isolated
        if isolated:
            position.isolated += amount
            self._note_position(account, symbol, position, now)
        self.book(account, "FUNDING_FEE", amount, symbol=symbol, now=now, position=position if isolated else None)

    def book(
        self,
        account: Account,
        kind: str,
        amount: Decimal,
        *,
        now: int,
        symbol: str = "",
        trade_id: int = 0,
        position: Position | None = None,
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
            seen = () if position is None else ((symbol, position),)
            self._tell_account(account, transfer if kind == "TRANSFER" else kind, now, *seen, change=amount)

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
        happened, self._happened = self._happened, []
        for listener in self._listeners:
            listener(happened, now)

    def _tell_order(self, order: Order, execution: str, now: int, trade: Trade | None = None) -> None:
        if self._listeners:
            self._happened.append(OrderChanged(now, execution, copy(order), trade))

    def _tell_account(
        self, account: Account, reason: str, now: int, *positions: tuple[str, Position], change: Decimal = ZERO
    ) -> None:
        """Tell what became of the wallet and of some positions."""
        if not self._listeners:
            return
        seen = tuple(
            PositionSeen(
                symbol,
                position.side,
                position.quantity,
                position.entry_price,
                "isolated" if symbol in account.isolated else "cross",
                position.isolated,
            )
            for symbol, position in positions
        )
        wallet, cross = account.wallet, account.cross_wallet
        self._happened.append(AccountChanged(now, account.id, reason, wallet, cross, change, seen))

    def _note_position(self, account: Account, symbol: str, position: Position, now: int) -> None:
        position.update_time = now
        row = [account.id, symbol, position.side, position.quantity, position.cost, position.isolated, now]
        self._changes["positions"].append(row)

    def _note(self, order: Order) -> None:
        self._changed_orders[order.id] = order
        if not order.is_open:
            self.accounts[order.account].put_away(order)

    def _restore(self, journal: Journal) -> None:
        """Take in everything an earlier process wrote."""
        orders: dict[int, Order] = {}
        for record in journal.read():
            # A line is written before the clock: after a crash in between, the line knows better.
            self.kept_time = max(self.kept_time or 0, record["t"])
            self._restore_settings(record)
            for row in record.get("margin_changes", ()):
                change = MarginChange(**_decimals(MARGIN_FIELDS, row, "amount"))
                self.accounts[change.account].margin_changes.append(change)
            for row in record.get("transfers", ()):
                moved = Transfer(**_decimals(TRANSFER_FIELDS, row, "amount"))
                self.accounts[moved.account].transfers[moved.client_id] = moved
                self.accounts[moved.account].spot -= moved.amount
            for row in record.get("orders", ()):
                order = Order(**_decimals(ORDER_FIELDS, row, "quantity", "executed", "quote", "callback_rate"))
                orders[order.id] = order
            for row in record.get("trades", ()):
                trade = Trade(**_decimals(TRADE_FIELDS, row, "quantity", "realized", "commission"))
                self.accounts[trade.account].trades_of[trade.symbol].append(trade)
                self._last_trade = trade.id
            for name, symbol, side, *amounts, time in record.get("positions", ()):
                quantity, cost, isolated = (Decimal(amount) for amount in amounts)
                position = Position(side, quantity, cost, isolated, time)
                self.accounts[name].positions[symbol, side] = position
            for row in record.get("income", ()):
                income = Income(**_decimals(INCOME_FIELDS, row, "amount"))
                self.accounts[income.account].income.append(income)
                self._last_income = income.id
        for order in orders.values():
            self.accounts[order.account].keep(order)
        self._last_order = max(orders, default=self._last_order)
        for account in self.accounts.values():
            account.wallet = sum((income.amount for income in account.income), ZERO)
            account.countdowns = {symbol: deadline for symbol, deadline in account.countdowns.items() if deadline}

    def _restore_settings(self, record: dict[str, Any]) -> None:
        for name, secret in record.get("accounts", ()):
            self.accounts[name] = Account(name, secret)
        for name, symbol, leverage in record.get("leverages", ()):
            self.accounts[name].leverages[symbol] = leverage
        for name, wanted in record.get("hedge_modes", ()):
            self.accounts[name].hedge_mode = wanted
        for name, wanted in record.get("multi_assets", ()):
            self.accounts[name].multi_assets = wanted
        for name, mode in record.get("self_trades", ()):
            self.accounts[name].self_trade = mode
        for name, symbol, wanted in record.get("isolated", ()):
            isolated = self.accounts[name].isolated
            (isolated.add if wanted else isolated.discard)(symbol)
        for name, symbol, deadline in record.get("countdowns", ()):
            self.accounts[name].countdowns[symbol] = deadline


def _decimals(names: tuple[str, ...], row: list[Any], *decimals: str) -> dict[str, Any]:
    """Return a row as fields, some of which are decimals."""
    fields = dict(zip(names, row, strict=True))
    for name in decimals:
        fields[name] = Decimal(fields[name])
    return fields
