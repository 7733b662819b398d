"""What all reports have in common: the transaction they read in, and how a list is narrowed down and cut into pages."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self, TypedDict

from sqlalchemy import ColumnElement, Select, func
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.paging import Page, read_page
from shared.db.unit_of_work import Database
from shared.db.values import Money


class Narrowing(TypedDict, total=False):
    """What narrows every list down. `before` is the `next` of the page before; without a limit a page has 100 rows."""

    account: str | None
    since: datetime | None
    until: datetime | None
    limit: int
    before: str | None


class Reader:
    """Reads a database, each call in one read-only transaction."""

    def __init__(self, database: Database, connection: AsyncConnection | None = None) -> None:
        """Read from *database*, each call in a transaction of its own, or on the *connection* that is given."""
        self._database = database
        self._connection = connection

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[Self]:
        """Lend the same reports, all of this moment. Raises DatabaseUnavailable."""
        async with self._database.snapshot() as connection:
            yield type(self)(self._database, connection)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        if self._connection is not None:
            yield self._connection
            return
        async with self._database.reading() as connection:
            yield connection

    async def _list(
        self,
        statement: Select[Any],
        key: Sequence[ColumnElement[Any]],
        account: ColumnElement[str],
        time: ColumnElement[datetime],
        narrowing: Narrowing,
        *,
        ascending: bool = False,
    ) -> Page:
        statement = where(statement, {account: narrowing.get("account")})
        statement = within(statement, time, narrowing.get("since"), narrowing.get("until"))
        limit, before = narrowing.get("limit", 100), narrowing.get("before")
        async with self._reading() as connection:
            return await read_page(connection, statement, key, limit=limit, before=before, ascending=ascending)


def where(statement: Select[Any], wanted: Mapping[Any, Any]) -> Select[Any]:
    """Leave the rows that have the values *wanted*, where one is."""
    return statement.where(*(column == value for column, value in wanted.items() if value is not None))


def within(
    statement: Select[Any], time: ColumnElement[datetime], since: datetime | None, until: datetime | None
) -> Select[Any]:
    """Leave the rows of [since, until)."""
    statement = statement if since is None else statement.where(time >= since)
    return statement if until is None else statement.where(time < until)


def share(amount: ColumnElement[Any], whole: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *amount* over *whole* to eight places; null where there is no whole."""
    return func.trim_scale(func.round(amount / func.nullif(whole, 0), 8), type_=Money)
