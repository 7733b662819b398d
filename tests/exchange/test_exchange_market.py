"""Public prices: candles complete and closed, quotes in one call, contracts remembered for an hour."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.errors import Refused, VenueUnreachable
from shared.domain.market import Series, Timeframe

KLINES, PREMIUM, INTEREST = "GET /fapi/v3/klines", "GET /fapi/v3/premiumIndex", "GET /fapi/v3/openInterest"
BOOK, DAY, FUNDING = "GET /fapi/v3/ticker/bookTicker", "GET /fapi/v3/ticker/24hr", "GET /fapi/v3/fundingInfo"
MINUTES = Series("BTCUSDT", Timeframe.M1)
NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)
NOON_MS = 1749988800000


def candles_of_every_minute(until: int) -> Callable[[Any], list[list[Any]]]:
    """A venue with a candle for every minute up to *until*, running ones included."""

    def serve(received: Any) -> list[list[Any]]:
        start, end, limit = (int(received.params[name]) for name in ("startTime", "endTime", "limit"))
        first = -(-start // 60_000) * 60_000
        opened = range(first, min(end, until) + 1, 60_000)[:limit]
        return [[time, "2", "3", "1", "2", "5", time + 59_999, "0", 0, "0", "0", "0"] for time in opened]

    return serve


async def test_candles_come_whole_and_in_order_over_several_pages(venue: Any) -> None:
    venue.answer(KLINES, candles_of_every_minute(NOON_MS))
    since = NOON - timedelta(minutes=3200)

    candles = await venue.market().candles(MINUTES, since=since, until=NOON)

    assert [candle.opened for candle in candles] == [since + timedelta(minutes=n) for n in range(3200)]
    assert [received.params["limit"] for received in venue.received] == ["499"] * 6 + ["207"]


async def test_the_running_candle_is_left_out(venue: Any) -> None:
    venue.answer(KLINES, candles_of_every_minute(NOON_MS))  # it is five seconds past noon

    candles = await venue.market().candles(MINUTES, since=NOON - timedelta(minutes=2), until=NOON)

    assert [candle.opened for candle in candles] == [NOON - timedelta(minutes=2), NOON - timedelta(minutes=1)]


async def test_a_candle_that_closed_while_the_answer_travelled_is_left_out(venue: Any) -> None:
    async def late(received: Any) -> Any:
        venue.clock.advance(NOON + timedelta(minutes=2))
        return candles_of_every_minute(NOON_MS)(received)

    venue.answer(KLINES, late)

    assert await venue.market().candles(MINUTES, since=NOON, until=NOON) == []


async def test_only_what_is_missing_is_asked_for(venue: Any) -> None:
    venue.answer(KLINES, candles_of_every_minute(NOON_MS))

    await venue.market().candles(MINUTES, since=NOON - timedelta(minutes=1), until=NOON)

    assert venue.received[0].params == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "startTime": str(NOON_MS - 60_000),
        "endTime": str(NOON_MS),
        "limit": "2",
    }


async def test_an_exchange_that_ignores_the_time_asked_for_cannot_lead_us_in_circles(venue: Any) -> None:
    old = [[time, "2", "3", "1", "2", "5", time + 59_999] for time in range(0, 1500 * 60_000, 60_000)]
    venue.answer(KLINES, old)

    assert await venue.market().candles(MINUTES, since=NOON - timedelta(days=2), until=NOON) == []


async def test_months_are_paged_too(venue: Any) -> None:
    january, february = 1735689600000, 1738368000000
    rows = [[january, "2", "3", "1", "2", "5", february - 1], [february, "2", "3", "1", "2", "5", 1740787199999]]
    venue.answer(KLINES, rows)
    since, until = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)

    candles = await venue.market().candles(Series("BTCUSDT", Timeframe.MONTH), since=since, until=until)

    assert [candle.opened for candle in candles] == [since, until]


def a_quote(symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "markPrice": "2",
        "indexPrice": "2",
        "lastFundingRate": "0.0001",
        "nextFundingTime": 1,
        "time": 0,
    }


def a_book(symbol: str) -> dict[str, Any]:
    return {"symbol": symbol, "bidPrice": "1.99", "bidQty": "1", "askPrice": "2.01", "askQty": "1", "time": 0}


def a_day(symbol: str) -> dict[str, Any]:
    prices = {"highPrice": "2.2", "lowPrice": "1.8", "quoteVolume": "70"}
    return {"symbol": symbol, "priceChangePercent": "-5.250", **prices}


@pytest.fixture
def venue(venue: Any) -> Any:
    """It knows the least it can: no book, no statistics of the day, no funding intervals."""
    for call in (BOOK, DAY, FUNDING, INTEREST):
        venue.answer(call, (404, ""))
    return venue


async def test_a_quote_knows_its_spread_its_day_and_how_often_it_is_funded(venue: Any) -> None:
    venue.answer(PREMIUM, a_quote("BTCUSDT"))
    venue.answer(BOOK, a_book("BTCUSDT"))
    venue.answer(DAY, a_day("BTCUSDT"))
    venue.answer(FUNDING, [{"symbol": "BTCUSDT", "fundingIntervalHours": 4}])
    market = venue.market()

    quote = (await market.quotes(["BTCUSDT"]))["BTCUSDT"]
    await market.quotes(["BTCUSDT"])

    assert quote.spread == Decimal("0.01")
    assert (quote.change_24h, quote.high_24h, quote.low_24h) == (Decimal("-0.0525"), Decimal("2.2"), Decimal("1.8"))
    assert (quote.turnover_24h, quote.funding_interval) == (Decimal(70), timedelta(hours=4))
    assert venue.calls().count(FUNDING) == 1


@pytest.mark.parametrize(
    ("number", "books", "days", "weight"), [(1, 1, 1, 2), (2, 1, 2, 4), (39, 1, 39, 41), (40, 1, 1, 42)]
)
async def test_the_book_and_the_day_cost_the_least_weight_there_is(
    venue: Any, number: int, books: int, days: int, weight: int
) -> None:
    symbols = [f"COIN{n}USDT" for n in range(number)]
    venue.answer(PREMIUM, [a_quote(symbol) for symbol in symbols])
    venue.answer(BOOK, [a_book(symbol) for symbol in symbols])
    venue.answer(DAY, lambda received: [a_day(each) for each in symbols if received.params.get("symbol", each) == each])

    quotes = await venue.market().quotes(symbols)

    asked = [received for received in venue.received if received.call in (BOOK, DAY)]
    of_one = {BOOK: 1, DAY: 1}
    of_all = {BOOK: 2, DAY: 40}
    assert all(quote.spread and quote.change_24h for quote in quotes.values())
    assert [venue.calls().count(call) for call in (BOOK, DAY)] == [books, days]
    assert sum((of_one if received.params else of_all)[received.call] for received in asked) == weight


async def test_accounts_that_follow_one_another_share_the_statistics_of_a_day(venue: Any) -> None:
    venue.answer(PREMIUM, a_quote("BTCUSDT"))
    venue.answer(DAY, a_day("BTCUSDT"))
    market = venue.market()

    first, second = await market.quotes(["BTCUSDT"]), await market.quotes(["BTCUSDT"])
    assert first["BTCUSDT"].change_24h == second["BTCUSDT"].change_24h == Decimal("-0.0525")
    assert venue.calls().count(DAY) == 1

    venue.clock.advance(venue.clock.now() + timedelta(minutes=1))
    await market.quotes(["BTCUSDT"])
    assert venue.calls().count(DAY) == 2


async def test_a_quote_does_without_what_the_exchange_does_not_tell(venue: Any) -> None:
    venue.answer(PREMIUM, a_quote("BTCUSDT"))
    market = venue.market()

    first, _ = await market.quotes(["BTCUSDT"]), await market.quotes(["BTCUSDT"])

    quote = first["BTCUSDT"]
    assert quote.mark_price == 2
    assert {quote.spread, quote.change_24h, quote.funding_interval, quote.open_interest} == {None}
    assert [venue.calls().count(call) for call in (BOOK, DAY, FUNDING, INTEREST)] == [1, 1, 1, 1]


async def test_the_first_candle_is_found_by_one_cheap_request(venue: Any) -> None:
    venue.answer(KLINES, [[NOON_MS - 60_000, "2", "3", "1", "2", "5", NOON_MS - 1]], [])
    market, since = venue.market(), datetime(2019, 1, 1, tzinfo=UTC)

    assert await market.first_opened(MINUTES, since, NOON) == NOON - timedelta(minutes=1)
    assert await market.first_opened(MINUTES, since, NOON) is None
    assert venue.received[0].params["limit"] == "1"


async def test_several_quotes_are_one_call_and_the_open_interest_of_each(venue: Any) -> None:
    venue.answer(PREMIUM, [a_quote(symbol) for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT")])
    venue.answer(INTEREST, lambda received: {"openInterest": "7" if received.params["symbol"] == "ETHUSDT" else "9"})

    quotes = await venue.market().quotes(["BTCUSDT", "ETHUSDT", "NOSUCH"])

    assert {symbol: quote.open_interest for symbol, quote in quotes.items()} == {
        "BTCUSDT": Decimal(9),
        "ETHUSDT": Decimal(7),
    }
    assert [received.params for received in venue.received if received.call == PREMIUM] == [{}]


async def test_a_single_symbol_that_nobody_knows_has_no_quote(venue: Any) -> None:
    venue.answer(PREMIUM, (400, {"code": -1121, "msg": "Invalid symbol."}))
    venue.answer(INTEREST, (400, {"code": -1121, "msg": "Invalid symbol."}))

    assert await venue.market().quotes(["NOSUCH"]) == {}


async def test_no_symbols_are_no_requests(venue: Any) -> None:
    assert await venue.market().quotes([]) == {}
    assert venue.received == []


@pytest.mark.parametrize(
    "refusal",
    [(404, "<html>"), (400, {"code": -1121, "msg": "Invalid symbol."}), {"code": 200}, {"openInterest": "NaN"}],
)
async def test_open_interest_that_cannot_be_had_is_not_asked_for_again_for_a_while(venue: Any, refusal: Any) -> None:
    venue.answer(PREMIUM, a_quote("BTCUSDT"))
    venue.answer(INTEREST, refusal)
    market = venue.market()

    first, second = await market.quotes(["BTCUSDT"]), await market.quotes(["BTCUSDT"])
    venue.clock.advance(venue.clock.now() + timedelta(hours=1))
    await market.quotes(["BTCUSDT"])

    assert first["BTCUSDT"].open_interest is second["BTCUSDT"].open_interest is None
    assert venue.calls().count(INTEREST) == 2


async def test_a_lost_open_interest_costs_no_quote_and_is_asked_for_next_time(venue: Any) -> None:
    venue.answer(PREMIUM, a_quote("BTCUSDT"))
    venue.answer(INTEREST, *[(503, "")] * 4, {"openInterest": "7"})
    market = venue.market()

    first, second = await market.quotes(["BTCUSDT"]), await market.quotes(["BTCUSDT"])

    assert first["BTCUSDT"].open_interest is None
    assert second["BTCUSDT"].open_interest == Decimal(7)


async def test_contracts_are_asked_for_once_an_hour_however_many_want_them(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/exchangeInfo", samples["exchangeInfo"])
    market = venue.market()

    await asyncio.gather(*(market.instruments() for _ in range(5)))
    venue.clock.advance(venue.clock.now() + timedelta(minutes=59))
    assert "BTCUSDT" in await market.instruments()
    assert len(venue.received) == 1

    venue.clock.advance(venue.clock.now() + timedelta(minutes=1))
    await market.instruments()
    assert len(venue.received) == 2


async def test_contracts_that_could_not_be_had_are_asked_for_again(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/exchangeInfo", *[(503, "")] * 4, samples["exchangeInfo"])
    market = venue.market()

    with pytest.raises(VenueUnreachable):
        await market.instruments()
    assert "BTCUSDT" in await market.instruments()


async def test_the_exchange_tells_its_time(venue: Any) -> None:
    venue.answer("GET /fapi/v3/time", {"serverTime": NOON_MS + 123})

    assert await venue.market().server_time() == NOON + timedelta(milliseconds=123)


async def test_a_refusal_that_is_not_about_the_symbol_is_passed_on(venue: Any) -> None:
    venue.answer(PREMIUM, (400, {"code": -1130, "msg": "Data sent for parameter is not valid."}))
    venue.answer(INTEREST, (404, ""))

    with pytest.raises(Refused):
        await venue.market().quotes(["BTCUSDT"])
