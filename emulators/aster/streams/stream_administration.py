"""
The emulator's own endpoints for streams, under `/emulator/`. JSON in and out, no signature.

- `GET streams`: the open sockets, each with the streams it follows.
- `POST streams/disconnect {"on"?}`: cut off, now, the sockets that follow a stream, or all.
- `POST streams/kill-key {"account", "told"?}`: let an account's listen key die; its listeners hear of it unless *told*
  is false.
- `GET stream-faults`, `POST stream-faults {"kind", "on"?, "count"?, "probability"?, "seed"?}`, `DELETE stream-faults`:
  see `stream_faults`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..doors.administration import BadAdmin, fields_of
from .stream_faults import ANY, StreamFault
from .streams import Streams


def stream_administration(streams: Streams) -> list[Route]:
    """Return the routes that administer the streams of a venue."""
    office = StreamOffice(streams)
    handlers = [
        ("streams", "GET", office.sockets),
        ("streams/disconnect", "POST", office.disconnect),
        ("streams/kill-key", "POST", office.kill_key),
        ("stream-faults", "GET", office.list_faults),
        ("stream-faults", "POST", office.add_fault),
        ("stream-faults", "DELETE", office.clear_faults),
    ]
    return [Route(f"/emulator/{name}", _answering(handler), methods=[method]) for name, method, handler in handlers]


class StreamOffice:
    """Administers the streams of one venue."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def sockets(self, request: Request) -> list[dict[str, Any]]:
        return [
            {"streams": list(socket.subscriptions.streams), "combined": socket.subscriptions.combined}
            for socket in self._streams.sockets
        ]

    async def disconnect(self, request: Request) -> dict[str, int]:
        fields = await fields_of(request)
        return {"disconnected": self._streams.disconnect(_text(fields, "on", ANY))}

    async def kill_key(self, request: Request) -> dict[str, str]:
        fields = await fields_of(request)
        account, told = _text(fields, "account"), fields.get("told", True)
        if not isinstance(told, bool):
            raise BadAdmin('"told" must be true or false')
        if not self._streams.kill_key(account, told=told):
            raise BadAdmin(f"account {account!r} has no listen key", 404)
        return {"account": account}

    async def list_faults(self, request: Request) -> list[dict[str, Any]]:
        return [
            {
                "kind": each.kind,
                "on": each.on,
                "count": each.count,
                "probability": each.probability,
                "seed": each.seed,
            }
            for each in self._streams.faults.waiting
        ]

    async def add_fault(self, request: Request) -> list[dict[str, Any]]:
        fields = await fields_of(request)
        count, probability, seed = fields.get("count", 1), fields.get("probability", 1.0), fields.get("seed", 0)
        if count is not None and not isinstance(count, int):
            raise BadAdmin('"count" must be a number, or null for ever')
        if not isinstance(probability, int | float) or not isinstance(seed, int):
            raise BadAdmin('"probability" and "seed" must be numbers')
        try:
            fault = StreamFault(_text(fields, "kind"), _text(fields, "on", ANY), count, float(probability), seed)
        except ValueError as exc:
            raise BadAdmin(str(exc)) from exc
        self._streams.faults.add(fault)
        return await self.list_faults(request)

    async def clear_faults(self, request: Request) -> list[dict[str, Any]]:
        self._streams.faults.clear()
        return []


def _text(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise BadAdmin(f'"{name}" must be a text')
    return value


def _answering(handler: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except BadAdmin as exc:
            return JSONResponse({"error": str(exc)}, status_code=exc.status)

    return endpoint
