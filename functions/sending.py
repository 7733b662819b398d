"""
Sending orders: the order protocol's second step, shared by the stages that trade.

An intent reaches this module only after it was committed. Whatever comes back becomes a state: what the exchange said,
REJECTED where nothing was done, UNRESOLVED where nobody can know. Nothing is ever sent twice from here.
"""

import logging
from dataclasses import replace

from functions.run import Run
from shared.domain.errors import OrderNotFound, OutcomeUnknown, VenueError
from shared.domain.order import Intent, Order, OrderState
from shared.domain.ports import Clock, Exchange, OpenWork
from shared.domain.reconciliation import order_after

log = logging.getLogger("perpetua.trading")


def promised(intent: Intent) -> Order:
    """Return the row of an intent that has not been sent."""
    return Order(intent=intent, client_order_id=intent.client_order_id, state=OrderState.INTENDED)


async def promise(run: Run, open_work: OpenWork, intents: list[Intent]) -> list[Order]:
    """Commit the intents, so that a crash from here on leaves rows to find, never orders we have forgotten."""
    if intents:
        async with open_work(run.lease) as work:
            await work.orders.promise(intents)
    return [promised(intent) for intent in intents]


async def send(order: Order, exchange: Exchange, clock: Clock) -> Order:
    """Send *order* once and return what became of it. Never raises a VenueError."""
    sent_at = clock.now()
    try:
        reported = await exchange.place(order.intent)
    except OutcomeUnknown as exc:
        log.warning("order unresolved", extra={"order": order.client_order_id, "why": str(exc)})
        return replace(order, state=OrderState.UNRESOLVED, reason=str(exc), sent_at=sent_at)
    except VenueError as exc:
        log.warning("order not accepted", extra={"order": order.client_order_id, "why": str(exc)})
        return replace(order, state=OrderState.REJECTED, reason=_words(exc), sent_at=sent_at)
    return replace(order_after(order, reported), sent_at=sent_at)


async def cancel(order: Order, exchange: Exchange) -> Order:
    """Cancel a resting order and return it as it then is. One that is gone already is left for reconcile to find."""
    try:
        return order_after(order, await exchange.cancel(order.intent.symbol, order.client_order_id))
    except OrderNotFound:
        return order
    except VenueError as exc:
        return replace(order, reason=f"cancel failed: {_words(exc)}")


def _words(failure: VenueError) -> str:
    code = "" if failure.code is None else f" ({failure.code})"
    return f"{type(failure).__name__}{code}: {failure}"
