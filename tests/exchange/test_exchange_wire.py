"""Payloads as the exchange sends them, read exactly or not at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.order import IncomeKind, Intent, Leg, OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.exchange import account_wire, fields, market_wire
from shared.exchange.fields import Unreadable

D = Decimal


def moment(since_epoch: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=since_epoch)


def an_intent(**changes: Any) -> Intent:
    entry = Intent(
        account_id="main",
        tick=datetime(2025, 6, 15, 12, tzinfo=UTC),
        symbol="BTCUSDT",
        leg=Leg.ENTRY,
        attempt=0,
        side=Side.BUY,
        direction=Direction.LONG,
        type=OrderType.MARKET,
        quantity=D("0.010"),
    )
    return replace(entry, **changes)


def test_fractions_are_read_exactly_from_text_and_from_json_numbers() -> None:
    payload = fields.parse(b'{"openInterest": 0.1000000000000000055511151231257827}')

    assert market_wire.read_open_interest(payload) == D("0.1000000000000000055511151231257827")
    assert market_wire.read_open_interest({"openInterest": "123456.78"}) == D("123456.78")


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"a": NaN}', b'{"a": -Infinity}', b"[" * 5_000, b"\xff", b"{"])
def test_what_is_no_json_is_unreadable(content: bytes) -> None:
    with pytest.raises(Unreadable, match="no JSON"):
        fields.parse(content)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "", "1_000", " 1", "0x1", "١", None, True, [], {}])
def test_what_is_no_number_is_not_read_as_one(value: Any) -> None:
    with pytest.raises(Unreadable, match="not a number"):
        market_wire.read_open_interest({"openInterest": value})


def test_filters_are_read_from_numbers_and_texts_alike(samples: dict[str, Any]) -> None:
    instruments = market_wire.read_instruments(samples["exchangeInfo"])

    bitcoin, aster = instruments["BTCUSDT"], instruments["ASTERUSDT"]
    assert (bitcoin.tick_size, bitcoin.step_size, bitcoin.max_market_quantity) == (D("0.1"), D("0.001"), D(10))
    assert (aster.tick_size, aster.min_price, aster.max_market_quantity) == (D("0.00010"), D("0.00010"), D(200000))
    assert (aster.min_quantity, aster.min_notional, aster.max_price) == (D("0.01"), D(5), D(200))
    assert bitcoin.trading
    assert aster.trading


def test_a_contract_we_cannot_read_is_left_out_and_the_others_are_not(samples: dict[str, Any], caplog: Any) -> None:
    market_wire.log.addHandler(caplog.handler)
    still = {"filterType": "PRICE_FILTER", "minPrice": "0", "maxPrice": "0", "tickSize": "0"}
    first = samples["exchangeInfo"]["symbols"][0]
    tickless = {**first, "symbol": "XRPUSDT", "filters": [*first["filters"][1:], still]}
    broken = {**samples["exchangeInfo"]["symbols"][1], "filters": []}
    test_contract = {**samples["exchangeInfo"]["symbols"][0], "symbol": "TESTBTCUSDT"}
    halted = {**samples["exchangeInfo"]["symbols"][0], "symbol": "ETHUSDT", "status": "SETTLING"}

    instruments = market_wire.read_instruments({"symbols": [broken, tickless, test_contract, halted]})

    assert list(instruments) == ["ETHUSDT"]
    assert not instruments["ETHUSDT"].trading
    assert "ASTERUSDT" in caplog.text
    assert "XRPUSDT (a tick or step size of zero)" in caplog.text
    market_wire.log.removeHandler(caplog.handler)


@pytest.mark.parametrize(
    ("lot", "market_lot", "fits"),
    [
        (("0.001", "0.001"), ("0.001", "0.001"), True),
        (("0.001", "0.001"), ("0.01", "0.01"), True),
        (("0.001", "0.002"), ("0.001", "0.005"), True),
        (("0.001", "0.0015"), ("0.001", "0.0015"), False),  # the exchange's grid would not be ours
        (("0.002", "0.006"), ("0.003", "0.006"), False),  # no step is both
        (("0", "0.001"), ("0.001", "0.001"), False),
    ],
)
def test_a_contract_whose_sizes_lie_on_no_common_grid_is_left_out(
    samples: dict[str, Any], lot: tuple[str, str], market_lot: tuple[str, str], fits: bool
) -> None:
    def with_sizes(name: str) -> dict[str, Any]:
        symbol = samples["exchangeInfo"]["symbols"][0]
        sizes = {"LOT_SIZE": lot, "MARKET_LOT_SIZE": market_lot}
        told = [
            {**entry, "stepSize": sizes[entry["filterType"]][0], "minQty": sizes[entry["filterType"]][1]}
            if entry["filterType"] in sizes
            else entry
            for entry in symbol["filters"]
        ]
        return {**symbol, "symbol": name, "filters": told}

    other = samples["exchangeInfo"]["symbols"][1]

    instruments = market_wire.read_instruments({"symbols": [with_sizes("ODDUSDT"), other]})

    assert ("ODDUSDT" in instruments) is fits


def test_an_exchange_without_contracts_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no contract"):
        market_wire.read_instruments({"symbols": []})


def test_a_candle_is_read(samples: dict[str, Any]) -> None:
    (candle,) = market_wire.read_candles(samples["klines"], closed_by=moment(1499644799999))

    assert candle.opened == moment(1499040000000)
    assert (candle.open, candle.high, candle.low) == (D("0.01634790"), D("0.80000000"), D("0.01575800"))
    assert (candle.close, candle.volume) == (D("0.01577100"), D("148976.11427815"))


def test_a_running_candle_is_left_out(samples: dict[str, Any]) -> None:
    assert market_wire.read_candles(samples["klines"], closed_by=moment(1499644799998)) == []


def test_a_candle_of_the_future_is_told_as_it_is(samples: dict[str, Any]) -> None:
    (candle,) = market_wire.read_candles(samples["klines"], closed_by=moment(1499039999999))

    assert candle.opened == moment(1499040000000)


@pytest.mark.parametrize("row", [[1, "1", "1", "1", "1"], {}, [1, "x", "1", "1", "1", "1", 0], ["1", "1", "1"]])
def test_a_candle_that_is_none_is_unreadable(row: Any) -> None:
    with pytest.raises(Unreadable):
        market_wire.read_candles([row], closed_by=moment(10))


def test_the_best_prices_are_read_and_an_empty_book_has_none() -> None:
    full = {"symbol": "BTCUSDT", "bidPrice": "4.00", "askPrice": "4.02", "time": 1}
    empty = {"symbol": "ETHUSDT", "bidPrice": "0.00", "askPrice": "4.02", "time": 1}

    assert market_wire.read_books(full) == market_wire.read_books([full, empty]) == {"BTCUSDT": (D("4.00"), D("4.02"))}


def test_the_change_of_a_day_is_read_as_a_fraction() -> None:
    told = {
        "symbol": "BTCUSDT",
        "priceChange": "-94.99999800",
        "priceChangePercent": "-95.960",
        "highPrice": "100.00000000",
        "lowPrice": "0.10000000",
        "volume": "8913.30000000",
        "quoteVolume": "15.30000000",
        "openTime": 1499783499040,
    }

    day = market_wire.read_days(told)["BTCUSDT"]

    assert (day.change, day.high, day.low) == (D("-0.95960"), D("100.00000000"), D("0.10000000"))
    assert day.turnover == D("15.30000000")


def test_the_funding_interval_is_read() -> None:
    told = [
        {"symbol": "INJUSDT", "interestRate": "0.00010000", "fundingIntervalHours": 8, "fundingFeeCap": 0.03},
        {"symbol": "ZORAUSDT", "interestRate": "0.00005000", "fundingIntervalHours": 4, "fundingFeeCap": 0.02},
    ]

    intervals = market_wire.read_funding_intervals(told)

    assert intervals == {"INJUSDT": timedelta(hours=8), "ZORAUSDT": timedelta(hours=4)}


def test_a_quote_is_read(samples: dict[str, Any]) -> None:
    quote = market_wire.read_quotes(samples["premiumIndex"], ["BTCUSDT"])["BTCUSDT"]

    assert (quote.mark_price, quote.index_price) == (D("11793.63104562"), D("11781.80495970"))
    assert (quote.funding_rate, quote.open_interest) == (D("0.00038246"), None)
    assert (quote.next_funding_at, quote.at) == (moment(1597392000000), moment(1597370495002))


def test_only_the_wanted_quotes_are_read() -> None:
    assert market_wire.read_quotes([{"symbol": "DELIVERY", "lastFundingRate": ""}], ["BTCUSDT"]) == {}


def test_the_balance_is_that_of_the_whole_account(samples: dict[str, Any]) -> None:
    report = account_wire.read_account(samples["accountWithJoinMargin"])

    assert report.balance.wallet == report.balance.available == D("23.72469206")
    assert report.sizes == {}


def test_both_sides_of_hedge_mode_are_read(samples: dict[str, Any]) -> None:
    report = account_wire.read_positions(samples["positionRisk hedge"])

    long, short = report.positions
    assert (long.direction, long.quantity, long.entry_price) == (Direction.LONG, D(20), D("6563.66500"))
    assert (long.mark_price, long.unrealized, long.leverage) == (D("6679.50671178"), D("2316.83423560"), 10)
    assert long.liquidation_price == D("5930.78")
    assert (short.direction, short.quantity) == (Direction.SHORT, D(10))
    assert report.sizes == {("BTCUSDT", Direction.LONG): D(20), ("BTCUSDT", Direction.SHORT): D(-10)}
    assert report.hedged


def test_in_one_way_mode_the_sign_is_the_direction_and_flat_rows_are_no_positions(samples: dict[str, Any]) -> None:
    (flat,) = samples["positionRisk"]
    short = {**flat, "symbol": "ETHUSDT", "positionAmt": "-1.5", "entryPrice": "2000"}

    (position,) = account_wire.read_positions([flat, short]).positions

    assert (position.symbol, position.direction, position.quantity) == ("ETHUSDT", Direction.SHORT, D("1.5"))
    assert position.liquidation_price is None


def test_an_order_is_read(samples: dict[str, Any]) -> None:
    order = account_wire.read_order(samples["order"])

    assert (order.client_order_id, order.venue_order_id, order.symbol) == ("abc", 1917641, "BTCUSDT")
    assert (order.side, order.type, order.state) == (Side.BUY, OrderType.TRAILING_STOP_MARKET, OrderState.NEW)
    assert (order.quantity, order.executed_quantity, order.stop_price) == (D("0.40"), D(0), D(9300))
    assert order.updated_at == moment(1579276756075)


def test_an_answer_to_a_cancellation_that_leaves_the_average_out_still_tells_it(samples: dict[str, Any]) -> None:
    order = account_wire.read_order({**samples["cancelled order"], "executedQty": "2", "cumQuote": "18.5"})

    assert (order.state, order.executed_quantity, order.average_price) == (OrderState.CANCELED, D(2), D("9.25"))


def test_a_triggered_stop_is_still_the_stop_that_was_placed(samples: dict[str, Any]) -> None:
    order = account_wire.read_order(
        {**samples["order"], "type": "MARKET", "origType": "STOP_MARKET", "status": "FILLED"}
    )

    assert order.type is OrderType.STOP_MARKET


def test_a_triggered_stop_that_rests_is_a_limit_order_and_protects_nothing(samples: dict[str, Any]) -> None:
    order = account_wire.read_order({**samples["order"], "type": "LIMIT", "origType": "STOP", "status": "NEW"})

    assert order.type is OrderType.LIMIT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "DREAMT"),
        ("side", None),
        ("origType", "ICEBERG"),
        ("reduceOnly", "false"),
        ("executedQty", "NaN"),
        ("orderId", "1.5"),
        ("clientOrderId", ""),
        ("updateTime", 10**18),
    ],
)
def test_an_order_with_a_field_we_do_not_understand_is_unreadable(
    samples: dict[str, Any], field: str, value: Any
) -> None:
    with pytest.raises(Unreadable):
        account_wire.read_order({**samples["order"], field: value})


@pytest.mark.parametrize("payload", [None, [], "x", {"orders": []}, [1]])
def test_a_payload_of_another_shape_is_unreadable(payload: Any) -> None:
    with pytest.raises(Unreadable):
        account_wire.read_order(payload)
    with pytest.raises(Unreadable):
        account_wire.read_orders([payload])


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_commission_is_a_cost_whatever_its_sign(samples: dict[str, Any], sign: str) -> None:
    (row,) = samples["userTrades"]

    (fill,) = account_wire.read_fills([{**row, "commission": f"{sign}0.07819010"}])

    assert fill.commission == D("0.07819010")
    assert (fill.trade_id, fill.venue_order_id, fill.side) == (698759, 25851813, Side.SELL)
    assert (fill.price, fill.quantity, fill.realized_pnl) == (D("7819.01"), D("0.002"), D("-0.91539999"))
    assert (fill.maker, fill.commission_asset, fill.at) == (False, "USDT", moment(1569514978020))


def test_incomes_that_share_a_number_are_told_apart_by_their_kind(samples: dict[str, Any]) -> None:
    transfer, commission = account_wire.read_incomes(samples["income"])

    assert (transfer.transaction_id, commission.transaction_id) == ("TRANSFER:9689322392", "COMMISSION:9689322392")
    assert (transfer.kind, transfer.symbol, transfer.amount) == (IncomeKind.TRANSFER, None, D("-0.37500000"))
    assert (commission.kind, commission.symbol, commission.asset) == (IncomeKind.COMMISSION, "BTCUSDT", "USDT")
    assert commission.at == moment(1570636800000)


def test_an_income_of_a_new_kind_is_kept(samples: dict[str, Any]) -> None:
    (row,) = account_wire.read_incomes([{**samples["income"][0], "incomeType": "AIRDROP", "tranId": 7}])

    assert (row.kind, row.transaction_id) == (IncomeKind.OTHER, "AIRDROP:7")


@pytest.mark.parametrize("number", [None, "", True, 1.5])
def test_an_income_without_a_number_is_unreadable(samples: dict[str, Any], number: Any) -> None:
    with pytest.raises(Unreadable, match="tranId"):
        account_wire.read_incomes([{**samples["income"][0], "tranId": number}])


@pytest.mark.parametrize(("told", "side"), [("BOTH", None), ("LONG", Direction.LONG), ("SHORT", Direction.SHORT)])
def test_orders_and_trades_tell_their_position_side(samples: dict[str, Any], told: str, side: Direction | None) -> None:
    assert account_wire.read_order({**samples["order"], "positionSide": told}).position_side is side
    assert account_wire.read_fills([{**samples["userTrades"][0], "positionSide": told}])[0].position_side is side


@pytest.mark.parametrize("told", [None, "", "UP"])
def test_a_position_side_that_is_none_is_not_guessed(samples: dict[str, Any], told: str | None) -> None:
    with pytest.raises(Unreadable, match="positionSide"):
        account_wire.read_order({**samples["order"], "positionSide": told})
    with pytest.raises(Unreadable, match="positionSide"):
        account_wire.read_positions([{**samples["positionRisk"][0], "positionSide": told}])
