"""
Strangers' streams against the emulator: ccxt.pro, as it comes from the registry, over real WebSockets.

Nothing of it is changed but base URLs. Its `aster` tells spot from futures by the word `fstream` in the URL, which
stands here where a user's name may. Its `binanceusdm` knows a cousin of this API and keeps its own book by the diffs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro
import pytest

from emulators.aster import Venue, synthetic_market
from tests.emulators.aster.sockets import Site, serving

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
KEY = "0x" + "11" * 32
PATIENCE = 30


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving(Venue(synthetic_market(seed=7, symbols=("BTCUSDT", "ETHUSDT"))), speed=10) as served:
        yield served


@asynccontextmanager
async def opened_aster(site: Site) -> AsyncIterator[Any]:
    client = ccxt.pro.aster(
        {"privateKey": KEY, "enableRateLimit": False, "options": {"defaultType": "swap", "builderFee": False}}
    )
    for access in ("Public", "Private"):
        client.urls["api"][f"fapi{access}"] = f"http://127.0.0.1:{site.port}/fapi"
        client.urls["api"][f"sapi{access}"] = f"http://127.0.0.1:{site.port}/api"
    sockets = f"ws://fstream@127.0.0.1:{site.port}"
    client.urls["api"]["ws"] = {"public": {"swap": f"{sockets}/stream"}, "private": {"swap": f"{sockets}/ws"}}
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def opened_cousin(site: Site) -> AsyncIterator[Any]:
    options = {"fetchCurrencies": False, "fetchMargins": False, "watchTrades": {"name": "aggTrade"}}
    client = ccxt.pro.binanceusdm({"enableRateLimit": False, "options": options})
    for generation, version in {"": "v1", "V2": "v2", "V3": "v3"}.items():
        client.urls["api"][f"fapiPublic{generation}"] = f"http://127.0.0.1:{site.port}/fapi/{version}"
    # With the slash at its end it does not become /market/ws and /public/ws, which the exchange does not have.
    client.urls["api"]["ws"]["linear"] = f"ws://127.0.0.1:{site.port}/ws/"
    try:
        yield client
    finally:
        await client.close()


async def soon(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, PATIENCE)


@pytest.fixture
async def aster(site: Site) -> AsyncIterator[Any]:
    async with opened_aster(site) as client:
        yield client


@pytest.fixture
async def cousin(site: Site) -> AsyncIterator[Any]:
    async with opened_cousin(site) as client:
        yield client


@pytest.fixture(params=[opened_aster, opened_cousin], ids=["aster", "cousin"])
async def either(request: pytest.FixtureRequest, site: Site) -> AsyncIterator[Any]:
    async with request.param(site) as client:
        yield client


async def test_it_watches_tickers(either: Any) -> None:
    ticker = await soon(either.watch_ticker(BTC))
    later = await soon(either.watch_ticker(BTC))
    other = await soon(either.watch_tickers([ETH]))

    assert ticker["symbol"] == BTC
    assert 0 < ticker["low"] <= ticker["last"] <= ticker["high"]
    assert ticker["baseVolume"] > 0
    assert later["timestamp"] > ticker["timestamp"]
    assert list(other) == [ETH]


async def test_it_watches_mark_prices_and_the_best_bid_and_ask(either: Any) -> None:
    mark = await soon(either.watch_mark_price(BTC))
    best = await soon(either.watch_bids_asks([BTC]))

    assert mark["markPrice"] > 0
    assert mark["indexPrice"] > 0
    assert 0 < best[BTC]["bid"] < best[BTC]["ask"]


async def test_it_watches_candles(either: Any) -> None:
    *_, (opened, first, high, low, last, volume) = await soon(either.watch_ohlcv(BTC, "1m"))

    assert opened % 60_000 == 0
    assert low <= min(first, last) <= max(first, last) <= high
    assert volume >= 0


async def test_it_watches_trades(either: Any) -> None:
    trades = await soon(either.watch_trades(BTC))

    assert trades
    assert all(trade["symbol"] == BTC and trade["amount"] > 0 and trade["side"] in {"buy", "sell"} for trade in trades)


async def test_it_watches_the_best_levels_of_the_book(aster: Any) -> None:
    book = await soon(aster.watch_order_book(BTC, 5))

    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0][0] > book["bids"][4][0]
    assert book["bids"][0][0] < book["asks"][0][0] < book["asks"][4][0]


async def test_it_keeps_the_whole_book_by_the_diffs(cousin: Any) -> None:
    seen = []
    for _ in range(30):
        book = await soon(cousin.watch_order_book(BTC, 1000))
        seen.append(book["nonce"])
        (bid, _), (ask, _) = book["bids"][0], book["asks"][0]
        assert round(ask - bid, 1) == 0.1
        assert len(book["bids"]) == len(book["asks"]) == 1000

    assert seen == sorted(set(seen))


async def test_it_stops_watching(cousin: Any) -> None:
    await soon(cousin.watch_ticker(BTC))

    assert await soon(cousin.un_watch_ticker(BTC)) is True


async def watched_positions(client: Any, site: Site) -> asyncio.Task[Any]:
    """Return a watch of positions that is certain to hear of what happens next."""
    await client.load_markets()
    # Where this version's `watch_balance` would prepare for balances it refuses to begin, and without that it stumbles
    # over the first it hears of.
    client.balance["swap"] = {}
    assert await soon(client.watch_positions()) == []
    watching = asyncio.create_task(soon(client.watch_positions()))
    following = False
    while not following and not watching.done():
        sockets = await site.administer("GET", "streams")
        following = any(client.options["listenKey"]["swap"] in socket["streams"] for socket in sockets)
    return watching


async def test_it_watches_positions(aster: Any, site: Site) -> None:
    watching = await watched_positions(aster, site)

    await aster.create_order(BTC, "market", "sell", 0.01)
    (position,) = await watching
    (known,) = await aster.fetch_positions([BTC])

    assert (position["symbol"], position["side"], position["contracts"]) == (BTC, "short", 0.01)
    assert position["entryPrice"] == known["entryPrice"]


async def test_it_takes_in_orders_trades_and_balance_from_the_same_socket(aster: Any, site: Site) -> None:
    """This version's `watch_orders` and `watch_my_trades` refuse to begin too; what they would give is kept anyway."""
    watching = await watched_positions(aster, site)
    price = (await aster.fetch_ticker(BTC))["last"]

    placed = await aster.create_order(BTC, "limit", "buy", 0.01, round(price * 0.99, 1))
    await aster.cancel_order(placed["id"], BTC)
    bought = await aster.create_order(BTC, "market", "buy", 0.01)
    await watching
    closing = asyncio.create_task(soon(aster.watch_positions()))
    await aster.create_order(BTC, "market", "sell", 0.01)
    await closing

    cancelled, filled, *_ = aster.orders
    trade, known = aster.myTrades[0], (await aster.fetch_my_trades(BTC))[0]
    assert (cancelled["id"], cancelled["status"], cancelled["filled"]) == (placed["id"], "canceled", 0)
    assert (cancelled["type"], cancelled["side"], cancelled["clientOrderId"]) == (
        "limit",
        "buy",
        placed["clientOrderId"],
    )
    assert (filled["id"], filled["status"], filled["amount"]) == (bought["id"], "closed", 0.01)
    assert (trade["order"], trade["amount"], trade["side"]) == (bought["id"], 0.01, "buy")
    assert (trade["id"], trade["price"], trade["fee"]["cost"]) == (known["id"], known["price"], known["fee"]["cost"])
    assert aster.balance["swap"]["USDT"]["total"] == (await aster.fetch_balance())["USDT"]["total"]
