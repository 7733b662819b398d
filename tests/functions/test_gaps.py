"""A price that jumps so far that neither the stop nor a market order finds anybody within the exchange's bound."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from scheduler import watch as watching
from shared.db.tables import events
from shared.domain.cycle import Stage
from shared.domain.errors import PositionUnprotected
from shared.domain.news import OrderUpdate
from shared.domain.order import OrderState
from tests.builders import a_venue_order
from tests.emulators.aster.traders import flat, market_of
from tests.functions.test_protection import place_by_hand
from tests.house import House, built_house
from tests.scheduler.log_lines import LOOKED, hearing
from tests.scheduler.test_watch import watched

SECOND = timedelta(seconds=1)
CRASH = [*flat(50_000, 10), (44_000, 44_000, 40_000, 40_000), *flat(40_000, 20)]
"""Its mark price is at 50,000 when the last one is at 44,000, and follows within the minute."""


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    market = market_of(*CRASH)
    async with built_house(database_url, market=market, assets=("BTCUSDT",), protection_deadline_seconds=3) as built:
        yield built


async def a_stop_that_expired(house: House) -> None:
    """Hold a position whose stop was triggered far from where anybody trades."""
    await place_by_hand(house, symbol="BTCUSDT", quantity=Decimal("0.1"))
    await house.cycle()
    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    await house.pass_time(timedelta(minutes=10) - SECOND)
    while not (ended := await house.venue_orders(origType="STOP_MARKET", status="EXPIRED")):
        await house.pass_time(SECOND)
    assert [order["orderId"] for order in ended] == [stop["orderId"]]
    assert await house.venue_positions() == {"BTCUSDT": Decimal("0.1")}


async def told(house: House) -> list[str]:
    """Return what was told of missing protection."""
    async with house.runtime.database.reading() as connection:
        found = await connection.scalars(select(events.c.kind).where(events.c.kind == "unprotected"))
        return list(found)


async def test_a_position_that_nothing_can_end_is_called_unprotected_until_something_has(house: House) -> None:
    await a_stop_that_expired(house)

    for _ in range(2):  # a stop that has been triggered is not placed again further away
        with pytest.raises(PositionUnprotected, match="BTCUSDT"):
            await house.stage(Stage.RECONCILE)
        assert await house.venue_orders(type="STOP_MARKET", status="NEW") == []
    await house.pass_time(timedelta(minutes=1))
    result = await house.stage(Stage.RECONCILE)

    assert await house.venue_positions() == {}
    assert await house.our_positions() != []  # as they were found; the exits are in the books with the next look
    [found] = result.details["discrepancies"]
    assert found["action"] == "its stop was triggered and did not end it; closed at the market: done"
    assert await told(house) == ["unprotected", "unprotected"]
    assert (await house.next_cycle())["reconcile"]["discrepancies"] == []
    assert await house.our_positions() == []


async def test_the_watch_insists_between_two_ticks_until_the_position_has_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 0.05)
    await a_stop_that_expired(house)

    with hearing() as lines:
        async with watched(house) as watch:
            watch.hear(OrderUpdate(order=a_venue_order(state=OrderState.EXPIRED), at=house.clock.now()))
            failed = await lines.next("no look between ticks")
            await house.pass_time(timedelta(minutes=1))
            await lines.next(LOOKED)

    assert "no stop stands and no exit filled" in failed["why"]
    assert await house.venue_positions() == {}
