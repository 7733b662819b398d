"""
The market of this moment: another venue's public prices, traded against with paper money.

Every second the candles of the running minute, mark and index prices and funding rates are asked for. The price is
the last one seen and moves in jumps; mark and index prices are the other venue's own. When a minute's high or low has
gone beyond what was seen before, the price is taken to have been there just before, so that an order between two looks
is not missed. Candles and day statistics are passed on from the other venue, remembered for a second. When it cannot
be reached prices stand still until it can.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

from ..errors import Refusal
from .intervals import HOUR, MINUTE
from .market import DayStatistics, Kind, Market, UnusableMarket
from .marks import FINER
from .symbols import Instrument, instrument_from

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
REMEMBERED_SECONDS = 1.0
POINTS_KEPT = 100_000
MINUTES_KEPT = 3
TIMEOUT_SECONDS = 10.0


@dataclass(slots=True)
class _Minute:
    """The candle last seen of a symbol; prices in ticks."""

    opened: int
    high: int
    low: int


class LiveMarket(Market):
    """The public prices of a venue with the same API."""

    real_time = True
    end = None

    def __init__(self, base_url: str, instruments: dict[str, Instrument]) -> None:
        """Use `live_market`, which asks the venue for its instruments."""
        self.identity = f"live {base_url}"
        self.instruments = instruments
        self.start = time.time_ns() // 1_000_000
        self._url = base_url
        self._times: dict[str, list[int]] = {symbol: [] for symbol in instruments}
        self._prices: dict[str, list[int]] = {symbol: [] for symbol in instruments}
        self._minutes: dict[str, _Minute] = {}
        self._volumes: dict[str, dict[int, Decimal]] = {symbol: {} for symbol in instruments}
        """What was traded in the latest minutes, by when they began."""
        self._funding: dict[str, Decimal] = {}
        self._mark_times: dict[str, list[int]] = {symbol: [] for symbol in instruments}
        self._marks: dict[str, list[int]] = {symbol: [] for symbol in instruments}
        self._indexes: dict[str, list[int]] = {symbol: [] for symbol in instruments}
        self._funding_hours: dict[str, int] = {}
        self._answers: dict[str, tuple[float, bytes]] = {}
        self._http: httpx.AsyncClient | None = None

    def price(self, symbol: str, at: int) -> int | None:
        index = bisect_right(self._times[symbol], at) - 1
        return self._prices[symbol][index] if index >= 0 else None

    def extremes(self, symbol: str, after: int, until: int) -> tuple[int, int]:
        return _extremes(self._times[symbol], self._prices[symbol], after, until)

    def mark(self, symbol: str, at: int) -> int:
        return self._marks[symbol][max(0, bisect_right(self._mark_times[symbol], at) - 1)]

    def index(self, symbol: str, at: int) -> int:
        return self._indexes[symbol][max(0, bisect_right(self._mark_times[symbol], at) - 1)]

    def mark_extremes(self, symbol: str, after: int, until: int) -> tuple[int, int]:
        return _extremes(self._mark_times[symbol], self._marks[symbol], after, until)

    def minute_volume(self, symbol: str, end: int) -> Decimal:
        return self._volumes[symbol].get(end - MINUTE, Decimal(0))

    def funding_interval(self, symbol: str) -> int:
        return self._funding_hours[symbol] * HOUR if symbol in self._funding_hours else super().funding_interval(symbol)

    def jumps_at(self, symbol: str, at: int) -> bool:
        return True

    def funding_rate(self, symbol: str, at: int) -> Decimal:
        return self._funding[symbol]

    async def funding_history(self, symbol: str, start: int, end: int, limit: int) -> list[tuple[int, Decimal]]:
        query = {"symbol": symbol, "startTime": start, "endTime": end, "limit": limit}
        rows = json.loads(await self._ask("fundingRate", query))
        return [(row["fundingTime"], Decimal(row["fundingRate"])) for row in rows]

    async def klines(
        self, symbol: str, interval: str, *, now: int, start: int | None, end: int | None, limit: int, kind: Kind
    ) -> bytes:
        named = "pair" if kind == "index" else "symbol"
        query = {named: symbol, "interval": interval, "startTime": start, "endTime": end, "limit": limit}
        sent = {name: value for name, value in query.items() if value is not None}
        return await self._ask("klines" if kind == "last" else f"{kind}PriceKlines", sent)

    async def day(self, symbol: str, now: int) -> DayStatistics:
        day = json.loads(await self._ask("ticker/24hr", {"symbol": symbol}))
        ticks = self.instruments[symbol].ticks
        return DayStatistics(
            open_time=day["openTime"],
            close_time=day["closeTime"],
            open=ticks(Decimal(day["openPrice"])),
            high=ticks(Decimal(day["highPrice"])),
            low=ticks(Decimal(day["lowPrice"])),
            last=ticks(Decimal(day["lastPrice"])),
            volume=Decimal(day["volume"]),
            quote_volume=Decimal(day["quoteVolume"]),
            trades=day["count"],
        )

    async def follow(self) -> None:
        try:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                try:
                    await self._look()
                except (httpx.HTTPError, ValueError, KeyError) as exc:
                    log.warning("no prices from %s: %s", self._url, exc)
        finally:
            await self._client().aclose()

    async def _look(self) -> None:
        """Take in the prices and funding rates of the moment."""
        http = self._client()
        symbols = list(self.instruments)
        looks = [
            http.get("/fapi/v1/klines", params={"symbol": symbol, "interval": "1m", "limit": 1}) for symbol in symbols
        ]
        funding, *answers = await asyncio.gather(http.get("/fapi/v1/premiumIndex"), *looks)
        self.take_premiums(funding.raise_for_status().json(), time.time_ns() // 1_000_000)
        for symbol, answer in zip(symbols, answers, strict=True):
            self.take_candle(symbol, answer.raise_for_status().json()[-1], time.time_ns() // 1_000_000)

    def take_premiums(self, rows: list[dict[str, Any]], now: int) -> None:
        """Take in an answer of `premiumIndex` for all symbols as it was seen at a time."""
        for row in rows:
            symbol = row["symbol"]
            if symbol not in self.instruments:
                continue
            self._funding[symbol] = Decimal(row["lastFundingRate"])
            ticks = self.instruments[symbol].ticks
            times, marks, indexes = self._mark_times[symbol], self._marks[symbol], self._indexes[symbol]
            times.append(max(now, times[-1] + 1 if times else 0))
            marks.append(ticks(Decimal(row["markPrice"]) * FINER))
            indexes.append(ticks(Decimal(row["indexPrice"]) * FINER))
            del times[:-POINTS_KEPT], marks[:-POINTS_KEPT], indexes[:-POINTS_KEPT]

    def take_funding_info(self, rows: list[dict[str, Any]]) -> None:
        """Take in an answer of `fundingInfo` for all symbols."""
        self._funding_hours.update({row["symbol"]: int(row["fundingIntervalHours"]) for row in rows})

    def take_candle(self, symbol: str, row: list[Any], now: int) -> None:
        """Take in the running one-minute candle as it was seen at a time."""
        ticks = self.instruments[symbol].ticks
        opened, (first, high, low, last) = row[0], (ticks(Decimal(price)) for price in row[1:5])
        before = self._minutes.get(symbol)
        if before is None:
            seen = [last]
        else:
            same = before.opened == opened
            lowest, highest = (before.low, before.high) if same else (first, first)
            new_low = [low] if low < lowest else []
            new_high = [high] if high > highest else []
            seen = [*new_low, *new_high, last] if last >= first else [*new_high, *new_low, last]
        self._minutes[symbol] = _Minute(opened, high, low)
        volumes = self._volumes[symbol]
        volumes[opened] = Decimal(row[5])
        if len(volumes) > MINUTES_KEPT:
            del volumes[min(volumes)]
        times, prices = self._times[symbol], self._prices[symbol]
        begin = max(now - len(seen) + 1, times[-1] + 1 if times else 0)
        times.extend(range(begin, begin + len(seen)))
        prices.extend(seen)
        del times[:-POINTS_KEPT], prices[:-POINTS_KEPT]

    async def _ask(self, name: str, query: dict[str, Any]) -> bytes:
        """Pass a question on to the other venue."""
        question = f"{name}?{httpx.QueryParams(query)}"
        known = self._answers.get(question)
        if known is not None and time.monotonic() - known[0] < REMEMBERED_SECONDS:
            return known[1]
        try:
            answer = await self._client().get(f"/fapi/v1/{name}", params=query)
            answer.raise_for_status()
        except httpx.HTTPError as exc:
            log.warning("no answer from %s: %s", self._url, exc)
            raise Refusal(-1001, status=503) from exc
        now = time.monotonic()
        self._answers = {each: seen for each, seen in self._answers.items() if now - seen[0] < REMEMBERED_SECONDS}
        self._answers[question] = (now, answer.content)
        return answer.content

    def _client(self) -> httpx.AsyncClient:
        # A client belongs to the event loop it is first used in.
        if self._http is None:
            self._http = httpx.AsyncClient(base_url=self._url, timeout=TIMEOUT_SECONDS)
        return self._http


def _extremes(times: list[int], prices: list[int], after: int, until: int) -> tuple[int, int]:
    """Return the lowest and highest of prices that hold from their time to the next one, in (after, until]."""
    first = max(0, bisect_right(times, after + 1) - 1)
    seen = prices[first : max(first + 1, bisect_right(times, until))]
    return min(seen), max(seen)


def live_market(base_url: str, symbols: tuple[str, ...]) -> LiveMarket:
    """Ask a venue for some of its symbols and their prices; raises UnusableMarket."""
    try:
        with httpx.Client(base_url=base_url, timeout=TIMEOUT_SECONDS) as http:
            info = http.get("/fapi/v1/exchangeInfo").raise_for_status().json()
            entries = {entry["symbol"]: entry for entry in info["symbols"]}
            missing = [symbol for symbol in symbols if symbol not in entries]
            if missing:
                raise UnusableMarket(f"{base_url}: {missing[0]} is not traded there")
            market = LiveMarket(base_url, {symbol: instrument_from(entries[symbol]) for symbol in symbols})
            market.take_premiums(http.get("/fapi/v1/premiumIndex").raise_for_status().json(), market.start)
            market.take_funding_info(http.get("/fapi/v1/fundingInfo").raise_for_status().json())
            for symbol in symbols:
                look = http.get("/fapi/v1/klines", params={"symbol": symbol, "interval": "1m", "limit": 1})
                candle = look.raise_for_status().json()[-1]
                market.take_candle(symbol, candle, market.start)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, IndexError) as exc:
        raise UnusableMarket(f"{base_url}: no market data: {exc}") from exc
    return market
