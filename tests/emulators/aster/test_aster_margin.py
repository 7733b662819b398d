"""Hedge mode, isolated margin, liquidation, deleveraging, transfers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from emulators.aster import Venue
from emulators.aster.habits import Habits
from emulators.aster.holdings.happenings import AccountChanged, Happening, ModeChanged, OrderChanged
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of

HOUR = 60 * MINUTE
FALL = ((50_000, 50_000, 40_000, 40_000), *flat(40_000, 5))


def trader(*rows: tuple[float, float, float, float], **options: Any) -> Trader:
    return Trader(Venue(market_of(*(rows or flat(50_000, 10))), **options))


async def post(one: Trader, name: str, **parameters: Any) -> Any:
    return (await one.ask("POST", f"/fapi/v3/{name}", **parameters)).json()


async def hedged(*rows: tuple[float, float, float, float], **options: Any) -> Trader:
    one = trader(*rows, **options)
    await post(one, "positionSide/dual", dualSidePosition="true")
    return one


async def isolated(*rows: tuple[float, float, float, float], **options: Any) -> Trader:
    one = trader(*rows, **options)
    assert await post(one, "marginType", symbol="BTCUSDT", marginType="ISOLATED") == {"code": 200, "msg": "success"}
    return one


async def income(one: Trader, kind: str) -> Decimal:
    return sum((Decimal(row["income"]) for row in await one.get("income", incomeType=kind, limit=1000)), Decimal(0))


# Hedge mode


async def test_in_hedge_mode_long_and_short_stand_side_by_side() -> None:
    one = await hedged()
    await one.order("BUY", quantity="0.030", positionSide="LONG")
    await one.order("SELL", quantity="0.010", positionSide="SHORT")

    rows = await one.get("positionRisk", symbol="BTCUSDT")
    account = await one.get("accountWithJoinMargin")

    assert [(row["positionSide"], row["positionAmt"]) for row in rows] == [("LONG", "0.030"), ("SHORT", "-0.010")]
    assert [row["positionSide"] for row in account["positions"]] == ["LONG", "SHORT"]
    assert Decimal(account["totalPositionInitialMargin"]) == 100  # both sides, at 20 times
    trades = await one.get("userTrades", symbol="BTCUSDT")
    assert [trade["positionSide"] for trade in trades] == ["LONG", "SHORT"]


async def test_closing_one_side_leaves_the_other_alone() -> None:
    one = await hedged()
    await one.order("BUY", quantity="0.030", positionSide="LONG")
    await one.order("SELL", quantity="0.010", positionSide="SHORT")

    closed = await one.order("SELL", quantity="0.050", positionSide="LONG")
    rows = await one.get("positionRisk", symbol="BTCUSDT")

    assert (closed["status"], closed["executedQty"]) == ("EXPIRED", "0.030")  # never more than the position
    assert [row["positionAmt"] for row in rows] == ["0.000", "-0.010"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"side": "BUY"}, -4061),
        ({"side": "BUY", "positionSide": "BOTH"}, -4061),
        ({"side": "BUY", "positionSide": "LONG", "reduceOnly": "true"}, -4062),
        ({"side": "SELL", "positionSide": "LONG"}, -2022),
        ({"side": "BUY", "positionSide": "SHORT"}, -2022),
        (
            {
                "side": "BUY",
                "positionSide": "LONG",
                "kind": "STOP_MARKET",
                "closePosition": "true",
                "stopPrice": "51000",
            },
            -4020,
        ),
    ],
)
async def test_hedge_mode_has_its_own_refusals(wanted: dict[str, Any], code: int) -> None:
    one = await hedged()
    quantity = {} if "closePosition" in wanted else {"quantity": "0.010"}

    assert (await one.order(**wanted, **quantity))["code"] == code


async def test_a_close_position_order_closes_its_own_side() -> None:
    one = await hedged(*FALL)
    await one.order("BUY", quantity="0.010", positionSide="LONG")
    await one.order("SELL", quantity="0.020", positionSide="SHORT")
    await one.order("SELL", "STOP_MARKET", closePosition="true", stopPrice="49000", positionSide="LONG")
    await one.order("BUY", "TAKE_PROFIT_MARKET", closePosition="true", stopPrice="48000", positionSide="SHORT")

    one.venue.advance(T0 + MINUTE)

    assert [row["positionAmt"] for row in await one.get("positionRisk", symbol="BTCUSDT")] == ["0.000", "0.000"]


async def test_a_hedged_account_loses_nothing_of_its_cushion_to_the_price() -> None:
    one = await hedged(*FALL, balance=Decimal(1000))
    await one.order("BUY", quantity="0.150", positionSide="LONG")
    await one.order("SELL", quantity="0.150", positionSide="SHORT")

    one.venue.advance(T0 + 5 * MINUTE)

    assert [row["positionAmt"] for row in await one.get("positionRisk", symbol="BTCUSDT")] == ["0.150", "-0.150"]


# Isolated margin


async def test_an_isolated_position_takes_its_initial_margin_out_of_the_cross_wallet() -> None:
    one = await isolated()
    await one.order("BUY", quantity="0.100")

    row, balance = await one.position(), (await one.get("balance"))[0]
    account = await one.get("accountWithJoinMargin")

    assert (row["marginType"], row["isolatedWallet"]) == ("isolated", "250.00050000")
    assert Decimal(row["isolatedMargin"]) == Decimal("250.0005") - Decimal("0.01")
    assert Decimal(balance["balance"]) - Decimal(balance["crossWalletBalance"]) == Decimal("250.0005")
    assert balance["availableBalance"] == balance["crossWalletBalance"]
    assert account["positions"][0]["isolated"] is True
    assert account["totalCrossWalletBalance"] == balance["crossWalletBalance"]


async def test_closing_part_of_an_isolated_position_gives_its_share_of_the_margin_back() -> None:
    one = await isolated()
    await one.order("BUY", quantity="0.100")
    await one.order("SELL", quantity="0.040")

    row = await one.position()
    assert row["isolatedWallet"] == "150.00030000"
    await one.order("SELL", quantity="0.060")
    balance = (await one.get("balance"))[0]
    assert balance["balance"] == balance["crossWalletBalance"]


async def test_an_isolated_position_is_liquidated_alone_and_costs_no_more_than_its_margin() -> None:
    one = await isolated(*FALL)
    await one.order("BUY", quantity="0.100")
    order = await one.order("BUY", "LIMIT", quantity="0.010", price="49500", timeInForce="GTC")
    await one.ask("DELETE", "/fapi/v3/order", symbol="BTCUSDT", orderId=order["orderId"])
    forecast = Decimal((await one.position())["liquidationPrice"])
    before = Decimal((await one.get("balance"))[0]["crossWalletBalance"])

    one.venue.advance(T0 + MINUTE)

    forced = (await one.get("forceOrders", symbol="BTCUSDT"))[0]
    assert abs(Decimal(forced["avgPrice"]) - forecast) <= 1
    assert forced["clientOrderId"].startswith("autoclose-")
    assert await one.wallet_balance() == before
    assert (await one.position())["positionAmt"] == "0.000"


async def test_margin_can_be_added_to_an_isolated_position_and_taken_back() -> None:
    one = await isolated()
    await one.order("BUY", quantity="0.100")

    async def move(amount: str, kind: int, **more: Any) -> Any:
        return await post(one, "positionMargin", symbol="BTCUSDT", amount=amount, type=kind, **more)

    before = Decimal((await one.position())["liquidationPrice"])
    assert await move("100.5", 1) == {
        "amount": 100.5,
        "code": 200,
        "msg": "Successfully modify position margin.",
        "type": 1,
    }
    assert (await one.position())["isolatedWallet"] == "350.50050000"
    assert Decimal((await one.position())["liquidationPrice"]) < before - 1000
    assert (await move("100", 2))["type"] == 2
    assert (await move("1", 2))["code"] == -4051  # the initial margin has to stay
    assert (await move("100000", 1))["code"] == -4050
    assert (await move("-1", 1))["code"] == -4055
    assert (await move("1", 1, positionSide="LONG"))["code"] == -4061
    rows = await one.get("positionMargin/history", symbol="BTCUSDT")
    assert [(row["amount"], row["type"], row["positionSide"]) for row in rows] == [
        ("100.50000000", 1, "BOTH"),
        ("100.00000000", 2, "BOTH"),
    ]
    assert len(await one.get("positionMargin/history", symbol="BTCUSDT", type=2)) == 1


async def test_margin_can_only_be_moved_where_there_is_an_isolated_position() -> None:
    cross, flat_one = trader(), await isolated()
    await cross.order("BUY", quantity="0.010")

    refused = [await post(one, "positionMargin", symbol="BTCUSDT", amount="1", type=1) for one in (cross, flat_one)]

    assert [each["code"] for each in refused] == [-4049, -4054]


async def test_funding_of_an_isolated_position_is_paid_from_its_own_wallet() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 10), base="1h", funding={T0 + 8 * HOUR: "0.001"})))
    await post(one, "marginType", symbol="BTCUSDT", marginType="ISOLATED")
    await one.order("BUY", quantity="0.100")
    before = (await one.get("balance"))[0]["crossWalletBalance"]

    one.venue.advance(T0 + 8 * HOUR)

    assert (await one.position())["isolatedWallet"] == "245.00050000"
    assert (await one.get("balance"))[0]["crossWalletBalance"] == before
    assert await income(one, "FUNDING_FEE") == -5


async def test_the_margin_type_has_its_refusals() -> None:
    one = await isolated()

    async def margin_type(kind: str) -> Any:
        return (await post(one, "marginType", symbol="BTCUSDT", marginType=kind))["code"]

    assert await margin_type("ISOLATED") == -4046
    await one.order("BUY", "LIMIT", quantity="0.010", price="49500", timeInForce="GTC")
    assert await margin_type("CROSSED") == -4047
    await one.ask("DELETE", "/fapi/v3/allOpenOrders", symbol="BTCUSDT")
    await one.order("BUY", quantity="0.010")
    assert await margin_type("CROSSED") == -4048
    await one.order("SELL", quantity="0.010")
    assert await margin_type("CROSSED") == 200
    assert await post(one, "multiAssetsMargin", multiAssetsMargin="true") == {"code": 200, "msg": "success"}
    assert await one.get("multiAssetsMargin") == {"multiAssetsMargin": True}
    assert await margin_type("ISOLATED") == -4168


async def test_leverage_of_an_isolated_position_only_rises() -> None:
    one = await isolated()
    await one.order("BUY", quantity="0.010")

    assert (await post(one, "leverage", symbol="BTCUSDT", leverage=10))["code"] == -4161
    assert (await post(one, "leverage", symbol="BTCUSDT", leverage=25))["leverage"] == 25


async def test_a_venue_may_lock_the_leverage_of_a_position() -> None:
    one = trader(habits=Habits(locks_leverage=True))
    await one.order("BUY", quantity="0.010")

    assert (await post(one, "leverage", symbol="BTCUSDT", leverage=25))["code"] == -2030
    assert (await post(one, "leverage", symbol="BTCUSDT", leverage=20))["leverage"] == 20


# The venue's own orders


async def test_a_deleveraging_closes_at_the_mark_price_free_of_charge() -> None:
    one = trader()
    await one.order("BUY", quantity="0.030")
    before = await income(one, "COMMISSION")
    account = one.venue.ledger.accounts[one.wallet.address]

    one.venue.deleverage(account, "BTCUSDT", quantity=Decimal("0.010"))

    forced = await one.get("forceOrders", autoCloseType="ADL")
    assert [(row["clientOrderId"], row["executedQty"], row["avgPrice"]) for row in forced] == [
        ("adl_autoclose", "0.010", "50000.00000")
    ]
    assert (await one.position())["positionAmt"] == "0.020"
    assert await income(one, "COMMISSION") == before
    assert await one.get("forceOrders", autoCloseType="LIQUIDATION") == []


async def test_the_queue_for_deleveraging_shows_who_profits_most() -> None:
    one = trader((50_000, 50_600, 50_000, 50_600), *flat(50_600, 5))
    nobody = await one.get("adlQuantile", symbol="BTCUSDT")
    await one.order("BUY", quantity="0.010")
    at_first = await one.get("adlQuantile")
    one.venue.advance(T0 + 3 * MINUTE)

    later = await one.get("adlQuantile")

    assert [each[0]["adlQuantile"]["BOTH"] for each in (nobody, at_first, later)] == [0, 1, 2]


async def test_cross_positions_of_a_hedged_symbol_share_a_place_in_the_queue() -> None:
    one = await hedged()
    await one.order("BUY", quantity="0.010", positionSide="LONG")

    assert (await one.get("adlQuantile"))[0]["adlQuantile"] == {"LONG": 1, "SHORT": 1, "HEDGE": 0}


# Transfers


async def test_money_moves_between_the_spot_and_the_futures_wallet() -> None:
    one = trader()

    async def transfer(amount: str, kind: str, name: str, asset: str = "USDT") -> Any:
        return await post(one, "asset/wallet/transfer", amount=amount, asset=asset, clientTranId=name, kindType=kind)

    out = await transfer("1000", "FUTURE_SPOT", "first")
    assert (out["status"], await one.wallet_balance()) == ("SUCCESS", 9000)
    assert (await transfer("1", "FUTURE_SPOT", "first"))["code"] == -4115
    assert (await transfer("9001", "FUTURE_SPOT", "second"))["code"] == -2018
    assert (await transfer("1001", "SPOT_FUTURE", "third"))["code"] == -2018
    assert (await transfer("1", "FUTURE_SPOT", "x" * 64))["code"] == -4114
    assert (await transfer("0", "FUTURE_SPOT", "fourth"))["code"] == -4055
    assert (await transfer("1", "FUTURE_SPOT", "fifth", "BTC"))["code"] == -1108
    assert (await transfer("250", "SPOT_FUTURE", "sixth"))["tranId"] > out["tranId"]
    assert await income(one, "TRANSFER") == await one.wallet_balance() == 9250


# What is told of it


async def test_margin_that_moves_is_told_with_the_position_it_belongs_to() -> None:
    one = await isolated()
    told: list[Happening] = []
    one.venue.ledger.listen(lambda happened, now: told.extend(happened))
    await one.order("BUY", quantity="0.100")
    await post(one, "positionMargin", symbol="BTCUSDT", amount="10", type=1)

    changes = [each for each in told if isinstance(each, AccountChanged)]

    assert [each.reason for each in changes] == ["ORDER", "MARGIN_TRANSFER"]
    (seen,) = changes[1].positions
    assert (seen.margin_type, seen.isolated_wallet) == ("isolated", Decimal("260.0005"))
    assert changes[1].wallet - changes[1].cross_wallet == seen.isolated_wallet


async def test_margin_type_modes_amendments_and_liquidation_are_told() -> None:
    one = trader(*FALL)
    told: list[Happening] = []
    one.venue.ledger.listen(lambda happened, now: told.extend(happened))
    await post(one, "marginType", symbol="BTCUSDT", marginType="ISOLATED")
    await post(one, "positionSide/dual", dualSidePosition="true")
    await one.order("BUY", quantity="0.100", positionSide="LONG")
    order = await one.order("BUY", "LIMIT", quantity="0.01", price="49100", timeInForce="GTC", positionSide="LONG")
    await one.ask("PUT", "/fapi/v3/order", symbol="BTCUSDT", orderId=order["orderId"], quantity="0.02", price="49000.1")

    one.venue.advance(T0 + MINUTE)

    orders = [(each.execution, each.order.position_side) for each in told if isinstance(each, OrderChanged)]
    assert orders == [
        ("NEW", "LONG"),
        ("TRADE", "LONG"),
        ("NEW", "LONG"),
        ("AMENDMENT", "LONG"),
        ("TRADE", "LONG"),
        ("NEW", "LONG"),
        ("CALCULATED", "LONG"),
    ]
    changes = [each for each in told if isinstance(each, AccountChanged)]
    assert [each.reason for each in changes][1:] == [
        "MARGIN_TYPE_CHANGE", "ORDER", "ORDER", "ORDER", "INSURANCE_CLEAR",
    ]  # fmt: skip
    assert [each.hedge for each in told if isinstance(each, ModeChanged)] == [True]
