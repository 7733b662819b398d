"""
Market streams: what anyone may listen to, as feeds that follow market time.

A feed tells what came to pass since it was last asked. However far market time has moved in one step, a feed that
shows a state (prices, tickers, books, the running bar) shows the newest one only, at the last moment its rhythm has;
of what must not be missed it tells everything, up to the last thousand of a step: trades and the final update of each
bar. The diff of the book spans the whole step, so a book kept by it is always right. Everything follows from market
time and the times a feed was asked at, so the same steps give the same events.

Update ids are market times in milliseconds, as `lastUpdateId` of the REST answer is: the diff of an update (pu, u]
holds every level that anyone could have seen otherwise in that time.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..doors.wire import eight, plain
from ..holdings.happenings import Happening, OrderChanged
from ..prices.intervals import SPANS, bar_of
from ..prices.market import CandleMarket, DayStatistics, next_funding_time
from ..prices.public_trades import trades_between
from ..prices.symbols import Instrument
from ..venue import Venue
from . import ladder

STEP_MOST = 1000
"""Most trades, and most final bars, that one feed tells of one step."""
SECOND = 1000
Json = dict[str, Any]
Event = tuple[int, Json | list[Json]]
"""A market time, and what is said about it."""
Describe = Callable[[Instrument, int], Awaitable[Json | None]]
"""Say how a symbol stands at a time; nothing when it is not listed yet."""


class Feed(ABC):
    """One market stream, from the moment on that someone listens."""

    @abstractmethod
    async def events(self, until: int) -> list[Event]:
        """Return what came to pass up to a market time, oldest first."""

    def hear(self, happened: Sequence[Happening]) -> None:  # noqa: B027 - most feeds tell of the market only
        """Take in what the venue committed, which for most feeds means nothing."""


class States(Feed):
    """Shows how one or all symbols stand, in a rhythm."""

    def __init__(
        self, instruments: list[Instrument], describe: Describe, *, period: int, since: int, array: bool = False
    ) -> None:
        self._instruments = instruments
        self._describe = describe
        self._period = period
        self._array = array
        self._told = since

    async def events(self, until: int) -> list[Event]:
        moment = until // self._period * self._period
        if moment <= self._told:
            return []
        self._told = moment
        seen = [await self._describe(instrument, moment) for instrument in self._instruments]
        rows = [row for row in seen if row is not None]
        if self._array:
            return [(moment, rows)] if rows else []
        return [(moment, row) for row in rows]


class BestPrices(Feed):
    """Tells each time the best bid or ask of one or all symbols is another, or holds more or less."""

    def __init__(self, takings: ladder.Takings, instruments: list[Instrument]) -> None:
        self._takings = takings
        self._symbols = [instrument.symbol for instrument in instruments]
        self._last: dict[str, Json] = {}

    async def events(self, until: int) -> list[Event]:
        told: list[Event] = []
        for symbol in self._symbols:
            view = self._takings.view(symbol, until)
            if view is None:
                continue
            bid, ask = (view.rows(side, view.prices(side, 1))[0] for side in (ladder.BIDS, ladder.ASKS))
            best = {"b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
            if best != self._last.get(symbol):
                self._last[symbol] = best
                told.append((until, {"e": "bookTicker", "u": until, "E": until, "T": until, "s": symbol, **best}))
        return told


class Trades(Feed):
    """Tells the public's trades of a symbol."""

    def __init__(self, venue: Venue, instrument: Instrument, since: int) -> None:
        self._market = venue.market
        self._instrument = instrument
        self._told = since

    async def events(self, until: int) -> list[Event]:
        symbol = self._instrument.symbol
        trades = trades_between(self._market, symbol, self._told, until, STEP_MOST)
        self._told = until
        return [
            (
                trade.time,
                {
                    "e": "aggTrade",
                    "E": trade.time,
                    "s": symbol,
                    "a": trade.id,
                    "p": self._instrument.price_text(trade.price),
                    "q": plain(trade.quantity),
                    "f": trade.id,
                    "l": trade.id,
                    "T": trade.time,
                    "m": trade.buyer_made,
                },
            )
            for trade in trades
        ]


class Bars(Feed):
    """Shows the running bar of a symbol, and every bar once more when it is complete."""

    PERIOD = 250

    def __init__(self, venue: Venue, instrument: Instrument, interval: str, since: int) -> None:
        self._market = venue.market
        self._instrument = instrument
        self._interval = interval
        self._told = since
        self._unfinished, _ = bar_of(since, interval)
        """When the first bar opened that has not been told complete."""

    async def events(self, until: int) -> list[Event]:
        moment = until // self.PERIOD * self.PERIOD
        if moment <= self._told or self._market.price(self._instrument.symbol, moment) is None:
            return []
        self._told = moment
        start = max(self._unfinished, moment - STEP_MOST * SPANS[self._interval])
        rows = json.loads(
            await self._market.klines(
                self._instrument.symbol, self._interval, now=moment, start=start, end=None, limit=1500, kind="last"
            )
        )
        told: list[Event] = []
        for index, row in enumerate(rows):
            ends = row[6] + 1
            # What comes in from elsewhere may lag: there a bar is complete once the next one is seen.
            complete = ends <= moment and (not self._market.real_time or index + 1 < len(rows))
            if complete:
                self._unfinished = ends
            elif index + 1 < len(rows):
                continue
            at = ends if complete else moment
            told.append((at, self._event(row, at, complete)))
        return told

    def _event(self, row: list[Any], at: int, complete: bool) -> Json:
        bar = {
            "t": row[0],
            "T": row[6],
            "s": self._instrument.symbol,
            "i": self._interval,
            "f": row[0] // SECOND,
            "L": max(row[0], min(at, row[6] + 1) - SECOND) // SECOND,
            "o": row[1],
            "c": row[4],
            "h": row[2],
            "l": row[3],
            "v": row[5],
            "n": row[8],
            "x": complete,
            "q": row[7],
            "V": row[9],
            "Q": row[10],
            "B": row[11],
        }
        return {"e": "kline", "E": at, "s": self._instrument.symbol, "k": bar}


class Book(Feed):
    """Shows the best levels of a symbol's book, or, without a number of levels, how the book changed."""

    def __init__(
        self, takings: ladder.Takings, instrument: Instrument, *, levels: int | None, period: int, since: int
    ) -> None:
        self._takings = takings
        self._symbol = instrument.symbol
        self._levels = levels
        self._period = period
        self._update = since // period * period
        self._seen = [view for at in (self._update, since) if (view := takings.view(self._symbol, at)) is not None]

    async def events(self, until: int) -> list[Event]:
        moment = until // self._period * self._period
        told: list[Event] = []
        if moment > self._update and (now := self._takings.view(self._symbol, moment)) is not None:
            if self._levels is None:
                changes = ladder.restated(self._seen, now)
            else:
                bids, asks = (now.rows(side, now.prices(side, self._levels)) for side in (ladder.BIDS, ladder.ASKS))
                changes = bids, asks
            if any(changes):
                told.append((moment, self._event(moment, *changes)))
                self._update = moment
            self._seen = [now]
        # Whoever asks for the whole book sees it at the end of a step.
        shown = self._takings.view(self._symbol, until)
        if shown is not None and shown not in self._seen:
            self._seen.append(shown)
        return told

    def _event(self, moment: int, bids: ladder.Levels, asks: ladder.Levels) -> Json:
        return {
            "e": "depthUpdate",
            "E": moment,
            "T": moment,
            "s": self._symbol,
            "U": self._update + 1,
            "u": moment,
            "pu": self._update,
            "b": bids,
            "a": asks,
        }


class Liquidations(Feed):
    """Tells the last liquidation of each second, symbol by symbol."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._waiting: dict[tuple[int, str], OrderChanged] = {}

    def hear(self, happened: Sequence[Happening]) -> None:
        for each in happened:
            if not isinstance(each, OrderChanged) or each.execution != "CALCULATED":
                continue
            if each.order.symbol in self._instruments:
                self._waiting[each.time // SECOND, each.order.symbol] = each

    async def events(self, until: int) -> list[Event]:
        due = [key for key in self._waiting if (key[0] + 1) * SECOND <= until]
        return [self._event((key[0] + 1) * SECOND, self._waiting.pop(key)) for key in due]

    def _event(self, moment: int, liquidation: OrderChanged) -> Event:
        order = liquidation.order
        instrument = self._instruments[order.symbol]
        average = order.quote / order.executed
        described = {
            "s": order.symbol,
            "S": order.side,
            "o": "LIMIT",
            "f": "IOC",
            "q": plain(order.quantity),
            "p": instrument.price_text(order.price),
            "ap": f"{average:.{instrument.price_decimals}f}",
            "X": order.status,
            "l": plain(liquidation.trade.quantity if liquidation.trade else order.executed),
            "z": plain(order.executed),
            "T": liquidation.time,
        }
        return moment, {"e": "forceOrder", "E": moment, "o": described}


def describe_mark(venue: Venue) -> Describe:
    """Describe mark price and funding."""

    async def describe(instrument: Instrument, at: int) -> Json | None:
        if venue.market.price(instrument.symbol, at) is None:
            return None
        every = venue.market.funding_interval(instrument.symbol)
        index = eight(instrument.fine_price(venue.market.index(instrument.symbol, at)))
        return {
            "e": "markPriceUpdate",
            "E": at,
            "s": instrument.symbol,
            "p": eight(instrument.fine_price(venue.market.mark(instrument.symbol, at))),
            "i": index,
            "P": index,
            "r": eight(venue.market.funding_rate(instrument.symbol, at // every * every)),
            "T": next_funding_time(at, every),
        }

    return describe


def describe_day(venue: Venue, *, brief: bool) -> Describe:
    """Describe the last 24 hours."""

    async def describe(instrument: Instrument, at: int) -> Json | None:
        if venue.market.price(instrument.symbol, at) is None:
            return None
        day = await venue.market.day(instrument.symbol, at)
        return _brief(instrument, day, at) if brief else _full(instrument, day, at)

    return describe


def _brief(instrument: Instrument, day: DayStatistics, at: int) -> Json:
    return {
        "e": "24hrMiniTicker",
        "E": at,
        "s": instrument.symbol,
        "c": instrument.price_text(day.last),
        "o": instrument.price_text(day.open),
        "h": instrument.price_text(day.high),
        "l": instrument.price_text(day.low),
        "v": plain(day.volume),
        "q": f"{day.quote_volume:.4f}",
    }


def _full(instrument: Instrument, day: DayStatistics, at: int) -> Json:
    average: Decimal = day.quote_volume / day.volume if day.volume else instrument.price(day.last)
    return {
        "e": "24hrTicker",
        "E": at,
        "s": instrument.symbol,
        "p": plain(instrument.price(day.last - day.open)),
        "P": f"{(day.last - day.open) * 100 / day.open:.3f}",
        "w": f"{average:.{instrument.price_decimals + 1}f}",
        "c": instrument.price_text(day.last),
        "Q": plain(instrument.min_quantity),
        "o": instrument.price_text(day.open),
        "h": instrument.price_text(day.high),
        "l": instrument.price_text(day.low),
        "v": plain(day.volume),
        "q": f"{day.quote_volume:.4f}",
        "O": day.open_time,
        "C": day.close_time,
        "F": day.open_time // SECOND,
        "L": day.open_time // SECOND + day.trades - 1,
        "n": day.trades,
    }


@dataclass(frozen=True, slots=True)
class Source:
    """What feeds are made of."""

    venue: Venue
    takings: ladder.Takings


def _bars(source: Source, instrument: Instrument, since: int, name: re.Match[str]) -> Feed | None:
    interval, market = name["interval"], source.venue.market
    if interval not in SPANS or (isinstance(market, CandleMarket) and SPANS[interval] % SPANS[market.base]):
        return None
    return Bars(source.venue, instrument, interval, since)


def _book(source: Source, instrument: Instrument, since: int, name: re.Match[str]) -> Feed:
    levels = int(name["levels"]) if name["levels"] else None
    return Book(source.takings, instrument, levels=levels, period=int(name["pace"] or 250), since=since)


def _mark(source: Source, instrument: Instrument, since: int, name: re.Match[str]) -> Feed:
    period = SECOND if name["fast"] else 3 * SECOND
    return States([instrument], describe_mark(source.venue), period=period, since=since)


def _day(source: Source, instrument: Instrument, since: int, name: re.Match[str]) -> Feed:
    describe = describe_day(source.venue, brief=name[0] == "miniTicker")
    return States([instrument], describe, period=500, since=since)


ONE_SYMBOL: tuple[tuple[re.Pattern[str], Callable[[Source, Instrument, int, re.Match[str]], Feed | None]], ...] = (
    (re.compile(r"aggTrade"), lambda source, instrument, since, _: Trades(source.venue, instrument, since)),
    (re.compile(r"bookTicker"), lambda source, instrument, _, __: BestPrices(source.takings, [instrument])),
    (re.compile(r"forceOrder"), lambda _, instrument, __, ___: Liquidations([instrument])),
    (re.compile(r"ticker|miniTicker"), _day),
    (re.compile(r"markPrice(?P<fast>@1s)?"), _mark),
    (re.compile(r"kline_(?P<interval>\w+)"), _bars),
    (re.compile(r"depth(?P<levels>5|10|20)?(@(?P<pace>100|500)ms)?"), _book),
)


def feed_for(name: str, source: Source, since: int) -> Feed | None:
    """Return the feed of a market stream's name, symbols in lower case, or nothing when there is no such stream."""
    if name.startswith("!"):
        return _feed_of_all(name, source, since)
    symbol, _, kind = name.partition("@")
    instrument = source.venue.market.instruments.get(symbol.upper())
    if instrument is None or symbol != symbol.lower():
        return None
    for pattern, build in ONE_SYMBOL:
        if match := pattern.fullmatch(kind):
            return build(source, instrument, since, match)
    return None


def _feed_of_all(name: str, source: Source, since: int) -> Feed | None:
    venue = source.venue
    everything = list(venue.market.instruments.values())

    def states(describe: Describe, period: int) -> Feed:
        return States(everything, describe, period=period, since=since, array=True)

    feeds: dict[str, Callable[[], Feed]] = {
        "!markPrice@arr": lambda: states(describe_mark(venue), 3 * SECOND),
        "!markPrice@arr@1s": lambda: states(describe_mark(venue), SECOND),
        "!miniTicker@arr": lambda: states(describe_day(venue, brief=True), SECOND),
        "!ticker@arr": lambda: states(describe_day(venue, brief=False), SECOND),
        "!bookTicker": lambda: BestPrices(source.takings, everything),
        "!forceOrder@arr": lambda: Liquidations(everything),
    }
    return feeds[name]() if name in feeds else None
