"""Open endpoints and the administration."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from emulators.aster import Venue, create_app, synthetic_market
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of

HOUR = 60 * MINUTE
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "gk-1"}


def trader(*rows: tuple[float, float, float, float], **options: Any) -> Trader:
    return Trader(Venue(market_of(*(rows or flat(50_000, 60)))), **options)


async def fetch(one: Trader, path: str) -> Any:
    return (await one.http.get(path)).json()


@pytest.mark.parametrize("version", ["v1", "v3"])
async def test_both_generations_serve_the_same_market_data(version: str) -> None:
    one = trader()

    assert await fetch(one, f"/fapi/{version}/ping") == {}
    assert await fetch(one, f"/fapi/{version}/time") == {"serverTime": T0, "books": one.venue.books}
    assert (await fetch(one, f"/fapi/{version}/klines?symbol=BTCUSDT&interval=5m&limit=1"))[0][4] == "50000.0"


async def test_exchange_info_has_the_shape_of_the_real_one() -> None:
    info = await fetch(trader(), "/fapi/v3/exchangeInfo")

    assert [(rate["rateLimitType"], rate["limit"]) for rate in info["rateLimits"]] == [
        ("REQUEST_WEIGHT", 2400),
        ("ORDERS", 1200),
    ]
    symbol = info["symbols"][0]
    assert (symbol["symbol"], symbol["status"], symbol["contractType"]) == ("BTCUSDT", "TRADING", "PERPETUAL")
    assert {"PRICE_FILTER", "LOT_SIZE", "MIN_NOTIONAL"} <= {each["filterType"] for each in symbol["filters"]}


async def test_the_tickers_and_the_book_agree_on_the_price() -> None:
    one = trader((50_000, 50_100, 49_900, 50_050))
    one.venue.advance(T0 + 18_000)

    book = await fetch(one, "/fapi/v3/ticker/bookTicker?symbol=BTCUSDT")
    depth = await fetch(one, "/fapi/v3/depth?symbol=BTCUSDT&limit=5")

    assert (await fetch(one, "/fapi/v3/ticker/price?symbol=BTCUSDT"))["price"] == "49900.0"
    assert (book["bidPrice"], book["askPrice"]) == ("49900.0", "49900.1")
    assert (depth["bids"][0][0], depth["asks"][0][0]) == ("49900.0", "49900.1")
    assert (len(depth["bids"]), depth["bids"][4][0], depth["asks"][4][0]) == (5, "49899.6", "49900.5")
    assert (await fetch(one, "/fapi/v3/depth?symbol=BTCUSDT&limit=7"))["code"] == -4021


async def test_where_nothing_moves_mark_and_index_are_the_price_and_funding_shows_no_future() -> None:
    settled, coming = T0 - 8 * HOUR, T0 + 8 * HOUR
    market = market_of(*flat(50_000, 20), base="1h", funding={settled: "0.0002", T0: "0.0003", coming: "0.0009"})
    one = Trader(Venue(market))

    index = await fetch(one, "/fapi/v3/premiumIndex?symbol=BTCUSDT")
    rates = await fetch(one, "/fapi/v3/fundingRate?symbol=BTCUSDT")
    info = await fetch(one, "/fapi/v3/fundingInfo?symbol=BTCUSDT")

    assert index["markPrice"] == index["indexPrice"] == "50000.00000000"
    assert (index["lastFundingRate"], index["nextFundingTime"]) == ("0.00030000", coming)
    assert [rate["fundingRate"] for rate in rates][-2:] == ["0.00020000", "0.00030000"]
    assert info[0]["fundingFeeCap"] == 0.03


async def test_the_day_ticker_covers_the_last_24_hours() -> None:
    one = trader((50_000, 51_000, 49_000, 50_500), *flat(50_500, 5))
    one.venue.advance(T0 + 2 * MINUTE)

    day = await fetch(one, "/fapi/v3/ticker/24hr?symbol=BTCUSDT")

    assert (day["openPrice"], day["highPrice"], day["lowPrice"], day["lastPrice"]) == (
        "50000.0",
        "51000.0",
        "49000.0",
        "50500.0",
    )
    assert (day["priceChange"], day["priceChangePercent"]) == ("500.0", "1.000")
    assert Decimal(day["volume"]) == 14_400


async def test_lists_come_without_a_symbol_and_rows_with_one() -> None:
    one = Trader(Venue(synthetic_market()))

    for name in ("premiumIndex", "ticker/price", "ticker/bookTicker", "ticker/24hr"):
        every, single = await fetch(one, f"/fapi/v3/{name}"), await fetch(one, f"/fapi/v3/{name}?symbol=ETHUSDT")
        assert [row["symbol"] for row in every][:2] == ["BTCUSDT", "ETHUSDT"]
        assert single == every[1]


async def test_index_and_mark_candles_have_calmer_prices_without_volumes() -> None:
    one = trader((50_000, 50_100, 49_900, 50_050), *flat(50_050, 2))
    one.venue.advance(T0 + MINUTE)
    window = f"interval=1m&startTime={T0}&endTime={T0}"

    mark = await fetch(one, f"/fapi/v3/markPriceKlines?symbol=BTCUSDT&{window}")
    index = await fetch(one, f"/fapi/v3/indexPriceKlines?pair=BTCUSDT&{window}")

    rest = ["0", T0 + 59_999, "0", 60, "0", "0", "0"]
    assert mark == [[T0, "50000.00", "50075.00", "49950.00", "50045.00", *rest]]
    assert index == [[T0, "50000.00", "50040.00", "50000.00", "50040.00", *rest]]


async def test_open_interest_is_the_same_for_everyone_and_plausible() -> None:
    one, other = Trader(Venue(synthetic_market())), Trader(Venue(synthetic_market()))

    answer = await fetch(one, "/fapi/v3/openInterest?symbol=BTCUSDT")

    assert answer == await fetch(other, "/fapi/v3/openInterest?symbol=BTCUSDT")
    assert 1_000 < float(answer["openInterest"]) < 100_000


async def test_open_interest_may_be_what_the_documentation_says_of_it() -> None:
    answer = await trader(open_interest=False).http.get("/fapi/v3/openInterest?symbol=BTCUSDT")

    assert (answer.status_code, answer.json()["code"]) == (404, -1020)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("klines?symbol=NOPE&interval=5m", 400, -1121),
        ("klines?symbol=BTCUSDT&interval=7m", 400, -1120),
        ("klines?symbol=BTCUSDT", 400, -1102),
        ("klines?interval=5m", 400, -1102),
        ("klines?symbol=BTCUSDT&interval=5m&limit=1501", 400, -1130),
        ("klines?symbol=BTCUSDT&interval=5m&startTime=2&endTime=1", 400, -1023),
        ("klines?symbol=BTCUSDT&interval=5m&startTime=soon", 400, -1102),
        (f"klines?symbol=BTCUSDT&interval=5m&startTime={'9' * 5000}", 400, -1102),
        ("klines?symbol=BTCUSDT&interval=5m&startTime=--5", 400, -1102),
        ("openInterest", 400, -1102),
        ("nothing", 404, -1020),
    ],
)
async def test_bad_questions_get_their_codes(path: str, status: int, code: int) -> None:
    answer = await trader().http.get(f"/fapi/v3/{path}")

    assert (answer.status_code, answer.json()["code"]) == (status, code)


# Administration


async def test_only_a_stepped_market_can_be_advanced_and_only_forward() -> None:
    stepped, running = trader(), trader(speed=1.0)

    moved = await stepped.http.post("/emulator/advance", json={"to": T0 + 5_000})
    back = await stepped.http.post("/emulator/advance", json={"to": T0})
    nonsense = await stepped.http.post("/emulator/advance", content=b"[]")
    by_itself = await running.http.post("/emulator/advance", json={"to": T0 + 5_000})

    assert moved.json() == {"now": T0 + 5_000, "speed": None, "ended": False}
    assert (back.status_code, nonsense.status_code, by_itself.status_code) == (400, 400, 409)


async def test_an_accelerated_market_runs_by_itself_and_fills_orders_without_requests() -> None:
    venue = Venue(market_of((50_000, 50_100, 50_000, 50_050), *flat(50_050, 2000)))
    app = create_app(venue, speed=600.0)
    one = Trader(venue)
    order = await one.order("SELL", "LIMIT", quantity="0.01", price="50100", timeInForce="GTC")

    async with app.router.lifespan_context(app):
        async with asyncio.timeout(5):
            while venue.now < T0 + MINUTE:  # noqa: ASYNC110 - market time tells nobody that it passes
                await asyncio.sleep(0.02)

    assert (await one.state(order))["status"] == "FILLED"


async def test_the_books_show_everything_that_ever_happened() -> None:
    one = trader((50_000,) * 4, (50_100,) * 4)
    await one.order("BUY", quantity="0.020")
    one.venue.advance(T0 + MINUTE)
    await one.order("SELL", quantity="0.005")
    await one.order("SELL", "STOP_MARKET", stopPrice="40000", closePosition="true")

    books = await fetch(one, f"/emulator/books?account={one.wallet.address.upper().replace('0X', '0x')}")

    assert books["wallet"] == str(sum(Decimal(row["income"]) for row in books["income"]))
    assert [order["status"] for order in books["orders"]] == ["FILLED", "FILLED", "NEW"]
    assert [trade["qty"] for trade in books["trades"]] == ["0.020", "0.005"]
    assert books["positions"] == [
        {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.015", "cost": "750.0015"}
    ]
    assert (await one.http.get("/emulator/books?account=nobody")).status_code == 404
    assert [row["account"] for row in await fetch(one, "/emulator/accounts")] == [one.wallet.address]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 400),
        ({"apiKey": "k"}, 400),
        ({"address": "0x12"}, 400),
        ({"apiKey": "k", "secret": "s", "balance": "lots"}, 400),
        ({"apiKey": "k", "secret": "s", "balance": -1}, 400),
        ({"address": "0x" + "ab" * 20, "agents": ["me"]}, 400),
        ({"apiKey": "taken", "secret": "s"}, 409),
        ({"apiKey": "k", "secret": "s"}, 200),
    ],
)
async def test_accounts_are_opened_with_sense(fields: dict[str, Any], status: int) -> None:
    one = trader()
    one.venue.open_account("taken", secret="s")

    assert (await one.http.post("/emulator/accounts", json=fields)).status_code == status
