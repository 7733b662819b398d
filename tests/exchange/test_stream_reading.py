"""What streams tell, read as exactly as the answers of the exchange are."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.domain.market import Quote, Series, Timeframe
from shared.domain.news import (
    AccountUpdate,
    BookTop,
    CandleUpdate,
    MarginCall,
    OrderUpdate,
    PublicTrade,
    SettingsUpdate,
)
from shared.domain.order import Fill, OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.exchange.fields import Unreadable, parse
from shared.exchange.stream_wire import candle_stream, is_answer, read_account_events, read_market
from tests.exchange.test_bad_payloads import WRONG, changed, places

PUSHES = {
    name: push
    for name, push in json.loads((Path(__file__).parent / "pushes.json").read_text()).items()
    if name != "origin"
}
MARK = {
    "e": "markPriceUpdate",
    "E": 1750000000000,
    "s": "BTCUSDT",
    "p": "65001.23000000",
    "i": "64999.80000000",
    "P": "64998.10000000",
    "r": "0.00010000",
    "T": 1750003200000,
}
BOOK = {
    "e": "bookTicker",
    "u": 400900217,
    "E": 1750000000893,
    "T": 1750000000891,
    "s": "BTCUSDT",
    "b": "65000.0",
    "B": "3.100",
    "a": "65000.1",
    "A": "4.000",
}
TRADE = {
    "e": "aggTrade",
    "E": 1750000000123,
    "s": "BTCUSDT",
    "a": 5933014,
    "p": "65000.1",
    "q": "0.100",
    "f": 100,
    "l": 105,
    "T": 1750000000120,
    "m": True,
}
BAR = {
    "t": 1749999960000,
    "T": 1750000019999,
    "s": "BTCUSDT",
    "i": "1m",
    "f": 100,
    "L": 200,
    "o": "65000.0",
    "c": "65001.0",
    "h": "65005.0",
    "l": "64995.0",
    "v": "10.000",
    "n": 100,
    "x": False,
    "q": "650000.0",
    "V": "5.000",
    "Q": "325000.0",
    "B": "0",
}
KLINE = {"e": "kline", "E": 1750000000250, "s": "BTCUSDT", "k": BAR}
ORDER: dict[str, Any] = {
    "s": "BTCUSDT",
    "c": "gk-0001",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "0.010",
    "p": "65000.5",
    "ap": "65000.40000",
    "sp": "0",
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "i": 8886774,
    "l": "0.004",
    "z": "0.004",
    "L": "65000.4",
    "N": "USDT",
    "n": "0.09100056",
    "T": 1750000000650,
    "t": 12345,
    "b": "390.00300",
    "a": "0",
    "m": False,
    "R": False,
    "wt": "CONTRACT_PRICE",
    "ot": "LIMIT",
    "ps": "BOTH",
    "cp": False,
    "AP": "0",
    "cr": "0",
    "rp": "0",
}
ORDER_UPDATE = {"e": "ORDER_TRADE_UPDATE", "E": 1750000000651, "T": 1750000000650, "o": ORDER}
STOP_RESTS = ORDER | {
    "c": "pp-stop-1",
    "S": "SELL",
    "o": "STOP_MARKET",
    "ot": "STOP_MARKET",
    "q": "0",
    "p": "0",
    "ap": "0",
    "sp": "64000",
    "x": "NEW",
    "X": "NEW",
    "l": "0",
    "z": "0",
    "L": "0",
    "t": 0,
    "cp": True,
    "R": True,
}
ACCOUNT = {
    "e": "ACCOUNT_UPDATE",
    "E": 1750000000939,
    "T": 1750000000938,
    "a": {
        "m": "ORDER",
        "B": [{"a": "USDT", "wb": "1000.12345678", "cw": "1000.12345678", "bc": "0"}],
        "P": [
            {
                "s": "BTCUSDT",
                "pa": "-0.010",
                "ep": "65000.00000",
                "cr": "0",
                "up": "1.00000000",
                "mt": "cross",
                "iw": "0",
                "ps": "BOTH",
                "ma": "USDT",
            }
        ],
    },
}


def test_a_mark_price_is_a_quote() -> None:
    assert read_market(MARK) == Quote(
        symbol="BTCUSDT",
        mark_price=Decimal("65001.23000000"),
        index_price=Decimal("64999.80000000"),
        funding_rate=Decimal("0.00010000"),
        next_funding_at=datetime(2025, 6, 15, 16, 0, tzinfo=UTC),
        open_interest=None,
        at=datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC),
    )


def test_best_prices_trades_and_candles_are_told_in_our_words() -> None:
    book, trade, update = read_market(BOOK), read_market(TRADE), read_market(KLINE)

    assert isinstance(book, BookTop)
    assert (book.bid, book.bid_quantity, book.ask, book.ask_quantity) == (
        Decimal("65000.0"),
        Decimal("3.100"),
        Decimal("65000.1"),
        Decimal("4.000"),
    )
    assert isinstance(trade, PublicTrade)
    assert (trade.side, trade.price, trade.quantity) == (Side.SELL, Decimal("65000.1"), Decimal("0.100"))
    assert isinstance(update, CandleUpdate)
    assert update.series == Series("BTCUSDT", Timeframe.M1)
    assert update.candle.opened == datetime(2025, 6, 15, 15, 6, tzinfo=UTC)
    assert (update.candle.high, update.candle.close, update.closed) == (Decimal("65005.0"), Decimal("65001.0"), False)


def test_an_event_reads_the_same_wrapped_and_unwrapped() -> None:
    assert read_market({"stream": "btcusdt@markPrice@1s", "data": MARK}) == read_market(MARK)
    assert read_account_events({"stream": "key", "data": ORDER_UPDATE}) == read_account_events(ORDER_UPDATE)


def test_what_nobody_asked_for_is_passed_over() -> None:
    assert read_market({"e": "announcement", "en": {}}) is None
    assert read_account_events({"e": "announcement", "en": {}}) == []


def test_an_order_that_traded_is_told_as_its_trade_and_as_the_order_it_became() -> None:
    fill, update = read_account_events(ORDER_UPDATE)

    assert fill == Fill(
        trade_id=12345,
        venue_order_id=8886774,
        symbol="BTCUSDT",
        side=Side.BUY,
        price=Decimal("65000.4"),
        quantity=Decimal("0.004"),
        realized_pnl=Decimal(0),
        commission=Decimal("0.09100056"),
        commission_asset="USDT",
        maker=False,
        at=datetime(2025, 6, 15, 15, 6, 40, 650000, tzinfo=UTC),
    )
    assert isinstance(update, OrderUpdate)
    assert (update.order.state, update.order.executed_quantity) == (OrderState.PARTIALLY_FILLED, Decimal("0.004"))


def test_a_trade_that_cost_nothing_names_no_commission() -> None:
    order = {name: value for name, value in ORDER.items() if name not in {"n", "N"}}

    [fill, _] = read_account_events(ORDER_UPDATE | {"o": order})

    assert isinstance(fill, Fill)
    assert fill.commission == 0


def test_a_resting_stop_is_told_as_it_was_placed() -> None:
    [update] = read_account_events(ORDER_UPDATE | {"o": STOP_RESTS})

    assert isinstance(update, OrderUpdate)
    assert update.order.type is OrderType.STOP_MARKET
    assert (update.order.stop_price, update.order.closes_position) == (Decimal(64000), True)


def test_in_hedge_mode_the_position_is_named() -> None:
    [update] = read_account_events(ORDER_UPDATE | {"o": STOP_RESTS | {"ps": "LONG"}})

    assert isinstance(update, OrderUpdate)
    assert update.order.position_side is Direction.LONG


def test_changes_of_the_account_its_margin_and_its_settings_are_told() -> None:
    at = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
    call = {"e": "MARGIN_CALL", "E": 1750000000000, "cw": "3.1", "p": [{"s": "ETHUSDT", "ps": "LONG", "pa": "1.3"}]}
    leverage = {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1750000000000, "T": 1, "ac": {"s": "BTCUSDT", "l": 25}}
    mode = {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1750000000000, "T": 1, "ai": {"j": True}}

    [changed] = read_account_events(ACCOUNT)

    assert isinstance(changed, AccountUpdate)
    assert (changed.reason, changed.wallets) == ("ORDER", {"USDT": Decimal("1000.12345678")})
    assert changed.sizes == {("BTCUSDT", "BOTH"): Decimal("-0.010")}
    assert read_account_events(call) == [MarginCall(symbols=("ETHUSDT",), at=at)]
    assert read_account_events(leverage) == [SettingsUpdate(symbol="BTCUSDT", leverage=25, at=at)]
    assert read_account_events(mode) == [SettingsUpdate(symbol=None, leverage=None, at=at)]


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        MARK | {"p": None},
        MARK | {"p": "NaN"},
        MARK | {"p": True},
        MARK | {"s": 7},
        {name: value for name, value in MARK.items() if name != "T"},
        BOOK | {"b": ""},
        TRADE | {"m": "false"},
        KLINE | {"k": None},
        KLINE | {"k": BAR | {"h": "1"}},
        KLINE | {"k": BAR | {"i": "7m"}},
        KLINE | {"k": BAR | {"x": 1}},
    ],
)
def test_a_market_event_that_cannot_be_read_for_certain_is_not_read(payload: Any) -> None:
    with pytest.raises(Unreadable):
        read_market(payload)


@pytest.mark.parametrize(
    "payload",
    [
        [],
        ORDER_UPDATE | {"o": None},
        ORDER_UPDATE | {"o": ORDER | {"X": "NEW_INSURANCE"}},
        ORDER_UPDATE | {"o": ORDER | {"ot": "LIQUIDATION"}},
        ORDER_UPDATE | {"o": ORDER | {"l": "0,004"}},
        ORDER_UPDATE | {"E": "soon"},
        ACCOUNT | {"a": {}},
        {"e": "MARGIN_CALL", "E": 1, "p": "all"},
        {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "ac": {"s": "BTCUSDT", "l": "high"}},
    ],
)
def test_an_account_event_that_cannot_be_read_for_certain_is_not_read(payload: Any) -> None:
    with pytest.raises(Unreadable):
        read_account_events(payload)


def read(payload: Any) -> Any:
    return read_market(payload), read_account_events(payload)


@pytest.mark.parametrize("name", PUSHES)
def test_a_recorded_push_is_read(name: str) -> None:
    market, account = read(parse(json.dumps(PUSHES[name])))

    assert market or account


@pytest.mark.parametrize("name", PUSHES)
def test_a_push_with_anything_wrong_in_it_is_read_or_unreadable(name: str) -> None:
    complaints = []
    for path in places(PUSHES[name]):
        for wrong in WRONG:

            def put(holder: Any, key: Any, wrong: Any = wrong) -> None:
                holder[key] = wrong

            try:
                read(parse(json.dumps(changed(PUSHES[name], path, put))))
            except Unreadable as exc:
                complaints.append(str(exc))

    assert complaints
    assert not [complaint for complaint in complaints if "\n" in complaint]


def test_streams_are_named_in_lower_case() -> None:
    assert candle_stream(Series("BTCUSDT", Timeframe.MONTH)) == "btcusdt@kline_1M"


def test_an_answer_to_a_command_is_told_from_events_and_a_refusal_is_no_answer() -> None:
    assert is_answer('{"result":null,"id":3}', 3)
    assert not is_answer('{"result":null,"id":2}', 3)
    assert not is_answer('{"stream":"a","data":{}}', 3)
    with pytest.raises(Unreadable, match="refused"):
        is_answer('{"code":2,"msg":"Invalid request"}', 3)
