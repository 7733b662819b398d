"""The rules and the dashboard under deploy/, held against what is really exposed, and by Prometheus' own tool."""

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from shared.db.alerts import AlertTable
from shared.db.exchange_streams import ExchangeStreamTable, Listening
from shared.db.tallies import write_down
from shared.db.unit_of_work import Database
from shared.domain.alert import Alarm, AlertKind
from shared.domain.position import Direction
from shared.domain.tally import Counted, Tally
from tests.api.conftest import Serve
from tests.api.listening import listening
from tests.db.samples import an_intent

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
DASHBOARD = PROMETHEUS.parent / "grafana" / "perpetua.json"

METRIC = re.compile(r"\b(perpetua_[a-z_]+)(?:{([^}]*)})?")
MATCHER = re.compile(r'(\w+)\s*[=!]~?\s*"')
KEPT = re.compile(r"\bby \(([^)]*)\)")
TOLD = re.compile(r"\$labels\.(\w+)")
OF_THE_BUCKETS = {"le"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> dict[str, str]:
    """What each panel asks, by its title and place."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return {
        f"{panel['title']} {place}": target["expr"]
        for panel in panels
        for place, target in enumerate(panel.get("targets", ()))
    }


@pytest.fixture
async def scrape(serve: Serve, database: Database) -> str:
    """What Prometheus reads of a house in which everything has happened once."""
    url = serve(llm_daily_budget_usd="5")
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as client,
        listening(url, "/ws/trading-events") as ear,
    ):
        await ear.first("snapshot")
        await client.post("/functions/cycle/invocations", json={"account": "main"})
        now = datetime.fromisoformat((await client.get("/status")).json()["time"])
        tally = Tally()
        tally.count(Counted("stage_failures", "main", "fetch", "venue_unreachable"))
        await write_down(database, tally)
        async with database.open_work() as work:
            await work.orders.promise([an_intent()], now)
            await work.naked.stand("main", {("BTCUSDT", Direction.LONG): now}, now + timedelta(seconds=1))
            await work.naked.stand("main", {}, now + timedelta(seconds=2))
        async with database.transaction() as connection:
            table = AlertTable(connection)
            await table.beat("scheduler")
            await ExchangeStreamTable(connection).note({"main": Listening(connected=True, heard_at=now)})
            await table.settle([Alarm(kind=AlertKind.EXCHANGE_DOWN, text="")], now, channels=["webhook"])
        return (await client.get("/metrics")).text


@pytest.fixture
def labels(scrape: str) -> Mapping[str, set[str]]:
    """The labels of each metric that has samples."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(scrape):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    return found


def strange(expression: str, labels: Mapping[str, set[str]], told: Iterable[str] = ()) -> list[str]:
    """Return what an expression names that is not there: metrics, labels of theirs, and labels told of its result."""
    named = METRIC.findall(expression)
    assert named, expression
    kept = [label for group in KEPT.findall(expression) for label in re.split(r",\s*", group)]
    wrong = [name for name, _ in named if name not in labels]
    for name, matchers in named:
        asked = {*MATCHER.findall(matchers), *kept}
        wrong += [f"{name}: {label}" for label in sorted(asked - labels.get(name, set()))]
    left = set(kept) if kept else set().union(*(labels.get(name, set()) for name, _ in named))
    return wrong + [f"of the result: {label}" for label in told if label not in left]


async def test_every_metric_and_label_that_an_alert_rule_names_is_one_we_expose(labels: Mapping[str, set[str]]) -> None:
    found = rules()

    assert found
    for rule in found:
        assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
        told = TOLD.findall(" ".join(rule["annotations"].values()))
        assert (rule["alert"], strange(rule["expr"], labels, told)) == (rule["alert"], [])
    assert len({rule["alert"] for rule in found}) == len(found)


async def test_every_metric_and_label_that_the_dashboard_shows_is_one_we_expose(
    labels: Mapping[str, set[str]],
) -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert queries()
    for panel, query in queries().items():
        assert (panel, strange(query, labels)) == (panel, [])


def test_every_alert_rule_has_a_case_in_which_it_speaks() -> None:
    cases = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    speaking = {test["alertname"] for case in cases for test in case["alert_rule_test"] if test["exp_alerts"]}

    assert speaking == {rule["alert"] for rule in rules()}


# ---- by Prometheus' own tool


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool here: Debian has it in the package prometheus")
    return found


def said(*command: str | Path, given: str | None = None) -> tuple[int, str]:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_alert_rules_speak_when_they_should_and_say_what_they_should(promtool: str) -> None:
    code, told = said(promtool, "test", "rules", PROMETHEUS / "alerts.test.yml")
    assert code == 0, told


def test_prometheus_understands_the_alert_rules_and_what_the_dashboard_asks(promtool: str, tmp_path: Path) -> None:
    asked = [
        {"record": f"panel:{place}", "expr": query.replace("$account", "main")}
        for place, query in enumerate(queries().values())
    ]
    panels = tmp_path / "panels.yml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))

    for file in (PROMETHEUS / "alerts.yml", panels):
        code, told = said(promtool, "check", "rules", file)
        assert code == 0, told


async def test_prometheus_finds_nothing_to_say_about_what_is_exposed(promtool: str, scrape: str) -> None:
    assert said(promtool, "check", "metrics", given=scrape) == (0, "")
