"""
Stages over HTTP: in plain REST, and by the path and in the words of AWS Lambda's Invoke, so that a client of its SDK
can be pointed here. Same event, same result, same stage; repeating is as safe as anywhere.
"""

import logging
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.answers import Result
from api.auth import caller_of, wrong_account
from api.bodies import json_body
from api.errors import Problem
from api.state import runtime_of
from functions.invoke import DOORS, invoke
from shared.domain.errors import PerpetuaError
from shared.secrets import mask_text

log = logging.getLogger("perpetua.app")

_MOMENT = {"type": "string", "format": "date-time"}
Event = Annotated[
    Any,
    WithJsonSchema(
        {
            "title": "StageEvent",
            "description": "Names a cycle: without `tick` the present one, or the last one at `time`.",
            "type": "object",
            "properties": {"account": {"type": "string"}, "tick": _MOMENT, "time": _MOMENT},
            "required": ["account"],
            "additionalProperties": False,
            "examples": [{"account": "main"}],
        }
    ),
]
"""What the handlers of stages are given, here and elsewhere: they read it themselves."""
Door = Annotated[str, Field(description=f"One of {', '.join(DOORS)}.", examples=["fetch"])]


async def invoke_stage(request: Request, stage: Door, body: Event) -> Result:
    """Run the stage that the path names on the event in the body; answer with its result."""
    if stage not in DOORS:
        raise Problem(404, "no_such_stage", f"there is no stage {stage}: there is {', '.join(DOORS)}")
    _require_own(request, body)
    return Result(await invoke(runtime_of(request), stage, body))


async def invoke_function(request: Request, name: Door) -> Response:
    """Answer as Lambda's Invoke does: a handler that failed is a 200 with `X-Amz-Function-Error`.

    Only the synchronous invocation type is served. Errors that Lambda tells by status are problem documents with the
    header and the `Message` that its SDKs look for.
    """
    if name not in DOORS:
        detail = f"Function not found: {name}: there is {', '.join(DOORS)}"
        raise _for_sdk(Problem(404, "no_such_stage", detail), "ResourceNotFoundException")
    if request.headers.get("x-amz-invocation-type", "RequestResponse") != "RequestResponse":
        detail = "only the invocation type RequestResponse is served here"
        raise _for_sdk(Problem(400, "bad_invocation_type", detail), "InvalidParameterValueException")
    try:
        event = await json_body(request)
    except Problem as exc:
        kind = "RequestTooLargeException" if exc.status == 413 else "InvalidRequestContentException"
        raise _for_sdk(exc, kind) from None
    _require_own(request, event)
    headers = {"X-Amz-Executed-Version": "$LATEST"}
    try:
        return JSONResponse(await invoke(runtime_of(request), name, event), headers=headers)
    except Exception as exc:
        failure = {"errorType": type(exc).__name__, "errorMessage": _said(exc)}
        return JSONResponse(failure, headers=headers | {"X-Amz-Function-Error": "Unhandled"})


def _require_own(request: Request, event: Any) -> None:
    """Refuse an event that names no account, or another, to who is confined to one: whoever reads it tells of all."""
    caller = caller_of(request)
    named = event.get("account") if isinstance(event, Mapping) else None
    if caller.account_id is not None and named != caller.account_id:
        raise wrong_account(caller)


def _said(exc: Exception) -> str:
    if isinstance(exc, PerpetuaError):
        return mask_text(str(exc))
    log.error("function failed", exc_info=exc)
    return "something went wrong here; the log has it under this X-Request-Id"


def _for_sdk(problem: Problem, kind: str) -> Problem:
    return Problem(
        problem.status,
        problem.code,
        problem.detail,
        headers={"X-Amzn-ErrorType": kind},
        Type="User",
        Message=problem.detail,
    )
