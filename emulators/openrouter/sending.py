"""
How an answer leaves: at once, late, drop by drop, in part, or not at all.

A broken connection needs a socket to break: called in the client's own process, without a server, the application
raises `httpx.ReadError`, which is what a client sees of one.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence

import httpx
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from emulators.openrouter.errors import ServiceError
from emulators.openrouter.faults import Fault
from emulators.openrouter.wire import Json, WireResponse, encoded

DRIP_INTERVAL_SECONDS = 0.02
COMMENT = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"
EVENTS_BETWEEN_COMMENTS = 8
DISCONNECTED = {"code": 502, "message": "Provider disconnected", "metadata": {"error_type": "provider_unavailable"}}


def without_an_answer(fault: Fault) -> Response | None:
    """The reply to a request that no model gets to see, or None when *fault* only spoils an answer."""
    match fault.kind:
        case "200-with-error":
            return WireResponse({"error": ServiceError(fault.status or 502).error})
        case "html":
            page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
            return Response(page, status_code=fault.status or 200, media_type="text/html")
        case "empty":
            return Response(b"", status_code=fault.status or 200, media_type="application/json")
        case "reset":
            return _Broken(None, b"")
    return None


async def whole(body: Json, fault: Fault | None) -> Response:
    """A completion in one piece, spoiled or delayed by *fault*."""
    kind = fault.kind if fault else ""
    match kind:
        case "no-choices":
            body.pop("choices")
        case "no-usage":
            body.pop("usage")
        case "no-cost":
            body["usage"].pop("cost")
            body["usage"].pop("cost_details")
        case "other-model":
            body["model"] = f"{body['model']}-20260101"
    content = encoded(body)
    half = content[: len(content) // 2]
    if kind in {"truncated", "stream-cut", "broken-chunk"}:
        return Response(half, media_type="application/json")
    if kind == "reset-after-headers":
        return _Broken("application/json", half)
    if fault is not None and kind == "whitespace-drip":
        return StreamingResponse(_drip(fault.ms / 1000, b"\n", [content]), media_type="application/json")
    if fault is not None and kind == "slow-first-byte":
        await asyncio.sleep(fault.ms / 1000)
    return Response(content, media_type="application/json")


async def streamed(events: Sequence[Json], failed: Json, fault: Fault | None) -> Response:
    """A completion as events, spoiled or delayed by *fault*; *failed* is the event that says so."""
    kind = fault.kind if fault else ""
    if kind == "no-choices":
        events = [{key: value for key, value in event.items() if key != "choices"} for event in events]
    if kind in {"no-usage", "no-cost"}:
        gone = {"usage"} if kind == "no-usage" else {"cost", "cost_details"}
        *events, last = events
        usage = {key: value for key, value in last["usage"].items() if key not in gone}
        events = [*events] if kind == "no-usage" else [*events, last | {"usage": usage}]
    if kind == "other-model":
        events = [event | {"model": f"{event['model']}-20260101"} for event in events]
    lines = [_event(event) for event in events]
    half = lines[: max(1, len(lines) // 2)]
    match kind:
        case "mid-stream-error" | "choice-error":
            lines = [*half, _event(failed)]
        case "stream-cut" | "truncated":
            lines = half
        case "broken-chunk":
            lines = [*half, b'data: {"id": "gen-\n\n', DONE]
        case "reset-after-headers":
            return _Broken("text/event-stream", b"".join([COMMENT, *half]))
        case _:
            lines = [*lines, DONE]
    if fault is not None and kind == "whitespace-drip":
        return StreamingResponse(_drip(fault.ms / 1000, COMMENT, lines), media_type="text/event-stream")
    if fault is not None and kind == "slow-first-byte":
        await asyncio.sleep(fault.ms / 1000)
    return StreamingResponse(_flow(lines), media_type="text/event-stream")


def _event(body: Json) -> bytes:
    return b"data: " + encoded(body) + b"\n\n"


async def _flow(lines: Sequence[bytes]) -> AsyncIterator[bytes]:
    for number, line in enumerate(lines):
        if number % EVENTS_BETWEEN_COMMENTS == 0:
            yield COMMENT
        yield line


async def _drip(seconds: float, drop: bytes, content: Sequence[bytes]) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while clock() < end:
        yield drop
        await asyncio.sleep(DRIP_INTERVAL_SECONDS)
    for each in content:
        yield each


class _Broken(Response):
    """A TCP reset: before anything is said, or, with a media type, in the middle of a body that begins with *start*."""

    def __init__(self, media_type: str | None, start: bytes) -> None:
        super().__init__(start, media_type=media_type)
        self._speaks = media_type is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # ASGI has no word for this; uvicorn's `receive` is a method of the object that holds the connection.
        transport = getattr(getattr(receive, "__self__", None), "transport", None)
        if transport is None:
            raise httpx.ReadError("connection reset by the emulator")
        if self._speaks:
            headers = [(b"content-type", (self.media_type or "").encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            # What was said must have left, or the reset would take it along.
            await asyncio.sleep(DRIP_INTERVAL_SECONDS)
        linger_none = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
