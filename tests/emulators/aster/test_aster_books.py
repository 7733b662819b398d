"""Money: positions, margin, funding, liquidation, and books that add up."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulators.aster import Venue, synthetic_market
from emulators.aster.errors import Refusal
from emulators.aster.holdings.accounts import Account
from emulators.aster.holdings.brackets import brackets_of, maintenance_margin
from emulators.aster.holdings.positions import Position
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of

HOUR = 60 * MINUTE


async def income_of(one: Trader, kind: str) -> list[Decimal]:
    return [Decimal(row["income"]) for row in await one.get("income", incomeType=kind)]


def test_the_entry_price_is_the_average_of_the_open_part_and_closing_leaves_it_alone() -> None:
    position = Position()

    position.fill(Decimal("0.010"), Decimal(50_000))
    position.fill(Decimal("0.020"), Decimal(53_000))
    realized = position.fill(Decimal("-0.010"), Decimal(55_000))

    assert (realized, position.entry_price) == (Decimal(30), Decimal(52_000))


def test_a_cost_that_cannot_be_divided_evenly_loses_nothing() -> None:
    position = Position()
    position.fill(Decimal(3), Decimal("33.4"))
    position.fill(Decimal(4), Decimal("33.3"))

    realized = sum(position.fill(Decimal(-1), Decimal(34)) for _ in range(7))

    true = Decimal(7 * 34) - Decimal("33.4") * 3 - Decimal("33.3") * 4
    assert abs(realized - true) < Decimal("1e-24")
    assert (position.quantity, position.cost) == (0, 0)


async def test_profit_commission_and_wallet_of_a_round_trip() -> None:
    one = Trader(Venue(market_of((50_000,) * 4, (51_000,) * 4)))
    await one.order("BUY", quantity="0.010")
    one.venue.advance(T0 + MINUTE)
    await one.order("SELL", quantity="0.010")

    assert await income_of(one, "REALIZED_PNL") == [Decimal("9.999")]
    assert await income_of(one, "COMMISSION") == [Decimal("-0.17500035"), Decimal("-0.1785")]
    assert await income_of(one, "TRANSFER") == [Decimal(10_000)]
    assert await one.wallet_balance() == Decimal("10009.64549965")


async def test_the_account_shows_what_positions_and_orders_tie_up() -> None:
    one = Trader(Venue(market_of((50_000,) * 4, *flat(51_000, 2))))
    await one.ask("POST", "/fapi/v3/leverage", symbol="BTCUSDT", leverage=10)
    await one.order("BUY", quantity="0.100")
    await one.order("BUY", "LIMIT", quantity="0.050", price="49500", timeInForce="GTC")
    one.venue.advance(T0 + 2 * MINUTE)

    account = await one.get("accountWithJoinMargin")
    position = account["positions"][0]

    assert Decimal(account["totalWalletBalance"]) == Decimal("9998.24999650")
    assert Decimal(account["totalUnrealizedProfit"]) == Decimal("99.99")
    assert Decimal(account["totalPositionInitialMargin"]) == 510
    assert Decimal(account["totalOpenOrderInitialMargin"]) == Decimal("247.5")
    assert Decimal(account["availableBalance"]) == Decimal("9998.24999650") + Decimal("99.99") - Decimal("757.5")
    assert (position["leverage"], position["entryPrice"], position["notional"]) == (
        "10",
        "50000.10000000",
        "5100.00000000",
    )
    assert account["assets"][0]["walletBalance"] == account["totalWalletBalance"]
    assert (await one.get("balance"))[0]["availableBalance"] == account["availableBalance"]


async def test_buys_and_sells_on_both_sides_tie_up_only_the_larger_side() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 1))))
    await one.order("BUY", "LIMIT", quantity="0.100", price="49500", timeInForce="GTC")
    await one.order("SELL", "LIMIT", quantity="0.100", price="50500", timeInForce="GTC")

    assert Decimal((await one.get("accountWithJoinMargin"))["totalOpenOrderInitialMargin"]) == Decimal("252.5")


async def test_an_order_the_margin_does_not_cover_is_refused() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 1)), balance=Decimal(1000)))

    too_much = await one.order("BUY", quantity="0.400")
    enough = await one.order("BUY", quantity="0.390")
    more = await one.order("BUY", quantity="0.010")
    closing = await one.order("SELL", quantity="0.390")

    assert (too_much["code"], enough["status"], more["code"], closing["status"]) == (-2019, "FILLED", -2019, "FILLED")


async def test_a_conditional_order_is_asked_for_its_margin_when_it_is_triggered() -> None:
    one = Trader(Venue(market_of((50_000, 50_200, 50_000, 50_100)), balance=Decimal(100)))
    order = await one.order("BUY", "STOP_MARKET", quantity="1", stopPrice="50100")
    assert order["status"] == "NEW"

    one.venue.advance(T0 + MINUTE)

    assert (await one.state(order))["status"] == "EXPIRED"


async def test_leverage_has_its_limits() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 1)), balance=Decimal(4000)))

    async def leverage(value: Any) -> Any:
        return (await one.ask("POST", "/fapi/v3/leverage", symbol="BTCUSDT", leverage=value)).json()

    assert await leverage(125) == {"leverage": 125, "maxNotionalValue": "50000", "symbol": "BTCUSDT"}
    assert (await leverage(126))["code"] == (await leverage(0))["code"] == -4028
    assert (await leverage("lots"))["code"] == -1102
    assert (await one.order("BUY", quantity="1.001"))["code"] == -2027
    assert (await one.order("BUY", quantity="0.900"))["status"] == "FILLED"
    assert (await leverage(5))["code"] == -2028
    assert (await leverage(20))["leverage"] == 20
    assert (await one.order("BUY", quantity="0.500"))["status"] == "FILLED"
    assert (await leverage(125))["code"] == -2027


def test_brackets_are_continuous() -> None:
    for symbol in ("BTCUSDT", "ADAUSDT"):
        for bracket in brackets_of(symbol)[1:]:
            below = maintenance_margin(symbol, bracket.floor)
            above = maintenance_margin(symbol, bracket.floor + Decimal("1e-9"))
            assert above - below < Decimal("1e-8")


async def test_funding_is_paid_by_longs_at_the_recorded_rate_and_at_the_usual_one_without() -> None:
    eight, sixteen = T0 + 8 * HOUR, T0 + 16 * HOUR
    one = Trader(Venue(market_of(*flat(50_000, 20), base="1h", funding={eight: "0.00025"})))
    await one.order("BUY", quantity="0.010")

    one.venue.advance(sixteen)

    rows = await one.get("income", incomeType="FUNDING_FEE")
    assert [(row["income"], row["time"]) for row in rows] == [("-0.12500000", eight), ("-0.05000000", sixteen)]
    rates = (await one.http.get(f"/fapi/v3/fundingRate?symbol=BTCUSDT&startTime={eight}")).json()
    assert [rate["fundingRate"] for rate in rates] == ["0.00025000", "0.00010000"]


async def test_funding_is_received_by_shorts() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 10), base="1h")))
    await one.order("SELL", quantity="0.010")

    one.venue.advance(T0 + 8 * HOUR)

    assert await income_of(one, "FUNDING_FEE") == [Decimal("0.05")]


async def test_an_account_without_margin_is_liquidated_at_the_moment_it_runs_out() -> None:
    one = Trader(Venue(market_of((50_000, 50_000, 40_000, 40_000)), balance=Decimal(1000)))
    await one.order("BUY", quantity="0.300")
    resting = await one.order("BUY", "LIMIT", quantity="0.010", price="49000.1", timeInForce="GTC")
    forecast = Decimal((await one.position())["liquidationPrice"])

    one.venue.advance(T0 + MINUTE)

    orders = await one.get("allOrders", symbol="BTCUSDT")
    closing = orders[-1]
    assert closing["clientOrderId"].startswith("autoclose-")
    assert (closing["status"], closing["side"], closing["origQty"]) == ("FILLED", "SELL", "0.310")
    assert abs(Decimal(closing["avgPrice"]) - forecast) < 100  # the resting order was filled on the way
    assert (await one.state(resting))["status"] == "FILLED"
    assert (await one.position())["positionAmt"] == "0.000"
    assert len(await income_of(one, "INSURANCE_CLEAR")) == 1
    assert 0 <= await one.wallet_balance() < 100


async def test_the_liquidation_price_shown_is_where_liquidation_happens() -> None:
    one = Trader(Venue(market_of((50_000, 50_000, 40_000, 40_000)), balance=Decimal(1000)))
    await one.order("BUY", quantity="0.300")
    forecast = Decimal((await one.position())["liquidationPrice"])

    one.venue.advance(T0 + MINUTE)

    closing = (await one.get("allOrders", symbol="BTCUSDT"))[-1]
    assert abs(Decimal(closing["avgPrice"]) - forecast) <= 1


async def test_open_orders_are_cancelled_by_a_liquidation() -> None:
    one = Trader(Venue(market_of((50_000, 60_000, 50_000, 59_000)), balance=Decimal(1000)))
    await one.order("SELL", quantity="0.300")
    order = await one.order("BUY", "STOP_MARKET", stopPrice="59000", closePosition="true")

    one.venue.advance(T0 + MINUTE)

    assert (await one.state(order))["status"] == "CANCELED"
    assert (await one.get("allOrders", symbol="BTCUSDT"))[-1]["side"] == "BUY"


async def test_a_gap_beyond_bankruptcy_is_paid_by_the_insurance_fund() -> None:
    one = Trader(Venue(market_of((50_000,) * 4, (40_000,) * 4), balance=Decimal(1000)))
    await one.order("BUY", quantity="0.300")

    one.venue.advance(T0 + 2 * MINUTE)

    assert await one.wallet_balance() == 0
    assert sum(await income_of(one, "INSURANCE_CLEAR")) > 1900


async def test_settings_that_are_already_so_need_no_change() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 1))))

    async def post(name: str, **parameters: Any) -> Any:
        return (await one.ask("POST", f"/fapi/v3/{name}", **parameters)).json()

    assert (await post("marginType", symbol="BTCUSDT", marginType="CROSSED"))["code"] == -4046
    assert (await post("positionSide/dual", dualSidePosition="false"))["code"] == -4059
    assert await post("positionSide/dual", dualSidePosition="true") == {"code": 200, "msg": "success"}
    assert await one.get("positionSide/dual") == {"dualSidePosition": True}
    assert (await one.order("BUY", quantity="0.01"))["code"] == -4061
    assert (await post("positionSide/dual", dualSidePosition="false"))["code"] == 200
    await one.order("BUY", quantity="0.01")
    assert (await post("positionSide/dual", dualSidePosition="true"))["code"] == -4068
    await one.order("BUY", "LIMIT", quantity="0.01", price="49500", timeInForce="GTC")
    assert (await post("positionSide/dual", dualSidePosition="true"))["code"] == -4067
    assert await one.get("multiAssetsMargin") == {"multiAssetsMargin": False}
    assert await one.get("builder") == []


async def test_brackets_are_all_numbers_and_come_for_one_symbol_or_for_all() -> None:
    one = Trader(Venue(synthetic_market(symbols=("BTCUSDT", "ADAUSDT"))))

    every, single = await one.get("leverageBracket"), await one.get("leverageBracket", symbol="BTCUSDT")

    assert [each["symbol"] for each in every] == ["BTCUSDT", "ADAUSDT"]
    assert single == every[0]
    assert single["brackets"][1] == {
        "bracket": 2,
        "initialLeverage": 100,
        "notionalCap": 250_000,
        "notionalFloor": 50_000,
        "maintMarginRatio": 0.005,
        "cum": 50.0,
    }


async def test_fees_can_be_chosen() -> None:
    venue = Venue(market_of(*flat(50_000, 1)), maker_fee=Decimal("0.0002"), taker_fee=Decimal("0.0005"))
    one = Trader(venue)
    await one.order("SELL", quantity="0.010")

    assert await income_of(one, "COMMISSION") == [Decimal("-0.25")]
    assert await one.get("commissionRate", symbol="BTCUSDT") == {
        "symbol": "BTCUSDT",
        "makerCommissionRate": "0.0002",
        "takerCommissionRate": "0.0005",
    }


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["BTCUSDT", "ETHUSDT", "ADAUSDT"]),
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from(["MARKET", "LIMIT", "STOP_MARKET", "TAKE_PROFIT_MARKET"]),
        st.integers(1, 400),  # notional in tens of USDT
        st.integers(-150, 150),  # price away from the mark, in ten-thousandths
        st.booleans(),
        st.integers(0, 300),  # minutes until the next one
    ),
    min_size=1,
    max_size=30,
)
SHARED_MARKET = synthetic_market(seed=11, symbols=("BTCUSDT", "ETHUSDT", "ADAUSDT"))


def place(venue: Venue, account: Account, order: tuple[Any, ...]) -> bool:
    """Place an order and tell whether it was accepted."""
    symbol, side, kind, tens, away, reduce_only, _ = order
    instrument = venue.market.instruments[symbol]
    mark = venue.engine.mark(symbol)
    quantity = Decimal(tens * 10) / mark // instrument.step * instrument.step
    price = mark * (10_000 + away) / 10_000 // instrument.tick * instrument.tick
    wanted = {"symbol": symbol, "side": side, "type": kind, "quantity": f"{quantity:f}", "reduceOnly": str(reduce_only)}
    if kind == "LIMIT":
        wanted |= {"price": f"{price:f}", "timeInForce": "GTC"}
    elif kind != "MARKET":
        wanted |= {"stopPrice": f"{price:f}"}
    try:
        venue.place(account, wanted)
    except Refusal:
        return False
    return True


@settings(max_examples=60, deadline=None, database=None)
@given(orders=ORDERS, balance=st.sampled_from([100, 1000, 50_000]))
def test_the_wallet_is_the_sum_of_its_income_and_income_is_what_the_trades_say(
    orders: list[tuple[Any, ...]], balance: int
) -> None:
    venue = Venue(SHARED_MARKET, balance=Decimal(balance))
    account = venue.open_account("someone")

    accepted = 0
    for order in orders:
        accepted += place(venue, account, order)
        venue.advance(venue.now + order[-1] * MINUTE)

    def total(kind: str) -> Decimal:
        return sum((each.amount for each in account.income if each.kind == kind), Decimal(0))

    trades = [trade for history in account.trades_of.values() for trade in history]
    own = [order for order in account.orders.values() if not order.client_id.startswith("autoclose-")]
    assert len(own) == accepted
    assert account.wallet == sum(each.amount for each in account.income)
    assert account.wallet >= 0
    assert total("REALIZED_PNL") == sum((trade.realized for trade in trades), Decimal(0))
    assert total("COMMISSION") == -sum((trade.commission for trade in trades), Decimal(0))
    for (symbol, _), position in account.positions.items():
        signed = [trade.quantity * (1 if trade.side == "BUY" else -1) for trade in account.trades_of[symbol]]
        assert position.quantity == sum(signed, Decimal(0))
    for order in account.orders.values():
        assert order.executed == sum(trade.quantity for trade in trades if trade.order_id == order.id)
        assert order.is_open == (order.id in account.open_orders)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_small_steps_and_one_leap_come_to_the_same_books(seed: int) -> None:
    """What happens depends on market time, never on how often anybody looked."""
    dice = random.Random(seed)
    orders = [
        (
            dice.choice(["BTCUSDT", "ETHUSDT"]),
            dice.choice(["BUY", "SELL"]),
            dice.choice(["LIMIT", "STOP_MARKET", "TAKE_PROFIT_MARKET", "MARKET"]),
            dice.randint(10, 400),
            dice.randint(-100, 100),
            False,
            0,
        )
        for _ in range(12)
    ]
    books = []
    for step in (MINUTE // 3, 48 * HOUR):
        venue = Venue(SHARED_MARKET, balance=Decimal(1500))
        account = venue.open_account("someone")
        accepted = [place(venue, account, order) for order in orders]
        while venue.now < SHARED_MARKET.start + 48 * HOUR:
            venue.advance(min(venue.now + step, SHARED_MARKET.start + 48 * HOUR))
        books.append((accepted, account.wallet, account.income, account.orders))

    assert books[0] == books[1]
