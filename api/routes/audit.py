"""The audit trail, to read: nothing changes it."""

from pydantic import Field
from starlette.requests import Request

from api.answers import Audited, Listing
from api.schemas import ListQuery
from api.state import reports_of


class AuditQuery(ListQuery):
    """Who did what, within [since, until): `action` as it stands in the trail, `code` of the problem it ended with."""

    caller: str | None = Field(default=None, description="The name of a token, or of who was at a terminal.")
    action: str | None = Field(default=None, description="A method and a path, or a command.", examples=["POST /stop"])
    code: str | None = Field(default=None, description="Of a problem.", examples=["scope_too_small"])


async def trail(request: Request, query: AuditQuery) -> Listing[Audited]:
    """What people and programs did, or were refused, newest first. `status` is null for what was cut short."""
    return Listing[Audited].of(await reports_of(request).audit(**query.model_dump()))
