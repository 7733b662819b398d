"""Decisions, each with its review, and the answers they were read from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import answers, decisions
from shared.domain.cycle import StageRequest
from shared.domain.decision import Action, Answer, ExitPlan
from shared.domain.position import Direction
from shared.domain.risk import Review, ReviewedDecision, Verdict

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
            await self._connection.execute(insert_all(decisions, rows).on_conflict_do_nothing())

    async def of_cycle(self, request: StageRequest) -> Sequence[ReviewedDecision]:
        """Return the decisions of a cycle in the order of the answer."""
        found = await self._connection.execute(
            _reviewed()
            .where(decisions.c.account_id == request.account_id, decisions.c.tick == request.tick)
            .order_by(decisions.c.position)
        )
        return [ReviewedDecision(decision=row.decision, review=row.review) for row in found]

    async def recent(self, account_id: str, limit: int) -> Sequence[tuple[datetime, ReviewedDecision]]:
        """Return the latest decisions that were not plain holds, with their ticks, newest first."""
        found = await self._connection.execute(
            _reviewed()
            .where(decisions.c.account_id == account_id, decisions.c.action != Action.HOLD)
            .order_by(decisions.c.tick.desc(), decisions.c.position)
            .limit(limit)
        )
        return [(row.tick, ReviewedDecision(decision=row.decision, review=row.review)) for row in found]

    async def plans(
        self, account_id: str, symbols: Sequence[str]
    ) -> Mapping[tuple[str, Direction], tuple[datetime, ExitPlan, Review]]:
        """Return, per symbol and direction, the tick, exit plan and review of the latest approved entry."""
        found = await self._connection.execute(
            _reviewed()
            .add_columns(decisions.c.asset, decisions.c.action)
            .ext(distinct_on(decisions.c.asset, decisions.c.action))
            .where(
                decisions.c.account_id == account_id,
                decisions.c.asset.in_(symbols),
                decisions.c.action.in_([Action.BUY, Action.SELL]),
                decisions.c.verdict.in_([Verdict.APPROVED, Verdict.CLIPPED]),
            )
            .order_by(decisions.c.asset, decisions.c.action, decisions.c.tick.desc(), decisions.c.position.desc())
        )
        return {(row.asset, _DIRECTIONS[row.action]): (row.tick, row.decision.exit_plan, row.review) for row in found}


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
