"""In hedge mode a symbol may be held both ways: each position has its stop, and decisions name the one they mean."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.domain.order import Intent, Leg, OrderType, Side
from shared.domain.position import Direction
from tests.house import House, built_house

LONG, SHORT = Direction.LONG, Direction.SHORT


@pytest.fixture
async def hedged(database_url: str) -> AsyncIterator[House]:
    """A house whose account is in hedge mode."""
    async with built_house(database_url) as house:
        await house.runtime.exchange("main").mode.set(True)
        yield house


async def hold_by_hand(house: House, direction: Direction, quantity: str, side: Side | None = None) -> None:
    """Trade one side of BTCUSDT behind the system's back."""
    intent = Intent(
        account_id=f"by-hand-{direction}-{side}",
        tick=house.request.tick,
        symbol="BTCUSDT",
        leg=Leg.EXTERNAL,
        attempt=0,
        side=side or Side.opening(direction),
        direction=direction,
        type=OrderType.MARKET,
        quantity=Decimal(quantity),
    )
    await house.runtime.exchange("main").place(intent)


async def held(house: House) -> dict[Direction, Decimal]:
    return {position.direction: position.quantity for position in await house.our_positions()}


async def protection(house: House) -> list[tuple[str, str]]:
    orders = await house.venue_orders(status="NEW")
    return sorted((order["positionSide"], order["type"]) for order in orders)


async def test_an_entry_stands_with_its_stop_and_target_on_its_own_side(hedged: House) -> None:
    await hedged.enter(action="sell")

    assert (await held(hedged)).keys() == {SHORT}
    assert await protection(hedged) == [("SHORT", "STOP_MARKET"), ("SHORT", "TAKE_PROFIT_MARKET")]


async def test_two_positions_of_one_symbol_by_hand_are_both_given_a_stop(hedged: House) -> None:
    await hedged.cycle()
    await hold_by_hand(hedged, LONG, "0.02")
    await hold_by_hand(hedged, SHORT, "0.01")

    outcome = await hedged.next_cycle()

    assert await held(hedged) == {LONG: Decimal("0.02"), SHORT: Decimal("0.01")}
    assert await protection(hedged) == [("LONG", "STOP_MARKET"), ("SHORT", "STOP_MARKET")]
    assert "error" not in outcome["reconcile"]


async def test_a_stop_whose_position_is_gone_goes_and_that_of_the_other_stays(hedged: House) -> None:
    await hedged.cycle()
    await hold_by_hand(hedged, LONG, "0.02")
    await hold_by_hand(hedged, SHORT, "0.01")
    await hedged.next_cycle()
    await hold_by_hand(hedged, SHORT, "0.01", Side.BUY)

    await hedged.next_cycle()

    assert await held(hedged) == {LONG: Decimal("0.02")}
    assert await protection(hedged) == [("LONG", "STOP_MARKET")]


async def test_a_close_ends_both_positions_of_a_symbol(hedged: House) -> None:
    await hedged.cycle()
    await hold_by_hand(hedged, LONG, "0.02")
    await hold_by_hand(hedged, SHORT, "0.01")
    await hedged.next_cycle()
    await hedged.pass_time()
    hedged.model.will_decide(await hedged.wish(action="close"))

    await hedged.cycle()

    assert await held(hedged) == {}
    assert await protection(hedged) == []


async def test_a_buy_closes_the_short_and_adds_to_the_long(hedged: House) -> None:
    await hedged.cycle()
    await hold_by_hand(hedged, LONG, "0.01")
    await hold_by_hand(hedged, SHORT, "0.01")
    await hedged.next_cycle()
    await hedged.pass_time(timedelta(hours=2))
    hedged.model.will_decide(await hedged.wish())

    await hedged.cycle()

    positions = await held(hedged)
    assert positions.keys() == {LONG}
    assert positions[LONG] > Decimal("0.01")
    assert await protection(hedged) == [("LONG", "STOP_MARKET"), ("LONG", "TAKE_PROFIT_MARKET")]
