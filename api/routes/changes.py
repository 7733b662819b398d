"""What is to be allowed to accounts and is not yet: seen, approved by a second person, withdrawn."""

from starlette.requests import Request

from api.answers import Change, Listing
from api.auth import caller_of
from api.errors import Problem
from api.schemas import ChangeId, ChangesQuery
from api.state import reports_of, runtime_of, tokens_of
from shared.db.tokens import TokenTable
from shared.domain.access import Caller
from shared.domain.authority import Change as Waiting
from shared.domain.authority import ChangeState
from shared.domain.work import Work
from shared.roster import approve, withdraw
from shared.runtime import Runtime


async def listed(request: Request, query: ChangesQuery) -> Listing[Change]:
    """Changes that wait, or waited, newest first."""
    return Listing[Change].of(await reports_of(request).changes(**query.model_dump()))


async def approve_one(request: Request, change: ChangeId) -> Change:
    """Say that you are for a change: two people's word puts it in force at once."""
    return await _told(request, await speak(runtime_of(request), tokens_of(request), caller_of(request), change))


async def withdraw_one(request: Request, change: ChangeId) -> Change:
    """Have a change wait no longer: it never comes into force."""
    return await _told(request, await take_back(runtime_of(request), caller_of(request), change))


async def speak(runtime: Runtime, tokens: TokenTable, caller: Caller, number: int) -> Waiting:
    """Add the word of *caller* for a change and return it as it is then. Raises Problem, UnknownAccount."""
    words = None
    while True:  # again where somebody spoke meanwhile: words only grow
        async with runtime.open_work() as work:
            found = await _waiting(work, caller, number)
            if found.words == words:
                await approve(work, found, caller.name, runtime.clock.now(), runtime.settings)
                break
            words = found.words
        if caller.name in words or await tokens.one_voice(caller.name, words):
            why = f"{caller.name}, or a token that stands behind it, is for change {number} already"
            raise Problem(409, "same_person", f"{why}: it takes another person, or time")
    await runtime.follow_accounts()
    return await _found(runtime, number)


async def take_back(runtime: Runtime, caller: Caller, number: int) -> Waiting:
    """Have a change wait no longer and return it as it is then. Raises Problem."""
    async with runtime.open_work() as work:
        found = await _waiting(work, caller, number)
        await withdraw(work, found, caller.name, runtime.clock.now())
    return await _found(runtime, number)


async def _waiting(work: Work, caller: Caller, number: int) -> Waiting:
    found = await work.changes.get(number)
    if found is None or not caller.may_see(found.account_id):
        raise Problem(404, "unknown_change", f"there is no change {number}")
    if found.state is not ChangeState.PENDING:
        raise Problem(409, "change_decided", f"change {number} is {found.state.value}")
    return found


async def _found(runtime: Runtime, number: int) -> Waiting:
    async with runtime.open_work() as work:
        found = await work.changes.get(number)
    assert found is not None  # noqa: S101 - changes are never taken away
    return found


async def _told(request: Request, change: Waiting) -> Change:
    rows = (await reports_of(request).changes(account=change.account_id)).rows
    return Change.model_validate(next(row for row in rows if row["id"] == change.id))
