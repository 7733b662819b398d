"""
The venue's WebSockets: who listens to what, and how events get to them.

`/ws/NAME` and `/ws/NAME/NAME` carry events as they are, `/stream?streams=NAME/NAME` with the stream's name around them;
`/ws` and `/stream` begin with nothing. A name is a market stream or a listen key. While anyone listens, every step of
market time and everything committed in it becomes events, in the order of their market times.

A socket is closed after a day of market time, at more than ten messages in a second, or when it does not answer pings
(`keepalive`). A reader that falls too far behind is cut off: it holds up neither the venue nor the other readers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from ..doors.clock import Clock
from ..doors.settings import Settings
from ..errors import Refusal
from ..holdings.happenings import Happening, LeverageChanged, ModeChanged
from ..venue import Venue
from .frames import Frame
from .ladder import Takings
from .market_streams import Feed, Source, feed_for
from .stream_faults import ANY, StreamFaults
from .subscriptions import MOST_STREAMS, Subscriptions
from .user_streams import UserStreams

log = logging.getLogger(__name__)

GOING_AWAY, POLICY_VIOLATION = 1001, 1008
MESSAGES_A_SECOND = 10
QUEUE_MOST = 20_000
"""Events a reader may fall behind."""
CLOSING_SECONDS = 1.0
LEAST_PING_SECONDS, LEAST_PONG_SECONDS = 1.0, 20.0


def keepalive(speed: float | None, ping_ms: int) -> dict[str, Any]:
    """
    Return the settings of a uvicorn server for the venue's sockets.

    A ping every *ping_ms* of market time, and three times as long to answer it. However fast the market, pings are a
    second apart and a client has twenty, unless less was asked for.
    """
    pace, seconds = speed or 1.0, ping_ms / 1000
    ping = max(seconds / pace, min(LEAST_PING_SECONDS, seconds))
    pong = max(3 * seconds / pace, min(LEAST_PONG_SECONDS, 3 * seconds))
    return {"ws_ping_interval": ping, "ws_ping_timeout": pong, "ws_per_message_deflate": False}


class Socket:
    """One connection: what it wants, and what still has to be sent to it."""

    def __init__(self, subscriptions: Subscriptions, ends: int) -> None:
        self.subscriptions = subscriptions
        self.ends = ends
        """Market time at which it is closed."""
        self.followed: dict[str, None] = {}
        """The streams the hub knows it to follow."""
        self.over = asyncio.Event()
        self.code: int | None = None
        """What it is closed with; nothing when it is cut off."""
        self._waiting: deque[str] = deque()
        self._ready = asyncio.Event()
        self._heard: deque[float] = deque(maxlen=MESSAGES_A_SECOND)

    def take(self, frame: Frame) -> None:
        self.push(frame.wrapped if self.subscriptions.combined else frame.raw)

    def push(self, text: str) -> None:
        """Have a text sent, or cut the connection off when too much is waiting already."""
        if len(self._waiting) >= QUEUE_MOST:
            self.end(None)
            return
        self._waiting.append(text)
        self._ready.set()

    def end(self, code: int | None) -> None:
        """Close the connection with a code, or cut it off without one."""
        if not self.over.is_set():
            self.code = code
            self.over.set()

    async def write(self, send: Send) -> None:
        """Send what there is to send, for ever."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._waiting:
                await send({"type": "websocket.send", "text": self._waiting.popleft()})

    def may_speak(self) -> bool:
        """Count a message, and tell whether it is one too many."""
        now = time.monotonic()
        allowed = len(self._heard) < MESSAGES_A_SECOND or now - self._heard[0] > 1
        self._heard.append(now)
        return allowed


@dataclass(frozen=True, slots=True)
class Step:
    """Market time has moved this far, and this was told to users on the way."""

    until: int
    frames: list[Frame]


@dataclass(frozen=True, slots=True)
class Reply:
    """A command is answered."""

    socket: Socket
    text: str


class Streams:
    """All sockets of a venue, as an ASGI application for their connections."""

    def __init__(self, venue: Venue, clock: Clock, settings: Settings) -> None:
        self.faults = StreamFaults()
        self.sockets: dict[Socket, None] = {}
        self._venue = venue
        self._keys = venue.listen_keys
        self._clock = clock
        self._lifetime = settings.socket_lifetime_ms
        self._users = UserStreams(venue, trigger_expires=settings.trigger_expires)
        self._followers: dict[str, dict[Socket, None]] = {}
        self._takings = Takings(venue.market)
        self._source = Source(venue, self._takings)
        self._feeds: dict[str, Feed] = {}
        self._due: deque[Step | Reply] = deque()
        self._something_due = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        subscriptions = _asked_for(scope)
        if subscriptions is None:
            await send({"type": "websocket.close"})
            return
        self._venue.advance(self._clock.moved_to(self._venue.now))
        await send({"type": "websocket.accept"})
        socket = Socket(subscriptions, self._venue.now + self._lifetime)
        self._join(socket)
        tasks = [
            asyncio.create_task(self._read(socket, receive)),
            asyncio.create_task(socket.write(send)),
            asyncio.create_task(socket.over.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave(socket)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            # A client that has gone is no failure.
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result
        if socket.over.is_set():
            await _close(socket.code, receive, send)

    async def publish(self) -> None:
        """Send events as market time goes by, until cancelled."""
        while True:
            await self._something_due.wait()
            self._something_due.clear()
            while self._due:
                due = self._due.popleft()
                if isinstance(due, Reply):
                    due.socket.push(due.text)
                    continue
                await self._tell(due)
                # Let the sockets send before more is put before them.
                await asyncio.sleep(0)

    async def _tell(self, step: Step) -> None:
        """Tell what happened in a step; what goes wrong with one is not the end of the others."""
        try:
            frames = [*await self._market_frames(step.until), *step.frames]
            self._takings.forget(step.until)
            frames.sort(key=lambda frame: frame.time)
            for frame in frames:
                self._deliver(frame)
        except Exception:
            log.exception("not everything could be told that happened until %s", step.until)

    def disconnect(self, on: str = ANY) -> int:
        """Cut off, now, the sockets that follow a stream, or all; return how many."""
        cut = list(self.sockets if on == ANY else self._followers.get(on, ()))
        for socket in cut:
            socket.end(None)
        return len(cut)

    def kill_key(self, account: str, *, told: bool) -> bool:
        """Let an account's listen key die, with or without a word to its listeners; tell whether there was one."""
        key = self._keys.kill(account)
        if key is not None and told:
            now = self._venue.now
            self._put(Step(now, [UserStreams.expired(key, account, now)]))
        return key is not None

    def _join(self, socket: Socket) -> None:
        if not self.sockets:
            self._venue.ledger.listen(self._committed)
            self._takings.begin(self._venue)
        self.sockets[socket] = None
        self._follow(socket)

    def _leave(self, socket: Socket) -> None:
        socket.subscriptions.streams.clear()
        self._follow(socket)
        del self.sockets[socket]
        if not self.sockets:
            self._venue.ledger.stop_listening(self._committed)

    def _follow(self, socket: Socket) -> None:
        """Begin and end feeds as a socket's subscriptions ask for."""
        wanted = socket.subscriptions.streams
        for name in [name for name in socket.followed if name not in wanted]:
            followers = self._followers[name]
            del followers[socket], socket.followed[name]
            if not followers:
                del self._followers[name]
                self._feeds.pop(name, None)
        for name in [name for name in wanted if name not in socket.followed]:
            if name not in self._followers:
                self._followers[name] = {}
                feed = feed_for(name, self._source, self._venue.now)
                if feed is not None:
                    self._feeds[name] = feed
            self._followers[name][socket] = socket.followed[name] = None

    async def _read(self, socket: Socket, receive: Receive) -> None:
        """Answer what a client says, until it leaves or says too much."""
        while (message := await receive())["type"] == "websocket.receive":
            if not socket.may_speak():
                socket.end(POLICY_VIOLATION)
                return
            said: bytes | None = message.get("bytes")
            text = message["text"] if said is None else said.decode(errors="replace")
            answer = socket.subscriptions.answer(text)
            self._follow(socket)
            # What happened before a command is told before its answer.
            self._put(Reply(socket, answer))

    def _committed(self, happened: Sequence[Happening], now: int) -> None:
        """Take in what the venue committed; what users are told is written now, for it shows the present."""
        frames = [frame for each in happened for frame in self._user_frames(each, now)]
        frames.extend(self._margin_calls(now))
        self._takings.hear(happened)
        for feed in self._feeds.values():
            feed.hear(happened)
        for key, account, ended in self._keys.expired(now):
            if key in self._followers:
                frames.append(UserStreams.expired(key, account, ended))
        for socket in self.sockets:
            if socket.ends <= now:
                socket.end(GOING_AWAY)
        self._put(Step(now, frames))

    def _put(self, due: Step | Reply) -> None:
        self._due.append(due)
        self._something_due.set()

    def _user_frames(self, happening: Happening, now: int) -> list[Frame]:
        # Settings change by a command, which is committed at the time it is given.
        at = now if isinstance(happening, LeverageChanged | ModeChanged) else happening.time
        key = self._keys.key_of(happening.account, at)
        if key is None or key not in self._followers:
            return []
        return list(self._users.frames(key, happening, now))

    def _margin_calls(self, now: int) -> list[Frame]:
        accounts = self._venue.ledger.accounts
        calls = [
            self._users.margin_call(key, accounts[account], now)
            for key, account in self._keys.accounts()
            if key in self._followers
        ]
        return [call for call in calls if call is not None]

    async def _market_frames(self, until: int) -> list[Frame]:
        frames: list[Frame] = []
        for name, feed in list(self._feeds.items()):
            try:
                frames.extend(Frame(name, at, payload) for at, payload in await feed.events(until))
            except Refusal as exc:
                log.warning("nothing to tell on %s: %s", name, exc)
        return frames

    def _deliver(self, frame: Frame) -> None:
        sent, cuts = self.faults.spoil(frame)
        for each in sent:
            for socket in self._followers.get(each.stream, ()):
                socket.take(each)
        if cuts:
            self.disconnect(frame.stream)


def _asked_for(scope: Scope) -> Subscriptions | None:
    """Return what the path of a connection subscribes to, or nothing when it leads nowhere."""
    path: str = scope["path"]
    if path == "/stream":
        query = parse_qs(scope["query_string"].decode("latin-1"))
        names = "/".join(query.get("streams", []))
    elif path == "/ws" or path.startswith("/ws/"):
        names = path.removeprefix("/ws")
    else:
        return None
    streams = [name for name in names.split("/") if name]
    return Subscriptions(streams, combined=path == "/stream") if len(streams) <= MOST_STREAMS else None


async def _close(code: int | None, receive: Receive, send: Send) -> None:
    """Close a connection with a code; cut off without one, or when the client does not even take the goodbye."""
    if code is not None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await send({"type": "websocket.close", "code": code})
                return
    # uvicorn hands out `receive` as a method of the object that holds the transport; ASGI has no word for a reset.
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
