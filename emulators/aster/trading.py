"""Signed endpoints that place, find and cancel orders."""

from __future__ import annotations

from .accounts import Account, between, since_id
from .calls import Answer, Call, Endpoint, with_symbol
from .errors import Refusal
from .intervals import DAY
from .management import refuse_unapproved_builder
from .orders import Order
from .parameters import choice, integer, limit, period, text
from .wire import order_answer, order_row

UNFILLED_KEPT = 7 * DAY
"""How long cancelled and expired orders without a fill can still be found."""


async def place(call: Call) -> Answer:
    refuse_unapproved_builder(call)
    kind = choice(call.parameters, "newOrderRespType", frozenset({"ACK", "RESULT"}), -1136, "ACK")
    accepted, result = call.venue.place(call.account, call.parameters)
    instrument = call.venue.instrument(result.symbol)
    return order_answer(accepted if kind == "ACK" else result, instrument)


async def query(call: Call) -> Answer:
    order = _find(call)
    if order is None or _forgotten(order, call.now):
        raise Refusal(-2013)
    return order_row(order, call.venue.instrument(order.symbol))


async def query_open(call: Call) -> Answer:
    order = _find(call)
    if order is None or not order.is_open:
        raise Refusal(-2013)
    return order_row(order, call.venue.instrument(order.symbol))


async def cancel(call: Call) -> Answer:
    order = _find(call)
    if order is None:
        raise Refusal(-2011)
    call.venue.cancel(call.account, order)
    return order_answer(order, call.venue.instrument(order.symbol))


async def cancel_all(call: Call) -> Answer:
    call.venue.cancel_all(call.account, call.venue.instrument(text(call.parameters, "symbol")).symbol)
    # The exchange writes this one code as a string.
    return {"code": "200", "msg": "The operation of cancel all open order is done."}


async def open_orders(call: Call) -> Answer:
    symbol = call.parameters.get("symbol")
    if symbol:
        call.venue.instrument(symbol)
    return [
        order_row(order, call.venue.instrument(order.symbol))
        for order in call.account.open_orders.values()
        if not symbol or order.symbol == symbol
    ]


async def all_orders(call: Call) -> Answer:
    instrument = call.venue.instrument(text(call.parameters, "symbol"))
    rows = limit(call.parameters, default=500, most=1000)
    history = call.account.orders_of[instrument.symbol]
    first_id = integer(call.parameters, "orderId")
    if first_id is not None:
        found = since_id(history, first_id)
    else:
        found = between(history, *period(call.parameters, now=call.now, days=7))
    kept = [order for order in found if not _forgotten(order, call.now)]
    begun = first_id is not None or call.parameters.get("startTime")
    return [order_row(order, instrument) for order in (kept[:rows] if begun else kept[-rows:])]


def _find(call: Call) -> Order | None:
    """Return the order named by id or, for want of one, the latest with a client order id."""
    account: Account = call.account
    symbol = call.venue.instrument(text(call.parameters, "symbol")).symbol
    number = integer(call.parameters, "orderId")
    if number is not None:
        order = account.orders.get(number)
        return order if order is not None and order.symbol == symbol else None
    client_id = call.parameters.get("origClientOrderId")
    if not client_id:
        message = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        raise Refusal(-1102, text=message)
    return account.latest.get((symbol, client_id))


def _forgotten(order: Order, now: int) -> bool:
    return not order.is_open and not order.executed and now - order.time > UNFILLED_KEPT


ENDPOINTS = (
    Endpoint("POST", "order", place, signed=True, is_order=True),
    Endpoint("GET", "order", query, signed=True),
    Endpoint("DELETE", "order", cancel, signed=True),
    Endpoint("GET", "openOrder", query_open, signed=True),
    Endpoint("GET", "openOrders", open_orders, weight=with_symbol(1, 40), signed=True),
    Endpoint("GET", "allOrders", all_orders, weight=5, signed=True),
    Endpoint("DELETE", "allOpenOrders", cancel_all, signed=True),
)
