"""The breakers of an account, each as it was tripped last, and what counts towards them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    RowMapping,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import breakers, orders, stage_runs
from shared.db.values import Moment
from shared.domain.account import Breaker, RiskLimits
from shared.domain.breakers import BreakerState, Trip
from shared.domain.cycle import Stage
from shared.domain.market import EPOCH
from shared.domain.order import Leg, OrderState

_TRIP = [column for column in breakers.columns if column.name not in {"account_id", "lifted_at"}]

# From exit to exit back in time, and no further than to one that did not lose: however many trades there are. One exit
# may trade in many pieces. Something realised is what tells an exit from an entry.
_LOSSES = (
    text("""
WITH RECURSIVE exits (number, at, seen, lost) AS (
    SELECT 0, CAST('infinity' AS timestamptz), CAST('{}' AS text[]), true
    UNION ALL
    SELECT number + 1, piece.at, seen || piece.of_order, whole.lost
    FROM exits
    CROSS JOIN LATERAL (
        SELECT at, symbol, venue_order_id, symbol || ' ' || venue_order_id AS of_order FROM fills
        WHERE account_id = :account AND at > :since AND at <= exits.at AND realized_pnl <> 0
            AND symbol || ' ' || venue_order_id <> ALL (exits.seen)
        ORDER BY at DESC, trade_id DESC LIMIT 1
    ) AS piece
    CROSS JOIN LATERAL (
        SELECT sum(realized_pnl - commission) < 0 AS lost FROM fills
        WHERE account_id = :account AND at > :since AND realized_pnl <> 0
            AND venue_order_id = piece.venue_order_id AND symbol = piece.symbol
    ) AS whole
    WHERE exits.lost AND number < :most
)
SELECT count(*) FROM exits WHERE number > 0 AND lost
""")
    .bindparams(bindparam("since", type_=Moment))
    .columns(count=Integer)
    .scalar_subquery()
)


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
        rows = [func.array(each.scalar_subquery(), type_=ARRAY(Boolean)) for each in (failures, refusals)]
        found = await self._connection.execute(
            select(_LOSSES, *rows),
            {
                "account": account_id,
                "since": lifted.get(Breaker.LOSING_STREAK, EPOCH),
                "most": limits.max_losses_in_a_row,
            },
        )
        lost, failed, refused = found.one()
        return lost, _first(failed), _first(refused)


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
