"""
Execute: send what the review approved, each order once, each entry with its stop and its target.

Reads    the cycle's reviewed decisions, our resting orders
Writes   intents, committed before anything is sent; then what the exchange answered
Repeats  safely. Client order ids follow from the cycle. A run that finds intents of an earlier one sends nothing: what
         was promised and has no answer becomes UNRESOLVED, and reconcile finds out.

Exits go first: they make the room that entries were approved for. While one fails, nothing opens; nor does anything
in an account that is no longer active. An entry whose stop is refused is closed again at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from functions.run import Run, begin
from functions.sending import cancel, promise, promised, send
from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.errors import NoChangeNeeded, VenueError
from shared.domain.order import Intent, Leg, Order, OrderState, OrderType, Side
from shared.domain.ports import Clock, Exchange, OpenWork
from shared.domain.position import Direction
from shared.domain.protection import exit_intent, protective_intent
from shared.domain.risk import Review, ReviewedDecision

log = logging.getLogger("perpetua.trading")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One decision as orders: an exit, or an entry with its protection."""

    symbol: str
    direction: Direction
    leverage: int
    intents: tuple[Intent, ...]


async def execute(request: StageRequest, *, open_work: OpenWork, exchange: Exchange, clock: Clock) -> StageResult:
    """Send the cycle's orders. What could not be sent is recorded and left to reconcile; nothing is raised for it."""
    async with begin(Stage.EXECUTE, request, open_work=open_work, clock=clock) as run:
        if run.result:
            return run.result
        async with open_work(run.lease) as work:
            earlier = await work.orders.of_cycle(request)
            reviewed = await work.decisions.of_cycle(request)
            alive = await work.orders.alive(run.account.id)
        plans = _plans(run, reviewed)
        if earlier:
            orders = [_forsaken(order) for order in earlier if order.state is OrderState.INTENDED]
        else:
            await promise(run, open_work, [intent for plan in plans for intent in plan.intents])
            exits = [plan for plan in plans if plan.intents[0].leg is Leg.EXIT]
            entries = [plan for plan in plans if plan.intents[0].leg is Leg.ENTRY]
            orders = await _each(run, exits, lambda plan: _exit(run, plan, alive, exchange), open_work)
            if all(order.state is OrderState.FILLED for order in orders if order.intent.leg is Leg.EXIT):
                orders += await _each(run, entries, lambda plan: _enter(run, plan, exchange, open_work), open_work)
            else:
                promises = [promised(intent) for plan in entries for intent in plan.intents]
                orders += _given_up(promises, "an exit that was to make room did not fill")
        async with open_work(run.lease) as work:
            await work.orders.save(orders)
            details = {"orders": [_line(order) for order in orders], "repeated_after_crash": bool(earlier)}
            if orders:
                await work.journal.event(run.account.id, "executed", clock.now(), details)
            return await run.finish(work, details)


def _plans(run: Run, reviewed: Sequence[ReviewedDecision]) -> list[_Plan]:
    plans = []
    for each in reviewed:
        symbol, review = each.decision.asset, each.review
        if not review.acts or review.direction is None:
            continue
        if each.decision.opens and run.account.status is not AccountStatus.ACTIVE:
            continue  # it was active when this was approved: a model may think for long
        make = _entry_intents if each.decision.opens else _exit_intents
        intents = make(run, symbol, review.direction, review)
        plans.append(_Plan(symbol=symbol, direction=review.direction, leverage=review.leverage, intents=intents))
    return plans


def _exit_intents(run: Run, symbol: str, direction: Direction, review: Review) -> tuple[Intent, ...]:
    tick = run.request.tick
    return (exit_intent(run.account.id, tick, symbol, direction=direction, quantity=review.quantity),)


def _entry_intents(run: Run, symbol: str, direction: Direction, review: Review) -> tuple[Intent, ...]:
    entry = Intent(
        account_id=run.account.id,
        tick=run.request.tick,
        symbol=symbol,
        leg=Leg.ENTRY,
        attempt=0,
        side=Side.opening(direction),
        direction=direction,
        type=OrderType.MARKET,
        quantity=review.quantity,
    )
    levels = ((Leg.STOP, review.stop_loss), (Leg.TARGET, review.take_profit))
    protection = (
        protective_intent(run.account.id, run.request.tick, symbol, direction=direction, leg=leg, price=price)
        for leg, price in levels
        if price is not None
    )
    return (entry, *protection)


async def _each(
    run: Run, plans: Sequence[_Plan], act: Callable[[_Plan], Awaitable[list[Order]]], open_work: OpenWork
) -> list[Order]:
    """Carry out the plans side by side and commit what came of them."""
    orders = [order for done in await asyncio.gather(*(act(plan) for plan in plans)) for order in done]
    if orders:
        async with open_work(run.lease) as work:
            await work.orders.save(orders)
    return orders


async def _exit(run: Run, plan: _Plan, alive: Sequence[Order], exchange: Exchange) -> list[Order]:
    """Close the position, then take its protection away: never the other way round."""
    exit_order = await send(promised(plan.intents[0]), exchange, run.clock)
    if exit_order.state is not OrderState.FILLED:
        return [exit_order]
    resting = [
        order for order in alive if order.intent.symbol == plan.symbol and order.intent.leg in {Leg.STOP, Leg.TARGET}
    ]
    return [exit_order, *await asyncio.gather(*(cancel(order, exchange) for order in resting))]


async def _enter(run: Run, plan: _Plan, exchange: Exchange, open_work: OpenWork) -> list[Order]:
    entry_order, *protection = [promised(intent) for intent in plan.intents]
    try:
        await exchange.set_leverage(plan.symbol, plan.leverage)
    except NoChangeNeeded:
        pass
    except VenueError as exc:
        return _given_up([entry_order, *protection], f"leverage {plan.leverage} could not be set: {exc}")
    entry_order = await send(entry_order, exchange, run.clock)
    landed = entry_order.state.unsettled or entry_order.state.working or entry_order.executed_quantity > 0
    if not landed:
        return [entry_order, *_given_up(protection, "the entry did not fill")]
    # Protection carries no size, so it may stand before we know whether the entry landed.
    protection = list(await asyncio.gather(*(send(order, exchange, run.clock) for order in protection)))
    if entry_order.sent_at is not None and protection[0].state.working:
        naked = (run.clock.now() - entry_order.sent_at).total_seconds()
        log.info("entry protected", extra={"symbol": plan.symbol, "naked_seconds": naked})
    orders = [entry_order, *protection]
    if protection[0].state is OrderState.REJECTED and entry_order.executed_quantity > 0:
        # It cannot be protected, so it may not stand.
        intent = exit_intent(
            run.account.id,
            run.request.tick,
            plan.symbol,
            direction=plan.direction,
            quantity=entry_order.executed_quantity,
        )
        [exit_order] = await promise(run, open_work, [intent])
        orders.append(await send(exit_order, exchange, run.clock))
    return orders


def _given_up(orders: Sequence[Order], reason: str) -> list[Order]:
    """Promised, and never sent."""
    return [replace(order, state=OrderState.ABSENT, reason=reason) for order in orders]


def _forsaken(order: Order) -> Order:
    """An earlier run promised it and died: nobody knows whether it was sent."""
    return replace(order, state=OrderState.UNRESOLVED, reason="promised by a run that did not finish")


def _line(order: Order) -> dict[str, Any]:
    return {
        "client_order_id": order.client_order_id,
        "symbol": order.intent.symbol,
        "leg": order.intent.leg.value,
        "side": order.intent.side.value,
        "state": order.state.value,
        "quantity": str(order.executed_quantity),
        "price": str(order.average_price or order.intent.stop_price or ""),
        "reason": order.reason,
    }
