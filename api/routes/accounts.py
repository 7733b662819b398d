"""One account: what it is, and whether it trades."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.errors import Problem
from api.schemas import NoQuery, read_query
from api.state import reports_of, runtime_of
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
    return await _change(request, AccountStatus.PAUSED)


async def resume(request: Request) -> Response:
    """Trade again, after a pause or a halt: it is a person that asks."""
    return await _change(request, AccountStatus.ACTIVE)


async def _change(request: Request, status: AccountStatus) -> Response:
    read_query(request, NoQuery)
    runtime, account_id = runtime_of(request), request.path_params["id"]
    async with runtime.open_work() as work:
        before = (await work.accounts.get(account_id)).status
        if status is AccountStatus.PAUSED and before is AccountStatus.HALTED:
            raise Problem(409, "account_halted", f"account {account_id} is halted, which is more than paused")
        if before is not status:
            await work.accounts.set_status(account_id, status, REASON)
            body = {"status": status.value, "was": before.value, "reason": REASON}
            await work.journal.event(account_id, "status", runtime.clock.now(), body)
    return await account(request)
