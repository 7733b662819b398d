"""
What is kept no longer of who came in and what they did.

Sessions and keys go once they have ended. The audit trail is kept for ever unless somebody says for how long; then its
oldest rows go, a batch a transaction, and with them the tokens that had ended by then: all but those that other tokens
stem from, or changes that wait have the word of, and the newest one, so that nobody takes this for a house without
tokens. The time is the database's.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select, text

from shared.db.idempotency import KEPT
from shared.db.tables import audit, audit_outcomes, idempotency_keys, sessions
from shared.db.unit_of_work import Database

AT_ONCE = 10_000

_TOKENS = text("""
    DELETE FROM tokens AS ended
    WHERE least(revoked_at, expires_at) < now() - CAST(:age AS interval)
        AND NOT EXISTS (SELECT FROM tokens AS made WHERE made.created_by = ended.name)
        AND NOT EXISTS (SELECT FROM changes WHERE state = 'pending' AND jsonb_exists(words, ended.name))
        AND EXISTS (SELECT FROM tokens AS newer WHERE newer.id > ended.id)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How much was taken away."""

    sessions: int
    keys: int
    audit: int = 0
    tokens: int = 0


async def forget_access(database: Database, audit_age: timedelta | None) -> Ended:
    """Take away what has ended, and of the audit trail what is older than *audit_age*. Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        over = await connection.execute(delete(sessions).where(sessions.c.expires_at <= func.now()))
        old = await connection.execute(
            delete(idempotency_keys).where(idempotency_keys.c.claimed_at < func.now() - KEPT)
        )
    if audit_age is None:
        return Ended(sessions=over.rowcount, keys=old.rowcount)
    gone = await _forget_trail(database, audit_age)
    async with database.transaction() as connection:
        tokens = (await connection.execute(_TOKENS, {"age": audit_age})).rowcount
    return Ended(sessions=over.rowcount, keys=old.rowcount, audit=gone, tokens=tokens)


async def _forget_trail(database: Database, age: timedelta) -> int:
    gone = 0
    oldest = select(audit.c.id).where(audit.c.at < func.now() - age).order_by(audit.c.at, audit.c.id).limit(AT_ONCE)
    while True:
        async with database.transaction() as connection:
            found = list(await connection.scalars(oldest))
            await connection.execute(delete(audit_outcomes).where(audit_outcomes.c.audit_id.in_(found)))
            await connection.execute(delete(audit).where(audit.c.id.in_(found)))
        gone += len(found)
        if len(found) < AT_ONCE:
            return gone
