"""
Execute: send what the review approved, each order once, each entry with its stop and its target.

Reads    the cycle's reviewed decisions, our resting orders, the breakers that stand
Writes   intents, committed before anything is sent; then what the exchange answered, and how long entries stood without
         a stop
Repeats  safely. Client order ids follow from the cycle. A run that finds intents of an earlier one sends nothing: what
         was promised and has no answer becomes UNRESOLVED, and reconcile finds out.

Exits go first, those of positions that are turned around among them: they make the room that entries were approved for.
What reconcile has ended since the tick, because its exit plan had come true, is not ended again.
While one fails, nothing opens; nor does anything in an account that is no longer active or that a breaker stops. An
account whose key or whose position mode the exchange no longer takes is halted.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from functions.entering import Entry, enter
from functions.exiting import end, exit_intents
from functions.run import Run, begin
from functions.sending import Desk
from shared.domain.account import AccountStatus
from shared.domain.breakers import Trip
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.decision import Move
from shared.domain.order import Intent, Leg, Order, OrdersAround, OrderState, OrderType, Side
from shared.domain.ports import Clock, Exchange, MarketData
from shared.domain.position import Direction
from shared.domain.protection import protective_intent
from shared.domain.risk import Reduction, Review, ReviewedDecision
from shared.domain.work import OpenWork, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One decision as orders: what is ended, by intents for each reduction, and then what is entered."""

    symbol: str
    review: Review
    exits: tuple[tuple[Reduction, tuple[Intent, ...]], ...]
    entry: Intent | None
    protection: tuple[Intent, ...]

    @property
    def intents(self) -> list[Intent]:
        """Every order of it."""
        entry = [self.entry] if self.entry else []
        return [*(intent for _, parts in self.exits for intent in parts), *entry, *self.protection]


async def execute(
    request: StageRequest,
    *,
    open_work: OpenWork,
    exchange: Exchange,
    market: MarketData,
    clock: Clock,
    patience: timedelta,
) -> StageResult:
    """Send the cycle's orders. What could not be sent is recorded and left to reconcile; nothing is raised for it.

    Stops and exits that the exchange keeps back for a passing reason are sent again for up to *patience*.
    """
    async with begin(Stage.EXECUTE, request, _load, open_work=open_work, clock=clock) as begun:
        if isinstance(begun, StageResult):
            return begun
        run, (around, reviewed, standing) = begun
        desk = Desk(run, open_work=open_work, exchange=exchange, market=market, patience=patience)
        earlier, alive = around.of_cycle, around.alive
        orders = [_forsaken(order) for order in earlier if order.state is OrderState.INTENDED]
        if not earlier:
            # A model may think for long: what was approved before is not opened after.
            opens = run.account.status is AccountStatus.ACTIVE and not standing
            left = {(order.intent.symbol, order.intent.direction) for order in around.exits}
            waits = any(order.state is not OrderState.FILLED for order in around.exits)
            plans = _plans(desk, reviewed, alive, left, opens=opens)
            promises = await desk.promise([intent for plan in plans for intent in plan.intents])
            await _carry_out(desk, plans, {order.intent: order for order in promises}, alive, waits=waits)
            orders = desk.orders
        async with run.ending() as work:
            await work.orders.save(orders)
            await work.naked.add(run.account.id, desk.naked)
            details = {
                "orders": [_line(order) for order in orders],
                "repeated_after_crash": bool(earlier),
                "breakers": [trip.breaker.value for trip in standing],
            }
            if desk.alarm:
                await run.halt(work, str(desk.alarm))
            return await run.finish(work, details)


async def _load(work: Work, run: Run) -> tuple[OrdersAround, Sequence[ReviewedDecision], Sequence[Trip]]:
    """Return the orders that concern the cycle, what it decided, and the breakers that stand in the way of entries."""
    around, reviewed = await work.orders.around(run.request), await work.decisions.of_cycle(run.request)
    if not any(each.review.acts and each.decision.opens for each in reviewed):
        return around, reviewed, ()
    return around, reviewed, await work.breakers.standing(run.account.id, run.clock.now())


def _plans(
    desk: Desk,
    reviewed: Sequence[ReviewedDecision],
    alive: Sequence[Order],
    left: Collection[tuple[str, Direction]],
    *,
    opens: bool,
) -> list[_Plan]:
    """Return what is to be done. What was *left* since the tick, because its exit plan said so, is not ended again."""
    plans = []
    for each in reviewed:
        symbol, review = each.decision.asset, each.review
        if not review.acts or review.direction is None:
            continue
        if each.decision.opens and not opens:
            continue
        exits, after = [], 0
        for reduction in review.reductions:
            if (symbol, reduction.direction) in left:
                continue
            parts = exit_intents(desk, symbol, reduction.direction, reduction.quantities, after=after)
            exits.append((reduction, tuple(parts)))
            after += len(parts)
        plans.append(
            _Plan(
                symbol=symbol,
                review=review,
                exits=tuple(exits),
                entry=_entry_intent(desk.run, symbol, review.direction, review) if each.decision.opens else None,
                protection=_protection(desk.run, symbol, review.direction, review, alive),
            )
        )
    return plans


def _entry_intent(run: Run, symbol: str, direction: Direction, review: Review) -> Intent:
    return Intent(
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


def _protection(
    run: Run, symbol: str, direction: Direction, review: Review, alive: Sequence[Order]
) -> tuple[Intent, ...]:
    """Return the stop and the target that are to rest, less those that rest where they belong already."""
    standing = {(order.intent.leg, order.intent.stop_price) for order in _standing(alive, symbol, direction)}
    levels = ((Leg.STOP, review.stop_loss), (Leg.TARGET, review.take_profit))
    return tuple(
        protective_intent(run.account.id, run.request.tick, symbol, direction=direction, leg=leg, price=price)
        for leg, price in levels
        if price is not None and not (review.move is Move.ADD and (leg, price) in standing)
    )


def _standing(alive: Sequence[Order], symbol: str, direction: Direction) -> tuple[Order, ...]:
    """Return our stops and targets that rest for that position."""
    return tuple(
        order
        for order in alive
        if (order.intent.symbol, order.intent.direction) == (symbol, direction)
        and order.intent.leg in {Leg.STOP, Leg.TARGET}
        and order.state.working
    )


async def _carry_out(
    desk: Desk, plans: Sequence[_Plan], orders: dict[Intent, Order], alive: Sequence[Order], *, waits: bool
) -> None:
    """Carry out the exits side by side; then the entries, if all the exits filled and no earlier one *waits*."""
    ended = await asyncio.gather(
        *(
            _end(desk, plan.symbol, reduction, [orders[intent] for intent in parts], alive)
            for plan in plans
            for reduction, parts in plan.exits
        )
    )
    entries = [
        Entry(
            symbol=plan.symbol,
            direction=plan.entry.direction,
            move=plan.review.move or Move.OPEN,
            leverage=plan.review.leverage,
            order=orders[plan.entry],
            protection=tuple(orders[intent] for intent in plan.protection),
            standing=_standing(alive, plan.symbol, plan.entry.direction),
        )
        for plan in plans
        if plan.entry
    ]
    if waits or not all(ended):
        promised = [order for entry in entries for order in entry.promised]
        desk.give_up(promised, "an exit that was to make room did not fill")
        return
    await asyncio.gather(*(enter(desk, entry) for entry in entries))


async def _end(desk: Desk, symbol: str, reduction: Reduction, parts: Sequence[Order], alive: Sequence[Order]) -> bool:
    """End what is to be ended, then take its protection away if nothing is left: never the other way round."""
    done = await end(desk, parts)
    if done and reduction.whole:
        await asyncio.gather(*(desk.cancel(order) for order in _standing(alive, symbol, reduction.direction)))
    return done


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
