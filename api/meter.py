"""
What this process measures of itself: requests by route and status, how long they took, and open sockets.

A route is told by its template, `/accounts/{account}`, and what is at no route as one: what strangers ask for makes no
new series.
"""

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOWHERE = "none"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Meter:
    """The instruments of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter(
            "perpetua_http_requests", "Requests that were answered.", labels, registry=self._registry
        )
        self.seconds = Histogram(
            "perpetua_http_request_seconds",
            "How long requests took, to the last byte of the answer.",
            ["method", "route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.sockets = Gauge("perpetua_sockets", "WebSockets that are open.", ["route"], registry=self._registry)

    def collect(self) -> Iterator[Metric]:
        """Return what was measured."""
        yield from self._registry.collect()


class Metered:
    """The layer that measures; whatever is inside may raise anything."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and measure."""
        match scope["type"]:
            case "http":
                await self._request(scope, receive, send)
            case "websocket":
                await self._socket(scope, receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        clock = asyncio.get_running_loop()
        began = clock.time()
        try:
            await self._app(scope, receive, send_seen)
        finally:
            method = scope["method"] if scope["method"] in METHODS else NOWHERE
            route = _route(scope)
            self._meter.requests.labels(method, route, str(status or 500)).inc()
            self._meter.seconds.labels(method, route).observe(clock.time() - began)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        open_at: str | None = None

        async def send_seen(message: Message) -> None:
            nonlocal open_at
            if message["type"] == "websocket.accept" and open_at is None:
                open_at = _route(scope)
                self._meter.sockets.labels(open_at).inc()
            await send(message)

        try:
            await self._app(scope, receive, send_seen)
        finally:
            if open_at is not None:
                self._meter.sockets.labels(open_at).dec()


def _route(scope: Scope) -> str:
    """Return the template of what the router found; it notes the endpoint in the scope that it was given."""
    if "endpoint" not in scope or "app" not in scope:
        return NOWHERE
    return _templates(scope["app"].routes).get(scope["endpoint"], NOWHERE)


def _templates(routes: list[BaseRoute]) -> dict[object, str]:
    found: dict[object, str] = {}
    for route in routes:
        match route:
            case Route() | WebSocketRoute():
                found[route.endpoint] = route.path
            case Mount():
                found[route.app] = f"{route.path}/…"
    return found
