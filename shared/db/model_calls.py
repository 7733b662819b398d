"""Every question to a model, with the answer as received and what it cost."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import model_calls
from shared.domain.cycle import StageRequest
from shared.domain.model import OF_THE_CYCLE, ModelCall, Prompt, Purpose

_PLAIN = (
    "turn",
    "asked_model",
    "answered_model",
    "provider",
    "parameters",
    "content",
    "raw",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cost",
    "estimated",
    "latency_ms",
    "error",
    "at",
)
"""What a call and its row have in common; the prompt has columns of its own."""


class ModelCallTable:
    """The `ModelCalls` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, request: StageRequest, calls: Sequence[ModelCall]) -> None:
        """Store calls of a cycle, after those stored before: each was paid for, so none replaces another."""
        if not calls:
            return
        rows = [
            {
                "account_id": request.account_id,
                "tick": request.tick,
                "prompt_version": call.prompt.version,
                "prompt_system": call.prompt.system,
                "prompt_user": call.prompt.user,
                "prompt_turns": list(call.prompt.turns),
                "purpose": call.purpose,
                **{name: getattr(call, name) for name in _PLAIN},
            }
            for call in calls
        ]
        await self._connection.execute(insert_all(model_calls, rows))

    async def of_cycle(self, request: StageRequest) -> Sequence[ModelCall]:
        """Return the calls that a cycle's decision came from, in the order they were made: no shadow's, no replay's."""
        found = await self._connection.execute(
            select(model_calls)
            .where(
                model_calls.c.account_id == request.account_id,
                model_calls.c.tick == request.tick,
                model_calls.c.purpose.in_(OF_THE_CYCLE),
            )
            .order_by(model_calls.c.id)
        )
        return [_call(row) for row in found]

    async def spent(self, account_id: str, day: date, purpose: Purpose) -> Decimal:
        """Return what calls of that purpose have cost within a UTC day, in USD."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        cost = await self._connection.scalar(
            select(func.sum(model_calls.c.cost)).where(
                model_calls.c.account_id == account_id,
                model_calls.c.at >= midnight,
                model_calls.c.at < midnight + timedelta(days=1),
                model_calls.c.purpose == purpose,
            )
        )
        return cost or Decimal(0)


def _call(row: Row[*tuple[object, ...]]) -> ModelCall:
    prompt = Prompt(
        version=row.prompt_version, system=row.prompt_system, user=row.prompt_user, turns=tuple(row.prompt_turns)
    )
    return ModelCall(purpose=Purpose(row.purpose), prompt=prompt, **{name: getattr(row, name) for name in _PLAIN})
