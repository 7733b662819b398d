"""
Steering: what a person has done at once: a position closed, whole or in part, and orders cancelled.

Each errand is named by a key of the person's. Its orders follow the order protocol, and their client order ids follow
from the key: the same errand asked for again, after an answer that was lost or a process that died, sends nothing and
tells what became of it. It takes the account's lease like any stage, and waits a little for one that is at work.
"""

import asyncio
from asyncio import sleep
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from functions.exiting import end, exit_intents
from functions.flattening import cancel, flatten, protects, settle
from functions.run import Run, hold
from functions.sending import Desk
from shared.domain.cycle import StageRequest
from shared.domain.errors import BadRequest, StageBusy
from shared.domain.order import PROTECTION, Leg, Order, OrderState
from shared.domain.ports import Clock, Exchange, MarketData
from shared.domain.position import Direction, Position
from shared.domain.work import OpenWork, Work

BUSY_SECONDS = 0.25
"""How often to see whether a stage that is at work has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What an errand is run with. *patience* is how long exits insist, and how long a stage at work is waited for."""

    open_work: OpenWork
    exchange: Exchange
    market: MarketData
    clock: Clock
    patience: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Whose errand it is, how it is named, and who asks."""

    account_id: str
    key: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What of a position is to be closed; a `quantity` of None is all of it."""

    symbol: str
    direction: Direction | None = None
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of an errand. `done` once all of it is; `left` says in words what is not."""

    done: bool
    orders: tuple[Order, ...]
    left: tuple[str, ...] = ()
    repeated: bool = False


async def close_position(errand: Errand, closing: Closing, tools: Tools) -> Done:
    """Close a position, or a part of it, at the market; its protection goes once it is gone.

    Raises BadRequest where there is no such position, or none so large, VenueError when it cannot be seen.
    """
    async with _desk(errand, tools) as (desk, earlier):
        if earlier:
            return await _told_again(desk, earlier, tools)
        alive = await _alive(desk, tools, closing.symbol)
        holdings = await tools.exchange.holdings(urgent=True)
        held = _meant(holdings.positions_in(closing.symbol), closing)
        doubtful = await settle(desk, alive)
        if any(order.intent.leg is Leg.EXIT and order.intent.direction is held.direction for order in doubtful):
            raise BadRequest(f"nobody knows yet what became of an exit of {held.symbol}: it is looked up again soon")
        parts = await desk.promise(
            exit_intents(desk, held.symbol, held.direction, await _parts(desk, held, closing.quantity))
        )
        done = await end(desk, parts)
        if done and await desk.held(held.symbol, held.direction, otherwise=held.quantity) == 0:
            standing = [desk.latest(order) for order in alive if _guards(order, held)]
            await cancel(desk, [order for order in standing if order.state.working])
        left = () if done else (f"not all of {held.direction.value} {held.symbol} could be closed",)
        body = {"symbol": held.symbol, "direction": held.direction.value, "done": done}
        return await _finished(desk, errand, "closed by hand", body, tools, left=left)


async def cancel_order(errand: Errand, client_order_id: str, tools: Tools) -> Done:
    """Cancel one resting order. Raises BadRequest for one that is not there, and for what protects a position."""
    async with _desk(errand, tools) as (desk, _):
        holdings, resting = await asyncio.gather(tools.exchange.holdings(urgent=True), tools.exchange.all_orders())
        found = [order for order in resting if order.client_order_id == client_order_id]
        if not found:
            async with tools.open_work(desk.run.lease) as work:
                known = await work.orders.named(errand.account_id, client_order_id)
            if known is None:
                raise BadRequest(f"no order {client_order_id} rests at the exchange")
            known = await desk.look_up(known)
            async with tools.open_work(desk.run.lease) as work:
                await work.orders.save([known])
            left = (
                ()
                if not (known.state.working or known.state.unsettled)
                else (f"{client_order_id} is {known.state.value}",)
            )
            return Done(done=not left, orders=(known,), left=left, repeated=True)
        if protects(found[0], holdings.keys):
            raise BadRequest(
                f"{client_order_id} protects a position in {found[0].symbol}: close that, and it goes with it"
            )
        async with tools.open_work(desk.run.lease) as work:
            await work.orders.adopt(errand.account_id, found, desk.run.clock.now())
        alive = await _alive(desk, tools, found[0].symbol)
        await cancel(desk, [order for order in alive if order.client_order_id == client_order_id])
        body = {"symbol": found[0].symbol, "order": client_order_id}
        return await _finished(desk, errand, "cancelled by hand", body, tools, left=_working(desk))


async def cancel_orders(errand: Errand, symbol: str | None, tools: Tools, *, protection: bool = False) -> Done:
    """Cancel what rests in *symbol*, or everywhere, and protects nothing; with *protection* close positions as well.

    No position is left without its protection: where that is to go, the position goes first.
    """
    async with _desk(errand, tools) as (desk, earlier):
        await settle(desk, earlier)
        if protection:
            left = tuple(await flatten(desk, open_work=tools.open_work, within=None if symbol is None else {symbol}))
        else:
            holdings, resting = await asyncio.gather(tools.exchange.holdings(urgent=True), tools.exchange.all_orders())
            idle = [
                order
                for order in resting
                if symbol in {None, order.symbol}
                and not protects(order, holdings.keys)
                # Ours that protects is kept in place, and taken away, by reconcile alone.
                and not (order.closes_position and order.type in PROTECTION.values())
            ]
            async with tools.open_work(desk.run.lease) as work:
                await work.orders.adopt(errand.account_id, idle, desk.run.clock.now())
            names = {order.client_order_id for order in idle}
            alive = await _alive(desk, tools, symbol)
            await cancel(desk, [order for order in alive if order.client_order_id in names])
            left = _working(desk)
        body = {"symbol": symbol, "protection": protection}
        return await _finished(desk, errand, "cancelled by hand", body, tools, left=left)


@asynccontextmanager
async def _desk(errand: Errand, tools: Tools) -> AsyncIterator[tuple[Desk, Sequence[Order]]]:
    """Hold the account for the errand; yield a desk for it, and the orders that it promised an earlier time."""
    async with tools.open_work() as work:
        await work.accounts.get(errand.account_id)
        tick = await work.errands.moment(errand.account_id, errand.key, _millisecond(tools.clock.now()))
    request = StageRequest(errand.account_id, tick, between=True)
    async with AsyncExitStack() as stack:
        run, earlier = await _held(stack, request, tools)
        desk = Desk(
            run,
            open_work=tools.open_work,
            exchange=tools.exchange,
            market=tools.market,
            patience=tools.patience,
            earlier=earlier,
        )
        yield desk, earlier


async def _held(stack: AsyncExitStack, request: StageRequest, tools: Tools) -> tuple[Run, Sequence[Order]]:
    """Take the account's lease once whoever is at work has ended. Raises StageBusy after a while."""

    async def earlier(work: Work, _: Run) -> Sequence[Order]:
        return await work.orders.of_cycle(request)

    left = tools.patience.total_seconds()
    while True:
        held = hold(request, earlier, open_work=tools.open_work, clock=tools.clock)
        try:
            return await stack.enter_async_context(held)
        except StageBusy as exc:
            if left < BUSY_SECONDS:
                raise StageBusy(
                    f"a cycle is at work on account {request.account_id} and has not ended for "
                    f"{tools.patience.total_seconds():.0f} s: the exchange may keep it waiting. Ask again in a moment, "
                    "or stop the account: that does not wait"
                ) from exc
        await sleep(BUSY_SECONDS)
        left -= BUSY_SECONDS


async def _told_again(desk: Desk, earlier: Sequence[Order], tools: Tools) -> Done:
    """Tell what became of an errand that was run before: nothing is sent again."""
    # It may have been sent until a moment ago: from now on the time runs in which it can still land.
    now, why = desk.run.clock.now(), "promised by a run that did not finish"
    forsaken = [
        replace(order, state=OrderState.UNRESOLVED, reason=why, sent_at=order.sent_at or now)
        if order.state is OrderState.INTENDED
        else order
        for order in earlier
    ]
    doubtful = await settle(desk, forsaken)
    orders = tuple(desk.latest(order) for order in forsaken)
    async with tools.open_work(desk.run.lease) as work:
        await work.orders.save(orders)
    left = tuple(f"nobody knows yet what became of {order.client_order_id}" for order in doubtful)
    done = all(order.state is OrderState.FILLED for order in orders if order.intent.leg is Leg.EXIT)
    return Done(done=done, orders=orders, left=left, repeated=True)


async def _finished(
    desk: Desk, errand: Errand, what: str, body: dict[str, Any], tools: Tools, *, left: Sequence[str]
) -> Done:
    async with tools.open_work(desk.run.lease) as work:
        await work.orders.save(desk.orders)
        if not (desk.orders or left):
            return Done(done=True, orders=())  # there was nothing to do, and nothing to tell of
        told = body | {"by": errand.by, "orders": [_line(order) for order in desk.orders], "left": list(left)}
        await _tell(work, desk.run, what, told)
        if desk.alarm:
            await desk.run.halt(work, str(desk.alarm))
    return Done(done=not left, orders=tuple(desk.orders), left=tuple(left))


async def _tell(work: Work, run: Run, what: str, body: dict[str, Any]) -> None:
    now = run.clock.now()
    await work.journal.event(run.account.id, what.replace(" ", "_"), now, body)
    where = f" in {body['symbol']}" if body["symbol"] else ""
    await work.journal.diary(run.account.id, run.request.tick, now, f"{what}{where}: {body['by']}", body)


def _line(order: Order) -> dict[str, str]:
    return {"client_order_id": order.client_order_id, "state": order.state.value}


async def _alive(desk: Desk, tools: Tools, symbol: str | None) -> list[Order]:
    async with tools.open_work(desk.run.lease) as work:
        alive = await work.orders.alive(desk.run.account.id)
    return [order for order in alive if symbol in {None, order.intent.symbol}]


def _working(desk: Desk) -> tuple[str, ...]:
    return tuple(
        f"{order.client_order_id} still rests in {order.intent.symbol}" + (f" ({order.reason})" if order.reason else "")
        for order in desk.orders
        if order.state.working
    )


def _meant(positions: Collection[Position], closing: Closing) -> Position:
    found = [held for held in positions if closing.direction in {None, held.direction}]
    if not found:
        raise BadRequest(f"no {closing.direction.value + ' ' if closing.direction else ''}position in {closing.symbol}")
    if len(found) > 1:
        raise BadRequest(f"{closing.symbol} is held both LONG and SHORT: say which direction is to be closed")
    if closing.quantity is not None and closing.quantity > found[0].quantity:
        raise BadRequest(f"no more than {found[0].quantity:f} {closing.symbol} is held")
    return found[0]


async def _parts(desk: Desk, held: Position, quantity: Decimal | None) -> Sequence[Decimal]:
    """Return the sizes to send, within the symbol's filters."""
    wanted = held.quantity if quantity is None else quantity
    instrument = await desk.instrument(held.symbol)
    if instrument is None:
        return (wanted,)
    if instrument.round_quantity(wanted) < instrument.min_quantity:
        raise BadRequest(f"{wanted:f} {held.symbol} is less than can be traded: {instrument.min_quantity:f} at least")
    return instrument.in_market_orders(wanted)


def _guards(order: Order, held: Position) -> bool:
    intent = order.intent
    return intent.leg in PROTECTION and (intent.symbol, intent.direction) == held.key


def _millisecond(moment: datetime) -> datetime:
    """Client order ids and the exchange's times are in milliseconds; a whole second may be a tick."""
    moment -= timedelta(microseconds=moment.microsecond % 1000)
    return moment if moment.microsecond else moment - timedelta(milliseconds=1)
