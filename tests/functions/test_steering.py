"""A person closes positions and cancels orders, each errand once, and nothing is left without its protection."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest

from functions.steering import Closing, Done, Errand, Tools, cancel_order, cancel_orders, close_position
from shared.domain.cycle import Duty, Stage
from shared.domain.errors import BadRequest, StageBusy
from shared.domain.order import Intent, Leg, OrderState, VenueOrder, leg_named
from tests.house import House

ORDER = "/fapi/v3/order"


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def tools(house: House) -> Tools:
    runtime = house.runtime
    return Tools(
        open_work=runtime.open_work,
        exchange=runtime.exchange("main"),
        market=runtime.market,
        clock=house.clock,
        patience=timedelta(seconds=1),
    )


def an_errand(key: str = "a key") -> Errand:
    return Errand(account_id="main", key=key, by="a test")


async def close(house: House, key: str = "a key", **what: str) -> Done:
    quantity = Decimal(what["quantity"]) if "quantity" in what else None
    return await close_position(
        an_errand(key), Closing(symbol=what.get("symbol", "BTCUSDT"), quantity=quantity), tools(house)
    )


async def working(house: House) -> list[str]:
    books = await house.venue_orders()
    return sorted(order["clientOrderId"] for order in books if order["status"] in {"NEW", "PARTIALLY_FILLED"})


async def exits(house: House) -> list[str]:
    return [
        order["clientOrderId"] for order in await house.venue_orders() if leg_named(order["clientOrderId"]) is Leg.EXIT
    ]


async def test_a_position_that_is_closed_takes_its_protection_with_it(house: House) -> None:
    await house.enter("BTCUSDT")
    await house.enter("ETHUSDT")
    await house.pass_time()

    outcome = await close(house)

    assert outcome.done
    assert [*await house.venue_positions()] == []
    assert await working(house) == []


async def test_a_part_that_is_closed_leaves_the_rest_protected(house: House) -> None:
    await house.enter("BTCUSDT")
    held = (await house.venue_positions())["BTCUSDT"]

    outcome = await close(house, quantity="0.002")

    assert outcome.done
    assert (await house.venue_positions())["BTCUSDT"] == held - Decimal("0.002")
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_the_same_errand_asked_for_again_sends_nothing_and_tells_the_same(house: House) -> None:
    await house.enter("BTCUSDT")

    first = await close(house, quantity="0.002")
    await house.pass_time(timedelta(seconds=5))
    again = await close(house, quantity="0.002")

    assert (again.repeated, again.done) == (True, True)
    assert [order.client_order_id for order in again.orders] == [order.client_order_id for order in first.orders]
    assert len(await exits(house)) == 1


async def test_two_errands_of_one_moment_are_two(house: House) -> None:
    await house.enter("BTCUSDT")

    await close(house, "one", quantity="0.002")
    await close(house, "two", quantity="0.002")

    assert len({*await exits(house)}) == 2


@pytest.mark.parametrize("after", [False, True])
async def test_an_errand_that_was_killed_is_not_sent_again_and_its_fate_is_found_out(house: House, after: bool) -> None:
    await house.enter("BTCUSDT")
    exchange = house.runtime.exchange("main")
    place = exchange.place

    async def killed(intent: Intent) -> VenueOrder:
        if after:
            await place(intent)
        raise Killed

    with patch.object(exchange, "place", killed), pytest.raises(Killed):
        await close(house)
    again = await close(house)
    await house.next_cycle()  # later than anything can still land
    later = await close(house)

    assert again.repeated
    assert again.done is after
    assert later.done is after
    assert [order.state for order in later.orders] == [OrderState.FILLED if after else OrderState.ABSENT]
    assert len(await exits(house)) == (1 if after else 0)
    names = Counter(order["clientOrderId"] for order in await house.venue_orders())
    assert max(names.values()) == 1


async def test_an_exit_whose_fate_is_unknown_keeps_another_from_being_sent(house: House) -> None:
    await house.enter("BTCUSDT")
    await house.spoil("POST", ORDER, "503-before")
    first = await close(house)

    with pytest.raises(BadRequest, match="nobody knows yet"):
        await close(house, "another key")

    assert not first.done
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"symbol": "ETHUSDT"}, "no position in ETHUSDT"),
        ({"quantity": "1000"}, "no more than"),
        ({"quantity": "0.0000001"}, "less than can be traded"),
    ],
)
async def test_what_cannot_be_closed_is_refused_in_one_line(house: House, what: dict[str, str], said: str) -> None:
    await house.enter("BTCUSDT")

    with pytest.raises(BadRequest, match=said):
        await close(house, **what)

    assert await exits(house) == []


async def test_an_errand_waits_for_a_stage_at_work_and_gives_up_when_that_lasts(house: House) -> None:
    await house.enter("BTCUSDT")
    async with house.runtime.open_work() as work:
        fence = await work.stages.take_lease("main", "a stage", 60, Duty.ACT)

    async def stage_ends(_: float) -> None:
        async with house.runtime.open_work() as work:
            await work.stages.release_lease("main", fence)

    with pytest.raises(StageBusy):
        await close(house)
    with patch("functions.steering.sleep", stage_ends):
        assert (await close(house)).done


async def test_an_order_that_is_cancelled_twice_is_cancelled_once(house: House) -> None:
    name = await house.bid()

    outcomes = [await cancel_order(an_errand(key), name, tools(house)) for key in ("one", "two")]

    assert [(each.done, each.repeated) for each in outcomes] == [(True, False), (True, True)]
    assert await working(house) == []


async def test_an_order_that_protects_is_not_cancelled_while_its_position_stands(house: House) -> None:
    await house.enter("BTCUSDT")
    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")

    with pytest.raises(BadRequest, match="protects a position"):
        await cancel_order(an_errand(), stop["clientOrderId"], tools(house))
    with pytest.raises(BadRequest, match="no order nonsense"):
        await cancel_order(an_errand(), "nonsense", tools(house))

    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_cancelling_all_leaves_what_protects_unless_that_is_asked_for_and_then_closes_the_position_first(
    house: House,
) -> None:
    await house.enter("BTCUSDT")
    await house.bid()
    await house.bid("BTCUSDT", "by-hand-2")

    entries = await cancel_orders(an_errand("one"), "ETHUSDT", tools(house))
    rest = await working(house)
    more = await cancel_orders(an_errand("two"), None, tools(house))
    protected = await working(house)
    everything = await cancel_orders(an_errand("three"), None, tools(house), protection=True)

    assert entries.done
    assert "by-hand-1" not in rest
    assert "by-hand-2" in rest
    assert more.done
    assert [leg_named(name) for name in protected] == [Leg.STOP, Leg.TARGET]
    assert everything.done
    assert await working(house) == []
    assert await house.venue_positions() == {}


async def test_what_was_done_by_hand_is_in_the_diary_and_the_books_add_up_after_it(house: House) -> None:
    await house.enter("BTCUSDT")
    await house.pass_time(timedelta(seconds=5))
    await close(house)
    await house.pass_time()

    outcome = await house.stage(Stage.RECONCILE)

    async with house.runtime.database.reading() as connection:
        lines = (await connection.exec_driver_sql("SELECT text FROM diary ORDER BY id")).scalars().all()
    assert "closed by hand in BTCUSDT: a test" in lines
    assert lines[-1].startswith("ended by hand: LONG ")
    assert outcome.details["discrepancies"] == []
    assert outcome.details["positions"] == []


async def test_what_found_nothing_to_cancel_is_not_in_the_diary(house: House) -> None:
    await house.cycle()

    done = await cancel_orders(Errand(account_id="main", key="nothing", by="a test"), None, tools(house))

    async with house.runtime.database.reading() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM diary")).scalar_one() == 0
    assert (done.done, done.orders) == (True, ())
