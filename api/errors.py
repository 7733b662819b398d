"""
Every error over HTTP is a problem document (RFC 9457): `{"type", "title", "status", "detail", "code"}`.

`code` is what programs go by: it stays the same while words change, and `api.problems` says what to do about each. No
document shows a secret or a stack.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.problems import CATALOGUE, type_of
from functions.events import BadEvent
from shared.domain.errors import (
    AccountChanged,
    AccountExists,
    BadCursor,
    BadRequest,
    ClockSkewed,
    DatabaseUnavailable,
    ForeignBooks,
    LeaseLost,
    MarketDataUnusable,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    NotAuthorised,
    NotFlat,
    OutcomeUnknown,
    PerpetuaError,
    PositionUnprotected,
    RateLimited,
    RecordBroken,
    Refused,
    StageBusy,
    StaleRequest,
    UnknownAccount,
    UnknownRecord,
    UnknownToken,
    UnusableReply,
    VenueError,
    VenueUnreachable,
)
from shared.secrets import mask_text
from shared.settings import SettingsError

log = logging.getLogger("perpetua.app")

MEANINGS: dict[type[PerpetuaError], tuple[int, str]] = {
    BadEvent: (422, "bad_event"),
    BadRequest: (422, "bad_request"),
    UnknownRecord: (404, "unknown_record"),
    UnknownToken: (404, "unknown_token"),
    RecordBroken: (409, "record_broken"),
    StaleRequest: (422, "stale_request"),
    UnknownAccount: (404, "unknown_account"),
    AccountExists: (409, "account_exists"),
    AccountChanged: (409, "account_changed"),
    NotFlat: (409, "account_not_flat"),
    SettingsError: (422, "bad_account"),
    StageBusy: (409, "stage_busy"),
    LeaseLost: (409, "lease_lost"),
    ForeignBooks: (409, "foreign_books"),
    PositionUnprotected: (502, "position_unprotected"),
    MarketDataUnusable: (502, "market_data_unusable"),
    VenueError: (502, "venue_failed"),
    VenueUnreachable: (502, "venue_unreachable"),
    RateLimited: (502, "venue_rate_limited"),
    ClockSkewed: (502, "venue_clock_skewed"),
    OutcomeUnknown: (502, "venue_outcome_unknown"),
    Refused: (502, "venue_refused"),
    NotAuthorised: (502, "venue_not_authorised"),
    ModelError: (502, "model_failed"),
    ModelUnavailable: (502, "model_unavailable"),
    ModelRefused: (502, "model_refused"),
    UnusableReply: (502, "model_reply_unusable"),
    DatabaseUnavailable: (503, "database_unavailable"),
}
"""What each failure is to a caller. One that is not listed is told like the nearest listed ancestor."""

HTTP_CODES = {404: "no_such_path", 405: "method_not_allowed"}
RETRY_SECONDS = 5
"""What a caller is told to wait for a database that is away."""


class ProblemDocument(BaseModel):
    """Why something was not done. Some codes add members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Where the code is explained.", examples=["/docs/problems#bad_parameter"])
    title: str = Field(description="The kind of problem in words.")
    status: int
    detail: str = Field(description="What is wrong this time, and what to do.")
    code: str = Field(description="What programs go by.", examples=["bad_parameter"])


class Problem(Exception):
    """An error as it is told over HTTP. *members* are added to the document."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.members = members

    def response(self) -> Response:
        """Return the document."""
        entry = CATALOGUE.get(self.code)
        document = {
            "type": type_of(self.code),
            "title": entry.title if entry else HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": mask_text(self.detail),
            "code": self.code,
            **self.members,
        }
        return JSONResponse(document, self.status, self.headers, media_type="application/problem+json")


def internal_error() -> Problem:
    """Return what is told of a defect: nothing but that there is one. The log has the rest, by the request's id."""
    return Problem(500, "internal_error", "something went wrong here; the log has it under this X-Request-Id")


def as_problem(exc: Exception) -> Problem | None:
    """Return what is told of *exc*; None for a defect."""
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, BadCursor):
        return Problem(400, "bad_parameter", f"before: {exc}", parameter="before")
    meaning = next((MEANINGS[kind] for kind in type(exc).__mro__ if kind in MEANINGS), None)
    if meaning is None:
        return None
    status, code = meaning
    return Problem(status, code, str(exc), headers={"Retry-After": str(RETRY_SECONDS)} if status == 503 else None)


async def _problem(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, Problem)  # noqa: S101 - as registered below
    return exc.response()


async def _no_route(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - as registered below
    detail = f"there is no {request.method} {request.scope['path']}"
    return Problem(
        exc.status_code, HTTP_CODES.get(exc.status_code, "http_error"), detail, headers=exc.headers
    ).response()


async def _bad_cursor(request: Request, exc: Exception) -> Response:
    name = "after" if "after" in request.query_params else "before"
    return Problem(400, "bad_parameter", f"{name}: {exc}", parameter=name).response()


async def _named_failure(_: Request, exc: Exception) -> Response:
    problem = as_problem(exc)
    if problem is None:
        raise exc
    if problem.status >= 500:
        log.warning("request not served", extra={"code": problem.code, "why": str(exc)})
    return problem.response()


HANDLERS: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    Problem: _problem,
    HTTPException: _no_route,
    BadCursor: _bad_cursor,
    PerpetuaError: _named_failure,
}
