"""No position stands without its stop, and no stop without its position."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest
from sqlalchemy import select

from shared.db.tables import discrepancies
from shared.domain.allowance import ordinary_room
from shared.domain.cycle import Stage
from shared.domain.errors import NothingToReduce, OutcomeUnknown, VenueUnreachable, WouldTrigger
from shared.domain.order import Fill, Income, Intent, Leg, OrderState, OrderType, Side, VenueOrder
from shared.domain.position import Direction
from tests.house import House

A_DAY = timedelta(days=1)
ORDER = "/fapi/v3/order"


def kinds(outcome) -> list[str]:
    return [found["kind"] for found in outcome["reconcile"]["discrepancies"]]


async def place_by_hand(house: House, **fields) -> VenueOrder:
    """Trade on the account behind the system's back, as a person with the exchange's own page would."""
    values = {
        "account_id": "by-hand",
        "tick": house.request.tick,
        "symbol": "ETHUSDT",
        "leg": Leg.EXTERNAL,
        "attempt": 0,
        "side": Side.BUY,
        "direction": Direction.LONG,
        "type": OrderType.MARKET,
        "quantity": Decimal("0.5"),
    } | fields
    intent = Intent(**values)
    with patch("shared.domain.order.OUR_PREFIX", "w-"):
        return await house.runtime.exchange("main").place(intent)


async def test_a_stop_that_was_cancelled_by_hand_is_placed_again_where_the_plan_put_it(house: House) -> None:
    await house.enter()
    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    await house.runtime.exchange("main").cancel("BTCUSDT", stop["clientOrderId"])

    outcome = await house.next_cycle()

    [again] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    assert Decimal(again["stopPrice"]) == Decimal(stop["stopPrice"])
    assert kinds(outcome) == ["missing_stop"]


async def test_a_naked_position_gets_its_stop_before_anything_else_is_ended(house: House) -> None:
    short_lived = {"text": "", "expiry": {"after_candles": 1, "timeframe": "5m", "at": None}}
    house.model.will_decide(await house.wish(exit_plan=short_lived), await house.wish("ETHUSDT"))
    await house.cycle()
    for stop in await house.venue_orders(type="STOP_MARKET", status="NEW"):
        await house.runtime.exchange("main").cancel(stop["symbol"], stop["clientOrderId"])
    await house.pass_time()
    before = len(await house.venue_orders())

    result = await house.stage(Stage.RECONCILE)

    sent = [(order["symbol"], order["type"]) for order in (await house.venue_orders())[before:]]
    assert sorted(sent[:2]) == [("BTCUSDT", "STOP_MARKET"), ("ETHUSDT", "STOP_MARKET")]
    assert sent[2:] == [("BTCUSDT", "MARKET")]
    assert list(await house.venue_positions()) == ["ETHUSDT"]
    assert {order["symbol"] for order in await house.venue_orders(status="NEW")} == {"ETHUSDT"}
    assert [each["kind"] for each in result.details["discrepancies"]] == [
        *("missing_stop", "missing_stop", "exit_plan"),
    ]


async def test_a_position_opened_by_hand_is_adopted_and_given_a_stop(house: House) -> None:
    await house.cycle()
    await place_by_hand(house)

    outcome = await house.next_cycle()

    [position] = await house.our_positions()
    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    assert (position.symbol, position.quantity) == ("ETHUSDT", Decimal("0.5"))
    assert (stop["symbol"], stop["side"], stop["closePosition"]) == ("ETHUSDT", "SELL", True)
    assert Decimal(stop["stopPrice"]) < position.mark_price
    assert sorted(kinds(outcome)) == ["manual_trade", "missing_stop"]


async def test_a_position_closed_by_hand_is_booked_and_its_protection_taken_away(house: House) -> None:
    await house.enter()
    [held] = await house.our_positions()
    await place_by_hand(house, symbol="BTCUSDT", side=Side.SELL, quantity=held.quantity, reduce_only=True)

    outcome = await house.next_cycle()

    assert await house.our_positions() == []
    assert await house.venue_orders(status="NEW") == []
    assert sorted(kinds(outcome)) == ["manual_trade", "orphan_protection", "orphan_protection"]


async def test_a_target_left_behind_by_a_triggered_stop_is_cancelled(house: House) -> None:
    await house.enter()
    for _ in range(40):
        await house.pass_time(A_DAY / 8)
        if not await house.venue_positions():
            break

    outcome = await house.cycle()

    assert await house.venue_orders(status="NEW") == []
    assert (await diary(house))[-1].startswith("ended by its stop: LONG ")
    assert kinds(outcome) == []  # it is no discrepancy: one of the two is always left
    async with house.runtime.open_work() as work:
        assert await work.orders.alive("main") == []


async def test_what_was_found_is_on_record_though_the_repairs_were_cut_short(house: House) -> None:
    await house.cycle()
    await place_by_hand(house)
    await house.pass_time()

    class Killed(BaseException):
        """Stands for SIGKILL: nothing catches it."""

    with patch("functions.reconcile.Repairs", side_effect=Killed), pytest.raises(Killed):
        await house.stage(Stage.RECONCILE)
    await house.stage(Stage.RECONCILE)

    async with house.runtime.database.reading() as connection:
        found = await connection.scalars(select(discrepancies.c.kind).order_by(discrepancies.c.id))
        assert list(found) == ["manual_trade", "missing_stop"]


async def test_an_order_resting_by_hand_is_recorded_once_and_left_alone(house: House) -> None:
    await house.cycle()
    price = await house.mark("ETHUSDT")
    await place_by_hand(
        house,
        type=OrderType.TAKE_PROFIT_MARKET,
        side=Side.SELL,
        quantity=Decimal("0.5"),
        stop_price=(price * Decimal("1.5")).quantize(Decimal("0.01")),
    )

    first, second = await house.next_cycle(), await house.next_cycle()

    assert kinds(first) == ["order_unknown"]
    assert kinds(second) == []
    assert len(await house.venue_orders(status="NEW")) == 1


async def test_a_position_whose_stop_has_been_passed_is_closed(house: House) -> None:
    await house.cycle()
    await place_by_hand(house)
    exchange = house.runtime.exchange("main")
    place = exchange.place

    async def refuse_stops(intent: Intent) -> VenueOrder:
        if intent.leg is Leg.STOP:
            raise WouldTrigger("Order would immediately trigger.", code=-2021)
        return await place(intent)

    with patch.object(exchange, "place", refuse_stops):
        await house.next_cycle()

    assert await house.venue_positions() == {}


async def without_its_stop(house: House, symbol: str) -> None:
    """Leave an interval later, the position in *symbol* without its stop."""
    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW", symbol=symbol)
    await house.runtime.exchange("main").cancel(symbol, stop["clientOrderId"])
    await house.pass_time()


async def test_a_look_that_protection_rests_on_does_not_wait_until_there_is_room_for_ordinary_requests(
    house: House,
) -> None:
    await house.enter()
    await without_its_stop(house, "BTCUSDT")
    weights, minute = house.runtime.exchange("main")._client._weights, house.clock.now().replace(second=0)
    weights.learn(minute, ordinary_room(weights.limit))

    async with asyncio.timeout(20):
        await house.stage(Stage.RECONCILE)

    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_a_stop_lost_on_its_way_is_followed_by_another_at_once(house: House) -> None:
    await house.enter()
    await without_its_stop(house, "BTCUSDT")
    await house.spoil("POST", ORDER, "503-before")

    await house.cycle()

    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_a_stop_that_landed_though_its_answer_was_lost_stays_the_only_one(house: House) -> None:
    await house.enter()
    await without_its_stop(house, "BTCUSDT")
    await house.spoil("POST", ORDER, "503-after")

    outcome = await house.cycle()

    assert [repair["state"] for repair in outcome["reconcile"]["repairs"]] == ["NEW"]
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_a_position_whose_stop_is_lost_twice_is_closed(house: House) -> None:
    await house.enter()
    await without_its_stop(house, "BTCUSDT")
    await house.spoil("POST", ORDER, "503-before", count=2)

    await house.cycle()

    assert await house.venue_positions() == {}


async def test_a_planned_stop_is_placed_again_though_the_filters_cannot_be_had(house: House) -> None:
    await house.enter()
    await without_its_stop(house, "BTCUSDT")

    with patch.object(house.runtime.market, "instruments", side_effect=VenueUnreachable("a test")):
        await house.cycle()

    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_a_position_in_a_delisted_symbol_is_closed_and_keeps_no_other_from_its_stop(house: House) -> None:
    await house.enter("ETHUSDT")
    await place_by_hand(house, symbol="BTCUSDT", quantity=Decimal("0.01"))
    listed = await house.runtime.market.instruments()
    await without_its_stop(house, "ETHUSDT")

    with patch.object(house.runtime.market, "instruments", return_value={"ETHUSDT": listed["ETHUSDT"]}):
        await house.cycle()

    assert set(await house.venue_positions()) == {"ETHUSDT"}
    assert [stop["symbol"] for stop in await house.venue_orders(type="STOP_MARKET", status="NEW")] == ["ETHUSDT"]


async def test_an_order_that_cannot_be_looked_up_stays_unresolved_and_keeps_no_position_from_its_stop(
    house: House,
) -> None:
    await house.enter("ETHUSDT")
    await house.pass_time()
    house.model.will_decide(await house.wish("BTCUSDT"))
    await house.stage(Stage.FETCH)
    await house.stage(Stage.DECIDE)
    await house.spoil("POST", ORDER, "503-before")
    await house.stage(Stage.EXECUTE)
    await without_its_stop(house, "ETHUSDT")
    await house.spoil("GET", ORDER, "error:-1121-before", count=2)

    outcome = await house.cycle()

    assert kinds(outcome) == ["missing_stop"]
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW", symbol="ETHUSDT")) == 1
    async with house.runtime.open_work() as work:
        assert [o.intent.leg for o in await work.orders.alive("main") if o.state.unsettled] == [Leg.ENTRY]


async def test_a_stop_whose_answer_was_lost_leaves_the_position_protected_by_exactly_one(house: House) -> None:
    house.model.will_decide(await house.wish())
    await house.stage(Stage.FETCH)
    await house.stage(Stage.DECIDE)
    exchange = house.runtime.exchange("main")
    place = exchange.place

    async def lose_stops(intent: Intent) -> VenueOrder:
        if intent.leg is Leg.STOP:
            raise OutcomeUnknown("no answer")
        return await place(intent)

    with patch.object(exchange, "place", lose_stops):
        await house.stage(Stage.EXECUTE)
    await house.stage(Stage.RECONCILE)
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1
    await house.next_cycle()

    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1
    async with house.runtime.open_work() as work:
        states = [o.state for o in await work.orders.alive("main") if o.intent.leg is Leg.STOP]
    assert states == [OrderState.NEW]


async def test_funding_is_booked_and_the_wallet_adds_up(house: House) -> None:
    await house.enter()

    await house.pass_time(timedelta(hours=9))
    outcome = await house.cycle()

    books = await house.venue_books()
    async with house.runtime.open_work() as work:
        point = await work.holds.last_equity("main")
    assert any(row["incomeType"] == "FUNDING_FEE" for row in books["income"])
    assert point is not None
    assert point.wallet == Decimal(books["wallet"])
    assert "wallet_unexplained" not in kinds(outcome)


async def test_a_trade_that_the_exchange_tells_late_is_booked_when_it_does(house: House) -> None:
    exchange = house.runtime.exchange("main")

    async def nothing_yet(*_: object, **__: object) -> list[Fill]:
        return []

    with patch.object(exchange, "fills", nothing_yet):
        await house.enter()
    async with house.runtime.open_work() as work:
        before = await work.holds.last_equity("main")
    outcome = await house.next_cycle()

    async with house.runtime.open_work() as work:
        after, booked = (
            await work.holds.last_equity("main"),
            await work.fills.recent("main", 9, before=house.clock.now() + A_DAY),
        )
    assert before is not None
    assert before.unexplained < 0
    assert [fill.symbol for fill in booked] == ["BTCUSDT"]
    assert after is not None
    assert after.unexplained == 0
    assert "wallet_unexplained" not in kinds(outcome)


async def test_funding_that_the_exchange_tells_late_is_booked_when_it_does(house: House) -> None:
    await house.enter()
    await house.pass_time(timedelta(hours=9))
    exchange = house.runtime.exchange("main")

    async def nothing_yet(*_: object, **__: object) -> list[Income]:
        return []

    with patch.object(exchange, "incomes", nothing_yet):
        late = await house.cycle()
    await house.next_cycle()

    books = await house.venue_books()
    funding = [Decimal(row["income"]) for row in books["income"] if row["incomeType"] == "FUNDING_FEE"]
    async with house.runtime.database.reading() as connection:
        rows = await connection.exec_driver_sql("SELECT amount FROM incomes WHERE kind = 'FUNDING_FEE'")
        ours = rows.scalars().all()
    assert "wallet_unexplained" in kinds(late)
    assert funding
    assert list(ours) == funding


async def diary(house: House) -> list[str]:
    async with house.runtime.database.reading() as connection:
        return list((await connection.exec_driver_sql("SELECT text FROM diary ORDER BY id")).scalars())


async def test_a_trade_by_hand_stands_in_the_diary_as_external(house: House) -> None:
    await house.cycle()
    await place_by_hand(house)

    await house.next_cycle()

    [line] = await diary(house)
    assert line.startswith("external: ETHUSDT, manual trade, ")
    assert "BUY 0.5" in line


async def test_a_position_resized_by_hand_keeps_its_one_stop_and_is_known_in_its_new_size(house: House) -> None:
    await house.enter("ETHUSDT")
    [held] = await house.our_positions()
    protection = await house.venue_orders(status="NEW")
    await place_by_hand(house, side=Side.SELL, quantity=Decimal("0.1"), reduce_only=True)

    outcome = await house.next_cycle()

    [position] = await house.our_positions()
    assert position.quantity == held.quantity - Decimal("0.1")
    assert kinds(outcome) == ["manual_trade"]
    assert await house.venue_orders(status="NEW") == protection


async def test_a_position_closed_by_hand_is_not_entered_again_at_once(house: House) -> None:
    await house.enter()
    [held] = await house.our_positions()
    await house.pass_time()
    await place_by_hand(house, symbol="BTCUSDT", side=Side.SELL, quantity=held.quantity, reduce_only=True)
    await house.stage(Stage.RECONCILE)
    await house.pass_time()
    house.model.will_decide(await house.wish())

    outcome = await house.cycle()

    assert [each["code"] for each in outcome["decide"]["decisions"]] == ["cooldown"]


async def test_a_position_opened_by_hand_does_not_get_the_stop_of_an_older_plan(house: House) -> None:
    await house.enter()
    [planned] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    [held] = await house.our_positions()
    await place_by_hand(house, symbol="BTCUSDT", side=Side.SELL, quantity=held.quantity, reduce_only=True)
    await house.next_cycle()
    await place_by_hand(house, symbol="BTCUSDT", quantity=held.quantity)

    await house.next_cycle()

    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    assert Decimal(stop["stopPrice"]) != Decimal(planned["stopPrice"])
    assert await house.venue_orders(type="TAKE_PROFIT_MARKET", status="NEW") == []


async def test_a_target_that_was_cancelled_is_placed_again_where_the_plan_put_it(house: House) -> None:
    await house.enter()
    [target] = await house.venue_orders(type="TAKE_PROFIT_MARKET", status="NEW")
    await house.runtime.exchange("main").cancel("BTCUSDT", target["clientOrderId"])

    outcome = await house.next_cycle()

    [again] = await house.venue_orders(type="TAKE_PROFIT_MARKET", status="NEW")
    assert Decimal(again["stopPrice"]) == Decimal(target["stopPrice"])
    assert kinds(outcome) == ["missing_target"]


async def test_a_position_whose_missing_target_has_been_passed_is_closed(house: House) -> None:
    await house.enter()
    [target] = await house.venue_orders(type="TAKE_PROFIT_MARKET", status="NEW")
    exchange = house.runtime.exchange("main")
    await exchange.cancel("BTCUSDT", target["clientOrderId"])
    place = exchange.place

    async def refuse_targets(intent: Intent) -> VenueOrder:
        if intent.leg is Leg.TARGET:
            raise WouldTrigger("Order would immediately trigger.", code=-2021)
        return await place(intent)

    with patch.object(exchange, "place", refuse_targets):
        await house.next_cycle()

    assert await house.venue_positions() == {}


async def forget_orders(house: House) -> None:
    """Have the database know no order, as after a restore of a copy that is older than all of them."""
    async with house.runtime.database.transaction() as connection:
        await connection.exec_driver_sql("DELETE FROM orders")
        await connection.exec_driver_sql("DELETE FROM fills")


async def test_our_own_resting_orders_are_recognised_after_a_restore_and_tidied_with_their_position(
    house: House,
) -> None:
    await house.enter()
    before = await house.venue_orders(status="NEW")
    await forget_orders(house)

    outcome = await house.next_cycle()

    assert set(kinds(outcome)) == {"order_recovered"}
    assert await house.venue_orders(status="NEW") == before
    async with house.runtime.open_work() as work:
        assert {order.intent.leg for order in await work.orders.alive("main")} == {Leg.STOP, Leg.TARGET}
    [held] = await house.our_positions()
    await place_by_hand(house, symbol="BTCUSDT", side=Side.SELL, quantity=held.quantity, reduce_only=True)
    await house.next_cycle()
    assert await house.venue_orders(status="NEW") == []


async def test_a_trade_of_our_own_that_a_restore_forgot_is_booked_and_no_manual_trade(house: House) -> None:
    await house.cycle()
    await house.pass_time()
    await house.enter()
    async with house.runtime.database.transaction() as connection:
        for table in ("orders", "fills", "positions", "decisions"):
            await connection.exec_driver_sql(f"DELETE FROM {table}")
        await connection.exec_driver_sql("DELETE FROM equity WHERE at > (SELECT min(at) FROM equity)")

    outcome = await house.next_cycle()

    books = await house.venue_books()
    async with house.runtime.open_work() as work:
        booked, point = (
            await work.fills.recent("main", 9, before=house.clock.now() + A_DAY),
            await work.holds.last_equity("main"),
        )
    assert len(booked) == len(books["trades"]) == 1
    assert point is not None
    assert (point.wallet, point.unexplained) == (Decimal(books["wallet"]), 0)
    assert "manual_trade" not in kinds(outcome)
    assert "order_recovered" in kinds(outcome)
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_an_exit_that_repairs_find_nothing_to_reduce_for_leaves_nobody_naked(house: House) -> None:
    await house.enter()
    await without_its_stop(house, "BTCUSDT")
    exchange = house.runtime.exchange("main")
    place = exchange.place

    async def too_late(intent: Intent) -> VenueOrder:
        if intent.leg is Leg.STOP:
            raise WouldTrigger("Order would immediately trigger.", code=-2021)
        await place(replace(intent, attempt=intent.attempt + 7))  # somebody else was faster
        raise NothingToReduce("ReduceOnly Order is rejected.", code=-2022)

    with patch.object(exchange, "place", too_late):
        outcome = await house.cycle()

    assert "error" not in outcome["reconcile"]
    assert await house.venue_positions() == {}
