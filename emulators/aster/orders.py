"""
What accounts ask for and what comes of it: orders, trades, income.

Prices are whole ticks of the symbol's instrument, 0 where an order has none; quantities and amounts are decimals;
times are milliseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

CONDITIONAL = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"})
STOPS = frozenset({"STOP", "STOP_MARKET"})
OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})


@dataclass(slots=True, kw_only=True)
class Order:
    """An order in any state."""

    id: int
    account: str
    symbol: str
    client_id: str
    side: str
    type: str
    """LIMIT or MARKET once a conditional order has been triggered."""
    original_type: str
    time_in_force: str
    quantity: Decimal
    """Zero for an order that closes whatever position there is."""
    price: int
    stop_price: int
    reduce_only: bool
    close_position: bool
    working_type: str
    price_protect: bool
    status: str
    executed: Decimal
    quote: Decimal
    """What the executed quantity was worth, in the quote asset."""
    time: int
    update_time: int

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1

    @property
    def waits_for_trigger(self) -> bool:
        return self.type in CONDITIONAL

    @property
    def only_closes(self) -> bool:
        return self.reduce_only or self.close_position

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution of an order."""

    id: int
    order_id: int
    account: str
    symbol: str
    side: str
    price: int
    quantity: Decimal
    realized: Decimal
    """Profit of the part that closed a position, before commission, rounded to eight decimals."""
    commission: Decimal
    """What the account paid, rounded to eight decimals."""
    maker: bool
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """One change of a wallet; the wallet is the sum of them all."""

    id: int
    account: str
    kind: str
    amount: Decimal
    symbol: str
    """Empty for transfers."""
    trade_id: int
    """0 when no trade caused it."""
    time: int
