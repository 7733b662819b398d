"""
Positions the venue itself closes: liquidation when the margin is gone, and deleveraging.

First the open orders are cancelled, of the account for cross positions, of the symbol for an isolated one. Then the
venue takes the position over at the best price of the moment, whatever its size, with an order whose client order id
begins with `autoclose-`, and keeps the symbol's liquidation fee of what is left. What a position lost beyond its
margin is paid by the insurance fund, so neither a wallet nor its cross part ends below zero.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from ..holdings.accounts import Account
from ..holdings.brackets import maintenance_margin
from ..holdings.margin import account_margin
from ..holdings.orders import DELEVERAGING, LIQUIDATION, Order
from ..holdings.positions import ZERO, Position, rounded
from ..prices.market import first_time
from .floor import Floor
from .matching import Matching


class Liquidator:
    """Watches the margin of all accounts."""

    def __init__(self, floor: Floor, matching: Matching) -> None:
        self._floor = floor
        self._ledger = floor.ledger
        self._matching = matching

    def next_moment(self, until: int) -> int | None:
        """Return the first millisecond up to *until* at which some margin is gone."""
        moment = None
        for account in self._ledger.accounts.values():
            cross = []
            for symbol, position in account.open_positions():
                if symbol not in account.isolated:
                    cross.append((symbol, position))
                    continue
                breach = self._breach(position.isolated, [(symbol, position)])
                if (found := first_time(breach, self._floor.now, until)) is not None:
                    moment = until = found
            if cross:
                breach = self._breach(account.cross_wallet, cross)
                if (found := first_time(breach, self._floor.now, until)) is not None:
                    moment = until = found
        return moment

    def _breach(self, wallet: Decimal, held: list[tuple[str, Position]]) -> Callable[[int, int], bool]:
        """Return whether a wallet may fall below the maintenance margin of positions in a stretch of time."""
        symbols = list(dict.fromkeys(symbol for symbol, _ in held))
        # Long and short positions of a symbol balance each other.
        net = {symbol: sum((each.quantity for name, each in held if name == symbol), ZERO) for symbol in symbols}
        wallet -= sum((position.cost for _, position in held), ZERO)

        def possible(after: int, until: int) -> bool:
            equity, maintenance = wallet, ZERO
            for symbol in symbols:
                instrument = self._floor.instrument(symbol)
                low, high = self._floor.market.mark_extremes(symbol, after, until)
                equity += net[symbol] * instrument.fine_price(low if net[symbol] > 0 else high)
                for name, position in held:
                    if name == symbol:
                        maintenance += maintenance_margin(symbol, abs(position.quantity) * instrument.fine_price(high))
            return equity < maintenance

        return possible

    def happen(self) -> None:
        """Liquidate what has to be at this millisecond."""
        for account in self._ledger.accounts.values():
            held = account.open_positions()
            for symbol, position in held:
                mark = self._floor.mark(symbol)
                needed = maintenance_margin(symbol, abs(position.quantity) * mark)
                if symbol in account.isolated and position.isolated + position.unrealized(mark) < needed:
                    self._liquidate_isolated(account, symbol, position)
            if held:
                margin = account_margin(account, self._floor.market.instruments, self._floor.mark)
                if margin.cross_equity < margin.cross_maintenance:
                    self._liquidate_cross(account)
            self.cover(account)

    def cover(self, account: Account) -> None:
        """Have the insurance fund pay a debt that nothing stands against any more."""
        debt = -account.cross_wallet
        if debt > 0 and all(symbol in account.isolated for symbol, _ in account.open_positions()):
            self._ledger.book(account, "INSURANCE_CLEAR", debt, now=self._floor.now)

    def deleverage(self, account: Account, symbol: str, position: Position, quantity: Decimal) -> None:
        """Close part of a position at the mark price, free of charge, because somebody else's loss needs it."""
        instrument = self._floor.instrument(symbol)
        price = instrument.ticks(self._floor.mark(symbol))
        self._close(account, symbol, position, DELEVERAGING, quantity=quantity, price=price, fee=ZERO)
        self.cover(account)

    def _liquidate_cross(self, account: Account) -> None:
        for order in list(account.open_orders.values()):
            self._matching.end(order, "CANCELED")
        for symbol, position in account.open_positions():
            if symbol not in account.isolated:
                closing = self._take_over(account, symbol, position)
                self._keep_fee(account, closing, account.cross_wallet)

    def _liquidate_isolated(self, account: Account, symbol: str, position: Position) -> None:
        for order in list(account.open_of[symbol].values()):
            self._matching.end(order, "CANCELED")
        before = account.cross_wallet
        closing = self._take_over(account, symbol, position)
        left = account.cross_wallet - before
        if left < 0:
            self._ledger.book(account, "INSURANCE_CLEAR", -left, symbol=symbol, now=self._floor.now)
        else:
            self._keep_fee(account, closing, left)

    def _keep_fee(self, account: Account, closing: Order, left: Decimal) -> None:
        """Keep the liquidation fee, as far as there is something left to keep it of."""
        fee = rounded(closing.quote * self._floor.instrument(closing.symbol).liquidation_fee)
        self._ledger.book(
            account, "INSURANCE_CLEAR", -min(fee, max(left, ZERO)), symbol=closing.symbol, now=self._floor.now
        )

    def _take_over(self, account: Account, symbol: str, position: Position) -> Order:
        bid = self._floor.last(symbol)
        name = f"{LIQUIDATION}{self._floor.now}{len(account.orders):06d}"
        price = bid if position.quantity > 0 else bid + 1
        return self._close(account, symbol, position, name, quantity=abs(position.quantity), price=price, fee=None)

    def _close(
        self,
        account: Account,
        symbol: str,
        position: Position,
        client_id: str,
        *,
        quantity: Decimal,
        price: int,
        fee: Decimal | None,
    ) -> Order:
        now = self._floor.now
        closing = Order(
            id=self._ledger.next_order_id(), account=account.id, symbol=symbol, client_id=client_id,
            side="SELL" if position.quantity > 0 else "BUY", position_side=position.side, type="LIMIT",
            original_type="LIMIT", time_in_force="IOC", quantity=quantity, price=price, stop_price=0,
            reduce_only=False, close_position=False, working_type="CONTRACT_PRICE", price_protect=False,
            time=now, update_time=now,
        )  # fmt: skip
        self._ledger.add(closing)
        self._ledger.fill(closing, self._floor.instrument(symbol), price, quantity, maker=False, now=now, fee=fee)
        return closing
