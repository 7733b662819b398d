"""
Sending orders: the order protocol's second step, shared by the stages that trade.

An intent is committed before it is sent. Whatever comes back becomes a state: what the exchange said, REJECTED where
nothing was done, UNRESOLVED where nobody can know. Only an order that provably had no effect is ever sent again: stops
and exits insist, for as long as the deadline for protection lets them.
"""

import logging
from asyncio import sleep
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from functions.run import Run
from shared.domain.account import AccountStatus
from shared.domain.errors import (
    ClockSkewed,
    InstrumentChanged,
    LeaseLost,
    NotAuthorised,
    OrderNotFound,
    OutcomeUnknown,
    PositionModeChanged,
    RateLimited,
    Refused,
    VenueError,
    VenueUnreachable,
)
from shared.domain.instrument import Instrument
from shared.domain.order import Intent, Leg, Order, OrderState
from shared.domain.ports import Exchange, MarketData
from shared.domain.position import Direction
from shared.domain.protection import NakedSpell, fit
from shared.domain.reconciliation import order_after
from shared.domain.work import OpenWork

log = logging.getLogger("perpetua.trading")

TRANSIENT = (VenueUnreachable, RateLimited, ClockSkewed, PositionModeChanged)
"""Nothing was done, and a little later, looked at again, it may go through."""

FIRST_PAUSE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Sent:
    """An order as it stands after it was sent, and the failure that kept it from being accepted, if one did."""

    order: Order
    failure: VenueError | None = None


class Desk:
    """The orders of one run: promised, sent, cancelled, given up, and remembered as they stand last."""

    def __init__(
        self,
        run: Run,
        *,
        open_work: OpenWork,
        exchange: Exchange,
        market: MarketData,
        patience: timedelta,
        earlier: Iterable[Order] = (),
    ) -> None:
        """*patience* is how long stops and exits may insist, *earlier* what the cycle has promised before."""
        self.run = run
        self.exchange = exchange
        self._open_work = open_work
        self._market = market
        self._patience = patience.total_seconds()
        self._orders: dict[str, Order] = {}
        self._last_attempt: dict[tuple[str, Leg], int] = {}
        for order in earlier:
            self._note_attempt(order.intent)
        self.naked: list[NakedSpell] = []
        """When positions stood without a stop while it was being placed."""
        self.alarm: Refused | None = None
        """A refusal after which the account may open nothing until a person has looked at it."""

    @property
    def orders(self) -> list[Order]:
        """Every order that was sent, cancelled or given up here, as it stands last."""
        return list(self._orders.values())

    def attempt(self, symbol: str, leg: Leg) -> int:
        """Return the first attempt number that the cycle has not used for that leg."""
        return self._last_attempt.get((symbol, leg), -1) + 1

    async def promise(self, intents: Sequence[Intent]) -> list[Order]:
        """Commit the intents, so that a crash from here on leaves rows to find, never orders we have forgotten."""
        for intent in intents:  # before anything is awaited: who promises side by side must not take the same number
            self._note_attempt(intent)
        if intents:
            async with self._open_work(self.run.lease) as work:
                await work.orders.promise(intents, self.run.clock.now())
        return [
            Order(intent=intent, client_order_id=intent.client_order_id, state=OrderState.INTENDED)
            for intent in intents
        ]

    async def may_open(self) -> bool:
        """Say whether the account still trades: somebody may have stopped it, or taken it over, a moment ago."""
        try:
            async with self._open_work(self.run.lease) as work:
                return (await work.accounts.get(self.run.account.id)).status is AccountStatus.ACTIVE
        except LeaseLost:
            return False

    async def send(self, order: Order) -> Sent:
        """Send a promised order. One that the symbol's filters refuse follows once as they are now, never larger."""
        sent = await self._send(order)
        if isinstance(sent.failure, InstrumentChanged):
            fitting = await self._fitting(order.intent)
            if fitting is not None:
                sent = await self._send(fitting)
        return sent

    async def insist(self, order: Order) -> Sent:
        """Send a promised order, and again while what keeps it back is of the kind that passes."""
        sent, pause, left = await self.send(order), FIRST_PAUSE_SECONDS, self._patience
        while isinstance(sent.failure, TRANSIENT):
            asked = sent.failure.retry_after if isinstance(sent.failure, RateLimited) else None
            wait = max(pause, asked or 0)
            if wait > left:
                break
            await sleep(wait)
            left -= wait
            pause *= 2
            sent = await self.send(replace(sent.order, state=OrderState.INTENDED, reason=None))
        return sent

    async def cancel(self, order: Order) -> Order:
        """Cancel a resting order and return it as it then is. One that is gone already is left to reconcile."""
        try:
            after = order_after(order, await self.exchange.cancel(order.intent.symbol, order.client_order_id))
        except OrderNotFound:
            after = order
        except VenueError as exc:
            after = replace(order, reason=f"cancel failed: {_words(exc)}")
        return self._remember(after)

    def latest(self, order: Order) -> Order:
        """Return *order* as it stands last here."""
        return self._orders.get(order.client_order_id, order)

    async def look_up(self, order: Order) -> Order:
        """Return *order* as the exchange has it, or as it was where that cannot be had."""
        with suppress(VenueError):
            found = await self.exchange.find_order(order.intent.symbol, order.client_order_id)
            if found:
                return self._remember(order_after(order, found))
        return order

    async def finish(self, order: Order) -> Order:
        """Let nothing of a market order that filled in part go on working."""
        if order.state.working:
            order = await self.cancel(order)
        return await self.look_up(order) if order.state.working else order

    def give_up(self, orders: Iterable[Order], reason: str) -> None:
        """Note promised orders that are never sent."""
        for order in orders:
            self._remember(replace(order, state=OrderState.ABSENT, reason=reason))

    async def held(self, symbol: str, direction: Direction, *, otherwise: Decimal) -> Decimal:
        """Look at the holdings again and return how much of that position there is; *otherwise* where nobody tells."""
        try:
            holdings = await self.exchange.holdings(urgent=True)
        except VenueError:
            return otherwise
        sizes = (each.quantity for each in holdings.positions_in(symbol) if each.direction is direction)
        return sum(sizes, Decimal(0))

    async def instrument(self, symbol: str) -> Instrument | None:
        """Return the symbol's filters, None where they cannot be had or the symbol is not listed."""
        try:
            return (await self._market.instruments()).get(symbol)
        except VenueError as exc:
            log.warning("no filters", extra={"symbol": symbol, "why": str(exc)})
            return None

    async def _send(self, order: Order) -> Sent:
        sent_at = self.run.clock.now()
        try:
            reported = await self.exchange.place(order.intent)
        except OutcomeUnknown as exc:
            log.warning("order unresolved", extra={"order": order.client_order_id, "why": str(exc)})
            after = replace(order, state=OrderState.UNRESOLVED, reason=str(exc), sent_at=sent_at)
            return Sent(self._remember(after), exc)
        except VenueError as exc:
            log.warning("order not accepted", extra={"order": order.client_order_id, "why": str(exc)})
            if isinstance(exc, NotAuthorised | PositionModeChanged):
                self.alarm = exc
            after = replace(order, state=OrderState.REJECTED, reason=_words(exc), sent_at=sent_at)
            return Sent(self._remember(after), exc)
        return Sent(self._remember(replace(order_after(order, reported), sent_at=sent_at)))

    async def _fitting(self, intent: Intent) -> Order | None:
        """Promise *intent* anew within the filters of now; None where that changes nothing, or leaves nothing."""
        instrument = await self.instrument(intent.symbol)
        fitted = fit(intent, instrument) if instrument else None
        if fitted is None or fitted == intent:
            return None
        [order] = await self.promise([replace(fitted, attempt=self.attempt(intent.symbol, intent.leg))])
        return order

    def _note_attempt(self, intent: Intent) -> None:
        key = (intent.symbol, intent.leg)
        self._last_attempt[key] = max(intent.attempt, self._last_attempt.get(key, -1))

    def _remember(self, order: Order) -> Order:
        self._orders[order.client_order_id] = order
        return order


def _words(failure: VenueError) -> str:
    code = "" if failure.code is None else f" ({failure.code})"
    return f"{type(failure).__name__}{code}: {failure}"
