"""The API as people meet it: over real HTTP, on a real PostgreSQL, beside emulators of the exchange and the models."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from secrets import token_hex
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.routing import compile_path
from starlette.types import ASGIApp

from api.app import OPERATIONS, create_app
from api.live.sockets import KEEPALIVE
from api.openapi import codes_of
from api.patience import PatientProtocol
from emulators import aster, openrouter
from shared.settings import Settings, read_settings

Serve = Callable[..., str]


class AnnouncedServer(uvicorn.Server):
    """Says when it is up."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                loop="asyncio",  # as `python -m api` runs: another loop comes with a package of the tests
                log_config=None,
                access_log=False,
                proxy_headers=False,
                # A loaded machine needs more than a second for its farewells, and what is cut short stays unclosed.
                timeout_graceful_shutdown=10,
                **KEEPALIVE,
            )
        )
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve *app* on a port of its own, in a thread of its own, and yield its address."""
    server = AnnouncedServer(app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert server.up.wait(timeout=20)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def exchange_url() -> Iterator[str]:
    """An exchange whose market stands still, and with it the minute of its request limit: that is out of reach.

    One for each test: whoever starts believes the weight that it says was used, and would wait for the next minute.
    """
    venue = aster.Venue(aster.synthetic_market(symbols=("BTCUSDT", "ETHUSDT")))
    with serving(aster.create_app(venue, settings=aster.Settings(weight_limit=10**9))) as url:
        yield url


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    with serving(openrouter.create_app()) as url:
        yield f"{url}/api/v1"


@pytest.fixture
def settings(database_url: str, exchange_url: str, model_url: str) -> Settings:
    return read_settings(
        environment="testing",
        database_url=database_url,
        asterdex_base_url=exchange_url,
        # A wallet of its own: the process remembers what it last signed for another, perhaps in a later market time.
        asterdex_private_key=token_hex(32),
        openrouter_base_url=model_url,
        assets="BTCUSDT,ETHUSDT",
    )


@pytest.fixture
def serve(settings: Settings) -> Iterator[Serve]:
    """Serve the API with some settings changed; returns its address."""
    with ExitStack() as stack:

        def served(**changes: Any) -> str:
            changed = read_settings(**{**settings.model_dump(exclude_unset=True), **changes})
            return stack.enter_context(serving(create_app(changed)))

        yield served


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API as it is by default: no token, this machine only."""
    hooks = {"response": [_declared]}
    async with httpx.AsyncClient(base_url=serve(), event_hooks=hooks) as client:
        yield client


async def _declared(response: httpx.Response) -> None:
    """Require that the document tells of every problem an operation answers with."""
    if response.headers.get("content-type") != "application/problem+json":
        return
    method, path = response.request.method, response.request.url.path
    for operation in OPERATIONS:
        if operation.method == method and compile_path(operation.path)[0].match(path):
            told = json.loads(await response.aread())
            assert told["code"] in codes_of(operation), f"{method} {operation.path} does not declare {told}"
            return
