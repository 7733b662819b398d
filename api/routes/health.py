"""
Is it well? `live`: this process answers. `ready`: what trading needs is there.

Without the database, the exchange, tables of our version or cycles in time it is not ready. What trading can do without
for a while is a warning: protection needs no model, a log can be missed. `live` is open to everybody. Reasons are told
without addresses; the log has the rest.
"""

import asyncio
import logging
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.requests import Request

from api.auth import caller_of
from api.errors import Problem
from api.state import models_pulse_of, pulse_of, reports_of, runtime_of
from shared.db.alerts import AlertTable
from shared.db.exchange_streams import ExchangeStreamTable, Listening
from shared.db.gauges import Rows, read_freshness
from shared.domain.account import AccountStatus
from shared.domain.errors import DatabaseUnavailable
from shared.domain.market import Timeframe
from shared.runtime import Runtime

log = logging.getLogger("perpetua.app")

PATIENCE_SECONDS = 2.0
MOST_ACCOUNTS = 1000
MOST_INTERVALS_BEHIND = 2
"""A cycle serves its tick until the next one comes; a whole interval later it is late."""
HEARTBEAT_SECONDS = 120.0
MARKET_STREAM = "the market"
LEAST_DISK = 200_000_000
VERSIONS = Path(__file__).parents[2] / "migrations" / "versions"


async def live(request: Request) -> dict[str, Any]:
    """Answer, which is all there is to say."""
    return {"status": "live"}


async def ready(request: Request) -> dict[str, Any]:
    """Report every check; 503 with the reasons when one failed that trading needs."""
    exchange, models, found = await asyncio.gather(
        pulse_of(request).beats(), models_pulse_of(request).beats(), _found(request)
    )
    runtime = runtime_of(request)
    may_see = caller_of(request).may_see
    now = runtime.clock.now()
    rows, series, heartbeats, revision, streams, held_back = found or ([], [], [], None, [], 0.0)
    streams = [(account, each) for account, each in streams if account is None or may_see(account)]
    cycles = {
        row["account"]: _cycle(row["last_tick"], runtime.intervals[row["account"]], now)
        for row in rows
        if row["account"] in runtime.intervals and may_see(row["account"]) and row["status"] != AccountStatus.HALTED
    }
    beats = {row.name: round(float(row.seconds), 1) for row in heartbeats}
    disk = _disk(runtime.settings.log_folder)
    checks = {
        "database": found is not None,
        "exchange": exchange,
        "models": models,
        "migrations": revision == _head(revision) if found else None,
        "cycles": cycles,
        "data": _data(series, runtime, now),
        "heartbeats": beats,
        "streams": {
            "listeners": len(request.app.state.sockets),
            "prices": request.app.state.market.state,
            "held_back_seconds": round(held_back, 1),
            "exchange": {account or MARKET_STREAM: _stream(each) for account, each in streams},
        },
        "log_disk": disk,
    }
    reasons = [f"the {name} does not answer" for name in ("database", "exchange") if not checks[name]]
    reasons += ["the tables are not of this version"] if checks["migrations"] is False else []
    reasons += [
        f"the last cycle of account {name} was for {cycle['last_tick']}"
        for name, cycle in cycles.items()
        if not cycle["fresh"]
    ]
    warnings = [] if models else ["the models do not answer"]
    warnings += [f"{name} was last heard of {age:.0f} s ago" for name, age in beats.items() if age > HEARTBEAT_SECONDS]
    if runtime.settings.streams:
        warnings += [
            f"the exchange's stream of {f'account {account}' if account else 'the market'} is not listened to"
            for account, each in streams
            if not each.connected
        ]
    warnings += ["some series of candles are old"] if checks["data"]["stale"] else []
    warnings += ["the disk that the log is on is all but full"] if disk is False else []
    if reasons:
        raise Problem(503, "not_ready", "; ".join(reasons), reasons=reasons, warnings=warnings, checks=checks)
    return {"status": "ready", "warnings": warnings, "checks": checks}


Streams = Sequence[tuple[str | None, Listening]]


async def _found(request: Request) -> tuple[list[dict[str, Any]], Rows, Rows, str | None, Streams, float] | None:
    runtime = runtime_of(request)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            rows = (await reports_of(request).accounts(limit=MOST_ACCOUNTS)).rows
            series, heartbeats, revision = await read_freshness(runtime.database, runtime.clock.now())
            async with runtime.database.reading() as connection:
                streams = await ExchangeStreamTable(connection).read() if revision == _head(revision) else []
                held_back = (await AlertTable(connection).held_back()).total_seconds()
            return rows, series, heartbeats, revision, streams, held_back
    except (DatabaseUnavailable, TimeoutError) as exc:
        log.warning("the database does not answer", extra={"why": str(exc) or "no answer in time"})
        return None


def _head(otherwise: str | None) -> str | None:
    """Return the version that the tables should be of; where no migrations are installed, *otherwise*."""
    return max((path.name[:4] for path in VERSIONS.glob("[0-9]*.py")), default=otherwise)


def _stream(listening: Listening) -> dict[str, Any]:
    heard = listening.heard_at
    return {"connected": listening.connected, "heard_at": heard.isoformat() if heard else None}


def _cycle(last_tick: str | None, interval: timedelta, now: datetime) -> dict[str, Any]:
    """An account that never ran is no cause for alarm: its scheduler may be about to start."""
    late = last_tick is not None and now - datetime.fromisoformat(last_tick) > MOST_INTERVALS_BEHIND * interval
    return {"last_tick": last_tick, "fresh": not late}


def _data(series: Rows, runtime: Runtime, now: datetime) -> dict[str, Any]:
    """Tell how old candles are. They are fetched at ticks, so that much older than its width each may be."""
    patience = MOST_INTERVALS_BEHIND * max(runtime.intervals.values(), default=timedelta(0))
    ages = [
        (now - closed, closed - row.opened)
        for row in series
        if row.opened is not None
        for closed in [Timeframe(row.timeframe).following(row.opened)]
    ]
    return {
        "series": len(series),
        "stale": sum(age > width + patience for age, width in ages),
        "oldest_seconds": round(max((age.total_seconds() for age, _ in ages), default=0.0), 1),
    }


def _disk(folder: Path | None) -> bool | None:
    """Say whether there is room for the log; None where there is none."""
    try:
        return None if folder is None else shutil.disk_usage(folder).free >= LEAST_DISK
    except OSError:
        return None
