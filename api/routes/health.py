"""
Is it well? `live`: this process answers. `ready`: the database and the exchange answer, and no account's cycles lag.

`live` is open to everybody. Reasons are told without addresses; the log has the rest.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from api.auth import caller_of
from api.errors import Problem
from api.state import pulse_of, reports_of, runtime_of
from shared.domain.account import AccountStatus
from shared.domain.errors import DatabaseUnavailable

log = logging.getLogger("perpetua.app")

PATIENCE_SECONDS = 2.0
MOST_ACCOUNTS = 1000
MOST_INTERVALS_BEHIND = 2
"""A cycle serves its tick until the next one comes; a whole interval later it is late."""


async def live(request: Request) -> dict[str, Any]:
    """Answer, which is all there is to say."""
    return {"status": "live"}


async def ready(request: Request) -> dict[str, Any]:
    """Report every check; 503 with the reasons when one of them failed."""
    exchange, accounts = await asyncio.gather(pulse_of(request).beats(), _accounts(request))
    runtime = runtime_of(request)
    may_see = caller_of(request).may_see
    cycles = {
        row["account"]: _cycle(row["last_tick"], runtime.intervals[row["account"]], runtime.clock.now())
        for row in accounts or []
        if row["account"] in runtime.intervals and may_see(row["account"]) and row["status"] != AccountStatus.HALTED
    }
    checks = {"database": accounts is not None, "exchange": exchange, "cycles": cycles}
    reasons = [f"the {name} does not answer" for name in ("database", "exchange") if not checks[name]]
    reasons += [
        f"the last cycle of account {name} was for {cycle['last_tick']}"
        for name, cycle in cycles.items()
        if not cycle["fresh"]
    ]
    if reasons:
        raise Problem(503, "not_ready", "; ".join(reasons), reasons=reasons, checks=checks)
    return {"status": "ready", "checks": checks}


async def _accounts(request: Request) -> list[dict[str, Any]] | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await reports_of(request).accounts(limit=MOST_ACCOUNTS)).rows
    except (DatabaseUnavailable, TimeoutError) as exc:
        log.warning("the database does not answer", extra={"why": str(exc) or "no answer in time"})
        return None


def _cycle(last_tick: str | None, interval: timedelta, now: datetime) -> dict[str, Any]:
    """An account that never ran is no cause for alarm: its scheduler may be about to start."""
    late = last_tick is not None and now - datetime.fromisoformat(last_tick) > MOST_INTERVALS_BEHIND * interval
    return {"last_tick": last_tick, "fresh": not late}
