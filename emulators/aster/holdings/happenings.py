"""
What happened at a venue, told to whoever listens (`Ledger.listen`).

Nothing is told before it is committed; then everything of one commit is told at once, in the order in which it
happened. What is told are pictures of the moment: later changes do not reach into them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from .orders import Order, Trade


@dataclass(frozen=True, slots=True)
class PositionSeen:
    """A position as it stood."""

    symbol: str
    side: str
    """BOTH, or LONG or SHORT in hedge mode."""
    quantity: Decimal
    entry_price: Decimal
    margin_type: str
    """`cross` or `isolated`."""
    isolated_wallet: Decimal


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """
    Something happened to an order.

    The execution is NEW, TRIGGERED, AMENDMENT, CANCELED, EXPIRED, or, with the trade, TRADE; CALCULATED when the
    venue itself traded to liquidate.
    """

    time: int
    execution: str
    order: Order
    trade: Trade | None = None

    @property
    def account(self) -> str:
        return self.order.account


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """An account's money or positions changed, or how a position is margined."""

    time: int
    account: str
    reason: str
    """In the words of the exchange's user stream: ORDER, FUNDING_FEE, DEPOSIT, MARGIN_TRANSFER, …"""
    wallet: Decimal
    cross_wallet: Decimal
    change: Decimal
    """What came into the wallet other than by trading."""
    positions: tuple[PositionSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class LeverageChanged:
    """An account has another leverage in a symbol."""

    account: str
    symbol: str
    leverage: int


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """An account trades in another mode."""

    account: str
    hedge: bool
    multi_assets: bool


Happening = OrderChanged | AccountChanged | LeverageChanged | ModeChanged
Listener = Callable[[Sequence[Happening], int], None]
"""Is told what one commit made last, and the market time of the commit."""
