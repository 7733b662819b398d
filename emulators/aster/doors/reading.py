"""
Reading a request off the wire: its parameters, wherever they stand, within bounds.

Parameters may stand in the query, in the body, or in both, whatever the method and whatever the content type says; the
query wins. Neither may be endless, and none may be sent twice in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from ..errors import Refusal
from ..parameters import Parameters

MOST_BODY, MOST_QUERY = 1_000_000, 16_000
MOST_PARAMETERS = 500


class TooLarge(Exception):
    """More than a request may hold; *status* is how a gateway says so."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    """GET for HEAD too, whose answer is the same but for its content."""
    path: str
    query: bytes
    body: bytes
    api_key: str | None
    address: str
    """Where it comes from."""

    def parameters(self) -> Parameters:
        """Return what it says; -1101 or -1100 for what cannot be read."""
        return {**_read(self.body), **_read(self.query)}


async def asked(scope: Scope, receive: Receive) -> Asked | None:
    """Return a request, or nothing when its client left before it had sent all of it. Raises TooLarge."""
    body = await _body(receive)
    if body is None:
        return None
    if len(scope["query_string"]) > MOST_QUERY:
        raise TooLarge(414)
    client = scope.get("client")
    keys = [value for name, value in scope["headers"] if name == b"x-mbx-apikey"]
    return Asked(
        method="GET" if scope["method"] == "HEAD" else scope["method"],
        path=scope["path"],
        query=scope["query_string"],
        body=body,
        api_key=keys[0].decode("latin-1") if keys else None,
        address=client[0] if client else "local",
    )


async def _body(receive: Receive) -> bytes | None:
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MOST_BODY:
            raise TooLarge(413)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _read(raw: bytes) -> Parameters:
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except UnicodeDecodeError as exc:
        raise Refusal(-1100, text="Illegal characters found in a parameter.") from exc
    except ValueError as exc:
        raise Refusal(-1101, text=f"Too many parameters; expected at most {MOST_PARAMETERS}.") from exc
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise Refusal(-1101, text="Duplicate values for a parameter detected.")
    return parameters
