"""What each decision was made from, one document a cycle."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import snapshots
from shared.domain.cycle import StageRequest
from shared.domain.snapshot import Snapshot


class SnapshotTable:
    """The `Snapshots` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, snapshot: Snapshot) -> None:
        """Store the snapshot of a cycle. A second one replaces the first: it was taken before anybody decided on it."""
        statement = insert(snapshots).values(
            account_id=snapshot.account_id, tick=snapshot.tick, body=snapshot, taken_at=snapshot.taken_at
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(snapshots.primary_key),
                set_={"body": statement.excluded.body, "taken_at": statement.excluded.taken_at},
            )
        )

    async def get(self, request: StageRequest) -> Snapshot | None:
        """Return the snapshot of a cycle."""
        return await self._connection.scalar(
            select(snapshots.c.body).where(
                snapshots.c.account_id == request.account_id, snapshots.c.tick == request.tick
            )
        )

    async def latest_tick(self, account_id: str) -> datetime | None:
        """Return the tick of the account's newest snapshot."""
        tick: datetime | None = await self._connection.scalar(
            select(func.max(snapshots.c.tick)).where(snapshots.c.account_id == account_id)
        )
        return tick
