"""
Alerting: find what a person must know at once, and see that they are told.

Reads    how accounts and the house stand; asks the exchange for its time
Writes   alerts that are raised and resolved, and the deliveries that tell of them; then what became of each delivery
Repeats  safely: an alert that stands is not raised again, and a delivery keeps its id however often it is sent

Nobody who trades waits for any of this. `python -m functions.alerting --test` sends a message to every channel.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from shared.accounts import configured_accounts
from shared.clock import system_time
from shared.complaints import one_clear_line
from shared.db.alerts import AlertTable, Delivery
from shared.db.unit_of_work import Database
from shared.domain.alert import SEVERITY, AlertKind, HouseFacts, alarms, pause_after
from shared.domain.errors import VenueError, VenueUnreachable
from shared.logs import set_up_logging
from shared.notices.chat import Chat
from shared.notices.notice import Channel, NotDelivered, Notice
from shared.notices.webhook import Webhook
from shared.runtime import Runtime
from shared.secrets import mask_text
from shared.settings import Settings, SettingsError, read_settings

log = logging.getLogger("perpetua.app")

EXCHANGE_SECONDS = 10.0
"""For the exchange to tell its time, asked more than once where it does not."""
AT_ONCE = 8
"""Deliveries that are sent side by side: all of them end long before another sender may claim them."""
HEARTBEAT = "scheduler"


def channels_of(settings: Settings, http: httpx.AsyncClient) -> list[Channel]:
    """Return the ways to people that are configured."""
    found: list[Channel] = []
    if settings.alert_webhook_url and settings.alert_webhook_secret:
        secret = settings.alert_webhook_secret.get_secret_value()
        found.append(Webhook(settings.alert_webhook_url.get_secret_value(), secret, http))
    found += [Chat(url.get_secret_value(), place) for place, url in enumerate(settings.alert_urls, 1)]
    return found


async def check(runtime: Runtime, channels: Sequence[str]) -> None:
    """Raise what is the matter, resolve what is over, and say that somebody looks. Raises DatabaseUnavailable."""
    answers = await _answers(runtime)
    if not runtime.clock.is_set:
        # What time it is nobody knows, and so not what is late: all that can be said is why.
        found = alarms((), _house(answers), system_time(), protection_deadline=timedelta(0))
        judged: Collection[AlertKind] | None = {AlertKind.EXCHANGE_DOWN}
        now = system_time()
    else:
        now, judged = runtime.clock.now(), None
        deadline = timedelta(seconds=runtime.settings.protection_deadline_seconds)
        async with runtime.database.reading() as connection:
            table = AlertTable(connection)
            accounts = [facts for facts in await table.facts(now) if facts.account_id in runtime.accounts]
            closed_until = await table.closed_until(runtime.settings.egress_name)
            house = HouseFacts(exchange_answers=answers, closed_until=closed_until, held_back=await table.held_back())
        found = alarms(accounts, house, now, protection_deadline=deadline)
    async with runtime.database.transaction() as connection:
        table = AlertTable(connection)
        await table.beat(HEARTBEAT)
        found = [replace(alarm, text=mask_text(alarm.text)) for alarm in found]
        await table.settle(found, now, channels=channels, judged=judged)


async def deliver(database: Database, channels: Sequence[Channel]) -> int:
    """Send what is due, and return how much of it went. Raises DatabaseUnavailable."""
    by_name = {channel.name: channel for channel in channels}
    async with database.transaction() as connection:
        due = await AlertTable(connection).claim(list(by_name), AT_ONCE)
    results = await asyncio.gather(*(_sent(by_name[delivery.channel], delivery) for delivery in due))
    async with database.transaction() as connection:
        table = AlertTable(connection)
        for delivery, failure in zip(due, results, strict=True):
            if failure is None:
                await table.delivered(delivery.id)
            else:
                await table.failed(delivery.id, failure, again_in=pause_after(delivery.attempts))
    return results.count(None)


async def attend(runtime: Runtime) -> dict[str, Any]:
    """Look once, and send what is due: what a cloud's scheduler starts every minute. Raises DatabaseUnavailable."""
    async with httpx.AsyncClient() as http:
        channels = channels_of(runtime.settings, http)
        await check(runtime, [channel.name for channel in channels])
        sent = 0
        while channels and (went := await deliver(runtime.database, channels)):
            sent += went
    return {"delivered": sent}


def notice_of(kind: AlertKind, text: str, news: str, number: str, at: datetime) -> Notice:
    """Return news of the house that stands in no queue."""
    return Notice(
        id=number,
        news=news,
        alert_id=None,
        kind=kind.value,
        account_id=None,
        subject="",
        severity=SEVERITY[kind].value,
        text=text,
        raised_at=at,
        resolved_at=None,
        sent_at=at,
    )


async def send_past_the_queue(channels: Sequence[Channel], notice: Notice) -> Mapping[str, str | None]:
    """Send *notice* once to every channel; return why it did not go, by channel, None where it did."""
    results = await asyncio.gather(*(_tried(channel, notice) for channel in channels))
    return {channel.name: why for channel, why in zip(channels, results, strict=True)}


async def _sent(channel: Channel, delivery: Delivery) -> str | None:
    alert = delivery.alert
    notice = Notice(
        id=f"perpetua-{delivery.id}",
        news=delivery.news,
        alert_id=alert["id"],
        **{name: alert[name] for name in ("kind", "account_id", "subject", "severity", "text")},
        raised_at=alert["raised_at"],
        resolved_at=alert["resolved_at"],
        sent_at=delivery.claimed_at,
    )
    return await _tried(channel, notice)


async def _tried(channel: Channel, notice: Notice) -> str | None:
    told = {"channel": channel.name, "delivery": notice.id, "kind": notice.kind}
    try:
        await channel.send(notice)
    except NotDelivered as exc:
        log.warning("alert not delivered", extra=told | {"why": str(exc)})
        return str(exc)
    except Exception as exc:
        log.exception("alert not delivered", extra=told)
        return type(exc).__name__
    log.info("alert delivered", extra=told)
    return None


async def _answers(runtime: Runtime) -> bool:
    try:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            if runtime.clock.is_set:
                await runtime.market.server_time()
            else:
                await runtime.synchronise()
    except (VenueUnreachable, TimeoutError):
        return False
    except VenueError:
        return True  # it says no, and so is there
    return True


def _house(answers: bool) -> HouseFacts:
    return HouseFacts(exchange_answers=answers, closed_until=None, held_back=timedelta(0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Send a test to every channel; 0 when all took it, 1 when one did not."""
    parser = argparse.ArgumentParser(prog="python -m functions.alerting", description="See whether alerts arrive.")
    parser.add_argument("--test", action="store_true", required=True, help="send a message to every channel")
    parser.parse_args(arguments)
    with one_clear_line():
        settings = read_settings()
        configured_accounts(settings)  # has secrets masked
        set_up_logging("alerting", level="ERROR", folder=settings.log_folder, config=settings.logging_config)
        results = asyncio.run(_test(settings))
    for name, why in results.items():
        print(f"{name}: {why or 'taken'}")  # noqa: T201 - the results are the output
    return 1 if any(results.values()) else 0


async def _test(settings: Settings) -> Mapping[str, str | None]:
    async with httpx.AsyncClient() as http:
        channels = channels_of(settings, http)
        if not channels:
            raise SettingsError("no channel is configured: set ALERT_WEBHOOK_URL or ALERT_URLS")
        text = "this is a test: nothing is the matter"
        notice = notice_of(AlertKind.TEST, text, "raised", f"perpetua-test-{uuid4().hex}", system_time())
        return await send_past_the_queue(channels, notice)


if __name__ == "__main__":
    sys.exit(main())
