"""
Faults on demand: what can go wrong between a client and the service, once each.

A fault hits the next chat completion, or, when it names a model, the next attempt at that model; an HTTP error of
one model lets the service go on to the fallbacks of the request.
"""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields, replace
from typing import NoReturn

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from emulators.openrouter.catalogue import MODELS
from emulators.openrouter.errors import MEANINGS, ServiceError
from emulators.openrouter.wire import Json, WireResponse, dumps

KINDS = (
    "status",
    "200-with-error",
    "choice-error",
    "html",
    "empty",
    "slow-first-byte",
    "whitespace-drip",
    "reset",
)
DRIP_INTERVAL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One order of `POST /emulator/faults`: a *kind* that strikes *count* times.

    *status* is the HTTP status of kind `status`, with *retry_after* in seconds; *ms* is how long `slow-first-byte` and
    `whitespace-drip` keep the client waiting; *model* is a slug.
    """

    kind: str
    count: int = 1
    model: str | None = None
    status: int = 503
    retry_after: int | None = None
    ms: int = 1000

    def error(self) -> ServiceError:
        return ServiceError(self.status, retry_after=self.retry_after)


def read_fault(body: bytes) -> Fault:
    """Read an order; a `ServiceError` of status 400 says what is wrong with it."""
    try:
        document = json.loads(body)
    except ValueError:
        _refuse("a JSON object is required")
    if not isinstance(document, dict) or document.get("kind") not in KINDS:
        _refuse(f"kind must be one of {', '.join(KINDS)}")
    known = {field.name for field in fields(Fault)}
    unknown = sorted(document.keys() - known)
    if unknown:
        _refuse(f"unknown field {unknown[0]}; known are {', '.join(sorted(known))}")
    for name in document.keys() & {"count", "status", "retry_after", "ms"}:
        if type(document[name]) is not int or document[name] < (name == "count"):
            _refuse(f"{name} must be an integer of at least {int(name == 'count')}")
    fault = Fault(**document)
    if fault.status not in MEANINGS:
        _refuse(f"status must be one of {', '.join(map(str, MEANINGS))}")
    if fault.model is not None and fault.model not in MODELS:
        _refuse(f"model {fault.model} is not on offer")
    return fault


def _refuse(message: str) -> NoReturn:
    raise ServiceError(400, message)


class Faults:
    """The orders still to be carried out, first come, first served."""

    def __init__(self) -> None:
        self._pending: deque[Fault] = deque()

    def add(self, fault: Fault) -> None:
        self._pending.append(fault)

    def take(self, model: str) -> Fault | None:
        """The fault that strikes this attempt at *model*, if any."""
        for position, fault in enumerate(self._pending):
            if fault.model in (None, model):
                del self._pending[position]
                if fault.count > 1:
                    self._pending.insert(position, replace(fault, count=fault.count - 1))
                return fault
        return None

    def pending(self) -> int:
        return sum(fault.count for fault in self._pending)


def without_an_answer(fault: Fault) -> Response | None:
    """The reply to a request that no model gets to see, or None when *fault* only spoils an answer."""
    match fault.kind:
        case "status":
            return fault.error().response()
        case "200-with-error":
            return WireResponse({"error": ServiceError(502).error})
        case "html":
            return Response("<html><body><h1>502 Bad Gateway</h1></body></html>", media_type="text/html")
        case "empty":
            return Response(b"", media_type="application/json")
        case "reset":
            return _Reset()
    return None


async def late(fault: Fault, body: Json) -> Response:
    """A sound answer that takes its time: silent before the first byte, or dripping whitespace meanwhile."""
    if fault.kind == "whitespace-drip":
        return StreamingResponse(_drip(fault.ms / 1000, body), media_type="application/json")
    await asyncio.sleep(fault.ms / 1000)
    return WireResponse(body)


async def _drip(seconds: float, body: Json) -> AsyncIterator[str]:
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while clock() < end:
        yield "\n"
        await asyncio.sleep(DRIP_INTERVAL_SECONDS)
    yield dumps(body)


class _Reset(Response):
    """
    A TCP reset in place of a reply.

    Needs a socket to reset: called in process, without a server, it raises `ConnectionResetError`.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # ASGI has no word for this; uvicorn's `receive` is a method of the object that holds the connection.
        transport = getattr(getattr(receive, "__self__", None), "transport", None)
        if transport is None:
            raise ConnectionResetError("reset by the emulator")
        linger_none = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
