"""Between two ticks: what happens to an account is seen at once, and nothing else is done about it than needs be."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from scheduler import watch as watching
from scheduler.local import LocalScheduler
from scheduler.plan import due
from scheduler.watch import AccountWatch, overdue, worth_a_look
from shared.db.reports import Reports
from shared.domain.errors import RateLimited, VenueUnreachable
from shared.domain.news import AccountNews, AccountUpdate, Gap, MarginCall, OrderUpdate, SettingsUpdate
from shared.domain.order import Intent, Leg, OrderState, OrderType, Side, VenueOrder
from shared.exchange.account import AsterExchange
from tests.builders import LONG, SHORT, TICK, a_fill, a_position, a_venue_order, an_intent, an_order
from tests.functions.test_protection import place_by_hand
from tests.house import FIVE_MINUTES, House, built_house
from tests.scheduler.log_lines import LOOKED, LOOKING, PATIENCE, SEEN, Lines, hearing

CANCELLED = OrderUpdate(order=a_venue_order(state=OrderState.CANCELED), at=TICK)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with hearing() as heard:
        yield heard


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(watching, "BUSY_SECONDS", 0.05)


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with built_house(database_url, protection_deadline_seconds=3) as built:
        yield built


@asynccontextmanager
async def watched(
    house: House, marks: dict[str, Decimal] | None = None, turn: asyncio.Lock | None = None
) -> AsyncIterator[AccountWatch]:
    """Watch the account, hearing only what the test says."""
    turn = turn or asyncio.Lock()
    watch = AccountWatch("main", house.runtime, turn, marks or {})
    tasks = [asyncio.create_task(part()) for part in (watch.look_when_needed, watch.check_stops)]
    try:
        yield watch
    finally:
        async with turn:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def take_the_stop_away(house: House) -> Decimal:
    """Cancel the stop as a person would, a moment later; return where it was."""
    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    await house.pass_time(timedelta(seconds=90))
    await house.runtime.exchange("main").cancel(stop["symbol"], stop["clientOrderId"])
    return Decimal(stop["stopPrice"])


async def test_a_stop_taken_away_between_two_ticks_is_placed_again_without_waiting_for_the_next(
    house: House, lines: Lines
) -> None:
    await house.enter()
    price = await take_the_stop_away(house)

    async with watched(house) as watch:
        watch.hear(CANCELLED)
        seen = await lines.next(LOOKED)

    [again] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    assert Decimal(again["stopPrice"]) == price
    assert [found["kind"] for found in seen["outcome"]["discrepancies"]] == ["missing_stop"]
    assert "pp-stop-1" in seen["why"]


async def test_a_manual_trade_is_adopted_and_given_a_stop_between_two_ticks(house: House, lines: Lines) -> None:
    await house.cycle()
    await house.pass_time(timedelta(seconds=90))
    await place_by_hand(house)

    async with watched(house) as watch:
        watch.hear(a_fill(symbol="ETHUSDT"))
        await lines.next(LOOKED)

    [position] = await house.our_positions()
    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    assert (position.symbol, stop["symbol"]) == ("ETHUSDT", "ETHUSDT")


async def test_a_burst_of_news_is_answered_by_one_look(house: House, lines: Lines) -> None:
    await house.cycle()
    await house.pass_time(timedelta(seconds=90))

    async with watched(house) as watch:
        for _ in range(20):
            watch.hear(a_fill())
        await lines.next(LOOKED)
        await house.pass_time(timedelta(seconds=1))
        watch.hear(CANCELLED)
        await lines.next(LOOKED, 2)

    assert len(lines.of(LOOKING)) == 2


async def test_what_a_look_since_has_seen_needs_no_look_of_its_own(house: House, lines: Lines) -> None:
    """A cycle's own orders are heard of before the reconciliation that ends it."""
    turn = asyncio.Lock()
    await house.cycle()
    await house.pass_time(timedelta(seconds=90))

    async with watched(house, turn=turn) as watch:
        async with turn:
            watch.hear(a_fill())
            await house.next_cycle()
        await lines.next(SEEN)

    assert lines.of(LOOKING) == []


async def test_while_another_copy_is_at_work_the_watch_waits_for_it(house: House, lines: Lines) -> None:
    await house.enter()
    await take_the_stop_away(house)
    async with house.runtime.open_work() as work:
        fence = await work.stages.take_lease("main", "another copy", 60)

    async with watched(house) as watch:
        watch.hear(CANCELLED)
        await lines.next(LOOKING, 2)
        async with house.runtime.open_work() as work:
            await work.stages.release_lease("main", fence)
        await lines.next(LOOKED)

    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_no_position_waits_for_a_model_to_get_its_stop_back(
    house: House, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()
    answer = house.model.handle_async_request

    async def think(request: httpx.Request) -> httpx.Response:
        asked.set()
        await answers.wait()
        return await answer(request)

    await house.enter()
    await house.pass_time()
    monkeypatch.setattr(house.model, "handle_async_request", think)
    scheduler = LocalScheduler(house.runtime)
    await scheduler.start()
    async with watched(house, turn=scheduler.turn("main")) as watch:
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        await take_the_stop_away(house)
        watch.hear(CANCELLED)
        await lines.next(LOOKED)
        protected = await house.venue_orders(type="STOP_MARKET", status="NEW")
        answers.set()
        cycle = (await lines.next("cycle", 2))["outcome"]
    await scheduler.stop()

    assert len(protected) == 1
    assert cycle["reconcile"]["discrepancies"] == []


async def test_a_look_that_fails_is_taken_again(house: House, lines: Lines) -> None:
    class Failing(AsterExchange):
        """Answers the second question, not the first."""

        failures = 1

        async def open_orders(self, *symbols: Any, **asked: Any) -> Any:
            if self.failures:
                self.failures -= 1
                raise VenueUnreachable("as told")
            return await super().open_orders(*symbols, **asked)

    await house.enter()
    await take_the_stop_away(house)
    house.runtime.exchange("main").__class__ = Failing

    async with watched(house) as watch:
        watch.hear(CANCELLED)
        await lines.next(LOOKED)

    assert len(lines.of("no look between ticks")) == 1
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_a_look_that_leaves_a_position_naked_is_taken_again_though_it_saw_everything(
    house: House, lines: Lines
) -> None:
    class Refusing(AsterExchange):
        """Refuses stop and exit until it is told otherwise."""

        refuses = True

        async def place(self, intent: Intent) -> VenueOrder:
            if Refusing.refuses:
                raise RateLimited("not now")
            return await super().place(intent)

    await house.enter()
    await take_the_stop_away(house)
    house.runtime.exchange("main").__class__ = Refusing

    async with watched(house) as watch:
        watch.hear(CANCELLED)
        await lines.next("no look between ticks")
        Refusing.refuses = False
        await lines.next(LOOKED)

    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_a_look_between_ticks_is_no_cycle(house: House, lines: Lines) -> None:
    """It leaves no tick behind, so the next one is due as ever, and people's lists show cycles only."""
    await house.enter()
    tick = house.request.tick
    await take_the_stop_away(house)

    async with watched(house) as watch:
        watch.hear(CANCELLED)
        await lines.next(LOOKED)
    async with house.runtime.open_work() as work:
        served = await work.stages.latest_tick("main")
    [status] = await Reports(house.runtime.database).status()
    outcome = await house.next_cycle()

    assert served == tick
    assert due(tick + FIVE_MINUTES, FIVE_MINUTES, served).missed == 0
    assert status["last_tick"] == status["stages"]["reconcile"]["tick"] == tick.isoformat()
    assert outcome["execute"]["repeated_after_crash"] is False
    assert outcome["reconcile"]["discrepancies"] == []


async def test_a_stop_that_should_have_fired_is_a_reason_to_look_once(house: House, lines: Lines) -> None:
    await house.enter()
    [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")
    marks = {"BTCUSDT": Decimal(stop["stopPrice"]) - 1}
    await house.pass_time(timedelta(seconds=1))

    async with watched(house, marks) as watch:
        seen = await lines.next(LOOKED)
        await house.pass_time(timedelta(seconds=1))
        watch.hear(CANCELLED)
        await lines.next(LOOKED, 2)

    assert "the price has passed stop" in seen["why"]
    assert sum("the price has passed" in line["why"] for line in lines.of(LOOKED)) == 1


@pytest.mark.parametrize(
    "news",
    [
        Gap(since=None, why="the connection broke"),
        a_fill(),
        CANCELLED,
        OrderUpdate(order=a_venue_order(state=OrderState.EXPIRED), at=TICK),
        OrderUpdate(order=a_venue_order(client_order_id="web_1", type=OrderType.LIMIT), at=TICK),
        AccountUpdate(reason="ORDER", wallets={}, sizes={}, at=TICK),
        AccountUpdate(reason="WITHDRAW", wallets={}, sizes={}, at=TICK),
        MarginCall(symbols=("BTCUSDT",), at=TICK),
        SettingsUpdate(symbol="BTCUSDT", leverage=25, at=TICK),
    ],
)
def test_what_we_would_not_learn_soon_is_worth_a_look(news: AccountNews) -> None:
    assert worth_a_look(news)


@pytest.mark.parametrize(
    "news",
    [
        OrderUpdate(order=a_venue_order(), at=TICK),
        AccountUpdate(reason="FUNDING_FEE", wallets={}, sizes={}, at=TICK),
    ],
)
def test_an_order_of_ours_that_rests_and_a_funding_payment_are_not(news: AccountNews) -> None:
    assert worth_a_look(news) is None


def test_a_stop_is_overdue_when_the_price_is_beyond_it_and_its_position_stands() -> None:
    below = an_order(intent=an_intent(leg=Leg.STOP, stop_price=Decimal(95)))
    above = an_order(intent=an_intent(leg=Leg.STOP, side=Side.BUY, stop_price=Decimal(105)))
    target = an_order(intent=an_intent(leg=Leg.TARGET, stop_price=Decimal(95)))
    long, short = a_position(direction=LONG), a_position(direction=SHORT)
    at = {price: {"BTCUSDT": Decimal(price)} for price in (94, 95, 106)}

    assert overdue([long], [below, target], at[94]) == {below.client_order_id}
    assert overdue([long], [below], at[95]) == set()
    assert overdue([short], [above], at[106]) == {above.client_order_id}
    assert overdue([short], [below], at[94]) == set()
    assert overdue([], [below], at[94]) == set()
    assert overdue([long], [below], {}) == set()
    assert overdue([long], [replace(below, state=OrderState.FILLED)], at[94]) == set()
