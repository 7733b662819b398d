"""
Resting orders of one symbol, sorted by the price at which something happens to them.

The venue's own liquidity is endless and one tick wide: the best bid is the path's price, the best ask one tick above.
So a resting buy is filled when the path falls below its price, for then the ask has come down to it, and a resting
sell when the path reaches its price. A conditional order waits for the path itself to reach its stop price.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from .orders import STOPS, Order


def level_of(order: Order) -> tuple[bool, int]:
    """Return whether an order waits for a rise (else for a fall) of the price, and the price it waits for."""
    if order.waits_for_trigger:
        return (order.type in STOPS) == (order.side == "BUY"), order.stop_price
    if order.side == "BUY":
        return False, order.price - 1
    return True, order.price


class Book:
    """The resting orders of one symbol."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._rises: list[tuple[int, int]] = []
        self._falls: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._orders)

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
