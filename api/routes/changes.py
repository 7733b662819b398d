"""What is to be allowed to accounts and is not yet: seen, approved by a second person, withdrawn."""

from starlette.requests import Request

from api.answers import Change, Listing
from api.auth import caller_of, require_account
from api.errors import Problem
from api.schemas import ChangeId, ChangesQuery
from api.state import reports_of, runtime_of, tokens_of
from shared.domain.authority import Change as Waiting
from shared.domain.authority import ChangeState
from shared.domain.work import Work
from shared.roster import approve, withdraw


async def listed(request: Request, query: ChangesQuery) -> Listing[Change]:
    """Changes that wait, or waited, newest first."""
    return Listing[Change].of(await reports_of(request).changes(**query.model_dump()))


async def approve_one(request: Request, change: ChangeId) -> Change:
    """Say that you are for a change: two people's word puts it in force at once."""
    runtime, who = runtime_of(request), caller_of(request).name
    approved = None
    while approved is None:  # again where somebody spoke meanwhile: words only grow
        async with runtime.open_work() as work:
            words = (await _waiting(request, work, change)).words
        if await tokens_of(request).one_voice(who, words):
            why = f"{who}, or a token that stands behind it, is for change {change} already"
            raise Problem(409, "same_person", f"{why}: it takes another person, or time")
        async with runtime.open_work() as work:
            found = await _waiting(request, work, change)
            if found.words == words:
                await approve(work, found, who, runtime.clock.now(), runtime.settings)
                approved = found
    await runtime.follow_accounts()
    return await _told(request, approved)


async def withdraw_one(request: Request, change: ChangeId) -> Change:
    """Have a change wait no longer: it never comes into force."""
    runtime, who = runtime_of(request), caller_of(request).name
    async with runtime.open_work() as work:
        found = await _waiting(request, work, change)
        await withdraw(work, found, who, runtime.clock.now())
    return await _told(request, found)


async def _waiting(request: Request, work: Work, change: int) -> Waiting:
    found = await work.changes.get(change)
    if found is None:
        raise Problem(404, "unknown_change", f"there is no change {change}")
    require_account(caller_of(request), found.account_id)
    if found.state is not ChangeState.PENDING:
        raise Problem(409, "change_decided", f"change {change} is {found.state.value}")
    return found


async def _told(request: Request, change: Waiting) -> Change:
    rows = (await reports_of(request).changes(account=change.account_id)).rows
    return Change.model_validate(next(row for row in rows if row["id"] == change.id))
