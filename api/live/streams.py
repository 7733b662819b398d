"""
The streams of what happens to accounts: how things are, and then every change.

Without a cursor, or with one that is too old, a snapshot comes first. The cursor is taken before the lists are read, so
that nothing falls between: what the lists show already may be told once more, as the rows that it concerns.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from api.live import messages
from api.live.feed import Feed, Follower, Told
from api.live.sockets import Socket, StreamQuery
from api.schemas import Symbol
from shared.db.outbox import Place
from shared.db.paging import Page
from shared.db.reports import Reports
from shared.domain.errors import CursorTooOld
from shared.runtime import Runtime

MOST_ROWS = 1_000
"""Of each list of a snapshot."""
OF_POSITIONS = frozenset({"position_opened", "position_changed", "position_closed", "protection", "equity"})


Snapshot = type[messages.TradingSnapshot] | type[messages.PositionsSnapshot]


class ListenQuery(StreamQuery):
    """One account or all, one symbol or all."""

    symbol: Symbol | None = None


async def trading_events(socket: Socket, query: ListenQuery) -> None:
    """All that happens: orders, fills, positions, decisions, stages, equity and the rest."""
    await _tell(socket, query, messages.TradingSnapshot, kinds=None)


async def positions(socket: Socket, query: ListenQuery) -> None:
    """What is held, what protects it, and what it is worth."""
    await _tell(socket, query, messages.PositionsSnapshot, kinds=OF_POSITIONS)


async def _tell(socket: Socket, query: ListenQuery, snapshot: Snapshot, *, kinds: Collection[str] | None) -> None:
    feed: Feed = socket.app.state.feed

    def wanted(told: Told) -> bool:
        return (kinds is None or told.kind in kinds) and (query.symbol is None or told.symbol in (None, query.symbol))

    place, reason = (Place.read(query.cursor), "") if query.cursor else (None, "began")
    if place is not None:
        try:
            async with feed.follow(place, wanted, query.account) as follower:
                await follower.begin()
                await socket.say(messages.Resumed(cursor=str(place)).written())
                await _tell_on(socket, follower, query.heartbeat)
        except CursorTooOld:
            reason = "cursor_too_old"
    place = await feed.outbox.end()
    async with feed.follow(place, wanted, query.account) as follower:
        shown = snapshot.model_validate(
            {"cursor": str(place), "reason": reason, **await _lists(socket, query, snapshot)}
        )
        await socket.say(shown.written())
        await _tell_on(socket, follower, query.heartbeat)


async def _tell_on(socket: Socket, follower: Follower, heartbeat: int) -> None:
    clock = asyncio.get_running_loop()
    due = clock.time() + heartbeat
    while True:
        for told in await follower.take():
            await socket.say(told.message)
        if clock.time() >= due:
            await socket.say(messages.Ping(cursor=str(follower.place), at=socket.now().isoformat()).written())
            due = clock.time() + heartbeat


async def _lists(socket: Socket, query: ListenQuery, snapshot: Snapshot) -> dict[str, Any]:
    runtime: Runtime = socket.app.state.runtime
    feed: Feed = socket.app.state.feed
    reports = Reports(runtime.database)
    reading: Mapping[str, Callable[[], Awaitable[Page]]] = {
        "accounts": lambda: reports.accounts(account=query.account, limit=MOST_ROWS),
        "positions": lambda: reports.positions(account=query.account, symbol=query.symbol, limit=MOST_ROWS),
        "orders": lambda: reports.working_orders(account=query.account, symbol=query.symbol, limit=MOST_ROWS),
    }
    async with feed.turns:
        return {name: (await read()).rows for name, read in reading.items() if name in snapshot.model_fields}
