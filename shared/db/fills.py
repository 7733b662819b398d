"""Trades, each counted once, by the exchange's trade id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, and_, exists, or_, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.books import FILL_COLUMNS, Books, fill_of
from shared.db.tables import fills, orders, round_trips
from shared.domain.order import Fill, Side
from shared.domain.position import Direction
from shared.domain.round_trip import Ending, ExitReason
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

# From symbol to symbol in the index.
_LAST_TRADES = text("""
WITH RECURSIVE traded (symbol) AS (
    SELECT min(symbol) FROM fills WHERE account_id = :account
    UNION ALL
    SELECT (SELECT min(symbol) FROM fills WHERE account_id = :account AND symbol > traded.symbol)
    FROM traded WHERE symbol IS NOT NULL
)
SELECT symbol, (SELECT max(trade_id) FROM fills WHERE account_id = :account AND symbol = traded.symbol) AS last
FROM traded WHERE symbol IS NOT NULL
""")


class FillTable:
    """The `Fills` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def last_trade_ids(self, account_id: str) -> Mapping[str, int]:
        """Return the largest known trade id per symbol: as fast as there are few symbols, however many trades."""
        found = await self._connection.execute(_LAST_TRADES, {"account": account_id})
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

    async def endings(self, account_id: str, traded: Sequence[Fill]) -> Sequence[Ending]:
        """Return the positions that those trades, which were just stored, have ended, oldest first."""
        if not traded:
            return []
        ids = {(fill.symbol, fill.trade_id) for fill in traded}
        found = await self._connection.execute(
            select(round_trips)
            .where(
                round_trips.c.account_id == account_id,
                round_trips.c.symbol.in_({fill.symbol for fill in traded}),
                round_trips.c.closed_at >= min(fill.at for fill in traded),
            )
            .order_by(round_trips.c.closed_at)
        )
        return [
            Ending(
                symbol=row.symbol,
                direction=Direction(row.direction),
                quantity=row.entered,
                price=(row.exit_value / row.exited).quantize(Decimal("1e-8")).normalize(),
                net=row.realized - row.fees + row.funding,
                reason=ExitReason(row.exit),
                opened_at=row.opened_at,
                closed_at=row.closed_at,
            )
            for row in found
            if (row.symbol, row.last_trade_id) in ids
        ]

    async def recent(self, account_id: str, limit: int, *, before: datetime) -> Sequence[Fill]:
        """Return the latest trades *before* that moment, newest first."""
        return await self._read(
            select(*FILL_COLUMNS)
            .where(fills.c.account_id == account_id, fills.c.at < before)
            .order_by(fills.c.at.desc(), fills.c.symbol, fills.c.trade_id.desc())
            .limit(limit)
        )

    async def last_moves(self, account_id: str, since: datetime) -> tuple[Mapping[str, Exit], Mapping[str, datetime]]:
        """Return the last trades since then, by symbol: those that reduced a position, and when one opened or added."""
        found = await self._connection.execute(
            select(fills.c.symbol, fills.c.side, fills.c.at, _REDUCES.label("reduces"))
            .ext(distinct_on(fills.c.symbol, _REDUCES))
            .where(fills.c.account_id == account_id, fills.c.at >= since)
            .order_by(fills.c.symbol, _REDUCES, fills.c.at.desc(), fills.c.trade_id.desc())
        )
        exits, entries = {}, {}
        for row in found:
            if row.reduces:
                direction = Direction.LONG if row.side == Side.SELL else Direction.SHORT
                exits[row.symbol] = Exit(at=row.at, direction=direction)
            else:
                entries[row.symbol] = row.at
        return exits, entries

    async def _read(self, statement: Select[Any]) -> list[Fill]:
        return [fill_of(row) for row in (await self._connection.execute(statement)).mappings()]
