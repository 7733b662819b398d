"""
Fetch: bring the market up to the tick and take the snapshot that the cycle decides on.

Reads    the account, the candles stored so far
Asks     the exchange for the candles that are missing, quotes, filters, holdings, and orders where some may rest: all
         at once
Writes   candles (shared by all accounts), the account's snapshot, and its first equity point
Repeats  safely: candles are keyed by series and time, the snapshot by cycle.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from functions.observing import booked_before, holdings_and_orders
from functions.run import Run, begin
from shared.domain.account import Account
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.errors import MarketDataUnusable, VenueError
from shared.domain.market import Candle, CandleWindow, Quote, Series, Timeframe
from shared.domain.order import Income
from shared.domain.performance import EquityPoint
from shared.domain.ports import Analyst, Clock, Exchange, MarketData, OpenWork, Work
from shared.domain.position import Holdings
from shared.domain.snapshot import Indicators, Snapshot

WINDOW = 300
"""Candles behind every indicator value: recursive ones depend on how many they are given, so it is always as many."""

QUOTE_LAG = timedelta(minutes=1)
"""How long before the tick a quote may have been made: it is asked for after the tick, but may be some seconds old."""


async def fetch(
    request: StageRequest,
    *,
    open_work: OpenWork,
    market: MarketData,
    exchange: Exchange,
    analyst: Analyst,
    clock: Clock,
) -> StageResult:
    """Fetch what is missing and store the snapshot. Raises VenueError when the account itself cannot be seen."""
    async with begin(Stage.FETCH, request, open_work=open_work, clock=clock) as run:
        if run.result:
            return run.result
        account, tick = run.account, request.tick
        since = {
            Series(symbol, timeframe): timeframe.back(timeframe.open_at(tick), WINDOW)
            for symbol in account.symbols
            for timeframe in account.timeframes
        }
        async with open_work(run.lease) as work:
            extents = await work.candles.extents(since, until=tick)
            first_sight = await work.holds.last_equity(account.id) is None
            resting = {order.intent.symbol for order in await work.orders.alive(account.id)}
        missing = _missing(since, extents, tick)

        (found, failures), quotes, instruments, (holdings, open_orders) = await asyncio.gather(
            _candles(market, missing),
            market.quotes(account.symbols),
            market.instruments(),
            holdings_and_orders(exchange, resting),
        )
        held = {position.symbol for position in holdings.positions}
        listed = [symbol for symbol in account.symbols if symbol in instruments]
        if not listed:
            raise MarketDataUnusable(f"the exchange lists none of {', '.join(account.symbols)}")
        taker_fee = await exchange.taker_fee(listed[0])
        async with open_work(run.lease) as work:
            await work.candles.save(found)
            windows = await work.candles.windows(since, before=tick, count=WINDOW)
        defects = _defects(account, windows, quotes, failures, tick)
        indicators = _indicators(analyst, windows, defects)

        snapshot = Snapshot(
            account_id=account.id,
            tick=tick,
            taken_at=clock.now(),
            quotes=quotes,
            instruments={symbol: found for symbol, found in instruments.items() if symbol in held or symbol in listed},
            indicators=indicators,
            defects=defects,
            holdings=holdings,
            open_orders=tuple(open_orders),
            taker_fee=taker_fee,
        )
        booked = await booked_before(holdings, exchange) if first_sight else []
        async with open_work(run.lease) as work:
            await _check_modes(work, run, holdings)
            await work.snapshots.save(snapshot)
            if first_sight:
                await _open_books(work, account, holdings, booked)
            return await run.finish(
                work,
                {
                    "asked": len(missing),
                    "candles": sum(map(len, found.values())),
                    "symbols": len(account.symbols),
                    "defects": defects,
                },
            )


def _missing(
    since: Mapping[Series, datetime], extents: Mapping[Series, tuple[int, datetime, datetime]], tick: datetime
) -> dict[Series, tuple[datetime, datetime]]:
    """Return what to ask for: from the first candle that is not there, or everything again where there is a gap."""
    missing = {}
    for series, first_wanted in since.items():
        timeframe = series.timeframe
        last_wanted = timeframe.back(timeframe.open_at(tick), 1)
        start = first_wanted
        if series in extents:
            count, first, last = extents[series]
            whole = timeframe.back(last, count - 1) == first
            start = timeframe.following(last) if whole else first_wanted
        if start <= last_wanted:
            missing[series] = (start, last_wanted)
    return missing


async def _candles(
    market: MarketData, missing: Mapping[Series, tuple[datetime, datetime]]
) -> tuple[dict[Series, Sequence[Candle]], dict[Series, str]]:
    """Ask for every series at once. One that fails is reported and sinks no other."""
    answers = await asyncio.gather(
        *(market.candles(series, since=since, until=until) for series, (since, until) in missing.items()),
        return_exceptions=True,
    )
    found: dict[Series, Sequence[Candle]] = {}
    failures = {}
    for series, answer in zip(missing, answers, strict=True):
        if isinstance(answer, VenueError):
            failures[series] = str(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[series] = answer
    return found, failures


def _defects(
    account: Account,
    windows: Sequence[CandleWindow],
    quotes: Mapping[str, Quote],
    failures: Mapping[Series, str],
    tick: datetime,
) -> dict[str, str]:
    defects = {symbol: "no quote" for symbol in account.symbols if symbol not in quotes}
    defects |= {
        symbol: f"quote of {quote.at:%Y-%m-%d %H:%M}" for symbol, quote in quotes.items() if tick - quote.at > QUOTE_LAG
    }
    for window in windows:
        defect = failures.get(window.series) or window.defect(tick)
        if defect:
            defects[window.series.symbol] = f"{window.series.timeframe}: {defect}"
    return defects


def _indicators(
    analyst: Analyst, windows: Sequence[CandleWindow], defects: dict[str, str]
) -> dict[str, dict[Timeframe, Indicators]]:
    """Study every sound window; a window that turns out unusable becomes a defect of its symbol."""
    indicators: dict[str, dict[Timeframe, Indicators]] = {}
    for window in windows:
        symbol, timeframe = window.series.symbol, window.series.timeframe
        if symbol in defects:
            continue
        try:
            indicators.setdefault(symbol, {})[timeframe] = analyst.study(window)
        except MarketDataUnusable as exc:
            defects[symbol] = str(exc)
    return indicators


async def _check_modes(work: Work, run: Run, holdings: Holdings) -> None:
    """Halt an account that somebody has put into other modes: what is held there is protected, and nothing opens."""
    known, found = await work.accounts.modes(run.account.id), holdings.modes(run.account.symbols)
    if known is None:
        await work.accounts.remember_modes(run.account.id, found)
    elif changes := known.change_to(found):
        await run.halt(work, f"changed at the exchange: {changes}; resume the account to trade it like this")


async def _open_books(work: Work, account: Account, holdings: Holdings, booked: Sequence[Income]) -> None:
    """Begin the books: what the account held before we traded for it is its deposit."""
    balance = holdings.balance
    point = EquityPoint(at=holdings.at, wallet=balance.wallet, unrealized=balance.unrealized, deposited=balance.equity)
    await work.holds.add_equity(account.id, point)
    await work.holds.replace_positions(account.id, holdings.positions, holdings.at, adopted=holdings.keys)
    await work.incomes.save(account.id, booked)
