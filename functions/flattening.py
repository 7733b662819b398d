"""
Flattening: everything that works is cancelled and everything that is held is closed.

What protects a position rests until that is gone, and then goes too. What an order whose fate is unknown may yet open
keeps its protection, and a position that an exit of unknown fate may have ended is not ended again before that is
known: nothing is sent twice. One pass does what can be done now and says what is left; passes are repeated.

The exchange's own countdown stands behind it: should we be gone before the orders of a symbol are, it cancels them. It
cancels stops like any other order, so it is set only where nothing is held and nothing is in doubt, and taken back.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from functions.exiting import close_now
from functions.sending import Desk
from shared.domain.errors import VenueError
from shared.domain.order import Leg, Order, Side, VenueOrder
from shared.domain.position import Direction, Position
from shared.domain.work import OpenWork

log = logging.getLogger("perpetua.trading")

Key = tuple[str, Direction]

COUNTDOWN = timedelta(seconds=10)


async def flatten(
    desk: Desk, *, open_work: OpenWork, within: Collection[str] | None = None, counted: bool = False
) -> list[str]:
    """Cancel and close what there is, *within* some symbols if they are named, and return in words what is left.

    With *counted* the exchange's countdown is set meanwhile: only for an account that opens nothing anyway.

    Every order is promised before it is sent, and saved as it stands at the end. Raises VenueError when the account
    cannot be seen.
    """
    account_id = desk.run.account.id
    in_doubt = await settle(desk, await _alive(desk, open_work, within))
    positions, resting, unseen = await _look(desk, within)
    async with open_work(desk.run.lease) as work:
        await work.orders.save(desk.orders)
        await work.orders.adopt(account_id, resting, desk.run.clock.now())
    book = {order.client_order_id: order for order in await _alive(desk, open_work, within)}
    doubtful = {order.intent.symbol for order in in_doubt}
    leaving = {_key(order) for order in in_doubt if order.intent.leg is Leg.EXIT}
    idle = _idle(resting, positions, doubtful)
    counting = {each.symbol for each in idle} - {held.symbol for held in positions} - doubtful if counted else set()
    await _count_down(desk, counting, COUNTDOWN)
    await cancel(desk, [book[each.client_order_id] for each in idle if each.client_order_id in book])
    await asyncio.gather(
        *(close_now(desk, held.symbol, held.direction, held.quantity) for held in positions if held.key not in leaving)
    )
    if positions:
        positions, resting, unseen = await _look(desk, within)
        in_doubt += [order for order in desk.orders if order.state.unsettled and order not in in_doubt]
        doubtful = {order.intent.symbol for order in in_doubt}
        known = [each for each in _idle(resting, positions, doubtful) if each.client_order_id in book]
        await cancel(desk, [desk.latest(book[each.client_order_id]) for each in known])
    await _count_down(desk, counting, timedelta(0))
    gone = {order.client_order_id for order in desk.orders if not order.state.working}
    async with open_work(desk.run.lease) as work:
        await work.orders.save(desk.orders)
    return [
        *(f"{held.direction.value} {held.quantity:f} {held.symbol} is held" for held in positions),
        *(_resting(order) for order in resting if order.client_order_id not in gone),
        *(f"nobody knows yet what became of {each.client_order_id} in {each.intent.symbol}" for each in in_doubt),
        *([f"what rests could not be seen: {unseen}"] if unseen else []),
    ]


async def _count_down(desk: Desk, symbols: Iterable[str], delay: timedelta) -> None:
    """Set the countdown of those symbols, or take it back. It stands behind us: nothing waits for it to stand."""
    for symbol in sorted(symbols):
        try:
            await desk.exchange.cancel_after(symbol, delay)
        except VenueError as exc:
            log.warning("no countdown", extra={"symbol": symbol, "why": str(exc)})


async def settle(desk: Desk, alive: Iterable[Order]) -> list[Order]:
    """Look up the orders of which nobody knows what became, and return those of which nobody does yet."""
    unsettled = [order for order in alive if order.state.unsettled]
    found = await asyncio.gather(*(desk.look_up(order) for order in unsettled))
    return [order for order in found if order.state.unsettled]


async def cancel(desk: Desk, orders: Iterable[Order]) -> list[Order]:
    """Cancel them, side by side, and return each as it then is."""
    return await asyncio.gather(*(desk.cancel(order) for order in orders))


def protects(order: VenueOrder, held: Collection[Key]) -> bool:
    """Say whether the order can only end, or reduce, a position that is held."""
    key = (order.symbol, order.direction)
    return key in held and order.side is Side.opening(order.direction).opposite


def _idle(resting: Iterable[VenueOrder], positions: Iterable[Position], doubtful: Collection[str]) -> list[VenueOrder]:
    """Return the orders that protect nothing: no position, nor what may yet become one."""
    held = {position.key for position in positions}
    return [order for order in resting if not (protects(order, held) or (order.symbol in doubtful and _ends(order)))]


def _ends(order: VenueOrder) -> bool:
    return order.side is Side.opening(order.direction).opposite


async def _alive(desk: Desk, open_work: OpenWork, within: Collection[str] | None) -> Sequence[Order]:
    async with open_work(desk.run.lease) as work:
        alive = await work.orders.alive(desk.run.account.id)
    return [order for order in alive if within is None or order.intent.symbol in within]


async def _look(
    desk: Desk, within: Collection[str] | None
) -> tuple[list[Position], list[VenueOrder], VenueError | None]:
    """Return what is held and what rests. That the latter cannot be seen must not keep a position open."""
    holdings, orders = await asyncio.gather(
        desk.exchange.holdings(urgent=True), desk.exchange.all_orders(), return_exceptions=True
    )
    if isinstance(holdings, BaseException):
        raise holdings
    resting: Sequence[VenueOrder] = []
    unseen: VenueError | None = None
    if isinstance(orders, VenueError):
        log.warning("resting orders not seen", extra={"why": str(orders)})
        unseen = orders
    elif isinstance(orders, BaseException):
        raise orders
    else:
        resting = orders
    positions = [held for held in holdings.positions if within is None or held.symbol in within]
    return positions, [order for order in resting if within is None or order.symbol in within], unseen


def _key(order: Order) -> Key:
    return order.intent.symbol, order.intent.direction


def _resting(order: VenueOrder) -> str:
    return f"{order.side.value} {order.type.value} {order.client_order_id} rests in {order.symbol}"
