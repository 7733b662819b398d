"""
What can be chosen about the venue's doors: its limits, and what nobody outside the exchange knows for sure.

Where its documentation is silent or contradicts what others have seen, the emulator can do either. A client should be
right under all of it. Each field is an option of the command line too (`--no-legacy-signatures`, `--ban-after never`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..prices.intervals import DAY

NONCE_WINDOW = 60_000


def _choice(default: Any, meaning: str, *among: int) -> Any:
    return field(default=default, metadata={"help": meaning, "choices": among or None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the doors behave; the defaults are what the exchange most likely does."""

    weight_limit: int = _choice(2400, "request weight an address has in a minute")
    order_limit: int = _choice(1200, "orders an account has in a minute")
    ban_after: int | None = _choice(10, "requests refused for a limit, within a minute, that get their address banned")
    ban_end_as_date: bool = _choice(False, "write the end of a ban as a date, not in milliseconds")
    retry_after: bool = _choice(True, "say in a Retry-After header how long to wait after 429 and 418")
    firewall_limit: int | None = _choice(None, "requests of an address in a minute beyond which a firewall answers 403")
    signature_refusal: int = _choice(-1022, "code for a bad wallet signature", -1022, -1000)
    expired_nonce: int = _choice(-4225, "code for a nonce outside its window", -4225, -1021, -1000)
    duplicate_nonce: int = _choice(-4225, "code for a nonce used before", -4225, -1021, -1000)
    nonce_window_ms: int = _choice(NONCE_WINDOW, "how far a nonce may lie from the venue's time; 10000 until July 2026")
    legacy_signatures: bool = _choice(True, "take the wallet signatures of 2025 too (ABI and personal sign)")
    unencoded_signatures: bool = _choice(True, "take signatures of parameter strings made before percent-encoding too")
    trigger_expires: bool = _choice(False, "tell a user's stream of a triggered order that it expired and is new again")
    socket_lifetime_ms: int = _choice(DAY, "market time after which a WebSocket is closed")
    ping_ms: int = _choice(300_000, "market time between pings on a WebSocket, but at most one a second")
    newcomers: bool = _choice(True, "open an account for any wallet that signs; otherwise it is an unknown agent")
    open_interest: bool = _choice(True, "serve openInterest, which the documentation does not know")
