"""The audit trail, to read: nothing changes it."""

from starlette.requests import Request

from api.answers import Audited, Listing
from api.schemas import ListQuery
from api.state import reports_of


class AuditQuery(ListQuery):
    """Who did what, within [since, until): `action` as it stands in the trail, `code` of the problem it ended with."""

    caller: str | None = None
    action: str | None = None
    code: str | None = None


async def trail(request: Request, query: AuditQuery) -> Listing[Audited]:
    """What people and programs did, or were refused, newest first. `status` is null for what was cut short."""
    return Listing[Audited].of(await reports_of(request).audit(**query.model_dump()))
