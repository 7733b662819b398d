"""How things stand, as Prometheus reads it: what every process did, out of the database, and what this one did."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from shared.db import gauges
from shared.db.alerts import KEPT
from shared.db.tallies import write_down
from shared.db.unit_of_work import Database
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.order import Order, OrderState
from shared.domain.position import Direction
from shared.domain.protection import NakedSpell
from shared.domain.reconciliation import Difference, Discrepancy
from shared.domain.tally import Counted, Tally
from tests.api.conftest import Serve
from tests.db.samples import a_call, an_intent

FIVE_MINUTES = timedelta(minutes=5)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def one(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def now_of(client: httpx.AsyncClient) -> datetime:
    return datetime.fromisoformat((await client.get("/status")).json()["time"])


def tick_before(now: datetime, back: int = 0) -> datetime:
    return now.replace(minute=now.minute - now.minute % 5, second=0, microsecond=0) - back * FIVE_MINUTES


async def finished(database: Database, tick: datetime, stage: Stage = Stage.RECONCILE, seconds: float = 3) -> None:
    result = StageResult(stage=stage, request=StageRequest("main", tick), details={})
    async with database.open_work() as work:
        await work.stages.finish(result, started_at=tick, finished_at=tick + timedelta(seconds=seconds))


async def test_cycles_and_how_long_they_took_are_told_whoever_ran_them(
    client: httpx.AsyncClient, database: Database
) -> None:
    now = await now_of(client)
    await finished(database, tick_before(now, 8), seconds=0.4)
    await finished(database, tick_before(now, 7), seconds=7)
    await finished(database, tick_before(now, 4), seconds=200)

    samples = await scraped(client)

    assert one(samples, "perpetua_stage_runs_total", account="main", stage="reconcile", outcome="done") == 3
    buckets = {
        bound: one(samples, "perpetua_stage_seconds_bucket", account="main", stage="reconcile", le=bound)
        for bound in ("0.1", "0.5", "5.0", "10.0", "120.0", "+Inf")
    }
    assert buckets == {"0.1": 0, "0.5": 1, "5.0": 1, "10.0": 2, "120.0": 2, "+Inf": 3}
    assert one(samples, "perpetua_stage_seconds_sum", account="main", stage="reconcile") == 207.4
    assert one(samples, "perpetua_missed_cycles_total", account="main") == 2
    assert one(samples, "perpetua_cycles_overdue", account="main") == 3
    assert one(samples, "perpetua_last_cycle_age_seconds", account="main") >= 4 * 300
    assert one(samples, "perpetua_accounts", status="active") == 1


async def test_a_tick_that_is_served_late_is_counted_as_missed_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    now = await now_of(client)
    await finished(database, tick_before(now, 9))
    await finished(database, tick_before(now, 5))
    await finished(database, tick_before(now, 7))
    await finished(database, tick_before(now, 4))

    assert one(await scraped(client), "perpetua_missed_cycles_total", account="main") == 3


async def test_models_discrepancies_orders_and_spells_without_a_stop_are_counted_as_they_are_written(
    client: httpx.AsyncClient, database: Database
) -> None:
    now = await now_of(client)
    tick = tick_before(now, 1)
    good, bad = a_call(cost=Decimal("0.25"), latency_ms=1500), a_call(content=None, error="ModelUnavailable: gone")
    intent = an_intent(tick=tick)
    order = Order(intent=intent, client_order_id=intent.client_order_id, state=OrderState.REJECTED)
    found = Discrepancy(kind=Difference.MISSING_STOP, symbol="BTCUSDT", ours="a", theirs="b", action="c")
    async with database.open_work() as work:
        await work.model_calls.save(StageRequest("main", tick), [good, bad])
        await work.journal.discrepancies("main", now, [found, found])
        await work.orders.promise([order.intent], tick)
        await work.orders.save([order])
        spell = NakedSpell(symbol="BTCUSDT", direction=Direction.LONG, since=now - timedelta(seconds=7), until=now)
        await work.naked.add("main", [spell])
        await work.naked.stand("main", {("ETHUSDT", Direction.SHORT): now - timedelta(seconds=60)}, now)

    samples = await scraped(client)
    model = good.asked_model
    assert one(samples, "perpetua_model_calls_total", account="main", model=model, outcome="answered") == 1
    assert one(samples, "perpetua_model_calls_total", account="main", model=model, outcome="failed") == 1
    assert one(samples, "perpetua_model_cost_usd_total", account="main", model=model) >= 0.25
    assert one(samples, "perpetua_model_seconds_count", account="main", model=model) == 2
    assert one(samples, "perpetua_discrepancies_total", account="main", kind="missing_stop") == 2
    assert one(samples, "perpetua_orders_total", account="main", state="INTENDED") == 1
    assert one(samples, "perpetua_orders_total", account="main", state="REJECTED") == 1
    assert one(samples, "perpetua_naked_seconds_total", account="main") == 7
    assert one(samples, "perpetua_naked_spells_total", account="main") == 1
    assert one(samples, "perpetua_naked_now_seconds", account="main") >= 60

    async with database.open_work() as work:
        await work.naked.stand("main", {}, now)

    samples = await scraped(client)
    assert one(samples, "perpetua_naked_seconds_total", account="main") == 67
    assert one(samples, "perpetua_naked_now_seconds", account="main") == 0


async def test_what_a_process_alone_saw_is_added_up_over_all_processes(
    client: httpx.AsyncClient, database: Database
) -> None:
    for _ in range(2):
        tally = Tally()
        tally.count(Counted("exchange_calls", subject="GET /fapi/v1/time", outcome="answered"), 3)
        tally.count(Counted("stage_failures", "main", "fetch", "venue_unreachable"))
        await write_down(database, tally)
        assert tally.take() == {}

    samples = await scraped(client)
    assert one(samples, "perpetua_exchange_calls_total", call="GET /fapi/v1/time", outcome="answered") == 6
    assert one(samples, "perpetua_stage_failures_total", account="main", stage="fetch", error="venue_unreachable") == 2


async def test_what_an_account_can_have_is_told_from_zero_before_it_has_it(client: httpx.AsyncClient) -> None:
    samples = await scraped(client)

    assert one(samples, "perpetua_missed_cycles_total", account="main") == 0
    assert one(samples, "perpetua_naked_seconds_total", account="main") == 0
    assert one(samples, "perpetua_discrepancies_total", account="main", kind="liquidation") == 0
    assert one(samples, "perpetua_orders_total", account="main", state="REJECTED") == 0


async def test_requests_are_told_by_the_template_of_their_route_and_what_is_nowhere_as_one(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/accounts/main", "/accounts/nobody", "/secret-1", "/secret-2"):
        await client.get(path)

    samples = await scraped(client)
    named = {"method": "GET", "route": "/accounts/{account}"}
    assert one(samples, "perpetua_http_requests_total", status="200", **named) == 1
    assert one(samples, "perpetua_http_requests_total", status="404", **named) == 1
    assert one(samples, "perpetua_http_requests_total", status="404", method="GET", route="none") == 2
    assert one(samples, "perpetua_http_request_seconds_count", **named) == 2
    assert "secret" not in (await client.get("/metrics")).text


async def test_openmetrics_is_given_to_whoever_asks_for_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in openmetrics(answer.text)}
    assert families["perpetua_database_up"].samples[0].value == 1
    assert [name for name, family in families.items() if not family.documentation] == []


def test_without_a_database_there_is_still_something_to_tell(serve: Serve) -> None:
    url = serve(database_url="postgresql://nobody:hidden@127.0.0.1:9/none")

    answer = httpx.get(f"{url}/metrics")

    assert answer.status_code == 200
    assert "perpetua_database_up 0.0" in answer.text
    assert "perpetua_stage_runs" not in answer.text


async def test_a_scrape_reads_no_more_however_long_the_history(client: httpx.AsyncClient, database: Database) -> None:
    now = await now_of(client)
    async with database.transaction() as connection:
        for statement in HISTORY:
            await connection.execute(text(statement), {"now": now})
        await connection.execute(text("ANALYZE"))
        for statement in (gauges._ACCOUNTS, gauges._ORDERS, gauges._SERIES, gauges._WAITING, gauges._ALERTS):
            given = {"now": now, "kept": KEPT}
            asked = {name: value for name, value in given.items() if f":{name}" in statement.text}
            explained = await connection.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}"), asked)

            assert (statement.text, rows_touched(explained[0]["Plan"]) < 100) == (statement.text, True)


HISTORY = (
    """
    INSERT INTO stage_runs SELECT 'main', at, 'reconcile', '{}', at, at
    FROM generate_series('2020-01-01Z'::timestamptz, '2020-02-01Z', '5 min') at
    """,
    "INSERT INTO equity SELECT account_id, tick, 1, 1, 1, 0 FROM stage_runs",
    """
    INSERT INTO orders
        (account_id, tick, leg, attempt, symbol, client_order_id, side, direction, type, reduce_only, state)
    SELECT account_id, tick, 'entry', 0, 'BTCUSDT', tick::text, 'BUY', 'LONG', 'MARKET', false, 'FILLED' FROM stage_runs
    """,
    """
    INSERT INTO alerts (kind, account_id, subject, severity, text, raised_at, resolved_at)
    SELECT 'liquidation', account_id, tick::text, 'critical', '', tick, tick FROM stage_runs
    """,
    """
    INSERT INTO deliveries (alert_id, news, channel, delivered_at) SELECT id, 'raised', 'webhook', now() FROM alerts
    """,
    """
    CREATE TABLE candles_202001 PARTITION OF candles FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z')
    """,
    """
    INSERT INTO candles SELECT symbol, '5m', tick, 1, 1, 1, 1, 1
    FROM stage_runs, unnest(ARRAY['BTCUSDT', 'ETHUSDT']) symbol WHERE tick < '2020-02-01Z'
    """,
)


def rows_touched(plan: dict[str, Any]) -> float:
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return float(own * plan["Actual Loops"]) + sum(rows_touched(part) for part in plan.get("Plans", ()))
