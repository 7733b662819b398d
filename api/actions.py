"""
Whatever changes something is put on record before it is done and, where it carries a key, done once.

`Idempotency-Key: …` on a POST or a PATCH, as in the IETF's draft: the same request under the same key is answered with
the stored answer, marked `Idempotency-Replayed: true`; another request under it is a 422, and one whose first is still
under way a 409. What was refused (4xx) did nothing, and leaves its key free. A request that was cut short, by a crash
or a restart, may have been done: its key answers 409 from then on, and it is for the caller to look and to ask anew,
unless the operation is one that finds by itself what was done: that is served again.
"""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.auth import SAFE_METHODS, client_of, require_account
from api.errors import Problem, as_problem, internal_error
from api.state import audit_of, keys_of
from shared.db.audit import Action
from shared.db.idempotency import Answer, Claimed
from shared.domain.access import Caller
from shared.domain.errors import DatabaseUnavailable
from shared.secrets import MASK, TOKEN_SHAPE, mask

log = logging.getLogger("perpetua.app")

Serve = Callable[[Request], Awaitable[Response]]

KEYED = {"POST", "PATCH"}
KEY = re.compile(r'("?)([!#-~]{1,255})\1')
REPLAYED = {"Idempotency-Replayed": "true"}
NOT_KEPT = {"content-length", "set-cookie"}
MOST_ON_RECORD = 8 * 1024
"""Of a body, in bytes; of a larger one the trail has the size and the SHA-256."""


async def act(request: Request, pattern: str, serve: Serve, *, found_again: bool = False) -> Response:
    """Have *serve* answer the request to the path of that *pattern*, on record and once. Raises what *serve* does.

    Raises Problem for an account that is not the caller's business.
    """
    if request.method in SAFE_METHODS:
        return await serve(request)
    caller: Caller | None = request.state.caller
    raw = await _body(request)
    body = _read(raw)
    account = request.path_params.get("account") or (body.get("account") if isinstance(body, Mapping) else None)
    account = account if isinstance(account, str) else None
    trail = audit_of(request)
    action = Action(
        action=f"{request.method} {pattern}",
        caller=caller.name if caller else None,
        scope=caller.scope if caller else None,
        client=client_of(request),
        path=request.scope["path"],
        account_id=account,
        request_id=request.state.request_id,
        idempotency_key=request.headers.get("idempotency-key"),
        body=_on_record(raw, body),
    )
    # Who logs in is known afterwards, and nothing else can be done by nobody.
    number = await trail.begin(action) if caller else None

    async def end(status: int, code: str | None = None) -> None:
        if number is not None:
            return await trail.end(number, status, code)
        found: Caller | None = request.state.caller
        known = replace(action, caller=found.name, scope=found.scope) if found else action
        return await trail.add(known, status, code)

    try:
        if account:
            require_account(caller, account)
        response = await _once(request, caller, raw, serve, found_again=found_again)
    except Exception as exc:
        problem = as_problem(exc) or internal_error()
        await _tell(end(problem.status, problem.code))
        raise
    await _tell(end(response.status_code, "replayed" if "idempotency-replayed" in response.headers else None))
    return response


async def _once(
    request: Request, caller: Caller | None, raw: bytes | None, serve: Serve, *, found_again: bool
) -> Response:
    given = request.headers.get("idempotency-key")
    if given is None or caller is None or request.method not in KEYED:
        return await serve(request)
    found = KEY.fullmatch(given)
    if found is None:
        raise Problem(400, "bad_idempotency_key", "Idempotency-Key: 1 to 255 visible ASCII characters, such as a UUID")
    keys, key = keys_of(request), found[2]
    fingerprint = _fingerprint(request, raw)
    claimed = await keys.claim(caller.name, key, fingerprint)
    if claimed is not None and not (found_again and claimed.cut_short and claimed.fingerprint == fingerprint):
        return _known(claimed, fingerprint)
    try:
        response = await serve(request)
    except Exception as exc:
        problem = as_problem(exc) or internal_error()
        if problem.status < 500:
            await _tell(keys.release(caller.name, key))
        else:
            await _tell(keys.answer(caller.name, key, _kept(problem.response())))
        raise
    except BaseException:  # we are told to stop
        await asyncio.shield(_tell(keys.answer(caller.name, key, None)))
        raise
    await _tell(keys.answer(caller.name, key, _kept(response)))
    return response


def _known(claimed: Claimed, fingerprint: str) -> Response:
    if claimed.fingerprint != fingerprint:
        detail = "this Idempotency-Key came with another request before: a new request needs a new key"
        raise Problem(422, "idempotency_key_reused", detail)
    if claimed.answer:
        answer = claimed.answer
        return Response(answer.body.encode(), answer.status, headers={**answer.headers, **REPLAYED})
    if claimed.cut_short:
        detail = (
            "the request of this Idempotency-Key was cut short, and may have been done: look whether it was, "
            "then ask anew under a new key"
        )
        raise Problem(409, "idempotency_cut_short", detail)
    detail = "the request of this Idempotency-Key is still under way: wait for its answer"
    raise Problem(409, "idempotency_under_way", detail, headers={"Retry-After": "1"})


async def _body(request: Request) -> bytes | None:
    """Return the body; None for one that is refused wherever it is read."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise Problem(400, "body_incomplete", "the connection ended before the body did") from None
    except Problem:
        return None


def _read(raw: bytes | None) -> Any:
    try:
        return json.loads(raw or b"null")
    except (ValueError, RecursionError):
        return None


def _on_record(raw: bytes | None, body: Any) -> Mapping[str, Any] | None:
    if not raw:
        return None
    if isinstance(body, Mapping) and len(raw) <= MOST_ON_RECORD:
        masked: Mapping[str, Any] = mask(body)
        return masked
    return {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def _fingerprint(request: Request, raw: bytes | None) -> str:
    parts = (request.method, request.scope["path"], request.scope["query_string"], raw or b"")
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _kept(response: Response) -> Answer:
    """What is stored of an answer: a token that it shows is shown once."""
    headers = {name: value for name, value in response.headers.items() if name not in NOT_KEPT}
    return Answer(response.status_code, headers, TOKEN_SHAPE.sub(MASK, bytes(response.body).decode()))


async def _tell(writing: Awaitable[None]) -> None:
    """Write what came of something. It is done, and answered, also where that cannot be written."""
    try:
        await writing
    except DatabaseUnavailable as exc:
        log.warning("what came of an action is not on record", extra={"why": str(exc)})
