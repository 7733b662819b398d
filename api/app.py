"""The application, put together in one place: what is served, who is let in, what is opened and closed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware

from api import docs
from api.access import AccessLog
from api.auth import Doorkeeper
from api.downloads import MOST_AT_ONCE
from api.errors import HANDLERS
from api.live import prices, streams
from api.live.feed import Feed
from api.live.market import Market
from api.live.prices import MarketQuery
from api.live.sockets import Stream
from api.live.streams import EventsQuery
from api.openapi import document
from api.operations import Operation, routes
from api.problems import STAGE
from api.pulse import Pulse
from api.routes import accounts, health, invocations, lists, performance, records, status
from shared.db.outbox import Outbox
from shared.domain.access import Scope
from shared.domain.errors import PerpetuaError
from shared.runtime import Runtime
from shared.settings import Settings

log = logging.getLogger("perpetua.app")

VERSION = "0.1.0"
"""Of the API, as its document tells it."""
RETRY_SECONDS = 5.0
FIRST_TRY_SECONDS = 2.0
"""How long serving waits for the first attempt."""

READ, OPERATE = Scope.READ, Scope.OPERATE

# What several can come to.
ACCOUNT = ("unknown_account",)
RECORD = ("bad_request", "unknown_record", "record_broken")

OPERATIONS = (
    Operation("GET", "/health", health.ready, None, problems=("not_ready",)),
    Operation("GET", "/health/live", health.live, None),
    Operation("GET", "/health/ready", health.ready, None, problems=("not_ready",)),
    Operation("GET", "/status", status.status, READ),
    Operation("GET", "/accounts", lists.accounts, READ),
    Operation("GET", "/accounts/{account}", accounts.show, READ, problems=ACCOUNT),
    Operation("POST", "/accounts/{account}/pause", accounts.pause, OPERATE, problems=(*ACCOUNT, "account_halted")),
    Operation("POST", "/accounts/{account}/resume", accounts.resume, OPERATE, problems=ACCOUNT),
    Operation("GET", "/accounts/{account}/prompt", records.prompt, READ, problems=STAGE),
    Operation("GET", "/positions", lists.positions, READ),
    Operation("GET", "/orders", lists.orders, READ),
    Operation("GET", "/trades", lists.trades, READ),
    Operation("GET", "/decisions", lists.decisions, READ),
    Operation("GET", "/decisions/{decision}/record", records.record, READ, problems=RECORD),
    Operation("POST", "/decisions/{decision}/replay", records.replay, OPERATE, problems=(*RECORD, *STAGE)),
    Operation("GET", "/models", records.comparison, READ),
    Operation("GET", "/llm-interactions", lists.llm_interactions, READ),
    Operation("GET", "/costs", lists.costs, READ),
    Operation("GET", "/market-data", lists.market_data, READ),
    Operation("GET", "/equity", lists.equity, READ),
    Operation("GET", "/diary", lists.diary, READ),
    Operation("GET", "/discrepancies", lists.discrepancies, READ),
    Operation("GET", "/performance", performance.performance, READ, problems=ACCOUNT),
    Operation(
        "POST",
        "/functions/{stage}/invocations",
        invocations.invoke_stage,
        OPERATE,
        problems=("bad_event", "no_such_stage", *STAGE),
    ),
    Operation(
        "POST",
        "/2015-03-31/functions/{name}/invocations",
        invocations.invoke_function,
        OPERATE,
        problems=("bad_json", "body_too_large", "no_such_stage", "bad_invocation_type"),
    ),
)

STREAMS = (
    Stream("/ws/trading-events", EventsQuery, streams.trading_events, READ),
    Stream("/ws/positions", EventsQuery, streams.positions, READ),
    Stream("/ws/market-data", MarketQuery, prices.market_data, READ),
)


def create_app(settings: Settings, *, long_lived: bool = True) -> Starlette:
    """Return the ASGI application. Its lifespan opens the runtime and closes it. Raises SettingsError.

    Say *long_lived* False where a container serves one request at a time and sleeps between them.
    """
    app = Starlette(
        routes=[*routes(OPERATIONS), *(stream.route() for stream in STREAMS), *docs.routes()],
        middleware=[
            Middleware(AccessLog),
            Middleware(Doorkeeper, settings.api_token.get_secret_value() if settings.api_token else None),
        ],
        exception_handlers=HANDLERS,
        lifespan=_life,
    )
    app.router.redirect_slashes = False
    app.state.runtime = Runtime(settings, long_lived=long_lived)
    app.state.document = document(OPERATIONS, version=VERSION)
    app.state.downloads = asyncio.Semaphore(MOST_AT_ONCE)
    app.state.feed = Feed(Outbox(app.state.runtime.database))
    app.state.market = Market(app.state.runtime)
    app.state.sockets = set()
    app.state.pulse = Pulse(app.state.runtime.market.server_time)
    return app


@asynccontextmanager
async def _life(app: Starlette) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime
    preparing = asyncio.create_task(_prepare(runtime))
    try:
        await asyncio.wait({preparing}, timeout=FIRST_TRY_SECONDS)
        yield
    finally:
        preparing.cancel()
        await asyncio.wait({preparing})
        await runtime.close()


async def _prepare(runtime: Runtime) -> None:
    """Prepare, as often as it takes: to show what is known, and to pause an account, needs no exchange."""
    while True:
        try:
            await runtime.record_accounts()
            await runtime.require_time()
        except PerpetuaError as exc:
            log.warning("not prepared yet", extra={"why": str(exc)})
        else:
            log.info("prepared")
            return
        await asyncio.sleep(RETRY_SECONDS)
