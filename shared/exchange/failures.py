"""
The exchange's failures in our own words. No other module knows theirs.

The same failure means different things to a read and to a write. A read has no effect, so whatever got lost may be
asked again; a write whose answer is lost, late, unreadable or not of the exchange's making may have taken effect.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from shared.domain.errors import (
    ClockSkewed,
    InstrumentChanged,
    InsufficientMargin,
    NoChangeNeeded,
    NotAuthorised,
    NotFillable,
    NothingToReduce,
    OrderNotFound,
    OutcomeUnknown,
    PositionModeChanged,
    RateLimited,
    Refused,
    VenueError,
    VenueUnreachable,
    WouldTrigger,
)
from shared.exchange.fields import Unreadable, moment_at, parse

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)

CODES: dict[type[VenueError], tuple[int, ...]] = {
    # -1000 and -1001 are internal errors; -1006 and -1007 say "execution status unknown"; -4083 does not say how many
    # of a batch were placed. -4116 says that an order with our id is open: perhaps the very one whose answer we lost.
    OutcomeUnknown: (-1000, -1001, -1006, -1007, -1016, -4083, -4116),
    RateLimited: (-1003, -1015),
    ClockSkewed: (-1021, -4225),
    NotAuthorised: (-1002, -1011, -1022, -2014, -2015, -4056, -4057, -4088),
    InsufficientMargin: (-2018, -2019, -2023, -2027, -2028, -4050, -4051, -5050),
    # Filters: precision, price, size, stop price, tick, step, distance from the mark, notional. Then what says that the
    # contract is not traded, or not known.
    InstrumentChanged: (
        *(-1111, -4001, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014, -4016, -4023, -4024, -4164),
        *(-5060, -5076, -1121, -4022, -4140, -4141),
    ),
    NotFillable: (-1112, -2020, -4131, -5021, -5022),
    WouldTrigger: (-2021, -4142),
    NothingToReduce: (-2022, -2024, -4054, -4118),
    OrderNotFound: (-2011, -2013),
    PositionModeChanged: (-4061, -4062),
    NoChangeNeeded: (-4046, -4052, -4059),
}
"""What the exchange's error codes tell the caller to do. Any other code is a plain refusal."""

_MEANINGS = {code: kind for kind, codes in CODES.items() for code in codes}

# -1000 is "unknown error" and also, told apart by its text alone, the answer to a wallet nobody approved and to a
# symbol nobody knows.
_MEANINGS_OF_1000 = {
    "agent": NotAuthorised,
    "signature": NotAuthorised,
    "invalid symbol": Refused,
}

_BAN_END = re.compile(
    r"until (?:(?P<ms>[0-9]{13})\b|(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}))"
)
"""Milliseconds, as others of its kind tell it, or a date, of UTC."""
_FIRST_BAN_SECONDS = 120.0
_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as failures need to know it."""

    method: str
    path: str
    signed: bool = True
    """False where a key need only be shown."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        """True when it may change something at the exchange."""
        return self.method != "GET"

    def lost(self, why: str, code: int | None = None) -> VenueError:
        """Return the error of a request whose answer tells nothing."""
        return (OutcomeUnknown if self.writes else VenueUnreachable)(f"{self}: {why}", code=code)


@contextmanager
def venue_failures(call: Call) -> Iterator[None]:
    """Turn what the network and the payload readers raise into a VenueError."""
    try:
        yield
    except NEVER_SENT as exc:
        raise VenueUnreachable(f"{call}: the exchange cannot be reached: {_words(exc)}") from exc
    except (httpx.RequestError, OSError) as exc:
        raise call.lost(f"no answer: {_words(exc)}") from exc
    except Unreadable as exc:
        raise (OutcomeUnknown if call.writes else VenueError)(f"{call}: unreadable answer: {exc}") from exc


def answer_of(response: httpx.Response, call: Call, now: datetime) -> Any:
    """Return the payload of *response*, or raise the VenueError that it stands for."""
    try:
        payload = parse(response.content)
    except Unreadable:
        payload = None
    code = _code_of(payload)
    text = str(payload["msg"]) if code is not None and "msg" in payload else _excerpt(response)
    if response.status_code in (403, 418, 429):
        raise _limited(response, call, text, code, now)
    if response.status_code >= 500 or response.status_code == 408:
        raise call.lost(f"HTTP {response.status_code}: {text}", code)
    if code is not None and code < 0:
        raise _refusal(response, call, text, code, now)
    if payload is None or not response.is_success:
        if response.is_client_error and not call.writes:
            kind = NotAuthorised if response.status_code == 401 else Refused
            raise kind(f"{call}: HTTP {response.status_code}: {text}")
        raise call.lost(f"HTTP {response.status_code}, not an answer of the exchange: {text}")
    return payload


def element_of(payload: Any) -> VenueError | None:
    """Return the failure that one element of the answer to a batch stands for, or None when it stands for none."""
    code = _code_of(payload)
    if code is None or code >= 0:
        return None
    text = str(payload.get("msg", "nothing"))
    return _kind_of(code, text)(f"{text} ({code})", code=code)


def _kind_of(code: int, text: str) -> type[VenueError]:
    kind = _MEANINGS.get(code, Refused)
    if code == -1000:
        kind = next((known for words, known in _MEANINGS_OF_1000.items() if words in text.lower()), kind)
    return kind


def _refusal(response: httpx.Response, call: Call, text: str, code: int, now: datetime) -> VenueError:
    kind = _kind_of(code, text)
    if kind is RateLimited:
        return _limited(response, call, text, code, now)
    if kind is OutcomeUnknown:
        return call.lost(f"{text} ({code})", code)
    return kind(f"{call}: {text} ({code})", code=code)


def _limited(response: httpx.Response, call: Call, text: str, code: int | None, now: datetime) -> RateLimited:
    """The wait is what the exchange says, else to the end of the minute, else as long as its shortest ban."""
    stated = response.headers.get("retry-after", "")
    if re.fullmatch("[0-9]{1,6}", stated):
        wait = float(stated)
    elif (end := _ban_end(text)) is not None:
        wait = max(0.0, (end - now).total_seconds())
    elif response.status_code == 418:
        wait = _FIRST_BAN_SECONDS
    else:
        wait = 60.0 - now.second - now.microsecond / 1e6
    return RateLimited(f"{call}: HTTP {response.status_code}: {text}", code=code, retry_after=wait)


def _ban_end(text: str) -> datetime | None:
    """Return when a ban ends that *text* tells of; None where it does not say."""
    found = _BAN_END.search(text)
    if found is None:
        return None
    if found["ms"]:
        return moment_at(int(found["ms"]))
    try:
        return datetime.fromisoformat(found["date"]).replace(tzinfo=UTC)
    except ValueError:  # no such day
        return None


def _code_of(payload: Any) -> int | None:
    """Return the code in *payload*; successes carry 200, as a number or as text."""
    code = payload.get("code") if isinstance(payload, dict) else None
    return int(code) if isinstance(code, int | str) and re.fullmatch("-?[0-9]{1,6}", str(code)) else None


def _excerpt(response: httpx.Response) -> str:
    return " ".join(response.text[:_EXCERPT].split()) or "nothing"


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
