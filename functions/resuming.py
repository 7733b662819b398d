"""
Resuming: a person lets an account trade again, over the API or by hand, and arms it again after an emergency stop.

    python -m functions.resuming --account main
"""

import argparse
import asyncio
import json
import sys
from datetime import datetime
from typing import Any

from shared.complaints import one_clear_line
from shared.domain.account import AccountStatus
from shared.domain.errors import BadRequest
from shared.domain.work import Work
from shared.runtime import Runtime
from shared.server import database_server
from shared.settings import Settings, read_settings


async def resume_account(work: Work, account_id: str, now: datetime, reason: str) -> dict[str, Any]:
    """Make the account active and lift every breaker; their counts begin anew. An emergency stop is over with it.

    Raises UnknownAccount, and BadRequest while a stop has left something, or without authority to trade.
    """
    if not (await work.accounts.get(account_id)).may_trade(now):
        raise BadRequest(f"account {account_id} has no authority to trade now: see the changes that wait")
    stop = await work.stops.get(account_id)
    if stop and not stop.finished_at:
        left = "; ".join(stop.left) or "nothing has been closed yet"
        raise BadRequest(f"account {account_id} is still being stopped: {left}")
    if stop:
        await work.stops.rearm(account_id, now)
        await work.journal.event(account_id, "rearmed", now, {"by": reason})
        await work.journal.diary(account_id, now, now, f"armed again, {reason}", {})
    was = await change_status(work, account_id, AccountStatus.ACTIVE, reason)
    lifted = [breaker.value for breaker in await work.breakers.lift(account_id, now)]
    for breaker in lifted:
        await work.journal.diary(account_id, now, now, f"{breaker}: lifted, {reason}", {})
    return {"account": account_id, "status": AccountStatus.ACTIVE.value, "was": was.value, "lifted": lifted}


async def change_status(work: Work, account_id: str, status: AccountStatus, reason: str) -> AccountStatus:
    """Change the status where it is another, and return what it was. Raises UnknownAccount."""
    was = (await work.accounts.get(account_id)).status
    if was is not status:
        await work.accounts.set_status(account_id, status, reason)
    return was


def main() -> int:
    """Resume the account that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m functions.resuming", description="Let an account trade again.")
    parser.add_argument("--account", required=True, help="the account's id")
    chosen = parser.parse_args()
    with one_clear_line(), database_server(read_settings()) as connected:
        outcome = asyncio.run(_resume(connected, chosen.account))
    print(json.dumps(outcome, indent=2))  # noqa: T201 - the result is the output
    return 0


async def _resume(settings: Settings, account_id: str) -> dict[str, Any]:
    runtime = await Runtime.open(settings, long_lived=False)
    try:
        await runtime.require_time()
        async with runtime.open_work() as work:
            return await resume_account(work, account_id, runtime.clock.now(), "by hand")
    finally:
        await runtime.close()


if __name__ == "__main__":
    sys.exit(main())
