"""
Lists by the page: newest first, and neither a gap nor a repeat while rows are added.

A page ends at a row, and the next one begins after that row's key, not after a number of rows. A row crosses the wire
as plain JSON: money and quantities as strings, moments in ISO 8601.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.domain.errors import BadCursor
from shared.domain.record import cycle_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows of a list, and the cursor that the next ones follow; None after the last."""

    rows: list[dict[str, Any]]
    next: str | None


async def read_page(
    connection: AsyncConnection,
    statement: Select[Any],
    key: Sequence[ColumnElement[Any]],
    *,
    limit: int,
    before: str | None,
    ascending: bool = False,
) -> Page:
    """Return *limit* rows in falling (or *ascending*) order of *key*, which no two rows share, from *before* on.

    Raises BadCursor.
    """
    if before is not None:
        last = tuple_(
            *(literal(value, column.type) for value, column in zip(read_cursor(before, key), key, strict=True))
        )
        statement = statement.where(tuple_(*key) > last if ascending else tuple_(*key) < last)
    marks = [column.label(f"key_{place}") for place, column in enumerate(key)]
    order = key if ascending else [column.desc() for column in key]
    found = await connection.execute(statement.add_columns(*marks).order_by(*order).limit(limit + 1))
    rows = [plain(row) for row in found]
    keys = [[row.pop(mark.name) for mark in marks] for row in rows]
    return Page(rows=rows[:limit], next=_written(keys[limit - 1]) if len(rows) > limit else None)


def columns_of(table: Table, **changed: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return the columns of *table* as people know them, those *changed* by name in another form."""
    named = {"account" if column.name == "account_id" else column.name: column for column in table.columns}
    return [changed.get(name, column).label(name) for name, column in named.items()]


def plain(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    """Return *row* ready for JSON; one of a cycle, which has an account and a tick, with the cycle's name."""
    told = {name: _plain(value) for name, value in row._mapping.items()}
    if "account" in told and "tick" in told:
        told["cycle"] = None if row.tick is None else cycle_name(row.account, row.tick)
    return told


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case _:
            return value


def _written(key: Sequence[Any]) -> str:
    text = json.dumps(key)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, key: Sequence[ColumnElement[Any]]) -> list[Any]:
    """Return the values of *key* in the row that *cursor* ends at. Raises BadCursor."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        kinds = [column.type.python_type for column in key]
        read = [_moment(value) if kind is datetime else value for value, kind in zip(values, kinds, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise _bad(cursor) from exc
    if not all(_fits(value, kind) for value, kind in zip(read, kinds, strict=True)):
        raise _bad(cursor)
    return read


def _moment(value: str) -> datetime:
    """Return the moment in UTC, where the calendar has it; one that knows no offset as it is, which fits nowhere."""
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo is None else moment.astimezone(UTC)


def _fits(value: Any, kind: type[Any]) -> bool:
    match value:
        case int():
            return kind is int and abs(value) < 2**63
        case datetime():
            return kind is datetime and value.tzinfo is not None
        case _:
            return isinstance(value, kind)


def _bad(cursor: str) -> BadCursor:
    return BadCursor(f"{cursor[:80]!r} is no cursor of this list: leave it out to begin with the newest")
