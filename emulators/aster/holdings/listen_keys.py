"""
Listen keys: who may hear a user's stream, and until when.

An account has one key at a time. It is good for an hour of market time, and another hour each time it is asked for
again or kept alive. Keys live in the process: after a restart there are none, and a client finds its key dead.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..errors import Refusal
from ..prices.intervals import HOUR
from .accounts import Account


@dataclass(slots=True)
class _Key:
    name: str
    ends: int


class ListenKeys:
    """The listen keys of a venue."""

    def __init__(self, identity: str) -> None:
        """*identity* is the market's: the same steps on the same market give the same keys."""
        self._identity = identity
        self._keys: dict[str, _Key] = {}
        self._accounts: dict[str, str] = {}
        self._given = 0

    def open(self, account: Account, now: int) -> str:
        """Return the account's key, a new one if it has none, good for an hour from now."""
        key = self._alive(account, now)
        if key is None:
            self.kill(account.id)
            self._given += 1
            name = hashlib.sha256(f"{self._identity}/{account.id}/{now}/{self._given}".encode()).hexdigest()
            key = self._keys[account.id] = _Key(name, now)
            self._accounts[name] = account.id
        key.ends = now + HOUR
        return key.name

    def extend(self, account: Account, now: int) -> None:
        """Make the account's key good for an hour from now; refuse when it has none."""
        key = self._alive(account, now)
        if key is None:
            raise Refusal(-1125)
        key.ends = now + HOUR

    def close(self, account: Account, now: int) -> None:
        """End the account's key; refuse when it has none."""
        key = self._alive(account, now)
        if key is None:
            raise Refusal(-1125)
        self.kill(account.id)

    def kill(self, account: str) -> str | None:
        """Let an account's key die before its time, and return it."""
        key = self._keys.pop(account, None)
        if key is None:
            return None
        del self._accounts[key.name]
        return key.name

    def key_of(self, account: str, at: int) -> str | None:
        """Return the key under which an account's events of a time are told."""
        key = self._keys.get(account)
        return key.name if key is not None and key.ends > at else None

    def accounts(self) -> list[tuple[str, str]]:
        """Return every key and whose it is."""
        return list(self._accounts.items())

    def expired(self, now: int) -> list[tuple[str, str, int]]:
        """Take away the keys whose time is over; return them, whose they were, and when they ended."""
        over = [(account, key) for account, key in self._keys.items() if key.ends <= now]
        for account, _ in over:
            self.kill(account)
        return [(key.name, account, key.ends) for account, key in over]

    def _alive(self, account: Account, now: int) -> _Key | None:
        key = self._keys.get(account.id)
        return key if key is not None and key.ends > now else None
