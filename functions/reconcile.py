"""
Reconcile: the exchange is the truth; make ours equal theirs, and no position stand without its stop.

Reads    our living orders, last positions, last equity, known trades and ledger rows, the plans, the tick's snapshot,
         what counts towards a breaker
Asks     the exchange for holdings, resting orders, and whatever trades and ledger rows the books still lack
Writes   orders, trades, ledger rows, positions, when any stood without a stop, an equity point, each discrepancy with
         what was done about it, and the breakers that trip or are lifted; where one says so, it closes what is open.
         An emergency stop goes first
Repeats  safely: trades are counted once by the exchange's id, repairs are intents like any other order.

Positions whose exit plan has come true are closed. It has no age limit and needs no model: protection never waits. A
run that leaves a position without a stop has failed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from functions.breaking import mind_breakers
from functions.flattening import flatten
from functions.observing import NONCE_WINDOW, Booked, Known, Seen, load_booked, load_known, observe
from functions.promises import plans_of, sight
from functions.repairing import Repairs
from functions.run import Run, begin
from functions.sending import Desk
from shared.domain.breakers import Trip
from shared.domain.briefing import Plans
from shared.domain.cycle import Stage, StageRequest, StageResult, tick_at
from shared.domain.errors import PositionUnprotected
from shared.domain.exit_plan import Sight
from shared.domain.order import Fill, IncomeKind, Leg, Order, OrderState, VenueOrder, leg_named
from shared.domain.performance import EquityPoint
from shared.domain.ports import Clock, Exchange, MarketData
from shared.domain.position import WALLET_ASSET, Direction, Position
from shared.domain.protection import naked_since, stops_of
from shared.domain.reconciliation import (
    Difference,
    Discrepancy,
    foreign_trade,
    order_after,
    position_changes,
)
from shared.domain.stop import Stop
from shared.domain.work import OpenWork, Work

LEDGER_PATIENCE = timedelta(days=1)
"""Trades and ledger rows may be told later than the wallet shows them; so long they are asked for."""

EXTERNAL = {
    Difference.MANUAL_TRADE,
    Difference.LIQUIDATION,
    Difference.DELEVERAGING,
    Difference.POSITION_CHANGED,
    Difference.ORDER_UNKNOWN,
}
"""What somebody else did: the diary tells it as external."""

DEPOSITS = {IncomeKind.TRANSFER, IncomeKind.WELCOME_BONUS}


async def reconcile(
    request: StageRequest,
    *,
    open_work: OpenWork,
    exchange: Exchange,
    market: MarketData,
    clock: Clock,
    patience: timedelta,
) -> StageResult:
    """Bring the books up to date and protection into place. Raises VenueError when the account cannot be seen.

    Stops and exits that the exchange keeps back for a passing reason are sent again for up to *patience*.
    """
    async with begin(Stage.RECONCILE, request, _load, open_work=open_work, clock=clock, ages=False) as begun:
        if isinstance(begun, StageResult):
            return begun
        run, (stop, known) = begun
        tools = _Tools(exchange, market, patience)
        stopping: dict[str, Any] = {}
        if stop and not stop.finished_at:
            # That goes before anything else: the books may wait, and what they need may be out of reach.
            known, stopping = await _go_on_stopping(run, tools, known, stop)
        seen = await _seen(run, known, exchange)
        found = await _judge(run, known, seen, exchange)
        written = await _book(run, known, seen, found)
        desk = tools.desk(run, known)
        repairs = await _repair(desk, seen, written)
        async with run.ending() as work:
            await work.orders.save(desk.orders)
            if written.bare:
                await work.naked.stand(run.account.id, _of_symbols(written.bare, repairs.naked), clock.now())
            await work.journal.discrepancies(run.account.id, clock.now(), repairs.discrepancies)
            discrepancies = [*found.discrepancies, *repairs.discrepancies]
            details = _details(seen, discrepancies, desk.orders, written.tripped) | stopping
            await work.journal.event(run.account.id, "reconciled", clock.now(), details)
            if repairs.naked:
                await work.journal.event(run.account.id, "unprotected", clock.now(), {"symbols": repairs.naked})
            if desk.alarm:
                await run.halt(work, str(desk.alarm))
            if not repairs.naked:
                return await run.finish(work, details)
        # Not finished: whoever asked has to ask again, and soon.
        raise PositionUnprotected(f"{', '.join(repairs.naked)}: no stop stands and no exit filled")


@dataclass(frozen=True, slots=True)
class _Found:
    """Our orders as they now stand, other people's orders, and every difference that was found."""

    settled: Sequence[Order]
    foreign: Sequence[VenueOrder]
    discrepancies: Sequence[Discrepancy]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What the books say once they are up to date."""

    alive: Sequence[Order]
    """The orders that rest, or may."""
    tripped: Sequence[Trip]
    plans: Plans
    sights: Mapping[str, Sight]
    """What the plans are held against, by symbol."""
    bare: Mapping[tuple[str, Direction], datetime]
    """The positions that stand without a stop, and since when they may have."""
    fired: frozenset[tuple[str, Direction]]
    """Those of them whose stop was triggered and found no market."""


async def _book(run: Run, known: Known, seen: Seen, found: _Found) -> _Written:
    """Write down what was seen, and trip and lift breakers by it."""
    account_id, positions, at = run.account.id, seen.holdings.positions, seen.holdings.at
    bare = _bare(known, seen, run.clock)
    async with run.open_work(run.lease) as work:
        await work.orders.save([order for order in found.settled if order not in known.alive])
        adopted = await work.orders.adopt(account_id, found.foreign, run.clock.now())
        await work.incomes.save(account_id, seen.incomes)
        await _tell_endings(work, run, await work.fills.save(account_id, seen.fills))
        no_orders_of_ours = _adopted(known, found.settled, positions)
        await work.holds.replace_positions(account_id, positions, at, adopted=no_orders_of_ours)
        point = _point(known, seen)
        await work.holds.add_equity(account_id, point)
        tripped = await mind_breakers(work, run, point, positions)
        await _tell(work, run, found.discrepancies)
        if bare or known.naked:
            await work.naked.stand(account_id, bare, at)
        fired = await work.orders.fired(account_id, {symbol for symbol, _ in bare}) if bare else frozenset()
        return _Written(
            alive=[order for order in (*found.settled, *adopted) if order.state.unsettled or order.state.working],
            tripped=tripped,
            plans=await plans_of(work, account_id, positions),
            sights=await _sights(work, run, positions) if positions else {},
            bare=bare,
            fired=fired & {position.key for position in known.positions},
        )


async def _repair(desk: Desk, seen: Seen, written: _Written) -> Repairs:
    """Bring protection into place, keep what is promised, and close everything where a breaker says so."""
    repairs = Repairs(desk, written.plans, fired=written.fired)
    standing = await repairs.give_stops(seen.holdings.positions, seen.open_orders)
    standing = await repairs.keep_promises(standing, written.sights, written.alive)
    if any(trip.flatten for trip in written.tripped):
        standing = await repairs.flatten(standing, written.alive)
    await repairs.give_targets(standing, seen.open_orders)
    await repairs.tidy(written.alive, standing, seen.open_orders, seen.settled)
    return repairs


def _bare(known: Known, seen: Seen, clock: Clock) -> dict[tuple[str, Direction], datetime]:
    """Return the positions that stand without a stop, and since when they may have."""
    looked_at = known.point.at if known.point else None
    return {
        position.key: naked_since(
            position, before=known.positions, looked_at=looked_at, fills=seen.fills, now=clock.now()
        )
        for position in seen.holdings.positions
        if not stops_of(position, seen.open_orders)
    }


def _of_symbols(
    bare: Mapping[tuple[str, Direction], datetime], symbols: Sequence[str]
) -> dict[tuple[str, Direction], datetime]:
    return {key: since for key, since in bare.items() if key[0] in symbols}


@dataclass(frozen=True, slots=True)
class _Tools:
    """What orders are sent with."""

    exchange: Exchange
    market: MarketData
    patience: timedelta

    def desk(self, run: Run, known: Known) -> Desk:
        """Return a desk that goes on where the cycle's orders end."""
        return Desk(
            run,
            open_work=run.open_work,
            exchange=self.exchange,
            market=self.market,
            patience=self.patience,
            earlier=known.of_cycle,
        )


async def _load(work: Work, run: Run) -> tuple[Stop | None, Known]:
    """Return the emergency stop that is in force, and what we believe."""
    stop = await work.stops.get(run.account.id)
    return stop, await load_known(work, run.account, await work.orders.around(run.request))


async def _go_on_stopping(run: Run, tools: _Tools, known: Known, stop: Stop) -> tuple[Known, dict[str, Any]]:
    """Carry an emergency stop on; return what we believe afterwards, and what is told of it with the result."""
    left = await flatten(tools.desk(run, known), open_work=run.open_work, counted=True)
    now = run.clock.now()
    async with run.open_work(run.lease) as work:
        await work.stops.note(run.account.id, left, now)
        if not left:
            await work.journal.event(run.account.id, "stopped", now, {"by": stop.asked_by})
            await work.journal.diary(run.account.id, run.request.tick, now, "emergency stop: nothing is left", {})
        elif list(stop.left) != left:
            await work.journal.event(run.account.id, "stopping", now, {"by": stop.asked_by, "left": left})
        _, known = await _load(work, run)
    return known, {"stopping": left}


async def _seen(run: Run, known: Known, exchange: Exchange) -> Seen:
    """Return what the exchange says has become of the account."""

    async def books() -> Booked:
        async with run.open_work() as work:
            return await load_booked(work, known)

    return await observe(known, books, exchange, run.clock)


async def _tell(work: Work, run: Run, discrepancies: Sequence[Discrepancy]) -> None:
    """Record the discrepancies; what somebody else did to the account stands in its diary too."""
    now = run.clock.now()
    await work.journal.discrepancies(run.account.id, now, discrepancies)
    for each in discrepancies:
        if each.kind in EXTERNAL:
            text = f"external: {each.symbol}, {each.kind.value.replace('_', ' ')}, {each.theirs}"
            await work.journal.diary(run.account.id, run.request.tick, now, text, asdict(each))


async def _tell_endings(work: Work, run: Run, traded: Sequence[Fill]) -> None:
    """Have the diary tell how positions ended, whoever ended them: no order that filled says what a trade came to."""
    for ending in await work.fills.endings(run.account.id, traded):
        body = {"symbol": ending.symbol, "direction": ending.direction, "exit": ending.reason, "net": f"{ending.net:f}"}
        await work.journal.diary(run.account.id, run.request.tick, run.clock.now(), ending.words, body)


async def _sights(work: Work, run: Run, positions: Sequence[Position]) -> dict[str, Sight]:
    """Return what exit plans are held against, by symbol."""
    tick = tick_at(run.request.tick, run.account.interval)
    snapshot = await work.snapshots.get(StageRequest(run.account.id, tick))
    return {position.symbol: sight(position, snapshot, tick, run.clock.now()) for position in positions}


async def _judge(run: Run, known: Known, seen: Seen, exchange: Exchange) -> _Found:
    """Hold what was seen against what we believed."""
    clock, ids = run.clock, frozenset[int]()
    if seen.fills:
        async with run.open_work() as work:
            ids = await work.orders.known(run.account.id, [fill.venue_order_id for fill in seen.fills])
    settled = {order.client_order_id: order for order in seen.settled}
    ours = ids | {order.venue_order_id for order in seen.settled if order.venue_order_id is not None}
    stray = [fill for fill in seen.fills if fill.venue_order_id not in ours]
    origins = await asyncio.gather(*(exchange.order_of_trade(fill) for fill in stray))
    discrepancies = position_changes(known.positions, seen.fills, seen.holdings.positions) if known.point else []
    foreign = [order for order in seen.open_orders if order.client_order_id not in settled]
    for fill, origin in zip(stray, origins, strict=True):
        if origin and origin.client_order_id in settled:
            # The trade proves what the look-up by client id could not see yet.
            settled[origin.client_order_id] = order_after(settled[origin.client_order_id], origin)
            continue
        if origin:
            foreign.append(origin)
        if origin is None or not _lost(origin):
            discrepancies.append(foreign_trade(fill, origin))
    foreign = list({order.venue_order_id: order for order in foreign}.values())
    discrepancies += [_unknown_order(order) for order in foreign if order in seen.open_orders or _lost(order)]
    if known.point and seen.unexplained and (seen.unexplained != known.point.unexplained or _gives_up(known, seen)):
        discrepancies.append(_unexplained(seen, given_up=_gives_up(known, seen)))
    doubtful = {discrepancy.symbol for discrepancy in discrepancies}
    for order in known.alive:
        if order.state.unsettled:
            after = _resolve(settled[order.client_order_id], order.client_order_id in seen.missing, doubtful, clock)
            settled[order.client_order_id] = after
            discrepancies += _resolution(order, after)
    return _Found(list(settled.values()), foreign, discrepancies)


def _adopted(known: Known, settled: Sequence[Order], positions: Sequence[Position]) -> frozenset[tuple[str, Direction]]:
    """Return the positions that stand by no entry of ours: those that did so before, and those that are new."""
    entered = {
        (order.intent.symbol, order.intent.direction)
        for order in (*known.of_cycle, *settled)
        if order.intent.leg is Leg.ENTRY and order.executed_quantity > 0
    }
    before = {position.key for position in known.positions} - known.adopted
    return frozenset(position.key for position in positions) - before - entered


def _resolve(order: Order, missing: bool, doubtful: set[str | None], clock: Clock) -> Order:
    """Declare *order* absent once look-up, resting orders, trades and position agree and it can no longer land."""
    if not missing or not order.state.unsettled or order.sent_at is None:
        return order
    if order.intent.symbol in doubtful or clock.now() - order.sent_at <= NONCE_WINDOW:
        return order
    return replace(order, state=OrderState.ABSENT, reason="proven never to have landed")


def _resolution(before: Order, after: Order) -> list[Discrepancy]:
    if after.state.unsettled:
        return []
    absent = after.state is OrderState.ABSENT
    return [
        Discrepancy(
            kind=Difference.ORDER_ABSENT if absent else Difference.ORDER_RESOLVED,
            symbol=before.intent.symbol,
            ours=f"{before.client_order_id} {before.state.value}",
            theirs="no such order" if absent else after.state.value,
            action="given up" if absent else "adopted theirs",
        )
    ]


def _lost(order: VenueOrder) -> bool:
    """Say whether the order bears a name of ours: the books that knew it were lost."""
    return leg_named(order.client_order_id) is not Leg.EXTERNAL


def _unknown_order(order: VenueOrder) -> Discrepancy:
    size = "whole position" if order.closes_position else str(order.quantity)
    return Discrepancy(
        kind=Difference.ORDER_RECOVERED if _lost(order) else Difference.ORDER_UNKNOWN,
        symbol=order.symbol,
        ours="no such order",
        theirs=f"{order.client_order_id}: {order.side.value} {order.type.value} {size}",
        action="taken back into the books" if _lost(order) else "recorded and left alone",
    )


def _gives_up(known: Known, seen: Seen) -> bool:
    """Say whether the rows that would explain the wallet have been waited for long enough."""
    if known.point is None or known.sound_at is None or not known.point.unexplained:
        return False
    return seen.unexplained != 0 and seen.holdings.at - known.sound_at > LEDGER_PATIENCE


def _unexplained(seen: Seen, *, given_up: bool) -> Discrepancy:
    wallet = seen.holdings.balance.wallet
    return Discrepancy(
        kind=Difference.WALLET_UNEXPLAINED,
        symbol=None,
        ours=f"{wallet - seen.unexplained:f}",
        theirs=f"{wallet:f}",
        action="adopted theirs" if given_up else "asked for again next time",
    )


def _point(known: Known, seen: Seen) -> EquityPoint:
    balance = seen.holdings.balance
    paid_in = sum(
        (row.amount for row in seen.incomes if row.kind in DEPOSITS and row.asset == WALLET_ASSET), Decimal(0)
    )
    return EquityPoint(
        at=seen.holdings.at,
        wallet=balance.wallet,
        unrealized=balance.unrealized,
        deposited=known.point.deposited + paid_in if known.point else balance.equity,
        unexplained=Decimal(0) if _gives_up(known, seen) else seen.unexplained,
    )


def _details(
    seen: Seen, discrepancies: Sequence[Discrepancy], repairs: Sequence[Order], tripped: Sequence[Trip]
) -> dict[str, Any]:
    balance = seen.holdings.balance
    return {
        "equity": f"{balance.equity:f}",
        "wallet": f"{balance.wallet:f}",
        "unrealized": f"{balance.unrealized:f}",
        "positions": [f"{held.direction.value} {held.quantity} {held.symbol}" for held in seen.holdings.positions],
        "breakers": [trip.breaker.value for trip in tripped],
        "fills": len(seen.fills),
        "discrepancies": [
            {"kind": each.kind.value, "symbol": each.symbol, "action": each.action} for each in discrepancies
        ],
        "repairs": [{"client_order_id": order.client_order_id, "state": order.state.value} for order in repairs],
    }
