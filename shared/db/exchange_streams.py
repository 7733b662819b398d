"""Whether the exchange's streams are listened to: said by the process that does, every few seconds, for all to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import exchange_streams as table

TOLD_FOR_SECONDS = 60.0
"""Whoever says so says it every ten: what was said longer ago holds no more."""

MARKET = None
"""Whose stream it is that is no account's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How a stream stands."""

    connected: bool
    heard_at: datetime | None
    """When something last came, by the exchange's time."""


class ExchangeStreamTable:
    """The streams of accounts and, by the name MARKET, that of the market."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def note(self, streams: Mapping[str | None, Listening]) -> None:
        """Let these be all the streams that are wanted, and say how each stands now."""
        accounts = [account for account in streams if account is not MARKET]
        unwanted = and_(table.c.account_id.is_not(MARKET), table.c.account_id.not_in(accounts))
        if MARKET not in streams:
            unwanted = or_(unwanted, table.c.account_id.is_(MARKET))
        await self._connection.execute(delete(table).where(unwanted))
        if not streams:
            return
        rows = [
            {
                "account_id": account,
                "connected": each.connected,
                "heard_at": each.heard_at,
                "at": func.clock_timestamp(),
            }
            for account, each in streams.items()
        ]
        new = insert(table).values(rows)
        columns = {name: new.excluded[name] for name in ("connected", "heard_at", "at")}
        await self._connection.execute(new.on_conflict_do_update(index_elements=[table.c.account_id], set_=columns))

    async def read(self) -> Sequence[tuple[str | None, Listening]]:
        """Return how each stands, the market's first. What was said too long ago is not connected."""
        fresh = func.extract("epoch", func.clock_timestamp() - table.c.at) < TOLD_FOR_SECONDS
        rows = await self._connection.execute(
            select(table.c.account_id, (table.c.connected & fresh).label("connected"), table.c.heard_at).order_by(
                table.c.account_id.nulls_first()
            )
        )
        return [(row.account_id, Listening(connected=row.connected, heard_at=row.heard_at)) for row in rows]
