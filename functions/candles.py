"""
Stored candles by hand.

    python -m functions.candles backfill --symbols BTCUSDT,ETHUSDT --timeframes 5m,4h --since 2024-01-01
    python -m functions.candles gaps
    python -m functions.candles repair
    python -m functions.candles defects
    python -m functions.candles prune

Symbols and timeframes are those of the accounts, unless told otherwise. A backfill that was stopped goes on when it is
started again. Exit code 1 when a series could not be had or has a gap, 2 for what cannot work.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TextIO, TypeVar

from functions.history import PRUNED, Gap, History, prune
from shared.complaints import one_clear_line
from shared.domain.errors import BadRequest
from shared.domain.market import Series, Span, Timeframe
from shared.logs import set_up_logging
from shared.runtime import Runtime
from shared.server import database_server
from shared.settings import Settings, read_settings

T = TypeVar("T")

DEFECTS = 100
"""How many are listed."""

Progress = Callable[[int], object]
"""Told how many more candles are done with."""


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m functions.candles", description="Look after stored candles.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("backfill", "fetch what is missing of a range"),
        ("gaps", "list what is missing"),
        ("repair", "ask once more for what is missing"),
    ):
        command = commands.add_parser(name, help=purpose, description=purpose.capitalize() + ".")
        command.add_argument("--symbols", help="separated by commas (default: what the accounts trade)")
        command.add_argument("--timeframes", help="separated by commas (default: what the accounts look at)")
        since = "2024-01-01 or 2024-01-01T08:00Z, UTC"
        optional = "" if name == "backfill" else " (default: the first stored candle)"
        command.add_argument("--since", required=name == "backfill", help=since + optional)
        command.add_argument("--until", help="likewise (default: now)")
    defects = commands.add_parser("defects", help="list what was wrong with candles, the newest 100")
    defects.add_argument("--symbols", help="separated by commas (default: what the accounts trade)")
    defects.add_argument("--timeframes", help="separated by commas (default: what the accounts look at)")
    commands.add_parser("prune", help="take away what is older than CANDLE_RETENTION")
    chosen = parser.parse_args()
    try:
        with one_clear_line():
            settings = read_settings()
            set_up_logging("candles", level="ERROR", folder=settings.log_folder, config=settings.logging_config)
            with database_server(settings) as connected:
                return asyncio.run(_run(connected, chosen))
    except KeyboardInterrupt:
        _say("stopped; the same command goes on from here", sys.stderr)
        return 130


async def _run(settings: Settings, chosen: argparse.Namespace) -> int:
    runtime = await Runtime.open(settings, long_lived=False)
    try:
        await runtime.require_time()
        await runtime.recognise()
        if chosen.command == "prune":
            return await _prune(runtime)
        if chosen.command == "defects":
            return await _defects(runtime, _series(runtime, chosen))
        history = History(open_work=runtime.open_work, market=runtime.market, clock=runtime.clock)
        wanted = await _wanted(runtime, chosen)
        if chosen.command == "gaps":
            return _list(await history.gaps(wanted))
        return await _bring(history, wanted, again=chosen.command == "repair")
    finally:
        await runtime.close()


async def _bring(history: History, wanted: Mapping[Series, Span], *, again: bool) -> int:
    asks = await history.missing(wanted, again=again)
    total = sum(series.timeframe.number(span.since, span.until) for series, spans in asks.items() for span in spans)
    with _progress(total) as done:
        brought = await history.backfill(wanted, asks, done=done)
    _say(f"{brought.candles:,} candles of {len(wanted)} series brought, {total:,} were missing")
    for series, why in brought.failures.items():
        _say(f"{series.symbol} {series.timeframe}: {why}; the same command asks again", sys.stderr)
    return 1 if brought.failures else 0


def _list(gaps: Sequence[Gap]) -> int:
    for gap in gaps:
        known = ", the exchange does not have them" if gap.in_vain else ""
        _say(f"{gap.series.symbol} {gap.series.timeframe}  {_between(gap.span)}  {gap.candles:,} candles{known}")
    fillable = [gap for gap in gaps if not gap.in_vain]
    _say(f"{sum(gap.candles for gap in fillable):,} candles are missing, in {len(fillable)} gaps")
    return 1 if fillable else 0


async def _defects(runtime: Runtime, series: Sequence[Series]) -> int:
    async with runtime.open_work() as work:
        found = await work.candle_defects.recent(series, DEFECTS)
    for kept in found:
        defect = kept.defect
        healed = f", filled {kept.healed_at:%Y-%m-%d %H:%M}" if kept.healed_at else ""
        _say(
            f"{defect.series.symbol} {defect.series.timeframe}  {defect.kind.value}  {_between(defect.span)}  "
            f"{defect.detail}, seen {kept.times} times, last {kept.last_seen:%Y-%m-%d %H:%M}{healed}"
        )
    _say(f"{len(found)} defects")
    return 0


def _between(span: Span) -> str:
    return f"{span.since:%Y-%m-%d %H:%M} to {span.until:%Y-%m-%d %H:%M}"


async def _prune(runtime: Runtime) -> int:
    retention = runtime.settings.candle_retention
    if retention is None:
        _say("CANDLE_RETENTION is not set: every candle is kept")
        return 0
    pruned = await prune(runtime.database, runtime.clock, retention)
    _say(f"{pruned.months} months and {pruned.rows:,} single candles taken away")
    return 0


async def _wanted(runtime: Runtime, chosen: argparse.Namespace) -> dict[Series, Span]:
    """Return what the command line names, on the grid. Raises BadRequest."""
    now = runtime.clock.now()
    series = _series(runtime, chosen)
    since = chosen.since and _moment("--since", chosen.since)
    until = _moment("--until", chosen.until) if chosen.until else now
    if since and since >= now:
        raise BadRequest(f"--since {chosen.since} is in the future: at the exchange it is {now:%Y-%m-%d %H:%M}")
    if since and until <= since:
        raise BadRequest(f"--until {chosen.until} is not after --since {chosen.since}")
    if chosen.command != "gaps":
        listed = await runtime.market.instruments()
        if unknown := sorted({each.symbol for each in series} - listed.keys()):
            raise BadRequest(f"the exchange at {runtime.settings.exchange_url} does not list {', '.join(unknown)}")
    retention = runtime.settings.candle_retention
    if (
        since
        and chosen.command != "gaps"
        and retention
        and since < now - retention
        and {each.timeframe for each in series} & set(PRUNED)
    ):
        raise BadRequest(f"--since {chosen.since} is older than CANDLE_RETENTION: what came would be taken away again")
    if since:
        begins = dict.fromkeys(series, since)
    else:
        async with runtime.open_work() as work:
            begins = dict(await work.candles.began(series))
    spans = {each: _closed(each.timeframe, begin, min(until, now)) for each, begin in begins.items()}
    return {each: span for each, span in spans.items() if span.since <= span.until}


def _series(runtime: Runtime, chosen: argparse.Namespace) -> list[Series]:
    accounts = [configured.account for configured in runtime.accounts.values()]
    symbols = _words(chosen.symbols, (symbol for account in accounts for symbol in account.symbols), str.upper)
    frames = _words(chosen.timeframes, (frame for account in accounts for frame in account.timeframes), _timeframe)
    return [Series(symbol, frame) for symbol in symbols for frame in frames]


def _closed(timeframe: Timeframe, since: datetime, until: datetime) -> Span:
    """Return the candles that open at *since* or later and are closed at *until*."""
    first = timeframe.open_at(since)
    return Span(first if first == since else timeframe.following(first), timeframe.back(timeframe.open_at(until), 1))


def _words(given: str | None, usual: Iterable[T], read: Callable[[str], T]) -> list[T]:
    words = [read(word.strip()) for word in given.split(",") if word.strip()] if given else list(usual)
    return list(dict.fromkeys(words))


def _timeframe(word: str) -> Timeframe:
    try:
        return Timeframe(word)
    except ValueError:
        raise BadRequest(f"{word!r} is no timeframe: there are {' '.join(Timeframe)}") from None


def _moment(option: str, word: str) -> datetime:
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise BadRequest(f"{option} {word!r} is no date: write it like 2024-01-01 or 2024-01-01T08:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _progress(total: int) -> AbstractContextManager[Progress]:
    return _bar(total) if sys.stderr.isatty() else _lines(total)


@contextmanager
def _bar(total: int) -> Iterator[Progress]:
    from tqdm import tqdm  # noqa: PLC0415 - only here, and only at a terminal

    with tqdm(total=total, unit=" candles", unit_scale=True) as bar:
        yield bar.update


@contextmanager
def _lines(total: int) -> Iterator[Progress]:
    """A line for every tenth."""
    so_far = 0

    def done(candles: int) -> None:
        nonlocal so_far
        before, so_far = so_far, so_far + candles
        if so_far * 10 // total > before * 10 // total:
            _say(f"{so_far:,} of {total:,} candles", sys.stderr)

    yield done


def _say(line: str, stream: TextIO | None = None) -> None:
    print(line, file=stream, flush=True)


if __name__ == "__main__":
    sys.exit(main())
