"""What a request carries: JSON of a bounded size, and for what is not looked at as a whole, field by field."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request

from api.errors import Problem

JSON = "application/json"


class Body(BaseModel):
    """What every body has in common: nothing but that it is known in full."""

    model_config = ConfigDict(extra="forbid", frozen=True)


B = TypeVar("B", bound=Body)


async def json_body(request: Request) -> Any:
    """Return the JSON in the body; an empty body is an empty object. Raises Problem."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON:
        raise Problem(415, "unsupported_media_type", f"the body is {kind[:80] or 'of no kind'}: it must be {JSON}")
    if packing := request.headers.get("content-encoding", "").strip():
        raise Problem(415, "unsupported_media_type", f"the body is packed as {packing[:80]}: send it as it is")
    try:
        body = await request.body()
    except ClientDisconnect:
        raise Problem(400, "body_incomplete", "the connection ended before the body did") from None
    try:
        said = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise Problem(400, "bad_json", "the body is not JSON") from None
    try:
        json.dumps(said, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Problem(400, "bad_json", "the body has half of a surrogate pair, which is no character") from None
    return said


async def read_body(request: Request, kind: type[B]) -> B:
    """Return the body as *kind* describes it. Raises Problem, naming the field."""
    try:
        return kind.model_validate(await json_body(request))
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    known = ", ".join(kind.model_fields)
    if problem["type"] == "extra_forbidden":
        raise Problem(400, "bad_body", f"the body has an unknown field {name}: it takes {known}", field=name)
    if not name:
        raise Problem(400, "bad_body", f"the body must be a JSON object with {known}")
    raise Problem(400, "bad_body", f"{name}: {problem['msg'].removeprefix('Value error, ')}", field=name)
