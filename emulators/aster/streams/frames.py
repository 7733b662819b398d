"""What travels on a stream: one event, written once however many sockets it goes to."""

from __future__ import annotations

import json
from typing import Any


class Frame:
    """One event of one stream, at a market time."""

    __slots__ = ("_wrapped", "account", "event", "raw", "stream", "time")

    def __init__(self, stream: str, time: int, payload: Any, *, account: str = "") -> None:
        """*account* is whose event it is, on a user's stream."""
        self.stream = stream
        self.time = time
        self.account = account
        self.event: str = (payload[0] if isinstance(payload, list) else payload)["e"]
        self.raw = json.dumps(payload, separators=(",", ":"))
        self._wrapped: str | None = None

    @property
    def wrapped(self) -> str:
        """The event as combined streams carry it, with the stream's name."""
        if self._wrapped is None:
            self._wrapped = f'{{"stream":{json.dumps(self.stream)},"data":{self.raw}}}'
        return self._wrapped
