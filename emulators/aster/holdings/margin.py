"""
What an account's positions and orders tie up, and when they are lost.

Initial margin is notional divided by leverage. In one-way mode the notional of a symbol is the largest its position
could have if all its resting buys, or all its resting sells, were filled; in hedge mode both sides count. Conditional
and closing orders tie up nothing. Maintenance margin follows the brackets.

Cross positions share what is in the wallet outside isolated positions; when that plus their unrealized profit falls
below their maintenance margin they are liquidated. An isolated position stands alone with a wallet of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from ..prices.symbols import Instrument
from .accounts import Account
from .brackets import bracket_of, maintenance_margin
from .positions import ZERO, Position

Marks = Callable[[str], Decimal]
"""The mark price of a symbol."""


@dataclass(frozen=True, slots=True)
class PositionMargin:
    """Margin of one position, and of the orders that could enlarge it, in the quote asset."""

    position: Position
    notional: Decimal
    """Signed value of the position at the mark price."""
    unrealized: Decimal
    position_initial: Decimal
    order_initial: Decimal
    maintenance: Decimal
    isolated: bool


@dataclass(frozen=True, slots=True)
class AccountMargin:
    """Margin of a whole account, in the quote asset."""

    wallet: Decimal
    cross_wallet: Decimal
    unrealized: Decimal
    cross_unrealized: Decimal
    position_initial: Decimal
    cross_initial: Decimal
    """What cross positions alone tie up."""
    order_initial: Decimal
    maintenance: Decimal
    cross_maintenance: Decimal

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.unrealized

    @property
    def cross_equity(self) -> Decimal:
        return self.cross_wallet + self.cross_unrealized

    @property
    def initial(self) -> Decimal:
        return self.position_initial + self.order_initial

    @property
    def available(self) -> Decimal:
        """What may be tied up by new orders."""
        return max(ZERO, self.cross_equity - self.cross_initial - self.order_initial)


def _resting(account: Account, instrument: Instrument) -> tuple[Decimal, Decimal]:
    """Return the notionals of the resting buys and sells that could enlarge a position."""
    buying = selling = ZERO
    for order in account.open_of[instrument.symbol].values():
        if not order.waits_for_trigger and not order.only_closes:
            notional = order.remaining * instrument.price(order.price)
            if order.sign > 0:
                buying += notional
            else:
                selling += notional
    return buying, selling


def exposure(
    account: Account, instrument: Instrument, mark: Decimal, *, buying: Decimal = ZERO, selling: Decimal = ZERO
) -> Decimal:
    """
    Return the largest notional the account could come to hold in a symbol.

    *buying* and *selling* are notionals of orders under consideration, beside those that rest already.
    """
    resting_buys, resting_sells = _resting(account, instrument)
    buying, selling = buying + resting_buys, selling + resting_sells
    values = [position.quantity * mark for position in account.held(instrument.symbol)]
    if account.hedge_mode:
        return sum((abs(value) for value in values), ZERO) + buying + selling
    held = sum(values, ZERO)
    return max(abs(held), abs(held + buying), abs(held - selling))


def position_margins(account: Account, instrument: Instrument, mark: Decimal) -> list[PositionMargin]:
    """Return what one symbol ties up, a row for each position side of the account's mode."""
    symbol, leverage = instrument.symbol, account.leverage(instrument.symbol)
    isolated = symbol in account.isolated
    rows = []
    for side in account.sides:
        position = account.position(symbol, side)
        notional = position.quantity * mark
        if not account.open_of[symbol]:
            opening = ZERO
        elif side == "BOTH":
            opening = exposure(account, instrument, mark) - abs(notional)
        else:
            opening = _resting(account, instrument)[side == "SHORT"]
        if position.quantity:
            unrealized, maintenance = position.unrealized(mark), maintenance_margin(symbol, abs(notional))
        else:
            unrealized = maintenance = ZERO
        initial = abs(notional) / leverage
        rows.append(PositionMargin(position, notional, unrealized, initial, opening / leverage, maintenance, isolated))
    return rows


def account_margin(account: Account, instruments: dict[str, Instrument], marks: Marks) -> AccountMargin:
    """Return what the whole account ties up."""
    symbols = dict.fromkeys(symbol for symbol, _ in account.open_positions())
    symbols.update(dict.fromkeys(order.symbol for order in account.open_orders.values()))
    unrealized = cross_unrealized = initial = cross_initial = orders = maintenance = cross_maintenance = ZERO
    for symbol in symbols:
        for part in position_margins(account, instruments[symbol], marks(symbol)):
            orders += part.order_initial
            unrealized += part.unrealized
            initial += part.position_initial
            maintenance += part.maintenance
            if not part.isolated:
                cross_unrealized += part.unrealized
                cross_initial += part.position_initial
                cross_maintenance += part.maintenance
    return AccountMargin(
        account.wallet, account.cross_wallet, unrealized, cross_unrealized, initial, cross_initial, orders,
        maintenance, cross_maintenance,
    )  # fmt: skip


def liquidation_price(
    account: Account, symbol: str, position: Position, mark: Decimal, whole: AccountMargin
) -> Decimal:
    """
    Return the mark price of a symbol at which a position would be liquidated, other prices standing still.

    Solves wallet + profits = maintenance margins for the price, within the present brackets; zero when no price does.
    """
    if not position.quantity:
        return ZERO
    if symbol in account.isolated:
        held, cushion = [position], position.isolated
    else:
        held = account.held(symbol)
        cushion = whole.cross_equity - whole.cross_maintenance
        for each in held:
            cushion += maintenance_margin(symbol, abs(each.quantity) * mark) - each.unrealized(mark)
    slope = ZERO
    for each in held:
        bracket = bracket_of(symbol, abs(each.quantity) * mark)
        cushion += bracket.cum - each.cost
        slope += abs(each.quantity) * bracket.ratio - each.quantity
    return max(ZERO, cushion / slope) if slope else ZERO
