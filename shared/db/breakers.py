"""The breakers of an account, each as it was tripped last, and what counts towards them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import Boolean, ColumnElement, RowMapping, Select, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import breakers, fills, orders, stage_runs
from shared.domain.account import Breaker, RiskLimits
from shared.domain.breakers import BreakerState, Trip
from shared.domain.cycle import Stage
from shared.domain.order import Leg, OrderState

_TRIP = [column for column in breakers.columns if column.name not in {"account_id", "lifted_at"}]


class BreakerTable:
    """The `Breakers` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def standing(self, account_id: str, now: datetime) -> Sequence[Trip]:
        """Return the breakers that stand, the first tripped first."""
        found = await self._connection.execute(
            select(*_TRIP).where(_stands(account_id, now)).order_by(breakers.c.at, breakers.c.breaker)
        )
        return [_trip(row) for row in found.mappings()]

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

    async def state(self, account_id: str, now: datetime) -> BreakerState:
        """Return which breakers stand *now*, and when the others were lifted."""
        found = await self._connection.execute(
            select(breakers).where(breakers.c.account_id == account_id).order_by(breakers.c.at, breakers.c.breaker)
        )
        standing, expired, lifted = [], [], {}
        for row in found:
            breaker = Breaker(row.breaker)
            if row.lifted_at is not None:
                lifted[breaker] = row.lifted_at
            elif row.lifts_at is not None and row.lifts_at <= now:
                lifted[breaker] = row.lifts_at
                expired.append(breaker)
            else:
                standing.append(_trip(row._mapping))
        return BreakerState(standing=tuple(standing), expired=tuple(sorted(expired)), lifted=lifted)

    async def in_a_row(
        self, account_id: str, limits: RiskLimits, lifted: Mapping[Breaker, datetime]
    ) -> tuple[int, int, int]:
        """Return how many, one after the other and since its breaker was *lifted*, up to its limit.

        Of the last exits those that lost, fees included; of the last cycles those in which a model was asked and gave
        no usable answer; of the last entries those that the exchange refused. In one round trip.
        """
        # One exit may trade in many pieces. Something realised is what tells an exit from an entry.
        result = func.sum(fills.c.realized_pnl - fills.c.commission)
        losses = (
            _since(
                select(result < 0).where(fills.c.account_id == account_id, fills.c.realized_pnl != 0),
                fills.c.at,
                lifted.get(Breaker.LOSING_STREAK),
            )
            .group_by(fills.c.symbol, fills.c.venue_order_id)
            .order_by(func.max(fills.c.at).desc(), func.max(fills.c.trade_id).desc())
            .limit(limits.max_losses_in_a_row)
        )
        told = stage_runs.c.result
        failures = (
            _since(
                select(told["no_answer"].astext.is_not(None)).where(
                    stage_runs.c.account_id == account_id,
                    stage_runs.c.stage == Stage.DECIDE,
                    told["model"].astext.is_not(None),
                ),
                stage_runs.c.tick,
                lifted.get(Breaker.MODEL_FAILURES),
            )
            .order_by(stage_runs.c.tick.desc())
            .limit(limits.max_model_failures)
        )
        refusals = (
            _since(
                select(orders.c.state == OrderState.REJECTED).where(
                    orders.c.account_id == account_id, orders.c.leg == Leg.ENTRY, orders.c.sent_at.is_not(None)
                ),
                orders.c.sent_at,
                lifted.get(Breaker.ORDER_REFUSALS),
            )
            .order_by(orders.c.id.desc())
            .limit(limits.max_order_refusals)
        )
        rows = [func.array(each.scalar_subquery(), type_=ARRAY(Boolean)) for each in (losses, failures, refusals)]
        lost, failed, refused = map(_first, (await self._connection.execute(select(*rows))).one())
        return lost, failed, refused


def _first(rows: Sequence[bool]) -> int:
    """Return how many of the first rows say yes, one after the other."""
    return sum(1 for _ in takewhile(bool, rows))


def _trip(row: RowMapping) -> Trip:
    values = {column.name: row[column.name] for column in _TRIP}
    return Trip(**{**values, "breaker": Breaker(values["breaker"])})


def _stands(account_id: str, now: datetime) -> ColumnElement[bool]:
    return and_(
        breakers.c.account_id == account_id,
        breakers.c.lifted_at.is_(None),
        or_(breakers.c.lifts_at.is_(None), breakers.c.lifts_at > now),
    )


def _since(statement: Select[Any], at: ColumnElement[datetime], since: datetime | None) -> Select[Any]:
    return statement if since is None else statement.where(at > since)
