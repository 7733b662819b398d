"""What an account holds outside of its symbols is seen and protected, though orders are asked for by symbol."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest

from shared.domain.order import Intent, Leg, OrderType, Side
from shared.domain.position import Direction
from shared.domain.protection import protective_intent
from tests.house import House, built_house


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A house that trades BTCUSDT in a market that also has ETHUSDT."""
    async with built_house(database_url, assets=("BTCUSDT",)) as built:
        yield built


async def by_hand(house: House, intent: Intent) -> None:
    with patch("shared.domain.order.OUR_PREFIX", "w-"):
        await house.runtime.exchange("main").place(intent)


def an_entry(house: House) -> Intent:
    return Intent(
        account_id="by-hand",
        tick=house.request.tick,
        symbol="ETHUSDT",
        leg=Leg.EXTERNAL,
        attempt=0,
        side=Side.BUY,
        direction=Direction.LONG,
        type=OrderType.MARKET,
        quantity=Decimal("0.5"),
    )


async def a_stop(house: House, share: str) -> Intent:
    instrument = (await house.runtime.market.instruments())["ETHUSDT"]
    price = instrument.round_price_down(await house.mark("ETHUSDT") * Decimal(share))
    return protective_intent(
        "by-hand", house.request.tick, "ETHUSDT", direction=Direction.LONG, leg=Leg.STOP, price=price
    )


async def test_a_position_elsewhere_that_has_its_stop_gets_no_second_one(house: House) -> None:
    await house.cycle()
    await by_hand(house, an_entry(house))
    await by_hand(house, await a_stop(house, "0.8"))

    first, second = await house.next_cycle(), await house.next_cycle()

    stops = await house.venue_orders(symbol="ETHUSDT", type="STOP_MARKET", status="NEW")
    assert len(stops) == 1
    assert first["reconcile"]["repairs"] == second["reconcile"]["repairs"] == []
    assert await house.venue_positions() == {"ETHUSDT": Decimal("0.5")}


async def test_a_position_elsewhere_that_has_no_stop_gets_one(house: House) -> None:
    await house.cycle()
    await by_hand(house, an_entry(house))

    await house.next_cycle()

    assert len(await house.venue_orders(symbol="ETHUSDT", type="STOP_MARKET", status="NEW")) == 1


async def test_an_order_elsewhere_is_found_within_the_hour(house: House) -> None:
    await house.cycle()
    await by_hand(house, await a_stop(house, "0.8"))
    quiet = await house.next_cycle()

    await house.pass_time(timedelta(minutes=55))
    found = await house.next_cycle()

    assert quiet["reconcile"]["discrepancies"] == []
    assert [each["kind"] for each in found["reconcile"]["discrepancies"]] == ["order_unknown"]
