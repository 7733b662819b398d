"""
What an account's past was: its trades, its ledger, its orders, what the exchange ended by force.

The exchange answers for a week at most and a limited number of rows; what is asked for here comes whole, oldest first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from shared.domain.errors import VenueError
from shared.domain.order import Fill, Income, VenueOrder
from shared.domain.ports import Clock
from shared.exchange.account_wire import MarginChange, read_fills, read_incomes, read_margin_changes, read_orders
from shared.exchange.client import AsterClient
from shared.exchange.fields import milliseconds

T = TypeVar("T")

_PAGE = 1000
_WEEK_MS = 7 * 24 * 3600 * 1000
"""The longest span that the exchange's histories answer at once."""
_AHEAD = timedelta(minutes=1)  # histories are asked up to a little after now, lest our clock hide the latest row


class Histories:
    """Raises VenueError."""

    def __init__(self, client: AsterClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def fills(
        self, symbol: str, *, after_trade_id: int | None, since: datetime, urgent: bool = False
    ) -> Sequence[Fill]:
        """Return the trades after that id, or since that time when no id is known."""
        if after_trade_id is None:
            return await self._all("userTrades", {"symbol": symbol}, since, weight=5, into=read_fills, urgent=urgent)
        found: list[Fill] = []
        last: int | None = after_trade_id
        while last is not None:
            params = {"symbol": symbol, "fromId": str(last + 1), "limit": str(_PAGE)}
            page = await self._client.read("userTrades", params, weight=5, into=read_fills, urgent=urgent)
            fresh = [fill for fill in page if fill.trade_id > last]
            found += fresh
            last = fresh[-1].trade_id if len(page) == _PAGE and fresh else None
        return found

    async def incomes(self, *, since: datetime, urgent: bool = False) -> Sequence[Income]:
        """Return every change of the wallet since then."""
        return await self._all("income", {}, since, weight=30, into=read_incomes, urgent=urgent)

    async def orders(self, symbol: str, *, since: datetime) -> Sequence[VenueOrder]:
        """
        Return every order of *symbol* since then, whoever placed it.

        The exchange forgets one that ended without a trade a week after it was placed.
        """
        return await self._all("allOrders", {"symbol": symbol}, since, weight=5, into=read_orders)

    async def forced_orders(self, *, since: datetime) -> Sequence[VenueOrder]:
        """Return the orders by which the exchange itself ended positions: liquidations and auto-deleveraging."""
        return await self._all("forceOrders", {}, since, weight=50, into=read_orders, page=100)

    async def margin_changes(self, symbol: str, *, since: datetime) -> Sequence[MarginChange]:
        """Return what was put into the isolated margin of *symbol* since then, and taken out of it."""
        return await self._all(
            "positionMargin/history", {"symbol": symbol}, since, weight=1, into=read_margin_changes, page=500
        )

    async def _all(
        self,
        name: str,
        params: Mapping[str, str],
        since: datetime,
        *,
        weight: int,
        into: Callable[[Any], list[T]],
        page: int = _PAGE,
        urgent: bool = False,
    ) -> list[T]:
        """Return the rows of a history since then, all of them, oldest first."""

        async def rows(start: int, end: int) -> list[T]:
            span = {"startTime": str(start), "endTime": str(end), "limit": str(page)}
            found = await self._client.read(name, {**params, **span}, weight=weight, into=into, urgent=urgent)
            if len(found) < page:
                return found
            # A full page is never trusted to be whole, whichever end of the span it is from: ask for each half.
            if start == end:
                raise VenueError(f"{name} has {page} rows or more in one millisecond: not all of them can be read")
            middle = (start + end) // 2
            return await rows(start, middle) + await rows(middle + 1, end)

        found: list[T] = []
        for start, end in _weeks(since, self._clock.now() + _AHEAD):
            found += await rows(start, end)
        return found


def _weeks(since: datetime, until: datetime) -> Iterator[tuple[int, int]]:
    """Yield spans of at most a week that cover [since, until], in milliseconds, both ends included."""
    end = milliseconds(until)
    for start in range(milliseconds(since), end + 1, _WEEK_MS):
        yield start, min(start + _WEEK_MS - 1, end)
