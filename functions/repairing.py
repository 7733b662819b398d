"""
Repairing: no position stands without its stop, and no stop without its position.

Needs no model and no market opinion. What lacks a stop gets one first, all side by side: no exit that has to insist
keeps a naked position waiting, whatever is to become of it. A stop goes where the plan put it, else at the widest
distance that the limits allow; where it is refused, lost twice, or was triggered in vain, the position is closed. A
target goes where the plan put it; where the price has passed it, the position is closed. So is one whose exit plan has
come true.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from functions.exiting import close_now
from functions.sending import Desk, Sent
from shared.domain.briefing import Plans
from shared.domain.errors import WouldTrigger
from shared.domain.exit_plan import Sight, come_true
from shared.domain.order import Leg, Order, VenueOrder
from shared.domain.position import Direction, Position
from shared.domain.protection import fallback_stop, protective_intent, stops_of, targets_of
from shared.domain.reconciliation import Difference, Discrepancy, ended, orphans

STOP_TRIES = 2
"""Two stops for one position do no harm, the nearer one stays. A position without any is closed."""


class Repairs:
    """The repairs of one reconciliation and what they were for."""

    def __init__(self, desk: Desk, plans: Plans, *, fired: Collection[tuple[str, Direction]]) -> None:
        """*plans* are those of the positions that orders of ours opened; *fired* had a stop that found no market."""
        self._desk = desk
        self._plans = plans
        self._fired = fired
        self.discrepancies: list[Discrepancy] = []
        self.naked: list[str] = []
        """Symbols whose position could be neither protected nor closed."""

    async def give_stops(self, positions: Sequence[Position], open_orders: Sequence[VenueOrder]) -> list[Position]:
        """Give every position the stop that it lacks, close those that cannot have one, and return those that stand."""
        naked = [position for position in positions if not stops_of(position, open_orders)]
        closed = await asyncio.gather(*(self._give_stop(position) for position in naked))
        gone = {position.key for position, done in zip(naked, closed, strict=True) if done}
        return [position for position in positions if position.key not in gone]

    async def keep_promises(
        self, positions: Sequence[Position], sights: Mapping[str, Sight], ours: Sequence[Order]
    ) -> list[Position]:
        """Close the positions whose exit plans have come true by what is seen of their symbols; return the others."""
        leaving = self._leaving(ours)
        standing = []
        for position in positions:
            true = self._come_true(position, sights[position.symbol])
            if true is None or position.key in leaving:
                standing.append(position)
                continue
            closed = await self._close(position)
            if not closed:
                standing.append(position)
            action = f"closed at the market: {'done' if closed else 'not done'}"
            self._note(Difference.EXIT_PLAN, position.symbol, true, "still open", action)
        return standing

    def _leaving(self, ours: Sequence[Order]) -> set[tuple[str, Direction]]:
        """Return the positions that were tried to end here, or may be ended by an exit whose outcome is awaited."""
        mine = (*ours, *self._desk.orders)
        return {(order.intent.symbol, order.intent.direction) for order in mine if order.intent.leg is Leg.EXIT}

    def _come_true(self, position: Position, sight: Sight) -> str | None:
        if position.key not in self._plans:
            return None
        made_at, plan, _ = self._plans[position.key]
        return come_true(plan, made_at, replace(sight, mark_price=position.mark_price))

    async def flatten(self, positions: Sequence[Position], ours: Sequence[Order]) -> list[Position]:
        """Close everything, side by side, and return what could not be closed: it keeps its protection."""
        leaving = self._leaving(ours)
        ending = [position for position in positions if position.key not in leaving]
        closed = await asyncio.gather(*(self._close(position) for position in ending))
        gone = {position.key for position, done in zip(ending, closed, strict=True) if done}
        return [position for position in positions if position.key not in gone]

    async def give_targets(self, positions: Sequence[Position], open_orders: Sequence[VenueOrder]) -> None:
        """Give every position the target that it lacks; a naked one needs nothing less than a stop."""
        for position in positions:
            if position.symbol not in self.naked and not targets_of(position, open_orders):
                await self._give_target(position)

    async def tidy(
        self,
        ours: Sequence[Order],
        positions: Sequence[Position],
        resting: Sequence[VenueOrder],
        settled: Sequence[Order],
    ) -> None:
        """Cancel protection without a position, and all but one stop and one target of each position.

        What is left of a position that an order of ours ended, one of those just *settled* or one of here, is no
        discrepancy: the exchange does not cancel the other leg, so we do.
        """
        usual = ended((*settled, *self._desk.orders))
        known = {order.client_order_id: order for order in (*ours, *self._desk.orders)}
        mine = {name: order for name, order in known.items() if order.intent.leg is not Leg.EXTERNAL}
        surplus: dict[Difference, list[Order]] = defaultdict(list)
        surplus[Difference.ORPHAN_PROTECTION] = orphans(known.values(), positions)
        for position in positions:
            for leg, found, kind in (
                (Leg.STOP, stops_of(position, resting), Difference.DUPLICATE_STOP),
                (Leg.TARGET, targets_of(position, resting), Difference.DUPLICATE_TARGET),
            ):
                wanted, mark = self._planned(position, leg), position.mark_price
                several = [order for order in found if order.client_order_id in mine]
                several.sort(key=lambda order: (order.stop_price != wanted, abs(order.stop_price - mark)))
                surplus[kind] += [mine[order.client_order_id] for order in several[1:]]
        for kind, orders in surplus.items():
            for order in await asyncio.gather(*(self._desk.cancel(order) for order in orders)):
                if kind is Difference.ORPHAN_PROTECTION and (order.intent.symbol, order.intent.direction) in usual:
                    continue
                where = f"{order.intent.leg.value} at {order.intent.stop_price}"
                self._note(kind, order.intent.symbol, "nothing to protect", where, f"now {order.state.value}")

    async def _give_stop(self, position: Position) -> bool:
        """Place a stop, or close the position; say whether it is gone."""
        price, refusal = None, "its stop was triggered and did not end it"
        if position.key not in self._fired:
            price = self._planned(position, Leg.STOP) or await self._fallback(position)
            refusal = "no price for a stop is known"
        if price is not None:
            stop = (await self._place(position, Leg.STOP, price)).order
            refusal = f"a stop at {price} does not stand ({stop.reason or stop.state.value})"
            if stop.state.working:
                self._note(Difference.MISSING_STOP, position.symbol, "a stop", "none", f"placed a stop at {price}")
                return False
        closed = await self._close(position)
        if not closed:
            self.naked.append(position.symbol)
        action = f"{refusal}; closed at the market: {'done' if closed else 'not done'}"
        self._note(Difference.MISSING_STOP, position.symbol, "a stop", "none", action)
        return closed

    async def _give_target(self, position: Position) -> None:
        price = self._planned(position, Leg.TARGET)
        if price is None:
            return
        sent = await self._place(position, Leg.TARGET, price)
        action = f"a target at {price}: {sent.order.state.value}"
        if isinstance(sent.failure, WouldTrigger):
            action = f"the price has passed {price}; closed at the market: "
            action += "done" if await self._close(position) else "not done"
        self._note(Difference.MISSING_TARGET, position.symbol, "a target", "none", action)

    async def _place(self, position: Position, leg: Leg, price: Decimal) -> Sent:
        """Place protection. One whose answer was lost and that cannot be found is followed by another, once."""
        for _ in range(STOP_TRIES):
            intent = protective_intent(
                self._desk.run.account.id,
                self._desk.run.request.tick,
                position.symbol,
                direction=position.direction,
                leg=leg,
                price=price,
                attempt=self._desk.attempt(position.symbol, leg),
            )
            [order] = await self._desk.promise([intent])
            sent = await (self._desk.insist(order) if leg is Leg.STOP else self._desk.send(order))
            if sent.order.state.unsettled:
                sent = Sent(await self._desk.look_up(sent.order), sent.failure)
            if not sent.order.state.unsettled:
                break
        return sent

    async def _close(self, position: Position) -> bool:
        return await close_now(self._desk, position.symbol, position.direction, position.quantity)

    def _planned(self, position: Position, leg: Leg) -> Decimal | None:
        """Return where the plan of the position puts its stop or target."""
        if position.key not in self._plans:
            return None
        _, _, review = self._plans[position.key]
        return review.stop_loss if leg is Leg.STOP else review.take_profit

    async def _fallback(self, position: Position) -> Decimal | None:
        """Return a stop price for a position without a plan; None where the symbol's prices cannot be had."""
        instrument = await self._desk.instrument(position.symbol)
        if instrument is None:
            return None
        return fallback_stop(position, instrument, self._desk.run.account.limits.max_stop_distance)

    def _note(self, kind: Difference, symbol: str, ours: str, theirs: str, action: str) -> None:
        self.discrepancies.append(Discrepancy(kind=kind, symbol=symbol, ours=ours, theirs=theirs, action=action))
