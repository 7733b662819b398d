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

from .orders import Income, MarginChange, Order, Trade, Transfer
from .positions import ZERO, Position

DEFAULT_LEVERAGE = 20
SIDES = {False: ("BOTH",), True: ("LONG", "SHORT")}
"""The position sides of a symbol in one-way and in hedge mode."""


@dataclass(slots=True)
class Account:
    """An account with its own settings."""

    id: str
    """The address of its owner in lower case, or its API key."""
    secret: str | None = None
    """The secret of the API key, for accounts that sign with one."""
    wallet: Decimal = ZERO
    """Everything in the futures wallet, the wallets of isolated positions included."""
    spot: Decimal = ZERO
    """What lies in the spot wallet."""
    hedge_mode: bool = False
    """Whether long and short positions stand side by side."""
    multi_assets: bool = False
    """Whether it asked for margin in several assets, of which this venue has only one."""
    self_trade: str = "EXPIRE_TAKER"
    """What happens when one of its orders meets another, unless the order says something else."""
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    """By symbol and position side; see `position`."""
    leverages: dict[str, int] = field(default_factory=dict)
    isolated: set[str] = field(default_factory=set)
    """Symbols with isolated margin."""
    countdowns: dict[str, int] = field(default_factory=dict)
    """When all orders of a symbol are cancelled unless somebody puts it off."""
    open_orders: dict[int, Order] = field(default_factory=dict)
    open_of: dict[str, dict[int, Order]] = field(default_factory=lambda: defaultdict(dict))
    orders: dict[int, Order] = field(default_factory=dict)
    latest: dict[tuple[str, str], Order] = field(default_factory=dict)
    """The most recent order of each symbol and client order id."""
    orders_of: dict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    trades_of: dict[str, list[Trade]] = field(default_factory=lambda: defaultdict(list))
    income: list[Income] = field(default_factory=list)
    margin_changes: list[MarginChange] = field(default_factory=list)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    """The latest one of each client's id."""

    @property
    def sides(self) -> tuple[str, ...]:
        """The position sides it trades."""
        return SIDES[self.hedge_mode]

    def leverage(self, symbol: str) -> int:
        return self.leverages.get(symbol, DEFAULT_LEVERAGE)

    def position(self, symbol: str, side: str = "BOTH") -> Position:
        """Return the position of a symbol and side, flat if it never had one."""
        found = self.positions.get((symbol, side))
        if found is None:
            found = self.positions[symbol, side] = Position(side)
        return found

    def open_positions(self) -> list[tuple[str, Position]]:
        """Return what it holds, by symbol and side, whatever the order it came in."""
        held = sorted(key for key, position in self.positions.items() if position.quantity)
        return [(key[0], self.positions[key]) for key in held]

    def held(self, symbol: str) -> list[Position]:
        """Return the open positions of a symbol."""
        found = (self.positions.get((symbol, side)) for side in self.sides)
        return [position for position in found if position is not None and position.quantity]

    @property
    def cross_wallet(self) -> Decimal:
        """The wallet without those of isolated positions."""
        if not self.isolated:
            return self.wallet
        return self.wallet - sum((position.isolated for position in self.positions.values()), ZERO)

    def has_open(self, client_id: str) -> bool:
        return any(order.client_id == client_id for order in self.open_orders.values())

    def keep(self, order: Order) -> None:
        """Take in an order that is new here."""
        self.orders[order.id] = order
        self.orders_of[order.symbol].append(order)
        self.latest[order.symbol, order.client_id] = order
        if order.is_open:
            self.open_orders[order.id] = self.open_of[order.symbol][order.id] = order

    def put_away(self, order: Order) -> None:
        """Take an order that has ended from the open ones."""
        self.open_orders.pop(order.id, None)
        self.open_of[order.symbol].pop(order.id, None)


Timed = TypeVar("Timed", Order, Trade, Income, MarginChange)
Numbered = TypeVar("Numbered", Order, Trade)


def between(history: Sequence[Timed], start: int, end: int) -> Sequence[Timed]:
    """Return the part of a history with times in [start, end]."""
    first = bisect_left(history, start, key=lambda each: each.time)
    return history[first : bisect_right(history, end, key=lambda each: each.time)]


def since_id(history: Sequence[Numbered], first_id: int) -> Sequence[Numbered]:
    """Return the part of a history with ids from *first_id* on."""
    return history[bisect_left(history, first_id, key=lambda each: each.id) :]
