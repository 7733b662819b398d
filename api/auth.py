"""
Who may come in.

With API_TOKEN every path but /health asks for it. Without, only this machine can reach us, and the one stranger left is
a page in the browser of somebody who sits here: a request for a foreign host name (DNS rebinding) is refused, and so is
one that changes something on behalf of another site (cross-site request forgery).
"""

import hmac
from urllib.parse import urlsplit

from starlette import types
from starlette.requests import HTTPConnection

from api.errors import Problem
from shared.domain.access import Caller, Scope
from shared.settings import LOOPBACK

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
OPEN = ("/health", "/docs", "/openapi.json")
"""What needs no token: whether we are well, and what can be asked."""


class Doorkeeper:
    """Lets in who may come in, and tells everybody else why not."""

    def __init__(self, app: types.ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        objection = self._objection(HTTPConnection(scope))
        scope.setdefault("state", {})["caller"] = Caller(name="whoever holds API_TOKEN", scope=Scope.ADMIN)
        app = self._app if objection is None else objection.response()
        await app(scope, receive, send)

    def _objection(self, request: HTTPConnection) -> Problem | None:
        if self._token is None:
            return _foreign(request)
        path = request.scope["path"]
        if path in OPEN or path.startswith(tuple(f"{place}/" for place in OPEN)):
            return None
        return _without_token(request, self._token)


def caller_of(request: HTTPConnection) -> Caller:
    """Return who asks, as the doorkeeper let them in."""
    caller: Caller = request.state.caller
    return caller


async def may_still_listen(connection: HTTPConnection) -> bool:
    """Return whether what let the caller of a stream in still does: API_TOKEN holds as long as the process."""
    return caller_of(connection).scope.includes(Scope.READ)


def _without_token(request: HTTPConnection, token: str) -> Problem | None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        challenge = {"WWW-Authenticate": 'Bearer realm="perpetua"'}
        return Problem(401, "token_missing", "send the header Authorization: Bearer <API_TOKEN>", headers=challenge)
    # Header bytes arrive read as Latin-1; in constant time, so that a wrong token does not tell how wrong it is.
    if not hmac.compare_digest(given.strip().encode("latin-1"), token.encode()):
        challenge = {"WWW-Authenticate": 'Bearer realm="perpetua", error="invalid_token"'}
        return Problem(401, "token_wrong", "the token is not the one that API_TOKEN holds", headers=challenge)
    return None


def _foreign(request: HTTPConnection) -> Problem | None:
    host = request.headers.get("host", "")
    if _host_name(host) not in LOOPBACK:
        return Problem(
            403,
            "foreign_host",
            "without API_TOKEN only requests for localhost are served: the Host header names another",
        )
    origin = request.headers.get("origin")
    ours = origin is None or origin.partition("://")[2] == host
    if not ours and request.scope.get("method") not in SAFE_METHODS:
        return Problem(403, "foreign_origin", "without API_TOKEN no other site may ask for this: see the Origin header")
    return None


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
