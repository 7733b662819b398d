"""
The orders of one account: placed, changed, found, cancelled.

Whatever may change something is sent once. An order is named by its client order id, a text, or by the exchange's own
id, a number. Of several orders sent together each has an outcome of its own: the order, or the failure.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from shared.domain.errors import (
    InstrumentChanged,
    OrderNotFound,
    OutcomeUnknown,
    PositionModeChanged,
    Refused,
    VenueError,
)
from shared.domain.order import VenueOrder
from shared.exchange.account_wire import read_order, read_orders
from shared.exchange.auth import Signer
from shared.exchange.client import AsterClient
from shared.exchange.failures import element_of
from shared.exchange.fields import Unreadable, as_row, number, text
from shared.exchange.modes import PositionMode
from shared.exchange.new_order import NewOrder

OrderId = str | int
Outcome = VenueOrder | VenueError

MOST_PLACED, MOST_CANCELLED = 5, 10
"""So many orders the exchange takes in one request."""


class Orders:
    """Raises VenueError; a write may leave its outcome unknown."""

    def __init__(
        self, client: AsterClient, signer: Signer, mode: PositionMode, instruments_changed: Callable[[], None]
    ) -> None:
        """*instruments_changed* is called when a refusal shows that a contract is not what we know of it."""
        self._client = client
        self._signer = signer
        self._mode = mode
        self._instruments_changed = instruments_changed

    async def place(self, order: NewOrder) -> VenueOrder:
        """
        Send the order once. Raises OutcomeUnknown when it may have landed, PositionModeChanged when we knew wrong.

        One that can only reduce goes ahead of others when the request limit runs short. A GTX or FOK order that the
        book has no room for comes back EXPIRED or raises NotFillable, as the exchange likes: nothing was traded.
        """
        hedged = await self._mode.hedged(order.symbol, urgent=order.only_reduces)
        try:
            return await self._client.write(
                "POST",
                "order",
                order.params(hedged=hedged),
                into=_order_named(order.client_order_id),
                urgent=order.only_reduces,
            )
        except InstrumentChanged:
            self._instruments_changed()
            raise
        except PositionModeChanged as exc:
            raise await self._mode.explain(exc, hedged) from exc

    async def place_all(self, orders: Sequence[NewOrder]) -> list[Outcome]:
        """
        Send up to five orders in one request and return what became of each; the exchange does them in any order.

        When the answer as a whole is lost or unreadable, the outcome of each is unknown. Raises Refused for too many.
        """
        _require_at_most(MOST_PLACED, orders)
        if not orders:
            return []
        ids = [order.client_order_id for order in orders]
        try:
            urgent = all(order.only_reduces for order in orders)
            hedged = await self._mode.hedged(orders[0].symbol, urgent=urgent)
            batch = _compact([order.params(hedged=hedged) for order in orders])
            outcomes = await self._client.write(
                "POST", "batchOrders", {"batchOrders": batch}, weight=5, into=_outcomes_of(ids), urgent=urgent
            )
        except VenueError as exc:
            return [exc] * len(orders)
        if any(isinstance(each, InstrumentChanged) for each in outcomes):
            self._instruments_changed()
        return [
            await self._mode.explain(each, hedged) if isinstance(each, PositionModeChanged) else each
            for each in outcomes
        ]

    async def modify(self, symbol: str, order: OrderId, *, quantity: Decimal, price: Decimal) -> VenueOrder:
        """Give a resting limit order a new size and price. One that is refused leaves the order as it was."""
        if not self._signer.modifies_orders:
            raise Refused("the older generation of the API cannot modify an order: cancel it and place another")
        params = {"symbol": symbol, **_naming(order), "quantity": number(quantity), "price": number(price)}
        try:
            return await self._client.write("PUT", "order", params, into=_order_named(order))
        except InstrumentChanged:
            self._instruments_changed()
            raise

    async def find(self, symbol: str, order: OrderId, *, urgent: bool = False) -> VenueOrder | None:
        """Return the order, the latest of that client id, or None when the exchange says it knows none."""
        return await self._found("order", symbol, order, urgent=urgent)

    async def find_open(self, symbol: str, order: OrderId) -> VenueOrder | None:
        """Return the order if it rests, or None when the exchange says that none such rests."""
        return await self._found("openOrder", symbol, order, urgent=False)

    async def resting(self, symbol: str | None = None, *, urgent: bool = False) -> list[VenueOrder]:
        """Return every resting order, whoever placed it. All symbols at once cost forty times as much as one."""
        params, weight = ({}, 40) if symbol is None else ({"symbol": symbol}, 1)
        return await self._client.read("openOrders", params, weight=weight, into=read_orders, urgent=urgent)

    async def cancel(self, symbol: str, order: OrderId) -> VenueOrder:
        """Cancel a resting order. Raises OrderNotFound when it no longer rests."""
        params = {"symbol": symbol, **_naming(order)}
        return await self._client.write("DELETE", "order", params, into=_order_named(order), urgent=True)

    async def cancel_several(self, symbol: str, client_order_ids: Sequence[str]) -> list[Outcome]:
        """Cancel up to ten orders of a symbol in one request and return what became of each, as `place_all` does."""
        _require_at_most(MOST_CANCELLED, client_order_ids)
        if not client_order_ids:
            return []
        params = {"symbol": symbol, "origClientOrderIdList": _compact(list(client_order_ids))}
        into = _outcomes_of(client_order_ids)
        try:
            return await self._client.write("DELETE", "batchOrders", params, into=into, urgent=True)
        except VenueError as exc:
            return [exc] * len(client_order_ids)

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every resting order of *symbol*, whoever placed it."""
        await self._client.write("DELETE", "allOpenOrders", {"symbol": symbol}, into=as_row, urgent=True)

    async def cancel_after(self, symbol: str, delay: timedelta) -> None:
        """Have the exchange cancel every order of *symbol* after *delay* unless called again by then; zero stops it."""
        countdown = str(delay // timedelta(milliseconds=1))
        params = {"symbol": symbol, "countdownTime": countdown}
        await self._client.write(
            "POST", "countdownCancelAll", params, weight=10, into=_countdown_of(symbol, countdown), urgent=True
        )

    async def _found(self, name: str, symbol: str, order: OrderId, *, urgent: bool) -> VenueOrder | None:
        params = {"symbol": symbol, **_naming(order)}
        try:
            return await self._client.read(name, params, weight=1, into=_order_named(order), urgent=urgent)
        except OrderNotFound:
            return None


def _naming(order: OrderId) -> dict[str, str]:
    return {"origClientOrderId": order} if isinstance(order, str) else {"orderId": str(order)}


def _order_named(name: OrderId) -> Callable[[Any], VenueOrder]:
    def read(payload: Any) -> VenueOrder:
        order = read_order(payload)
        told = order.client_order_id if isinstance(name, str) else order.venue_order_id
        if told != name:
            raise Unreadable(f"it tells of order {told!r}, not {name!r}")
        return order

    return read


def _outcomes_of(client_order_ids: Sequence[str]) -> Callable[[Any], list[Outcome]]:
    def read(payload: Any) -> list[Outcome]:
        if not isinstance(payload, list) or len(payload) != len(client_order_ids):
            raise Unreadable(f"{len(client_order_ids)} outcomes were due, not {str(payload)[:40]!r}")
        return [_outcome(element, name) for element, name in zip(payload, client_order_ids, strict=True)]

    return read


def _outcome(element: Any, client_order_id: str) -> Outcome:
    if failure := element_of(element):
        return failure
    try:
        return _order_named(client_order_id)(element)
    except Unreadable as exc:
        return OutcomeUnknown(f"order {client_order_id}: unreadable answer: {exc}")


def _countdown_of(symbol: str, countdown: str) -> Callable[[Any], None]:
    def read(payload: Any) -> None:
        row = as_row(payload)
        told = (text(row, "symbol"), str(row.get("countdownTime")))
        if told != (symbol, countdown):
            raise Unreadable(f"the countdown of {told[0]} is {told[1]}")

    return read


def _compact(value: Sequence[str] | Sequence[Mapping[str, str]]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _require_at_most(most: int, given: Sequence[object]) -> None:
    if len(given) > most:
        raise Refused(f"{len(given)} orders in one request: the exchange takes {most}")
