"""One of what the lists have many of, with all that belongs to it.

Of what is another account's, a caller who is confined to one is told as of what is not there: not even that it is.
"""

from dataclasses import replace
from typing import Annotated

from pydantic import Field
from starlette.requests import Request

from api.answers import Dossier, ModelCall, OrderDetail, Standing
from api.auth import caller_of
from api.errors import Problem
from api.routes.status import standings
from api.schemas import AccountId, CycleId
from api.state import reports_of
from shared.domain.errors import UnknownAccount
from shared.domain.record import RecordId, record_id

Number = Annotated[int, Field(ge=1, lt=2**63, description="The `id` in the list.", examples=[1])]


async def account_status(request: Request, account: AccountId) -> Standing:
    """Tell where one account stands: its stages, equity, unsettled orders, models and next tick."""
    found = await standings(request, account)
    if not found:
        raise UnknownAccount(f"there is no account {account!r}")
    return found[0]


def meant(request: Request, decision: str) -> RecordId:
    """Return which decision the caller means: of another account than theirs there is none. Raises BadRequest."""
    return replace(record_id(decision), within=caller_of(request).account_id)


async def decision(request: Request, decision: CycleId) -> Dossier:
    """Show one decision with everything: what the cycle saw, asked, was told, decided, sent and got.

    The review of each decision holds every rule with the numbers it saw. What a fill says is the latest; the rest stays
    as it was written.
    """
    return Dossier.model_validate(await reports_of(request).dossier(meant(request, decision)))


async def order(request: Request, order: Number) -> OrderDetail:
    """Show one order with its fills."""
    found = await reports_of(request).order(order)
    if found is None or not caller_of(request).may_see(found["account"]):
        raise Problem(404, "unknown_order", f"there is no order {order}")
    return OrderDetail.model_validate(found)


async def model_call(request: Request, call: Number) -> ModelCall:
    """Show one question to a model in full: prompt, tool turns, raw reply, and what could not be read of it."""
    found = await reports_of(request).model_call(call)
    if found is None or not caller_of(request).may_see(found["account"]):
        raise Problem(404, "unknown_model_call", f"there is no question {call}")
    return ModelCall.model_validate(found)
