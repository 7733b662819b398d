"""The application, put together in one place: what is served, who is let in, what is opened and closed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from api.access import AccessLog
from api.auth import Doorkeeper
from api.errors import HANDLERS
from api.pulse import Pulse
from api.routes import accounts, health, invocations, lists, performance, records, status
from shared.domain.errors import PerpetuaError
from shared.runtime import Runtime
from shared.settings import Settings

log = logging.getLogger("perpetua.app")

RETRY_SECONDS = 5.0
FIRST_TRY_SECONDS = 2.0
"""How long serving waits for the first attempt."""

ROUTES = (
    Route("/health", health.ready),
    Route("/health/live", health.live),
    Route("/health/ready", health.ready),
    Route("/status", status.status),
    Route("/accounts", lists.accounts),
    Route("/accounts/{id}", accounts.account),
    Route("/accounts/{id}/pause", accounts.pause, methods=["POST"]),
    Route("/accounts/{id}/resume", accounts.resume, methods=["POST"]),
    Route("/accounts/{id}/prompt", records.prompt),
    Route("/positions", lists.positions),
    Route("/orders", lists.orders),
    Route("/trades", lists.trades),
    Route("/decisions", lists.decisions),
    Route("/decisions/{id}/record", records.record),
    Route("/decisions/{id}/replay", records.replay, methods=["POST"]),
    Route("/models", records.comparison),
    Route("/llm-interactions", lists.llm_interactions),
    Route("/costs", lists.costs),
    Route("/market-data", lists.market_data),
    Route("/equity", lists.equity),
    Route("/diary", lists.diary),
    Route("/discrepancies", lists.discrepancies),
    Route("/performance", performance.performance),
    Route("/functions/{stage}/invocations", invocations.invoke_stage, methods=["POST"]),
    Route("/2015-03-31/functions/{name}/invocations", invocations.invoke_function, methods=["POST"]),
)


def create_app(settings: Settings, *, long_lived: bool = True) -> Starlette:
    """Return the ASGI application. Its lifespan opens the runtime and closes it. Raises SettingsError.

    Say *long_lived* False where a container serves one request at a time and sleeps between them.
    """
    app = Starlette(
        routes=ROUTES,
        middleware=[
            Middleware(AccessLog),
            Middleware(Doorkeeper, settings.api_token.get_secret_value() if settings.api_token else None),
        ],
        exception_handlers=HANDLERS,
        lifespan=_life,
    )
    app.router.redirect_slashes = False
    app.state.runtime = Runtime(settings, long_lived=long_lived)
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
