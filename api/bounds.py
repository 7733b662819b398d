"""
What a request may bring along: a body of a bounded size, within a bounded time, whatever its headers promise.

It is refused where it is read, so that whoever reads nothing waits for nothing.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem

MOST_BYTES = 64 * 1024
BODY_SECONDS = 10.0
"""For all of it: one that comes byte by byte holds a connection, and nothing else, for no longer."""


class BoundedBodies:
    """Has reading a body that is too large or too slow raise Problem, every time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            receive = _Bounded(receive, Headers(scope=scope).get("content-length", "")).receive
        await self._app(scope, receive, send)


class _Bounded:
    def __init__(self, receive: Receive, announced: str) -> None:
        self._receive = receive
        self._left = MOST_BYTES
        self._until: float | None = None
        self._ended = False
        self._problem = _too_large() if announced.isdecimal() and int(announced) > MOST_BYTES else None

    async def receive(self) -> Message:
        if self._ended:  # what comes now is that they have gone
            return await self._receive()
        if self._problem:
            raise self._problem
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self._problem = Problem(408, "body_too_slow", f"the body did not come within {BODY_SECONDS:g} seconds")
            raise self._problem from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._problem = _too_large()
            raise self._problem
        self._ended = not message.get("more_body", False)
        return message


def _too_large() -> Problem:
    return Problem(413, "body_too_large", f"the body is larger than {MOST_BYTES} bytes")
