"""Signed endpoints that place, change, find and cancel orders."""

from __future__ import annotations

from typing import Any

from ..errors import Refusal
from ..holdings.accounts import Account, between, since_id
from ..holdings.orders import Order
from ..parameters import Parameters, choice, decimal, integer, limit, period, text
from ..prices.intervals import DAY
from .batches import MOST_CANCELLED, MOST_PLACED, each_answer, elements, orders
from .calls import Answer, Call, Endpoint, with_symbol
from .management import refuse_unapproved_builder
from .wire import order_answer, order_row

MOST_CALLBACK_IN_BATCH = 4
"""One less than for a single order."""
UNFILLED_KEPT = 7 * DAY
"""How long cancelled and expired orders without a fill can still be found."""


async def place(call: Call) -> Answer:
    return _place(call, call.parameters)


async def place_batch(call: Call) -> Answer:
    wanted = orders(call.parameters)
    if not 0 < len(wanted) <= MOST_PLACED:
        raise Refusal(-4082)

    def act(one: Parameters) -> dict[str, Any]:
        if (decimal(one, "callbackRate") or 0) > MOST_CALLBACK_IN_BATCH:
            raise Refusal(-1130, "callbackRate")
        return _place(call, one)

    return each_answer(wanted, act)


async def amend(call: Call) -> Answer:
    return _amend(call, call.parameters)


async def amend_batch(call: Call) -> Answer:
    wanted = orders(call.parameters)
    if not 0 < len(wanted) <= MOST_PLACED:
        message = f"Illegal characters found in parameter 'batchOrders'; legal range is '1 to {MOST_PLACED}'."
        raise Refusal(-1100, text=message)
    return each_answer(wanted, lambda one: _amend(call, one))


async def query(call: Call) -> Answer:
    order = _find(call, call.parameters)
    if order is None or _forgotten(order, call.now):
        raise Refusal(-2013)
    return order_row(order, call.venue.instrument(order.symbol))


async def query_open(call: Call) -> Answer:
    order = _find(call, call.parameters)
    if order is None or not order.is_open:
        raise Refusal(-2013)
    return order_row(order, call.venue.instrument(order.symbol))


async def cancel(call: Call) -> Answer:
    return _cancel(call, call.parameters)


async def cancel_batch(call: Call) -> Answer:
    name, single = "orderIdList", "orderId"
    if not call.parameters.get(name):
        name, single = "origClientOrderIdList", "origClientOrderId"
    symbol, wanted = call.venue.instrument(text(call.parameters, "symbol")).symbol, elements(call.parameters, name)
    if not 0 < len(wanted) <= MOST_CANCELLED:
        raise Refusal(-4032)
    return each_answer([{"symbol": symbol, single: str(one)} for one in wanted], lambda one: _cancel(call, one))


async def cancel_all(call: Call) -> Answer:
    call.venue.cancel_all(call.account, call.venue.instrument(text(call.parameters, "symbol")).symbol)
    # The exchange writes this one code as a string.
    code: str | int = 200 if call.venue.habits.numeric_success_code else "200"
    return {"code": code, "msg": "The operation of cancel all open order is done."}


async def cancel_all_after(call: Call) -> Answer:
    symbol = call.venue.instrument(text(call.parameters, "symbol")).symbol
    milliseconds = integer(call.parameters, "countdownTime")
    if milliseconds is None or milliseconds < 0:
        raise Refusal(-1102, "countdownTime")
    call.venue.cancel_all_after(call.account, symbol, milliseconds)
    return {"symbol": symbol, "countdownTime": str(milliseconds)}


async def noop(call: Call) -> Answer:
    return {"code": 200, "msg": "success"}


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


def _place(call: Call, parameters: Parameters) -> dict[str, Any]:
    refuse_unapproved_builder(call, parameters)
    kind = choice(parameters, "newOrderRespType", frozenset({"ACK", "RESULT"}), -1136, "ACK")
    accepted, result = call.venue.place(call.account, parameters)
    return order_answer(accepted if kind == "ACK" else result, call.venue.instrument(result.symbol))


def _amend(call: Call, parameters: Parameters) -> dict[str, Any]:
    order = _find(call, parameters)
    if order is None:
        raise Refusal(-2013)
    return order_answer(call.venue.amend(call.account, order, parameters), call.venue.instrument(order.symbol))


def _cancel(call: Call, parameters: Parameters) -> dict[str, Any]:
    order = _find(call, parameters)
    if order is None:
        raise Refusal(-2011)
    call.venue.cancel(call.account, order)
    return order_answer(order, call.venue.instrument(order.symbol))


def _find(call: Call, parameters: Parameters) -> Order | None:
    """Return the order named by id or, for want of one, the latest with a client order id."""
    account: Account = call.account
    symbol = call.venue.instrument(text(parameters, "symbol")).symbol
    number = integer(parameters, "orderId")
    if number is not None:
        order = account.orders.get(number)
        return order if order is not None and order.symbol == symbol else None
    client_id = parameters.get("origClientOrderId")
    if not client_id:
        message = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        raise Refusal(-1102, text=message)
    return account.latest.get((symbol, client_id))


def _forgotten(order: Order, now: int) -> bool:
    return not order.is_open and not order.executed and now - order.time > UNFILLED_KEPT


ENDPOINTS = (
    Endpoint("POST", "order", place, signed=True, is_order=True),
    Endpoint("PUT", "order", amend, versions=("v3",), signed=True, is_order=True),
    Endpoint("GET", "order", query, signed=True),
    Endpoint("DELETE", "order", cancel, signed=True),
    Endpoint("POST", "batchOrders", place_batch, weight=5, signed=True, is_order=True),
    Endpoint("PUT", "batchOrders", amend_batch, versions=("v3",), weight=5, signed=True, is_order=True),
    Endpoint("DELETE", "batchOrders", cancel_batch, signed=True),
    Endpoint("GET", "openOrder", query_open, signed=True),
    Endpoint("GET", "openOrders", open_orders, weight=with_symbol(1, 40), signed=True),
    Endpoint("GET", "allOrders", all_orders, weight=5, signed=True),
    Endpoint("DELETE", "allOpenOrders", cancel_all, signed=True),
    Endpoint("POST", "countdownCancelAll", cancel_all_after, weight=10, signed=True),
    Endpoint("POST", "noop", noop, versions=("v3",), signed=True),
)
