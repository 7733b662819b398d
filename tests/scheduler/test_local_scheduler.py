"""APScheduler runs every account at its ticks: none twice, none on top of another, one to catch up after being away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from emulators.aster import Venue, create_app, synthetic_market
from functions.invoke import invoke_cycle
from scheduler import local
from scheduler.local import LocalScheduler
from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, StageRequest, tick_at
from shared.domain.errors import RateLimited
from shared.domain.market import Series, Timeframe
from shared.domain.order import Intent, Leg, VenueOrder
from shared.exchange.account import AsterExchange
from shared.runtime import Runtime
from shared.settings import TestingSettings
from tests.db.samples import a_candle, a_reviewed
from tests.house import ScriptedModel, built_house

SPEED = 200  # five minutes of the market in one and a half seconds of ours
PATIENCE = 30
FIVE = timedelta(minutes=5)


class SlowModel(ScriptedModel):
    """Thinks for longer than an interval, and remembers how many questions it had before it at once."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._thinking = 0
        self.most_at_once = 0
        self.asked = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._thinking += 1
        self.asked.set()
        self.most_at_once = max(self.most_at_once, self._thinking)
        await asyncio.sleep(self._seconds)  # the thinking itself, not a wait for somebody
        self._thinking -= 1
        return await super().handle_async_request(request)


def a_long(price: Decimal) -> dict[str, Any]:
    """Return a decision to buy that passes every rule at *price*."""
    return {
        "rationale": "a test",
        "asset": "BTCUSDT",
        "action": "buy",
        "allocation_usd": 1000,
        "leverage": 2,
        "stop_loss": float(price * Decimal("0.98")),
        "take_profit": float(price * Decimal("1.04")),
        "confidence": 0.8,
        "exit_plan": {"text": "", "invalidation": None},
    }


class Cycles(logging.Handler):
    """Hears of each finished cycle from the trading log."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "cycle":
            self._heard.put_nowait(record.__dict__["outcome"])

    async def next(self, count: int) -> list[dict[str, Any]]:
        """Return the next *count* cycles."""
        async with asyncio.timeout(PATIENCE):
            return [await self._heard.get() for _ in range(count)]


@pytest.fixture
def cycles() -> Iterator[Cycles]:
    listener, logger = Cycles(), logging.getLogger("perpetua.trading")
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    yield listener
    logger.setLevel(level)
    logger.removeHandler(listener)


@asynccontextmanager
async def a_runtime(
    url: str, model: ScriptedModel, venue: Venue, *, synchronised: bool = True, **settings: Any
) -> AsyncIterator[Runtime]:
    chosen = {"assets": ("BTCUSDT",), "llm_model": "scripted/model", "database_url": SecretStr(url)} | settings
    runtime = Runtime(
        TestingSettings(**chosen),
        long_lived=True,
        exchange_transport=httpx.ASGITransport(app=create_app(venue, speed=SPEED)),
        model_transport=model,
    )
    try:
        await runtime.record_accounts()
        if synchronised:
            await runtime.synchronise()
        yield runtime
    finally:
        await runtime.close()


@pytest.fixture
def venue() -> Venue:
    return Venue(synthetic_market(seed=7, symbols=("BTCUSDT", "ETHUSDT")))


async def test_every_tick_is_served_once_and_in_order(database_url: str, venue: Venue, cycles: Cycles) -> None:
    model = ScriptedModel()
    async with a_runtime(database_url, model, venue) as runtime:
        scheduler = LocalScheduler(runtime)
        await scheduler.start()
        seen = await cycles.next(4)
        await scheduler.stop()

    ticks = [outcome["tick"] for outcome in seen]
    assert ticks == sorted(set(ticks))
    assert all("equity" in outcome["reconcile"] for outcome in seen)
    assert len(model.questions) >= len(seen)


async def run_until_done(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, duty: str) -> None:
    """Run the scheduler until it has done that once."""
    done, real = asyncio.Event(), getattr(local, duty)

    async def heard(*arguments: Any) -> Any:
        outcome = await real(*arguments)
        done.set()
        return outcome

    monkeypatch.setattr(local, duty, heard)
    scheduler = LocalScheduler(runtime)
    await scheduler.start()
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    await scheduler.stop()


async def test_old_candles_are_taken_away_when_told_how_long_to_keep_them(
    database_url: str, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {Series("BTCUSDT", Timeframe.M5): [a_candle(datetime(2020, 1, 1, tzinfo=UTC))]}
    async with a_runtime(database_url, ScriptedModel(), venue, candle_retention=timedelta(days=7)) as runtime:
        async with runtime.open_work() as work:
            await work.candles.save(old)
        await run_until_done(runtime, monkeypatch, "prune")
        async with runtime.open_work() as work:
            began = await work.candles.began(old)
        assert all(opened.year > 2020 for opened in began.values())


async def test_old_decisions_are_taken_away_while_the_scheduler_runs(
    database_url: str, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_runtime(database_url, ScriptedModel(), venue, record_retention=timedelta(days=7)) as runtime:
        long_ago = tick_at(runtime.clock.now() - timedelta(days=9), FIVE)
        async with runtime.open_work() as work:
            await work.decisions.save(StageRequest("main", long_ago), [a_reviewed()], None)
        await run_until_done(runtime, monkeypatch, "forget")
        async with runtime.open_work() as work:
            assert await work.decisions.of_cycle(StageRequest("main", long_ago)) == []


async def test_old_events_are_taken_away_once_a_day_beginning_at_once(
    database_url: str, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_runtime(database_url, ScriptedModel(), venue) as runtime:
        async with runtime.open_work() as work:
            await work.journal.event("main", "old", runtime.clock.now(), {})
        async with runtime.database.transaction() as connection:
            await connection.execute(text("UPDATE events SET told_at = told_at - interval '8 days'"))
        await run_until_done(runtime, monkeypatch, "prune_events")
        async with runtime.database.reading() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM events WHERE kind = 'old'")) == 0


async def test_after_being_away_one_cycle_catches_up_and_not_a_burst(
    database_url: str, venue: Venue, cycles: Cycles
) -> None:
    async with a_runtime(database_url, ScriptedModel(), venue) as runtime:
        before = StageRequest("main", tick_at(runtime.clock.now(), FIVE))
        await invoke_cycle(runtime, before)
        await cycles.next(1)
    venue.advance(venue.now + 6 * 3600 * 1000)
    async with a_runtime(database_url, ScriptedModel(), venue) as runtime:
        now = runtime.clock.now()
        scheduler = LocalScheduler(runtime)
        await scheduler.start()
        [first, second] = await cycles.next(2)
        await scheduler.stop()

    assert first["tick"] == tick_at(now, FIVE).isoformat()
    assert second["tick"] > first["tick"]


async def test_a_cycle_that_was_cut_short_is_finished_by_the_next_start(database_url: str, cycles: Cycles) -> None:
    async with built_house(database_url) as house:
        await house.stage(Stage.FETCH)

        scheduler = LocalScheduler(house.runtime)
        await scheduler.start()
        [cycle] = await cycles.next(1)
        await scheduler.stop()

    assert cycle["fetch"]["repeated"]
    assert "equity" in cycle["reconcile"]


async def test_no_tick_is_named_by_a_clock_that_was_never_set(database_url: str, venue: Venue, cycles: Cycles) -> None:
    async with a_runtime(database_url, ScriptedModel(), venue, synchronised=False) as runtime:
        scheduler = LocalScheduler(runtime)
        await scheduler.start()
        [first] = await cycles.next(1)
        await scheduler.stop()
        latest = runtime.clock.now()

    assert latest - 2 * FIVE < datetime.fromisoformat(first["tick"]) <= latest < datetime.now(UTC) - timedelta(days=1)


async def test_a_slow_cycle_never_has_another_of_its_account_on_top(
    database_url: str, venue: Venue, cycles: Cycles
) -> None:
    model = SlowModel(seconds=2)  # an interval is 1.5 s
    async with a_runtime(database_url, model, venue) as runtime:
        scheduler = LocalScheduler(runtime)
        await scheduler.start()
        seen = await cycles.next(3)
        await scheduler.stop()

    assert model.most_at_once == 1
    assert len({outcome["tick"] for outcome in seen}) == 3


async def test_a_shadow_that_thinks_for_ever_keeps_no_cycle_waiting(
    database_url: str, venue: Venue, cycles: Cycles
) -> None:
    class ShadowsThink(ScriptedModel):
        """Answers the account's own model at once, and the shadow when told to."""

        asked, told = asyncio.Event(), asyncio.Event()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if b"scripted/shadow" in await request.aread():
                self.asked.set()
                await self.told.wait()
            return await super().handle_async_request(request)

    model = ShadowsThink()
    async with a_runtime(database_url, model, venue, shadow_models=("scripted/shadow",)) as runtime:
        scheduler = LocalScheduler(runtime)
        await scheduler.start()
        async with asyncio.timeout(PATIENCE):
            await model.asked.wait()
        seen = await cycles.next(3)
        model.told.set()
        await scheduler.stop()
        async with runtime.open_work() as work:
            found = {
                each.model: each for each in await work.opinions.compare(account_id="main", since=None, until=None)
            }

    assert all("equity" in outcome["reconcile"] for outcome in seen)
    assert found["scripted/model"].asked >= 2  # a loaded machine may serve a tick too late to ask
    assert 1 <= found["scripted/shadow"].answered < found["scripted/model"].asked


async def test_two_schedulers_at_once_do_no_harm(database_url: str, venue: Venue, cycles: Cycles) -> None:
    model = ScriptedModel()
    async with (
        a_runtime(database_url, model, venue) as one,
        a_runtime(database_url, model, venue) as two,
    ):
        schedulers = [LocalScheduler(one), LocalScheduler(two)]
        for scheduler in schedulers:
            await scheduler.start()
        await cycles.next(4)
        for scheduler in schedulers:
            await scheduler.stop()
        async with one.database.reading() as connection:
            asked = (await connection.exec_driver_sql("SELECT tick, count(*) FROM model_calls GROUP BY tick")).all()

    assert asked
    assert all(count == 1 for _, count in asked)


async def test_a_halted_account_is_only_reconciled_and_one_account_s_trouble_is_not_another_s(
    database_url: str, venue: Venue, cycles: Cycles, tmp_path: Path
) -> None:
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(
        "accounts:\n"
        "  - {id: sound, symbols: [BTCUSDT], interval: 5m}\n"
        "  - {id: halted, symbols: [BTCUSDT], interval: 5m}\n"
        "  - {id: unlisted, symbols: [NOSUCHUSDT], interval: 5m}\n"
    )
    async with a_runtime(database_url, ScriptedModel(), venue, accounts_file=accounts) as runtime:
        async with runtime.open_work() as work:
            await work.accounts.set_status("halted", AccountStatus.HALTED, "a test")
        scheduler = LocalScheduler(runtime)
        await scheduler.start()
        seen = await cycles.next(6)
        await scheduler.stop()

    stages = {outcome["account"]: outcome.keys() - {"account", "tick"} for outcome in seen}
    assert stages["halted"] == {"reconcile"}
    assert stages["sound"] == {"fetch", "decide", "execute", "reconcile"}
    assert "error" in next(outcome["fetch"] for outcome in seen if outcome["account"] == "unlisted")


async def test_a_position_left_without_its_stop_is_not_left_until_the_next_tick(
    database_url: str, venue: Venue, cycles: Cycles
) -> None:
    class Refusing(AsterExchange):
        """Refuses whatever protects or ends a position, until it is told to stop refusing."""

        refuses = True

        async def place(self, intent: Intent) -> VenueOrder:
            if intent.leg is not Leg.ENTRY and Refusing.refuses:
                raise RateLimited("not now")
            return await super().place(intent)

    model, settings = ScriptedModel(), {"interval": "4h", "protection_deadline_seconds": 3}
    async with a_runtime(database_url, model, venue, **settings) as runtime:
        runtime.exchange("main").__class__ = Refusing
        price = (await runtime.market.quotes(["BTCUSDT"]))["BTCUSDT"].mark_price
        model.will_decide(a_long(price))
        scheduler = LocalScheduler(runtime)
        await scheduler.start()
        [first] = await cycles.next(1)
        Refusing.refuses = False
        [again] = await cycles.next(1)
        await scheduler.stop()

    assert first["reconcile"]["error"] == "PositionUnprotected"
    assert first["tick"] == again["tick"]
    assert again["reconcile"]["discrepancies"][0]["kind"] == "missing_stop"
    [account] = venue.ledger.accounts.values()
    resting = [order for order in account.orders.values() if order.status == "NEW"]
    assert (len(list(account.open_positions())), len(resting)) in {(1, 1), (1, 2), (0, 0)}


async def test_stopping_lets_the_cycle_under_way_finish(database_url: str, venue: Venue, cycles: Cycles) -> None:
    model = SlowModel(seconds=1)
    async with a_runtime(database_url, model, venue) as runtime:
        scheduler = LocalScheduler(runtime)
        await scheduler.start()
        async with asyncio.timeout(PATIENCE):
            await model.asked.wait()
        await scheduler.stop()
        [outcome] = await cycles.next(1)

    assert "equity" in outcome["reconcile"]
