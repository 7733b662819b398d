"""Trades, each counted once, by the exchange's trade id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, exists, func, not_, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.books import FILL_COLUMNS, Books, fill_of
from shared.db.tables import fills, orders
from shared.domain.order import Fill, Side
from shared.domain.position import Direction
from shared.domain.rules import Exit

# A trade that realised a profit or a loss, went against its side in hedge mode, or came from an order that only ends.
_REDUCES = or_(
    fills.c.realized_pnl != 0,
    and_(fills.c.position_side.is_not_distinct_from(Direction.LONG), fills.c.side == Side.SELL),
    and_(fills.c.position_side.is_not_distinct_from(Direction.SHORT), fills.c.side == Side.BUY),
    exists().where(
        orders.c.account_id == fills.c.account_id,
        orders.c.venue_order_id == fills.c.venue_order_id,
        orders.c.symbol == fills.c.symbol,
        or_(orders.c.reduce_only, orders.c.quantity.is_(None)),
    ),
)


class FillTable:
    """The `Fills` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def last_trade_ids(self, account_id: str) -> Mapping[str, int]:
        """Return the largest known trade id per symbol."""
        found = await self._connection.execute(
            select(fills.c.symbol, func.max(fills.c.trade_id).label("last"))
            .where(fills.c.account_id == account_id)
            .group_by(fills.c.symbol)
        )
        return {row.symbol: row.last for row in found}

    async def save(self, account_id: str, traded: Sequence[Fill]) -> Sequence[Fill]:
        """Store and book trades; return those that were new."""
        by_key = {(fill.symbol, fill.trade_id): fill for fill in traded}
        if not by_key:
            return []
        rows = [
            {"account_id": account_id, **{column.name: getattr(fill, column.name) for column in FILL_COLUMNS}}
            for fill in by_key.values()
        ]
        stored = await self._connection.execute(
            insert_all(fills, rows).on_conflict_do_nothing().returning(fills.c.symbol, fills.c.trade_id)
        )
        known = {(row.symbol, row.trade_id) for row in stored}
        new = [fill for key, fill in by_key.items() if key in known]
        await Books(self._connection, account_id).add_fills(new)
        return new

    async def recent(self, account_id: str, limit: int, *, before: datetime) -> Sequence[Fill]:
        """Return the latest trades *before* that moment, newest first."""
        return await self._read(
            select(*FILL_COLUMNS)
            .where(fills.c.account_id == account_id, fills.c.at < before)
            .order_by(fills.c.at.desc(), fills.c.symbol, fills.c.trade_id.desc())
            .limit(limit)
        )

    async def last_exits(self, account_id: str, since: datetime) -> Mapping[str, Exit]:
        """Return, per symbol, the last trade since then that reduced a position."""
        found = await self._connection.execute(
            select(fills.c.symbol, fills.c.side, fills.c.at)
            .ext(distinct_on(fills.c.symbol))
            .where(fills.c.account_id == account_id, fills.c.at >= since, _REDUCES)
            .order_by(fills.c.symbol, fills.c.at.desc(), fills.c.trade_id.desc())
        )
        return {
            row.symbol: Exit(at=row.at, direction=Direction.LONG if row.side == Side.SELL else Direction.SHORT)
            for row in found
        }

    async def last_entries(self, account_id: str, since: datetime) -> Mapping[str, datetime]:
        """Return, per symbol, when the last trade since then was that opened or enlarged a position."""
        found = await self._connection.execute(
            select(fills.c.symbol, func.max(fills.c.at).label("at"))
            .where(fills.c.account_id == account_id, fills.c.at >= since, not_(_REDUCES))
            .group_by(fills.c.symbol)
        )
        return {row.symbol: row.at for row in found}

    async def _read(self, statement: Select[Any]) -> list[Fill]:
        return [fill_of(row) for row in (await self._connection.execute(statement)).mappings()]
