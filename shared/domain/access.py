"""Who may do what: every caller has a scope, and each scope includes the ones below it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a caller may do, from least to most."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def includes(self, other: "Scope") -> bool:
        """Return whether whoever has this scope may do what takes the *other*."""
        ranks = list(Scope)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who was let in, and the one account that they are confined to, if they are.

    No two ever have the same *name*: it is what the audit trail goes by.
    """

    name: str
    scope: Scope
    account_id: str | None = None
    expires_at: datetime | None = None
    credential: str | None = field(default=None, repr=False)
    """By what they were let in, to ask later whether it still does; None for somebody who needed nothing."""

    def may_see(self, account_id: str) -> bool:
        """Return whether that account is their business."""
        return self.account_id in (None, account_id)
