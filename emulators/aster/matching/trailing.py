"""
Trailing stops: conditional orders whose stop price follows the best price.

Once active a sell follows the highest price of its working type and is triggered when the price has come back from it
by the callback rate; a buy follows the lowest. A selling order's price is looked at as it is, a buying order's with
its sign turned round, so that best is always highest.
"""

from __future__ import annotations

from collections.abc import Callable

from ..holdings.orders import Order

MILLION = 1_000_000
Extremes = Callable[[int, int], tuple[int, int]]
"""The lowest and the highest price in (after, until], in tenths of a tick."""


def first_callback(order: Order, extremes: Extremes, after: int, until: int) -> int | None:
    """Return the first millisecond in (after, until] at which an active order is triggered."""
    sign = -order.sign
    # The rate is in per cent with at most four decimals.
    kept = MILLION - sign * int(order.callback_rate * 10_000)

    def search(after: int, until: int, best: int) -> tuple[int | None, int]:
        """Return also the best price up to *until*, for what comes after it."""
        low, high = extremes(after, until)
        worst, highest = (low, high) if sign > 0 else (-high, -low)
        reached = max(best, highest)
        if worst * MILLION > reached * kept:
            return None, reached
        if until - after == 1:
            return until, reached
        middle = (after + until) // 2
        found, best = search(after, middle, best)
        return (found, best) if found is not None else search(middle, until, best)

    return search(after, until, order.best * sign)[0] if after < until else None


def best_until(order: Order, extremes: Extremes, after: int, until: int) -> int:
    """Return the best price an active order has followed to, in tenths of a tick."""
    low, high = extremes(after, until)
    return min(order.best, low) if order.sign > 0 else max(order.best, high)
