"""The rows beside an account's own: what its symbols did by themselves, what dice made of its trades, and nothing."""

import asyncio
from datetime import datetime, timedelta

from api.results import Benchmark
from shared.db.curve_reports import EndedTrip, Outline
from shared.db.reports import Reports
from shared.domain.account import Account
from shared.domain.benchmark import QUANTILES, Bars, Dice, Hold, Stake, buy_and_hold, roll
from shared.domain.market import WIDTH, Series, Timeframe
from shared.domain.work import OpenWork

MOMENTS = 200
"""At which buying and holding is looked at."""

THROWN = 200
"""Of more trades than that, dice are thrown for the last."""

CANDLES = 5000
"""The most of a symbol that dice are thrown among: the narrowest candles are taken that make do with so many."""


async def benchmarks(account: Account, outline: Outline, *, reports: Reports, open_work: OpenWork) -> list[Benchmark]:
    """Return the rows beside the record of *account*; none where it has none."""
    if not outline.days:
        return []
    first, last = outline.days[0].first_at, outline.days[-1].at
    hold = await held(account, [first + (last - first) * n / (MOMENTS - 1) for n in range(MOMENTS)], reports)
    trips = await reports.last_trips(account.id, THROWN)
    return [_held(hold), _diced(await _rolled(account, trips, open_work)), _nothing()]


async def held(account: Account, moments: list[datetime], reports: Reports) -> Hold:
    """Return what the account's symbols would have become, bought with equal money at the first of *moments*.

    A price is known at closes alone, and the one before would sell a move to the buyer that came before the purchase:
    bought is at the first close from then on.
    """
    short = [timeframe for timeframe in account.timeframes if _width(timeframe) <= timedelta(days=1)]
    bought = _first_close(moments[0], min(short or account.timeframes, key=_width))
    later = [max(moment, bought) for moment in moments]
    return buy_and_hold(await reports.prices(account.symbols, short or account.timeframes, later))


def _first_close(moment: datetime, timeframe: Timeframe) -> datetime:
    opened = timeframe.open_at(moment)
    return moment if opened == moment else timeframe.following(opened)


async def _rolled(account: Account, trips: list[EndedTrip], open_work: OpenWork) -> Dice | None:
    trips = [trip for trip in trips if trip.equity > 0]
    if not trips:
        return None
    since, until = min(trip.opened_at for trip in trips), max(trip.closed_at for trip in trips)
    widths = sorted(account.timeframes, key=_width)
    timeframe = next((each for each in widths if (until - since) / _width(each) <= CANDLES), widths[-1])
    count = min(CANDLES, (until - since) // _width(timeframe) + 2)
    async with open_work() as work:
        windows = await work.candles.windows(
            [Series(symbol, timeframe) for symbol in account.symbols], before=until, count=count
        )
    bars = {each.series.symbol: Bars(highs=each.high, lows=each.low, closes=each.close) for each in windows}
    stakes = [_stake(trip, _width(timeframe)) for trip in trips]
    # The same trades are rolled the same, whoever asks and however often; thinking of it keeps others waiting.
    return await asyncio.to_thread(roll, stakes, bars, seed=f"{account.id} {until.isoformat()}")


def _stake(trip: EndedTrip, width: timedelta) -> Stake:
    return Stake(
        share=float(trip.notional / trip.equity),
        costs=float(trip.fees / trip.equity),
        candles=max(1, round((trip.closed_at - trip.opened_at) / width)),
        stop=None if trip.stop_price is None else abs(float(trip.stop_price / trip.entry_price) - 1),
        result=float(trip.net / trip.equity),
    )


def _held(hold: Hold) -> Benchmark:
    return Benchmark(
        name="buy_and_hold",
        total_return=_written(hold.total_return),
        max_drawdown=_written(hold.max_drawdown),
        symbols=list(hold.symbols),
        without=list(hold.without),
        word="its symbols bought with equal money at its first point and held, without leverage, fees and funding"
        if hold.symbols
        else "there are no candles of its symbols at its first point",
    )


def _diced(dice: Dice | None) -> Benchmark:
    if dice is None:
        word = "there are no closed trades with candles to throw dice for"
        return Benchmark(name="random_entry", total_return=None, max_drawdown=None, word=word)
    quantiles = {f"{share:g}": f"{value:.8f}" for share, value in zip(QUANTILES, dice.quantiles, strict=True)}
    return Benchmark(
        name="random_entry",
        total_return=quantiles["0.5"],
        max_drawdown=None,
        quantiles=quantiles,
        beaten=dice.beaten,
        own=_written(dice.own),
        trips=dice.trips,
        draws=dice.draws,
        word=f"better than {dice.beaten:.0%} of {dice.draws} draws of symbol, direction and moment for the last"
        f" {dice.trips} trades, each with its own size, stop, length and costs",
    )


def _nothing() -> Benchmark:
    word = "no model: nothing is opened"
    return Benchmark(name="no_model", total_return="0", max_drawdown="0", word=word)


def _width(timeframe: Timeframe) -> timedelta:
    return WIDTH.get(timeframe, timedelta(days=31))


def _written(value: float | None) -> str | None:
    return None if value is None else f"{value:.8f}"
