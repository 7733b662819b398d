"""Who came in and what they did is kept as long as it is said, and no word of two is lost with it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from shared.db.access_retention import Ended, forget_access
from shared.db.audit import Action, AuditTrail
from shared.db.idempotency import IdempotencyKeys
from shared.db.reports import Reports
from shared.db.tokens import NewToken, TokenTable
from shared.db.unit_of_work import Database
from shared.domain.access import Scope
from tests.db.samples import an_account

YEAR = timedelta(days=365)


async def run(database: Database, *statements: str) -> None:
    async with database.transaction() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def add(tokens: TokenTable, name: str, created_by: str = "ada at a terminal") -> dict[str, Any]:
    token = NewToken(name=name, scope=Scope.ADMIN, created_by=created_by, prefix=name, digest=name)
    return await tokens.create(token)


async def names(tokens: TokenTable) -> set[str]:
    return {row["name"] for row in (await tokens.page(limit=100, before=None)).rows}


async def made_older(database: Database, table: str) -> None:
    """Have every row of *table* be two years old, whatever refuses that."""
    column = {"audit": "at", "audit_outcomes": "at"}[table]
    await run(
        database,
        f"ALTER TABLE {table} DISABLE TRIGGER USER",
        f"UPDATE {table} SET {column} = {column} - interval '730 days'",
        f"ALTER TABLE {table} ENABLE TRIGGER USER",
    )


async def test_the_trail_is_kept_forever_unless_somebody_says_for_how_long(database: Database) -> None:
    trail = AuditTrail(database)
    await trail.add(Action(action="POST /stop", caller="ada"), 200)
    await trail.begin(Action(action="POST /stop", caller="cut short"))
    await made_older(database, "audit_outcomes")
    await made_older(database, "audit")
    await trail.add(Action(action="POST /stop", caller="bob"), 200)

    kept = await forget_access(database, None)
    still = (await Reports(database).audit()).rows
    gone = await forget_access(database, YEAR)

    assert (kept, len(still)) == (Ended(sessions=0, keys=0), 3)
    assert gone == Ended(sessions=0, keys=0, audit=2, tokens=0)
    assert [row["caller"] for row in (await Reports(database).audit()).rows] == ["bob"]


async def test_what_is_young_is_taken_off_the_trail_by_nobody(database: Database) -> None:
    await AuditTrail(database).add(Action(action="POST /stop", caller="ada"), 200)

    for table in ("audit_outcomes", "audit"):
        with pytest.raises(Exception, match="only ever added to"):
            await run(database, f"DELETE FROM {table}")
        with pytest.raises(Exception, match="only ever added to"):
            await run(database, f"TRUNCATE {table} CASCADE")


async def test_tokens_that_ended_go_with_the_trail_unless_others_stem_from_them(database: Database) -> None:
    tokens = TokenTable(database)
    for name, maker in (("old", "root"), ("mother", "root"), ("daughter", "mother"), ("live", "root")):
        await add(tokens, name, maker)
    await run(
        database,
        "UPDATE tokens SET revoked_at = now() - interval '2 years' WHERE name <> 'live'",
        "UPDATE tokens SET revoked_at = NULL, expires_at = now() + interval '1 day' WHERE name = 'daughter'",
    )

    await forget_access(database, YEAR)
    first = await names(tokens)
    await run(database, "UPDATE tokens SET expires_at = now() - interval '2 years' WHERE name = 'daughter'")
    await forget_access(database, YEAR)
    second = await names(tokens)
    await forget_access(database, YEAR)

    assert first == {"mother", "daughter", "live"}
    assert second == {"mother", "live"}
    assert await names(tokens) == {"live"}


async def test_the_last_token_stays_so_that_no_first_one_is_made_again(database: Database) -> None:
    tokens = TokenTable(database)
    await add(tokens, "only")
    await run(database, "UPDATE tokens SET revoked_at = now() - interval '2 years'")

    await forget_access(database, YEAR)

    assert await names(tokens) == {"only"}


async def test_sessions_and_keys_go_once_they_have_ended(database: Database) -> None:
    tokens, keys = TokenTable(database), IdempotencyKeys(database)
    await tokens.open_session("over", "token", timedelta(hours=1))
    await tokens.open_session("lasts", "token", timedelta(hours=1))
    await keys.claim("ada", "old", "print")
    await keys.claim("ada", "new", "print")
    await run(
        database,
        "UPDATE sessions SET expires_at = now() - interval '1 second' WHERE hash = 'over'",
        "UPDATE idempotency_keys SET claimed_at = now() - interval '25 hours' WHERE key = 'old'",
    )

    assert await forget_access(database, None) == Ended(sessions=1, keys=1)
    assert await tokens.session("lasts") is not None
    assert await keys.claim("ada", "new", "print") is not None


async def test_a_token_whose_word_a_change_waits_with_stays(database: Database) -> None:
    tokens = TokenTable(database)
    for name in ("spoke", "live"):
        await add(tokens, name)
    async with database.open_work() as work:
        await work.accounts.configure([an_account()])
    await run(
        database,
        "UPDATE tokens SET revoked_at = now() - interval '2 years' WHERE name = 'spoke'",
        "INSERT INTO changes (account_id, kind, wanted, raises, proposed_by, proposed_at, due_at, words, state) "
        "VALUES ('main', 'raise', '{}', '[]', 'spoke', now(), now(), '[\"spoke\"]', 'pending')",
    )

    await forget_access(database, YEAR)
    waiting = await names(tokens)
    await run(database, "UPDATE changes SET state = 'withdrawn'")
    await forget_access(database, YEAR)

    assert (waiting, await names(tokens)) == ({"spoke", "live"}, {"live"})
