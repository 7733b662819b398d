"""One account: what it is, and whether it trades."""

from starlette.requests import Request

from api.answers import Account
from api.errors import Problem
from api.schemas import AccountId
from api.state import reports_of, runtime_of
from functions.resuming import change_status, resume_account
from shared.domain.account import AccountStatus
from shared.domain.errors import UnknownAccount

REASON = "asked for over the API"


async def show(request: Request, account: AccountId) -> Account:
    """Show the account as the list of accounts does. 404 for one that is not there."""
    return await _told(request, account)


async def pause(request: Request, account: AccountId) -> Account:
    """Open nothing more; what is open stays protected. A halted account stays halted: 409."""
    async with runtime_of(request).open_work() as work:
        status = (await work.accounts.get(account)).status
        if status is AccountStatus.HALTED:
            raise Problem(409, "account_halted", f"account {account} is halted, which is more than paused")
        await change_status(work, account, AccountStatus.PAUSED, REASON)
    return await _told(request, account)


async def resume(request: Request, account: AccountId) -> Account:
    """Trade again, after a pause, a halt or a breaker: it is a person that asks."""
    runtime = runtime_of(request)
    async with runtime.open_work() as work:
        await resume_account(work, account, runtime.clock.now(), REASON)
    return await _told(request, account)


async def _told(request: Request, account: str) -> Account:
    rows = (await reports_of(request).accounts(account=account)).rows
    if not rows:
        raise UnknownAccount(f"there is no account {account!r}")
    return Account.model_validate(rows[0])
