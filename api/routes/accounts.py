"""One account: what it is, whether it trades, and how that is changed."""

from typing import Any

from pydantic import Field
from starlette.requests import Request

from api.answers import Account, Configured
from api.auth import caller_of
from api.bodies import Body
from api.errors import Problem
from api.schemas import AccountId, RemovalQuery
from api.state import reports_of, runtime_of
from functions.configuring import add_account, change_account, remove_account
from functions.resuming import change_status, resume_account
from functions.stopping import stop_account
from shared.accounts import MOST_PROMPT
from shared.domain.account import AccountStatus
from shared.domain.errors import NotFlat, UnknownAccount


class Entry(Body):
    """What can be said of an account: the same as in an entry of accounts.yaml, and checked like it.

    What is left out, the configuration says. A key is named as `${VARIABLE}`, never told.
    """

    symbols: list[str] | None = Field(default=None, examples=[["BTCUSDT", "ETHUSDT"]])
    timeframes: list[str] | None = Field(default=None, examples=[["5m", "4h"]])
    interval: str | None = Field(default=None, examples=["5m"])
    model: str | None = Field(default=None, examples=["author/model"])
    fallback_models: list[str] | None = Field(default=None, description="Asked in turn where it does not answer.")
    prompt: str | None = Field(default=None, max_length=MOST_PROMPT, description="The text of a template of its own.")
    shadows: list[dict[str, Any]] | None = Field(default=None, examples=[[{"model": "author/other-model"}]])
    leverage: int | None = Field(default=None, examples=[2])
    authority_until: str | None = Field(default=None, examples=["2026-06-01T00:00:00Z"])
    risk: dict[str, Any] | None = Field(default=None, examples=[{"max_leverage": 3}])
    exchange: dict[str, str | None] | None = Field(default=None, examples=[{"private_key": "${STEADY_PRIVATE_KEY}"}])
    llm: dict[str, Any] | None = Field(default=None, examples=[{"daily_budget_usd": 2}])


class NewAccount(Entry):
    """A new account."""

    id: AccountId


class AccountChange(Entry):
    """What is to be different; null takes back what was said before (RFC 7396)."""

    version: int = Field(ge=1, lt=2**31, description="As the account was looked at: 409 where somebody was faster.")


class Confirmation(Body):
    """The account's id, written out."""

    confirm: str = Field(description="As the path has it.", examples=["main"])


async def show(request: Request, account: AccountId) -> Account:
    """Show the account as the list of accounts does. 404 for one that is not there."""
    return await _told(request, account)


async def add(request: Request, body: NewAccount) -> Configured:
    """Add an account; every process runs it within seconds."""
    said = body.model_dump(exclude_unset=True, exclude={"id"})
    done = await add_account(runtime_of(request), body.id, said, by=caller_of(request).name)
    return Configured(account=await _told(request, body.id), warnings=list(done.warnings))


async def change(request: Request, account: AccountId, body: AccountChange) -> Configured:
    """Change what is said of an account; what allows it more may have to wait, and stands in `change` until then."""
    _require_house_for_keys(request, body)
    said = body.model_dump(exclude_unset=True, exclude={"version"})
    done = await change_account(runtime_of(request), account, said, version=body.version, by=caller_of(request).name)
    return Configured(account=await _told(request, account), warnings=list(done.warnings))


async def remove(request: Request, account: AccountId, query: RemovalQuery) -> Account:
    """Remove an account that is flat, or is to be flattened first. It runs no more; its history stays."""
    runtime, who = runtime_of(request), caller_of(request).name
    if query.flatten:
        stopped = await stop_account(runtime, account, by=f"{who}, to remove it")
        if not stopped.flat:
            why = "; ".join(stopped.left) or stopped.trouble or "it is being stopped"
            raise NotFlat(f"account {account} is not flat yet: {why}")
    await remove_account(runtime, account, by=who)
    return await _told(request, account)


async def pause(request: Request, account: AccountId) -> Account:
    """Open nothing more; what is open stays protected. A halted account stays halted: 409."""
    async with runtime_of(request).open_work() as work:
        status = (await work.accounts.get(account)).status
        if status is AccountStatus.HALTED:
            raise Problem(409, "account_halted", f"account {account} is halted, which is more than paused")
        was = await change_status(work, account, AccountStatus.PAUSED, _reason(request))
        if was is AccountStatus.PAUSED:  # whatever for: from now on because a person wants it so
            await work.accounts.set_status(account, AccountStatus.PAUSED, _reason(request))
    return await _told(request, account)


async def resume(request: Request, account: AccountId) -> Account:
    """Trade again, after a pause, a halt or a breaker: it is a person that asks. Not after an emergency stop: 409."""
    runtime = runtime_of(request)
    async with runtime.open_work() as work:
        if await work.stops.get(account):
            raise Problem(409, "account_stopped", f"account {account} was stopped in an emergency: re-arm it")
    return await _trade_again(request, account)


async def rearm(request: Request, account: AccountId, body: Confirmation) -> Account:
    """Arm an account again that was stopped in an emergency, once nothing is left of what it held."""
    if body.confirm != account:
        raise Problem(422, "not_confirmed", f"write {account} as `confirm` to arm that account again")
    return await _trade_again(request, account)


async def _trade_again(request: Request, account: str) -> Account:
    runtime = runtime_of(request)
    now = runtime.clock.now()
    async with runtime.open_work() as work:
        if not (await work.accounts.get(account)).may_trade(now):
            raise Problem(409, "no_authority", f"account {account} has no authority to trade now")
        await resume_account(work, account, now, _reason(request))
    return await _told(request, account)


def _require_house_for_keys(request: Request, body: AccountChange) -> None:
    """Refuse keys from who is confined to an account: the variables of the house hold those of others too."""
    caller = caller_of(request)
    if caller.account_id is not None and (
        body.exchange is not None or {"api_key", "base_url"} & (body.llm or {}).keys()
    ):
        detail = (
            f"{caller.name} has the account {caller.account_id} alone, and keys are named by an admin of all accounts"
        )
        raise Problem(403, "keys_of_the_house", detail)


def _reason(request: Request) -> str:
    return f"{caller_of(request).name} asked for it over the API"


async def _told(request: Request, account: str) -> Account:
    rows = (await reports_of(request).accounts(account=account, full=True)).rows
    if not rows:
        raise UnknownAccount(f"there is no account {account!r}")
    return Account.model_validate(rows[0])
