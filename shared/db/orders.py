"""Orders as we believe them to be, ours and those we found at the exchange. The exchange has the last word."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, case, func, not_, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import given, insert_all
from shared.db.tables import orders
from shared.domain.cycle import StageRequest
from shared.domain.order import Intent, Leg, Order, OrdersAround, OrderState, OrderType, Side, VenueOrder, leg_named
from shared.domain.position import Direction

ALIVE = [state for state in OrderState if state.unsettled or state.working]
"""The states of orders that rest at the exchange, or may."""
_NEVER_TAKEN = {OrderState.REJECTED, OrderState.ABSENT}
_ENDED = [state for state in OrderState if state.ended]
_TERMS = (
    "account_id",
    "tick",
    "symbol",
    "leg",
    "attempt",
    "side",
    "direction",
    "type",
    "quantity",
    "stop_price",
    "reduce_only",
)
_PROGRESS = ("state", "venue_order_id", "executed_quantity", "average_price", "reason", "sent_at")


class OrderTable:
    """The `Orders` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def promise(self, intents: Sequence[Intent], at: datetime) -> None:
        """Record intents as INTENDED at that time. One that stands already is left as it is."""
        if not intents:
            return
        rows = [
            {
                **{name: getattr(intent, name) for name in _TERMS},
                "client_order_id": intent.client_order_id,
                "state": OrderState.INTENDED,
                "created_at": at,
            }
            for intent in intents
        ]
        await self._connection.execute(insert_all(orders, rows).on_conflict_do_nothing())

    async def of_cycle(self, request: StageRequest) -> Sequence[Order]:
        """Return our orders of a cycle, oldest first."""
        return await self._read(
            select(orders).where(orders.c.account_id == request.account_id, orders.c.tick == request.tick)
        )

    async def alive(self, account_id: str) -> Sequence[Order]:
        """Return the orders that rest at the exchange, or may, oldest first."""
        return await self._read(select(orders).where(orders.c.account_id == account_id, orders.c.state.in_(ALIVE)))

    async def save(self, changed: Sequence[Order]) -> None:
        """Update state, executed quantity, average price, venue id, reason and sending time."""
        if not changed:
            return
        rows = [
            {
                "account_id": order.intent.account_id,
                "client_order_id": order.client_order_id,
                **{name: getattr(order, name) for name in _PROGRESS},
            }
            for order in changed
        ]
        new = given(orders, rows)
        await self._connection.execute(
            update(orders)
            .where(orders.c.account_id == new.c.account_id, orders.c.client_order_id == new.c.client_order_id)
            .values({name: new.c[name] for name in _PROGRESS} | {"updated_at": func.now()})
        )

    async def adopt(self, account_id: str, found: Sequence[VenueOrder], at: datetime) -> Sequence[Order]:
        """Record orders that the exchange has and we had not, with the leg that their names tell.

        Those known already get the state that the exchange tells, unless we know better, as `order_after` says. Return
        those that this changed, as they now stand.
        """
        if not found:
            return ()
        rows = [_adopted(account_id, order, at) for order in {order.client_order_id: order for order in found}.values()]
        statement = insert_all(orders, rows)
        told = statement.excluded
        # Others may use a client order id again for another order; ours is what we promised.
        terms = ("symbol", "side", "direction", "type", "quantity", "stop_price", "reduce_only")
        external = orders.c.leg == Leg.EXTERNAL
        back = and_(orders.c.state.in_(_ENDED), told.state.not_in(_ENDED))
        stale = and_(
            orders.c.venue_order_id.is_not_distinct_from(told.venue_order_id),
            or_(back, told.executed_quantity < orders.c.executed_quantity),
        )
        changed = await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[orders.c.account_id, orders.c.client_order_id],
                set_={name: case((external, told[name]), else_=orders.c[name]) for name in terms}
                | {name: told[name] for name in ("state", "venue_order_id", "executed_quantity", "average_price")}
                | {"updated_at": told.updated_at},
                where=not_(stale),
            ).returning(orders)
        )
        return [_order(row) for row in changed]

    async def named(self, account_id: str, client_order_id: str) -> Order | None:
        """Return the order of that name."""
        found = await self._read(
            select(orders).where(orders.c.account_id == account_id, orders.c.client_order_id == client_order_id)
        )
        return next(iter(found), None)

    async def around(self, request: StageRequest) -> OrdersAround:
        """Return the orders that concern a cycle. In one round trip."""
        found = await self._read(
            select(orders).where(
                orders.c.account_id == request.account_id,
                or_(orders.c.tick >= request.tick, orders.c.state.in_(ALIVE)),
            )
        )
        # Those found at the exchange are of no cycle, whenever that was.
        promised = [order for order in found if order.client_order_id == order.intent.client_order_id]
        return OrdersAround(
            alive=tuple(order for order in found if order.state in ALIVE),
            of_cycle=tuple(order for order in promised if order.intent.tick == request.tick),
            exits=tuple(
                order
                for order in promised
                if order.intent.leg is Leg.EXIT
                and order.intent.tick >= request.tick
                and order.state not in _NEVER_TAKEN
            ),
        )

    async def fired(self, account_id: str, symbols: Collection[str]) -> frozenset[tuple[str, Direction]]:
        """Return symbol and direction of which the last stop that the exchange took has expired."""
        taken = [state for state in OrderState if not state.unsettled and state not in _NEVER_TAKEN]
        found = await self._connection.execute(
            select(orders.c.symbol, orders.c.direction, orders.c.state)
            .ext(distinct_on(orders.c.symbol, orders.c.direction))
            .where(
                orders.c.account_id == account_id,
                orders.c.symbol.in_(symbols),
                orders.c.leg == Leg.STOP,
                orders.c.state.in_(taken),
            )
            .order_by(orders.c.symbol, orders.c.direction, orders.c.id.desc())
        )
        return frozenset((row.symbol, Direction(row.direction)) for row in found if row.state == OrderState.EXPIRED)

    async def known(self, account_id: str, venue_order_ids: Sequence[int]) -> frozenset[int]:
        """Return those of the exchange's order ids that we have a row for."""
        found = await self._connection.scalars(
            select(orders.c.venue_order_id).where(
                orders.c.account_id == account_id, orders.c.venue_order_id.in_(venue_order_ids)
            )
        )
        return frozenset(found)

    async def _read(self, statement: Select[Any]) -> Sequence[Order]:
        return [_order(row) for row in await self._connection.execute(statement.order_by(orders.c.id))]


def _order(row: Row[Any]) -> Order:
    intent = Intent(
        account_id=row.account_id,
        # An order that was found at the exchange serves no tick that we know; it is named by when we found it.
        tick=row.tick or row.created_at,
        symbol=row.symbol,
        leg=Leg(row.leg),
        attempt=row.attempt,
        side=Side(row.side),
        direction=Direction(row.direction),
        type=OrderType(row.type),
        quantity=row.quantity,
        stop_price=row.stop_price,
        reduce_only=row.reduce_only,
    )
    return Order(
        intent=intent,
        client_order_id=row.client_order_id,
        state=OrderState(row.state),
        venue_order_id=row.venue_order_id,
        executed_quantity=row.executed_quantity,
        average_price=row.average_price,
        reason=row.reason,
        sent_at=row.sent_at,
    )


def _adopted(account_id: str, order: VenueOrder, at: datetime) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "symbol": order.symbol,
        "leg": leg_named(order.client_order_id),
        "attempt": 0,
        "client_order_id": order.client_order_id,
        "side": order.side,
        "direction": order.direction,
        "type": order.type,
        "quantity": None if order.closes_position else order.quantity,
        "stop_price": order.stop_price or None,
        "reduce_only": order.reduce_only,
        "state": order.state,
        "venue_order_id": order.venue_order_id,
        "executed_quantity": order.executed_quantity,
        "average_price": order.average_price,
        "created_at": at,
        "updated_at": at,
    }
