"""
Whom a token or a session lets in, as the database knows it: looked up, remembered for seconds, and asked for again.

A token that was revoked or has expired is shown the door within FRESH_SECONDS, by every process. Whoever tries tokens
that let nobody in has few tries, by address and all together; whoever is in already stays in meanwhile.
"""

import asyncio
import hmac
import math
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta

from api.credentials import digest_of, draw_session
from api.errors import Problem
from api.throttle import Buckets
from shared.db.tokens import TokenTable
from shared.domain.access import Caller, Scope

FRESH_SECONDS = 3.0
MOST_REMEMBERED = 10_000

TRIES_EACH, TRIES_EACH_SECONDS = 10, 6.0
TRIES_ALL, TRIES_ALL_SECONDS = 200, 0.3
"""How many at once, and how long until there is another one."""

SESSION = timedelta(hours=1)
SESSION_AT_MOST = timedelta(days=7)
"""A page that is left open renews its session; once in a while somebody has to show the token again."""

OWN = "API_TOKEN"
"""The name of whoever holds the token of the settings. No other token can have it, for the capitals."""


class Admission:
    """Who is let in by what. State is bounded."""

    def __init__(self, tokens: TokenTable, own: str | None) -> None:
        """*own* is the token of the settings: it may do everything, and works while the database is away."""
        self._tokens = tokens
        self._own = None if own is None else digest_of(own)
        self._known: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._tries = Buckets(rate=1 / TRIES_EACH_SECONDS, burst=TRIES_EACH)
        self._all_tries = Buckets(rate=1 / TRIES_ALL_SECONDS, burst=TRIES_ALL)

    async def by_token(self, token: str, client: str) -> Caller:
        """Return whose token it is. Raises Problem: 401, and 429 after too many tries; DatabaseUnavailable."""
        caller = await self._admitted(f"token:{digest_of(token)}", client)
        if caller is None:
            raise refusal("token_wrong", "the token lets nobody in: it is mistyped, was revoked or has expired")
        return caller

    async def by_session(self, session: str, client: str) -> Caller | None:
        """Return whose session it is; None where it has ended. Raises Problem: 429; DatabaseUnavailable."""
        return await self._admitted(f"session:{digest_of(session)}", client)

    async def still_admits(self, caller: Caller) -> bool:
        """Return whether what let *caller* in still does, and for as much, as of a few seconds ago.

        Raises DatabaseUnavailable.
        """
        if caller.credential is None:
            return True
        now = await self._look_up(caller.credential)
        return now is not None and (now.scope, now.account_id) == (caller.scope, caller.account_id)

    def count_a_try(self, kind: str, client: str) -> None:
        """Count somebody who came in vain, by what they showed. Raises Problem after too many of them."""
        wait = max(self._tries.take(f"{kind} {client}"), self._all_tries.take(kind))
        if wait:
            detail = "too many tries with what lets nobody in: wait, then send the right token"
            raise Problem(429, "too_many_attempts", detail, headers={"Retry-After": str(math.ceil(wait))})

    async def open_session(self, token: str, client: str) -> tuple[str, Caller]:
        """Return a new session for the holder of *token*, and who that is. Raises as by_token does."""
        caller = await self.by_token(token, client)
        session = draw_session()
        ends = await self._tokens.open_session(digest_of(session), digest_of(token), SESSION)
        return session, replace(caller, expires_at=_earlier(caller.expires_at, ends))

    async def renewed(self, session: str, caller: Caller) -> Caller:
        """Have the session of *caller* last from now on, and return them with the new end."""
        ends = await self._tokens.renew_session(digest_of(session), SESSION, SESSION_AT_MOST)
        self._known.pop(f"session:{digest_of(session)}", None)
        return caller if ends is None else replace(caller, expires_at=ends)

    async def close_session(self, session: str) -> None:
        """End a session, in this process at once."""
        self._known.pop(f"session:{digest_of(session)}", None)
        await self._tokens.close_session(digest_of(session))

    def forget(self) -> None:
        """Look everybody up anew: a token has changed. What is being looked up just now is looked up once more."""
        self._known = OrderedDict((credential, (caller, 0.0)) for credential, (caller, _) in self._known.items())

    async def _admitted(self, credential: str, client: str) -> Caller | None:
        if credential in self._known:
            return await self._look_up(credential)
        kind = credential.partition(":")[0]
        self.count_a_try(kind, client)  # before it is known to be in vain, or a thousand at once would be looked up
        caller = await self._look_up(credential)
        if caller is not None:
            self._tries.give_back(f"{kind} {client}")
            self._all_tries.give_back(kind)
        return caller

    async def _look_up(self, credential: str) -> Caller | None:
        now = asyncio.get_running_loop().time()
        remembered = self._known
        known = remembered.get(credential)
        if known and now < known[1]:
            return known[0]
        if known:  # a thousand streams that ask at once are one question: the others go by what was known until now
            remembered[credential] = (known[0], now + FRESH_SECONDS)
        try:
            caller = await self._found(credential)
        except BaseException:
            if known:
                remembered[credential] = known
            raise
        remembered.pop(credential, None)
        if caller is not None:
            remembered[credential] = (caller, now + FRESH_SECONDS)
            if len(remembered) > MOST_REMEMBERED:
                remembered.popitem(last=False)
        return caller

    async def _found(self, credential: str) -> Caller | None:
        kind, _, digest = credential.partition(":")
        ends = None
        if kind == "session":
            session = await self._tokens.session(digest)
            if session is None:
                return None
            digest, ends = session
        if self._own is not None and hmac.compare_digest(digest, self._own):
            caller: Caller | None = Caller(name=OWN, scope=Scope.ADMIN)
        else:
            caller = await self._tokens.find(digest)
        if caller is None:
            return None
        return replace(caller, credential=credential, expires_at=_earlier(caller.expires_at, ends))


def is_by_session(caller: Caller) -> bool:
    """Return whether it is a session that let them in."""
    return caller.credential is not None and caller.credential.startswith("session:")


def refusal(code: str, detail: str) -> Problem:
    """Return the 401 for somebody whom nothing lets in."""
    why = "" if code == "token_missing" else ', error="invalid_token"'
    return Problem(401, code, detail, headers={"WWW-Authenticate": f'Bearer realm="perpetua"{why}'})


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other
