"""
Paper accounts: one wallet, positions, orders and their history.

Histories are in the order things happened, so ids and times rise.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from .orders import Income, Order, Trade
from .positions import ZERO, Position

DEFAULT_LEVERAGE = 20


@dataclass(slots=True)
class Account:
    """An account with cross margin in one-way mode."""

    id: str
    """The address of its owner in lower case, or its API key."""
    secret: str | None = None
    """The secret of the API key, for accounts that sign with one."""
    wallet: Decimal = ZERO
    hedge_mode: bool = False
    """Whether it has asked for separate long and short positions, which the venue cannot trade yet."""
    positions: dict[str, Position] = field(default_factory=lambda: defaultdict(Position))
    leverages: dict[str, int] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    latest: dict[tuple[str, str], Order] = field(default_factory=dict)
    """The most recent order of each symbol and client order id."""
    orders_of: dict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    trades_of: dict[str, list[Trade]] = field(default_factory=lambda: defaultdict(list))
    income: list[Income] = field(default_factory=list)

    def leverage(self, symbol: str) -> int:
        return self.leverages.get(symbol, DEFAULT_LEVERAGE)

    def open_positions(self) -> list[tuple[str, Position]]:
        return [(symbol, position) for symbol, position in self.positions.items() if position.quantity]

    def holds(self, symbol: str) -> bool:
        return symbol in self.positions and bool(self.positions[symbol].quantity)

    def has_open(self, client_id: str) -> bool:
        return any(order.client_id == client_id for order in self.open_orders.values())

    def keep(self, order: Order) -> None:
        """Take in an order that is new here."""
        self.orders[order.id] = order
        self.orders_of[order.symbol].append(order)
        self.latest[order.symbol, order.client_id] = order
        if order.is_open:
            self.open_orders[order.id] = order


Timed = TypeVar("Timed", Order, Trade, Income)


def between(history: Sequence[Timed], start: int, end: int) -> Sequence[Timed]:
    """Return the part of a history with times in [start, end]."""
    first = bisect_left(history, start, key=lambda each: each.time)
    return history[first : bisect_right(history, end, key=lambda each: each.time)]


def since_id(history: Sequence[Timed], first_id: int) -> Sequence[Timed]:
    """Return the part of a history with ids from *first_id* on."""
    return history[bisect_left(history, first_id, key=lambda each: each.id) :]
