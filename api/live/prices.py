"""
The stream of the market: prices and forming candles as they move, closed candles to go on from.

The cursor is the opening of the last candle told of each series, for one timeframe.
"""

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from api.errors import Problem
from api.live import messages
from api.live.market import MOST_CANDLES, Ear, Market, Marks, as_told
from api.live.sockets import Socket, StreamQuery
from api.schemas import Symbol
from shared.db.reports import Reports
from shared.domain.errors import BadCursor
from shared.domain.market import EPOCH, Series, Timeframe
from shared.runtime import Runtime

CONFLATION_SECONDS = 0.5
"""Nobody is told more often of what moves all the time."""
MOST_ACCOUNTS = 1_000


class MarketQuery(StreamQuery):
    """One symbol, those of an account, or those of all; with a timeframe, their candles too."""

    symbol: Symbol | None = None
    timeframe: Timeframe | None = None


async def market_data(socket: Socket, query: MarketQuery) -> None:
    """Prices, and with a timeframe candles, of what the accounts trade."""
    market: Market = socket.app.state.market
    symbols = await _symbols(socket, query)
    series = [Series(symbol, query.timeframe) for symbol in symbols] if query.timeframe else []
    async with market.listening(symbols, series) as ear:
        told = await _resume(socket, query, market, ear)
        if told is None:
            told = await _begin(socket, query, ear)
        await _tell_on(socket, ear, told, query.heartbeat)


async def _symbols(socket: Socket, query: MarketQuery) -> Sequence[str]:
    runtime: Runtime = socket.app.state.runtime
    accounts = (await Reports(runtime.database).accounts(account=query.account, limit=MOST_ACCOUNTS)).rows
    traded = sorted({symbol for account in accounts for symbol in account["config"]["symbols"]})
    if query.symbol is None:
        return traded
    if query.symbol not in traded:
        raise Problem(404, "unknown_symbol", f"no account trades {query.symbol}: there is {', '.join(traded)}")
    return [query.symbol]


async def _resume(socket: Socket, query: MarketQuery, market: Market, ear: Ear) -> Marks | None:
    """Go on from the cursor. None where it does not lead to all that is wanted."""
    marks = _read(query.cursor, query.timeframe) if query.cursor else {}
    if not ear.series or not ear.series <= marks.keys():
        return None
    marks = {series: marks[series] for series in ear.series}
    missed = await market.missed(marks)
    if missed is None:
        return None
    await socket.say(messages.Resumed(cursor=_written(marks)).written())
    ear.marks |= marks
    ear.hand(missed)
    return marks


async def _begin(socket: Socket, query: MarketQuery, ear: Ear) -> Marks:
    """Show the newest candles there are."""
    runtime: Runtime = socket.app.state.runtime
    reports = Reports(runtime.database)
    rows: list[dict[str, Any]] = []
    marks = dict.fromkeys(ear.series, EPOCH)
    for series in sorted(ear.series, key=lambda each: each.symbol):
        page = await reports.candles(symbol=series.symbol, timeframe=series.timeframe, limit=MOST_CANDLES)
        rows += reversed(page.rows)
        if page.rows:
            marks[series] = datetime.fromisoformat(page.rows[0]["opened"])
    shown = {
        "cursor": _written(marks) if marks else None,
        "reason": "cursor_too_old" if query.cursor else "began",
        "candles": rows,
    }
    await socket.say(messages.MarketSnapshot.model_validate(shown).written())
    ear.marks |= marks
    return marks


async def _tell_on(socket: Socket, ear: Ear, marks: Marks, heartbeat: int) -> None:
    clock = asyncio.get_running_loop()
    told = dict(marks)
    due = clock.time() + heartbeat
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await ear.wait()
        newest, candles = ear.take()
        for series, candle in candles:
            told[series] = candle.opened
            await socket.say(messages.Closed(cursor=_written(told), **as_told(series, candle)).written())
        for message in newest:
            await socket.say(message)
        if clock.time() >= due:
            cursor = _written(told) if told else None
            await socket.say(messages.Ping(cursor=cursor, at=socket.now().isoformat()).written())
            due = clock.time() + heartbeat
        await asyncio.sleep(CONFLATION_SECONDS)


def _written(marks: Marks) -> str:
    [timeframe] = {series.timeframe for series in marks}
    text = json.dumps([timeframe, {series.symbol: int(mark.timestamp()) for series, mark in marks.items()}])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str, timeframe: Timeframe | None) -> Marks:
    try:
        of, marks = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        read = {Series(symbol, Timeframe(of)): datetime.fromtimestamp(mark, UTC) for symbol, mark in marks.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, OSError):
        raise BadCursor(f"{cursor[:80]!r} is no cursor of the market: leave it out to begin anew") from None
    return read if timeframe == of else {}
