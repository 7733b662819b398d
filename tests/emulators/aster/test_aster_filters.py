"""New orders against the symbol's filters and the venue's rules."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulators.aster import Venue
from emulators.aster.prices.market import CandleMarket
from emulators.aster.prices.symbols import instrument, instrument_from
from tests.emulators.aster.traders import Trader, flat, market_of

LIMIT = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": "49900"}
STOP = {"type": "STOP_MARKET", "quantity": "0.010", "stopPrice": "49000"}
MARKET = {"type": "MARKET", "quantity": "0.010"}


def trader() -> Trader:
    return Trader(Venue(market_of(*flat(50_000, 10)), balance=Decimal(10_000_000)))


async def refusal(one: Trader, **parameters: Any) -> tuple[int, int]:
    wanted = {"symbol": "BTCUSDT", "side": "BUY", **parameters}
    answer = await one.ask("POST", "/fapi/v3/order", **{name: value for name, value in wanted.items() if value})
    return answer.status_code, answer.json().get("code", 0)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (LIMIT | {"price": "49900.05"}, -1111),  # more decimals than the symbol has
        (LIMIT | {"quantity": "0.0105"}, -1111),
        (LIMIT | {"price": "49900.10000", "quantity": "0.01000000"}, 0),  # zeros at the end are no decimals
        (LIMIT | {"price": "-1"}, -4001),
        (LIMIT | {"price": "0.5"}, -4013),
        (LIMIT | {"price": "1000000.1"}, -4002),
        (STOP | {"stopPrice": "-1"}, -4006),
        (STOP | {"stopPrice": "1000000.1", "side": "BUY"}, -4007),
        (LIMIT | {"quantity": "0"}, -4003),
        (LIMIT | {"quantity": "-1"}, -4003),
        (LIMIT | {"quantity": "100.001"}, -4005),
        (MARKET | {"quantity": "10.001"}, -4005),  # market orders have a lot size of their own
        (LIMIT | {"quantity": "10.001"}, 0),
        (LIMIT | {"quantity": "0.001", "price": "4999"}, -4164),
        (STOP | {"quantity": "0.001", "stopPrice": "4999", "side": "SELL"}, -4164),
        (LIMIT | {"price": "51000"}, 0),
        (LIMIT | {"price": "51000.1"}, -4016),
        (LIMIT | {"price": "49000", "side": "SELL"}, 0),
        (LIMIT | {"price": "48999.9", "side": "SELL"}, -4024),
        ({"type": "STOP", "quantity": "0.01", "stopPrice": "52000", "price": "53040.1"}, -4183),
        ({"type": "STOP", "quantity": "0.01", "stopPrice": "48000", "price": "47039.9", "side": "SELL"}, -4184),
        (LIMIT | {"type": "STOP", "price": "49900", "stopPrice": None}, -1102),
        (LIMIT | {"timeInForce": None}, -1102),
        (LIMIT | {"timeInForce": "GTD"}, -1115),
        (LIMIT | {"price": None}, -1102),
        (LIMIT | {"price": "cheap"}, -1102),
        (LIMIT | {"price": "NaN"}, -1102),
        (LIMIT | {"price": "49_900"}, -1102),
        (LIMIT | {"price": "4.99e4"}, 0),
        (LIMIT | {"quantity": "9" * 5000}, -1102),
        (LIMIT | {"quantity": None}, -1102),
        (LIMIT | {"symbol": "NOPEUSDT"}, -1121),
        (LIMIT | {"symbol": None}, -1102),
        (LIMIT | {"side": "HOLD"}, -1117),
        (LIMIT | {"type": "GUESS"}, -1116),
        (LIMIT | {"newClientOrderId": "with space"}, -4015),
        (LIMIT | {"newClientOrderId": "x" * 37}, -4015),
        (LIMIT | {"newClientOrderId": "a.B:/c_-9" * 4}, 0),
        (LIMIT | {"positionSide": "LONG"}, -4061),
        (LIMIT | {"positionSide": "UP"}, -4060),
        (LIMIT | {"positionSide": "BOTH"}, 0),
        (LIMIT | {"workingType": "GUESS"}, -4031),
        (LIMIT | {"newOrderRespType": "FULL"}, -1136),
        (LIMIT | {"reduceOnly": "maybe"}, -1102),
        (LIMIT | {"reduceOnly": "True"}, -2022),
        (LIMIT | {"postOnly": "True", "anything": "goes"}, 0),  # unknown parameters are ignored
        (STOP | {"closePosition": "true"}, -4137),
        (STOP | {"closePosition": "true", "quantity": None, "reduceOnly": "true"}, -1106),
        (LIMIT | {"closePosition": "true"}, -4020),
        (STOP | {"side": "SELL", "stopPrice": "50000"}, -2021),
        (STOP | {"side": "BUY", "stopPrice": "50000"}, -2021),
        (STOP | {"side": "BUY", "stopPrice": "50000.1"}, 0),
        (STOP | {"type": "TAKE_PROFIT_MARKET", "side": "SELL", "stopPrice": "50000"}, -2021),
        (STOP | {"type": "TAKE_PROFIT_MARKET", "side": "BUY", "stopPrice": "50000"}, -2021),
        (STOP | {"side": "SELL", "closePosition": "TRUE", "quantity": None, "workingType": "MARK_PRICE"}, 0),
    ],
)
async def test_every_rule_has_its_code(order: dict[str, Any], code: int) -> None:
    assert await refusal(trader(), **order) == (400 if code else 200, code)


async def test_a_refused_order_leaves_no_trace() -> None:
    one = trader()

    await refusal(one, **(LIMIT | {"price": "49900.05"}))

    assert await one.get("allOrders", symbol="BTCUSDT") == []


async def test_a_price_within_its_precision_may_still_be_off_the_tick() -> None:
    """ASTERUSDT has five digits and a tick of 0.0001."""
    one = Trader(Venue(market_of(*flat(1.5, 5), symbol="ASTERUSDT")))
    order = {"symbol": "ASTERUSDT", "type": "LIMIT", "timeInForce": "GTC", "quantity": "10"}

    assert await refusal(one, **order, price="1.50005") == (400, -4014)
    assert await refusal(one, **order, price="1.500050") == (400, -4014)
    assert await refusal(one, **order, price="1.500005") == (400, -1111)
    assert await refusal(one, **order, price="1.50010") == (200, 0)


async def test_a_quantity_within_its_precision_may_still_be_off_the_step() -> None:
    entry = json.loads(json.dumps(instrument("BTCUSDT").entry))
    for each in entry["filters"]:
        if "stepSize" in each:
            each.update(stepSize="0.005", minQty="0.005")
    market = market_of(*flat(50_000, 5))
    market.instruments["BTCUSDT"] = instrument_from(entry)

    assert await refusal(Trader(Venue(market)), **(LIMIT | {"quantity": "0.012"})) == (400, -4023)
    assert await refusal(Trader(Venue(market)), **(LIMIT | {"quantity": "0.004"})) == (400, -4004)


async def test_a_position_may_hold_ten_conditional_orders_and_two_hundred_in_all() -> None:
    one = trader()

    stops = [await refusal(one, **STOP, side="SELL") for _ in range(11)]
    limits = [await refusal(one, **LIMIT) for _ in range(191)]

    assert stops == [(200, 0)] * 10 + [(400, -4045)]
    assert limits == [(200, 0)] * 190 + [(400, -2025)]


async def test_a_symbol_that_is_not_listed_yet_cannot_be_traded() -> None:
    market: CandleMarket = market_of(*flat(50_000, 5))
    candles = market.candles("BTCUSDT", 0)
    venue = Venue(market)
    venue.engine.now = int(candles.time[0]) - 1
    one = Trader(venue)

    info = (await one.http.get("/fapi/v3/exchangeInfo")).json()

    assert await refusal(one, **MARKET) == (400, -4140)
    assert info["symbols"][0]["status"] == "PENDING_TRADING"
    assert (await one.http.get("/fapi/v3/premiumIndex")).json() == []


def test_the_recorded_entries_are_served_as_they_were_recorded() -> None:
    """Newer entries of the exchange write numbers as strings, older ones do not."""
    entries = json.loads((Path(__file__).parents[3] / "emulators/aster/prices/symbols.json").read_text())["symbols"]
    by_symbol = {entry["symbol"]: entry for entry in entries}

    assert by_symbol["BTCUSDT"]["filters"][4] == {"limit": 10, "filterType": "MAX_NUM_ALGO_ORDERS"}
    assert by_symbol["ASTERUSDT"]["filters"][4] == {"limit": "10", "filterType": "MAX_NUM_ALGO_ORDERS"}
    assert by_symbol["BTCUSDT"]["onboardDate"] == 1627628400000
    assert by_symbol["ASTERUSDT"]["onboardDate"] == "1758178800000"
