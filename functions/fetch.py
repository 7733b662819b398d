"""
Fetch: bring the market up to the tick and take the snapshot that the cycle decides on.

Reads    the account, the candles stored so far
Asks     the exchange for the candles that are missing, quotes, filters, holdings, and orders where some may rest: all
         at once
Writes   candles and what is wrong with them (shared by all accounts), the account's snapshot, its first equity point;
         as its result also whose exit plans have come true
Repeats  safely: candles are keyed by series and time, the snapshot by cycle.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from functions.gathering import Gathered, gather, keep, missing, settle
from functions.observing import booked_before, holdings_and_orders
from functions.promises import due, plans_of
from functions.run import Run, begin
from shared.domain.account import Account
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.errors import MarketDataUnusable
from shared.domain.market import CandleWindow, Quote, Series, Span, Timeframe
from shared.domain.order import Income
from shared.domain.performance import EquityPoint
from shared.domain.ports import Analyst, Clock, Exchange, MarketData
from shared.domain.position import Holdings, Modes, Sighting
from shared.domain.snapshot import CandleRange, Indicators, Snapshot
from shared.domain.work import OpenWork, Work

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
    async with begin(Stage.FETCH, request, _load, open_work=open_work, clock=clock) as begun:
        if isinstance(begun, StageResult):
            return begun
        run, known = begun
        account = run.account
        gathered, quotes, instruments, (holdings, open_orders) = await asyncio.gather(
            gather(market, _asks(known.holes, known.wanted), clock.now()),
            market.quotes(account.symbols),
            market.instruments(),
            holdings_and_orders(exchange, known.sighting.resting),
        )
        held = {position.symbol for position in holdings.positions}
        listed = [symbol for symbol in account.symbols if symbol in instruments]
        if not listed:
            raise MarketDataUnusable(f"the exchange lists none of {', '.join(account.symbols)}")
        taker_fee = await exchange.taker_fee(listed[0])
        windows = await _kept(run, known, gathered)
        defects = _defects(account, windows, quotes, gathered.failures, request.tick)
        indicators = _indicators(analyst, windows, defects)
        snapshot = Snapshot(
            account_id=account.id,
            tick=request.tick,
            taken_at=clock.now(),
            quotes=quotes,
            instruments={symbol: found for symbol, found in instruments.items() if symbol in held or symbol in listed},
            indicators=indicators,
            defects=defects,
            holdings=holdings,
            open_orders=tuple(open_orders),
            taker_fee=taker_fee,
            candles=_ranges(windows, indicators),
        )
        booked = await booked_before(holdings, exchange) if known.sighting.first else None
        async with run.ending() as work:
            await _check_modes(work, run, known.sighting.modes, holdings)
            await work.snapshots.save(snapshot)
            if booked is not None:
                await _open_books(work, account, holdings, booked)
            plans = await plans_of(work, account.id, holdings.positions)
            details = {
                "asked": sum(map(len, known.holes.values())),
                "candles": sum(_new(series, spans, gathered) for series, spans in known.holes.items()),
                "symbols": len(account.symbols),
                "defects": defects,
                "plans_due": due(holdings.positions, plans, snapshot, clock.now()),
            }
            return await run.finish(work, details)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the database has, and what it lacks."""

    wanted: Mapping[Series, Span]
    holes: Mapping[Series, Sequence[Span]]
    sighting: Sighting


async def _load(work: Work, run: Run) -> _Known:
    account = run.account
    wanted = {
        Series(symbol, timeframe): _window_before(run.request.tick, timeframe)
        for symbol in account.symbols
        for timeframe in account.timeframes
    }
    return _Known(
        wanted=wanted,
        holes=await missing(work, wanted, run.clock.now()),
        sighting=await work.accounts.sighting(account.id),
    )


async def _kept(run: Run, known: _Known, gathered: Gathered) -> Sequence[CandleWindow]:
    """Store what was gathered and return the windows before the tick. Candles are everybody's: it takes no lease."""
    now = run.clock.now()
    async with run.open_work() as work:
        await keep(work, gathered, now)
        if unsettled := _unsettled(known.holes, known.wanted, gathered):
            await settle(work, known.wanted, unsettled, now)
        return await work.candles.windows(known.wanted, before=run.request.tick, count=WINDOW)


def _window_before(tick: datetime, timeframe: Timeframe) -> Span:
    running = timeframe.open_at(tick)
    return Span(timeframe.back(running, WINDOW), timeframe.back(running, 1))


def _asks(holes: Mapping[Series, Sequence[Span]], wanted: Mapping[Series, Span]) -> dict[Series, list[Span]]:
    """Return the holes, that of the newest candles with the one before it: it is told again as it was told, or late."""
    return {
        series: [
            Span(series.timeframe.back(span.since, 1), span.until) if _newest(span, wanted[series]) else span
            for span in spans
        ]
        for series, spans in holes.items()
    }


def _newest(span: Span, whole: Span) -> bool:
    return span.until == whole.until and span.since > whole.since


def _new(series: Series, spans: Sequence[Span], gathered: Gathered) -> int:
    """Return how many of the candles were missing before."""
    found = gathered.found.get(series, ())
    return sum(any(span.since <= candle.opened <= span.until for span in spans) for candle in found)


def _unsettled(
    holes: Mapping[Series, Sequence[Span]], wanted: Mapping[Series, Span], gathered: Gathered
) -> dict[Series, Sequence[Span]]:
    """Return what was asked of the series that lacked candles of long ago, or got fewer than they asked for."""
    return {
        series: spans
        for series, spans in holes.items()
        if series not in gathered.failures
        and (
            not _newest(spans[0], wanted[series])
            or _new(series, spans, gathered) < sum(series.timeframe.number(span.since, span.until) for span in spans)
        )
    }


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
    of_symbol: dict[str, list[CandleWindow]] = {}
    for window in windows:
        of_symbol.setdefault(window.series.symbol, []).append(window)
        defect = failures.get(window.series) or window.defect(tick)
        if defect:
            defects[window.series.symbol] = f"{window.series.timeframe}: {defect}"
    for symbol in of_symbol.keys() - defects.keys():
        if defect := _disagreement(of_symbol[symbol], quotes[symbol]):
            defects[symbol] = defect
    return defects


def _disagreement(windows: Sequence[CandleWindow], quote: Quote) -> str | None:
    """Say where the timeframes of one symbol, or its quote, tell different prices, or return None."""
    finest, *others = sorted(windows, key=lambda window: window.opened[-1], reverse=True)
    for finer, coarser in pairwise([finest, *others]):
        if defect := coarser.disagrees(finer):
            return defect
    return quote.disagrees(finest)


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


def _ranges(
    windows: Sequence[CandleWindow], indicators: Mapping[str, Mapping[Timeframe, Indicators]]
) -> dict[str, dict[Timeframe, CandleRange]]:
    """Name the candles that were studied, so that it can be told later whether they are still the same."""
    ranges: dict[str, dict[Timeframe, CandleRange]] = {}
    for window in windows:
        symbol, timeframe = window.series.symbol, window.series.timeframe
        if timeframe in indicators.get(symbol, {}):
            ranges.setdefault(symbol, {})[timeframe] = CandleRange(
                since=window.opened[0], until=window.opened[-1], count=len(window.opened), digest=window.digest()
            )
    return ranges


async def _check_modes(work: Work, run: Run, known: Modes | None, holdings: Holdings) -> None:
    """Halt an account that somebody has put into other modes: what is held there is protected, and nothing opens."""
    found = holdings.modes(run.account.symbols)
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
