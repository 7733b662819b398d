"""
What an account's positions and orders tie up, and when they are lost.

Margin is cross: everything shares one wallet. Initial margin is notional divided by leverage, where the notional of a
symbol is the largest the position could have if all its resting buys, or all its resting sells, were filled;
conditional and closing orders tie up nothing. Maintenance margin follows the brackets. An account whose wallet plus
unrealized profit falls below its maintenance margin is liquidated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from .accounts import Account
from .brackets import bracket_of, maintenance_margin
from .positions import ZERO
from .symbols import Instrument

Marks = Callable[[str], Decimal]
"""The mark price of a symbol."""


@dataclass(frozen=True, slots=True)
class SymbolMargin:
    """Margin of one symbol, in the quote asset."""

    notional: Decimal
    """Signed value of the position at the mark price."""
    unrealized: Decimal
    position_initial: Decimal
    order_initial: Decimal
    maintenance: Decimal


@dataclass(frozen=True, slots=True)
class AccountMargin:
    """Margin of a whole account, in the quote asset."""

    wallet: Decimal
    unrealized: Decimal
    position_initial: Decimal
    order_initial: Decimal
    maintenance: Decimal

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.unrealized

    @property
    def initial(self) -> Decimal:
        return self.position_initial + self.order_initial

    @property
    def available(self) -> Decimal:
        """What may be tied up by new orders."""
        return max(ZERO, self.equity - self.initial)


def exposure(
    account: Account, instrument: Instrument, mark: Decimal, *, buying: Decimal = ZERO, selling: Decimal = ZERO
) -> Decimal:
    """
    Return the largest notional the account could come to hold in a symbol.

    *buying* and *selling* are notionals of orders under consideration, beside those that rest already.
    """
    for order in account.open_orders.values():
        if order.symbol == instrument.symbol and not order.waits_for_trigger and not order.only_closes:
            notional = order.remaining * instrument.price(order.price)
            if order.sign > 0:
                buying += notional
            else:
                selling += notional
    held = account.positions[instrument.symbol].quantity * mark if account.holds(instrument.symbol) else ZERO
    return max(abs(held), abs(held + buying), abs(held - selling))


def symbol_margin(account: Account, instrument: Instrument, mark: Decimal) -> SymbolMargin:
    """Return what one symbol ties up."""
    symbol, leverage = instrument.symbol, account.leverage(instrument.symbol)
    total = exposure(account, instrument, mark) / leverage
    if not account.holds(symbol):
        return SymbolMargin(ZERO, ZERO, ZERO, total, ZERO)
    position = account.positions[symbol]
    notional = position.quantity * mark
    initial = abs(notional) / leverage
    maintenance = maintenance_margin(symbol, abs(notional))
    return SymbolMargin(notional, position.unrealized(mark), initial, total - initial, maintenance)


def account_margin(account: Account, instruments: dict[str, Instrument], marks: Marks) -> AccountMargin:
    """Return what the whole account ties up."""
    symbols = {symbol for symbol, _ in account.open_positions()}
    symbols.update(order.symbol for order in account.open_orders.values())
    parts = [symbol_margin(account, instruments[symbol], marks(symbol)) for symbol in symbols]
    return AccountMargin(
        account.wallet,
        sum((part.unrealized for part in parts), ZERO),
        sum((part.position_initial for part in parts), ZERO),
        sum((part.order_initial for part in parts), ZERO),
        sum((part.maintenance for part in parts), ZERO),
    )


def liquidation_price(account: Account, symbol: str, mark: Decimal, whole: AccountMargin) -> Decimal:
    """
    Return the mark price of a symbol at which the account would be liquidated, other prices standing still.

    Solves wallet + profits = maintenance margins for the price, within the position's present bracket; zero when no
    price does it.
    """
    position = account.positions[symbol]
    size = abs(position.quantity)
    if not size:
        return ZERO
    bracket = bracket_of(symbol, size * mark)
    others_profit = whole.unrealized - position.unrealized(mark)
    others_maintenance = whole.maintenance - maintenance_margin(symbol, size * mark)
    cushion = whole.wallet + others_profit - others_maintenance + bracket.cum - position.cost
    return max(ZERO, cushion / (size * bracket.ratio - position.quantity))
