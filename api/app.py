"""The application, put together in one place: what is served, who is let in, what is opened and closed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import asyncapi, docs
from api.access import AccessLog
from api.admission import Admission
from api.auth import Doorkeeper
from api.bounds import BoundedBodies
from api.dashboard import files
from api.downloads import MOST_AT_ONCE
from api.errors import HANDLERS
from api.first_token import make_first_token
from api.headers import SecurityHeaders
from api.live import messages, prices, streams
from api.live.feed import Feed
from api.live.market import Market
from api.live.prices import MarketQuery
from api.live.sockets import Stream
from api.live.streams import ListenQuery
from api.meter import Meter, Metered
from api.openapi import document
from api.operations import Operation, routes
from api.problems import STAGE
from api.pulse import MODELS_FRESH_SECONDS, Pulse, asks_for_models
from api.routes import (
    accounts,
    audit,
    changes,
    controls,
    details,
    health,
    invocations,
    lists,
    market,
    monitoring,
    performance,
    records,
    results,
    sessions,
    status,
    tokens,
)
from shared.db.audit import AuditTrail
from shared.db.outbox import Outbox
from shared.db.tokens import TokenTable
from shared.domain.access import Scope
from shared.domain.errors import PerpetuaError
from shared.runtime import Runtime
from shared.settings import Settings

log = logging.getLogger("perpetua.app")

VERSION = "0.1.0"
"""Of the API, as its document tells it."""
RETRY_SECONDS = 5.0
FOLLOW_SECONDS = 5.0
FIRST_TRY_SECONDS = 2.0
"""How long serving waits for the first attempt."""

READ, OPERATE, ADMIN = Scope.READ, Scope.OPERATE, Scope.ADMIN

# What several can come to.
ACCOUNT = ("unknown_account",)
MADE = ("bad_request", "unknown_account")
CONFIGURING = ("bad_account", "foreign_books", *(code for code in STAGE if code.startswith("venue_")))
CHANGE = ("unknown_change", "change_decided")
RECORD = ("bad_request", "unknown_record", "record_broken")

OPERATIONS = (
    Operation("GET", "/health", health.ready, READ, problems=("not_ready",)),
    Operation("GET", "/health/live", health.live, None),
    Operation("GET", "/health/ready", health.ready, READ, problems=("not_ready",)),
    Operation("GET", "/status", status.status, READ),
    Operation("GET", "/accounts", lists.accounts, READ),
    Operation("GET", "/accounts/{account}", accounts.show, READ, problems=ACCOUNT),
    Operation(
        "POST",
        "/accounts",
        accounts.add,
        ADMIN,
        status=201,
        whole_house=True,
        problems=(*CONFIGURING, "account_exists"),
    ),
    Operation(
        "PATCH",
        "/accounts/{account}",
        accounts.change,
        ADMIN,
        problems=(*CONFIGURING, *ACCOUNT, "account_changed", "keys_of_the_house"),
    ),
    Operation("DELETE", "/accounts/{account}", accounts.remove, ADMIN, problems=(*STAGE, "account_not_flat")),
    Operation("POST", "/accounts/{account}/pause", accounts.pause, OPERATE, problems=(*ACCOUNT, "account_halted")),
    Operation("GET", "/accounts/{account}/status", details.account_status, READ, problems=ACCOUNT),
    Operation(
        "POST",
        "/accounts/{account}/resume",
        accounts.resume,
        OPERATE,
        problems=(*ACCOUNT, "account_stopped", "no_authority", "bad_request"),
    ),
    Operation(
        "POST",
        "/accounts/{account}/stop",
        controls.stop,
        OPERATE,
        problems=(*ACCOUNT, "foreign_books"),
        found_again=True,
    ),
    Operation(
        "POST",
        "/accounts/{account}/rearm",
        accounts.rearm,
        OPERATE,
        problems=(*ACCOUNT, "not_confirmed", "no_authority", "bad_request"),
    ),
    Operation(
        "POST",
        "/stop",
        controls.stop_everything,
        OPERATE,
        whole_house=True,
        problems=("foreign_books",),
        found_again=True,
    ),
    Operation(
        "POST",
        "/accounts/{account}/positions/{symbol}/close",
        controls.close,
        OPERATE,
        problems=STAGE,
        found_again=True,
    ),
    Operation(
        "POST",
        "/accounts/{account}/orders/{order}/cancel",
        controls.cancel_one,
        OPERATE,
        problems=STAGE,
        found_again=True,
    ),
    Operation(
        "POST",
        "/accounts/{account}/orders/cancel",
        controls.cancel_all,
        OPERATE,
        problems=STAGE,
        found_again=True,
    ),
    Operation("GET", "/changes", changes.listed, READ),
    Operation("POST", "/changes/{change}/approve", changes.approve_one, ADMIN, problems=(*CHANGE, "same_person")),
    Operation("POST", "/changes/{change}/withdraw", changes.withdraw_one, ADMIN, problems=CHANGE),
    Operation("GET", "/accounts/{account}/prompt", records.prompt, READ, problems=STAGE),
    Operation("GET", "/positions", results.positions, READ),
    Operation("GET", "/positions/closed", results.closed_positions, READ),
    Operation("GET", "/orders", lists.orders, READ),
    Operation("GET", "/orders/{order}", details.order, READ, problems=("unknown_order",)),
    Operation("GET", "/trades", lists.trades, READ),
    Operation("GET", "/decisions", lists.decisions, READ),
    Operation("GET", "/decisions/{decision}", details.decision, READ, problems=("bad_request", "unknown_record")),
    Operation("GET", "/decisions/{decision}/record", records.record, READ, problems=RECORD),
    Operation("POST", "/decisions/{decision}/replay", records.replay, OPERATE, problems=(*RECORD, *STAGE)),
    Operation("GET", "/models", records.comparison, READ),
    Operation("GET", "/llm-interactions", lists.llm_interactions, READ),
    Operation("GET", "/llm-interactions/{call}", details.model_call, READ, problems=("unknown_model_call",)),
    Operation("GET", "/costs", results.costs, READ),
    Operation("GET", "/market-data", market.candles, READ),
    Operation("GET", "/market-data/quotes", market.quotes, READ),
    Operation("GET", "/market-data/indicators", market.indicators, READ, problems=("market_data_unusable",)),
    Operation("GET", "/events", lists.events, READ),
    Operation("GET", "/equity", lists.equity, READ),
    Operation("GET", "/equity/curve", performance.curve, READ, problems=ACCOUNT),
    Operation("GET", "/diary", lists.diary, READ),
    Operation("GET", "/discrepancies", lists.discrepancies, READ),
    Operation("GET", "/metrics", monitoring.metrics, READ, whole_house=True, media_types=monitoring.METRICS_TYPES),
    Operation("GET", "/operations", monitoring.operations, READ, problems=ACCOUNT),
    Operation("GET", "/alerts", monitoring.alerts, READ),
    Operation("POST", "/alerts/{alert}/acknowledge", monitoring.acknowledge, OPERATE, problems=("unknown_alert",)),
    Operation("GET", "/logs", monitoring.logs, READ, problems=("no_log_files",)),
    Operation("GET", "/performance", performance.performance, READ, problems=ACCOUNT),
    Operation("GET", "/performance/returns", performance.returns, READ),
    Operation("GET", "/edge", results.edge, READ),
    Operation("GET", "/limits", results.limits, READ, problems=ACCOUNT),
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
    Operation("POST", "/session", sessions.log_in, None, problems=("token_wrong", "database_unavailable")),
    Operation("GET", "/session", sessions.show, READ),
    Operation("DELETE", "/session", sessions.log_out, READ, status=204),
    Operation("GET", "/tokens", tokens.listed, ADMIN, whole_house=True),
    Operation(
        "POST", "/tokens", tokens.create, ADMIN, status=201, whole_house=True, problems=("bad_request", *ACCOUNT)
    ),
    Operation("DELETE", "/tokens/{token}", tokens.revoke, ADMIN, whole_house=True, problems=("unknown_token",)),
    Operation("GET", "/audit", audit.trail, ADMIN),
)


STREAMS = (
    Stream("/ws/trading-events", ListenQuery, streams.trading_events, READ, messages.OF_TRADING),
    Stream(
        "/ws/positions", ListenQuery, streams.positions, READ, messages.OF_POSITIONS, frozenset(streams.OF_POSITIONS)
    ),
    Stream("/ws/market-data", MarketQuery, prices.market_data, READ, messages.OF_THE_MARKET),
)

# What a page of another site may send, and read of the answer.
TAKEN = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id"]
SHOWN = ["ETag", "Idempotency-Replayed", "Retry-After", "X-Request-Id"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def create_app(settings: Settings, *, long_lived: bool = True) -> Starlette:
    """Return the ASGI application. Its lifespan opens the runtime and closes it. Raises SettingsError.

    Say *long_lived* False where a container serves one request at a time and sleeps between them.
    """
    runtime = Runtime(settings, long_lived=long_lived)
    own = settings.api_token.get_secret_value() if settings.api_token else None
    admission = Admission(TokenTable(runtime.database), own)
    trail = AuditTrail(runtime.database)
    meter = Meter()
    app = Starlette(
        routes=[
            *routes(OPERATIONS),
            *(stream.route() for stream in STREAMS),
            *docs.routes(),
            *files.routes(),
        ],
        middleware=[
            Middleware(Metered, meter),
            *_behind_proxies(settings),
            Middleware(AccessLog),
            Middleware(SecurityHeaders),
            *_for_other_sites(settings),
            Middleware(BoundedBodies),
            Middleware(Doorkeeper, admission=admission, trail=trail, settings=settings),
        ],
        exception_handlers=HANDLERS,
        lifespan=_life,
    )
    app.router.redirect_slashes = False
    app.state.runtime = runtime
    app.state.admission = admission
    app.state.document = cache(partial(document, OPERATIONS, version=VERSION))
    app.state.streams_document = cache(partial(asyncapi.document, STREAMS, version=VERSION))
    app.state.downloads = asyncio.Semaphore(MOST_AT_ONCE)
    app.state.feed = Feed(Outbox(runtime.database))
    app.state.market = Market(runtime)
    app.state.sockets = set()
    app.state.meter = meter
    app.state.pulse = Pulse(runtime.market.server_time)
    app.state.models_pulse = Pulse(
        asks_for_models(settings.model_url), of="the service of the models", fresh_seconds=MODELS_FRESH_SECONDS
    )
    return app


def _behind_proxies(settings: Settings) -> list[Middleware]:
    """Who asks, and whether over https, is believed of those proxies alone."""
    if not settings.trusted_proxies:
        return []
    return [Middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))]


def _for_other_sites(settings: Settings) -> list[Middleware]:
    """Pages of these sites may ask, with a token: a session is for our own pages alone."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=METHODS,
            allow_headers=TAKEN,
            expose_headers=SHOWN,
        )
    ]


@asynccontextmanager
async def _life(app: Starlette) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime
    preparing = asyncio.create_task(_prepare(runtime))
    following = asyncio.create_task(_follow(runtime))
    try:
        await asyncio.wait({preparing}, timeout=FIRST_TRY_SECONDS)
        yield
    finally:
        preparing.cancel()
        following.cancel()
        await asyncio.wait({preparing, following})
        await runtime.close()


async def _prepare(runtime: Runtime) -> None:
    """Prepare, as often as it takes: to show what is known, and to pause an account, needs no exchange."""
    while True:
        try:
            await runtime.record_accounts()
            await make_first_token(runtime)
            await runtime.require_time()
        except PerpetuaError as exc:
            log.warning("not prepared yet", extra={"why": str(exc)})
        else:
            log.info("prepared")
            return
        await asyncio.sleep(RETRY_SECONDS)


async def _follow(runtime: Runtime) -> None:
    """Follow what other processes have been told of accounts."""
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        try:
            await runtime.follow_accounts()
        except PerpetuaError as exc:
            log.warning("accounts not followed", extra={"why": str(exc)})
        except Exception:
            log.exception("following accounts failed")
