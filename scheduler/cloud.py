"""
EventBridge Scheduler starts the cycles: one schedule an account, kept equal to the accounts table.

    python -m scheduler.cloud --group perpetua --target-arn ARN --role-arn ARN

It may be run at any time and any number of times: what is right already is left alone. The schedules of a group that
are named like ours and belong to no account any more are deleted, so the group must be of one Perpetua only.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scheduler.plan import next_due
from shared.clock import VenueClock
from shared.complaints import one_clear_line
from shared.db.unit_of_work import Database
from shared.domain.account import Account
from shared.domain.errors import PerpetuaError
from shared.logs import set_up_logging
from shared.roster import Roster
from shared.settings import Settings, SettingsError, read_settings

PREFIX = "perpetua-"

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

DELAY = MINUTE
"""After the candle's close. EventBridge counts in minutes and may fire at a minute's very first moment, before the
exchange has closed the candle; where an interval leaves room for it, the cycle starts in the minute after."""

RETRIES = 1


class CannotSchedule(PerpetuaError):
    """EventBridge Scheduler cannot do what is asked of it; the message says for which account and why."""


@dataclass(frozen=True)
class Changes:
    """What was done, as names of schedules."""

    created: tuple[str, ...]
    updated: tuple[str, ...]
    deleted: tuple[str, ...]


def synchronise(
    accounts: Sequence[Account],
    *,
    client: Any,
    group: str,
    target_arn: str,
    role_arn: str,
    now: datetime,
    dead_letter_arn: str | None = None,
) -> Changes:
    """Make the schedules of *group* those of *accounts*, and return what that took.

    *client* is boto3's `scheduler`, *target_arn* what takes the event `{"account": id, "time": scheduled time}`,
    *role_arn* who may call it, *dead_letter_arn* a queue for events that could not be delivered. An account that is
    not active keeps its schedule: it is still reconciled. Raises CannotSchedule before anything is changed.
    """
    target: dict[str, Any] = {"Arn": target_arn, "RoleArn": role_arn}
    if dead_letter_arn:
        target["DeadLetterConfig"] = {"Arn": dead_letter_arn}
    intervals = {PREFIX + account.id: account.interval for account in accounts}
    wanted = {
        PREFIX + account.id: {
            **timing(account, now),
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": {**target, "Input": _event(account), "RetryPolicy": _patience(account)},
        }
        for account in accounts
    }
    pages = client.get_paginator("list_schedules").paginate(GroupName=group, NamePrefix=PREFIX)
    present = {schedule["Name"] for page in pages for schedule in page["Schedules"]}
    created = sorted(wanted.keys() - present)
    deleted = sorted(present - wanted.keys())
    updated = [
        name
        for name in sorted(wanted.keys() & present)
        if not _serves(client.get_schedule(GroupName=group, Name=name), wanted[name], intervals[name])
    ]
    for name in created:
        client.create_schedule(GroupName=group, Name=name, **wanted[name])
    for name in updated:
        client.update_schedule(GroupName=group, Name=name, **wanted[name])
    for name in deleted:
        client.delete_schedule(GroupName=group, Name=name)
    return Changes(tuple(created), tuple(updated), tuple(deleted))


def timing(account: Account, now: datetime) -> dict[str, Any]:
    """Return when EventBridge shall start the account's cycles: `ScheduleExpression`, with a `StartDate` for a rate.

    An interval that divides an hour, or is whole hours that divide a day, becomes a `cron`: its fields count from
    midnight UTC, as ticks do. Any other becomes a `rate`, aligned by its start at the next tick after *now*. Raises
    CannotSchedule.
    """
    interval = account.interval
    if interval < MINUTE or interval % MINUTE:
        raise CannotSchedule(
            f"account {account.id} runs every {interval.total_seconds():.0f} s, and EventBridge counts in whole "
            "minutes: set an interval such as 1m or 5m, or run the local scheduler"
        )
    delay = DELAY if interval > DELAY else timedelta(0)
    first = delay // MINUTE
    if HOUR % interval == timedelta(0):
        minutes = first if interval == HOUR else f"{first}/{interval // MINUTE}"
        return {"ScheduleExpression": f"cron({minutes} * * * ? *)"}
    if interval % HOUR == timedelta(0) and DAY % interval == timedelta(0):
        hours = 0 if interval == DAY else f"0/{interval // HOUR}"
        return {"ScheduleExpression": f"cron({first} {hours} * * ? *)"}
    return {
        "ScheduleExpression": f"rate({interval // MINUTE} minutes)",
        "StartDate": next_due(now, interval, delay),
    }


def _event(account: Account) -> str:
    return json.dumps({"account": account.id, "time": "<aws.scheduler.scheduled-time>"})


def _patience(account: Account) -> dict[str, int]:
    """An event that is older than the account's patience would only be refused: let EventBridge drop it."""
    seconds = min(max(account.patience, MINUTE), DAY).total_seconds()
    return {"MaximumRetryAttempts": RETRIES, "MaximumEventAgeInSeconds": int(seconds)}


def _serves(present: dict[str, Any], wanted: dict[str, Any], interval: timedelta) -> bool:
    """Whether a schedule is as wanted. A rate that began at an earlier tick is: it fires at the same moments."""
    begun, begins = present.get("StartDate"), wanted.get("StartDate")
    in_step = (begins - begun) % interval == timedelta(0) if begun and begins else begun is begins
    return in_step and all(present.get(name) == value for name, value in wanted.items() if name != "StartDate")


def main() -> int:
    """Synchronise the schedules of the group that the command line names, and say what was done."""
    parser = argparse.ArgumentParser(
        prog="python -m scheduler.cloud", description="Schedule the accounts in the cloud."
    )
    parser.add_argument("--group", required=True, help="the schedule group, of this Perpetua only")
    parser.add_argument("--target-arn", required=True, help="what runs a cycle: the state machine, or the function")
    parser.add_argument("--role-arn", required=True, help="the role that may start it")
    parser.add_argument("--dead-letter-arn", help="a queue for events that could not be delivered")
    chosen = parser.parse_args()
    with one_clear_line():
        settings = read_settings()
        set_up_logging("scheduler", level="ERROR", folder=settings.log_folder, config=settings.logging_config)
        changes = _in_the_cloud(asyncio.run(_accounts(settings)), vars(chosen))
    for name, schedules in vars(changes).items():
        print(f"{name}: {', '.join(schedules) or 'none'}")  # noqa: T201 - the changes are the output
    return 0


def _in_the_cloud(accounts: Sequence[Account], where: dict[str, Any]) -> Changes:
    # The cloud's own library, a fifth of a second to import: nobody but this command needs it.
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        return synchronise(accounts, client=boto3.client("scheduler"), now=VenueClock().now(), **where)
    except (BotoCoreError, ClientError) as exc:
        raise CannotSchedule(f"EventBridge Scheduler does not serve us: {exc}") from exc


async def _accounts(settings: Settings) -> list[Account]:
    """Return the accounts that there are, those of the API among them, as the table has them."""
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL is not set: name the database that the functions use")
    roster = Roster(settings)
    database = Database(settings.database_url.get_secret_value(), long_lived=False)
    try:
        async with database.open_work() as work:
            await roster.record(work, VenueClock().now())
            return [account for account in await work.accounts.all() if account.id in roster.accounts]
    finally:
        await database.close()


def handler(event: dict[str, Any], context: object) -> dict[str, list[str]]:
    """Follow the accounts in the cloud: AWS Lambda's door, to be called every few minutes by a schedule of its own.

    *event* names what the command line does: `group`, `target_arn`, `role_arn` and, if wished, `dead_letter_arn`.
    """
    known = ("group", "target_arn", "role_arn", "dead_letter_arn")
    where = {name: event[name] for name in known if event.get(name)}
    if missing := [name for name in known[:3] if name not in where]:
        raise CannotSchedule(f"the event lacks {', '.join(missing)}")
    changes = _in_the_cloud(asyncio.run(_accounts(read_settings())), where)
    return {name: list(schedules) for name, schedules in vars(changes).items()}


if __name__ == "__main__":
    sys.exit(main())
