"""
Attending: somebody looks every few seconds whether something is the matter, and sends what people are to be told.

In tasks of their own, and no cycle waits for them: a channel that hangs keeps other messages waiting at most, and what
could not be sent is in the database for the next try. One alert cannot be: that the database itself is away. That one
is sent past the queue, by whoever misses it.
"""

import asyncio
import logging
from contextlib import suppress
from uuid import uuid4

import httpx

from functions.alerting import channels_of, check, deliver, notice_of, send_past_the_queue
from shared.clock import system_time
from shared.domain.alert import AlertKind
from shared.domain.errors import DatabaseUnavailable
from shared.runtime import Runtime

log = logging.getLogger("perpetua.app")

DELIVERY_SECONDS = 2.0
LOOKS_IN_VAIN = 2
"""A database that misses one look may be starting anew."""


class Attendant:
    """Looks, and sends, until it is stopped."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._http = httpx.AsyncClient()
        self._channels = channels_of(runtime.settings, self._http)
        self._tasks: list[asyncio.Task[None]] = []
        self._in_vain = 0
        self._outage: str | None = None

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._look_for_ever())]
        if self._channels:
            self._tasks.append(asyncio.create_task(self._send_for_ever()))

    async def stop(self) -> None:
        """Look and send no more. What was being sent is sent again by the next one."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def look(self) -> None:
        """Look once."""
        try:
            await check(self._runtime, [channel.name for channel in self._channels])
        except DatabaseUnavailable as exc:
            log.warning("nobody can look after alerts", extra={"why": str(exc)})
            self._in_vain += 1
            if self._in_vain == LOOKS_IN_VAIN:
                self._outage = f"perpetua-outage-{uuid4().hex}"
                await self._tell(self._outage, "the database does not answer: nothing is traded, stops rest", "raised")
            return
        if self._outage:
            await self._tell(f"{self._outage}-over", "the database answers again", "resolved")
        self._in_vain, self._outage = 0, None

    async def _tell(self, number: str, text: str, news: str) -> None:
        await send_past_the_queue(self._channels, notice_of(AlertKind.DATABASE_DOWN, text, news, number, system_time()))

    async def _look_for_ever(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("looking after alerts failed")
            await asyncio.sleep(self._runtime.settings.alert_check_seconds)

    async def _send_for_ever(self) -> None:
        while True:
            try:
                with suppress(DatabaseUnavailable):  # whoever looks says so
                    await deliver(self._runtime.database, self._channels)
            except Exception:
                log.exception("sending alerts failed")
            await asyncio.sleep(DELIVERY_SECONDS)
