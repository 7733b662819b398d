"""Market data in our own words, as the exchange's payloads tell it. A reader raises Unreadable rather than guess."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from shared.domain.instrument import Instrument
from shared.domain.market import Candle, Quote
from shared.exchange.fields import (
    Row,
    Unreadable,
    as_row,
    as_rows,
    decimal,
    exact,
    integer,
    milliseconds,
    moment,
    moment_at,
    text,
)

log = logging.getLogger("perpetua.market_data")


def read_server_time(payload: Any) -> datetime:
    """Read the answer of `time`."""
    return moment(as_row(payload), "serverTime")


@dataclass(frozen=True, slots=True)
class Emulation:
    """What an emulated exchange tells beside its time: how many times faster than life it runs, and its books' name."""

    speed: float
    books: str


def read_emulation(payload: Any) -> Emulation:
    """Read the answer of `time`: speed 1 and no name of any books where they are not told."""
    row = as_row(payload)
    return Emulation(float(decimal({"speed": "1", **row}, "speed")), str(row.get("books", "")))


def read_instruments(payload: Any) -> dict[str, Instrument]:
    """Read the perpetual contracts of `exchangeInfo`, leaving out those whose filters cannot be read."""
    found, skipped = {}, []
    for row in as_rows(as_row(payload).get("symbols")):
        symbol = text(row, "symbol")
        if row.get("contractType") != "PERPETUAL" or symbol.startswith("TEST"):
            continue
        try:
            found[symbol] = _instrument(symbol, row)
        except Unreadable as exc:
            skipped.append(f"{symbol} ({exc})")
    if skipped:
        log.warning("contracts left out, their filters cannot be read: %s", ", ".join(skipped))
    if not found:
        raise Unreadable("no contract that can be traded")
    return found


def _instrument(symbol: str, row: Row) -> Instrument:
    filters = {text(entry, "filterType"): entry for entry in as_rows(row.get("filters"))}
    price, lot = as_row(filters.get("PRICE_FILTER")), as_row(filters.get("LOT_SIZE"))
    market_lot = as_row(filters.get("MARKET_LOT_SIZE", lot))
    instrument = Instrument(
        symbol=symbol,
        trading=text(row, "status") == "TRADING",
        tick_size=decimal(price, "tickSize"),
        min_price=decimal(price, "minPrice"),
        max_price=decimal(price, "maxPrice"),
        step_size=max(decimal(lot, "stepSize"), decimal(market_lot, "stepSize")),
        min_quantity=max(decimal(lot, "minQty"), decimal(market_lot, "minQty")),
        max_market_quantity=min(decimal(lot, "maxQty"), decimal(market_lot, "maxQty")),
        min_notional=decimal(as_row(filters.get("MIN_NOTIONAL")), "notional"),
    )
    finest_step = min(decimal(lot, "stepSize"), decimal(market_lot, "stepSize"))
    if instrument.tick_size <= 0 or finest_step <= 0:
        raise Unreadable("a tick or step size of zero")
    # Sizes are whole steps from zero on: so they are whole steps from the smallest on too, as the exchange counts them.
    if not (_whole(instrument.step_size, finest_step) and _whole(instrument.min_quantity, instrument.step_size)):
        raise Unreadable("steps that do not fit the smallest quantity, or each other")
    return instrument


def _whole(value: Decimal, step: Decimal) -> bool:
    """Say whether *value* is so many whole steps, however many: Decimal's own remainder gives up at 28 digits."""
    return (Fraction(value) / Fraction(step)).denominator == 1


def read_candles(payload: Any, *, closed_by: datetime) -> list[Candle]:
    """Read `klines` as they were told, leaving out the candle that was still running at *closed_by*."""
    if not isinstance(payload, list):
        raise Unreadable("not a list of candles")
    now = milliseconds(closed_by)
    return [_candle(row) for row in payload if not _runs_at(row, now)]


def _runs_at(row: Any, now: int) -> bool:
    if not isinstance(row, list) or len(row) < 7 or type(row[0]) is not int or type(row[6]) is not int:
        raise Unreadable("a candle without its times")
    return row[0] <= now < row[6]


def _candle(row: list[Any]) -> Candle:
    # Thousands are read at once: without a loop, and without a name looked up for every number.
    return Candle(
        opened=moment_at(row[0]),
        open=exact(row[1], "open"),
        high=exact(row[2], "high"),
        low=exact(row[3], "low"),
        close=exact(row[4], "close"),
        volume=exact(row[5], "volume"),
    )


def read_quotes(payload: Any, symbols: Iterable[str]) -> dict[str, Quote]:
    """Read those *symbols* that `premiumIndex` tells of, be it one object or a list; without open interest."""
    wanted = set(symbols)
    rows = as_rows(payload if isinstance(payload, list) else [payload])
    return {row["symbol"]: _quote(row) for row in rows if str(row.get("symbol")) in wanted}


def _quote(row: Row) -> Quote:
    return Quote(
        symbol=text(row, "symbol"),
        mark_price=decimal(row, "markPrice"),
        index_price=decimal(row, "indexPrice"),
        funding_rate=decimal(row, "lastFundingRate"),
        next_funding_at=moment(row, "nextFundingTime"),
        open_interest=None,
        at=moment(row, "time"),
    )


@dataclass(frozen=True, slots=True)
class Day:
    """What a contract did within the last 24 hours."""

    change: Decimal
    high: Decimal
    low: Decimal
    turnover: Decimal


def read_days(payload: Any) -> dict[str, Day]:
    """Read `ticker/24hr`, be it one object or a list. Its change is in per cent, ours a fraction."""
    return {
        text(row, "symbol"): Day(
            change=decimal(row, "priceChangePercent") / 100,
            high=decimal(row, "highPrice"),
            low=decimal(row, "lowPrice"),
            turnover=decimal(row, "quoteVolume"),
        )
        for row in as_rows(payload if isinstance(payload, list) else [payload])
    }


def read_books(payload: Any) -> dict[str, tuple[Decimal, Decimal]]:
    """Read the best bid and ask of `ticker/bookTicker`, be it one object or a list; empty books are left out."""
    rows = as_rows(payload if isinstance(payload, list) else [payload])
    books = {text(row, "symbol"): (decimal(row, "bidPrice"), decimal(row, "askPrice")) for row in rows}
    return {symbol: (bid, ask) for symbol, (bid, ask) in books.items() if 0 < bid <= ask}


def read_funding_intervals(payload: Any) -> dict[str, timedelta]:
    """Read `fundingInfo`."""
    return {text(row, "symbol"): timedelta(hours=integer(row, "fundingIntervalHours")) for row in as_rows(payload)}


def read_open_interest(payload: Any) -> Decimal:
    """Read the answer of `openInterest`, which the manual does not mention."""
    return decimal(as_row(payload), "openInterest")
