"""Positions and equity as the exchange last reported them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, delete, func, select, true, tuple_, union_all
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.books import Books
from shared.db.tables import accounts, equity, positions
from shared.domain.performance import Combined, EquityPoint
from shared.domain.position import Direction, Position

_POSITION = [column for column in positions.columns if column.name not in {"account_id", "at", "adopted"}]
_POINT = [equity.c.at, equity.c.wallet, equity.c.unrealized, equity.c.deposited, equity.c.unexplained]

# As in the index. A deposit that the ledger has not told of yet is no profit.
_PROFIT = equity.c.wallet + equity.c.unrealized - equity.c.deposited - equity.c.unexplained


class HoldTable:
    """The `Holds` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def positions(self, account_id: str) -> Sequence[Position]:
        """Return the open positions of the last reconciliation."""
        found = await self._connection.execute(
            select(*_POSITION)
            .where(positions.c.account_id == account_id)
            .order_by(positions.c.symbol, positions.c.direction)
        )
        return [Position(**{**row, "direction": Direction(row["direction"])}) for row in found.mappings()]

    async def replace_positions(
        self,
        account_id: str,
        held: Sequence[Position],
        at: datetime,
        *,
        adopted: Collection[tuple[str, Direction]] = (),
    ) -> None:
        """Make these the open positions; *adopted* names those that no order of ours opened."""
        gone = delete(positions).where(positions.c.account_id == account_id)
        if not held:
            await self._connection.execute(gone)
            return
        rows = [
            {"account_id": account_id, "at": at, "adopted": position.key in adopted, **asdict(position)}
            for position in held
        ]
        # What is still open is updated, not replaced: what happens to a row is told as what happened to the position.
        still = tuple_(positions.c.symbol, positions.c.direction).in_([position.key for position in held])
        key = list(positions.primary_key)
        statement = insert_all(positions, rows)
        new = {name: statement.excluded[name] for name in rows[0] if positions.c[name] not in key}
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=key, set_=new).add_cte(gone.where(~still).cte("gone"))
        )

    async def adopted(self, account_id: str) -> frozenset[tuple[str, Direction]]:
        """Return symbol and direction of the open positions that no order of ours opened: they have no plan."""
        found = await self._connection.execute(
            select(positions.c.symbol, positions.c.direction).where(
                positions.c.account_id == account_id, positions.c.adopted
            )
        )
        return frozenset((row.symbol, Direction(row.direction)) for row in found)

    async def add_equity(self, account_id: str, point: EquityPoint) -> None:
        """Add a point to the equity curve; a second one of the same time replaces the first."""
        values = asdict(point)
        await self._connection.execute(
            insert(equity)
            .values(account_id=account_id, **values)
            .on_conflict_do_update(index_elements=[equity.c.account_id, equity.c.at], set_=values)
        )
        await Books(self._connection, account_id).add_point(point)

    async def last_equity(self, account_id: str) -> EquityPoint | None:
        """Return the newest point."""
        return await self._point(_curve(account_id).order_by(equity.c.at.desc()))

    async def last_sound(self, account_id: str) -> EquityPoint | None:
        """Return the newest point up to which the books add up."""
        return await self._point(_curve(account_id).where(equity.c.unexplained == 0).order_by(equity.c.at.desc()))

    async def marks(
        self, account_id: str, day: datetime, since: datetime | None = None
    ) -> tuple[EquityPoint | None, Decimal | None]:
        """Return (the last point before *day* or else the first since, the highest equity less deposits *since*)."""
        before = _curve(account_id).where(equity.c.at < day).order_by(equity.c.at.desc()).limit(1).subquery()
        after = _curve(account_id).where(equity.c.at >= day).order_by(equity.c.at).limit(1).subquery()
        either = union_all(select(before), select(after)).subquery()
        highest = select(func.max(_PROFIT)).where(equity.c.account_id == account_id)
        peak = highest if since is None else highest.where(equity.c.at >= since)
        found = await self._connection.execute(
            select(either, peak.scalar_subquery().label("peak")).order_by(either.c.at).limit(1)
        )
        row = found.mappings().one_or_none()
        if row is None:
            return None, None
        return EquityPoint(**{column.name: row[column.name] for column in _POINT}), row["peak"]

    async def others(
        self, account_id: str, day: datetime, since: datetime | None, *, alive_since: datetime
    ) -> Combined | None:
        """Return all other accounts together, or None where there are none.

        Those that were not reconciled since *alive_since* are left out: nobody trades them.
        """
        of_account = equity.c.account_id == accounts.c.id
        last = select(*_POINT).where(of_account).order_by(equity.c.at.desc()).limit(1).lateral("last")
        balance = select(equity.c.wallet + equity.c.unrealized - equity.c.deposited).where(of_account).limit(1)
        before = balance.where(equity.c.at < day).order_by(equity.c.at.desc())
        after = balance.where(equity.c.at >= day).order_by(equity.c.at)
        peak = select(func.max(_PROFIT)).where(of_account)
        if since is not None:
            peak = peak.where(equity.c.at >= since)
        held = select(func.sum(positions.c.quantity * positions.c.mark_price)).where(
            positions.c.account_id == accounts.c.id
        )
        worth = last.c.wallet + last.c.unrealized
        row = (
            await self._connection.execute(
                select(
                    func.count().label("accounts"),
                    func.sum(worth).label("equity"),
                    func.sum(func.coalesce(before.scalar_subquery(), after.scalar_subquery()) + last.c.deposited).label(
                        "day"
                    ),
                    func.sum(func.greatest(worth, peak.scalar_subquery() + last.c.deposited)).label("peak"),
                    func.sum(func.coalesce(held.scalar_subquery(), 0)).label("exposure"),
                )
                .select_from(accounts.join(last, true()))
                .where(accounts.c.id != account_id, last.c.at >= alive_since)
            )
        ).one()
        return Combined(**row._mapping) if row.accounts else None

    async def _point(self, statement: Select[Any]) -> EquityPoint | None:
        row = (await self._connection.execute(statement.limit(1))).mappings().one_or_none()
        return None if row is None else EquityPoint(**row)


def _curve(account_id: str) -> Select[Any]:
    return select(*_POINT).where(equity.c.account_id == account_id)
