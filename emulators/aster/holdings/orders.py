"""
What accounts ask for and what comes of it: orders, trades, income.

Prices are whole ticks of the symbol's instrument, 0 where an order has none; quantities and amounts are decimals;
times are milliseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

TRAILING = "TRAILING_STOP_MARKET"
CONDITIONAL = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", TRAILING})
STOPS = frozenset({"STOP", "STOP_MARKET"})
OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
LIQUIDATION, DELEVERAGING = "autoclose-", "adl_autoclose"
"""How the client order ids of the venue's own orders begin."""


@dataclass(slots=True, kw_only=True)
class Order:
    """An order in any state."""

    id: int
    account: str
    symbol: str
    client_id: str
    side: str
    position_side: str = "BOTH"
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
    self_trade: str = "EXPIRE_TAKER"
    """What happens when it meets an order of its own account."""
    activation: int = 0
    """The price at which a trailing stop begins to follow."""
    callback_rate: Decimal = Decimal(0)
    """How far the price may come back from its best, in per cent."""
    best: int = 0
    """The best price a trailing stop has followed to, in tenths of a tick; 0 until it is active."""
    pauses_until: int = 0
    """When a resting order that was filled in part may be filled further."""
    amendments: int = 0
    """How often price and quantity were changed."""
    status: str = "NEW"
    executed: Decimal = Decimal(0)
    quote: Decimal = Decimal(0)
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
        """Whether it may only make a position smaller, as every order against its position side does."""
        against = self.position_side == ("LONG" if self.side == "SELL" else "SHORT")
        return self.reduce_only or self.close_position or against

    @property
    def forced(self) -> bool:
        """Whether the venue itself placed it, to liquidate or to deleverage."""
        return self.client_id.startswith((LIQUIDATION, DELEVERAGING))

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
    position_side: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginChange:
    """Margin somebody added to an isolated position, or took out of it."""

    account: str
    symbol: str
    position_side: str
    amount: Decimal
    """Negative when it was taken out."""
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Money moved between the spot and the futures wallet."""

    id: int
    account: str
    client_id: str
    amount: Decimal
    """Positive into the futures wallet."""
    time: int
