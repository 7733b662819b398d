"""How the accounts' models have been answering."""

from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import model_health
from shared.domain.model_health import ModelHealth


class ModelHealthTable:
    """The `ModelHealths` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, account_id: str) -> ModelHealth:
        """Return it; a sound one where nothing is known."""
        found = await self._connection.execute(select(model_health).where(model_health.c.account_id == account_id))
        row = found.one_or_none()
        if row is None:
            return ModelHealth()
        return ModelHealth(
            failures=row.failures,
            manage_only_since=row.manage_only_since,
            reason=row.reason,
            asks_again_at=row.asks_again_at,
        )

    async def save(self, account_id: str, health: ModelHealth) -> None:
        """Store it."""
        values = asdict(health)
        await self._connection.execute(
            insert(model_health)
            .values(account_id=account_id, **values)
            .on_conflict_do_update(index_elements=[model_health.c.account_id], set_=values)
        )
