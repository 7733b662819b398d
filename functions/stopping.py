"""
Stopping: in an emergency an account is halted, everything that works is cancelled, everything that is held is closed.

    python -m functions.stopping --account main
    python -m functions.stopping --all

The halt is committed before anything else, and the lease is taken from a cycle that is at work: it opens nothing more.
Only where the exchange says at once that these are not its books, nothing is halted: another database is meant.
Then reconcile does the rest, as often as it takes, by the order protocol: whoever dies on the way is followed by the
next reconciliation of anybody. It needs no model. Only a person arms the account again: see `functions.resuming`.

Exit code 1 when something is left, 2 for what cannot work.
"""

import argparse
import asyncio
import json
import logging
import sys
from asyncio import sleep
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from functions.invoke import invoke_stage
from functions.resuming import change_status
from shared.complaints import one_clear_line
from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, between_ticks
from shared.domain.errors import BadRequest, PerpetuaError, StageBusy, VenueError
from shared.domain.stop import EMERGENCY_STOP, Stop
from shared.durations import read_duration
from shared.logs import set_up_logging
from shared.runtime import Runtime
from shared.server import database_server
from shared.settings import Settings, read_settings

log = logging.getLogger("perpetua.trading")

PATIENCE = timedelta(seconds=20)
"""How long whoever asks waits; what is left by then, others go on with."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0
GLANCE_SECONDS = 1.0
"""How long the exchange is waited for before the halt, to say whose books it keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """How a stop stands. `trouble` is what the last attempt failed on, where it failed."""

    account: str
    flat: bool
    left: tuple[str, ...]
    trouble: str | None


async def stop_account(runtime: Runtime, account_id: str, *, by: str, patience: timedelta = PATIENCE) -> Stopped:
    """Stop the account and wait for *patience* until nothing is left.

    Raises UnknownAccount, ForeignBooks, DatabaseUnavailable.
    """
    await _require_ours(runtime)
    return await _stop_account(runtime, account_id, by, patience)


async def _require_ours(runtime: Runtime) -> None:
    """Refuse to stop what trades elsewhere. An exchange that does not answer at once keeps nobody from stopping."""
    with suppress(VenueError, TimeoutError):
        async with asyncio.timeout(GLANCE_SECONDS):
            await runtime.require_time()
            await runtime.recognise()


async def _stop_account(runtime: Runtime, account_id: str, by: str, patience: timedelta) -> Stopped:
    now = runtime.clock.now()
    async with runtime.open_work() as work:
        await work.accounts.get(account_id)
        if await work.stops.ask(account_id, by, now):
            await change_status(work, account_id, AccountStatus.HALTED, f"{EMERGENCY_STOP}: {by}")
            await work.stages.revoke_lease(account_id)
            await work.journal.event(account_id, "stopping", now, {"by": by})
            await work.journal.diary(account_id, now, now, f"{EMERGENCY_STOP}: {by}", {"by": by})
    log.warning("emergency stop", extra={"account": account_id, "by": by})
    return await carry_on(runtime, account_id, patience=patience)


async def stop_all(runtime: Runtime, *, by: str, patience: timedelta = PATIENCE) -> list[Stopped]:
    """Stop every account, side by side: no account's trouble keeps another open.

    Raises ForeignBooks, DatabaseUnavailable.
    """
    await _require_ours(runtime)
    async with runtime.open_work() as work:
        accounts = await work.accounts.all()

    async def one(account_id: str) -> Stopped:
        try:
            return await _stop_account(runtime, account_id, by, patience)
        except PerpetuaError as exc:
            return Stopped(account=account_id, flat=False, left=(), trouble=str(exc))

    return list(await asyncio.gather(*(one(account.id) for account in accounts)))


async def carry_on(runtime: Runtime, account_id: str, *, patience: timedelta = PATIENCE) -> Stopped:
    """Go on with a stop that was asked for, until nothing is left or *patience* is at its end."""
    clock = asyncio.get_running_loop()
    pause, left, trouble = FIRST_PAUSE_SECONDS, patience.total_seconds(), None
    while True:
        begun = clock.time()
        try:
            async with asyncio.timeout(left):
                await runtime.follow_accounts()  # it may be one that another process has just added
                await runtime.require_time()
                await invoke_stage(runtime, Stage.RECONCILE, between_ticks(account_id, runtime.clock.now()))
            trouble = None
        except StageBusy as exc:
            trouble = str(exc)  # whoever is at work began after the halt, and sees the stop as well
        except PerpetuaError as exc:
            trouble = str(exc)
            log.warning("not stopped yet", extra={"account": account_id, "why": trouble})
        except TimeoutError:  # cut short as by a crash: the protocol finds out what became of it
            trouble = trouble or "the exchange takes too long to answer"
        left -= clock.time() - begun
        async with runtime.open_work() as work:
            stop = await work.stops.get(account_id)
        if stop is None or stop.finished_at or left < pause:
            return _stopped(account_id, stop, trouble)
        await sleep(pause)
        left -= pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _stopped(account_id: str, stop: Stop | None, trouble: str | None) -> Stopped:
    flat = stop is None or stop.finished_at is not None
    return Stopped(account=account_id, flat=flat, left=stop.left if stop else (), trouble=None if flat else trouble)


def main() -> int:
    """Stop what the command line names; 0 when nothing is left."""
    parser = argparse.ArgumentParser(
        prog="python -m functions.stopping", description="Emergency stop: halt, cancel everything, close everything."
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--account", help="the account's id")
    which.add_argument("--all", action="store_true", help="every account")
    parser.add_argument("--patience", default="5m", help="how long to go on while something is left (default: 5m)")
    chosen = parser.parse_args()
    with one_clear_line():
        try:
            patience: timedelta = read_duration(chosen.patience)
        except ValueError as exc:
            raise BadRequest(f"--patience: {exc}") from None
        settings = read_settings()
        set_up_logging("functions", level="ERROR", folder=settings.log_folder, config=settings.logging_config)
        with database_server(settings) as connected:
            outcome = asyncio.run(_stop(connected, None if chosen.all else chosen.account, patience))
    print(json.dumps([as_json(each) for each in outcome], indent=2))  # noqa: T201 - the result is the output
    return 0 if all(each.flat for each in outcome) else 1


def as_json(stopped: Stopped) -> dict[str, Any]:
    """Return what people are told."""
    return {
        "account": stopped.account,
        "flat": stopped.flat,
        "left": list(stopped.left),
        "trouble": stopped.trouble,
    }


async def _stop(settings: Settings, account_id: str | None, patience: timedelta) -> Sequence[Stopped]:
    # Not opened as for a stage: that waits for the exchange, and here nothing does.
    runtime = Runtime(settings, long_lived=False)
    try:
        async with runtime.open_work() as work:
            nobody = not await work.accounts.all()
        if nobody:
            await runtime.record_accounts()
        if account_id is None:
            return await stop_all(runtime, by="by hand", patience=patience)
        return [await stop_account(runtime, account_id, by="by hand", patience=patience)]
    finally:
        await runtime.close()


if __name__ == "__main__":
    sys.exit(main())
