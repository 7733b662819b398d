"""Accounts can be seen, paused and resumed."""

import json

import httpx
from sqlalchemy import text

from shared.db.outbox import BEGINNING, Outbox
from shared.db.unit_of_work import Database
from shared.domain.account import AccountStatus, Breaker
from shared.domain.breakers import Trip
from tests.builders import TICK


async def status_of(database: Database) -> AccountStatus:
    async with database.open_work() as work:
        return (await work.accounts.get("main")).status


async def test_the_configured_account_is_there_without_its_secrets(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/accounts")).json()
    shown = await client.get("/accounts/main")

    assert [row["account"] for row in listed["items"]] == ["main"]
    assert listed["next"] is None
    assert shown.json() == listed["items"][0]
    assert shown.json()["config"]["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert "key" not in shown.text


async def test_an_account_that_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get("/accounts/nobody"),
        await client.post("/accounts/nobody/pause"),
        await client.post("/accounts/nobody/resume"),
        await client.get("/performance", params={"account": "nobody"}),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert (await client.get("/accounts/%00%ff")).json()["code"] == "bad_parameter"
    assert {answer.json()["code"] for answer in answers} == {"unknown_account"}


async def test_a_paused_account_stops_trading_until_it_is_resumed(
    client: httpx.AsyncClient, database: Database
) -> None:
    paused = await client.post("/accounts/main/pause")
    assert (paused.json()["status"], await status_of(database)) == ("paused", AccountStatus.PAUSED)

    resumed = await client.post("/accounts/main/resume")
    assert (resumed.json()["status"], await status_of(database)) == ("active", AccountStatus.ACTIVE)


async def test_pausing_twice_tells_the_streams_once(client: httpx.AsyncClient, database: Database) -> None:
    await client.post("/accounts/main/pause")
    await client.post("/accounts/main/pause")

    told = [event for event in (await Outbox(database).read(BEGINNING)).events if event.kind == "account"]
    assert [json.loads(event.body)["status"] for event in told] == ["active", "paused"]


async def test_a_halted_account_is_not_made_less_than_halted_by_a_pause(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.HALTED, "the key was refused")

    answer = await client.post("/accounts/main/pause")

    assert (answer.status_code, answer.json()["code"]) == (409, "account_halted")
    assert await status_of(database) is AccountStatus.HALTED
    assert (await client.post("/accounts/main/resume")).json()["status"] == "active"


async def test_resuming_lifts_the_breakers_that_stand_and_the_account_shows_them_until_then(
    client: httpx.AsyncClient, database: Database
) -> None:
    trip = Trip(breaker=Breaker.DRAWDOWN, at=TICK, lifts_at=None, flatten=False, reason="the account lost 20 %")
    async with database.open_work() as work:
        await work.breakers.trip("main", [trip])

    before = (await client.get("/accounts/main")).json()
    after = (await client.post("/accounts/main/resume")).json()

    assert before["breakers"] == {"drawdown": "the account lost 20 %"}
    assert (after["status"], after["breakers"]) == ("active", {})
    async with database.reading() as connection:
        standing = await connection.scalars(
            text("SELECT (body ->> 'standing')::boolean FROM events WHERE kind = 'breaker' ORDER BY id")
        )
        assert list(standing) == [True, False]
