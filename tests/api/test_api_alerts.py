"""Alerts as people see them: listed, narrowed down, and acknowledged once."""

import httpx

from shared.db.alerts import AlertTable
from shared.db.unit_of_work import Database
from shared.domain.alert import Alarm, AlertKind
from tests.api.conftest import Serve
from tests.db.samples import TICK

HALTED = Alarm(kind=AlertKind.ACCOUNT_HALTED, account_id="main", text="halted: the key")
DOWN = Alarm(kind=AlertKind.EXCHANGE_DOWN, text="the exchange does not answer")


async def settled(database: Database, *found: Alarm) -> None:
    async with database.transaction() as connection:
        await AlertTable(connection).settle(found, TICK, channels=["webhook"])


async def test_alerts_are_listed_newest_first_and_narrowed_down(client: httpx.AsyncClient, database: Database) -> None:
    await settled(database, HALTED)
    await settled(database, HALTED, DOWN)
    await settled(database, DOWN)

    everything = (await client.get("/alerts")).json()["items"]
    assert [(each["kind"], each["account"], each["severity"]) for each in everything] == [
        ("exchange_down", None, "critical"),
        ("account_halted", "main", "critical"),
    ]
    assert everything[1]["resolved_at"] == TICK.isoformat()
    for query, kinds in (
        ("standing=true", ["exchange_down"]),
        ("standing=false", ["account_halted"]),
        ("account=main", ["account_halted"]),
        ("kind=exchange_down", ["exchange_down"]),
        ("until=2020-01-01T00:00:00Z", []),
    ):
        items = (await client.get(f"/alerts?{query}")).json()["items"]
        assert (query, [each["kind"] for each in items]) == (query, kinds)
    page = (await client.get("/alerts?limit=1")).json()
    assert (await client.get("/alerts", params={"limit": 1, "before": page["next"]})).json()["items"] == everything[1:]
    assert (await client.get("/alerts?format=csv")).text.count("\n") == 3


async def test_who_acknowledged_first_stays_on_record(client: httpx.AsyncClient, database: Database) -> None:
    await settled(database, HALTED)
    [alert] = (await client.get("/alerts")).json()["items"]
    assert alert["acknowledged_at"] is None

    first = await client.post(f"/alerts/{alert['id']}/acknowledge")
    again = await client.post(f"/alerts/{alert['id']}/acknowledge")

    assert first.status_code == 200
    assert first.json()["acknowledged_by"]
    assert again.json() == first.json()
    assert first.json()["resolved_at"] is None


async def test_an_alert_that_is_not_there_is_a_404_and_no_number_a_400(serve: Serve) -> None:
    async with httpx.AsyncClient(base_url=serve()) as client:
        missing, odd = await client.post("/alerts/7/acknowledge"), await client.post("/alerts/seven/acknowledge")

    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_alert")
    assert (odd.status_code, odd.json()["code"]) == (400, "bad_parameter")
