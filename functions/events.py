"""What callers send to name a cycle: the same JSON from a person, over HTTP and from a cloud scheduler."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.cycle import StageRequest, tick_at
from shared.domain.errors import PerpetuaError


class BadEvent(PerpetuaError):
    """The event names no cycle: the message says what is wrong with it."""


def read_event(event: Any, *, intervals: Mapping[str, timedelta], now: datetime) -> StageRequest:
    """Return the cycle that *event* names: `{"account": id, "tick": ISO 8601 with offset}`.

    Without a `tick` it is the account's last one at *now*; a `time`, as schedulers send it, stands for the last tick
    at that time. *intervals* holds the configured accounts. Raises BadEvent.
    """
    if not isinstance(event, Mapping):
        raise BadEvent('the event must be a JSON object such as {"account": "main"}')
    if unknown := sorted(set(event) - {"account", "tick", "time"}):
        raise BadEvent(f"the event has an unknown field {unknown[0]!r}: it takes account, tick and time")
    account_id = event.get("account")
    if not isinstance(account_id, str) or account_id not in intervals:
        raise BadEvent(f"no account {account_id!r} is configured: there is {', '.join(sorted(intervals))}")
    moment = _moment(event["time"], "time") if "time" in event else now
    if "tick" in event:
        return StageRequest(account_id, _moment(event["tick"], "tick"))
    return StageRequest(account_id, tick_at(moment, intervals[account_id]))


def _moment(value: Any, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadEvent(f"{name} must be a time such as 2025-05-06T16:05:00Z, not {value!r}") from None
    raise BadEvent(f"{name} needs an offset from UTC, such as {value}Z")
