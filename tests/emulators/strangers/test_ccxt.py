"""
A stranger's client against the emulator: ccxt's `aster`, as it comes from the registry, over real HTTP.

Nothing of it is changed but its base URLs. Whoever wrote it has never seen this emulator, so what it can do here it can
do because the emulator behaves like the exchange.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ccxt.async_support as ccxt
import httpx
import pytest

ROOT = Path(__file__).parents[3]
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
KEY = "0x" + "11" * 32
ADDRESS = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"


@asynccontextmanager
async def emulated() -> AsyncIterator[str]:
    """Run an emulator as a process of its own and give its URL."""
    command = (sys.executable, "-m", "emulators.aster", "--port", "0", "--symbols", "BTCUSDT,ETHUSDT")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        yield line.split("ready on ")[1].split()[0]
    finally:
        process.terminate()
        await process.communicate()


def client(url: str, **options: Any) -> Any:
    """Return ccxt's client for the exchange, pointed at the emulator."""
    exchange = ccxt.aster(
        {
            "privateKey": KEY,
            "enableRateLimit": False,
            "options": {"defaultType": "swap", "builderFee": False, **options},
        }
    )
    for name, path in {
        "fapiPublic": "/fapi",
        "fapiPrivate": "/fapi",
        "sapiPublic": "/api",
        "sapiPrivate": "/api",
    }.items():
        exchange.urls["api"][name] = url + path
    return exchange


@pytest.fixture
async def exchange() -> AsyncIterator[Any]:
    async with emulated() as url:
        opened = client(url)
        try:
            await opened.load_markets()
            yield opened
        finally:
            await opened.close()


async def test_it_sees_the_market(exchange: Any) -> None:
    market = exchange.market(BTC)
    ticker = await exchange.fetch_ticker(BTC)
    tickers = await exchange.fetch_tickers()
    best = (await exchange.fetch_bids_asks([BTC]))[BTC]
    book = await exchange.fetch_order_book(BTC, 5)
    trades = await exchange.fetch_trades(BTC, limit=10)

    assert sorted(exchange.markets) == [BTC, ETH]
    assert (market["swap"], market["linear"], market["settle"], market["active"]) == (True, True, "USDT", True)
    assert market["precision"] == {"amount": 0.001, "price": 0.1, "base": None, "quote": None} | market["precision"]
    assert abs(await exchange.fetch_time() - ticker["timestamp"]) < 60_000
    assert tickers.keys() == {BTC, ETH}
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert 0 < best["bid"] < best["ask"]
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(trades) == 10
    assert all(trade["side"] in {"buy", "sell"} and trade["cost"] > 0 for trade in trades)


async def test_it_reads_candles_of_every_timeframe_and_of_mark_and_index(exchange: Any) -> None:
    for timeframe in exchange.timeframes:
        rows = await exchange.fetch_ohlcv(BTC, timeframe, limit=3)
        assert len(rows) == 3, timeframe
        assert all(low <= min(opened, close) and max(opened, close) <= high for _, opened, high, low, close, _ in rows)
    for price in ("mark", "index"):
        rows = await exchange.fetch_ohlcv(BTC, "1m", limit=3, params={"price": price})
        assert [row[5] for row in rows] == [0.0] * 3

    since = exchange.parse8601("2024-12-31T00:00:00Z")
    window = await exchange.fetch_ohlcv(BTC, "1h", since=since, limit=10, params={"until": since + 5 * 3_600_000})

    assert [row[0] for row in window] == [since + each * 3_600_000 for each in range(6)]


async def test_it_reads_funding(exchange: Any) -> None:
    rate = await exchange.fetch_funding_rate(BTC)
    rates = await exchange.fetch_funding_rates()
    history = await exchange.fetch_funding_rate_history(BTC, limit=3)
    intervals = await exchange.fetch_funding_intervals()

    assert rate["markPrice"] > 0
    assert rate["nextFundingTimestamp"] > rate["timestamp"]
    assert rates.keys() == {BTC, ETH}
    assert len(history) == 3
    assert intervals[BTC]["interval"] == "8h"


async def test_it_trades(exchange: Any) -> None:
    price = (await exchange.fetch_ticker(BTC))["last"]
    before = await exchange.fetch_balance()
    leverage = await exchange.set_leverage(5, BTC)
    bought = await exchange.create_order(BTC, "market", "buy", 0.01)
    [position] = await exchange.fetch_positions([BTC])
    [by_account] = await exchange.fetch_positions([BTC], {"method": "account"})
    filled = await exchange.fetch_order(bought["id"], BTC)
    await exchange.create_order(BTC, "market", "sell", 0.01, None, {"reduceOnly": True})
    trades = await exchange.fetch_my_trades(BTC)
    after = await exchange.fetch_balance()
    costs = await exchange.fetch_ledger()

    assert before["USDT"]["total"] == 10_000
    assert leverage["leverage"] == 5
    assert (filled["status"], filled["filled"]) == ("closed", 0.01)
    assert (position["side"], position["contracts"], position["leverage"]) == ("long", 0.01, 5)
    assert by_account["contracts"] == 0.01
    assert abs(position["entryPrice"] / price - 1) < 0.05
    assert [trade["side"] for trade in trades] == ["buy", "sell"]
    assert trades[0]["fee"]["currency"] == "USDT"
    assert await exchange.fetch_positions([BTC]) == []
    assert 9_990 < after["USDT"]["total"] < 10_010
    assert {row["type"] for row in costs} >= {"transfer", "commission"}


async def test_it_places_finds_and_cancels_orders_of_the_plain_types(exchange: Any) -> None:
    price = (await exchange.fetch_ticker(BTC))["last"]
    limit = await exchange.create_order(BTC, "limit", "buy", 0.01, price * 0.985)
    passive = await exchange.create_order(
        BTC, "limit", "buy", 0.01, price * 0.984, {"postOnly": True, "clientOrderId": "ccxt-1"}
    )
    await exchange.create_order(BTC, "market", "buy", 0.01)
    stop = await exchange.create_order(
        BTC, "market", "sell", 0.01, None, {"stopLossPrice": price * 0.9, "reduceOnly": True}
    )
    target = await exchange.create_order(
        BTC, "market", "sell", 0.01, None, {"takeProfitPrice": price * 1.1, "reduceOnly": True}
    )
    closing = await exchange.create_order(
        BTC, "market", "sell", 0.01, None, {"stopLossPrice": price * 0.8, "closePosition": True}
    )
    stop_limit = await exchange.create_order(BTC, "limit", "buy", 0.01, price * 1.1, {"triggerPrice": price * 1.1})
    resting = await exchange.fetch_open_orders(BTC)

    found = await exchange.fetch_order(limit["id"], BTC)
    opened = await exchange.fetch_open_order(limit["id"], BTC)
    by_client_id = await exchange.fetch_order(None, BTC, {"clientOrderId": "ccxt-1"})
    cancelled = await exchange.cancel_order(limit["id"], BTC)
    await exchange.cancel_order(None, BTC, {"clientOrderId": "ccxt-1"})
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.cancel_order(limit["id"], BTC)
    await exchange.cancel_all_orders(BTC)

    assert {order["id"] for order in resting} == {
        each["id"] for each in (limit, passive, stop, target, closing, stop_limit)
    }
    assert found["id"] == opened["id"] == limit["id"]
    assert (by_client_id["id"], by_client_id["timeInForce"]) == (passive["id"], "GTX")
    assert cancelled["status"] == "canceled"
    assert await exchange.fetch_open_orders(BTC) == []
    assert len(await exchange.fetch_orders(BTC)) == 7


async def test_it_trails_a_stop(exchange: Any) -> None:
    """ccxt leaves the quantity of a trailing order out, and the exchange will not have it without: it must be named."""
    await exchange.create_order(BTC, "market", "buy", 0.01)
    trailing = {"trailingPercent": 1, "reduceOnly": True}
    with pytest.raises(ccxt.ArgumentsRequired):
        await exchange.create_order(BTC, "market", "sell", 0.01, None, trailing)

    placed = await exchange.create_order(BTC, "market", "sell", 0.01, None, {**trailing, "quantity": "0.01"})
    [resting] = await exchange.fetch_open_orders(BTC)

    assert resting["id"] == placed["id"]
    assert (resting["info"]["type"], resting["info"]["priceRate"]) == ("TRAILING_STOP_MARKET", "1")


async def test_it_places_and_cancels_several_orders_at_once(exchange: Any) -> None:
    price = (await exchange.fetch_ticker(BTC))["last"]
    good = {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": price * 0.985}

    placed = await exchange.create_orders([good, {**good, "price": price * 0.984}, {**good, "amount": 1_000}])
    cancelled = await exchange.cancel_orders([each["id"] for each in placed[:2]], BTC)

    assert [each["status"] for each in placed] == ["open", "open", None]
    assert placed[2]["info"]["code"] == -4005
    assert [each["status"] for each in cancelled] == ["canceled", "canceled"]


async def test_it_trades_with_isolated_margin(exchange: Any) -> None:
    await exchange.set_margin_mode("isolated", BTC)
    await exchange.create_order(BTC, "market", "buy", 0.01)
    await exchange.add_margin(BTC, 50)
    await exchange.reduce_margin(BTC, 20)
    [position] = await exchange.fetch_positions([BTC])
    history = await exchange.fetch_margin_adjustment_history(BTC)

    assert position["marginMode"] == "isolated"
    assert position["collateral"] > 70
    assert 0 < position["liquidationPrice"] < position["entryPrice"]
    assert [each["amount"] for each in history] == [50, 20]


async def test_it_holds_long_and_short_at_once_in_hedge_mode(exchange: Any) -> None:
    await exchange.set_position_mode(True)
    await exchange.create_order(BTC, "market", "buy", 0.02, None, {"positionSide": "LONG"})
    await exchange.create_order(BTC, "market", "sell", 0.01, None, {"positionSide": "SHORT"})

    positions = await exchange.fetch_positions([BTC])

    assert {(each["side"], each["contracts"], each["hedged"]) for each in positions} == {
        ("long", 0.02, True),
        ("short", 0.01, True),
    }


async def test_it_moves_money_to_the_spot_wallet_and_back(exchange: Any) -> None:
    await exchange.transfer("USDT", 100, "swap", "spot")
    less = (await exchange.fetch_balance())["USDT"]["total"]
    await exchange.transfer("USDT", 40, "spot", "swap")

    assert less == 9_900
    assert (await exchange.fetch_balance())["USDT"]["total"] == 9_940


async def test_it_understands_refusals(exchange: Any) -> None:
    price = (await exchange.fetch_ticker(BTC))["last"]

    with pytest.raises(ccxt.InsufficientFunds):
        await exchange.create_order(BTC, "market", "buy", 9)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await exchange.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": price * 1.05})
    with pytest.raises(ccxt.OperationRejected):
        await exchange.create_order(BTC, "market", "sell", 0.01, None, {"reduceOnly": True})
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.fetch_order("12345", BTC)
    with pytest.raises(ccxt.NoChange):
        await exchange.set_margin_mode("cross", BTC)


async def test_it_knows_modes_brackets_and_fees(exchange: Any) -> None:
    await exchange.set_position_mode(True)
    hedged = await exchange.fetch_position_mode(BTC)
    await exchange.set_position_mode(False)

    fee = await exchange.fetch_trading_fee(BTC)
    leverages = await exchange.fetch_leverages([BTC])
    modes = await exchange.fetch_margin_modes([BTC])

    assert hedged["hedged"] is True
    assert (fee["maker"], fee["taker"]) == (0.0001, 0.00035)
    assert leverages[BTC]["longLeverage"] == 20
    assert modes[BTC]["marginMode"] == "cross"


async def test_its_builder_is_approved_and_named_on_its_orders() -> None:
    """Which is what it does unless it is told not to."""
    async with emulated() as url, httpx.AsyncClient(base_url=url) as admin:
        exchange = client(url, builderFee=True)
        try:
            await exchange.load_markets()
            builders = await exchange.fapiPrivateGetV3Builder()
            order = await exchange.create_order(BTC, "market", "buy", 0.01)
        finally:
            await exchange.close()
        books = (await admin.get(f"/emulator/books?account={ADDRESS}")).json()

    assert exchange.options["builderFee"] is True
    assert [(each["builderName"], each["maxFeeRate"]) for each in builders] == [("ccxt", "0.001")]
    assert [each["orderId"] for each in books["orders"]] == [int(order["id"])]
