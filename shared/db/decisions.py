"""Decisions, each with its review, and the answers they were read from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, Select, bindparam, case, func, literal, not_, or_, select, type_coerce, union_all
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import given
from shared.db.tables import answers, decisions, model_calls, orders, positions
from shared.domain.cycle import StageRequest
from shared.domain.decision import Action, Answer, ExitPlan, Move
from shared.domain.model import OF_THE_CYCLE
from shared.domain.order import Leg, OrderState
from shared.domain.position import Direction
from shared.domain.risk import Activity, Review, ReviewedDecision, Verdict

_DIRECTIONS = {Action.BUY: Direction.LONG, Action.SELL: Direction.SHORT}


class DecisionTable:
    """The `Decisions` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, request: StageRequest, reviewed: Sequence[ReviewedDecision], answer: Answer | None) -> None:
        """Store decisions with their reviews, and the rest of the answer. What a cycle has decided stays as it is."""
        cycle = {"account_id": request.account_id, "tick": request.tick}
        if answer is not None:
            statement = insert(answers).values(
                **cycle, reasoning=answer.reasoning, repairs=list(answer.repairs), unread=answer.unread
            )
            await self._connection.execute(statement.on_conflict_do_nothing())
        if reviewed:
            rows = [{**cycle, "position": position, **_row(each)} for position, each in enumerate(reviewed)]
            made = select(given(decisions, rows), _answered_model(request).scalar_subquery())
            statement = insert(decisions).from_select([*rows[0], "model"], made)
            await self._connection.execute(statement.on_conflict_do_nothing())

    async def of_cycle(self, request: StageRequest) -> Sequence[ReviewedDecision]:
        """Return the decisions of a cycle in the order of the answer."""
        found = await self._connection.execute(
            _reviewed()
            .where(decisions.c.account_id == request.account_id, decisions.c.tick == request.tick)
            .order_by(decisions.c.position)
        )
        return [ReviewedDecision(decision=row.decision, review=row.review) for row in found]

    async def recent(
        self, account_id: str, limit: int, *, before: datetime
    ) -> Sequence[tuple[datetime, ReviewedDecision]]:
        """Return the latest decisions *before* that tick that were no plain holds, with their ticks, newest first."""
        found = await self._connection.execute(
            _reviewed()
            .where(decisions.c.account_id == account_id, decisions.c.tick < before, decisions.c.action != Action.HOLD)
            .order_by(decisions.c.tick.desc(), decisions.c.position)
            .limit(limit)
        )
        return [(row.tick, ReviewedDecision(decision=row.decision, review=row.review)) for row in found]

    async def activity(self, account_id: str, since: datetime) -> Activity:
        """Return what was approved for ticks since then, and where the fate of an order is not known."""
        unsettled = select(orders.c.symbol).where(
            orders.c.account_id == account_id, orders.c.state.in_([state for state in OrderState if state.unsettled])
        )
        found = await self._connection.execute(
            select(
                func.count(),
                func.count().filter(type_coerce(decisions.c.review, JSONB)["move"].astext == Move.FLIP),
                func.array(unsettled.scalar_subquery()),
            ).where(
                decisions.c.account_id == account_id,
                decisions.c.tick >= since,
                decisions.c.action.in_([Action.BUY, Action.SELL]),
                decisions.c.verdict.in_([Verdict.APPROVED, Verdict.CLIPPED]),
            )
        )
        entries, flips, symbols = found.one()
        return Activity(entries=entries, flips=flips, unsettled=frozenset(symbols))

    async def plans(
        self, account_id: str, symbols: Sequence[str]
    ) -> Mapping[tuple[str, Direction], tuple[datetime, ExitPlan, Review]]:
        """Return, per symbol and direction, the exit plan of the position, since when it has it, and the latest review.

        The plan is that of the latest entry that filled and did not only add to a position without saying a plan. The
        review is that of the latest approved entry: its stop and target rest whether it filled or not. A position that
        no order of ours opened has none.
        """
        rows = await self._connection.execute(_plans(), {"account": account_id, "symbols": list(symbols)})
        found = rows.all()
        latest, planned = ([row for row in found if row.planned is each] for each in (False, True))
        plans = {(row.asset, row.action): (row.tick, row.decision.exit_plan) for row in planned}
        return {
            (row.asset, _DIRECTIONS[row.action]): (
                *plans.get((row.asset, row.action), (row.tick, row.decision.exit_plan)),
                row.review,
            )
            for row in latest
        }


@cache
def _plans() -> CompoundSelect[Any]:
    """Built once, because that takes as long as to ask it: the latest approved entries, and those with the plans."""
    adopted = (
        select(positions.c.symbol)
        .where(
            positions.c.account_id == decisions.c.account_id,
            positions.c.symbol == decisions.c.asset,
            positions.c.direction == case((decisions.c.action == Action.BUY, Direction.LONG), else_=Direction.SHORT),
            positions.c.adopted,
        )
        .exists()
    )
    approved = (
        _reviewed()
        .add_columns(decisions.c.asset, decisions.c.action)
        .ext(distinct_on(decisions.c.asset, decisions.c.action))
        .where(
            decisions.c.account_id == bindparam("account"),
            decisions.c.asset.in_(bindparam("symbols", expanding=True)),
            decisions.c.action.in_([Action.BUY, Action.SELL]),
            decisions.c.verdict.in_([Verdict.APPROVED, Verdict.CLIPPED]),
            not_(adopted),
        )
        .order_by(decisions.c.asset, decisions.c.action, decisions.c.tick.desc(), decisions.c.position.desc())
    )
    filled = (
        select(orders.c.id)
        .where(
            orders.c.account_id == decisions.c.account_id,
            orders.c.tick == decisions.c.tick,
            orders.c.symbol == decisions.c.asset,
            orders.c.leg == Leg.ENTRY,
            orders.c.executed_quantity > 0,
        )
        .exists()
    )
    move = type_coerce(decisions.c.review, JSONB)["move"].astext
    plan = type_coerce(decisions.c.decision, JSONB)["exit_plan"]
    says_something = or_(
        move.is_distinct_from(Move.ADD),
        plan["text"].astext != "",
        func.jsonb_array_length(plan["unenforced"]) > 0,
        *(func.jsonb_typeof(plan[rule]) == "object" for rule in ("invalidation", "indicator", "expiry")),
    )
    both = ((False, approved), (True, approved.where(filled, says_something)))
    return union_all(*(select(each.subquery(), literal(planned).label("planned")) for planned, each in both))


def _answered_model(request: StageRequest) -> Select[Any]:
    """Return the model that had the last word of a cycle."""
    return (
        select(model_calls.c.answered_model)
        .where(
            model_calls.c.account_id == request.account_id,
            model_calls.c.tick == request.tick,
            model_calls.c.content.is_not(None),
            model_calls.c.purpose.in_(OF_THE_CYCLE),
        )
        .order_by(model_calls.c.id.desc())
        .limit(1)
    )


def _reviewed() -> Select[Any]:
    return select(decisions.c.tick, decisions.c.decision, decisions.c.review)


def _row(each: ReviewedDecision) -> dict[str, Any]:
    return {
        "asset": each.decision.asset,
        "action": each.decision.action,
        "verdict": each.review.verdict,
        "code": each.review.code,
        "decision": each.decision,
        "review": each.review,
    }
