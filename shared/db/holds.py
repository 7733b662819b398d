"""Positions and equity as the exchange last reported them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, delete, exists, func, or_, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.books import Books
from shared.db.tables import accounts, equity, naked_spells, positions
from shared.domain.performance import Combined, EquityPoint, Standing
from shared.domain.position import Direction, Position
from shared.domain.reconciliation import Reconciled

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
        return [_position(row) for row in found.mappings()]

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

    async def reconciled(self, account_id: str) -> Reconciled | None:
        """Return how the account stood when it was last reconciled; None before the first time. In one round trip."""
        last = _newest(equity.c.account_id == account_id).subquery("last")
        naked = exists().where(naked_spells.c.account_id == account_id, naked_spells.c.until.is_(None))
        held_columns = [column.label(f"held_{column.name}") for column in _POSITION]
        found = await self._connection.execute(
            select(last, *held_columns, positions.c.adopted, naked.label("naked"))
            .select_from(last.outerjoin(positions, positions.c.account_id == account_id))
            .order_by(positions.c.symbol, positions.c.direction)
        )
        rows = found.mappings().all()
        if not rows:
            return None
        held = [(_position(row, "held_"), row["adopted"]) for row in rows if row["held_symbol"] is not None]
        return Reconciled(
            point=_point(rows[0]),
            positions=tuple(position for position, _ in held),
            adopted=frozenset(position.key for position, adopted in held if adopted),
            naked=rows[0]["naked"],
        )

    async def add_equity(self, account_id: str, point: EquityPoint) -> None:
        """Add a point to the equity curve; a second one of the same time replaces the first."""
        await Books(self._connection, account_id).add_point(point)

    async def last_equity(self, account_id: str) -> EquityPoint | None:
        """Return the newest point."""
        return await self._read(_newest(equity.c.account_id == account_id))

    async def last_sound(self, account_id: str) -> EquityPoint | None:
        """Return the newest point up to which the books add up."""
        return await self._read(_newest(equity.c.account_id == account_id, equity.c.unexplained == 0))

    async def standings(
        self, account_id: str, day: datetime, since: datetime | None, *, alive_since: datetime
    ) -> tuple[Standing | None, Combined | None]:
        """Return how the account stands, and all others together, by what they were *day* and *since*.

        Those that were not reconciled since *alive_since* are left out of the others: nobody trades them. None where
        nothing was ever recorded. In one round trip.
        """
        of_account = equity.c.account_id == accounts.c.id
        last = _newest(of_account).lateral("last")
        earlier = equity.alias("earlier")
        before = select(func.max(earlier.c.at)).where(earlier.c.account_id == accounts.c.id, earlier.c.at < day)
        reached = func.coalesce(before.correlate(accounts).scalar_subquery(), day)
        first = (
            select(*_POINT).where(of_account, equity.c.at >= reached).order_by(equity.c.at).limit(1).lateral("first")
        )
        peak = select(func.max(_PROFIT)).where(of_account)
        if since is not None:
            peak = peak.where(equity.c.at >= since)
        held = select(func.sum(positions.c.quantity * positions.c.mark_price)).where(
            positions.c.account_id == accounts.c.id
        )
        found = await self._connection.execute(
            select(
                accounts.c.id,
                *(column.label(f"last_{column.name}") for column in last.c),
                *(column.label(f"first_{column.name}") for column in first.c),
                peak.scalar_subquery().label("peak"),
                func.coalesce(held.scalar_subquery(), 0).label("exposure"),
            )
            .select_from(accounts.join(last, true()).join(first, true()))
            .where(or_(accounts.c.id == account_id, last.c.at >= alive_since))
        )
        standings = {
            row["id"]: Standing(
                last=_point(row, "last_"), first=_point(row, "first_"), peak=row["peak"], exposure=row["exposure"]
            )
            for row in found.mappings()
        }
        return standings.pop(account_id, None), Combined.of(standings.values())

    async def _read(self, statement: Select[Any]) -> EquityPoint | None:
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        return None if row is None else _point(row)


def _newest(*which: ColumnElement[bool]) -> Select[Any]:
    return select(*_POINT).where(*which).order_by(equity.c.at.desc()).limit(1)


def _point(row: RowMapping, prefix: str = "") -> EquityPoint:
    return EquityPoint(**{column.name: row[prefix + column.name] for column in _POINT})


def _position(row: RowMapping, prefix: str = "") -> Position:
    values = {column.name: row[prefix + column.name] for column in _POSITION}
    return Position(**{**values, "direction": Direction(values["direction"])})
