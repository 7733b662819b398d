"""People are told of what is the matter: once, at least once, and without anybody who trades waiting for it."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions import alerting
from functions.alerting import attend, channels_of, check, deliver
from scheduler.attending import Attendant
from shared.db.unit_of_work import Database
from shared.domain.account import AccountStatus
from shared.domain.position import Direction
from shared.notices import webhook
from shared.notices.notice import Channel
from tests.house import House, built_house
from tests.served import served

SECRET_BYTES = b"twenty-four bytes or more of it"
SECRET = f"whsec_{base64.b64encode(SECRET_BYTES).decode()}"


class Receiver:
    """A webhook that takes, fails or hangs as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[httpx.Headers, bytes]] = []
        self.status = 204
        self.hangs = False
        self.url = ""
        self.arrived = asyncio.Event()

    async def take(self, request: Request) -> Response:
        self.got.append((httpx.Headers(dict(request.headers)), await request.body()))
        self.arrived.set()
        if self.hangs:
            await request.receive()  # until the other side gives up
        return Response(status_code=self.status)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    @property
    def news(self) -> list[tuple[str, str]]:
        return [(body["type"], body["data"]["kind"]) for body in self.bodies]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with served(Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])) as address:
        receiver.url = f"{address}/hook"
        yield receiver


def configured(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"alert_webhook_url": SecretStr(receiver.url), "alert_webhook_secret": SecretStr(SECRET), **more}


@pytest.fixture
async def house(database_url: str, receiver: Receiver) -> AsyncIterator[House]:
    async with built_house(database_url, **configured(receiver)) as built:
        yield built


@asynccontextmanager
async def ways(house: House) -> AsyncIterator[list[Channel]]:
    async with httpx.AsyncClient() as http:
        yield channels_of(house.runtime.settings, http)


async def halt(house: House, reason: str = "by hand") -> None:
    async with house.runtime.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.HALTED, reason)


async def resume(house: House) -> None:
    async with house.runtime.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.ACTIVE, "")


async def make_due(database: Database) -> None:
    """Let the pause after a failure be over."""
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE deliveries SET due_at = now()"))


async def test_an_alert_is_sent_once_signed_and_again_only_when_it_is_over(house: House, receiver: Receiver) -> None:
    await attend(house.runtime)
    assert receiver.got == []

    await halt(house)
    await attend(house.runtime)
    await attend(house.runtime)

    [(headers, body)] = receiver.got
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    expected = base64.b64encode(hmac.digest(SECRET_BYTES, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert told["type"] == "alert.raised"
    assert told["data"] | {"raised_at": ""} == {
        "id": "1",
        "kind": "account_halted",
        "account": "main",
        "subject": "",
        "severity": "critical",
        "text": "halted: by hand; it opens nothing until it is resumed",
        "raised_at": "",
        "resolved_at": None,
    }

    await resume(house)
    await attend(house.runtime)
    await attend(house.runtime)
    assert receiver.news[1:] == [("alert.resolved", "account_halted")]

    await halt(house)
    await attend(house.runtime)
    assert receiver.news[2:] == [("alert.raised", "account_halted")]
    assert receiver.bodies[2]["data"]["id"] == "2"


async def test_what_a_receiver_did_not_take_is_sent_again_under_the_same_id(house: House, receiver: Receiver) -> None:
    receiver.status = 500
    await halt(house)
    await attend(house.runtime)
    await attend(house.runtime)
    assert len(receiver.got) == 1  # not before its pause is over

    await make_due(house.runtime.database)
    receiver.status = 200
    await attend(house.runtime)
    await make_due(house.runtime.database)
    await attend(house.runtime)

    assert len(receiver.got) == 2
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]


async def test_of_two_senders_at_once_one_sends(house: House, receiver: Receiver) -> None:
    await halt(house)
    async with ways(house) as channels:
        await check(house.runtime, [channel.name for channel in channels])
        sent = await asyncio.gather(*(deliver(house.runtime.database, channels) for _ in range(2)))

    assert sorted(sent) == [0, 1]
    assert len(receiver.got) == 1


async def test_what_a_sender_that_died_had_claimed_is_sent_by_the_next(house: House, receiver: Receiver) -> None:
    receiver.hangs = True
    await halt(house)
    async with ways(house) as channels:
        await check(house.runtime, [channel.name for channel in channels])
        dying = asyncio.create_task(deliver(house.runtime.database, channels))
        await receiver.arrived.wait()
        dying.cancel()
        await asyncio.wait({dying})
        receiver.hangs = False
        assert await deliver(house.runtime.database, channels) == 0  # it is still the other's
        await make_due(house.runtime.database)

        assert await deliver(house.runtime.database, channels) == 1
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]


async def test_a_receiver_that_hangs_delays_neither_a_cycle_nor_what_comes_after(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.hangs = True
    await halt(house)
    async with ways(house) as channels:
        await check(house.runtime, [channel.name for channel in channels])
        sending = asyncio.create_task(deliver(house.runtime.database, channels))
        await receiver.arrived.wait()
        await house.cycle()
        assert not sending.done()
        sending.cancel()
        await asyncio.wait({sending})

        monkeypatch.setattr(webhook, "SEND_SECONDS", 0.2)
        await make_due(house.runtime.database)
        assert await deliver(house.runtime.database, channels) == 0
        async with house.runtime.database.reading() as connection:
            assert await connection.scalar(text("SELECT failure FROM deliveries")) == "no answer within 0.2 s"
        receiver.hangs = False
        await make_due(house.runtime.database)
        assert await deliver(house.runtime.database, channels) == 1


async def test_news_of_more_than_a_day_ago_is_no_news(house: House, receiver: Receiver) -> None:
    receiver.status = 500
    await halt(house)
    await attend(house.runtime)
    async with house.runtime.database.transaction() as connection:
        await connection.execute(text("UPDATE deliveries SET queued_at = now() - interval '25 hours', due_at = now()"))
    receiver.status = 200

    await attend(house.runtime)

    assert len(receiver.got) == 1


async def test_a_position_that_has_stood_without_a_stop_for_too_long_is_told(house: House, receiver: Receiver) -> None:
    now = house.clock.now()
    async with house.runtime.open_work() as work:
        await work.naked.stand("main", {("BTCUSDT", Direction.LONG): now - timedelta(seconds=40)}, now)

    await attend(house.runtime)

    assert receiver.news == [("alert.raised", "position_naked")]


async def test_cycles_that_fail_are_told_and_resolved_by_the_next_that_does_not(
    house: House, receiver: Receiver
) -> None:
    await house.cycle()
    await house.pass_time(timedelta(minutes=15))
    await attend(house.runtime)
    await house.cycle()
    await attend(house.runtime)

    assert receiver.news == [("alert.raised", "cycles_missed"), ("alert.resolved", "cycles_missed")]


async def test_an_exchange_that_is_away_is_told_and_no_text_shows_a_secret(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "EXCHANGE_SECONDS", 1.0)
    await halt(house, "refused with signature=" + "ab" * 32)
    await house.spoil("GET", "/fapi/v3/time", "reset-before", count=99)

    await attend(house.runtime)

    assert sorted(kind for _, kind in receiver.news) == ["account_halted", "exchange_down"]
    assert "abab" not in str(receiver.bodies)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # a library of the library
async def test_chat_services_are_told_through_the_library_and_each_by_itself(
    database_url: str, receiver: Receiver
) -> None:
    good = SecretStr(f"json://{receiver.url.removeprefix('http://')}")
    async with built_house(database_url, alert_urls=(good, SecretStr("json://127.0.0.1:9/none"))) as house:
        await halt(house)
        await attend(house.runtime)

        [told] = receiver.bodies
        assert told["title"] == "Perpetua: account halted (main) raised"
        async with house.runtime.database.reading() as connection:
            rows = await connection.execute(text("SELECT channel, failure FROM deliveries ORDER BY channel"))
            assert [tuple(row) for row in rows] == [("json-1", None), ("json-2", "the service did not take it")]


async def test_a_database_that_is_away_is_told_past_the_queue_once_and_that_it_is_back(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    attendant = Attendant(house.runtime)
    gone = Database("postgresql://nobody@127.0.0.1:9/none", long_lived=True)
    with monkeypatch.context() as patched:
        patched.setattr(house.runtime, "database", gone)
        for _ in range(4):
            await attendant.look()
    assert receiver.news == [("alert.raised", "database_down")]

    await attendant.look()
    await attendant.look()
    await attendant.stop()
    await gone.close()

    assert receiver.news[1:] == [("alert.resolved", "database_down")]


async def test_the_attendant_looks_sends_and_says_that_it_is_there(house: House, receiver: Receiver) -> None:
    await halt(house)
    attendant = Attendant(house.runtime)
    attendant.start()
    await asyncio.wait_for(receiver.arrived.wait(), 30)
    await attendant.stop()

    assert receiver.news == [("alert.raised", "account_halted")]
    async with house.runtime.database.reading() as connection:
        assert await connection.scalar(text("SELECT name FROM heartbeats")) == "scheduler"


async def test_the_command_tells_which_channels_take_a_test(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await by_hand(monkeypatch) == (
        2,
        "",
        "perpetua: no channel is configured: set ALERT_WEBHOOK_URL or ALERT_URLS\n",
    )

    monkeypatch.setenv("ALERT_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", SECRET)
    assert await by_hand(monkeypatch) == (0, "webhook: taken\n", "")
    assert receiver.news == [("alert.raised", "test")]

    receiver.status = 404
    assert await by_hand(monkeypatch) == (1, "webhook: HTTP 404\n", "")


async def by_hand(monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    monkeypatch.setenv("ENVIRONMENT", "testing")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "functions.alerting",
        "--test",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
