"""
What lets somebody in: a token, or the session that stands in for it in a browser.

Both are 256 random bits, and only their SHA-256 is ever kept. A token reads `ppt_` and eight signs to know it by, then
the secret: such a thing is found in logs, by us and by those who look for leaked secrets.
"""

import hashlib
import secrets
from dataclasses import dataclass, field

BITS = 256
SIGNS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token that was just made. Whoever asked for it sees `text` once, and nobody does again."""

    text: str = field(repr=False)
    prefix: str
    digest: str


def draw_token() -> Drawn:
    """Make a token."""
    prefix = "ppt_" + "".join(secrets.choice(SIGNS) for _ in range(8))
    text = f"{prefix}_{secrets.token_urlsafe(BITS // 8)}"
    return Drawn(text, prefix, digest_of(text))


def draw_session() -> str:
    """Make what a session is known by."""
    return secrets.token_urlsafe(BITS // 8)


def digest_of(text: str) -> str:
    """Return what is kept of a token or a session."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
