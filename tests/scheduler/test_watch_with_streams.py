"""The watch on the emulated exchange's own sockets: whatever becomes of an account is mended before the next tick."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler import watch as watching
from scheduler.local import LocalScheduler
from scheduler.watch import Watcher
from shared.db.exchange_streams import MARKET, ExchangeStreamTable
from shared.db.outbox import BEGINNING, Outbox
from shared.domain.errors import NotAuthorised
from shared.domain.order import Side
from shared.exchange.listen_keys import ListenKeys
from tests.emulators.aster.sockets import Site, serving
from tests.functions.test_protection import place_by_hand
from tests.house import House, built_house
from tests.scheduler.log_lines import LOOKED, LOOKING, SEEN, Lines, hearing

A_WHILE = timedelta(seconds=90)
TWO_ACCOUNTS = """
accounts:
  - {id: deaf, symbols: [BTCUSDT], interval: 5m}
  - {id: main, symbols: [BTCUSDT], interval: 5m}
"""


class Watched:
    """A house with its watch, and the exchange's sockets."""

    def __init__(self, house: House, site: Site, lines: Lines) -> None:
        self.house = house
        self.site = site
        self.lines = lines
        self.scheduler = LocalScheduler(house.runtime)
        self.watcher = Watcher(house.runtime, self.scheduler.turn)
        self._looks = 0

    async def begin(self) -> None:
        """Have a position with its stop, then listen; return when what was missed before has been looked for."""
        await self.house.enter()
        await self.house.pass_time(A_WHILE)
        self.watcher.start()
        await self.look()
        await self.house.pass_time(A_WHILE)

    async def look(self, reason: str = "") -> dict[str, Any]:
        """Return the next look that is taken, for that reason."""
        while True:
            self._looks += 1
            line = await self.lines.next(LOOKED, self._looks)
            if reason in line["why"]:
                return line

    async def take_the_stop_away(self) -> None:
        [stop] = await self.house.venue_orders(type="STOP_MARKET", status="NEW")
        await self.house.runtime.exchange("main").cancel(stop["symbol"], stop["clientOrderId"])

    async def books_agree(self) -> bool:
        """Say whether our positions and trades are the exchange's."""
        ours = {held.symbol: held.direction.sign * held.quantity for held in await self.house.our_positions()}
        async with self.house.runtime.open_work() as work:
            found = await work.fills.recent("main", 1000, before=self.house.clock.now() + A_WHILE)
        booked = {(fill.symbol, fill.trade_id) for fill in found}
        trades = (await self.house.venue_books())["trades"]
        return ours == await self.house.venue_positions() and booked == {(row["symbol"], row["id"]) for row in trades}

    async def stops(self) -> list[dict[str, Any]]:
        return await self.house.venue_orders(type="STOP_MARKET", status="NEW")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 0.2)


@asynccontextmanager
async def watching_over(database_url: str, **settings: Any) -> AsyncIterator[Watched]:
    with hearing() as lines:
        async with (
            built_house(database_url, protection_deadline_seconds=3, **settings) as house,
            serving(house.venue) as site,
        ):
            streams = {"asterdex_stream_url": f"ws://127.0.0.1:{site.port}"}
            house.runtime.settings = house.runtime.settings.model_copy(update=streams)
            watched = Watched(house, site, lines)
            try:
                yield watched
            finally:
                await watched.watcher.stop()


@pytest.fixture
async def watched(database_url: str) -> AsyncIterator[Watched]:
    async with watching_over(database_url) as built:
        await built.begin()
        yield built


async def test_whether_the_streams_are_there_is_said_for_all_processes(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = watched.house.runtime.database

    async def until(wanted: dict[str | None, bool]) -> None:
        """Return when it was told of all of them that they are as wanted."""
        told: dict[str | None, bool] = {}
        place = BEGINNING
        async with asyncio.timeout(30), Outbox(database).watch() as watch:
            while told != wanted:
                for event in (await watch.read(place, limit=500)).events:
                    place = event.place
                    if event.kind == "exchange_stream":
                        told[event.account_id] = json.loads(event.body)["connected"]
                await watch.wait()

    async def refused(_: ListenKeys) -> str:
        raise NotAuthorised("as told")

    await until({MARKET: True, "main": True})
    monkeypatch.setattr(ListenKeys, "make", refused)
    await watched.site.administer("POST", "streams/disconnect")
    await until({MARKET: True, "main": False})
    await watched.watcher.stop()
    async with database.reading() as connection:
        assert await ExchangeStreamTable(connection).read() == []


async def test_a_stop_cancelled_by_hand_is_placed_again_and_no_cycle_has_to_come(watched: Watched) -> None:
    [stop] = await watched.stops()

    await watched.take_the_stop_away()
    look = await watched.look("CANCELED")

    [again] = await watched.stops()
    assert (again["stopPrice"], again["clientOrderId"] != stop["clientOrderId"]) == (stop["stopPrice"], True)
    assert [found["kind"] for found in look["outcome"]["discrepancies"]] == ["missing_stop"]
    assert len(watched.lines.of("cycle")) == 1


async def test_a_manual_trade_is_adopted_and_given_a_stop(watched: Watched) -> None:
    await place_by_hand(watched.house)

    look = await watched.look("ETHUSDT")

    assert {position.symbol for position in await watched.house.our_positions()} == {"BTCUSDT", "ETHUSDT"}
    assert {stop["symbol"] for stop in await watched.stops()} == {"BTCUSDT", "ETHUSDT"}
    assert {found["kind"] for found in look["outcome"]["discrepancies"]} == {"manual_trade", "missing_stop"}


async def test_what_a_triggered_stop_leaves_behind_is_cancelled_at_once(watched: Watched) -> None:
    for _ in range(40):
        if not await watched.house.venue_positions():
            break
        await watched.house.pass_time(timedelta(hours=3))

    await watched.look()

    assert await watched.house.venue_orders(status="NEW") == []
    assert await watched.house.our_positions() == []


async def test_our_own_orders_heard_of_during_a_cycle_are_no_reason_to_look(database_url: str) -> None:
    async with watching_over(database_url) as watched:
        await watched.house.cycle()
        watched.watcher.start()
        await watched.lines.next(SEEN)
        async with watched.scheduler.turn("main"):
            await watched.house.pass_time()
            await watched.house.enter()
        await watched.lines.next(SEEN, 2)

        assert watched.lines.of(LOOKING) == []
        assert len(await watched.stops()) == 1


async def test_what_a_silent_stream_kept_back_is_found_when_it_is_replaced(watched: Watched) -> None:
    await watched.site.administer("POST", "stream-faults", kind="silence", count=None)
    await watched.take_the_stop_away()
    await place_by_hand(watched.house)
    await watched.site.administer("POST", "streams/disconnect")

    await watched.look("not everything was heard")

    assert {stop["symbol"] for stop in await watched.stops()} == {"BTCUSDT", "ETHUSDT"}


async def test_a_listen_key_that_died_without_a_word_is_replaced_within_the_half_hour(watched: Watched) -> None:
    [account] = await watched.site.administer("GET", "accounts")
    await watched.site.administer("POST", "streams/kill-key", account=account["account"], told=False)
    await watched.take_the_stop_away()
    await watched.house.pass_time(timedelta(minutes=31))

    look = await watched.look("the listen key is dead")

    assert [found["kind"] for found in look["outcome"]["discrepancies"]] == ["missing_stop"]


@pytest.mark.parametrize("seed", range(3))
async def test_events_that_come_twice_late_or_never_leave_the_books_as_the_exchange_has_them(
    watched: Watched, seed: int
) -> None:
    for kind, share in (("duplicate", 0.5), ("reorder", 0.3), ("disconnect", 0.2)):
        await watched.site.administer("POST", "stream-faults", kind=kind, count=None, probability=share, seed=seed)
    for number in range(6):
        await watched.house.pass_time(timedelta(seconds=10))
        await place_by_hand(watched.house, attempt=number, side=Side.SELL if number % 2 else Side.BUY)
    await watched.site.administer("DELETE", "stream-faults")
    await watched.house.pass_time(timedelta(seconds=10))
    await watched.site.administer("POST", "streams/disconnect")

    looks = [await watched.look()]
    while not await watched.books_agree():
        looks.append(await watched.look())

    assert [look["outcome"].get("error") for look in looks] == [None] * len(looks)


async def test_an_account_without_a_stream_does_not_keep_another_from_being_watched(
    database_url: str, tmp_path: Path
) -> None:
    class NoKeys(ListenKeys):
        def __init__(self) -> None:
            pass

        async def make(self) -> str:
            raise NotAuthorised("as told")

    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(TWO_ACCOUNTS)
    async with watching_over(database_url, accounts_file=accounts) as watched:
        watched.house.runtime.exchange("deaf").listen_keys = NoKeys()
        await watched.begin()
        await watched.take_the_stop_away()
        await watched.look("CANCELED")

        assert len(await watched.stops()) == 1
        assert {line["account"] for line in watched.lines.of(LOOKED)} == {"main"}
