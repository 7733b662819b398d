"""Sessions of the dashboard: a token is shown once, and a cookie that no script can read stands in for it."""

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.admission import SESSION, is_by_session
from api.answers import Identity
from api.auth import address_of, admission_of, caller_of, cookie_name, is_secure, session_of
from api.bodies import Body
from shared.domain.access import Caller


class Login(Body):
    """What a session is opened with."""

    token: str = Field(min_length=1, max_length=500, description="A token, as it was shown when it was made.")


async def log_in(request: Request, body: Login) -> Identity:
    """Open a session for the holder of a token, and set its cookie."""
    session, caller = await admission_of(request).open_session(body.token, address_of(request))
    request.state.caller = caller  # for the record
    _set_cookie(request, session, int(SESSION.total_seconds()))
    return _told(caller)


async def show(request: Request) -> Identity:
    """Tell who asks. A session that asks lasts anew: an hour from now, and a week in all."""
    caller, session = caller_of(request), session_of(request)
    if session is None or not is_by_session(caller):
        return _told(caller)
    caller = await admission_of(request).renewed(session, caller)
    _set_cookie(request, session, int(SESSION.total_seconds()))
    return _told(caller)


async def log_out(request: Request) -> Response:
    """End the session, and take its cookie away."""
    session = session_of(request)
    if session is not None:
        await admission_of(request).close_session(session)
    _set_cookie(request, "", 0)
    return Response(status_code=204, headers=request.state.headers)


def _told(caller: Caller) -> Identity:
    expires = caller.expires_at.isoformat() if caller.expires_at else None
    return Identity(name=caller.name, scope=caller.scope, account=caller.account_id, expires=expires)


def _set_cookie(request: Request, session: str, seconds: int) -> None:
    """For our own pages alone: no script reads it, no other site has it sent, https alone carries it if it can."""
    answer = Response()
    answer.set_cookie(
        cookie_name(request), session, max_age=seconds, httponly=True, samesite="strict", secure=is_secure(request)
    )
    request.state.headers = {"Set-Cookie": answer.headers["set-cookie"]}
