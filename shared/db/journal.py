"""What happened, for people and for streams: written in the transaction of the change it tells of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import diary, discrepancies, events
from shared.domain.reconciliation import Discrepancy


class JournalTables:
    """The `Journal` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def event(self, account_id: str, kind: str, at: datetime, body: Mapping[str, Any]) -> None:
        """Add to the outbox."""
        await self._connection.execute(insert(events).values(account_id=account_id, kind=kind, at=at, body=dict(body)))

    async def diary(self, account_id: str, tick: datetime, at: datetime, text: str, body: Mapping[str, Any]) -> None:
        """Add a line to the trading diary."""
        await self._connection.execute(
            insert(diary).values(account_id=account_id, tick=tick, at=at, text=text, body=dict(body))
        )

    async def discrepancies(self, account_id: str, at: datetime, found: Sequence[Discrepancy]) -> None:
        """Record how ours and theirs differed and what was done."""
        if found:
            rows = [{"account_id": account_id, "at": at, **asdict(each)} for each in found]
            await self._connection.execute(insert_all(discrepancies, rows))
