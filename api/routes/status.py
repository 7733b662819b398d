"""Where everything stands, at a glance."""

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from api.answers import Standing, Status
from api.auth import caller_of
from api.state import reports_of, runtime_of
from shared.domain.account import AccountStatus
from shared.domain.cycle import tick_at


async def status(request: Request) -> Status:
    """Tell the mode, the exchange's time, and of each account its stages, equity, unsettled orders and next tick."""
    runtime = runtime_of(request)
    told = {"mode": runtime.settings.trading_mode, "time": runtime.clock.now().isoformat()}
    return Status.model_validate(told | {"accounts": await standings(request)})


async def standings(request: Request, account: str | None = None) -> list[Standing]:
    """Return where each account stands, or the one."""
    runtime = runtime_of(request)
    now = runtime.clock.now()
    caller = caller_of(request)
    rows = [row for row in await reports_of(request).status(account) if caller.may_see(row["account"])]
    told = [{**row, "next_tick": _next_tick(row, runtime.intervals.get(row["account"]), now)} for row in rows]
    return [Standing.model_validate(each) for each in told]


def _next_tick(row: dict[str, Any], interval: timedelta | None, now: datetime) -> str | None:
    """None for an account that no scheduler runs: halted, or no longer configured."""
    if interval is None or row["status"] == AccountStatus.HALTED:
        return None
    return (tick_at(now, interval) + interval).isoformat()
