"""
The way to PostgreSQL: how many connections, what a pooler in between allows, and what a failure means.

A long-lived server keeps a bounded pool and waits a bounded time for a free connection. A short-lived function keeps
one connection and uses no named prepared statement, so that a pooler in transaction mode may stand between.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.db.values import json_text
from shared.domain.errors import DatabaseUnavailable, UnknownAccount

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 60.0
WAIT_SECONDS = 10.0
"""For a free connection."""
IDLE_SECONDS = 5.0
"""A connection that was not lent for longer is asked whether it lives before it is lent again."""

_SCHEMES = {"postgres", "postgresql", "postgresql+asyncpg"}
# Classes and codes of SQLSTATE after which nothing was wrong with what we asked: connection failure, wrong credentials,
# no such database, out of resources, shutting down; and the transaction that lost to another one.
_NOT_OUR_FAULT = ("08", "28", "3D", "53", "57", "40001", "40P01", "55P03")

_NOT_MIGRATED = ("42P01", "42703")  # no such table, no such column


def create_engine(url: str, *, long_lived: bool, pooled: bool = False) -> AsyncEngine:
    """
    Return the engine for *url* (postgres://, postgresql:// or postgresql+asyncpg://). It connects at first use.

    Say *pooled* when a long-lived server reaches PostgreSQL through a pooler in transaction mode; a short-lived
    function is always ready for one. Raises ValueError, in one line, for a URL that cannot be read.
    """
    address = _address(url)
    connect: dict[str, Any] = {
        "async_creator_fn": partial(_connect, address),
        "timeout": CONNECT_SECONDS,
        "command_timeout": COMMAND_SECONDS,
        "server_settings": {"application_name": "perpetua"},
    }
    if pooled or not long_lived:
        # The next transaction may run on another server connection, which knows none of our prepared statements.
        connect |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: "",
        }
    size, overflow = (5, 5) if long_lived else (1, 0)
    engine = create_async_engine(
        address,
        connect_args=connect,
        pool_size=size,
        max_overflow=overflow,
        pool_timeout=WAIT_SECONDS,
        pool_use_lifo=True,  # the one that was used last knows our statements
        json_serializer=json_text,
    )
    event.listen(engine.sync_engine, "checkout", _require_life)
    return engine


def _require_life(connection: Any, record: Any, _: Any) -> None:
    """Have a dead connection, and all that are as old, replaced before it is lent.

    One that was closed is known for dead. To ask takes three round trips, so only one that has idled is asked: before
    every transaction, that would cost as much as the transaction.
    """
    now = asyncio.get_running_loop().time()
    lent, record.info["lent"] = record.info.get("lent", now), now
    try:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if now - lent > IDLE_SECONDS:
            connection.ping()
    except connection.dbapi.Error as exc:
        raise InvalidatePoolError from exc


@contextmanager
def database_failures(url: URL) -> Iterator[None]:
    """Say in our own words what the driver says: DatabaseUnavailable, or UnknownAccount for a row without account."""
    try:
        yield
    except PoolTimeout as exc:
        raise DatabaseUnavailable(
            f"all connections to PostgreSQL at {_place(url)} were busy for {WAIT_SECONDS:g} s: "
            "something holds transactions open, or there is too much work for one process"
        ) from exc
    except TimeoutError as exc:
        raise _unavailable(url, f"no answer within {COMMAND_SECONDS:g} s") from exc
    except DBAPIError as exc:
        state = getattr(exc.orig, "sqlstate", None) or ""
        if exc.connection_invalidated or state.startswith(_NOT_OUR_FAULT):
            raise _unavailable(url, str(exc.orig)) from exc
        if state in _NOT_MIGRATED:
            raise DatabaseUnavailable(
                f"PostgreSQL at {_place(url)} has not been brought up to date: run python -m shared.db.migrate upgrade"
            ) from exc
        if unknown := re.search(r'\(account_id\)=\((.*)\) is not present in table "accounts"', _detail(exc)):
            raise UnknownAccount(f"there is no account {unknown[1]!r}") from exc
        raise


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    if address is None or address.drivername not in _SCHEMES:
        raise ValueError("DATABASE_URL is no PostgreSQL address: write postgresql://user:password@host:port/database")
    options = dict(address.query)
    if "sslmode" in options:  # libpq's name of what asyncpg calls ssl
        options["ssl"] = options.pop("sslmode")
    if unknown := sorted(options.keys() - {"host", "port", "ssl"}):
        raise ValueError(f"DATABASE_URL has an option that is not supported, {unknown[0]}: remove it")
    return address.set(drivername="postgresql+asyncpg", query=options)


async def _connect(address: URL, **options: Any) -> Any:
    try:
        return await asyncpg.connect(**options)
    except OSError as exc:  # translated here: further up it might be anybody's
        raise _unavailable(address, str(exc) or f"no answer within {CONNECT_SECONDS:g} s") from exc


def _unavailable(url: URL, why: str) -> DatabaseUnavailable:
    reason = " ".join(why.split())
    return DatabaseUnavailable(f"PostgreSQL at {_place(url)} does not serve us ({reason}): check it, and DATABASE_URL")


def _place(url: URL) -> str:
    host = url.host or url.query.get("host") or "localhost"
    return f"{host}:{url.port or 5432}/{url.database}"


def _detail(exc: DBAPIError) -> str:
    return getattr(exc.orig, "detail", None) or ""
