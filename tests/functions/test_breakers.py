"""Breakers between two decisions: reconcile trips them, nothing opens while one stands, and they outlive a restart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import text

from functions.resuming import resume_account
from shared.domain.account import Breaker, RiskLimits
from shared.domain.cycle import Stage, between_ticks
from shared.domain.errors import VenueUnreachable
from shared.domain.performance import EquityPoint
from tests.db.samples import an_account
from tests.house import House, built_house


async def remember(house: House, equity: str, account: str = "main", **ago: Any) -> None:
    """Have the account been worth that much so long ago, of which it lost the rest by trading."""
    async with house.runtime.open_work() as work:
        last = await work.holds.last_equity("main")
        deposited = last.deposited if last and account == "main" else Decimal(equity)
        point = EquityPoint(
            at=house.clock.now() - timedelta(**ago), wallet=Decimal(equity), unrealized=Decimal(0), deposited=deposited
        )
        await work.holds.add_equity(account, point)


async def standing(house: House) -> dict[Breaker, Any]:
    async with house.runtime.open_work() as work:
        return {trip.breaker: trip for trip in await work.breakers.standing("main", house.clock.now())}


async def told(house: House) -> tuple[list[str], list[bool]]:
    """Return the diary's lines that are about breakers, and of each event whether the breaker stood."""
    async with house.runtime.database.reading() as connection:
        diary = (await connection.exec_driver_sql("SELECT text FROM diary ORDER BY id")).scalars().all()
        events = await connection.scalars(
            text("SELECT (body ->> 'standing')::boolean FROM events WHERE kind = 'breaker' ORDER BY id")
        )
    return [line for line in diary if line.split(":")[0] in set(Breaker)], list(events)


async def resume(house: House) -> dict[str, Any]:
    async with house.runtime.open_work() as work:
        return await resume_account(work, "main", house.clock.now(), "a test")


@asynccontextmanager
async def a_house(database_url: str, **settings: Any) -> AsyncIterator[House]:
    """With a position, and one cycle behind it."""
    async with built_house(database_url, **settings) as house:
        await house.enter()
        yield house


async def lose_a_fifth(house: House) -> None:
    """Have been worth a quarter more an hour ago."""
    async with house.runtime.open_work() as work:
        last = await work.holds.last_equity("main")
    assert last is not None
    await remember(house, str(last.equity * Decimal("1.25")), hours=1)


async def look(house: House) -> dict[str, Any]:
    """Reconcile between two ticks."""
    await house.pass_time(timedelta(minutes=1))
    result = await house.stage(Stage.RECONCILE, between_ticks("main", house.clock.now()))
    return result.details


async def test_a_loss_between_two_ticks_halts_entries_at_once_and_protection_goes_on(house: House) -> None:
    await house.enter()
    await lose_a_fifth(house)

    details = await look(house)

    assert details["breakers"] == ["daily_loss", "drawdown"]
    assert len(await house.venue_positions()) == 1
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1
    house.model.will_decide(await house.wish("ETHUSDT"), await house.wish("BTCUSDT", "close"))
    outcome = await house.next_cycle()
    codes = {each["asset"]: each["code"] for each in outcome["decide"]["decisions"]}
    assert codes == {"ETHUSDT": "breakers", "BTCUSDT": None}  # what is open may be closed
    assert await house.venue_positions() == {}


async def test_what_was_approved_before_a_breaker_tripped_is_not_opened_after(house: House) -> None:
    await house.enter("ETHUSDT")
    await house.pass_time()
    house.model.will_decide(await house.wish("BTCUSDT"))
    await house.stage(Stage.FETCH)
    decided = await house.stage(Stage.DECIDE)
    assert [each["verdict"] for each in decided.details["decisions"]] == ["approved"]
    await lose_a_fifth(house)
    await house.stage(Stage.RECONCILE, between_ticks("main", house.clock.now() - timedelta(seconds=1)))

    executed = await house.stage(Stage.EXECUTE)

    assert executed.details["orders"] == []
    assert executed.details["breakers"] == ["daily_loss", "drawdown"]
    assert set(await house.venue_positions()) == {"ETHUSDT"}


async def test_a_breaker_that_flattens_closes_everything_and_takes_the_stops_away(database_url: str) -> None:
    async with a_house(database_url, risk_flatten_on="drawdown") as house:
        await lose_a_fifth(house)

        await look(house)

        assert await house.venue_positions() == {}
        assert await house.venue_orders(status="NEW") == []
        assert (await standing(house))[Breaker.DRAWDOWN].flatten


async def test_what_cannot_be_closed_keeps_its_stop_and_is_closed_by_the_next_look(database_url: str) -> None:
    async with a_house(database_url, risk_flatten_on="drawdown", protection_deadline_seconds=3) as house:
        await lose_a_fifth(house)
        await house.spoil("POST", "/fapi/v3/order", "error:-2019-before")

        await look(house)

        assert len(await house.venue_positions()) == 1
        assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1
        await look(house)
        assert await house.venue_positions() == {}


async def test_a_breaker_outlives_a_restart_and_is_tripped_once(database_url: str) -> None:
    async with a_house(database_url) as house:
        await lose_a_fifth(house)
        await look(house)
        first = await standing(house)
        await look(house)
        assert await standing(house) == first
        diary, events = await told(house)
        assert [line.split(":")[0] for line in diary] == ["daily_loss", "drawdown"]
        assert events == [True, True]

    async with built_house(database_url) as house:
        assert await standing(house) == first


async def test_a_day_lifts_the_loss_of_a_day_and_only_a_person_a_drawdown(house: House) -> None:
    await house.enter()
    await lose_a_fifth(house)
    await look(house)

    await house.pass_time(timedelta(days=1))
    await look(house)

    assert set(await standing(house)) == {Breaker.DRAWDOWN}
    diary, events = await told(house)
    assert diary[-1] == "daily_loss: lifted by time"
    assert events == [True, True, False]


async def test_a_person_lifts_all_of_them_and_losses_count_anew(house: House) -> None:
    await house.enter()
    await lose_a_fifth(house)
    await look(house)

    outcome = await resume(house)

    assert outcome["lifted"] == ["daily_loss", "drawdown"]
    await look(house)
    assert await standing(house) == {}
    house.model.will_decide(await house.wish("ETHUSDT"))
    decided = (await house.next_cycle())["decide"]["decisions"]
    assert [each["verdict"] for each in decided] == ["approved"]


async def test_a_model_without_an_answer_cycle_after_cycle_trips_a_breaker_that_cools_off(database_url: str) -> None:
    async with built_house(database_url, risk_max_model_failures=2, risk_cool_off="10m") as house:
        house.model.answers += 40 * ["I would rather not say."]
        await house.cycle()
        assert await standing(house) == {}
        await house.next_cycle()
        assert set(await standing(house)) == {Breaker.MODEL_FAILURES}
        house.model.answers.clear()

        await house.pass_time(timedelta(minutes=15))
        outcome = await house.cycle()

        assert outcome["reconcile"]["breakers"] == []


async def test_entries_that_the_exchange_refuses_in_a_row_trip_a_breaker(database_url: str) -> None:
    async with built_house(database_url, risk_max_order_refusals=2) as house:
        await house.spoil("POST", "/fapi/v3/order", "error:-2019-before", count=2)
        for symbol in ("BTCUSDT", "ETHUSDT"):
            house.model.will_decide(await house.wish(symbol))
            await house.next_cycle()

        assert set(await standing(house)) == {Breaker.ORDER_REFUSALS}


async def test_what_other_accounts_lost_stops_this_one_too(house: House) -> None:
    await house.enter()
    async with house.runtime.open_work() as work:
        await work.accounts.configure([an_account("other", limits=RiskLimits())])
    await remember(house, "100000", "other", hours=2)
    async with house.runtime.open_work() as work:
        point = EquityPoint(
            at=house.clock.now(), wallet=Decimal(60000), unrealized=Decimal(0), deposited=Decimal(100000)
        )
        await work.holds.add_equity("other", point)
    house.model.will_decide(await house.wish("ETHUSDT"))

    outcome = await house.next_cycle()

    # The decision came before our own next look: the review sees it by itself.
    assert [each["code"] for each in outcome["decide"]["decisions"]] == ["global_daily_loss"]
    assert outcome["reconcile"]["breakers"] == ["global_daily_loss", "global_drawdown"]


async def test_an_entry_is_judged_by_the_price_there_is_when_the_model_has_spoken(house: House) -> None:
    house.model.will_decide(await house.wish())
    await house.stage(Stage.FETCH)
    quotes = house.runtime.market.quotes

    async def moved(symbols: Any) -> Any:
        found = await quotes(symbols)
        price = found["BTCUSDT"].mark_price * Decimal("1.01")
        return found | {"BTCUSDT": type(found["BTCUSDT"])(**_fields(found["BTCUSDT"]) | {"mark_price": price})}

    with patch.object(house.runtime.market, "quotes", moved):
        decided = await house.stage(Stage.DECIDE)

    assert [each["code"] for each in decided.details["decisions"]] == ["price_move"]


async def test_without_a_price_of_now_nothing_opens_and_a_close_is_not_kept(house: House) -> None:
    await house.enter()
    await house.pass_time()
    house.model.will_decide(await house.wish("ETHUSDT"), await house.wish(action="close"))
    await house.stage(Stage.FETCH)

    with patch.object(house.runtime.market, "quotes", side_effect=VenueUnreachable("nobody there")):
        decided = await house.stage(Stage.DECIDE)

    assert [each["code"] for each in decided.details["decisions"]] == ["data_fresh", None]


def _fields(quote: Any) -> dict[str, Any]:
    return {name: getattr(quote, name) for name in quote.__slots__}


@pytest.mark.parametrize("count", [0, 1])
async def test_the_day_counts_what_was_approved_before(database_url: str, count: int) -> None:
    async with built_house(database_url, risk_max_entries_per_day=1 + count) as house:
        await house.enter()
        house.model.will_decide(await house.wish("ETHUSDT"))

        outcome = await house.next_cycle()

        assert [each["code"] for each in outcome["decide"]["decisions"]] == [None if count else "entries_today"]
