"""One account at the exchange: the `Exchange` port over HTTP, for either generation of credentials."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self, TypeVar

import httpx

from shared.domain.errors import NotAuthorised, OrderNotFound, PositionModeChanged, VenueError, VenueUnreachable
from shared.domain.order import Fill, Income, Intent, VenueOrder
from shared.domain.ports import Clock
from shared.domain.position import Holdings
from shared.exchange.account_wire import (
    read_account,
    read_fills,
    read_incomes,
    read_nothing,
    read_order,
    read_orders,
    read_positions,
    read_taker_fee,
    write_order,
)
from shared.exchange.auth import Credentials, Signer, signer_for
from shared.exchange.client import AsterClient
from shared.exchange.fields import Unreadable, milliseconds
from shared.exchange.modes import PositionMode

T = TypeVar("T")

_PAGE = 1000
_WEEK_MS = 7 * 24 * 3600 * 1000
"""The longest span that the exchange's histories answer at once."""
_AHEAD = timedelta(minutes=1)  # histories are asked up to a little after now, lest our clock hide the latest row
_GLANCES = 3


def open_exchange(
    base_url: str, credentials: Credentials, clock: Clock, transport: httpx.AsyncBaseTransport | None = None
) -> "AsterExchange":
    """Return the account of *credentials* at *base_url*; close it when done.

    A *transport* handed in is shared and stays open. Raises NotAuthorised when the credentials are malformed.
    """
    signer = signer_for(credentials)
    return AsterExchange(AsterClient(base_url, clock=clock, signer=signer, transport=transport), signer, clock)


class AsterExchange:
    """An account. Every call raises VenueError; a write may leave its outcome unknown."""

    def __init__(self, client: AsterClient, signer: Signer, clock: Clock) -> None:
        self._client = client
        self._signer = signer
        self._clock = clock
        self._mode = PositionMode(client)
        self._taker_fees: dict[str, Decimal] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def verify_identity(self) -> None:
        """Make one signed call. Raises NotAuthorised with what to check when the exchange does not know us."""
        try:
            await self._client.read("accountWithJoinMargin", weight=5, into=read_account)
        except NotAuthorised as exc:
            raise NotAuthorised(
                f"the exchange does not accept {self._signer.name}: check that the key is this account's, approved for"
                f" trading and not expired, and that base URL and chain are of one network ({exc})",
                code=exc.code,
            ) from exc

    async def holdings(self) -> Holdings:
        """Return the balance and the open positions, of one moment between two trades."""
        for _ in range(_GLANCES):
            at = self._clock.now()
            account, risk = await asyncio.gather(
                self._client.read("accountWithJoinMargin", weight=5, into=read_account),
                self._client.read("positionRisk", weight=5, into=read_positions),
            )
            if account.sizes == risk.sizes:
                if account.hedged is not None:
                    self._mode.learn(account.hedged)
                hedged = await self._mode.hedged()
                return Holdings(balance=account.balance, positions=risk.positions, at=at, hedged=hedged)
        raise VenueUnreachable("the positions kept changing while they were read")

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Return every resting order, whoever placed it."""
        return await self._client.read("openOrders", weight=40, into=read_orders)

    async def find_order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Return the latest order with that client id, or None when the exchange says it knows none."""
        return await self._order(
            {"symbol": symbol, "origClientOrderId": client_order_id}, into=_order_named(client_order_id)
        )

    async def order_of_trade(self, fill: Fill) -> VenueOrder | None:
        """Return the order that *fill* belongs to, or None when the exchange no longer tells."""
        return await self._order({"symbol": fill.symbol, "orderId": str(fill.venue_order_id)}, into=read_order)

    async def fills(self, symbol: str, *, after_trade_id: int | None, since: datetime) -> Sequence[Fill]:
        """Return the trades after that id, or since that time when no id is known, oldest first, all of them."""
        if after_trade_id is None:
            return await self._history("userTrades", {"symbol": symbol}, since, weight=5, into=read_fills)
        found: list[Fill] = []
        last: int | None = after_trade_id
        while last is not None:
            params = {"symbol": symbol, "fromId": str(last + 1), "limit": str(_PAGE)}
            page = await self._client.read("userTrades", params, weight=5, into=read_fills)
            fresh = [fill for fill in page if fill.trade_id > last]
            found += fresh
            last = fresh[-1].trade_id if len(page) == _PAGE and fresh else None
        return found

    async def incomes(self, *, since: datetime) -> Sequence[Income]:
        """Return every change of the wallet since then, oldest first, all of them."""
        return await self._history("income", {}, since, weight=30, into=read_incomes)

    async def taker_fee(self, symbol: str) -> Decimal:
        """Return the fraction of notional that a market order costs; asked once."""
        if symbol not in self._taker_fees:
            self._taker_fees[symbol] = await self._client.read(
                "commissionRate", {"symbol": symbol}, weight=20, into=read_taker_fee
            )
        return self._taker_fees[symbol]

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage that later entries in *symbol* use."""
        await self._client.write("POST", "leverage", {"symbol": symbol, "leverage": str(leverage)}, into=read_nothing)

    async def place(self, intent: Intent) -> VenueOrder:
        """Send the order once. Raises OutcomeUnknown when it may have landed, PositionModeChanged when we knew wrong.

        An order that can only reduce exposure goes ahead of others when the request limit runs short.
        """
        hedged = await self._mode.hedged(intent.symbol)
        try:
            return await self._client.write(
                "POST",
                "order",
                write_order(intent, hedged=hedged),
                into=_order_named(intent.client_order_id),
                urgent=intent.reduce_only or intent.closes_position,
            )
        except PositionModeChanged as exc:
            raise await self._mode.explain(exc, hedged) from exc

    async def cancel(self, symbol: str, client_order_id: str) -> VenueOrder:
        """Cancel a resting order. Raises OrderNotFound when it no longer rests."""
        params = {"symbol": symbol, "origClientOrderId": client_order_id}
        return await self._client.write("DELETE", "order", params, into=_order_named(client_order_id), urgent=True)

    async def _order(self, params: Mapping[str, str], *, into: Callable[[Any], VenueOrder]) -> VenueOrder | None:
        try:
            return await self._client.read("order", params, weight=1, into=into)
        except OrderNotFound:
            return None

    async def _history(
        self, name: str, params: Mapping[str, str], since: datetime, *, weight: int, into: Callable[[Any], list[T]]
    ) -> list[T]:
        """Return the rows of a history since then, all of them, oldest first."""

        async def rows(start: int, end: int) -> list[T]:
            span = {"startTime": str(start), "endTime": str(end), "limit": str(_PAGE)}
            page = await self._client.read(name, {**params, **span}, weight=weight, into=into)
            if len(page) < _PAGE:
                return page
            # A full page is never trusted to be whole, whichever end of the span it is from: ask for each half.
            if start == end:
                raise VenueError(f"{name} has {_PAGE} rows or more in one millisecond: not all of them can be read")
            middle = (start + end) // 2
            return await rows(start, middle) + await rows(middle + 1, end)

        found: list[T] = []
        for start, end in _weeks(since, self._clock.now() + _AHEAD):
            found += await rows(start, end)
        return found


def _order_named(client_order_id: str) -> Callable[[Any], VenueOrder]:
    def read(payload: Any) -> VenueOrder:
        order = read_order(payload)
        if order.client_order_id != client_order_id:
            raise Unreadable(f"it tells of order {order.client_order_id!r}, not {client_order_id!r}")
        return order

    return read


def _weeks(since: datetime, until: datetime) -> Iterator[tuple[int, int]]:
    """Yield spans of at most a week that cover [since, until], in milliseconds, both ends included."""
    end = milliseconds(until)
    for start in range(milliseconds(since), end + 1, _WEEK_MS):
        yield start, min(start + _WEEK_MS - 1, end)
