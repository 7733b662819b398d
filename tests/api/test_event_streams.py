"""What happens to accounts, as it happens: over real WebSockets, out of a real outbox."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api import admission
from api.live import feed, sockets
from shared.db.alerts import AlertTable
from shared.db.outbox import Hints, Outbox, Watch
from shared.db.unit_of_work import Database
from shared.domain.alert import Alarm, AlertKind
from shared.settings import Settings
from tests.api.conftest import Serve
from tests.api.listening import api_process, listening
from tests.db.samples import TICK, a_point, a_position, an_intent, open_accounts

EVENTS, POSITIONS = "/ws/trading-events", "/ws/positions"
LAST = -1


async def tell(database: Database, *kinds: str, account: str = "main", **body: Any) -> None:
    async with database.open_work() as work:
        for kind in kinds:
            await work.journal.event(account, kind, TICK, {"of": kind} | body)


class RolledBack(Exception):
    pass


def fail_once_in_five(dice: random.Random) -> None:
    if dice.random() < 0.2:
        raise RolledBack


@pytest.fixture
async def url(serve: Serve, database: Database) -> str:
    await open_accounts(database, "main", "other")
    return serve()


async def test_a_listener_gets_how_things_are_and_then_every_change(url: str, database: Database) -> None:
    async with database.open_work() as work:
        await work.holds.replace_positions("main", [a_position()], TICK)
        await work.orders.promise([an_intent()], TICK)

    async with listening(url, EVENTS) as ear:
        snapshot = await ear.first("snapshot")
        await tell(database, "a", "b")
        told = await ear.events(2)

    assert snapshot["reason"] == "began"
    assert [row["account"] for row in snapshot["accounts"]] == ["main", "other"]
    assert [row["symbol"] for row in snapshot["positions"]] == ["BTCUSDT"]
    assert [row["state"] for row in snapshot["orders"]] == ["INTENDED"]
    assert [(event["kind"], event["account"], event["body"]) for event in told] == [
        ("a", "main", {"of": "a"}),
        ("b", "main", {"of": "b"}),
    ]
    assert told[0]["at"] == TICK.isoformat()


async def test_a_listener_goes_on_where_it_left_off(url: str, database: Database) -> None:
    async with listening(url, EVENTS) as ear:
        await ear.first("snapshot")
        await tell(database, "a", "b")
        [first, _] = await ear.events(2)
    await tell(database, "c")

    async with listening(url, f"{EVENTS}?cursor={first['cursor']}") as ear:
        resumed = await ear.first("resumed")
        assert resumed["cursor"] == first["cursor"]
        assert [event["kind"] for event in await ear.events(2)] == ["b", "c"]
        await tell(database, "d")
        assert (await ear.first("event"))["kind"] == "d"


async def test_a_listener_may_go_on_at_another_server_and_after_its_own_was_killed(
    settings: Settings, database: Database
) -> None:
    await open_accounts(database)
    with api_process(settings) as (second, _):
        with api_process(settings) as (first, process):
            async with listening(first, EVENTS) as ear, listening(second, EVENTS) as other:
                await ear.first("snapshot")
                await other.first("snapshot")
                await tell(database, "a", "b")
                told = await ear.events(2)
                assert await other.events(2) == told  # the very same messages, cursors included
                process.kill()
                with pytest.raises(ConnectionClosed):
                    await ear.next()
                await tell(database, "c")

        async with listening(second, f"{EVENTS}?cursor={told[0]['cursor']}") as ear:
            await ear.first("resumed")
            rest = await ear.events(2)
        assert rest[:1] == told[1:]

    with api_process(settings) as (again, _):
        async with listening(again, f"{EVENTS}?cursor={told[0]['cursor']}") as ear:
            await ear.first("resumed")
            assert await ear.events(2) == rest


async def test_one_account_and_one_symbol_can_be_listened_to_alone(url: str, database: Database) -> None:
    async with (
        listening(url, f"{EVENTS}?account=other") as of_other,
        listening(url, f"{EVENTS}?symbol=ETHUSDT") as of_ether,
    ):
        assert [row["account"] for row in (await of_other.first("snapshot"))["accounts"]] == ["other"]
        await of_ether.first("snapshot")
        await tell(database, "a", symbol="BTCUSDT")
        await tell(database, "b", symbol="ETHUSDT")
        await tell(database, "c", account="other")

        assert (await of_other.first("event"))["kind"] == "c"
        assert [event["kind"] for event in await of_ether.events(2)] == ["b", "c"]  # what is of no symbol concerns all


async def test_an_alert_is_told_whose_it_is_and_one_of_the_house_to_whoever_listens_to_the_house(
    url: str, database: Database
) -> None:
    down = Alarm(kind=AlertKind.EXCHANGE_DOWN, text="it does not answer")
    halted = Alarm(kind=AlertKind.ACCOUNT_HALTED, account_id="main", text="the key was refused")
    async with listening(url, EVENTS) as of_all, listening(url, f"{EVENTS}?account=main") as of_one:
        await of_all.first("snapshot")
        await of_one.first("snapshot")
        async with database.transaction() as connection:
            await AlertTable(connection).settle([down, halted], TICK, channels=[])

        told = await of_all.events(2)
        assert [(event["account"], event["body"]["alert_kind"]) for event in told] == [
            (None, "exchange_down"),
            ("main", "account_halted"),
        ]
        assert await of_one.first("event") == told[1]


async def test_positions_tell_what_is_held_what_protects_it_and_what_it_is_worth(url: str, database: Database) -> None:
    async with listening(url, f"{POSITIONS}?account=main") as ear:
        assert (await ear.first("snapshot"))["positions"] == []
        async with database.open_work() as work:
            await work.orders.promise([an_intent()], TICK)
            await work.holds.replace_positions("main", [a_position()], TICK)
            await work.holds.add_equity("main", a_point(TICK, "1001"))
        async with database.open_work() as work:
            await work.holds.replace_positions("main", [a_position(quantity=Decimal("0.02"))], TICK)
            await work.holds.replace_positions("main", [], TICK)

        told = await ear.events(4)
    kinds = [event["kind"] for event in told]
    assert kinds == ["position_opened", "equity", "position_changed", "position_closed"]
    assert told[2]["body"]["quantity"] == "0.02"
    assert told[1]["body"]["wallet"] == "1001"


@pytest.fixture
def servers(settings: Settings) -> Iterator[list[str]]:
    """Two processes of the API on one database."""
    with api_process(settings) as (first, _), api_process(settings) as (second, _):
        yield [first, second]


async def test_every_event_is_told_exactly_once_and_in_order_whatever_overlaps_and_breaks(
    servers: list[str], database: Database
) -> None:
    """Transactions that overlap and roll back at random, and two listeners that change servers at random."""
    await open_accounts(database)
    dice = random.Random(7)
    written: list[int] = []
    numbers = iter(range(10_000))

    async def write(writer: int) -> None:
        for _ in range(25):
            mine = []
            with suppress(RolledBack):
                async with database.open_work() as work:
                    for _ in range(dice.randint(1, 4)):
                        number = next(numbers)
                        await work.journal.event("main", "n", TICK, {"n": number, "writer": writer})
                        mine.append(number)
                    fail_once_in_five(dice)
                written.extend(mine)

    async def hear(told: list[tuple[int, int]], cursor: str) -> None:
        while True:
            async with listening(dice.choice(servers), f"{EVENTS}?cursor={cursor}") as ear:
                await ear.first("resumed")
                for event in [await ear.event("n") for _ in range(dice.randint(1, 30))]:
                    if event["body"]["writer"] == LAST:
                        return
                    told.append((event["body"]["n"], event["body"]["writer"]))
                    cursor = event["cursor"]

    start = str(await Outbox(database).end())
    heard: list[list[tuple[int, int]]] = [[], []]
    listeners = [asyncio.create_task(hear(told, start)) for told in heard]
    await asyncio.gather(*(write(writer) for writer in range(6)))
    await tell(database, *["n"] * 30, writer=LAST)
    await asyncio.gather(*listeners)

    assert heard[0] == heard[1]
    assert sorted(number for number, _ in heard[0]) == sorted(written)
    for writer in range(6):
        own = [number for number, of in heard[0] if of == writer]
        assert own == sorted(own)


async def test_a_slow_listener_is_told_why_it_is_dropped_and_misses_nothing_when_it_comes_back(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_EVENTS", 20)
    async with listening(url, EVENTS, max_queue=1) as slow, listening(url, EVENTS) as quick:
        start = (await slow.first("snapshot"))["cursor"]
        await quick.first("snapshot")
        # More than the buffers between us hold, of which the slow one takes nothing.
        for _ in range(60):
            await tell(database, "big", much="x" * 400_000)
            await quick.first("event")
        error, code, reason = await slow.end()

    assert (error["code"], code, reason) == ("slow_reader", 4408, "slow_reader")
    async with listening(url, f"{EVENTS}?cursor={start}") as ear:
        await ear.first("resumed")
        assert len(await ear.events(60)) == 60


async def test_a_listener_that_comes_back_too_late_begins_with_how_things_are(url: str, database: Database) -> None:
    async with listening(url, EVENTS) as ear:
        cursor = (await ear.first("snapshot"))["cursor"]
    await tell(database, "a", "b")
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE events SET told_at = told_at - interval '8 days'"))
    await Outbox(database).prune(timedelta(days=7))
    await tell(database, "c")

    async with listening(url, f"{EVENTS}?cursor={cursor}") as ear:
        snapshot = await ear.first("snapshot")
        await tell(database, "d")
        assert (await ear.first("event"))["kind"] == "d"

    assert snapshot["reason"] == "cursor_too_old"


async def test_a_silent_stream_says_that_it_lives_and_how_far_it_is(url: str, database: Database) -> None:
    async with listening(url, f"{EVENTS}?account=main&heartbeat=1") as ear:
        cursor = (await ear.first("snapshot"))["cursor"]
        assert (await ear.first("ping"))["cursor"] >= cursor
        await tell(database, "a", account="other")
        # What it was not told of moves it on as well: it need not be looked through again.
        while (ping := await ear.first("ping"))["cursor"] == cursor:
            pass
    async with listening(url, f"{EVENTS}?heartbeat=1&cursor={ping['cursor']}") as ear:
        await ear.first("resumed")
        assert (await ear.next())["type"] == "ping"


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("symbl=BTCUSDT", "bad_parameter", "no parameter symbl"),
        ("account=UPPER", "bad_parameter", "account"),
        ("account=main&account=other", "bad_parameter", "twice"),
        ("cursor=seven", "bad_parameter", "no cursor"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(url: str, query: str, code: str, says: str) -> None:
    async with listening(url, f"{EVENTS}?{query}") as ear:
        error, closed, reason = await ear.end()

    assert (error["code"], closed, reason) == (code, 4400, code)
    assert says in error["detail"]


async def test_a_stream_takes_no_messages(url: str) -> None:
    async with listening(url, EVENTS) as ear:
        await ear.first("snapshot")
        await ear.socket.send("hello")
        error, code, _ = await ear.end()

    assert (error["code"], code) == ("unexpected_message", 4400)


async def test_streams_end_when_the_database_goes_away_and_begin_again_when_it_is_back(
    url: str, database: Database, database_url: str
) -> None:
    async with listening(url, EVENTS) as ear:
        cursor = (await ear.first("snapshot"))["cursor"]
        async with database.transaction() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        await tell(database, "a")
        first = await ear.next()
        if first["type"] == "error":
            assert first["code"] == "database_unavailable"

    async with listening(url, f"{EVENTS}?cursor={cursor}") as ear:
        await ear.first("resumed")
        assert (await ear.first("event"))["kind"] == "a"


async def test_streams_live_without_hints_as_behind_a_pooler(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hints, "hear", lambda _: None)
    async with listening(url, EVENTS) as ear:
        await ear.first("snapshot")
        for kind in ("a", "b"):
            await tell(database, kind)
            assert (await ear.first("event"))["kind"] == kind


async def test_what_an_open_transaction_keeps_back_is_told_as_soon_as_it_ends(url: str, database: Database) -> None:
    async with listening(url, EVENTS) as ear:
        await ear.first("snapshot")
        async with database.transaction() as older:
            await older.execute(text("SELECT pg_current_xact_id()"))  # it writes nothing, and gives no hint
            await tell(database, "younger")
        assert (await ear.first("event"))["kind"] == "younger"


async def test_too_many_streams_are_refused_and_the_others_go_on(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MOST_SOCKETS", 1)
    async with listening(url, EVENTS) as ear:
        await ear.first("snapshot")
        async with listening(url, EVENTS) as second:
            error, code, _ = await second.end()
        assert (error["code"], code) == ("too_many_streams", 4503)
        await tell(database, "a")
        assert (await ear.first("event"))["kind"] == "a"


async def test_a_page_shows_its_token_as_a_subprotocol_and_gets_ours_back(serve: Serve) -> None:
    url = serve(api_token="secret-" * 5)
    async with listening(url, EVENTS, subprotocols=["perpetua", f"bearer.{'secret-' * 5}"]) as ear:
        assert ear.socket.subprotocol == "perpetua"
        await ear.first("snapshot")


async def test_nobody_listens_without_the_token(serve: Serve) -> None:
    url = serve(api_token="secret-" * 5)
    with pytest.raises(InvalidStatus) as refused:
        async with listening(url, EVENTS):
            pass
    assert refused.value.response.status_code == 401

    headers = {"Authorization": f"Bearer {'secret-' * 5}"}
    async with listening(url, EVENTS, additional_headers=headers) as ear:
        await ear.first("snapshot")


@pytest.mark.parametrize(
    "ends",
    [
        "UPDATE tokens SET revoked_at = now() WHERE name = 'desk'",
        "UPDATE tokens SET expires_at = now() WHERE name = 'desk'",
        "UPDATE tokens SET account_id = 'other' WHERE name = 'desk'",
    ],
    ids=["revoked", "expired", "confined"],
)
async def test_a_stream_ends_when_its_token_does_or_is_for_less_and_another_goes_on(
    serve: Serve, database: Database, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(sockets, "DOOR_SECONDS", 0.05)
    monkeypatch.setattr(admission, "FRESH_SECONDS", 0.05)
    await open_accounts(database, "main", "other")
    url = serve(api_token="secret-" * 5)
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {'secret-' * 5}"}) as admin:
        made = {
            name: (await admin.post("/tokens", json={"name": name, "scope": "read"})).json()["token"]
            for name in ("desk", "kiosk")
        }
    of = {name: {"Authorization": f"Bearer {token}"} for name, token in made.items()}
    async with (
        listening(url, EVENTS, additional_headers=of["desk"]) as ear,
        listening(url, EVENTS, additional_headers=of["kiosk"]) as other,
    ):
        await ear.first("snapshot")
        await other.first("snapshot")
        async with database.transaction() as connection:
            await connection.execute(text(ends))
        error, code, reason = await ear.end()
        await tell(database, "a")
        await other.event("a")

    assert (error["code"], code, reason) == ("token_ended", 4401, "token_ended")


async def test_an_account_that_never_was_cannot_be_listened_to(url: str) -> None:
    async with listening(url, f"{EVENTS}?account=nobody") as ear:
        error, code, reason = await ear.end()

    assert (error["code"], code, reason) == ("unknown_account", 4404, "unknown_account")


async def test_a_token_of_one_account_listens_to_no_other(serve: Serve, database: Database) -> None:
    await open_accounts(database, "main", "other")
    url = serve(api_token="secret-" * 5)
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {'secret-' * 5}"}) as admin:
        made = (await admin.post("/tokens", json={"name": "desk", "scope": "read", "account": "main"})).json()
    mine = {"Authorization": f"Bearer {made['token']}"}

    async with listening(url, f"{EVENTS}?account=other", additional_headers=mine) as ear:
        error, code, reason = await ear.end()
    async with listening(url, EVENTS, additional_headers=mine) as ear:
        await ear.first("snapshot")
        await tell(database, "theirs", account="other")
        await tell(database, "mine")
        assert (await ear.first("event"))["kind"] == "mine"

    assert (error["code"], code, reason) == ("wrong_account", 4403, "wrong_account")


async def test_many_listeners_are_told_by_one_reader(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = []

    def watch(outbox: Outbox) -> AbstractAsyncContextManager[Watch]:
        readers.append(outbox)
        return watched(outbox)

    watched = Outbox.watch
    monkeypatch.setattr(Outbox, "watch", watch)
    async with asyncio.TaskGroup() as group, listening(url, EVENTS) as last:

        async def hear() -> None:
            async with listening(url, EVENTS) as ear:
                await ear.first("snapshot")
                ready.release()
                assert (await ear.first("event"))["kind"] == "a"

        ready = asyncio.Semaphore(0)
        for _ in range(100):
            group.create_task(hear())
        for _ in range(100):
            await ready.acquire()
        await last.first("snapshot")
        await tell(database, "a")
        assert (await last.first("event"))["kind"] == "a"

    assert len(readers) == 1
