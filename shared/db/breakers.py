"""The breakers of an account, each as it was tripped last, and what counts towards them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import breakers, fills, orders, stage_runs
from shared.domain.account import Breaker
from shared.domain.breakers import Trip
from shared.domain.cycle import Stage
from shared.domain.order import Leg, OrderState


class BreakerTable:
    """The `Breakers` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def standing(self, account_id: str, now: datetime) -> Sequence[Trip]:
        """Return the breakers that stand, the first tripped first."""
        columns = [column for column in breakers.columns if column.name not in {"account_id", "lifted_at"}]
        found = await self._connection.execute(
            select(*columns).where(_stands(account_id, now)).order_by(breakers.c.at, breakers.c.breaker)
        )
        return [Trip(**{**row, "breaker": Breaker(row["breaker"])}) for row in found.mappings()]

    async def trip(self, account_id: str, trips: Sequence[Trip]) -> None:
        """Record that they were tripped."""
        if not trips:
            return
        rows = [
            {
                "account_id": account_id,
                "breaker": trip.breaker,
                "at": trip.at,
                "lifts_at": trip.lifts_at,
                "lifted_at": None,
                "flatten": trip.flatten,
                "reason": trip.reason,
                "saw": dict(trip.saw),
            }
            for trip in trips
        ]
        statement = insert_all(breakers, rows)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in {"account_id", "breaker"}}
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=[breakers.c.account_id, breakers.c.breaker], set_=changed)
        )

    async def expire(self, account_id: str, now: datetime) -> Sequence[Breaker]:
        """Record which of them time has lifted, and return those that it had not been recorded of."""
        found = await self._connection.scalars(
            update(breakers)
            .where(breakers.c.account_id == account_id, breakers.c.lifted_at.is_(None), breakers.c.lifts_at <= now)
            .values(lifted_at=breakers.c.lifts_at)
            .returning(breakers.c.breaker)
        )
        return sorted(map(Breaker, found))

    async def lift(self, account_id: str, now: datetime) -> Sequence[Breaker]:
        """Lift all that stand, and return them."""
        found = await self._connection.scalars(
            update(breakers).where(_stands(account_id, now)).values(lifted_at=now).returning(breakers.c.breaker)
        )
        return sorted(map(Breaker, found))

    async def lifted(self, account_id: str) -> Mapping[Breaker, datetime]:
        """Return when each breaker was lifted last: what it counts, counts since then."""
        found = await self._connection.execute(
            select(breakers.c.breaker, breakers.c.lifted_at).where(
                breakers.c.account_id == account_id, breakers.c.lifted_at.is_not(None)
            )
        )
        return {Breaker(row.breaker): row.lifted_at for row in found}

    async def losses_in_a_row(self, account_id: str, since: datetime | None, most: int) -> int:
        """Return how many of the last exits lost, one after the other, fees included; *most* at most."""
        # One exit may trade in many pieces. Something realised is what tells an exit from an entry.
        result = func.sum(fills.c.realized_pnl - fills.c.commission)
        return await self._row_of(
            _since(
                select(result < 0).where(fills.c.account_id == account_id, fills.c.realized_pnl != 0), fills.c.at, since
            )
            .group_by(fills.c.symbol, fills.c.venue_order_id)
            .order_by(func.max(fills.c.at).desc(), func.max(fills.c.trade_id).desc()),
            most,
        )

    async def model_failures_in_a_row(self, account_id: str, since: datetime | None, most: int) -> int:
        """Return in how many of the last cycles the model was asked and gave no usable answer; *most* at most."""
        told = stage_runs.c.result
        return await self._row_of(
            _since(
                select(told["no_answer"].astext.is_not(None)).where(
                    stage_runs.c.account_id == account_id,
                    stage_runs.c.stage == Stage.DECIDE,
                    told["model"].astext.is_not(None),
                ),
                stage_runs.c.tick,
                since,
            ).order_by(stage_runs.c.tick.desc()),
            most,
        )

    async def order_refusals_in_a_row(self, account_id: str, since: datetime | None, most: int) -> int:
        """Return how many of the last entries the exchange refused, one after the other; *most* at most."""
        return await self._row_of(
            _since(
                select(orders.c.state == OrderState.REJECTED).where(
                    orders.c.account_id == account_id, orders.c.leg == Leg.ENTRY, orders.c.sent_at.is_not(None)
                ),
                orders.c.sent_at,
                since,
            ).order_by(orders.c.id.desc()),
            most,
        )

    async def _row_of(self, statement: Select[Any], most: int) -> int:
        """Return how many of the first rows say yes, one after the other."""
        found = await self._connection.scalars(statement.limit(most))
        return sum(1 for _ in takewhile(bool, found))


def _stands(account_id: str, now: datetime) -> ColumnElement[bool]:
    return and_(
        breakers.c.account_id == account_id,
        breakers.c.lifted_at.is_(None),
        or_(breakers.c.lifts_at.is_(None), breakers.c.lifts_at > now),
    )


def _since(statement: Select[Any], at: ColumnElement[datetime], since: datetime | None) -> Select[Any]:
    return statement if since is None else statement.where(at > since)
