"""
Requests that name themselves by a key, and how they were answered, so that one that is sent again is done once.

A key is claimed in a transaction of its own before anything is done, and answered in another one after. One whose
process died in between has no answer and never gets one: it may have been done, and is not done again under that key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shared.db.tables import idempotency_keys
from shared.db.unit_of_work import Database

KEPT = timedelta(hours=24)
"""How long an answer is remembered."""
LONGEST = timedelta(minutes=15)
"""A request that has been under way for longer was cut short."""

_ROW = idempotency_keys.c


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request was answered."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """What is known of a key that somebody has claimed before."""

    fingerprint: str
    cut_short: bool
    answer: Answer | None


class IdempotencyKeys:
    """The keys of all callers. Each call is a transaction and raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, caller: str, key: str, fingerprint: str) -> Claimed | None:
        """Take the key for a request that looks like *fingerprint*: None once it is ours. Forgets what is old."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(idempotency_keys).where(_ROW.claimed_at < func.now() - KEPT))
            taken = await connection.execute(
                insert(idempotency_keys)
                .values(caller=caller, key=key, fingerprint=fingerprint)
                .on_conflict_do_nothing()
                .returning(_ROW.key)
            )
            if taken.one_or_none():
                return None
            row = (
                await connection.execute(
                    select(
                        idempotency_keys,
                        (_ROW.ended_at.is_not(None) | (_ROW.claimed_at < func.now() - LONGEST)).label("over"),
                    ).where(_ROW.caller == caller, _ROW.key == key)
                )
            ).one_or_none()
        if row is None:  # released a moment ago: the next attempt finds it free
            return Claimed(fingerprint, cut_short=False, answer=None)
        answer = None if row.status is None else Answer(row.status, row.headers, row.body)
        return Claimed(row.fingerprint, cut_short=row.over and answer is None, answer=answer)

    async def answer(self, caller: str, key: str, answer: Answer | None) -> None:
        """Remember how the request was answered; None for one that was cut short."""
        values: dict[str, Any] = {"ended_at": func.now()}
        if answer:
            values |= {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
        async with self._database.transaction() as connection:
            await connection.execute(
                update(idempotency_keys).where(_ROW.caller == caller, _ROW.key == key).values(values)
            )

    async def release(self, caller: str, key: str) -> None:
        """Give the key back: nothing was done."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(idempotency_keys).where(_ROW.caller == caller, _ROW.key == key))
