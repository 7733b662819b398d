"""Protection: the resting orders that end a position. A position without its stop may stand only for seconds."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from shared.domain.instrument import Instrument
from shared.domain.order import PROTECTION, Fill, Intent, Leg, OrderType, Side, VenueOrder
from shared.domain.position import Direction, Position
from shared.domain.sizing import LIQUIDATION_BUFFER


@dataclass(frozen=True, slots=True, kw_only=True)
class NakedSpell:
    """A time in which a position stood without a stop of its full size; `until` is None while it does."""

    symbol: str
    direction: Direction
    since: datetime
    until: datetime | None = None


def naked_since(
    position: Position, *, before: Iterable[Position], looked_at: datetime | None, fills: Iterable[Fill], now: datetime
) -> datetime:
    """Return since when a position that was found without a stop may have had none: the worst case.

    One that stood *before*, when the account was last *looked_at*, since then; one that is new, since the first of the
    *fills* that came since, or since *now* where none of them opened it.
    """
    if looked_at is not None and position.key in {held.key for held in before}:
        return looked_at
    opening = Side.opening(position.direction)
    opened = [fill.at for fill in fills if fill.symbol == position.symbol and fill.side is opening]
    return min(opened, default=now)


def protective_intent(
    account_id: str,
    tick: datetime,
    symbol: str,
    *,
    direction: Direction,
    leg: Leg,
    price: Decimal,
    attempt: int = 0,
) -> Intent:
    """Return the order that ends a *direction* position at *price*.

    It carries no size: it closes whatever position it finds, so partial fills and additions are covered in full.
    """
    return Intent(
        account_id=account_id,
        tick=tick,
        symbol=symbol,
        leg=leg,
        attempt=attempt,
        side=Side.opening(direction).opposite,
        direction=direction,
        type=PROTECTION[leg],
        quantity=None,
        stop_price=price,
    )


def exit_intent(
    account_id: str, tick: datetime, symbol: str, *, direction: Direction, quantity: Decimal, attempt: int = 0
) -> Intent:
    """Return the market order that ends a *direction* position now and can never turn it around."""
    return Intent(
        account_id=account_id,
        tick=tick,
        symbol=symbol,
        leg=Leg.EXIT,
        attempt=attempt,
        side=Side.opening(direction).opposite,
        direction=direction,
        type=OrderType.MARKET,
        quantity=quantity,
        reduce_only=True,
    )


def fit(intent: Intent, instrument: Instrument) -> Intent | None:
    """Return *intent* within the filters of *instrument*, its size rounded down and its stop price towards the market.

    None where nothing is left of it that could be traded.
    """
    quantity, price = intent.quantity, intent.stop_price
    if quantity is not None:
        quantity = instrument.round_quantity(quantity)
        if quantity < instrument.min_quantity:
            return None
    if price is not None:
        up = (intent.direction is Direction.LONG) is (intent.leg is Leg.STOP)
        price = instrument.round_price_up(price) if up else instrument.round_price_down(price)
    return replace(intent, quantity=quantity, stop_price=price)


def stops_of(position: Position, resting: Iterable[VenueOrder]) -> list[VenueOrder]:
    """Return the resting orders that limit the loss of the whole of *position*, whoever placed them."""
    return _ending(position, resting, {OrderType.STOP_MARKET, OrderType.STOP})


def targets_of(position: Position, resting: Iterable[VenueOrder]) -> list[VenueOrder]:
    """Return the resting orders that take the profit of the whole of *position*, whoever placed them."""
    return _ending(position, resting, {OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT})


def _ending(position: Position, resting: Iterable[VenueOrder], types: set[OrderType]) -> list[VenueOrder]:
    side, size = Side.opening(position.direction).opposite, position.quantity
    return [
        order
        for order in resting
        if order.symbol == position.symbol
        and order.side is side
        and order.position_side in {None, position.direction}
        and order.type in types
        and (order.closes_position or (_only_reduces(order) and order.quantity - order.executed_quantity >= size))
    ]


def _only_reduces(order: VenueOrder) -> bool:
    """In hedge mode an order against its position side can do nothing else, and is not marked as reduce-only."""
    return order.reduce_only or order.position_side is not None


def fallback_stop(position: Position, instrument: Instrument, distance: Decimal) -> Decimal:
    """Return a stop price for a position that came without a plan.

    It lies *distance* (a fraction) from the mark, or nearer where liquidation would come first.
    """
    if position.liquidation_price is not None:
        way = abs(position.mark_price - position.liquidation_price) / position.mark_price
        distance = min(distance, LIQUIDATION_BUFFER * way)
    price = position.mark_price * (1 - position.direction.sign * distance)
    return (
        instrument.round_price_up(price) if position.direction is Direction.LONG else instrument.round_price_down(price)
    )
