"""
Orders of one symbol that wait for a price, sorted by the price at which something happens to them.

A resting buy is filled when the path falls below its price, for the ask is one tick above the path; a resting sell
when the path reaches its price. A conditional order waits for the path itself to reach its stop price, a trailing stop
that is not active yet for its activation price. What waits for the mark price has a book of its own, in tenths of a
tick.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from ..holdings.orders import STOPS, TRAILING, Order
from ..prices.marks import FINER


def level_of(order: Order) -> tuple[bool, int]:
    """Return whether an order waits for a rise (else for a fall) of the price, and the price it waits for."""
    if not order.waits_for_trigger:
        return (False, order.price - 1) if order.side == "BUY" else (True, order.price)
    finer = FINER if order.working_type == "MARK_PRICE" else 1
    if order.type == TRAILING:
        return order.side == "SELL", order.activation * finer
    return (order.type in STOPS) == (order.side == "BUY"), order.stop_price * finer


class Book:
    """Orders of one symbol that wait for one of its prices."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._rises: list[tuple[int, int]] = []
        self._falls: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, order: Order) -> bool:
        return order.id in self._orders

    def add(self, order: Order) -> None:
        rises, level = level_of(order)
        self._orders[order.id] = order
        if rises:
            insort(self._rises, (level, order.id))
        else:
            insort(self._falls, (-level, order.id))

    def remove(self, order: Order) -> None:
        """Take out an order, before anything of it is changed."""
        rises, level = level_of(order)
        side, key = (self._rises, (level, order.id)) if rises else (self._falls, (-level, order.id))
        del self._orders[order.id]
        del side[bisect_left(side, key)]

    def reached_between(self, low: int, high: int) -> bool:
        """Tell whether prices from *low* to *high* touch any order."""
        return bool(self._rises and high >= self._rises[0][0]) or bool(self._falls and low <= -self._falls[0][0])

    def touched(self, price: int) -> Order | None:
        """Return the order the price touched first on its way here, the older of two at the same level."""
        if self._rises and price >= self._rises[0][0]:
            return self._orders[self._rises[0][1]]
        if self._falls and price <= -self._falls[0][0]:
            return self._orders[self._falls[0][1]]
        return None
