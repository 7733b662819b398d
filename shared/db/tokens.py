"""
Tokens and the sessions that stand in for them, by their hashes: what would let somebody in is never stored.

A token is drawn from 256 random bits, so one round of SHA-256 hides it: the slow, salted hashes that passwords need
protect what can be guessed, and would make every request pay for it. Nor does it matter that an index compares hashes
byte by byte: how long that takes tells of a hash, and nobody can choose what theirs begins with to any use.

Time is the database's: a token ends at the same moment for every process.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, delete, func, insert, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.paging import Page, plain, read_page
from shared.db.tables import sessions, tokens
from shared.db.unit_of_work import Database
from shared.domain.access import Caller, Scope
from shared.domain.errors import BadRequest, UnknownToken

BY_HAND = " at a terminal"
"""How the name of a maker ends who is no token, but somebody at the command line."""
USE_NOTED = timedelta(minutes=1)
"""How exactly it is known when a token was used last: a write for each request would cost more than it tells."""

_SHOWN = [column for column in tokens.columns if column.name not in {"hash", "account_id"}]
_TOLD = [*_SHOWN, tokens.c.account_id.label("account")]
_VALID = tokens.c.revoked_at.is_(None) & or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > func.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token to add. Without an *account_id* it is for all accounts, without a *lifetime* for always."""

    name: str
    scope: Scope
    account_id: str | None = None
    lifetime: timedelta | None = None
    created_by: str
    prefix: str
    digest: str


class TokenTable:
    """The tokens of the house. Each call is a transaction and raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, token: NewToken) -> dict[str, Any]:
        """Add a token and return it as it is listed. Raises UnknownAccount, and BadRequest for a name used before."""
        async with self._database.transaction() as connection:
            # Names stand in the audit trail: two that ask for one at once take turns.
            await connection.execute(text("LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE"))
            if await connection.scalar(select(tokens.c.id).where(tokens.c.name == token.name)):
                detail = "names are never used again, choose another"
                raise BadRequest(f"there is, or was, a token named {token.name}: {detail}")
            return await _add(connection, token)

    async def create_first(self, token: NewToken) -> bool:
        """Add a token unless there is one or ever was. Of several processes one is told True."""
        async with self._database.transaction() as connection:
            await connection.execute(text("LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE"))
            if await connection.scalar(select(tokens.c.id).limit(1)):
                return False
            await _add(connection, token)
            return True

    async def find(self, digest: str) -> Caller | None:
        """Return whoever holds the token of that hash, and note its use; None unless it is valid now."""
        async with self._database.transaction() as connection:
            row = (await connection.execute(select(tokens).where(tokens.c.hash == digest, _VALID))).one_or_none()
            if row is None:
                return None
            await connection.execute(
                update(tokens)
                .where(
                    tokens.c.id == row.id,
                    or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < func.now() - USE_NOTED),
                )
                .values(last_used_at=func.now())
            )
        return Caller(
            name=row.name,
            scope=Scope(row.scope),
            account_id=row.account_id,
            expires_at=row.expires_at,
        )

    async def revoke(self, token_id: int) -> dict[str, Any]:
        """End a token, for good, and return it as it is listed. Once ended it stays as it is. Raises UnknownToken."""
        async with self._database.transaction() as connection:
            revoked = await connection.execute(
                update(tokens)
                .where(tokens.c.id == token_id)
                .values(revoked_at=func.coalesce(tokens.c.revoked_at, func.now()))
                .returning(*_TOLD)
            )
            row = revoked.one_or_none()
            if row is None:
                raise UnknownToken(f"there is no token {token_id}")
            return plain(row)

    async def one_voice(self, name: str, others: Collection[str]) -> bool:
        """Return whether whoever goes by *name* may be one of the *others*.

        What a token has made, and what that has made, may speak for its holder: two count as two only where no token
        stands behind both. Whoever reaches the database makes tokens that stand by themselves.
        """
        async with self._database.reading() as connection:
            return not (await _voices(connection, [name])).isdisjoint(await _voices(connection, others))

    async def page(self, *, limit: int, before: str | None) -> Page:
        """Return tokens, newest first, valid or not. Raises BadCursor."""
        async with self._database.reading() as connection:
            return await read_page(connection, select(*_TOLD), [tokens.c.id], limit=limit, before=before)

    async def open_session(self, digest: str, token_digest: str, lasts: timedelta) -> datetime:
        """Have the session of that hash stand in for a token; return when it ends. Forgets those that have ended."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at <= func.now()))
            opened = await connection.execute(
                insert(sessions)
                .values(hash=digest, token_hash=token_digest, expires_at=func.now() + lasts)
                .returning(sessions.c.expires_at)
            )
            ends: datetime = opened.scalar_one()
            return ends

    async def session(self, digest: str) -> tuple[str, datetime] | None:
        """Return the hash of the token that a session stands in for, and when it ends; None where it has ended."""
        async with self._database.reading() as connection:
            found = await connection.execute(
                select(sessions.c.token_hash, sessions.c.expires_at).where(
                    sessions.c.hash == digest, sessions.c.expires_at > func.now()
                )
            )
            row = found.one_or_none()
            return None if row is None else (row.token_hash, row.expires_at)

    async def renew_session(self, digest: str, lasts: timedelta, most: timedelta) -> datetime | None:
        """Have a session last that long from now, and no longer than *most* since it began; return when it ends."""
        ends = func.least(func.now() + lasts, sessions.c.created_at + most)
        async with self._database.transaction() as connection:
            renewed = await connection.execute(
                update(sessions)
                .where(sessions.c.hash == digest, sessions.c.expires_at > func.now())
                .values(expires_at=ends)
                .returning(sessions.c.expires_at)
            )
            end: datetime | None = renewed.scalar_one_or_none()
            return end

    async def close_session(self, digest: str) -> None:
        """End a session."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(sessions).where(sessions.c.hash == digest))


async def _voices(connection: AsyncConnection, names: Collection[str]) -> set[str]:
    """Return the names, those of who made their tokens, and so on; but not of people at a terminal."""
    line = select(func.unnest(literal(list(names), ARRAY(Text))).label("name")).cte(recursive=True)
    line = line.union(select(tokens.c.created_by).where(tokens.c.name == line.c.name))
    return {name for name in await connection.scalars(select(line.c.name)) if not name.endswith(BY_HAND)}


async def _add(connection: AsyncConnection, token: NewToken) -> dict[str, Any]:
    added = await connection.execute(
        insert(tokens)
        .values(
            name=token.name,
            prefix=token.prefix,
            hash=token.digest,
            scope=token.scope.value,
            account_id=token.account_id,
            created_by=token.created_by,
            expires_at=None if token.lifetime is None else func.now() + token.lifetime,
        )
        .returning(*_TOLD)
    )
    return plain(added.one())
