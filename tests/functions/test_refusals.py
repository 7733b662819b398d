"""What an order comes back with decides what happens next: it is insisted on, fitted anew, finished, or left."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from unittest.mock import AsyncMock, patch

import pytest

from shared.domain.cycle import Stage
from shared.domain.errors import ClockSkewed, InstrumentChanged, RateLimited, VenueError, VenueUnreachable
from shared.domain.instrument import Instrument
from shared.domain.order import Intent, Leg, OrderState, VenueOrder
from tests.house import House


async def decided(house: House, **wish: object) -> None:
    house.model.will_decide(await house.wish(**wish))
    await house.stage(Stage.FETCH)
    await house.stage(Stage.DECIDE)


@contextmanager
def refusing(house: House, leg: Leg, failure: VenueError, times: int):
    """Have the exchange refuse orders of that leg so many times; yield how often each leg was tried."""
    exchange, tried = house.runtime.exchange("main"), Counter[Leg]()
    place = exchange.place

    async def placing(intent: Intent) -> VenueOrder:
        tried[intent.leg] += 1
        if intent.leg is leg and tried[leg] <= times:
            raise failure
        return await place(intent)

    with patch.object(exchange, "place", placing):
        yield tried


async def orders(house: House, leg: Leg) -> list[OrderState]:
    return [order.state for order in await house.our_orders() if order.intent.leg is leg]


PASSING = [
    RateLimited("Too many requests.", code=-1003, retry_after=2.0),
    ClockSkewed("Timestamp for this request is outside of the recvWindow.", code=-1021),
    VenueUnreachable("the exchange cannot be reached"),
]


@pytest.mark.parametrize("failure", PASSING, ids=lambda failure: type(failure).__name__)
async def test_a_stop_that_is_kept_back_for_a_passing_reason_is_sent_again_until_it_stands(
    house: House, failure: VenueError
) -> None:
    await decided(house)

    with refusing(house, Leg.STOP, failure, times=3) as tried, patch("functions.sending.sleep", AsyncMock()) as pauses:
        await house.stage(Stage.EXECUTE)

    assert tried[Leg.STOP] == 4
    assert tried[Leg.EXIT] == 0
    assert await orders(house, Leg.STOP) == [OrderState.NEW]
    waits = [call.args[0] for call in pauses.await_args_list]
    assert len(waits) == 3
    assert min(waits) >= (2.0 if isinstance(failure, RateLimited) else 0.25)


async def test_a_stop_that_is_kept_back_past_its_patience_ends_the_position(house: House) -> None:
    await decided(house)
    failure = VenueUnreachable("the exchange cannot be reached")

    with refusing(house, Leg.STOP, failure, times=99), patch("functions.sending.sleep", AsyncMock()) as pauses:
        await house.stage(Stage.EXECUTE)

    assert sum(call.args[0] for call in pauses.await_args_list) <= 15  # half of the deadline for protection
    assert await orders(house, Leg.EXIT) == [OrderState.FILLED]
    assert await house.venue_positions() == {}
    assert await house.venue_orders(status="NEW") == []


async def test_a_stop_is_not_waited_for_longer_than_its_patience(house: House) -> None:
    await decided(house)
    failure = RateLimited("Way too many requests.", code=-1003, retry_after=120)

    with refusing(house, Leg.STOP, failure, times=99) as tried, patch("functions.sending.sleep", AsyncMock()) as pauses:
        await house.stage(Stage.EXECUTE)

    assert tried[Leg.STOP] == 1
    assert pauses.await_count == 0


async def test_an_exit_insists_as_a_stop_does(house: House) -> None:
    await house.enter()
    await house.pass_time()
    await decided(house, action="close")

    with refusing(house, Leg.EXIT, PASSING[0], times=2), patch("functions.sending.sleep", AsyncMock()):
        await house.stage(Stage.EXECUTE)

    assert await orders(house, Leg.EXIT) == [OrderState.FILLED]
    assert await house.venue_positions() == {}


async def test_an_entry_does_not_insist(house: House) -> None:
    await decided(house)

    with refusing(house, Leg.ENTRY, PASSING[0], times=1) as tried:
        await house.stage(Stage.EXECUTE)

    assert tried == {Leg.ENTRY: 1}
    assert await house.venue_orders() == []


@contextmanager
def filters_changed(house: House, change: Callable[[Decimal], Decimal]):
    """Have the exchange trade in other steps and ticks than we think it does until it refuses an order."""
    listed, exchange = house.runtime.market.instruments, house.runtime.exchange("main")
    place, refusals = exchange.place, 0

    async def as_they_are() -> dict[str, Instrument]:
        found = dict(await listed())
        old = found["BTCUSDT"]
        found["BTCUSDT"] = replace(old, step_size=change(old.step_size), tick_size=change(old.tick_size))
        return found

    async def instruments() -> Mapping[str, Instrument]:
        return await as_they_are() if refusals else await listed()

    async def placing(intent: Intent) -> VenueOrder:
        nonlocal refusals
        now = (await as_they_are())["BTCUSDT"]
        if intent.quantity and intent.quantity % now.step_size:
            refusals += 1
            raise InstrumentChanged("Quantity not increased by step size.", code=-4023)
        if intent.stop_price and (intent.stop_price - now.min_price) % now.tick_size:
            refusals += 1
            raise InstrumentChanged("Price not increased by tick size.", code=-4014)
        return await place(intent)

    with (
        patch.object(house.runtime.market, "instruments", instruments),
        patch.object(exchange, "place", placing),
    ):
        yield


async def test_orders_follow_filters_that_changed_today_and_never_upwards(house: House) -> None:
    await decided(house)
    async with house.runtime.open_work() as work:
        [approved] = await work.decisions.of_cycle(house.request)

    with filters_changed(house, lambda grid: grid * 7):
        await house.stage(Stage.EXECUTE)

    states = {leg: await orders(house, leg) for leg in (Leg.ENTRY, Leg.STOP, Leg.TARGET)}
    assert set(states[Leg.ENTRY] + states[Leg.STOP] + states[Leg.TARGET]) >= {OrderState.REJECTED}
    assert [found[-1] for found in states.values()] == [OrderState.FILLED, OrderState.NEW, OrderState.NEW]
    [filled] = [order for order in await house.our_orders() if order.state is OrderState.FILLED]
    assert filled.executed_quantity <= approved.review.quantity
    [stop] = [o for o in await house.our_orders() if o.intent.leg is Leg.STOP and o.state is OrderState.NEW]
    assert approved.review.stop_loss is not None
    assert stop.intent.stop_price is not None
    assert stop.intent.stop_price >= approved.review.stop_loss


async def test_an_order_that_no_longer_fits_is_left_with_its_reason(house: House) -> None:
    await decided(house)

    with filters_changed(house, lambda grid: grid * 10**6):
        result = await house.stage(Stage.EXECUTE)

    entry, *_ = result.details["orders"]
    assert (entry["leg"], entry["state"]) == ("entry", "REJECTED")
    assert "-4023" in entry["reason"]
    assert await house.venue_orders() == []


@contextmanager
def filling_in_part(house: House, leg: Leg, state: OrderState, times: int = 1):
    """Have the market fill no more than a tenth of the next such orders."""
    exchange = house.runtime.exchange("main")
    place, cancel = exchange.place, exchange.cancel
    cancelled = []
    left = times

    async def placing(intent: Intent) -> VenueOrder:
        nonlocal left
        if intent.leg is not leg or not left or intent.quantity is None:
            return await place(intent)
        left -= 1
        part = (intent.quantity / 10).quantize(Decimal("0.001"), "ROUND_UP")
        return replace(await place(replace(intent, quantity=part)), quantity=intent.quantity, state=state)

    async def cancelling(symbol: str, client_order_id: str) -> VenueOrder:
        if leg.value in client_order_id:
            cancelled.append(client_order_id)
            found = await exchange.find_order(symbol, client_order_id)
            assert found is not None
            return replace(found, state=OrderState.CANCELED)
        return await cancel(symbol, client_order_id)

    with patch.object(exchange, "place", placing), patch.object(exchange, "cancel", cancelling):
        yield cancelled


async def test_an_entry_that_fills_in_part_is_protected_and_what_it_left_is_cancelled(house: House) -> None:
    await decided(house)

    with filling_in_part(house, Leg.ENTRY, OrderState.PARTIALLY_FILLED) as cancelled:
        await house.stage(Stage.EXECUTE)
        await house.stage(Stage.RECONCILE)

    [entry] = [order for order in await house.our_orders() if order.intent.leg is Leg.ENTRY]
    [position], [fill] = await house.our_positions(), (await house.venue_books())["trades"]
    assert cancelled == [entry.client_order_id]
    assert entry.state is OrderState.CANCELED
    assert entry.executed_quantity == position.quantity == Decimal(fill["qty"])
    assert entry.average_price == Decimal(fill["price"])
    assert await orders(house, Leg.STOP) == [OrderState.NEW]


async def test_an_entry_that_expires_in_part_keeps_what_it_filled_under_its_stop(house: House) -> None:
    await decided(house)

    with filling_in_part(house, Leg.ENTRY, OrderState.EXPIRED) as cancelled:
        await house.stage(Stage.EXECUTE)
    await house.stage(Stage.RECONCILE)

    assert cancelled == []
    [position] = await house.our_positions()
    assert (await house.venue_positions())["BTCUSDT"] == position.quantity
    assert await orders(house, Leg.STOP) == [OrderState.NEW]


async def test_what_an_exit_left_unfilled_is_sent_again_a_few_times(house: House) -> None:
    await house.enter()
    await house.pass_time()
    await decided(house, action="close")

    with filling_in_part(house, Leg.EXIT, OrderState.EXPIRED, times=2):
        await house.stage(Stage.EXECUTE)

    assert await orders(house, Leg.EXIT) == [OrderState.EXPIRED, OrderState.EXPIRED, OrderState.FILLED]
    assert await house.venue_positions() == {}
    assert await house.venue_orders(status="NEW") == []


async def test_an_exit_into_an_empty_book_ends_after_a_few_tries_and_the_rest_keeps_its_stop(house: House) -> None:
    await house.enter()
    await house.pass_time()
    await decided(house, action="close")

    with filling_in_part(house, Leg.EXIT, OrderState.EXPIRED, times=99):
        await house.stage(Stage.EXECUTE)

    assert len(await orders(house, Leg.EXIT)) == 4
    assert await house.venue_positions() != {}
    assert len(await house.venue_orders(status="NEW")) == 2
