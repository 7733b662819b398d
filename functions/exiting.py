"""
Exiting: a position, or part of it, is ended by market orders that can do nothing else.

What is larger than the largest order is sent in parts, one after the other, each promised before. What a part leaves
unfilled is sent again a few times. Nothing here loops: what still stands then keeps its stop.
"""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal

from functions.sending import Desk
from shared.domain.errors import NothingToReduce
from shared.domain.order import Intent, Leg, Order, OrderState
from shared.domain.position import Direction
from shared.domain.protection import exit_intent

MOST_LEFTOVERS = 3
"""How often what an order left unfilled is sent once more."""


def exit_intents(
    desk: Desk, symbol: str, direction: Direction, quantities: Sequence[Decimal], *, after: int = 0
) -> list[Intent]:
    """Return the orders that end those quantities of a position, the first of them *after* so many others."""
    first = desk.attempt(symbol, Leg.EXIT) + after
    return [
        exit_intent(
            desk.run.account.id,
            desk.run.request.tick,
            symbol,
            direction=direction,
            quantity=quantity,
            attempt=first + number,
        )
        for number, quantity in enumerate(quantities)
    ]


async def end(desk: Desk, parts: Sequence[Order]) -> bool:
    """Send the promised parts of one exit and say whether all of it is gone."""
    waiting, leftovers = deque(parts), 0
    while waiting:
        part = waiting.popleft()
        symbol, direction = part.intent.symbol, part.intent.direction
        sent = await desk.insist(part)
        order = await desk.finish(sent.order)
        left = (order.intent.quantity or Decimal(0)) - order.executed_quantity
        if isinstance(sent.failure, NothingToReduce):
            # A stop or a hand was faster: look at what there is, and leave the rest to who looks next.
            desk.give_up(waiting, "an earlier part found nothing to reduce")
            return await desk.held(symbol, direction, otherwise=left) == 0
        if order.state in {OrderState.UNRESOLVED, OrderState.REJECTED} or order.state.working:
            desk.give_up(waiting, "an earlier part did not fill")
            return False
        if left > 0:
            if leftovers == MOST_LEFTOVERS:
                desk.give_up(waiting, "the market has no room for more of it now")
                return False
            leftovers += 1
            waiting.extendleft(await desk.promise(exit_intents(desk, symbol, direction, [left])))
    return True


async def close_now(desk: Desk, symbol: str, direction: Direction, quantity: Decimal) -> bool:
    """End so much of a position at the market and say whether it is gone."""
    instrument = await desk.instrument(symbol)
    quantities = instrument.in_market_orders(quantity) if instrument else (quantity,)
    return await end(desk, await desk.promise(exit_intents(desk, symbol, direction, quantities)))
