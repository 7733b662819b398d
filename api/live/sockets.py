"""
One socket's life: let in, served, and ended with a reason.

The client asks by the query string when it opens and says nothing afterwards. It is told why it ends: a message of type
`error`, then a close code that is 4000 and the status that HTTP has for it. Somebody who takes nothing for a while is
left to the kernel, which gives up what nobody acknowledges.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic

from pydantic import Field
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.auth import caller_of, may_still_listen
from api.errors import Problem, as_problem, internal_error
from api.live import messages
from api.live.feed import TooSlow
from api.live.messages import Message
from api.operations import narrowed
from api.schemas import AccountQuery, Q, read_query
from shared.domain.access import Scope
from shared.domain.errors import BadCursor
from shared.runtime import Runtime

log = logging.getLogger("perpetua.app")

SUBPROTOCOL = "perpetua"
HEARTBEAT_SECONDS = 30
KEEPALIVE: dict[str, Any] = {
    "ws_ping_interval": HEARTBEAT_SECONDS,
    "ws_ping_timeout": HEARTBEAT_SECONDS,
    "ws_max_size": 4096,  # nobody has anything to say
    "ws_per_message_deflate": False,  # its windows would be most of what a socket needs
}
"""How a server is to keep sockets."""
STUCK_SECONDS = 30.0
"""How long a frame may wait for its reader."""
FAREWELL_SECONDS = 5.0
DOOR_SECONDS = 5.0
"""How often a stream is looked after: how soon a revoked token ends it."""
MOST_SOCKETS = 2_000


class Socket:
    """A client that listens."""

    def __init__(self, socket: WebSocket) -> None:
        self.app = socket.app
        self._socket = socket
        self._clock = asyncio.get_running_loop()
        self._saying_since: float | None = None

    def now(self) -> datetime:
        """Return the exchange's time."""
        runtime: Runtime = self.app.state.runtime
        return runtime.clock.now()

    async def say(self, message: str) -> None:
        """Send a message. It waits for as long as nobody takes it: see `mind`."""
        self._saying_since = self._clock.time()
        await self._socket.send_text(message)
        self._saying_since = None

    async def mind(self) -> None:
        """Raise TooSlow when nothing is taken any more, and Problem when what let the client in does so no longer."""
        while True:
            await asyncio.sleep(DOOR_SECONDS)
            if self._saying_since is not None and self._clock.time() - self._saying_since > STUCK_SECONDS:
                raise TooSlow(f"nothing was taken for {STUCK_SECONDS:g} s: come again with the last cursor")
            if not await may_still_listen(self._socket):
                raise Problem(401, "token_ended", "the token was revoked, or it or the session has ended: log in again")


class StreamQuery(AccountQuery):
    """What every stream can be asked: whose, how often it says that it lives, and the cursor to go on from."""

    heartbeat: int = Field(
        default=HEARTBEAT_SECONDS, ge=1, le=HEARTBEAT_SECONDS, description="Every how many seconds a ping is sent."
    )
    cursor: str | None = None


Serve = Callable[[Socket, Q], Awaitable[None]]
"""Tells what was asked for, until it is cancelled or raises."""


@dataclass(frozen=True)
class Stream(Generic[Q]):
    """A stream, declared once: its path, what may be asked, who tells it, who may listen, and what they are told."""

    path: str
    query: type[Q]
    serve: Serve[Q]
    scope: Scope
    messages: tuple[type[Message], ...]
    kinds: frozenset[str] | None = None
    """Of the events that it tells; None: of every one."""

    def route(self) -> WebSocketRoute:
        """Return the route that serves this stream."""
        return WebSocketRoute(self.path, self._open, name=f"WS {self.path}")

    async def _open(self, socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        sockets: set[WebSocket] = socket.app.state.sockets
        sockets.add(socket)
        try:
            await self._serve(socket, len(sockets))
        except WebSocketDisconnect:
            pass
        except Exception as exc:
            await _end(socket, _problem(exc))
        finally:
            sockets.discard(socket)

    async def _serve(self, socket: WebSocket, number: int) -> None:
        if number > MOST_SOCKETS:
            raise Problem(503, "too_many_streams", f"{MOST_SOCKETS} streams are open here already: come again later")
        caller = caller_of(socket)
        if not caller.scope.includes(self.scope):
            detail = f"this takes the scope {self.scope}, and {caller.name} has {caller.scope}"
            raise Problem(403, "scope_too_small", detail)
        query = await narrowed(socket, read_query(socket, self.query), caller)
        listener = Socket(socket)
        await _first(self.serve(listener, query), _listen(socket), listener.mind())


def _problem(exc: Exception) -> Problem:
    match exc:
        case BadCursor():
            return Problem(400, "bad_parameter", f"cursor: {exc}")
        case TooSlow():
            return Problem(408, "slow_reader", str(exc))
    problem = as_problem(exc)
    if problem is None:
        log.error("stream failed", exc_info=exc)
    return problem or internal_error()


async def _listen(socket: WebSocket) -> None:
    """Return when the client has left. Raises Problem when it says something."""
    if (await socket.receive())["type"] != "websocket.disconnect":
        raise Problem(400, "unexpected_message", "a stream takes no messages: ask by the query string")


async def _first(*jobs: Awaitable[None]) -> None:
    """Do the jobs until one of them ends, and raise what that one raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end(socket: WebSocket, problem: Problem) -> None:
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await socket.send_text(messages.Error(code=problem.code, detail=problem.detail).written())
            await socket.close(4000 + problem.status, problem.code)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        log.info("a stream's reader left without hearing why", extra={"code": problem.code})
