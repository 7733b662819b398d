"""What stages leave behind for reports: positions with their protection, round trips that know where they came from."""

from datetime import timedelta
from decimal import Decimal

from shared.db.reports import Reports
from tests.house import House


async def test_a_position_is_told_with_the_stop_that_rests_at_the_exchange(house: House) -> None:
    await house.enter()

    [held] = (await Reports(house.runtime.database).positions(account="main")).rows

    resting = {order["type"]: order for order in await house.venue_orders(status="NEW")}
    assert (held["protection"]["naked"], held["model"]) == (False, "scripted/model")
    for name, kind in (("stop", "STOP_MARKET"), ("target", "TAKE_PROFIT_MARKET")):
        told = held["protection"][name]
        assert told["venue_order_id"] == str(resting[kind]["orderId"])
        assert Decimal(told["price"]) == Decimal(resting[kind]["stopPrice"])
    stop = held["protection"]["stop"]
    assert Decimal("0.01") < Decimal(stop["distance"]) < Decimal("0.03")
    assert Decimal(held["first_stop"]) == Decimal(stop["price"])


async def test_a_position_that_a_model_opened_and_closed_is_a_round_trip_of_that_model(house: House) -> None:
    price = await house.mark("BTCUSDT")
    far = {"stop_loss": float(price * Decimal("0.91")), "take_profit": float(price * Decimal("1.2"))}
    house.model.will_decide(await house.wish(**far))
    await house.cycle()
    await house.pass_time(timedelta(hours=9))  # past a funding time
    house.model.will_decide(await house.wish(action="close"))
    await house.cycle()

    [trip] = (await Reports(house.runtime.database).closed_positions()).rows

    assert (trip["model"], trip["exit"], trip["direction"]) == ("scripted/model", "decision", "LONG")
    assert trip["cycle"].startswith("main@")
    assert Decimal(trip["funding"]) != 0
    [account] = (await Reports(house.runtime.database).accounts()).rows
    assert Decimal(account["equity"]) - Decimal(account["deposited"]) == Decimal(trip["profit"])


async def test_a_position_that_its_stop_ended_lost_about_what_was_at_risk(house: House) -> None:
    price = await house.mark("BTCUSDT")
    house.model.will_decide(await house.wish(stop_loss=float(price * Decimal("0.997"))))
    await house.cycle()
    for _ in range(300):
        if not await house.venue_positions():
            break
        await house.pass_time()
    await house.cycle()

    [trip] = (await Reports(house.runtime.database).closed_positions()).rows

    assert trip["exit"] in {"stop", "target"}
    assert (Decimal(trip["r"]) < 0) is (trip["exit"] == "stop")
