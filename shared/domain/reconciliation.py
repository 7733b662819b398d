"""How ours and theirs can differ, and the words for it. The exchange is the truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from shared.domain.order import Fill, Income, Leg, Order, OrderState, Side, VenueOrder
from shared.domain.performance import EquityPoint
from shared.domain.position import WALLET_ASSET, Direction, Position

LIQUIDATING, DELEVERAGING = "autoclose-", "adl_autoclose"
"""How the exchange names its own orders: the one begins, the other is."""


class Difference(StrEnum):
    """The classes of discrepancy."""

    ORDER_UNKNOWN = "order_unknown"
    """The exchange has an order that we do not."""
    ORDER_RECOVERED = "order_recovered"
    """An order that bears a name of ours is missing from our books: they were restored from an older copy."""
    ORDER_RESOLVED = "order_resolved"
    """An order whose fate was unknown was found at the exchange."""
    ORDER_ABSENT = "order_absent"
    """An order whose fate was unknown is proven never to have landed."""
    ORPHAN_PROTECTION = "orphan_protection"
    """A stop or target of ours rests without a position, and no order of ours ended that."""
    MISSING_STOP = "missing_stop"
    """A position stands without a stop."""
    DUPLICATE_STOP = "duplicate_stop"
    """More than one stop of ours rests for one position."""
    MISSING_TARGET = "missing_target"
    """A position stands without the target of its plan."""
    DUPLICATE_TARGET = "duplicate_target"
    """More than one target of ours rests for one position."""
    EXIT_PLAN = "exit_plan"
    """A position stands although its exit plan has come true."""
    MANUAL_TRADE = "manual_trade"
    """A trade came from no order of ours."""
    LIQUIDATION = "liquidation"
    """The exchange ended the position because its margin was used up."""
    DELEVERAGING = "deleveraging"
    """The exchange ended the position, or part of it, because somebody else's margin was used up."""
    POSITION_CHANGED = "position_changed"
    """The position is not what our last one and the trades since then add up to."""
    WALLET_UNEXPLAINED = "wallet_unexplained"
    """The wallet moved by something that neither trades nor the income ledger tell."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How an account stood when it was last reconciled."""

    point: EquityPoint
    positions: tuple[Position, ...]
    adopted: frozenset[tuple[str, Direction]]
    """Those of them that no order of ours opened: they have no plan."""
    naked: bool
    """One of them stood without a stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """One difference, and what was done about it."""

    kind: Difference
    symbol: str | None
    ours: str
    theirs: str
    action: str


def order_after(order: Order, reported: VenueOrder) -> Order:
    """Return *order* as the exchange reports it; as it is where the report is older than what we know."""
    if _stale(order, reported):
        return order
    return Order(
        intent=order.intent,
        client_order_id=order.client_order_id,
        state=reported.state,
        venue_order_id=reported.venue_order_id,
        executed_quantity=reported.executed_quantity,
        average_price=reported.average_price,
        reason=None,
        sent_at=order.sent_at,
    )


def _stale(order: Order, reported: VenueOrder) -> bool:
    """Say whether we know better: an order that has ended does not work again, and nothing that was traded is undone.

    A report under another of the exchange's ids is that of a later order by the same name.
    """
    if order.venue_order_id != reported.venue_order_id:
        return False
    return (order.state.ended and not reported.state.ended) or reported.executed_quantity < order.executed_quantity


def signed_quantities(positions: Iterable[Position]) -> dict[str, Decimal]:
    """Return the size held in each symbol, negative for SHORT; of two positions, what one outweighs the other by."""
    sizes: dict[str, Decimal] = {}
    for held in positions:
        sizes[held.symbol] = sizes.get(held.symbol, Decimal(0)) + held.quantity * held.direction.sign
    return sizes


def expected_quantities(before: Iterable[Position], fills: Iterable[Fill]) -> dict[str, Decimal]:
    """Return what *before* and the trades since then add up to, by symbol, flat ones left out."""
    sizes = signed_quantities(before)
    for fill in fills:
        change = fill.quantity if fill.side is Side.BUY else -fill.quantity
        sizes[fill.symbol] = sizes.get(fill.symbol, Decimal(0)) + change
    return {symbol: size for symbol, size in sizes.items() if size != 0}


def wallet_change(fills: Iterable[Fill], incomes: Iterable[Income]) -> Decimal:
    """Return what trades and the rest of the ledger did to the wallet: profit less commission, funding, transfers."""
    profits = sum((fill.realized_pnl for fill in fills), Decimal(0))
    costs = sum((fill.commission for fill in fills if fill.commission_asset == WALLET_ASSET), Decimal(0))
    rest = (row.amount for row in incomes if row.asset == WALLET_ASSET and not row.kind.told_by_fills)
    return profits - costs + sum(rest, Decimal(0))


def position_changes(
    before: Sequence[Position], fills: Sequence[Fill], theirs: Sequence[Position]
) -> list[Discrepancy]:
    """Return a discrepancy for each symbol whose size the known trades do not explain."""
    ours, real = expected_quantities(before, fills), signed_quantities(theirs)
    return [
        Discrepancy(
            kind=Difference.POSITION_CHANGED,
            symbol=symbol,
            ours=str(ours.get(symbol, Decimal(0))),
            theirs=str(real.get(symbol, Decimal(0))),
            action="adopted theirs",
        )
        for symbol in sorted(ours.keys() | real.keys())
        if ours.get(symbol, Decimal(0)) != real.get(symbol, Decimal(0))
    ]


def foreign_trade(fill: Fill, order: VenueOrder | None) -> Discrepancy:
    """Return the discrepancy of a trade whose order is not ours: made by hand, or by the exchange itself."""
    kind, name = Difference.MANUAL_TRADE, order.client_order_id if order else ""
    if name.startswith(LIQUIDATING):
        kind = Difference.LIQUIDATION
    elif name == DELEVERAGING:
        kind = Difference.DELEVERAGING
    return Discrepancy(
        kind=kind,
        symbol=fill.symbol,
        ours="no such order",
        theirs=f"trade {fill.trade_id}: {fill.side.value} {fill.quantity} at {fill.price}",
        action="booked",
    )


def orphans(ours: Iterable[Order], positions: Iterable[Position]) -> list[Order]:
    """Return our resting protection that has neither its position nor an order that may yet make one."""
    ours = list(ours)
    held = {(position.symbol, position.direction) for position in positions}
    pending = {
        order.intent.symbol
        for order in ours
        if order.state.unsettled or (order.intent.leg is Leg.ENTRY and order.state.working)
    }
    return [
        order
        for order in ours
        if order.state is OrderState.NEW
        and order.intent.leg is not Leg.EXTERNAL
        and order.intent.closes_position
        and order.intent.symbol not in pending
        and (order.intent.symbol, order.intent.direction) not in held
    ]


def ended(orders: Iterable[Order]) -> set[tuple[str, Direction]]:
    """Return the positions that orders of ours ended, or a part of: what rests for those is taken away as usual."""
    return {
        (order.intent.symbol, order.intent.direction)
        for order in orders
        if order.executed_quantity > 0 and order.intent.leg in {Leg.STOP, Leg.TARGET, Leg.EXIT}
    }
