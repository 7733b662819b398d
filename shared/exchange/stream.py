"""
One WebSocket kept open for as long as it is wanted: frames as they come, and a word wherever some may be missing.

Promises  a connection that ends, or stays open and says nothing, is replaced, with pauses that double up to a minute
          one that grows old is replaced before the exchange cuts it, the new one open before the old one is dropped
          whoever listens is told of a gap after every replacement but such a planned one, and once at the beginning
          a frame that cannot be read is counted, logged and passed over
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from shared.domain.errors import VenueError
from shared.domain.ports import Clock
from shared.exchange.fields import Unreadable, parse

log = logging.getLogger("perpetua.market_data")

LIFETIME = timedelta(hours=23)
"""Of the exchange's time: it cuts a connection after 24 hours."""
OPENING_SECONDS = 10.0
PING_SECONDS = 20.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
UNREADABLE_A_LINE = 100
"""Frames come by the thousand: the first that cannot be read is logged, and every hundredth after it."""
_POLL_SECONDS = 1.0  # market time may run faster than ours, so a wait looks at the clock again and again

CANNOT_OPEN = (OSError, TimeoutError, WebSocketException, VenueError, Unreadable)

Frame = str | bytes
Sleep = Callable[[float], Awaitable[None]]
Greeting = Callable[[ClientConnection], Awaitable[Sequence[Frame]]]


class StreamOver(Exception):
    """The exchange has said that nothing more will come by this connection. The message says why."""


async def pass_time(span: timedelta, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
    """Return when *span* of the exchange's time has passed."""
    due = clock.now() + span
    while (left := (due - clock.now()).total_seconds()) > 0:
        await sleep(min(left, _POLL_SECONDS))


async def no_greeting(socket: ClientConnection) -> Sequence[Frame]:
    """Say nothing: the address of *socket* has said it all."""
    return ()


class Stream:
    """A stream of JSON frames. Run it once; it ends by being cancelled."""

    def __init__(
        self,
        name: str,
        address: Callable[[], Awaitable[str]],
        *,
        hear: Callable[[Any], None],
        gap: Callable[[str, datetime | None], None],
        clock: Clock,
        most_silent: float,
        greet: Greeting = no_greeting,
        lifetime: timedelta = LIFETIME,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """
        *address* is asked before each connection and may raise VenueError. *greet* speaks first on it, and returns
        the frames that came before the answer it waited for. *hear* gets each payload, and raises Unreadable or
        StreamOver; *gap* gets why frames may be missing, and since when (None: from the beginning). A connection that
        says nothing for *most_silent* seconds is given up.
        """
        self.unreadable = 0
        """How many frames could not be read."""
        self.connected = False
        """Whether there is a connection that frames come by."""
        self._name = name
        self._address = address
        self._hear = hear
        self._gap = gap
        self._clock = clock
        self._most_silent = most_silent
        self._greet = greet
        self._lifetime = lifetime
        self._sleep = sleep
        self._jitter = jitter
        self._fruitless = 0
        self._away = False
        self._heard_at: datetime | None = None
        self._dropped: asyncio.Future[str] | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        reader: asyncio.Task[str] | None = None
        why = "listening begins"
        try:
            while True:
                socket, early = await self._open(at_once=reader is not None or self._heard_at is None)
                self.connected = True
                if reader is not None and reader.done():
                    why, reader = reader.result(), None
                if reader is None:
                    since, self._heard_at = self._heard_at, self._clock.now()
                    self._gap(why, since)
                else:
                    await _end(reader)
                reader = asyncio.create_task(self._read(socket, early))
                if over := await self._until_over(reader):
                    self.connected = False
                    log.info("stream lost", extra={"stream": self._name, "why": over})
                    await _end(reader)
                    why, reader = over, None
        finally:
            self.connected = False
            if reader is not None:
                await _end(reader)

    @property
    def heard_at(self) -> datetime | None:
        """When something was last heard by it, its opening included; by the exchange's time."""
        return self._heard_at

    def drop(self, why: str) -> None:
        """Replace the present connection: it is known to be worth nothing any more."""
        if self._dropped is not None and not self._dropped.done():
            self._dropped.set_result(why)

    async def _until_over(self, reader: asyncio.Task[str]) -> str | None:
        """Return why the connection is over, or None when it has only grown old."""
        ageing = asyncio.create_task(pass_time(self._lifetime, self._clock, self._sleep))
        self._dropped = asyncio.get_running_loop().create_future()
        try:
            ends: set[asyncio.Future[Any]] = {reader, ageing, self._dropped}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                return reader.result()
            return self._dropped.result() if self._dropped.done() else None
        finally:
            ageing.cancel()
            self._dropped = None

    async def _open(self, *, at_once: bool) -> tuple[ClientConnection, Sequence[Frame]]:
        """Open a connection, however long it takes. Says once that there is none, and once that there is one again."""
        while True:
            if not at_once:
                pause = min(FIRST_PAUSE_SECONDS * 2**self._fruitless, LONGEST_PAUSE_SECONDS)
                await self._sleep(pause * (1 + self._jitter()) / 2)
            at_once = False
            self._fruitless = min(self._fruitless + 1, 10)
            try:
                opened = await self._connect()
            except CANNOT_OPEN as exc:
                (log.info if self._away else log.warning)(
                    "no stream", extra={"stream": self._name, "why": str(exc) or type(exc).__name__}
                )
                self._away = True
            else:
                if self._away:
                    log.info("the stream is there again", extra={"stream": self._name})
                self._away = False
                return opened

    async def _connect(self) -> tuple[ClientConnection, Sequence[Frame]]:
        address = await self._address()
        async with asyncio.timeout(OPENING_SECONDS):
            socket = await connect(
                address, open_timeout=None, close_timeout=1, ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS
            )
            try:
                return socket, await self._greet(socket)
            except BaseException:
                await socket.close()
                raise

    async def _read(self, socket: ClientConnection, early: Sequence[Frame]) -> str:
        """Hand over what comes until nothing more will; return why."""
        try:
            for frame in early:
                self._take(frame)
            while True:
                async with asyncio.timeout(self._most_silent):
                    frame = await socket.recv()
                self._take(frame)
        except TimeoutError:
            self._fruitless = 0  # it was open all the while
            return f"nothing heard for {self._most_silent:.0f} s"
        except (ConnectionClosed, StreamOver) as exc:
            return str(exc)
        finally:
            await socket.close()

    def _take(self, frame: Frame) -> None:
        self._fruitless = 0
        self._heard_at = self._clock.now()
        try:
            self._hear(parse(frame))
        except Unreadable as exc:
            self.unreadable += 1
            if self.unreadable % UNREADABLE_A_LINE == 1:
                told = {"stream": self._name, "why": str(exc), "count": self.unreadable}
                log.warning("a frame that cannot be read", extra=told)


async def _end(reader: asyncio.Task[str]) -> None:
    reader.cancel()
    await asyncio.wait({reader})
    if not reader.cancelled() and (defect := reader.exception()):
        raise defect
