"""An order is placed once or not at all, whatever happens to the answer."""

from datetime import timedelta
from unittest.mock import patch

import pytest

from shared.domain.cycle import Stage
from shared.domain.errors import StageBusy, WouldTrigger
from shared.domain.order import Intent, Leg, OrderState, VenueOrder
from tests.house import House, built_house

ORDER = "/fapi/v3/order"
PAST_THE_NONCE_WINDOW = timedelta(minutes=5)


async def entry_at(house: House) -> OrderState:
    [entry] = [order for order in await house.our_orders() if order.intent.leg is Leg.ENTRY]
    return entry.state


async def decided(house: House) -> None:
    house.model.will_decide(await house.wish())
    await house.stage(Stage.FETCH)
    await house.stage(Stage.DECIDE)


async def test_an_entry_stands_with_its_stop_and_its_target_after_one_cycle(house: House) -> None:
    await house.enter()

    assert {order.intent.leg: order.state for order in await house.our_orders()} == {
        Leg.ENTRY: OrderState.FILLED,
        Leg.STOP: OrderState.NEW,
        Leg.TARGET: OrderState.NEW,
    }
    resting = await house.venue_orders(status="NEW")
    assert sorted(order["type"] for order in resting) == ["STOP_MARKET", "TAKE_PROFIT_MARKET"]
    assert all(order["closePosition"] for order in resting)
    assert [position.symbol for position in await house.our_positions()] == ["BTCUSDT"]


async def test_a_stage_asked_twice_answers_the_same_and_does_nothing(house: House) -> None:
    await house.enter()
    before = await house.venue_orders()

    again = [await house.stage(stage) for stage in Stage]

    assert all(result.repeated for result in again)
    assert await house.venue_orders() == before
    assert len(house.model.questions) == 1


async def test_two_copies_at_once_make_one_order(house: House) -> None:
    await decided(house)
    async with house.runtime.open_work() as work:
        fence = await work.stages.take_lease("main", "another copy", 60)

    with pytest.raises(StageBusy):
        await house.stage(Stage.EXECUTE)
    async with house.runtime.open_work() as work:
        await work.stages.release_lease("main", fence)
    await house.stage(Stage.EXECUTE)

    assert len(await house.venue_orders(type="MARKET")) == 1


@pytest.mark.parametrize("fault", ["503-after", "reset-after", "error:-1006-after", "error:-1007-after"])
async def test_an_order_that_landed_though_its_answer_was_lost_is_adopted(house: House, fault: str) -> None:
    await decided(house)
    await house.spoil("POST", ORDER, fault)

    await house.stage(Stage.EXECUTE)
    assert await entry_at(house) is OrderState.UNRESOLVED
    await house.stage(Stage.RECONCILE)

    assert await entry_at(house) is OrderState.FILLED
    assert len(await house.venue_orders(type="MARKET")) == 1
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


@pytest.mark.parametrize("fault", ["503-before", "reset-before", "html-502", "error:-1007-before"])
async def test_an_order_that_never_landed_is_given_up_only_when_it_no_longer_can(house: House, fault: str) -> None:
    await decided(house)
    request = house.request
    await house.spoil("POST", ORDER, fault)

    await house.stage(Stage.EXECUTE)
    await house.stage(Stage.RECONCILE)
    assert await entry_at(house) is OrderState.UNRESOLVED
    await house.pass_time(PAST_THE_NONCE_WINDOW)
    await house.stage(Stage.RECONCILE)

    [entry] = [order for order in await house.our_orders(request) if order.intent.leg is Leg.ENTRY]
    assert entry.state is OrderState.ABSENT
    assert await house.venue_orders(type="MARKET") == []
    assert await house.venue_orders(status="NEW") == []


async def test_nothing_opens_in_a_symbol_while_an_order_there_is_unresolved(house: House) -> None:
    await decided(house)
    await house.spoil("POST", ORDER, "503-before")
    await house.stage(Stage.EXECUTE)
    await house.pass_time()
    house.model.will_decide(await house.wish("BTCUSDT"), await house.wish("ETHUSDT"))

    await house.stage(Stage.FETCH)
    result = await house.stage(Stage.DECIDE)

    verdicts = {each["asset"]: each["code"] for each in result.details["decisions"]}
    assert verdicts == {"BTCUSDT": "no_unsettled_order", "ETHUSDT": None}


async def test_a_run_that_died_after_promising_sends_nothing_when_repeated(house: House) -> None:
    await decided(house)

    class Killed(BaseException):
        """Stands for SIGKILL: nothing catches it."""

    async def die(*_: object) -> None:
        raise Killed

    with patch.object(type(house.runtime.exchange("main")), "place", die), pytest.raises(Killed):
        await house.stage(Stage.EXECUTE)
    assert await entry_at(house) is OrderState.INTENDED
    result = await house.stage(Stage.EXECUTE)

    assert result.details["repeated_after_crash"]
    assert await entry_at(house) is OrderState.UNRESOLVED
    assert await house.venue_orders() == []


async def test_a_run_that_died_after_sending_finds_its_order(house: House) -> None:
    await decided(house)

    class Killed(BaseException):
        """Stands for SIGKILL: nothing catches it."""

    sent = []
    exchange = house.runtime.exchange("main")
    place = exchange.place

    async def send_and_die(intent: Intent) -> VenueOrder:
        sent.append(await place(intent))
        raise Killed

    with patch.object(exchange, "place", send_and_die), pytest.raises(Killed):
        await house.stage(Stage.EXECUTE)
    await house.stage(Stage.RECONCILE)

    assert [order.state for order in sent] == [OrderState.FILLED]
    assert await entry_at(house) is OrderState.FILLED
    assert len(await house.venue_orders(type="MARKET")) == 1
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_an_entry_whose_stop_is_refused_is_closed_again_at_once(house: House) -> None:
    await decided(house)
    exchange = house.runtime.exchange("main")
    place = exchange.place

    async def refuse_stops(intent: Intent) -> VenueOrder:
        if intent.leg is Leg.STOP:
            raise WouldTrigger("Order would immediately trigger.", code=-2021)
        return await place(intent)

    with patch.object(exchange, "place", refuse_stops):
        result = await house.stage(Stage.EXECUTE)

    states = {order["leg"]: order["state"] for order in result.details["orders"]}
    assert (states["entry"], states["stop"], states["exit"]) == ("FILLED", "REJECTED", "FILLED")
    assert await house.venue_positions() == {}


async def test_a_close_ends_the_position_and_takes_its_protection_away(house: House) -> None:
    await house.enter()
    await house.pass_time()
    house.model.will_decide(await house.wish(action="close"))

    await house.cycle()

    assert await house.venue_positions() == {}
    assert await house.venue_orders(status="NEW") == []
    assert await house.our_positions() == []


async def test_nothing_opens_in_room_that_a_failed_exit_did_not_make(database_url: str) -> None:
    async with built_house(database_url, risk_max_positions=1) as house:
        await house.enter("BTCUSDT")
        await house.pass_time()
        house.model.will_decide(await house.wish("BTCUSDT", "close"), await house.wish("ETHUSDT"))
        await house.stage(Stage.FETCH)
        await house.stage(Stage.DECIDE)
        await house.spoil("POST", ORDER, "error:-1111-before")

        result = await house.stage(Stage.EXECUTE)

        states = {(order["symbol"], order["leg"]): order["state"] for order in result.details["orders"]}
        assert states == {
            ("BTCUSDT", "exit"): "REJECTED",
            ("ETHUSDT", "entry"): "ABSENT",
            ("ETHUSDT", "stop"): "ABSENT",
            ("ETHUSDT", "target"): "ABSENT",
        }
        assert set(await house.venue_positions()) == {"BTCUSDT"}


async def test_a_tick_that_is_too_old_is_refused_and_the_refusal_is_its_result(house: House) -> None:
    await decided(house)
    request = house.request
    await house.pass_time(timedelta(minutes=6))

    result = await house.stage(Stage.EXECUTE, request)

    assert "old" in result.details["refused"]
    assert (await house.stage(Stage.EXECUTE, request)).repeated
    assert await house.venue_orders() == []
