"""EventBridge's schedules follow the accounts table, and fire when a tick is due."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scheduler.cloud import CannotSchedule, Changes, synchronise, timing
from shared.domain.account import Account, AccountStatus
from shared.domain.cycle import tick_at
from shared.domain.market import Timeframe

ROOT = Path(__file__).parents[2]
NOW = datetime(2030, 5, 6, 16, 7, 30, tzinfo=UTC)
TARGET = "arn:aws:states:eu-central-1:123456789012:stateMachine:perpetua"
ROLE = "arn:aws:iam::123456789012:role/perpetua-scheduler"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:perpetua-undelivered"
DAY = timedelta(days=1)


def account(name: str = "main", *, minutes: float = 5, status: AccountStatus = AccountStatus.ACTIVE) -> Account:
    return Account(
        id=name,
        symbols=("BTCUSDT",),
        timeframes=(Timeframe.M5,),
        interval=timedelta(minutes=minutes),
        model="emulated/rule-follower",
        status=status,
    )


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        scheduler = boto3.client("scheduler")
        scheduler.create_schedule_group(Name="perpetua")
        yield scheduler


def follow(client: Any, *accounts: Account, now: datetime = NOW, **more: Any) -> Changes:
    return synchronise(accounts, client=client, group="perpetua", target_arn=TARGET, role_arn=ROLE, now=now, **more)


def schedule(client: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get_schedule(GroupName="perpetua", Name=f"perpetua-{name}")
    return found


def firings(timing: dict[str, Any], since: datetime, span: timedelta) -> list[datetime]:
    """Read a schedule as EventBridge documents it and return when it fires: minutes, hours, and `*` for the rest."""
    expression = timing["ScheduleExpression"]
    if rate := re.fullmatch(r"rate\(([2-9]|[1-9]\d+) minutes\)", expression):
        step, moment = timedelta(minutes=int(rate[1])), timing["StartDate"]
        return [moment + step * n for n in range(span // step + 1) if moment + step * n < since + span]
    cron = re.fullmatch(r"cron\((\S+) (\S+) \* \* \? \*\)", expression)
    assert cron, f"EventBridge would refuse {expression}"
    assert "StartDate" not in timing
    minutes, hours = places(cron[1], 60), places(cron[2], 24)
    begins = since.replace(second=0, microsecond=0)
    everything = (begins + timedelta(minutes=n) for n in range(span // timedelta(minutes=1)))
    return [moment for moment in everything if moment.minute in minutes and moment.hour in hours and moment >= since]


def places(field: str, size: int) -> range:
    """Return the values that `*`, `7` or `1/5` stands for."""
    match field.split("/"):
        case ["*"]:
            return range(size)
        case [value]:
            assert int(value) < size
            return range(int(value), int(value) + 1)
        case [first, step]:
            assert int(first) < size
            assert 0 < int(step) < size
            return range(int(first), size, int(step))
    raise AssertionError(f"{field} is no field of a cron expression")


@pytest.mark.parametrize("minutes", [1, 2, 3, 5, 7, 15, 30, 45, 60, 90, 120, 240, 300, 480, 1440, 1500, 2880])
def test_every_tick_has_one_firing_of_its_own_soon_after_the_close(minutes: int) -> None:
    interval = timedelta(minutes=minutes)
    span = max(2 * DAY, 4 * interval)

    fired = firings(timing(account(minutes=minutes), NOW), NOW, span)

    ticks = [tick_at(moment, interval) for moment in fired]
    assert len(ticks) >= span // interval - 1
    assert ticks == [ticks[0] + interval * n for n in range(len(ticks))]
    assert {moment - tick for moment, tick in zip(fired, ticks, strict=True)} == {
        timedelta(minutes=0 if minutes == 1 else 1)
    }


@pytest.mark.parametrize(
    ("minutes", "expression"),
    [
        (1, "cron(0/1 * * * ? *)"),
        (5, "cron(1/5 * * * ? *)"),
        (60, "cron(1 * * * ? *)"),
        (240, "cron(1 0/4 * * ? *)"),
        (1440, "cron(1 0 * * ? *)"),
        (7, "rate(7 minutes)"),
    ],
)
def test_an_interval_becomes_an_expression_that_eventbridge_understands(minutes: int, expression: str) -> None:
    assert timing(account(minutes=minutes), NOW)["ScheduleExpression"] == expression


@pytest.mark.parametrize("minutes", [0.5, 1.5])
def test_an_interval_finer_than_minutes_is_refused_before_anything_changes(client: Any, minutes: float) -> None:
    with pytest.raises(CannotSchedule, match=r"account fast runs every \d+ s, .* set an interval such as 1m"):
        follow(client, account("main"), account("fast", minutes=minutes))

    assert client.list_schedules(GroupName="perpetua")["Schedules"] == []


def test_a_schedule_sends_the_event_that_names_the_cycle(client: Any) -> None:
    follow(client, account(), dead_letter_arn=QUEUE)

    found = schedule(client, "main")
    assert json.loads(found["Target"]["Input"]) == {"account": "main", "time": "<aws.scheduler.scheduled-time>"}
    assert (found["Target"]["Arn"], found["Target"]["RoleArn"]) == (TARGET, ROLE)
    assert found["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 300}
    assert found["Target"]["DeadLetterConfig"] == {"Arn": QUEUE}
    assert found["ScheduleExpressionTimezone"] == "UTC"
    assert found["FlexibleTimeWindow"] == {"Mode": "OFF"}


def test_schedules_follow_accounts_that_come_change_and_go(client: Any) -> None:
    assert follow(client, account("main"), account("other")) == Changes(
        created=("perpetua-main", "perpetua-other"), updated=(), deleted=()
    )
    changed = replace(account("main"), interval=timedelta(minutes=15))
    assert follow(client, changed, account("third")) == Changes(
        created=("perpetua-third",), updated=("perpetua-main",), deleted=("perpetua-other",)
    )
    assert schedule(client, "main")["ScheduleExpression"] == "cron(1/15 * * * ? *)"


@pytest.mark.parametrize("minutes", [5, 7])
def test_what_is_right_already_is_left_alone_whenever_it_is_looked_at(client: Any, minutes: int) -> None:
    follow(client, account(minutes=minutes))

    later = follow(client, account(minutes=minutes), now=NOW + timedelta(minutes=33))

    assert later == Changes(created=(), updated=(), deleted=())


def test_a_rate_that_is_out_of_step_with_the_ticks_is_put_right(client: Any) -> None:
    follow(client, account(minutes=7))
    right = schedule(client, "main")
    asked = {name: right[name] for name in ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    client.update_schedule(**asked, State="ENABLED", StartDate=right["StartDate"] + timedelta(minutes=3))

    assert follow(client, account(minutes=7)).updated == ("perpetua-main",)
    assert schedule(client, "main")["StartDate"] == right["StartDate"]


@pytest.mark.parametrize("status", list(AccountStatus))
def test_an_account_that_is_not_active_is_still_called_to_be_reconciled(client: Any, status: AccountStatus) -> None:
    follow(client, account())
    follow(client, account(status=status))

    assert schedule(client, "main")["State"] == "ENABLED"


def test_a_schedule_of_somebody_else_in_the_group_is_left_alone(client: Any) -> None:
    client.create_schedule(
        GroupName="perpetua",
        Name="backup",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": TARGET, "RoleArn": ROLE},
    )

    assert follow(client, account()).deleted == ()


COMMAND = """
import boto3
from moto import mock_aws
from scheduler.cloud import main
with mock_aws():
    boto3.client("scheduler").create_schedule_group(Name="perpetua")
    main()
    main()
"""


def run_command(*python: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, "--group", "perpetua", "--target-arn", TARGET, "--role-arn", ROLE],
        cwd=ROOT,
        env={"ENVIRONMENT": "testing", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_schedules_the_configured_accounts_and_says_so(database_url: str) -> None:
    ended = run_command("-c", COMMAND, DATABASE_URL=database_url, AWS_DEFAULT_REGION="eu-central-1")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        *("created: perpetua-main", "updated: none", "deleted: none"),
        *("created: none", "updated: none", "deleted: none"),
    ]


def test_the_command_wants_to_know_the_database() -> None:
    ended = run_command("-m", "scheduler.cloud")

    assert ended.returncode == 2
    assert ended.stderr == "perpetua: DATABASE_URL is not set: name the database that the functions use\n"


def test_the_command_passes_on_what_the_cloud_complains_of(database_url: str) -> None:
    ended = run_command("-m", "scheduler.cloud", DATABASE_URL=database_url)

    assert ended.returncode == 2
    assert ended.stderr == "perpetua: EventBridge Scheduler does not serve us: You must specify a region.\n"
