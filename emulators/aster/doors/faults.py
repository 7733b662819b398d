"""
Failures on demand: faults that wait for requests and spoil what becomes of them.

A fault names the requests it waits for by `method` and `path` (`*` and `?` are wild in both; every request without
them), a `kind`, and how often it strikes: `count` times (once unless it says otherwise; null for no end), only with a
`probability` (dice with a `seed`), and only for `lasts_ms` of market time. Without a count, a fault with a probability
or a span strikes without end. One request is struck by one fault, the first that waits for it. Kinds:

- `delay-ms:N`, `delay-ms:N-before`: the answer comes N real milliseconds later; the request is carried out at once, or
  after the wait;
- `reset-before`, `reset-after`: the connection breaks without an answer, before the request was carried out or after.
  Under a server the TCP connection is aborted; in the client's own process (httpx.ASGITransport) the application raises
  httpx.ReadError, which is what a client sees of a broken connection;
- `503-before`, `503-after`: HTTP 503, with nothing in it;
- `429-before`, `418-before`, `403-before` and the same with `-after`: refused for too many requests, banned, or stopped
  by the firewall;
- `error:CODE-before`, `error:CODE-after`: an error body, `error:-1007-after` for instance;
- `html-502`, `html-200` and any other status, each with or without `-after`: a gateway's HTML page;
- `stale-ms:N`: a GET answers what the same question was answered N milliseconds of market time ago, or as long ago as
  is remembered;
- `not-found`: nothing is carried out; an order is unknown, a list is empty;
- `empty`, `truncated`, `nan`, `wrong-types`, `extra`, `missing:FIELD`: the request is carried out, but the answer is
  nothing at all, the first half of itself, has NaN for every number, lists for numbers, fields nobody knows in
  every object, or lacks a field in every object;
- `clock-skew-ms:N`: the venue's clock is N milliseconds ahead of its market, behind it if negative: in `time`, and in
  the windows of nonces and timestamps. It strikes no request, but holds until it is cleared or its span is over.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

KIND = re.compile(
    r"(?P<name>503|429|418|403|reset|error:(?P<code>-\d{4}))-(?P<moment>before|after)"
    r"|html-(?P<page>[2-5]\d\d)(?P<page_moment>-after)?"
    r"|delay-ms:(?P<delay>\d{1,6})(?P<delay_moment>-before)?"
    r"|stale-ms:(?P<age>\d{1,9})|clock-skew-ms:(?P<skew>-?\d{1,9})"
    r"|not-found|empty|truncated|nan|wrong-types|extra|missing:(?P<field>\w{1,40})"
)
KINDS = (
    *("delay-ms:N", "delay-ms:N-before", "reset-before", "reset-after", "503-before", "503-after"),
    *("429-before", "418-before", "403-before", "error:CODE-before", "error:CODE-after", "html-STATUS"),
    *("html-STATUS-after", "stale-ms:N", "not-found", "empty", "truncated", "nan", "wrong-types", "extra"),
    *("missing:FIELD", "clock-skew-ms:N"),
)


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault that waits for requests. ValueError for a kind there is not."""

    kind: str
    method: str = "*"
    path: str = "*"
    count: int | None = 1
    """How many requests it still strikes; nothing for no end."""
    probability: float = 1.0
    seed: int = 0
    until: int | None = None
    """The market time at which it is over."""
    struck: int = 0
    """How many requests it has struck."""
    _match: re.Match[str] = field(init=False, repr=False)
    _dice: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        match = KIND.fullmatch(self.kind)
        if match is None:
            raise ValueError(f"unknown kind of fault: {self.kind!r}; there are {', '.join(KINDS)}")
        self._match = match
        self._dice = random.Random(self.seed)

    @property
    def name(self) -> str:
        """The kind without its number, field or moment: `delay-ms`, `error`, `503`, `missing`."""
        name = self._match["name"] or self.kind
        return re.split(r":|-(?=before|after)", "html" if self._match["page"] else name)[0]

    @property
    def spares_effect(self) -> bool:
        """Whether the request is still carried out."""
        early = self._match["moment"] == "before" or (self._match["page"] and not self._match["page_moment"])
        return not early and self.name != "not-found"

    @property
    def code(self) -> int:
        """The error code to answer with, for faults of that kind."""
        return int(self._match["code"] or 0)

    @property
    def status(self) -> int:
        """The status of a gateway's page."""
        return int(self._match["page"] or 403)

    @property
    def delay_seconds(self) -> float:
        return int(self._match["delay"] or 0) / 1000

    @property
    def delays_effect(self) -> bool:
        return bool(self._match["delay_moment"])

    @property
    def age(self) -> int:
        return int(self._match["age"] or 0)

    @property
    def skew(self) -> int:
        return int(self._match["skew"] or 0)

    @property
    def field_name(self) -> str:
        return self._match["field"] or ""

    def waits_for(self, method: str, path: str) -> bool:
        strikes = self._match["skew"] is None
        return strikes and fnmatchcase(method, self.method) and fnmatchcase(path, self.path)

    def throws(self) -> bool:
        """Roll the dice for a request."""
        return self.probability >= 1 or self._dice.random() < self.probability


class Faults:
    """The faults still to come, in the order they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def waiting(self, now: int) -> list[Fault]:
        """Return the faults that are not over."""
        if any(fault.until is not None and fault.until <= now for fault in self._waiting):
            self._waiting = [fault for fault in self._waiting if fault.until is None or now < fault.until]
        return self._waiting

    def strike(self, method: str, path: str, now: int) -> Fault | None:
        """Use and return the first fault waiting for such a request."""
        for fault in self.waiting(now):
            if fault.waits_for(method, path) and fault.throws():
                fault.struck += 1
                if fault.count is not None:
                    fault.count -= 1
                    if not fault.count:
                        self._waiting.remove(fault)
                return fault
        return None

    def skew(self, now: int) -> int:
        """Return how many milliseconds the venue's clock is ahead of its market."""
        return sum(fault.skew for fault in self.waiting(now))
