"""
Repairing: no position stands without its stop, and no stop without its position.

Needs no model and no market opinion. A stop goes where the plan put it, else at the widest distance that the limits
allow; where it is refused, or lost twice, the position is closed.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

from functions.run import Run
from functions.sending import cancel, promise, send
from shared.domain.briefing import Plans
from shared.domain.errors import VenueError
from shared.domain.order import Intent, Leg, Order, OrderState, VenueOrder
from shared.domain.ports import Exchange, MarketData, OpenWork
from shared.domain.position import Position
from shared.domain.protection import exit_intent, fallback_stop, protective_intent, stops_of
from shared.domain.reconciliation import Difference, Discrepancy, order_after, orphans

log = logging.getLogger("perpetua.trading")

STOP_TRIES = 2
"""Two stops for one position do no harm, the nearer one stays. A position without any is closed."""


class Repairs:
    """The repairs of one reconciliation: the orders they sent and what they were for."""

    def __init__(
        self, run: Run, *, open_work: OpenWork, exchange: Exchange, market: MarketData, cycle_orders: Sequence[Order]
    ) -> None:
        self._run = run
        self._open_work = open_work
        self._exchange = exchange
        self._market = market
        self._cycle_orders = cycle_orders
        self.orders: list[Order] = []
        self.discrepancies: list[Discrepancy] = []
        self.naked: list[str] = []
        """Symbols whose position could be neither protected nor closed."""

    async def protect(self, positions: Sequence[Position], open_orders: Sequence[VenueOrder], plans: Plans) -> None:
        """Give every position that lacks one a stop; close those that cannot have one."""
        for position in positions:
            if stops_of(position, open_orders):
                continue
            price = await self._stop_price(position, plans)
            refusal = "no price for a stop is known"
            if price is not None:
                stop = await self._place_stop(position, price)
                refusal = f"a stop at {price} was refused or lost ({stop.reason})"
                if stop.state is not OrderState.REJECTED and not stop.state.unsettled:
                    self._note(Difference.MISSING_STOP, position.symbol, "a stop", "none", f"placed a stop at {price}")
                    continue
            closed = await self._close(position)
            if closed.state is not OrderState.FILLED:
                self.naked.append(position.symbol)
            action = f"{refusal}; closed at the market: {closed.state.value}"
            self._note(Difference.MISSING_STOP, position.symbol, "a stop", "none", action)

    async def tidy(self, ours: Sequence[Order], positions: Sequence[Position], resting: Sequence[VenueOrder]) -> None:
        """Cancel protection without a position, and all but the nearest of several stops."""
        mine = {order.client_order_id: order for order in ours if order.intent.leg is not Leg.EXTERNAL}
        surplus = []
        for position in positions:
            stops = [order for order in stops_of(position, resting) if order.client_order_id in mine]
            stops.sort(key=lambda order: abs(order.stop_price - position.mark_price))
            surplus += [mine[order.client_order_id] for order in stops[1:]]
        stray = orphans(ours, positions)
        strays = {order.client_order_id for order in stray}
        cancelled = await asyncio.gather(*(cancel(order, self._exchange) for order in (*stray, *surplus)))
        self.orders += cancelled
        for order in cancelled:
            kind = Difference.ORPHAN_PROTECTION if order.client_order_id in strays else Difference.DUPLICATE_STOP
            where = f"{order.intent.leg.value} at {order.intent.stop_price}"
            self._note(kind, order.intent.symbol, "nothing to protect", where, f"now {order.state.value}")

    async def _place_stop(self, position: Position, price: Decimal) -> Order:
        """Place a stop. One whose answer was lost and that cannot be found is followed by another, once."""
        for _ in range(STOP_TRIES):
            stop = await self._send(
                protective_intent(
                    self._run.account.id,
                    self._run.request.tick,
                    position.symbol,
                    direction=position.direction,
                    leg=Leg.STOP,
                    price=price,
                    attempt=self._attempt(position.symbol, Leg.STOP),
                )
            )
            if stop.state.unsettled:
                stop = self.orders[-1] = await self._look_up(stop)
            if not stop.state.unsettled:
                break
        return stop

    async def _look_up(self, order: Order) -> Order:
        """Return *order* as the exchange has it, or as it was where that cannot be had."""
        with suppress(VenueError):
            found = await self._exchange.find_order(order.intent.symbol, order.client_order_id)
            return order_after(order, found) if found else order
        return order

    async def _close(self, position: Position) -> Order:
        return await self._send(
            exit_intent(
                self._run.account.id,
                self._run.request.tick,
                position.symbol,
                direction=position.direction,
                quantity=position.quantity,
                attempt=self._attempt(position.symbol, Leg.EXIT),
            )
        )

    async def _stop_price(self, position: Position, plans: Plans) -> Decimal | None:
        """Return where the stop goes; None where no plan says and the exchange does not tell the symbol's prices."""
        if position.symbol in plans:
            _, _, review = plans[position.symbol]
            if review.direction is position.direction and review.stop_loss is not None:
                return review.stop_loss
        try:
            instrument = (await self._market.instruments()).get(position.symbol)
        except VenueError as exc:
            log.warning("no filters for a stop", extra={"symbol": position.symbol, "why": str(exc)})
            return None
        if instrument is None:
            return None
        return fallback_stop(position, instrument, self._run.account.limits.max_stop_distance)

    async def _send(self, intent: Intent) -> Order:
        [order] = await promise(self._run, self._open_work, [intent])
        order = await send(order, self._exchange, self._run.clock)
        self.orders.append(order)
        return order

    def _attempt(self, symbol: str, leg: Leg) -> int:
        """Return the first attempt number that this cycle has not used for the leg."""
        orders = (order.intent for order in (*self._cycle_orders, *self.orders))
        return max((each.attempt for each in orders if (each.symbol, each.leg) == (symbol, leg)), default=-1) + 1

    def _note(self, kind: Difference, symbol: str, ours: str, theirs: str, action: str) -> None:
        self.discrepancies.append(Discrepancy(kind=kind, symbol=symbol, ours=ours, theirs=theirs, action=action))
