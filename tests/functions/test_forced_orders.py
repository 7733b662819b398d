"""What the exchange ends by itself is booked as what it is, whichever way the account holds its positions."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.emulators.aster.traders import market_of
from tests.functions.test_gaps import CRASH
from tests.functions.test_protection import kinds, place_by_hand
from tests.house import House, built_house

LEVERAGE = 20


@pytest.fixture(params=[(False, False), (True, False), (False, True), (True, True)], ids=str)
async def house(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """A house in one-way or hedge mode, with cross or isolated margin, shortly before a crash."""
    hedged, isolated = request.param
    async with built_house(database_url, market=market_of(*CRASH), assets=("BTCUSDT",)) as built:
        exchange = built.runtime.exchange("main")
        await exchange.mode.set(hedged)
        await exchange.margin.set_isolated("BTCUSDT", isolated)
        await exchange.set_leverage("BTCUSDT", LEVERAGE)
        await built.cycle()
        await built.pass_time()
        yield built


async def books_equal(house: House) -> bool:
    async with house.runtime.open_work() as work:
        point = await work.holds.last_equity("main")
    return (
        point is not None and not point.unexplained and point.wallet == Decimal((await house.venue_books())["wallet"])
    )


async def test_a_liquidation_is_booked_as_one(house: House) -> None:
    await place_by_hand(house, symbol="BTCUSDT", quantity=Decimal(1))
    await house.cycle()
    await house.pass_time(timedelta(minutes=10))

    outcome = await house.cycle()

    assert kinds(outcome) == ["liquidation"]
    assert await house.our_positions() == []
    assert await house.venue_orders(status="NEW") == []
    assert await books_equal(house)


async def test_a_deleveraging_is_booked_as_one_and_what_it_left_keeps_its_stop(house: House) -> None:
    await place_by_hand(house, symbol="BTCUSDT", quantity=Decimal("0.5"))
    await house.cycle()
    [held] = (await house.venue_books())["positions"]
    await house.deleverage("BTCUSDT", "0.2", positionSide=held["positionSide"])

    outcome = await house.next_cycle()

    assert kinds(outcome) == ["deleveraging"]
    assert [held.quantity for held in await house.our_positions()] == [Decimal("0.3")]
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1
    assert await books_equal(house)
