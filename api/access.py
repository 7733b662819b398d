"""
Every request gets an id, one line in the log and, whatever happens inside, an answer.

The id is the caller's X-Request-Id where it is a sane one; it is echoed, and stands on every line logged meanwhile.
"""

import asyncio
import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import internal_error
from shared.logs import log_ids

log = logging.getLogger("perpetua.app")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class AccessLog:
    """The outermost layer: what it wraps may raise anything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        status: int | None = None

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        clock = asyncio.get_running_loop()
        began = clock.time()
        with log_ids(request=request_id):
            try:
                await self._app(scope, receive, send_marked)
            except Exception:
                log.exception("request failed")
                if status is None:
                    await internal_error().response()(scope, receive, send_marked)
            finally:
                caller = scope["state"].get("caller")
                log.info(
                    "request",
                    extra={
                        "method": scope.get("method"),
                        "path": scope["path"],
                        "status": status,
                        "ms": round((clock.time() - began) * 1000, 1),
                        "client": scope["client"][0] if scope.get("client") else None,
                        "caller": caller.name if caller else None,
                    },
                )


def _request_id(given: str) -> str:
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
