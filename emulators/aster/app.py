"""
The venue's doors: the exchange's REST API, and the emulator's own administration beside it.

Every request first moves market time to the present of its clock, so nobody ever sees a market that has stood still;
under a server time also moves between requests. The exchange's paths are served from a table, the administration
(`/emulator/...`) needs no signature and is for whoever runs the emulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from . import account_data, market_data, trading
from .administration import administration
from .auth import MAINNET, Doorkeeper
from .calls import Answer, Call, Endpoint
from .clock import Clock, clock_for
from .errors import Refusal
from .faults import Fault, Faults
from .intervals import MINUTE
from .limits import ORDER_LIMIT, WEIGHT_LIMIT, Limits, Meter
from .venue import Venue

TICK_SECONDS = 0.1
ENDPOINTS = {
    (endpoint.method, f"/fapi/{version}/{endpoint.name}"): (version, endpoint)
    for endpoint in (*market_data.ENDPOINTS, *trading.ENDPOINTS, *account_data.ENDPOINTS)
    for version in endpoint.versions
}
GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to a client."""

    status: int
    content: bytes
    headers: dict[str, str]


class Exchange:
    """The exchange's REST API as an ASGI application."""

    def __init__(self, venue: Venue, clock: Clock, doorkeeper: Doorkeeper, faults: Faults, limits: Limits) -> None:
        self._venue = venue
        self._clock = clock
        self._doorkeeper = doorkeeper
        self._faults = faults
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        self._venue.advance(self._clock.moved_to(self._venue.now))
        fault = self._faults.strike(scope["method"], scope["path"])
        if fault is None:
            await _send(send, await self._answer(scope, body))
            return
        reply = await self._answer(scope, body) if fault.spares_effect else Reply(200, b"", {})
        if fault.kind.startswith("reset"):
            _break_connection(receive)
            # The transport reports its own end in the next turn of the loop.
            await asyncio.sleep(0)
            return
        await asyncio.sleep(fault.delay_seconds)
        await _send(send, _spoiled(reply, fault))

    async def _answer(self, scope: Scope, body: bytes) -> Reply:
        """Carry out a request."""
        address = scope["client"][0] if scope.get("client") else "local"
        account_name = ""
        retry: dict[str, str] = {}
        try:
            call, endpoint = self._read(scope, body, address)
            if call.signed_by is not None:
                account_name = call.signed_by.id
            if endpoint.is_order:
                self._limits.orders.use(account_name, 1, self._venue.now)
            status, content = 200, _encoded(await endpoint.handler(call))
        except Refusal as refusal:
            status, content = refusal.status, _refused(refusal)
            if status == 429:
                retry = {"retry-after": str(self._seconds_to_next_minute())}
        used = {
            "x-mbx-used-weight-1m": str(self._limits.weights.used(address, self._venue.now)),
            "x-mbx-order-count-1m": str(self._limits.orders.used(account_name, self._venue.now)),
        }
        return Reply(status, content, {"content-type": "application/json", **used, **retry})

    def _read(self, scope: Scope, body: bytes, address: str) -> tuple[Call, Endpoint]:
        """Return what is asked, by whom; refuse what is not served, too much, or not signed."""
        query: bytes = scope["query_string"]
        # Parameters may stand in the query, in the body or in both, whatever the method; the query wins.
        parameters = {**_parameters(body), **_parameters(query)}
        found = ENDPOINTS.get((scope["method"], scope["path"]))
        self._limits.weights.use(address, found[1].weigh(parameters) if found else 1, self._venue.now)
        if found is None:
            text = f"This operation is not supported: {scope['method']} {scope['path']}"
            raise Refusal(-1020, text=text, status=404)
        version, endpoint = found
        account = None
        if endpoint.signed:
            keys = [value for name, value in scope["headers"] if name == b"x-mbx-apikey"]
            api_key = keys[0].decode("latin-1") if keys else None
            account = self._doorkeeper.account(version, api_key=api_key, query=query, body=body, parameters=parameters)
        return Call(self._venue, parameters, account, self._limits, self._clock.speed or 1.0), endpoint

    def _seconds_to_next_minute(self) -> int:
        left = (MINUTE - self._venue.now % MINUTE) / 1000 / (self._clock.speed or 1)
        return max(1, math.ceil(left))


def create_app(
    venue: Venue,
    *,
    speed: float | None = None,
    chain: int = MAINNET,
    weight_limit: int = WEIGHT_LIMIT,
    order_limit: int = ORDER_LIMIT,
    signature_refusal: int = -1022,
) -> Starlette:
    """
    Return the venue as an ASGI application.

    Market time runs at *speed* times the real one; without a speed it stands still until `venue.advance` or
    `POST /emulator/advance`. A market that follows the outside world always runs in real time. *chain* is the chain id
    wallets must sign for, *weight_limit* the request weight an address has in a minute, *order_limit* the number of
    orders an account has, *signature_refusal* the code of the answer to a bad wallet signature (-1022 or -1000).
    """
    clock = clock_for(venue.market, venue.now, speed)
    faults = Faults()
    doorkeeper = Doorkeeper(venue, chain=chain, signature_refusal=signature_refusal)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(venue.market.follow()), asyncio.create_task(_keep_time(venue, clock))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    limits = Limits(Meter(weight_limit, -1003), Meter(order_limit, -1015))
    exchange = Exchange(venue, clock, doorkeeper, faults, limits)
    admin = administration(venue, clock, faults)
    return Starlette(routes=[*admin, Mount("/", app=exchange)], lifespan=lifespan)


async def _keep_time(venue: Venue, clock: Clock) -> None:
    while True:
        venue.advance(clock.moved_to(venue.now))
        await asyncio.sleep(TICK_SECONDS)


def _spoiled(reply: Reply, fault: Fault) -> Reply:
    """Return what a fault makes of a reply."""
    if fault.kind == "html-502":
        return Reply(502, GATEWAY_PAGE, {"content-type": "text/html"})
    if fault.kind.startswith("503"):
        return Reply(503, b"", {"content-type": "text/plain"})
    if fault.code is not None:
        # Details a text has no blank for are dropped.
        refusal = Refusal(fault.code, "?", "?")
        return Reply(refusal.status, _refused(refusal), {"content-type": "application/json"})
    return reply


def _break_connection(receive: Receive) -> None:
    """Abort the TCP connection of a request; without one, raise what its client would see."""
    # uvicorn hands out `receive` as a method of the object that holds the transport; ASGI has no word for a reset.
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise httpx.ReadError("connection reset by the emulator")
    transport.abort()


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request, or nothing when the client left before it had sent all of it."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def _send(send: Send, reply: Reply) -> None:
    raw = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    raw.append((b"content-length", str(len(reply.content)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": reply.content})


def _parameters(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)) if raw else {}


def _encoded(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else json.dumps(answer, separators=(",", ":")).encode()


def _refused(refusal: Refusal) -> bytes:
    return _encoded({"code": refusal.code, "msg": refusal.text})
