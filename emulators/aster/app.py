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
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.types import Receive, Scope, Send

from .doors import account_data, management, market_data, stream_access, trading
from .doors.administration import administration
from .doors.auth import MAINNET, Doorkeeper, Letter
from .doors.calls import Answer, Call, Endpoint
from .doors.clock import Clock, clock_for
from .doors.faults import Fault, Faults
from .doors.limits import FIRST_BAN, Limits
from .doors.reading import Asked, TooLarge, asked
from .doors.recollection import Answered, Recollection
from .doors.settings import Settings
from .doors.spoiling import spoiled
from .errors import Refusal
from .parameters import Parameters
from .prices.intervals import MINUTE
from .streams.stream_administration import stream_administration
from .streams.streams import Streams
from .venue import Venue

TICK_SECONDS = 0.1
ENDPOINTS = {
    (endpoint.method, f"/fapi/{version}/{endpoint.name}"): (version, endpoint)
    for endpoint in (
        *market_data.ENDPOINTS,
        *trading.ENDPOINTS,
        *account_data.ENDPOINTS,
        *management.ENDPOINTS,
        *stream_access.ENDPOINTS,
    )
    for version in endpoint.versions
} | {
    # What clients of both markets ask of the spot one.
    ("GET", "/api/v3/exchangeInfo"): ("v3", market_data.SPOT_EXCHANGE_INFO),
    ("POST", "/api/v3/asset/wallet/transfer"): ("v3", account_data.TRANSFER),
}
METHODS = {path: sorted({method for method, each in ENDPOINTS if each == path}) for _, path in ENDPOINTS}
JSON = {"content-type": "application/json"}
PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
LOOK_UPS = frozenset({"order", "openOrder"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to a client."""

    status: int
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Exchange:
    """The exchange's REST API as an ASGI application."""

    def __init__(self, venue: Venue, clock: Clock, *, chain: int, settings: Settings, faults: Faults) -> None:
        self._venue = venue
        self._clock = clock
        self._settings = settings
        self._faults = faults
        self._limits = Limits(settings, venue.register)
        self._doorkeeper = Doorkeeper(venue, settings, chain=chain)
        self._recollection = Recollection()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            question = await asked(scope, receive)
        except TooLarge as exc:
            await _send(send, _page(exc.status))
            return
        if question is None:
            return
        self._venue.advance(self._clock.moved_to(self._venue.now))
        fault = self._faults.strike(question.method, question.path, self._venue.now)
        if fault is None:
            reply = await self._answer(question)
        else:
            if fault.delays_effect:
                await asyncio.sleep(fault.delay_seconds)
                self._venue.advance(self._clock.moved_to(self._venue.now))
            reply = await self._answer(question, fault.age) if fault.spares_effect else Reply(200)
            if fault.name == "reset":
                _break_connection(receive)
                # The transport reports its own end in the next turn of the loop.
                await asyncio.sleep(0)
                return
            if not fault.delays_effect:
                await asyncio.sleep(fault.delay_seconds)
            reply = self._spoiled(reply, fault, question)
        await _send(send, reply, without_content=scope["method"] == "HEAD")

    async def _answer(self, question: Asked, age: int = 0) -> Reply:
        """Carry out a request; a GET is answered as it was *age* milliseconds ago, if that is remembered."""
        if question.method == "OPTIONS" and question.path in METHODS:
            return Reply(204, headers={"allow": ", ".join(["OPTIONS", *METHODS[question.path]])})
        address, now = question.address, self._venue.now
        if not self._limits.pass_firewall(address, now):
            return _page(403)
        counted = ""
        retry: dict[str, str] = {}
        try:
            self._limits.refuse_banned(address, now)
            call, endpoint = self._read(question)
            account = "" if call.signed_by is None else call.signed_by.id
            if endpoint.is_order:
                counted = account
                self._limits.use_orders(account, endpoint.orders_in(call.parameters), address, now)
            status, content = 200, _encoded(await endpoint.handler(call))
            if question.method == "GET":
                content = self._remembered(question, account, call.parameters, content, age)
        except Refusal as refusal:
            status, content = refusal.status, _refused(refusal)
            retry = self._patience(refusal, question)
        # Time may have moved on while another venue was asked, and the meters know no way back.
        now = self._venue.now
        headers = {**JSON, "x-mbx-used-weight-1m": str(self._limits.weights.used(address, now)), **retry}
        if counted:
            headers["x-mbx-order-count-1m"] = str(self._limits.orders.used(counted, now))
        return Reply(status, content, headers)

    def _read(self, question: Asked) -> tuple[Call, Endpoint]:
        """Return what is asked, by whom; refuse what is not served, too much, or not signed."""
        found = ENDPOINTS.get((question.method, question.path))
        if found is not None and found[1].name == "openInterest" and not self._settings.open_interest:
            found = None
        try:
            parameters = question.parameters()
            weight = found[1].weigh(parameters) if found else 1
        except Refusal:
            self._limits.use_weight(question.address, 1, self._venue.now)
            raise
        self._limits.use_weight(question.address, weight, self._venue.now)
        if found is None:
            text = f"This operation is not supported: {question.method} {question.path}"
            raise Refusal(-1020, text=text, status=404)
        version, endpoint = found
        skew = self._faults.skew(self._venue.now)
        account = None
        if endpoint.signed:
            letter = Letter(
                endpoint, version, question.api_key, question.query, question.body, parameters, question.address
            )
            account = self._doorkeeper.account(letter, skew=skew)
        call = Call(
            self._venue, parameters, account, self._limits, self._clock.speed or 1.0, self._venue.register, skew
        )
        return call, endpoint

    def _remembered(self, question: Asked, account: str, parameters: Parameters, content: bytes, age: int) -> bytes:
        """Remember an answer, and return it or the one that was given *age* milliseconds ago."""
        now = self._venue.now
        old = self._recollection.find(question.path, account, parameters, now - age) if age else None
        self._recollection.keep(Answered(now, question.path, account, parameters, content))
        return content if old is None else old

    def _spoiled(self, reply: Reply, fault: Fault, question: Asked) -> Reply:
        """Return what a fault makes of a reply."""
        if fault.name == "503":
            return Reply(503, b"", {"content-type": "text/plain"})
        if fault.name in {"html", "403"}:
            return _page(fault.status)
        until = fault.until or (self._venue.now + FIRST_BAN if fault.name == "418" else None)
        if (refusal := self._refusal_of(fault, question, until)) is not None:
            return Reply(refusal.status, _refused(refusal), {**JSON, **self._patience(refusal, question, until)})
        if fault.name == "not-found":
            return Reply(200, b"[]", JSON)
        return replace(reply, content=spoiled(reply.content, fault.name, fault.field_name))

    def _refusal_of(self, fault: Fault, question: Asked, until: int | None) -> Refusal | None:
        """Return how a fault refuses a request, or nothing when it spoils the answer in another way."""
        refusal = None
        if fault.name == "429":
            refusal = Refusal(-1003, self._limits.weights.limit)
        elif fault.name == "418" and until is not None:
            refusal = self._limits.ban_refusal(until)
        elif fault.name == "error":
            # Details a text has no blank for are dropped.
            refusal = Refusal(fault.code, "?", "?")
        elif fault.name == "not-found" and question.path.rpartition("/")[2] in LOOK_UPS:
            refusal = Refusal(-2011 if question.method == "DELETE" else -2013)
        return refusal

    def _patience(self, refusal: Refusal, question: Asked, until: int | None = None) -> dict[str, str]:
        """Return the header that says for how many seconds of market time those who asked too much have to wait."""
        if refusal.status not in {418, 429} or not self._settings.retry_after:
            return {}
        now = self._venue.now
        end = until or self._limits.banned_until(question.address, now) or (now // MINUTE + 1) * MINUTE
        return {"retry-after": str(max(1, math.ceil((end - now) / 1000)))}


def create_app(
    venue: Venue,
    *,
    speed: float | None = None,
    chain: int = MAINNET,
    settings: Settings | None = None,
) -> Starlette:
    """
    Return the venue as an ASGI application.

    Market time runs at *speed* times the real one; without a speed it stands still until `venue.advance` or
    `POST /emulator/advance`. A market that follows the outside world always runs in real time. *chain* is the chain id
    wallets must sign for; *settings* say how the doors behave.
    """
    clock = clock_for(venue.market, venue.now, speed)
    settings = settings or Settings()
    faults = Faults()
    streams = Streams(venue, clock, settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        work = (venue.market.follow(), _keep_time(venue, clock), streams.publish())
        tasks = [asyncio.create_task(each) for each in work]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    exchange = Exchange(venue, clock, chain=chain, settings=settings, faults=faults)
    admin = [*administration(venue, clock, faults), *stream_administration(streams)]
    routes = [*admin, WebSocketRoute("/{path:path}", streams), Mount("/", app=exchange)]
    return Starlette(routes=routes, lifespan=lifespan)


async def _keep_time(venue: Venue, clock: Clock) -> None:
    while True:
        venue.advance(clock.moved_to(venue.now))
        await asyncio.sleep(TICK_SECONDS)


def _break_connection(receive: Receive) -> None:
    """Abort the TCP connection of a request; without one, raise what its client would see."""
    # uvicorn hands out `receive` as a method of the object that holds the transport; ASGI has no word for a reset.
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise httpx.ReadError("connection reset by the emulator")
    transport.abort()


async def _send(send: Send, reply: Reply, *, without_content: bool = False) -> None:
    raw = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    raw.append((b"content-length", str(len(reply.content)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if without_content else reply.content})


def _page(status: int) -> Reply:
    """Return a page as gateways write them."""
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = str(status)
    return Reply(status, PAGE.format(title).encode(), {"content-type": "text/html"})


def _encoded(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else json.dumps(answer, separators=(",", ":")).encode()


def _refused(refusal: Refusal) -> bytes:
    return _encoded({"code": refusal.code, "msg": refusal.text})
