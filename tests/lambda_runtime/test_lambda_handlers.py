"""Each stage as the cloud runs it: under Amazon's runtime client, in a container of its own, called through boto3."""

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import text

from shared.db.unit_of_work import Database
from tests.lambda_runtime.conftest import MODEL_KEY, PRIVATE_KEY, Cloud
from tests.lambda_runtime.runtime_api import ROOT

STAGES = ["fetch", "decide", "execute", "reconcile"]
ORDER = "/fapi/v3/order"
A_MINUTE = "delay-ms:60000"


async def test_the_four_functions_in_order_end_in_a_protected_position(cloud: Cloud) -> None:
    answers = [await (await cloud.function(stage)).invoke(cloud.event) for stage in STAGES]

    assert [answer.failed for answer in answers] == [False] * 4
    assert [answer.payload["stage"] for answer in answers] == STAGES
    entry, stop, target = await cloud.venue_orders()
    assert (entry["type"], entry["status"]) == ("MARKET", "FILLED")
    assert {(order["type"], order["status"]) for order in (stop, target)} == {
        ("STOP_MARKET", "NEW"),
        ("TAKE_PROFIT_MARKET", "NEW"),
    }
    [position] = answers[-1].payload["positions"]
    assert position.endswith("BTCUSDT")
    assert answers[-1].payload["discrepancies"] == []


async def test_the_whole_cycle_is_one_function_too(cloud: Cloud) -> None:
    answer = await (await cloud.function("cycle")).invoke(cloud.event)

    assert not answer.failed
    assert list(answer.payload) == ["account", "tick", *STAGES]
    assert len(await cloud.venue_orders(status="FILLED")) == 1


async def test_a_repeated_event_gets_the_stored_result_from_a_warm_container_and_from_a_fresh_one(cloud: Cloud) -> None:
    fetch = await cloud.function("fetch")

    first = await fetch.invoke(cloud.event)
    warm = await fetch.invoke(cloud.event)
    assert fetch.cold_starts == 1
    await fetch.close()
    fresh = await fetch.invoke(cloud.event)

    assert fetch.cold_starts == 2
    assert first.payload["repeated"] is False
    assert warm.payload == fresh.payload == {**first.payload, "repeated": True}


async def test_a_stage_that_fails_says_why_and_its_container_serves_the_next_event(cloud: Cloud) -> None:
    fetch, decide = await cloud.function("fetch"), await cloud.function("decide")

    too_early = await decide.invoke(cloud.event)
    await fetch.invoke(cloud.event)
    in_time = await decide.invoke(cloud.event)

    assert too_early.failed
    assert too_early.payload["errorType"] == "MarketDataUnusable"
    assert "run fetch first" in too_early.payload["errorMessage"]
    assert not in_time.failed
    assert decide.cold_starts == 1


async def test_an_exchange_that_is_down_is_a_named_failure(cloud: Cloud) -> None:
    fetch = await cloud.function("fetch", ASTERDEX_BASE_URL="http://127.0.0.1:9")

    answer = await fetch.invoke(cloud.event)

    assert answer.failed
    assert answer.payload["errorType"] == "VenueUnreachable"


async def test_no_secret_leaves_a_container_that_fails(cloud: Cloud) -> None:
    password = "a-password-of-ours"
    fetch = await cloud.function("fetch", DATABASE_URL=f"postgresql://us:{password}@127.0.0.1:9/perpetua")

    answer = await fetch.invoke(cloud.event)

    assert answer.failed
    assert answer.payload["errorType"] == "DatabaseUnavailable"
    assert "127.0.0.1:9/perpetua" in answer.payload["errorMessage"]
    told = json.dumps(answer.payload) + fetch.log.read_text()
    assert [secret for secret in (password, PRIVATE_KEY, MODEL_KEY) if secret in told] == []


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ([], 'must be a JSON object such as {"account": "main"}'),
        ({"account": "nobody"}, "no account 'nobody' is configured: there is main"),
        ({"account": "main", "when": "now"}, "unknown field 'when'"),
        ({"account": "main", "tick": "noon"}, "tick must be a time such as"),
    ],
)
async def test_an_event_that_names_no_cycle_is_refused_in_one_line(cloud: Cloud, event: Any, complaint: str) -> None:
    answer = await (await cloud.function("fetch")).invoke(event)

    assert answer.failed
    assert answer.payload["errorType"] == "BadEvent"
    assert complaint in answer.payload["errorMessage"]
    assert "\n" not in answer.payload["errorMessage"]


async def test_a_container_killed_while_an_order_is_under_way_leaves_one_order_and_no_riddle(
    cloud: Cloud, database: Database
) -> None:
    for stage in ("fetch", "decide"):
        assert not (await (await cloud.function(stage)).invoke(cloud.event)).failed
    execute, reconcile = await cloud.function("execute"), await cloud.function("reconcile")
    await cloud.spoil("POST", ORDER, A_MINUTE)

    call = asyncio.create_task(execute.invoke(cloud.event))
    await nothing_left(cloud)
    await execute.close()
    killed = await call
    assert killed.failed
    assert killed.payload["errorType"] == "Runtime.ExitError"

    stands_by = await execute.invoke(cloud.event)
    assert stands_by.payload["errorType"] == "StageBusy"

    await let_the_lease_run_out(database)
    again = await execute.invoke(cloud.event)
    assert again.payload["repeated_after_crash"] is True
    assert {order["state"] for order in again.payload["orders"]} == {"UNRESOLVED"}
    [entry] = await cloud.venue_orders()
    assert (entry["type"], entry["status"]) == ("MARKET", "FILLED")

    settled = await reconcile.invoke(cloud.event)
    assert not settled.failed
    assert "order_resolved" in {each["kind"] for each in settled.payload["discrepancies"]}
    assert len(await cloud.venue_orders(type="MARKET")) == 1
    assert len(await cloud.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_a_call_that_outlasts_its_function_is_ended_and_said_to_be(cloud: Cloud) -> None:
    fetch = await cloud.function("fetch", seconds=2)
    await cloud.spoil("GET", "/fapi/v3/exchangeInfo", A_MINUTE)

    late = await fetch.invoke(cloud.event)

    assert late.failed
    assert late.payload["errorType"] == "Sandbox.Timedout"


def test_a_cold_container_loads_no_slow_library() -> None:
    code = "import sys, functions.handlers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    slow = {"pandas", "polars", "boto3", "botocore", "alembic", "eth_account", "starlette", "apscheduler", "websockets"}
    assert slow & {*loaded.stdout.split()} == set()


async def nothing_left(cloud: Cloud) -> None:
    """Return once every fault has struck."""
    async with asyncio.timeout(20):
        while await cloud.faults_to_come():  # noqa: ASYNC110  (the exchange tells by its own HTTP door only)
            await asyncio.sleep(0.02)


async def let_the_lease_run_out(database: Database) -> None:
    """A dead copy's lease ends by the database's clock: put it into the past."""
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'"))


async def test_somebody_looks_after_alerts_in_the_cloud_too(cloud: Cloud, database: Database) -> None:
    alert = await cloud.function("alert", ALERT_URLS="json://127.0.0.1:9/nobody")

    first = await alert.invoke({})

    assert not first.failed, first.payload
    assert first.payload == {"delivered": 0}
    async with database.reading() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM heartbeats")) == 1
