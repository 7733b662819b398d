"""Positions are added to, reduced, turned around and closed, and their protection changes with them."""

from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest

from shared.domain.cycle import Stage
from shared.domain.decision import Move
from shared.domain.errors import InsufficientMargin, NothingToReduce, Refused, WouldTrigger
from shared.domain.order import Intent, Leg, OrderState, VenueOrder
from shared.domain.position import Direction
from tests.house import House

AN_HOUR = timedelta(hours=1)
Place = Callable[[Intent], Awaitable[VenueOrder]]


class Counter:
    """What was asked of the exchange, in order; and its answers, where a test has its own."""

    def __init__(self, house: House) -> None:
        self._exchange = house.runtime.exchange("main")
        self.calls: list[tuple[str, Any]] = []

    @contextmanager
    def refusing(self, refuse: Callable[[Intent], Exception | None] = lambda intent: None):
        place, cancel = self._exchange.place, self._exchange.cancel

        async def placing(intent: Intent) -> VenueOrder:
            failure = refuse(intent)
            self.calls.append(("place", intent.leg) if failure is None else ("refuse", intent.leg))
            if failure:
                raise failure
            return await place(intent)

        async def cancelling(symbol: str, client_order_id: str) -> VenueOrder:
            self.calls.append(("cancel", client_order_id.split("-")[1]))
            return await cancel(symbol, client_order_id)

        with patch.object(self._exchange, "place", placing), patch.object(self._exchange, "cancel", cancelling):
            yield self


async def resting(house: House) -> dict[str, list[Decimal]]:
    """Return the prices at which protection rests, by type."""
    orders = await house.venue_orders(status="NEW")
    return {
        kind: sorted(Decimal(order["stopPrice"]) for order in orders if order["type"] == kind)
        for kind in sorted({order["type"] for order in orders})
    }


async def in_next_cycle(house: House, wait: timedelta = timedelta(minutes=5), **wish: Any) -> dict[str, Any]:
    """Let time pass and have the model decide so."""
    await house.pass_time(wait)
    house.model.will_decide(await house.wish(**wish))
    return await house.cycle()


def verdicts(outcome: dict[str, Any]) -> list[str | None]:
    return [each["code"] for each in outcome["decide"]["decisions"]]


async def sizes(house: House) -> dict[str, Decimal]:
    """Return our positions, signed, which are the exchange's."""
    ours = {held.symbol: held.quantity * held.direction.sign for held in await house.our_positions()}
    assert ours == await house.venue_positions()
    return ours


async def test_a_buy_of_what_is_held_adds_to_it_and_moves_stop_and_target_of_the_whole(house: House) -> None:
    await house.enter()
    before = await sizes(house)
    await house.pass_time()
    wish = await house.wish(allocation_usd=500)
    house.model.will_decide(wish)

    with Counter(house).refusing() as asked:
        await house.cycle()

    after = await sizes(house)
    assert Decimal("1.4") < after["BTCUSDT"] / before["BTCUSDT"] < Decimal("1.6")
    [stop], [target] = (await resting(house)).values()
    assert stop == pytest.approx(Decimal(wish["stop_loss"]), rel=Decimal("1e-4"))
    assert target == pytest.approx(Decimal(wish["take_profit"]), rel=Decimal("1e-4"))
    # Never naked, and nothing is bought before the whole has its stop.
    assert asked.calls == [
        *(("place", "stop"), ("cancel", "stop"), ("place", "target"), ("cancel", "target"), ("place", "entry")),
    ]


async def test_protection_that_rests_where_it_belongs_stays(house: House) -> None:
    first = await house.wish(allocation_usd=500)
    house.model.will_decide(first)
    await house.cycle()
    await house.pass_time()
    levels = {name: first[name] for name in ("stop_loss", "take_profit")}
    house.model.will_decide(await house.wish(allocation_usd=500, **levels))
    before = await house.venue_orders(status="NEW")

    with Counter(house).refusing() as asked:
        outcome = await house.cycle()

    assert verdicts(outcome) == [None]
    assert asked.calls == [("place", "entry")]
    assert await house.venue_orders(status="NEW") == before


async def test_an_addition_whose_stop_the_price_has_passed_ends_the_position(house: House) -> None:
    await house.enter()
    refused = WouldTrigger("Order would immediately trigger.", code=-2021)

    with Counter(house).refusing(lambda intent: refused if intent.leg is Leg.STOP else None):
        await in_next_cycle(house, allocation_usd=500)

    assert await sizes(house) == {}
    assert await resting(house) == {}


async def test_where_the_exchange_takes_no_second_stop_the_two_change_places(house: House) -> None:
    await house.enter()
    before = await resting(house)
    house_orders = house.venue_orders

    async def one_of_each_leg() -> set[str]:
        return {order["type"] for order in await house_orders(status="NEW")}

    exchange = house.runtime.exchange("main")
    place = exchange.place

    async def placing(intent: Intent) -> VenueOrder:
        if intent.closes_position and intent.type.value in await one_of_each_leg():
            raise Refused("An open stop or take profit order in the direction is existing.", code=-4130)
        return await place(intent)

    with patch.object(exchange, "place", placing):
        outcome = await in_next_cycle(house, allocation_usd=500)

    after = await resting(house)
    assert [len(prices) for prices in after.values()] == [1, 1]
    assert all(after[kind] != before[kind] for kind in before)
    assert outcome["reconcile"]["discrepancies"] == []
    assert {o.intent.leg for o in await house.our_orders() if o.state is OrderState.FILLED} == {Leg.ENTRY}


async def test_a_new_stop_that_is_refused_twice_leaves_the_old_one_and_adds_nothing(house: House) -> None:
    await house.enter()
    before, held = await resting(house), await sizes(house)
    old = before["STOP_MARKET"][0]

    def refuse_new(intent: Intent) -> Exception | None:
        return Refused("no", code=-9999) if intent.leg is Leg.STOP and intent.stop_price != old else None

    with Counter(house).refusing(refuse_new) as asked:
        await in_next_cycle(house, allocation_usd=500)

    assert (await resting(house))["STOP_MARKET"] == [old]
    assert await sizes(house) == held
    assert ("place", "entry") not in asked.calls


async def test_a_position_without_any_stop_any_more_is_closed(house: House) -> None:
    await house.enter()

    with Counter(house).refusing(lambda intent: Refused("no", code=-9999) if intent.leg is Leg.STOP else None):
        await in_next_cycle(house, allocation_usd=500)

    assert await sizes(house) == {}
    assert await resting(house) == {}


async def test_an_addition_that_does_not_fill_leaves_the_position_with_the_new_stop(house: House) -> None:
    await house.enter()
    held = await sizes(house)
    refused = InsufficientMargin("Margin is insufficient.", code=-2019)

    with Counter(house).refusing(lambda intent: refused if intent.leg is Leg.ENTRY else None):
        await in_next_cycle(house, allocation_usd=500)

    assert await sizes(house) == held
    assert [len(prices) for prices in (await resting(house)).values()] == [1, 1]


async def test_a_run_that_died_between_the_new_stop_and_the_old_one_leaves_the_new_one(house: House) -> None:
    await house.enter()
    [old] = (await resting(house))["STOP_MARKET"]
    await house.pass_time()
    house.model.will_decide(await house.wish(allocation_usd=500))
    await house.stage(Stage.FETCH)
    await house.stage(Stage.DECIDE)

    class Killed(BaseException):
        """Stands for SIGKILL: nothing catches it."""

    with patch.object(house.runtime.exchange("main"), "cancel", side_effect=Killed), pytest.raises(Killed):
        await house.stage(Stage.EXECUTE)
    assert len((await resting(house))["STOP_MARKET"]) == 2
    await house.stage(Stage.EXECUTE)
    await house.stage(Stage.RECONCILE)

    [stop] = (await resting(house))["STOP_MARKET"]
    assert stop != old


async def test_a_sale_of_what_is_held_long_turns_it_around(house: House) -> None:
    await house.enter()
    outcome = await in_next_cycle(house, AN_HOUR, action="sell", allocation_usd=600)

    after = await sizes(house)
    assert verdicts(outcome) == [None]
    assert after["BTCUSDT"] < 0
    orders = await house.venue_orders(status="NEW")
    assert sorted((order["type"], order["side"]) for order in orders) == [
        ("STOP_MARKET", "BUY"),
        ("TAKE_PROFIT_MARKET", "BUY"),
    ]
    async with house.runtime.open_work() as work:
        [decided] = await work.decisions.of_cycle(house.request)
    assert decided.review.move is Move.FLIP


async def test_a_position_that_was_entered_lately_is_not_turned_around(house: House) -> None:
    await house.enter()
    before = await sizes(house)

    outcome = await in_next_cycle(house, action="sell")

    assert verdicts(outcome) == ["flip_cooldown"]
    assert await sizes(house) == before


async def test_nothing_opens_the_other_way_while_the_close_did_not_fill(house: House) -> None:
    await house.enter()
    before, protection = await sizes(house), await resting(house)
    refused = Refused("no", code=-9999)

    with Counter(house).refusing(lambda intent: refused if intent.leg is Leg.EXIT else None) as asked:
        await in_next_cycle(house, AN_HOUR, action="sell")

    assert ("place", "entry") not in asked.calls
    assert await sizes(house) == before
    assert await resting(house) == protection


async def test_a_close_of_a_part_leaves_the_rest_with_its_stop_and_target(house: House) -> None:
    await house.enter()
    before, protection = await sizes(house), await resting(house)

    await in_next_cycle(house, action="close", allocation_usd=400)

    after = await sizes(house)
    assert Decimal("0.5") < after["BTCUSDT"] / before["BTCUSDT"] < Decimal("0.7")
    assert await resting(house) == protection


def with_largest_order(house: House, share: Decimal, whole: Decimal):
    """Have the exchange list an instrument whose largest order is that share of *whole*."""
    listed = house.runtime.market.instruments

    async def instruments() -> dict[str, Any]:
        found = dict(await listed())
        found["BTCUSDT"] = replace(found["BTCUSDT"], max_market_quantity=whole * share)
        return found

    return patch.object(house.runtime.market, "instruments", instruments)


async def test_a_position_larger_than_the_largest_order_is_closed_by_several(house: House) -> None:
    await house.enter()
    held = (await sizes(house))["BTCUSDT"]

    with with_largest_order(house, Decimal("0.4"), held):
        await in_next_cycle(house, action="close")

    exits = [order for order in await house.our_orders() if order.intent.leg is Leg.EXIT]
    assert [order.state for order in exits] == [OrderState.FILLED] * 3
    assert sum(order.executed_quantity for order in exits) == held
    assert await sizes(house) == {}
    assert await resting(house) == {}


async def test_a_run_that_died_between_two_parts_of_an_exit_leaves_the_rest_protected(house: House) -> None:
    await house.enter()
    held, protection = (await sizes(house))["BTCUSDT"], await resting(house)
    await house.pass_time()
    house.model.will_decide(await house.wish(action="close"))

    class Killed(BaseException):
        """Stands for SIGKILL: nothing catches it."""

    exchange, sent = house.runtime.exchange("main"), 0
    place = exchange.place

    async def die_after_one(intent: Intent) -> VenueOrder:
        nonlocal sent
        sent += 1
        if sent == 2:
            raise Killed
        return await place(intent)

    with with_largest_order(house, Decimal("0.5"), held), patch.object(exchange, "place", die_after_one):
        await house.stage(Stage.FETCH)
        await house.stage(Stage.DECIDE)
        with pytest.raises(Killed):
            await house.stage(Stage.EXECUTE)
    request = house.request
    assert {order.state for order in await house.our_orders()} == {OrderState.INTENDED}
    await house.stage(Stage.EXECUTE)
    await house.stage(Stage.RECONCILE)
    left = await sizes(house)
    assert 0 < left["BTCUSDT"] < held
    assert await resting(house) == protection
    await house.next_cycle()

    first, *others = [order.state for order in await house.our_orders(request)]
    assert first is OrderState.FILLED
    assert set(others) == {OrderState.ABSENT}
    assert await sizes(house) == left


async def test_an_exit_that_finds_nothing_to_reduce_looks_again_and_counts_as_done_if_nothing_is_held(
    house: House,
) -> None:
    await house.enter()
    await house.pass_time()
    house.model.will_decide(await house.wish(action="close"))
    await house.stage(Stage.FETCH)
    await house.stage(Stage.DECIDE)
    exchange = house.runtime.exchange("main")
    place = exchange.place

    async def too_late(intent: Intent) -> VenueOrder:
        await place(replace(intent, attempt=7))  # somebody else was faster
        raise NothingToReduce("ReduceOnly Order is rejected.", code=-2022)

    with patch.object(exchange, "place", too_late):
        await house.stage(Stage.EXECUTE)

    assert await house.venue_positions() == {}
    assert await resting(house) == {}


async def test_an_exit_that_finds_nothing_to_reduce_though_something_is_held_is_not_repeated(house: House) -> None:
    await house.enter()
    before, protection = await sizes(house), await resting(house)
    refused = NothingToReduce("ReduceOnly Order is rejected.", code=-2022)

    with Counter(house).refusing(lambda intent: refused if intent.leg is Leg.EXIT else None) as asked:
        await in_next_cycle(house, action="close")

    assert asked.calls == [("refuse", "exit")]
    assert await sizes(house) == before
    assert await resting(house) == protection


async def test_a_direction_is_kept_with_every_order(house: House) -> None:
    await house.enter(action="sell")

    assert {order.intent.direction for order in await house.our_orders()} == {Direction.SHORT}
