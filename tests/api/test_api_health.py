"""Is it well, and where does everything stand?"""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy import text

from api.pulse import Pulse
from shared.db.exchange_streams import ExchangeStreamTable, Listening
from shared.db.unit_of_work import Database
from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.errors import VenueUnreachable
from shared.domain.market import Series, Timeframe
from tests.api.conftest import Serve
from tests.api.listening import listening
from tests.db.samples import a_candle

FIVE_MINUTES = timedelta(minutes=5)


async def market_time(client: httpx.AsyncClient) -> datetime:
    return datetime.fromisoformat((await client.get("/status")).json()["time"])


async def served(database: Database, tick: datetime, stage: Stage = Stage.RECONCILE) -> None:
    """Leave the trace of a stage that served *tick*."""
    result = StageResult(stage=stage, request=StageRequest("main", tick), details={"orders": 0})
    async with database.open_work() as work:
        await work.stages.finish(result, started_at=tick, finished_at=tick + timedelta(seconds=3))


async def test_a_fresh_installation_is_ready_before_its_first_cycle(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/ready")

    assert answer.status_code == 200
    held_back = answer.json()["checks"]["streams"]["held_back_seconds"]  # by whoever writes at this moment
    assert answer.json() == {
        "status": "ready",
        "warnings": [],
        "checks": {
            "database": True,
            "exchange": True,
            "models": True,
            "migrations": True,
            "cycles": {"main": {"last_tick": None, "fresh": True}},
            "data": {"series": 4, "stale": 0, "oldest_seconds": 0.0},
            "heartbeats": {},
            "streams": {"listeners": 0, "prices": "idle", "held_back_seconds": held_back, "exchange": {}},
            "log_disk": None,
        },
    }
    assert (await client.get("/health")).json()["checks"].keys() == answer.json()["checks"].keys()


async def test_what_trading_can_do_without_is_a_warning(serve: Serve, database: Database, tmp_path: Path) -> None:
    async with httpx.AsyncClient(
        base_url=serve(openrouter_base_url="http://127.0.0.1:9", log_folder=tmp_path)
    ) as client:
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO heartbeats VALUES ('scheduler', now() - interval '1 hour')"))
        async with database.open_work() as work:
            old = await market_time(client) - timedelta(days=1)
            await work.candles.save({Series("BTCUSDT", Timeframe.M5): [a_candle(old.replace(second=0, microsecond=0))]})

        answer = (await client.get("/health/ready")).json()

    assert answer["status"] == "ready"
    assert answer["warnings"] == [
        "the models do not answer",
        "scheduler was last heard of 3600 s ago",
        "some series of candles are old",
    ]
    assert answer["checks"]["log_disk"] is True


async def test_streams_are_told_by_whether_they_are_listened_to_and_by_whom(serve: Serve, database: Database) -> None:
    url = serve()
    async with httpx.AsyncClient(base_url=url) as client, listening(url, "/ws/trading-events") as ear:
        await ear.first("snapshot")
        now = await market_time(client)
        async with database.transaction() as connection:
            streams = {
                None: Listening(connected=True, heard_at=now),
                "main": Listening(connected=False, heard_at=None),
            }
            await ExchangeStreamTable(connection).note(streams)
        told = await ear.event("exchange_stream"), await ear.event("exchange_stream")
        answer = (await client.get("/health/ready")).json()
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE exchange_streams SET at = at - interval '2 minutes'"))
        later = (await client.get("/health/ready")).json()

    assert {event["account"]: event["body"]["connected"] for event in told} == {None: True, "main": False}
    assert answer["checks"]["streams"]["listeners"] == 1
    assert answer["checks"]["streams"]["exchange"] == {
        "the market": {"connected": True, "heard_at": now.isoformat()},
        "main": {"connected": False, "heard_at": None},
    }
    assert answer["warnings"] == ["the exchange's stream of account main is not listened to"]
    assert later["warnings"] == [
        "the exchange's stream of the market is not listened to",
        "the exchange's stream of account main is not listened to",
    ]


async def test_tables_of_another_version_are_not_ready(client: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    answer = await client.get("/health/ready")

    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["the tables are not of this version"]


async def test_an_account_whose_cycles_lag_is_not_ready_and_named(
    client: httpx.AsyncClient, database: Database
) -> None:
    now = await market_time(client)
    await served(database, now - 2 * FIVE_MINUTES + timedelta(minutes=1))
    assert (await client.get("/health/ready")).status_code == 200

    async with database.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.HALTED, "by hand")
    halted = await client.get("/health/ready")
    assert halted.json()["checks"]["cycles"] == {}


async def test_a_cycle_that_is_more_than_an_interval_late_is_a_503_with_the_reason(
    client: httpx.AsyncClient, database: Database
) -> None:
    last = (await market_time(client) - timedelta(hours=1)).replace(microsecond=0)
    await served(database, last)

    answer = await client.get("/health/ready")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "not_ready")
    assert problem["reasons"] == [f"the last cycle of account main was for {last.isoformat()}"]
    assert problem["checks"]["cycles"]["main"]["fresh"] is False
    assert (await client.get("/health/live")).status_code == 200


def test_what_is_away_is_named_without_its_address(serve: Serve) -> None:
    url = serve(database_url="postgresql://nobody:hidden-word@127.0.0.1:9/none", asterdex_base_url="http://127.0.0.1:9")

    answer = httpx.get(f"{url}/health/ready")

    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["the database does not answer", "the exchange does not answer"]
    assert "127.0.0.1" not in answer.text


async def test_the_exchange_is_not_asked_for_every_question_about_our_health() -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1

    pulse = Pulse(ask)

    assert all(await asyncio.gather(*(pulse.beats() for _ in range(50))))
    assert asked == 1


async def test_an_exchange_that_refuses_has_no_pulse() -> None:
    async def ask() -> None:
        raise VenueUnreachable("no route")

    assert await Pulse(ask).beats() is False


async def test_the_status_tells_each_stage_the_equity_and_the_next_tick(
    client: httpx.AsyncClient, database: Database
) -> None:
    now = await market_time(client)
    tick = now.replace(minute=now.minute - now.minute % 5, second=0, microsecond=0)
    await served(database, tick)

    status = (await client.get("/status")).json()

    assert status["mode"] == "paper"
    account = status["accounts"][0]
    assert (account["account"], account["status"], account["unsettled_orders"]) == ("main", "active", 0)
    assert account["stages"]["reconcile"]["result"] == {"orders": 0}
    assert account["next_tick"] == (tick + FIVE_MINUTES).astimezone(UTC).isoformat()
