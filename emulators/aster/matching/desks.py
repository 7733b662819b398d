"""All orders of one symbol that wait for something: a price of theirs to be reached, or the next whole minute."""

from __future__ import annotations

from ..holdings.orders import Order
from ..prices.market import Market, first_time
from ..prices.marks import FINER
from .books import Book
from .trailing import Extremes, best_until, first_callback


class Desk:
    """Knows when something happens next to an order of its symbol, and to which."""

    def __init__(self, market: Market, symbol: str) -> None:
        self._market = market
        self._symbol = symbol
        self.last = Book()
        """Orders that wait for the last price."""
        self.mark = Book()
        """Orders that wait for the mark price."""
        self._following: dict[int, Order] = {}
        """Active trailing stops."""
        self._paused: dict[int, Order] = {}
        """Resting orders that were filled in part and wait for the next whole minute."""

    def __bool__(self) -> bool:
        return bool(self.last or self.mark or self._following or self._paused)

    def keep(self, order: Order) -> None:
        """Let an open order wait for what it waits for."""
        if order.waits_for_trigger and order.best:
            self._following[order.id] = order
        elif order.waits_for_trigger and order.working_type == "MARK_PRICE":
            self.mark.add(order)
        elif order.pauses_until:
            self._paused[order.id] = order
        else:
            self.last.add(order)

    def discard(self, order: Order) -> None:
        """Let an order wait no longer, before anything of it is changed."""
        if self._following.pop(order.id, None) or self._paused.pop(order.id, None):
            return
        for book in (self.last, self.mark):
            if order in book:
                book.remove(order)

    def extremes(self, working_type: str) -> Extremes:
        """Return how to look at the price of a working type, in tenths of a tick."""
        if working_type == "MARK_PRICE":
            return lambda after, until: self._market.mark_extremes(self._symbol, after, until)

        def last(after: int, until: int) -> tuple[int, int]:
            low, high = self._market.extremes(self._symbol, after, until)
            return low * FINER, high * FINER

        return last

    def next_moment(self, now: int, until: int) -> int | None:
        """Return the first millisecond in (now, until] at which something happens to an order."""
        moment = None
        for order in self._paused.values():
            if (resumes := max(order.pauses_until, now + 1)) <= until:
                moment = until = resumes
        if self.last and (found := first_time(self._touches_last, now, until)) is not None:
            moment = until = found
        if self.mark and (found := first_time(self._touches_mark, now, until)) is not None:
            moment = until = found
        for order in self._following.values():
            if (found := first_callback(order, self.extremes(order.working_type), now, until)) is not None:
                moment = until = found
        return moment

    def follow(self, after: int, until: int) -> list[Order]:
        """Let active trailing stops follow the price, and return those that did."""
        moved = []
        for order in _oldest_first(self._following):
            best = best_until(order, self.extremes(order.working_type), after, until)
            if best != order.best:
                order.best = best
                moved.append(order)
        return moved

    def called_back(self, now: int) -> list[Order]:
        """Return the trailing stops that are triggered at this millisecond."""
        return [
            order
            for order in _oldest_first(self._following)
            if first_callback(order, self.extremes(order.working_type), now - 1, now) is not None
        ]

    def resuming(self, now: int) -> list[Order]:
        """Return the orders that have waited for this minute."""
        return [order for order in _oldest_first(self._paused) if order.pauses_until <= now]

    def _touches_last(self, after: int, until: int) -> bool:
        return self.last.reached_between(*self._market.extremes(self._symbol, after, until))

    def _touches_mark(self, after: int, until: int) -> bool:
        return self.mark.reached_between(*self._market.mark_extremes(self._symbol, after, until))


def _oldest_first(orders: dict[int, Order]) -> list[Order]:
    return [orders[number] for number in sorted(orders)]
