"""
Entering: a position is opened, or added to, and its stop and target stand with it.

A new position gets its protection right after its entry, even when nobody knows whether that landed: protection carries
no size. A position that is added to gets the new stop before anything is bought: the new one first, then the old one
away. Where the exchange takes no second stop beside the first, they change places, and how long the position was naked
is measured.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from functions.exiting import close_now
from functions.sending import Desk, Sent
from shared.domain.decision import Move
from shared.domain.errors import NoChangeNeeded, Refused, VenueError, WouldTrigger
from shared.domain.order import Leg, Order
from shared.domain.position import Direction
from shared.domain.protection import NakedSpell

log = logging.getLogger("perpetua.trading")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An approved entry as promised orders. Its protection is only what does not rest already."""

    symbol: str
    direction: Direction
    move: Move
    leverage: int
    order: Order
    protection: tuple[Order, ...]
    standing: tuple[Order, ...]
    """Our stops and targets of the position that is added to."""

    @property
    def promised(self) -> tuple[Order, ...]:
        """Every order of it."""
        return (self.order, *self.protection)


async def enter(desk: Desk, entry: Entry) -> None:
    """Carry out *entry*. What could not be done is noted in the orders; nothing is raised for it."""
    try:
        await desk.exchange.set_leverage(entry.symbol, entry.leverage)
    except NoChangeNeeded:
        pass
    except VenueError as exc:
        desk.give_up(entry.promised, f"leverage {entry.leverage} could not be set: {exc}")
        return
    if not await desk.may_open():
        desk.give_up(entry.promised, "the account was stopped, or taken over, meanwhile")
        return
    if entry.move is Move.ADD:
        await _add(desk, entry)
    else:
        await _open(desk, entry)


async def _open(desk: Desk, entry: Entry) -> None:
    order = (await desk.send(entry.order)).order
    if not (order.state.unsettled or order.state.working or order.executed_quantity > 0):
        desk.give_up(entry.protection, "the entry did not fill")
        return
    stop, *others = entry.protection
    protected, *_ = await asyncio.gather(desk.insist(stop), *(desk.send(other) for other in others))
    stands, until = protected.order.state, desk.run.clock.now() if protected.order.state.working else None
    order = await desk.finish(order)
    if not (stands.working or stands.unsettled) and order.executed_quantity > 0:
        # It cannot be protected, so it may not stand.
        until = desk.run.clock.now() if await _leave(desk, entry, order.executed_quantity) else None
    if order.sent_at is not None and order.executed_quantity > 0:
        _note_naked(desk, entry.symbol, entry.direction, order.sent_at, until)


async def _add(desk: Desk, entry: Entry) -> None:
    if not await _renew_protection(desk, entry):
        desk.give_up([entry.order], "the stop of the whole could not be put in place")
        return
    order = (await desk.send(entry.order)).order
    await desk.finish(order)


async def _renew_protection(desk: Desk, entry: Entry) -> bool:
    """Put the new stop and target in the place of the old ones; say whether the position may be added to."""
    legs = {order.intent.leg: order for order in entry.protection}
    stop = legs.get(Leg.STOP)
    if stop is not None:
        old = [order for order in entry.standing if order.intent.leg is Leg.STOP]
        stands, sent = await _replace(desk, stop, old)
        if stands is None or isinstance(sent.failure, WouldTrigger):
            # Nothing ends it any more, or the price has passed where it was to end: it ends now.
            desk.give_up([order for order in entry.protection if order is not stop], "the stop did not stand")
            await _leave(desk, entry, await desk.held(entry.symbol, entry.direction, otherwise=Decimal(0)))
            return False
        if not stands:
            desk.give_up([order for order in entry.protection if order is not stop], "the stop stays where it was")
            return False
    if target := legs.get(Leg.TARGET):
        await _replace(desk, target, [order for order in entry.standing if order.intent.leg is Leg.TARGET])
    return True


async def _replace(desk: Desk, new: Order, old: Sequence[Order]) -> tuple[bool | None, Sent]:
    """Put *new* in the place of *old* and return whether it stands, None where not even an old one does."""
    sent = await _placed(desk, new)
    if sent.order.state.working:
        await asyncio.gather(*(desk.cancel(order) for order in old))
        return True, sent
    if type(sent.failure) is not Refused or not old:
        return False, sent
    # Perhaps it takes no second one beside the first. From here on the position is naked until one stands again.
    began = desk.run.clock.now()
    await asyncio.gather(*(desk.cancel(order) for order in old))
    intents = [new.intent, replace(old[0].intent, tick=new.intent.tick)]
    stands: bool | None = None
    for wanted in intents:
        [again] = await desk.promise([replace(wanted, attempt=desk.attempt(wanted.symbol, wanted.leg))])
        sent = await _placed(desk, again)
        if sent.order.state.working:
            stands = wanted is new.intent
        if sent.order.state.working or isinstance(sent.failure, WouldTrigger):
            break
    until = None if stands is None else desk.run.clock.now()
    _note_naked(desk, new.intent.symbol, new.intent.direction, began, until)
    return stands, sent


async def _placed(desk: Desk, order: Order) -> Sent:
    """Place a stop or a target of a position that stands, and look it up where its answer was lost."""
    sent = await (desk.insist(order) if order.intent.leg is Leg.STOP else desk.send(order))
    return Sent(await desk.look_up(sent.order), sent.failure) if sent.order.state.unsettled else sent


async def _leave(desk: Desk, entry: Entry, quantity: Decimal) -> bool:
    """End what is held, and take its protection away once it is gone; say whether it is."""
    gone = await close_now(desk, entry.symbol, entry.direction, quantity)
    if gone:
        protection = [desk.latest(order) for order in (*entry.standing, *entry.protection)]
        await asyncio.gather(*(desk.cancel(order) for order in protection if order.state.working))
    return gone


def _note_naked(desk: Desk, symbol: str, direction: Direction, since: datetime, until: datetime | None) -> None:
    """Note how long a position stood without a stop: at most, from when its entry was sent. None: it still does."""
    desk.naked.append(NakedSpell(symbol=symbol, direction=direction, since=since, until=until))
    seconds = None if until is None else (until - since).total_seconds()
    log.info("stood without a stop", extra={"symbol": symbol, "naked_seconds": seconds})
