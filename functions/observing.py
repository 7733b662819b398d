"""
Observing: what the exchange says has become of an account since we last looked.

Calls, and a look into the books; nothing is written here. The wallet is the check: our last wallet, the trades since
and the ledger's other rows must add up to theirs, to the last decimal. Only what is needed to make them add up is asked
for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from shared.domain.account import Account
from shared.domain.errors import VenueError
from shared.domain.order import Fill, Income, IncomeKind, Order, OrdersAround, OrderState, VenueOrder
from shared.domain.performance import EquityPoint
from shared.domain.ports import Clock, Exchange
from shared.domain.position import Direction, Holdings, Position
from shared.domain.reconciliation import order_after, position_changes, wallet_change
from shared.domain.work import Work

log = logging.getLogger("perpetua.trading")

LOOKS = 3
"""Trades that land between two calls make the books disagree for a moment: look again so often before saying so."""

FIRST_LOOK_BACK = timedelta(minutes=1)

NONCE_WINDOW = timedelta(minutes=2)
"""A signed order can still land so long after it was sent: the exchange's window of 60 s, the 50 s that a nonce may be
ahead of its time after a clock was put right, and some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What we believed before looking."""

    account: Account
    alive: tuple[Order, ...]
    of_cycle: tuple[Order, ...]
    positions: tuple[Position, ...]
    adopted: frozenset[tuple[str, Direction]]
    """Those of them that no order of ours opened."""
    naked: bool
    """One of them stood without a stop."""
    point: EquityPoint | None
    sound_at: datetime | None
    """Up to when the books add up: what is missing from them is asked for since then. None before the first point."""


@dataclass(frozen=True, slots=True)
class Booked:
    """What the books hold already of what the exchange may tell of."""

    last_trade_ids: Mapping[str, int]
    income_keys: frozenset[tuple[IncomeKind, str]]
    """Of the ledger's rows since the books last added up."""


Books = Callable[[], Awaitable[Booked]]
"""Looks into the books. That is done once the exchange shows that something has happened: mostly, nothing has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the exchange says. `unexplained` is what of the wallet nothing accounts for yet."""

    holdings: Holdings
    open_orders: tuple[VenueOrder, ...]
    settled: tuple[Order, ...]
    """Our orders that were alive, as they are now."""
    missing: frozenset[str]
    """Client ids of those that the exchange says it does not know."""
    fills: tuple[Fill, ...]
    incomes: tuple[Income, ...]
    unexplained: Decimal


async def load_known(work: Work, account: Account, around: OrdersAround) -> Known:
    """Read what we believe."""
    last = await work.holds.reconciled(account.id)
    point = sound = last.point if last else None
    if point and point.unexplained:
        sound = await work.holds.last_sound(account.id) or point
    return Known(
        account=account,
        alive=around.alive,
        of_cycle=around.of_cycle,
        positions=last.positions if last else (),
        adopted=last.adopted if last else frozenset(),
        naked=last.naked if last else False,
        point=point,
        sound_at=sound.at if sound else None,
    )


async def load_booked(work: Work, known: Known) -> Booked:
    """Read what the books hold already."""
    account_id, since = known.account.id, known.sound_at
    return Booked(
        last_trade_ids=await work.fills.last_trade_ids(account_id),
        income_keys=await work.incomes.keys_since(account_id, since) if since else frozenset(),
    )


async def booked_before(holdings: Holdings, exchange: Exchange) -> list[Income]:
    """Return the ledger rows that the first balance we ever saw holds already, so that they are not counted again."""
    rows = await exchange.incomes(since=holdings.at - FIRST_LOOK_BACK)
    return [row for row in rows if not row.kind.told_by_fills]


async def observe(known: Known, books: Books, exchange: Exchange, clock: Clock) -> Seen:
    """Look until the books add up, a few times at most."""
    for _ in range(LOOKS):
        seen = await _look(known, books, exchange, clock)
        if seen.unexplained == 0 and not position_changes(known.positions, seen.fills, seen.holdings.positions):
            break
    return seen


async def holdings_and_orders(
    exchange: Exchange, symbols: Collection[str], *, elsewhere: bool = False, urgent: bool = False
) -> tuple[Holdings, list[VenueOrder]]:
    """Return what the account holds, and what rests in *symbols* and wherever else it holds something.

    With *elsewhere*, also what rests where nothing is known of, now and then.
    """
    holdings, resting = await asyncio.gather(
        exchange.holdings(urgent=urgent), exchange.open_orders(symbols, elsewhere=elsewhere, urgent=urgent)
    )
    found = {order.venue_order_id: order for order in resting}
    if unforeseen := {position.symbol for position in holdings.positions} - {*symbols}:
        found |= {order.venue_order_id: order for order in await exchange.open_orders(unforeseen, urgent=urgent)}
    return holdings, list(found.values())


async def _look(known: Known, books: Books, exchange: Exchange, clock: Clock) -> Seen:
    ours = {order.intent.symbol for order in known.alive} | {position.symbol for position in known.positions}
    symbols = ours | {*known.account.symbols}
    holdings, open_orders = await holdings_and_orders(exchange, symbols, elsewhere=True, urgent=True)
    settled, missing = await _settle(known.alive, open_orders, exchange, clock.now())
    explained = known.point.wallet - known.point.unexplained if known.point else holdings.balance.wallet
    gap = holdings.balance.wallet - explained
    fills: list[Fill] = []
    incomes: list[Income] = []
    suspects = _suspects(known, settled, holdings)
    if known.sound_at is None:
        incomes = await booked_before(holdings, exchange)
    elif gap or suspects:
        booked, since = await books(), known.sound_at
        fills = await _fills(booked, suspects, exchange, since=since)
        if wallet_change(fills, ()) != gap:
            rows = await exchange.incomes(since=since)
            incomes = [row for row in rows if (row.kind, row.transaction_id) not in booked.income_keys]
            traded = {row.symbol for row in incomes if row.kind.told_by_fills and row.symbol}
            fills += await _fills(booked, traded - suspects, exchange, since=since)
            incomes = [row for row in incomes if not row.kind.told_by_fills]
    fills.sort(key=lambda fill: (fill.at, fill.trade_id))
    return Seen(
        holdings=holdings,
        open_orders=tuple(open_orders),
        settled=tuple(settled),
        missing=missing,
        fills=tuple(fills),
        incomes=tuple(incomes),
        unexplained=gap - wallet_change(fills, incomes) if known.point else Decimal(0),
    )


async def _settle(
    alive: Sequence[Order], open_orders: Sequence[VenueOrder], exchange: Exchange, now: datetime
) -> tuple[list[Order], frozenset[str]]:
    """Return our living orders as the exchange has them, and the ids it does not know."""
    resting = {order.client_order_id: order for order in open_orders}
    looked_up = await asyncio.gather(
        *(_look_up(order, exchange, now) for order in alive if order.client_order_id not in resting)
    )
    gone = {order.client_order_id: (order, missing) for order, missing in looked_up}
    settled = [
        gone[order.client_order_id][0]
        if order.client_order_id in gone
        else order_after(order, resting[order.client_order_id])
        for order in alive
    ]
    return settled, frozenset(client_id for client_id, (_, missing) in gone.items() if missing)


async def _look_up(order: Order, exchange: Exchange, now: datetime) -> tuple[Order, bool]:
    """Return *order* as it now is, and whether the exchange says that it knows no such order."""
    try:
        found = await exchange.find_order(order.intent.symbol, order.client_order_id)
    except VenueError as exc:
        # No proof of anything, and no reason to leave the rest of the account unseen and unprotected.
        log.warning("order not looked up", extra={"order": order.client_order_id, "why": str(exc)})
        return order, False
    if found:
        return order_after(order, found), False
    # Whoever promised it is gone, or its answer never came: from now on the clock of the nonce window runs.
    return replace(order, state=OrderState.UNRESOLVED, sent_at=order.sent_at or now), True


def _suspects(known: Known, settled: Iterable[Order], holdings: Holdings) -> set[str]:
    """Return the symbols in which something must have traded."""
    executed = {order.client_order_id: order.executed_quantity for order in known.alive}
    traded = {
        order.intent.symbol for order in settled if order.executed_quantity != executed[order.client_order_id]
    } | {order.intent.symbol for order in known.of_cycle if order.executed_quantity > 0}
    moved = {change.symbol for change in position_changes(known.positions, (), holdings.positions) if change.symbol}
    return traded | moved


async def _fills(booked: Booked, symbols: Iterable[str], exchange: Exchange, *, since: datetime) -> list[Fill]:
    answers = await asyncio.gather(
        *(
            exchange.fills(symbol, after_trade_id=booked.last_trade_ids.get(symbol), since=since)
            for symbol in sorted(symbols)
        )
    )
    return [fill for fills in answers for fill in fills]
