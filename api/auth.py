"""
Who may come in.

A caller shows a token, as `Authorization: Bearer …` or, where a page opens a WebSocket, as the subprotocol `bearer.…`;
or the cookie of a session that was opened with one. Nothing else is served without, but for what is open to everybody.

Only in development and on a loopback address somebody who shows nothing may do everything: they sit at this machine.
The one stranger left is then a page in their browser: a request for a foreign host name (DNS rebinding) is refused, and
so is one that changes something on behalf of another site (cross-site request forgery). A cookie is held to the latter
everywhere.
"""

import ipaddress
import logging
import math
from urllib.parse import urlsplit

from starlette import types
from starlette.requests import HTTPConnection

from api.admission import Admission, refusal
from api.errors import Problem, as_problem
from api.throttle import Buckets
from shared.db.audit import Action, AuditTrail
from shared.domain.access import Caller, Scope
from shared.domain.errors import DatabaseUnavailable, PerpetuaError
from shared.settings import LOOPBACK, Settings

log = logging.getLogger("perpetua.app")

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
OPEN = ("/health/live", "/docs", "/openapi.json", "/asyncapi.json", "/assets", "/vendor")
"""What needs no token, and all that lies below: whether we live, what can be asked, and the files of the pages."""
PAGE = "/"
LOGIN = ("POST", "/session")

PROTOCOL = "perpetua"
"""The subprotocol to accept a WebSocket with that offers it."""
BEARER_PROTOCOL = "bearer."
THIS_MACHINE = Caller(name="this machine", scope=Scope.ADMIN)
LONGEST_PATH = 500


class Doorkeeper:
    """Lets in who may come in, no more often than they may, and tells everybody else why not."""

    def __init__(self, app: types.ASGIApp, *, admission: Admission, trail: AuditTrail, settings: Settings) -> None:
        self._app = app
        self._admission = admission
        self._trail = trail
        self._guarded = settings.guarded
        self._sites = frozenset(settings.cors_origins)
        self._requests = Buckets(rate=settings.api_rate, burst=settings.api_burst)

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            caller = await self._caller(connection)
            self._limit(connection, caller)
        except (Problem, PerpetuaError) as exc:
            problem = as_problem(exc)
            if problem is None:
                raise
            await self._note(connection, problem)
            await problem.response()(scope, receive, send)
        else:
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, send)

    async def _caller(self, connection: HTTPConnection) -> Caller | None:
        """Return who asks; None for somebody at an open door. Raises Problem, DatabaseUnavailable."""
        client = address_of(connection)
        is_open = _is_open(connection.scope)
        token = token_of(connection)
        if token is not None and not is_open:
            return await self._admission.by_token(token, client)
        session = session_of(connection)
        if session is not None and not is_open:
            caller = await self._admission.by_session(session, client)
            if caller is not None:
                if _changes(connection.scope) and not _from_our_page(connection):
                    raise Problem(403, "foreign_origin", "with a session only our own pages may ask for this")
                return caller
        if not self._guarded:
            self._require_this_machine(connection)
            return None if is_open else THIS_MACHINE
        if is_open:
            return None
        if _changes(connection.scope):
            self._admission.count_a_try("nothing", client)
        if session is not None:
            raise refusal("session_ended", "the session has ended: log in again")
        raise refusal("token_missing", "send the header Authorization: Bearer <token>, or log in with POST /session")

    def _require_this_machine(self, connection: HTTPConnection) -> None:
        """Refuse whoever only seems to sit here. Raises Problem."""
        if _host_name(connection.headers.get("host", "")) not in LOOPBACK:
            detail = "without a token only requests for localhost are served: the Host header names another"
            raise Problem(403, "foreign_host", detail)
        origin = connection.headers.get("origin")
        ours = origin is None or origin in self._sites or _is_at(origin, connection)
        if not ours and _changes(connection.scope):
            detail = "without a token no other site may ask for this: see the Origin header"
            raise Problem(403, "foreign_origin", detail)

    def _limit(self, connection: HTTPConnection, caller: Caller | None) -> None:
        """Refuse whoever asks too often; what they look at is never in the way of what they do. Raises Problem."""
        who = caller.name if caller else address_of(connection)
        wait = self._requests.take(f"{'do' if _changes(connection.scope) else 'look'} {who}")
        if wait:
            detail = f"{who} asks too often: wait, then ask again"
            raise Problem(429, "too_many_requests", detail, headers={"Retry-After": str(math.ceil(wait))})

    async def _note(self, connection: HTTPConnection, problem: Problem) -> None:
        """Put on record that somebody was sent away who wanted to do something; not of those who come all the time."""
        scope = connection.scope
        if scope["type"] != "http" or not _changes(scope) or problem.status in (429, 503):
            return
        path = scope["path"][:LONGEST_PATH]
        action = Action(
            action=f"{scope['method']} {path}",
            client=client_of(connection),
            path=path,
            request_id=scope.get("state", {}).get("request_id"),
        )
        try:
            await self._trail.add(action, problem.status, problem.code)
        except DatabaseUnavailable as exc:
            log.warning("a refusal is not on record", extra={"why": str(exc)})


def caller_of(connection: HTTPConnection) -> Caller:
    """Return who asks, as the doorkeeper let them in. Raises Problem for somebody at a door that is open to all."""
    caller: Caller | None = connection.state.caller
    if caller is None:
        raise refusal("token_missing", "this needs a token")
    return caller


def wrong_account(caller: Caller) -> Problem:
    """Return what somebody is told who asks for an account that is not their business."""
    return Problem(403, "wrong_account", f"{caller.name} may see the account {caller.account_id} only")


def require_account(caller: Caller | None, account_id: str) -> None:
    """Refuse a caller who is confined to another account. Raises Problem."""
    if caller and not caller.may_see(account_id):
        raise wrong_account(caller)


async def may_still_listen(connection: HTTPConnection) -> bool:
    """Return whether what let the caller of a stream in still does: tokens are revoked and expire, sessions end.

    It may be asked as often as one likes: the answer is some seconds old. Raises DatabaseUnavailable.
    """
    return await admission_of(connection).still_admits(caller_of(connection))


def admission_of(connection: HTTPConnection) -> Admission:
    """Return what knows who is let in."""
    admission: Admission = connection.app.state.admission
    return admission


def token_of(connection: HTTPConnection) -> str | None:
    """Return the token that is shown: in the header or, by a page that opens a WebSocket, as a subprotocol."""
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    for protocol in connection.scope.get("subprotocols", ()):
        if protocol.startswith(BEARER_PROTOCOL):
            return str(protocol.removeprefix(BEARER_PROTOCOL))
    return None


def session_of(connection: HTTPConnection) -> str | None:
    """Return the session whose cookie is shown."""
    return connection.cookies.get(cookie_name(connection))


def cookie_name(connection: HTTPConnection) -> str:
    """Return the name of the cookie. Under https it is one that only this very host can have set, and over https."""
    return "__Host-perpetua" if is_secure(connection) else "perpetua"


def is_secure(connection: HTTPConnection) -> bool:
    """Return whether the way here is encrypted, as far as we or a trusted proxy can tell."""
    return connection.scope["scheme"] in {"https", "wss"}


def client_of(connection: HTTPConnection) -> str | None:
    """Return the address that the request comes from."""
    return connection.client.host if connection.client else None


def address_of(connection: HTTPConnection) -> str:
    """Return what to count somebody by: the address, and of IPv6 the network that one household has to itself."""
    host = client_of(connection) or "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


def _is_open(scope: types.Scope) -> bool:
    path = scope["path"]
    return (
        path == PAGE
        or (scope.get("method"), path) == LOGIN
        or path in OPEN
        or path.startswith(tuple(f"{place}/" for place in OPEN))
    )


def _changes(scope: types.Scope) -> bool:
    """Whether it may change something; a WebSocket, which a foreign page may open and read, counts as such."""
    return scope.get("method") not in SAFE_METHODS


def _from_our_page(connection: HTTPConnection) -> bool:
    """Browsers say so themselves, and no page can make them say otherwise."""
    if (site := connection.headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    return _is_at(connection.headers.get("origin", ""), connection)


def _is_at(origin: str, connection: HTTPConnection) -> bool:
    return origin.partition("://")[2] == connection.headers.get("host", "") != ""


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
