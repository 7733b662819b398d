"""How it runs: metrics, how well the work was done, alerts, and the log."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.answers import Answer, Document, Listing, Number, Time
from api.auth import caller_of
from api.errors import Problem
from api.log_files import Wanted, read_logs
from api.metrics import database_up, families
from api.schemas import AccountQuery, ListQuery, Since, Until
from api.state import meter_of, reports_of, runtime_of
from shared.db.alerts import AlertTable
from shared.db.gauges import Gauges, read_gauges
from shared.db.operations import operations as read_operations
from shared.domain.alert import AlertKind, Severity
from shared.domain.errors import DatabaseUnavailable

GAUGES_SECONDS = 5.0
"""For the database: a scrape that takes longer is of no use."""
METRICS_TYPES = ("text/plain", "application/openmetrics-text")
LATELY = timedelta(days=7)

AlertId = Annotated[int, Field(ge=1, le=2**63 - 1, description="An alert's `id`.")]


# ---- metrics


class _Scrape(Collector):
    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        """Return what was found."""
        yield from self._found


async def metrics(request: Request) -> Response:
    """How things stand, for Prometheus: text, or OpenMetrics where it is asked for."""
    runtime = runtime_of(request)
    now = runtime.clock.now()
    gauges = await _gauges(request)
    found = [database_up(gauges is not None), *meter_of(request).collect()]
    if gauges is not None:
        found += families(gauges, now=now, weight_limit=runtime.weight_limit)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(await asyncio.to_thread(encode, _Scrape(found)), media_type=media_type)


async def _gauges(request: Request) -> Gauges | None:
    runtime = runtime_of(request)
    try:
        async with asyncio.timeout(GAUGES_SECONDS):
            return await read_gauges(runtime.database, limit_name=runtime.settings.egress_name, now=runtime.clock.now())
    except (DatabaseUnavailable, TimeoutError):
        return None


# ---- how well the work was done


class OperationsQuery(AccountQuery):
    """Within [since, until); without them, of the last seven days."""

    since: Since = None
    until: Until = None


class Operations(Answer):
    """How well an account was looked after."""

    account: str
    cycles: int = Field(description="Cycles that came to their end.")
    missed_cycles: int = Field(description="Ticks that no cycle served.")
    missed_rate: float | None = Field(description="Of all ticks; null before the first cycle.")
    outages: int = Field(description="Gaps between cycles.")
    recovery_seconds: float | None = Field(
        description="From the first tick that was not served to the end of the next cycle, on average."
    )
    longest_recovery_seconds: float | None
    naked_spells: int = Field(description="Times that a position stood without a stop of its full size.")
    naked_seconds: float = Field(description="All of them together, at most.")
    longest_naked_seconds: float
    orders_sent: int
    order_errors: int = Field(description="Refused, lost, or still of unknown fate.")
    order_error_rate: float | None
    decisions: int = Field(description="Cycles in which a model gave an answer.")
    model_cost: Number = Field(description="In USD, shadow models included.")
    cost_per_decision: Number | None


class OperationsReport(Answer):
    """The numbers by account, and what they are of."""

    since: Time
    until: Time
    items: list[Operations]


async def operations(request: Request, query: OperationsQuery) -> OperationsReport:
    """How well the work was done: missed cycles, seconds without a stop, failed orders, recovery, cost."""
    runtime = runtime_of(request)
    now = runtime.clock.now()
    until = query.until or now
    since = query.since or until - LATELY
    if since > until:
        raise Problem(400, "bad_parameter", "since: must not be after until", parameter="since")
    if query.account is not None:
        async with runtime.open_work() as work:
            await work.accounts.get(query.account)
    rows = await read_operations(runtime.database, account=query.account, since=since, until=until, now=now)
    return OperationsReport.model_validate({"since": since.isoformat(), "until": until.isoformat(), "items": rows})


# ---- alerts


class Alert(Answer):
    """What a person must know. It stands until it is resolved, whoever has seen it."""

    id: int
    account: str | None = Field(description="Null: it is about the house.")
    kind: AlertKind
    subject: str
    severity: Severity
    text: str
    raised_at: Time
    resolved_at: Time | None
    acknowledged_at: Time | None
    acknowledged_by: str | None


class AlertsQuery(ListQuery):
    """Alerts by when they were raised."""

    kind: AlertKind | None = Field(default=None, description="What of.")
    standing: bool | None = Field(default=None, description="Those that stand, or those that are over.")


async def alerts(request: Request, query: AlertsQuery) -> Listing[Alert]:
    """What people were to be told, newest first."""
    return Listing[Alert].of(await reports_of(request).alerts(**query.model_dump()))


async def acknowledge(request: Request, alert: AlertId) -> Alert:
    """Note that somebody has seen to it. Who was first stays on record."""
    caller, runtime = caller_of(request), runtime_of(request)
    await _alert(request, alert)
    async with runtime.database.transaction() as connection:
        at = runtime.clock.now()
        await AlertTable(connection).acknowledge(alert, caller.name, at)
    return await _alert(request, alert)


async def _alert(request: Request, alert: int) -> Alert:
    # What is about the house is nobody's business who is confined to an account.
    rows = (await reports_of(request).alerts(id=alert, account=caller_of(request).account_id)).rows
    if not rows:
        raise Problem(404, "unknown_alert", f"there is no alert {alert}")
    return Alert.model_validate(rows[0])


# ---- the log


class Channel(StrEnum):
    """The files of the log."""

    APP = "app"
    TRADING = "trading"
    MARKET_DATA = "market_data"
    LLM = "llm"
    ERRORS = "errors"


class Level(StrEnum):
    """How grave a line is."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogsQuery(ListQuery):
    """Lines of the log. To follow it, ask again with `since` of the newest line, and leave out the `id`s you have."""

    channel: Channel | None = Field(default=None, description="`errors` has those of every channel.")
    level: Level | None = Field(default=None, description="This one and graver ones.")
    cycle: str | None = Field(default=None, description="As lines tell it: the tick.")
    request: str | None = Field(default=None, description="The X-Request-Id of an answer.")
    text: str | None = Field(default=None, min_length=1, max_length=200, description="Anywhere in the line.")
    reads: bool = Field(default=True, description="`false` leaves out who read from this API and was served.")


class LogLine(Answer):
    """A line of the log. The `id` of a line stays as it is."""

    id: str
    process: str
    time: Time
    level: str
    channel: str
    message: str
    account: str | None
    cycle: str | None
    stage: str | None
    request: str | None
    details: Document


async def logs(request: Request, query: LogsQuery) -> Listing[LogLine]:
    """The log files of this machine, newest line first; a page may be empty and still have a `next`."""
    folder = runtime_of(request).settings.log_folder
    if folder is None or not folder.is_dir():
        detail = "this machine keeps no log files: LOG_FOLDER names none, and what goes to stdout the platform keeps"
        raise Problem(404, "no_log_files", detail)
    wanted = Wanted(**query.model_dump(exclude={"limit", "before"}))
    page = await asyncio.to_thread(read_logs, folder, wanted, limit=query.limit, before=query.before)
    return Listing[LogLine].of(page)
