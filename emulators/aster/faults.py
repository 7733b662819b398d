"""
Failures on demand: one-shot faults that wait for a request and spoil its answer.

Kinds, each of which may be wanted several times:

- `503-before`, `503-after`: HTTP 503, before the request was carried out or after it was;
- `reset-before`, `reset-after`: the connection breaks without an answer. Under a server the TCP connection is aborted;
  in the client's own process (httpx.ASGITransport) the application raises httpx.ReadError, which is what a client
  sees of a broken connection;
- `html-502`: a gateway's HTML page, nothing was carried out;
- `error:CODE-before`, `error:CODE-after`: an error body, `error:-1007-after` for instance;
- `delay-ms:N`: the request is carried out, the answer comes N milliseconds later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KIND = re.compile(
    r"(?P<name>503|reset|error:(?P<code>-\d{4}))-(?P<moment>before|after)|html-502|delay-ms:(?P<delay>\d{1,6})"
)


@dataclass(slots=True)
class Fault:
    """A fault that waits for *count* requests with a method and path."""

    method: str
    path: str
    kind: str
    count: int

    @property
    def spares_effect(self) -> bool:
        """Whether the request is still carried out."""
        return self.kind.endswith("-after") or self.kind.startswith("delay-ms")

    @property
    def code(self) -> int | None:
        """The error code to answer with, for faults of that kind."""
        match = KIND.fullmatch(self.kind)
        return int(match["code"]) if match and match["code"] else None

    @property
    def delay_seconds(self) -> float:
        match = KIND.fullmatch(self.kind)
        return int(match["delay"]) / 1000 if match and match["delay"] else 0.0


class Faults:
    """The faults still to come, in the order they were asked for."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault; ValueError for a kind there is not."""
        if not KIND.fullmatch(fault.kind):
            raise ValueError(f"unknown kind of fault: {fault.kind!r}")
        self.waiting.append(fault)

    def strike(self, method: str, path: str) -> Fault | None:
        """Use up and return the first fault waiting for such a request."""
        for fault in self.waiting:
            if fault.method == method and fault.path == path:
                fault.count -= 1
                if not fault.count:
                    self.waiting.remove(fault)
                return fault
        return None
