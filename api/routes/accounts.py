"""One account: what it is, and whether it trades."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.errors import Problem
from api.schemas import NoQuery, read_query
from api.state import reports_of, runtime_of
from functions.resuming import change_status, resume_account
from shared.domain.account import AccountStatus
from shared.domain.errors import UnknownAccount

REASON = "asked for over the API"


async def account(request: Request) -> Response:
    """Show the account as the list of accounts does. 404 for one that is not there."""
    read_query(request, NoQuery)
    account_id = request.path_params["id"]
    rows = (await reports_of(request).accounts(account=account_id)).rows
    if not rows:
        raise UnknownAccount(f"there is no account {account_id!r}")
    return JSONResponse(rows[0])


async def pause(request: Request) -> Response:
    """Open nothing more; what is open stays protected. A halted account stays halted: 409."""
    read_query(request, NoQuery)
    runtime, account_id = runtime_of(request), request.path_params["id"]
    async with runtime.open_work() as work:
        status = (await work.accounts.get(account_id)).status
        if status is AccountStatus.HALTED:
            raise Problem(409, "account_halted", f"account {account_id} is halted, which is more than paused")
        await change_status(work, account_id, AccountStatus.PAUSED, runtime.clock.now(), REASON)
    return await account(request)


async def resume(request: Request) -> Response:
    """Trade again, after a pause, a halt or a breaker: it is a person that asks."""
    read_query(request, NoQuery)
    runtime, account_id = runtime_of(request), request.path_params["id"]
    async with runtime.open_work() as work:
        await resume_account(work, account_id, runtime.clock.now(), REASON)
    return await account(request)
