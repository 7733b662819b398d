"""
The outbox, read once for all who listen in this process.

One task reads and keeps the newest events; each listener is no more than a place in them, so that a thousand listeners
cost a thousand numbers. Whoever comes is given from the table what was told since the cursor it brings. Whoever lets
the newest events pass by is too slow, and may come again with the cursor reached.

Nothing is read while nobody listens. When the database goes away everybody is told: coming again with one's place
loses nothing.
"""

import asyncio
import bisect
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import attrgetter

from shared.db.outbox import Event, Outbox, Place, Watch
from shared.domain.errors import DatabaseUnavailable, PerpetuaError

log = logging.getLogger("perpetua.app")

MOST_EVENTS = 5_000
"""How many of the newest are kept for those who are not there yet."""
PAGE = 500
TICK_SECONDS = 1.0
"""How long listeners may sleep: one timer for all of them, who have pings to send."""
MOST_AT_ONCE = 4
"""How many listeners are read for alone at a time: when a thousand come back at once, others need the database too."""
WAITING_SECONDS = 0.01
"""How soon to look again for what an older transaction keeps back."""


class TooSlow(PerpetuaError):
    """The reader was overtaken. Coming again with the last cursor loses nothing."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event with the message that tells it, written once for all who get it."""

    place: Place
    account_id: str | None
    symbol: str | None
    kind: str
    message: str


Wanted = Callable[[Told], bool]


class Feed:
    """What the listeners of a process have in common."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.turns = asyncio.Semaphore(MOST_AT_ONCE)
        """To be held while something is read for one listener alone."""
        self._starting = asyncio.Lock()
        self._reading: _Reading | None = None

    @asynccontextmanager
    async def follow(self, after: Place, wanted: Wanted, account_id: str | None = None) -> AsyncIterator["Follower"]:
        """Follow the events after that place; one account's, or all. Raises DatabaseUnavailable."""
        reading = await self._join()
        try:
            yield Follower(self, reading, after, wanted, account_id)
        finally:
            self._leave(reading)

    async def _join(self) -> "_Reading":
        async with self._starting:
            if self._reading is None or self._reading.failure:
                self._reading = _Reading(self.outbox, await self.outbox.end())
                self._reading.start()
            self._reading.listeners += 1
            return self._reading

    def _leave(self, reading: "_Reading") -> None:
        reading.listeners -= 1
        if not reading.listeners:
            reading.stop()
            if reading is self._reading:
                self._reading = None


class Follower:
    """One listener's way through the events."""

    def __init__(self, feed: Feed, reading: "_Reading", after: Place, wanted: Wanted, account_id: str | None) -> None:
        self.place = after
        """Every event up to it has been taken, or was not wanted."""
        self._reading = reading
        self._outbox = feed.outbox
        self._turns = feed.turns
        self._wanted = wanted
        self._account = account_id
        self._caught_up = False
        self._early: Sequence[Told] = ()

    async def begin(self) -> None:
        """Look whether there is a way on from our place. Raises CursorTooOld and DatabaseUnavailable."""
        self._early = await self._catch_up()

    async def take(self) -> Sequence[Told]:
        """Return the next events, oldest first; after a second or so without one that is wanted, none.

        Raises CursorTooOld, TooSlow and DatabaseUnavailable.
        """
        return [told for told in await self._next() if self._is_wanted(told)]

    def _is_wanted(self, told: Told) -> bool:
        return self._account in (None, told.account_id) and self._wanted(told)

    async def _next(self) -> Sequence[Told]:
        """Return what comes after our place, wanted or not, and move there."""
        reading = self._reading
        if self._early:
            early, self._early = self._early, ()
            return early
        if not self._caught_up:
            return await self._catch_up()
        if self.place < reading.since:
            raise TooSlow(f"more than {MOST_EVENTS} events behind: come again with the last cursor")
        if not (new := reading.after(self.place)):
            await reading.more()
            new = reading.after(self.place)
        if new:
            self.place = new[-1].place
        return new

    async def _catch_up(self) -> Sequence[Told]:
        reached = self._reading.position
        async with self._turns:
            batch = await self._outbox.read(self.place, account_id=self._account, limit=PAGE)
        new = [tell(event) for event in batch.events]
        # A page that is not full holds all there is: no less than the reading had reached before.
        self.place = new[-1].place if batch.full else max([self.place, reached, *(told.place for told in new[-1:])])
        self._caught_up = not batch.full and self.place >= self._reading.since
        return new


class _Reading:
    """The task that reads, from its first listener to its last or until the database goes away."""

    def __init__(self, outbox: Outbox, position: Place) -> None:
        self.since = position
        """The place after which everything is kept here."""
        self.position = position
        """Everything up to it is kept here."""
        self.listeners = 0
        self.failure: DatabaseUnavailable | None = None
        self._outbox = outbox
        self._kept: list[Told] = []
        self._moved = asyncio.Event()
        self._woke_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def after(self, place: Place) -> Sequence[Told]:
        """Return what is kept of the events after *place*."""
        if place >= self.position:
            return ()
        return self._kept[bisect.bisect_right(self._kept, place, key=_PLACE) :]

    async def more(self) -> None:
        """Return when there is more, or after a while. Raises DatabaseUnavailable when there will be none."""
        if self.failure is None:
            await self._moved.wait()
        if self.failure is not None:
            raise DatabaseUnavailable(str(self.failure)) from self.failure

    async def _run(self) -> None:
        try:
            async with self._outbox.watch() as watch:
                await self._read(watch)
        except DatabaseUnavailable as exc:
            log.warning("the events cannot be read", extra={"why": str(exc)})
            self.failure = exc
        except Exception as exc:
            log.exception("the reading of events has failed")
            self.failure = DatabaseUnavailable("the events cannot be read")
            self.failure.__cause__ = exc
        self._wake()

    async def _read(self, watch: Watch) -> None:
        clock = asyncio.get_running_loop()
        while True:
            if clock.time() - self._woke_at >= TICK_SECONDS:
                self._wake()
            batch = await watch.read(self.position, limit=PAGE)
            if batch.events:
                self._keep(batch.events)
            if batch.waiting:
                await asyncio.sleep(WAITING_SECONDS)
            elif not batch.full:
                await watch.wait()

    def _keep(self, events: Sequence[Event]) -> None:
        self._kept += [tell(event) for event in events]
        self.position = self._kept[-1].place
        if (surplus := len(self._kept) - MOST_EVENTS) > 0:
            self.since = self._kept[surplus - 1].place
            del self._kept[:surplus]
        self._wake()

    def _wake(self) -> None:
        self._woke_at = asyncio.get_running_loop().time()
        self._moved.set()
        self._moved = asyncio.Event()


def tell(event: Event) -> Told:
    """Return the event with its message."""
    told = {"type": "event", "cursor": str(event.place), "kind": event.kind, "account": event.account_id}
    head = json.dumps(told | {"at": event.at.isoformat()}, ensure_ascii=False)
    message = f'{head[:-1]}, "body": {event.body}}}'  # the body is JSON already
    return Told(event.place, event.account_id, event.symbol, event.kind, message)


_PLACE = attrgetter("place")
