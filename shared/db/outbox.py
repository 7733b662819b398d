"""
The outbox, read in one order by everybody: each event once, none passed over.

An event's place is (transaction, number). What is read ends before the oldest transaction that still runs, so nothing
ever appears behind a reader, whichever process it is in. A place that is no use any more, because events after it were
pruned or because it is another database's, is refused by name: nobody takes a gap for the whole.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.unit_of_work import Database
from shared.domain.errors import BadCursor, CursorTooOld

CHANNEL = "events"
PATIENT_SECONDS, WATCHFUL_SECONDS = 1.0, 0.05
"""How long to wait for a hint before looking anyway: where hints come, and where none do, as behind a pooler."""
PRUNED_AT_ONCE = 10_000

_READ = """
    SELECT found.*, pg_snapshot_xmin(now) AS settled, pg_snapshot_xmax(now) AS next,
        (SELECT (p.xid, p.id) > (CAST(:xid AS xid8), :id) FROM pruned_events p) AS pruned
    FROM pg_current_snapshot() AS now LEFT JOIN LATERAL (
        SELECT xid, id, account_id, kind, at, body::text AS body,
            coalesce(body ->> 'symbol', body ->> 'asset') AS symbol
        FROM events
        WHERE (xid, id) > (CAST(:xid AS xid8), :id){wanted}
        ORDER BY xid, id LIMIT :limit
    ) AS found ON true
    ORDER BY found.xid, found.id
"""

_LAST = """
    SELECT xid, id FROM (
        (
            SELECT xid, id FROM events WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY xid DESC, id DESC LIMIT 1
        )
        UNION ALL
        SELECT xid, id FROM pruned_events
    ) AS told ORDER BY xid DESC, id DESC LIMIT 1
"""

_PRUNE = """
    WITH oldest AS (
        SELECT xid, id, told_at FROM events WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY xid, id LIMIT :most
    ), gone AS (
        DELETE FROM events USING oldest
        WHERE events.id = oldest.id AND oldest.told_at < now() - CAST(:age AS interval)
        RETURNING events.xid, events.id
    ), mark AS (
        INSERT INTO pruned_events AS p (one, xid, id)
        SELECT true, xid, id FROM gone ORDER BY xid DESC, id DESC LIMIT 1
        ON CONFLICT (one) DO UPDATE SET xid = excluded.xid, id = excluded.id
        WHERE (p.xid, p.id) < (excluded.xid, excluded.id)
    )
    SELECT count(*) FROM gone
"""


class Place(NamedTuple):
    """Where an event stands. Places compare in the order in which events are told."""

    xid: int
    id: int

    def __str__(self) -> str:
        """Return the cursor that goes over the wire."""
        return f"{self.xid}-{self.id}"

    @classmethod
    def read(cls, cursor: str) -> "Place":
        """Return the place that *cursor* names. Raises BadCursor."""
        if not (parts := re.fullmatch(r"(\d{1,18})-(\d{1,18})", cursor, re.ASCII)):
            raise BadCursor(f"{cursor[:80]!r} is no cursor of an event: leave it out to begin with what there is now")
        return cls(int(parts[1]), int(parts[2]))


BEGINNING = Place(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. `body` is JSON text; `symbol` is None for what is of no symbol."""

    place: Place
    account_id: str | None
    """None for what concerns the house."""
    kind: str
    at: datetime
    symbol: str | None
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events in their order, and why there may be more at once."""

    events: Sequence[Event]
    full: bool
    """As many as were asked for."""
    waiting: bool
    """Some were committed that cannot be told before an older transaction has ended."""


class Outbox:
    """The reading side of `events`. Every call raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(
        self, after: Place, *, account_id: str | None = None, kind: str | None = None, limit: int = 500
    ) -> Batch:
        """Return the events after that place, oldest first. Raises CursorTooOld where some of them are gone."""
        async with self._database.reading() as connection:
            return await read_events(connection, after, limit, account_id=account_id, kind=kind)

    async def end(self) -> Place:
        """Return the place after which only what has not happened yet will be told.

        It is that of an event. The number of the next transaction would not do: a server that crashes gives out again
        those of its last transactions that were rolled back, and what comes by them would be passed over.
        """
        async with self._database.reading() as connection:
            last = (await connection.execute(text(_LAST))).one_or_none()
        return BEGINNING if last is None else Place(last.xid, last.id)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator["Watch"]:
        """Keep a connection to read by as soon as there is something."""
        hints = Hints()
        async with self._database.listening(CHANNEL, hints.hear) as connection:
            # By another connection: a pooler would hear the words of this one on any other, but not hand them on.
            async with self._database.transaction() as other:
                await other.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
            yield Watch(connection, hints)

    async def prune(self, age: timedelta) -> int:
        """Take away the events that are older than that, and return how many there were."""
        pruned = 0
        while True:
            async with self._database.transaction() as connection:
                gone = await connection.scalar(text(_PRUNE), {"most": PRUNED_AT_ONCE, "age": age})
            pruned += gone or 0
            if gone != PRUNED_AT_ONCE:
                return pruned


class Hints:
    """Says when it is worth a look. Where no hints come, it is often."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()
        self._come = False

    def hear(self) -> None:
        """Take a hint."""
        self._come = True
        self._heard.set()

    async def wait(self) -> bool:
        """Return when there was a hint since the last return, or after a while: whether there was one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENT_SECONDS if self._come else WATCHFUL_SECONDS):
                await self._heard.wait()
        heard = self._heard.is_set()
        self._heard.clear()
        return heard

    def doubt(self) -> None:
        """Count on no hints before one comes again: something happened that none told of."""
        self._come = False


class Watch:
    """Reads on and on. One task at a time."""

    def __init__(self, connection: AsyncConnection, hints: Hints) -> None:
        self._connection = connection
        self._hints = hints
        self._hinted = True

    async def read(self, after: Place, *, limit: int) -> Batch:
        """Do what `Outbox.read` does."""
        batch = await read_events(self._connection, after, limit)
        await self._connection.rollback()
        if batch.events and not self._hinted:
            self._hints.doubt()
        return batch

    async def wait(self) -> bool:
        """Return when there may be something new; whether a hint said so."""
        self._hinted = await self._hints.wait()
        return self._hinted


async def read_beginning(connection: AsyncConnection) -> Place:
    """Return the place before the oldest event that is kept."""
    last = (await connection.execute(text("SELECT xid, id FROM pruned_events"))).one_or_none()
    return BEGINNING if last is None else Place(last.xid, last.id)


async def read_events(connection: AsyncConnection, after: Place, limit: int, **wanted: str | None) -> Batch:
    """Return the events after that place that have what is *wanted*. Raises CursorTooOld where some are gone."""
    narrowed = {column: value for column, value in wanted.items() if value is not None}
    statement = text(_READ.format(wanted="".join(f" AND {column} = :{column}" for column in narrowed)))
    rows = (await connection.execute(statement, {"xid": after.xid, "id": after.id, "limit": limit, **narrowed})).all()
    state = rows[0]
    if state.pruned or after.xid > state.next:
        why = "events after it are kept no longer" if state.pruned else "it is not of this database"
        raise CursorTooOld(f"nothing can be told from cursor {after} on: {why}")
    rows = [row for row in rows if row.xid is not None]
    settled = [row for row in rows if row.xid < state.settled]
    return Batch(
        events=[
            Event(
                place=Place(row.xid, row.id),
                account_id=row.account_id,
                kind=row.kind,
                at=row.at,
                symbol=row.symbol,
                body=row.body,
            )
            for row in settled
        ],
        full=len(settled) == limit,
        waiting=len(settled) < len(rows),
    )
