"""
Another stranger: Binance's own client for USDⓈ-M futures, over real HTTP, with an API key.

AsterDEX's first generation is that API's sister, so a client written for the one speaks to the other. It declares the
type of every field of every answer and complains about any other: a judge of shapes that nobody here has written.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from binance_common.configuration import ConfigurationRestAPI
from binance_common.errors import BadRequestError, NotFoundError, TooManyRequestsError
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import DerivativesTradingUsdsFutures

ROOT = Path(__file__).parents[3]
KEY, SECRET = "k" * 64, "s" * 64
BTC = "BTCUSDT"
DIFFERENT_AT_ASTER = ("/allOpenOrders", "/income", "/leverageBracket")
"""Answers whose types differ from Binance's by AsterDEX's documentation: "200", a text of `tranId`, `cum` of 0.0."""


class Stranger:
    """Binance's client of one emulator."""

    def __init__(self, url: str, secret: str = SECRET) -> None:
        configuration = ConfigurationRestAPI(
            api_key=KEY, api_secret=secret, base_path=url, timeout=20_000, retries=1, backoff=1
        )
        self.url = url
        self.api = DerivativesTradingUsdsFutures(config_rest_api=configuration).rest_api

    def __call__(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of the client and return its answer; of one that may be one of several kinds, the one it is."""
        answer = getattr(self.api, name)(*arguments, **named).data()
        return getattr(answer, "actual_instance", None) or answer


@pytest.fixture
def stranger(caplog: pytest.LogCaptureFixture) -> Iterator[Stranger]:
    command = (sys.executable, "-m", "emulators.aster", "--port", "0", "--symbols", "BTCUSDT,ETHUSDT")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split("ready on ")[1].split()[0]
            httpx.post(f"{url}/emulator/accounts", json={"apiKey": KEY, "secret": SECRET}).raise_for_status()
            with caplog.at_level(logging.WARNING):
                yield Stranger(url)
        finally:
            process.terminate()
    complaints = [each.getMessage() for each in caplog.get_records("call")]
    surprises = [each for each in complaints if not re.match(rf"\S+({'|'.join(DIFFERENT_AT_ASTER)}) response", each)]
    assert surprises == []


def test_it_reads_the_market_and_finds_every_type_as_declared(stranger: Stranger) -> None:
    info = stranger("exchange_information")
    candles = stranger("kline_candlestick_data", BTC, "1m", limit=3)
    book = stranger("order_book", BTC, limit=5)
    recent = stranger("recent_trades_list", BTC, limit=3)
    old = stranger("old_trades_lookup", BTC, limit=3)
    aggregates = stranger("compressed_aggregate_trades_list", BTC, limit=3)

    assert stranger("check_server_time").server_time > 0
    assert [(each.symbol, each.status) for each in info.symbols] == [(BTC, "TRADING"), ("ETHUSDT", "TRADING")]
    assert [len(row) for row in candles] == [12] * 3
    assert (len(book.bids), len(book.asks)) == (5, 5)
    assert len(recent) == len(old) == len(aggregates) == 3
    assert len(stranger("mark_price_kline_candlestick_data", BTC, "1m", limit=2)) == 2
    assert len(stranger("index_price_kline_candlestick_data", BTC, "1m", limit=2)) == 2
    assert [stranger("mark_price", BTC).symbol, len(stranger("mark_price"))] == [BTC, 2]
    assert len(stranger("get_funding_rate_history", symbol=BTC, limit=2)) == 2
    assert stranger("get_funding_rate_info")[0].funding_interval_hours == 8
    assert stranger("ticker24hr_price_change_statistics", symbol=BTC).symbol == BTC
    assert float(stranger("symbol_price_ticker", symbol=BTC).price) > 0
    assert float(stranger("symbol_order_book_ticker", symbol=BTC).bid_price) > 0
    assert float(stranger("open_interest", BTC).open_interest) > 0


def test_it_trades_with_a_key(stranger: Stranger) -> None:
    price = float(stranger("symbol_price_ticker", symbol=BTC).price)
    leverage = stranger("change_initial_leverage", BTC, 7)
    bought = stranger("new_order", BTC, "BUY", "MARKET", quantity=0.01, new_order_resp_type="RESULT")
    [position] = stranger("position_information_v2", symbol=BTC)
    limit = stranger(
        "new_order", BTC, "BUY", "LIMIT", quantity=0.01, price=round(price * 0.98), time_in_force="GTC",
        new_client_order_id="sdk-1",
    )  # fmt: skip
    found = stranger("query_order", BTC, orig_client_order_id="sdk-1")
    resting = stranger("current_all_open_orders", symbol=BTC)
    cancelled = stranger("cancel_order", BTC, order_id=limit.order_id)
    trades = stranger("account_trade_list", BTC)

    assert (leverage.leverage, bought.status, bought.executed_qty) == (7, "FILLED", "0.01")
    assert (position.position_amt, position.leverage) == ("0.01", "7")
    assert found.order_id == limit.order_id == resting[0].order_id
    assert cancelled.status == "CANCELED"
    assert [each.order_id for each in trades] == [bought.order_id]
    assert len(stranger("all_orders", BTC)) == 2
    assert stranger("cancel_all_open_orders", BTC).msg.startswith("The operation of cancel all")


def test_it_sends_several_orders_at_once_and_the_dead_mans_switch(stranger: Stranger) -> None:
    price = round(float(stranger("symbol_price_ticker", symbol=BTC).price) * 0.98)
    order = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": price, "timeInForce": "GTC"}

    placed = stranger("place_multiple_orders", [order, {**order, "price": price - 1}])
    cancelled = stranger("cancel_multiple_orders", BTC, order_id_list=[each.order_id for each in placed])
    switch = stranger("auto_cancel_all_open_orders", BTC, 60_000)

    assert [each.status for each in placed] == ["NEW", "NEW"]
    assert [each.status for each in cancelled] == ["CANCELED", "CANCELED"]
    assert (switch.symbol, switch.countdown_time) == (BTC, "60000")


def test_it_changes_how_a_symbol_is_traded(stranger: Stranger) -> None:
    isolated = stranger("change_margin_type", BTC, "ISOLATED")
    stranger("new_order", BTC, "BUY", "MARKET", quantity=0.01)
    margin = stranger("modify_isolated_position_margin", BTC, 25, 1)
    [position] = stranger("position_information_v2", symbol=BTC)

    assert (isolated.code, margin.code, margin.type) == (200, 200, 1)
    assert position.margin_type == "isolated"
    assert float(stranger("get_position_margin_change_history", BTC)[0].amount) == 25
    assert stranger("position_adl_quantile_estimation", symbol=BTC)[0].symbol == BTC
    assert stranger("users_force_orders") == []


def test_it_reads_the_account(stranger: Stranger) -> None:
    [balance] = [each for each in stranger("futures_account_balance_v2") if each.asset == "USDT"]
    account = stranger("account_information_v2")
    stranger("change_position_mode", "true")
    hedged = stranger("get_current_position_mode")
    stranger("change_position_mode", "false")

    assert balance.balance == account.total_wallet_balance == "10000.00000000"
    assert hedged.dual_side_position is True
    assert stranger("get_current_multi_assets_mode").multi_assets_margin is False
    assert stranger("user_commission_rate", BTC).taker_commission_rate == "0.00035"
    assert stranger("notional_and_leverage_brackets", symbol=BTC).symbol == BTC
    assert stranger("get_income_history")[0].income_type == "TRANSFER"


def test_it_understands_refusals_and_counts_its_weight(stranger: Stranger) -> None:
    intruder = Stranger(stranger.url, secret="guessed")

    with pytest.raises(NotFoundError, match="-1020"):
        stranger("query_algo_order", algo_id=1)
    with pytest.raises(BadRequestError, match="-2013"):
        stranger("query_order", BTC, order_id=1)
    with pytest.raises(BadRequestError, match="-1022"):
        intruder("futures_account_balance_v2")
    with pytest.raises(BadRequestError, match="-1102"):
        stranger("futures_account_balance_v3")  # not a path of keys at AsterDEX
    [limit] = stranger.api.check_server_time().rate_limits

    assert (limit.rateLimitType, limit.interval, limit.intervalNum) == ("REQUEST_WEIGHT", "MINUTE", 1)
    assert limit.count > 0


def test_it_is_told_to_slow_down(stranger: Stranger) -> None:
    fault = {"kind": "429-before", "path": "/fapi/v1/time", "count": 10}
    httpx.post(f"{stranger.url}/emulator/faults", json=fault).raise_for_status()

    with pytest.raises(TooManyRequestsError, match="-1003"):
        stranger("check_server_time")
