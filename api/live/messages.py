"""What goes over a stream: one JSON object a frame, `type` first. The feed writes those of type `event`."""

import json
from datetime import datetime
from typing import Any

HEARTBEAT_SECONDS = 30.0


def snapshot(cursor: str | None, reason: str, **lists: Any) -> str:
    """How things are. *reason*: began, or why the cursor that was brought is no use."""
    return _written("snapshot", cursor, reason=reason, **lists)


def resumed(cursor: str) -> str:
    """The cursor that was brought is good: what was missed follows."""
    return _written("resumed", cursor)


def ping(cursor: str | None, at: datetime) -> str:
    """The stream is alive, and this far."""
    return _written("ping", cursor, at=at.isoformat())


def error(code: str, detail: str) -> str:
    """Why the stream ends."""
    return _written("error", None, code=code, detail=detail)


def live(is_live: bool, detail: str) -> str:
    """Whether prices are those of now; if not, why."""
    return _written("live", None, live=is_live, detail=detail)


def price(**told: Any) -> str:
    """The newest mark price of a symbol."""
    return _written("price", None, **told)


def candle(cursor: str | None, **told: Any) -> str:
    """A candle: a closed one has a cursor, one that is still forming has none."""
    return _written("candle", cursor, **told)


def _written(kind: str, cursor: str | None, **members: Any) -> str:
    head = {"type": kind} if cursor is None else {"type": kind, "cursor": cursor}
    return json.dumps(head | members, ensure_ascii=False)
