"""
What was done and what is held, as pages: `{"items": […], "next": cursor or null}`.

A page is followed by the one that begins after its last row: rows that come in meanwhile neither repeat nor hide any.
Money and quantities are strings, moments ISO 8601.
"""

import json

from starlette.requests import Request

from api.answers import (
    Account,
    Decision,
    DiaryLine,
    Discrepancy,
    Equity,
    Event,
    Events,
    Fill,
    Listing,
    ModelCall,
    Order,
)
from api.schemas import (
    AccountsQuery,
    DecisionsQuery,
    DiscrepanciesQuery,
    EventsQuery,
    ListQuery,
    ModelCallsQuery,
    OrdersQuery,
    SymbolQuery,
)
from api.state import reports_of
from shared.db.outbox import Place


async def accounts(request: Request, query: AccountsQuery) -> Listing[Account]:
    """Accounts by id, each with its configuration, newest equity and number of open positions.

    The text of a prompt that was said over the API is shown with the one account.
    """
    return Listing[Account].of(await reports_of(request).accounts(**query.model_dump()))


async def orders(request: Request, query: OrdersQuery) -> Listing[Order]:
    """Orders, ours and those found at the exchange, newest first."""
    return Listing[Order].of(await reports_of(request).orders(**query.model_dump()))


async def trades(request: Request, query: SymbolQuery) -> Listing[Fill]:
    """Fills, newest first."""
    return Listing[Fill].of(await reports_of(request).trades(**query.model_dump()))


async def decisions(request: Request, query: DecisionsQuery) -> Listing[Decision]:
    """Decisions, newest tick first: what was wanted and what risk made of it; in full also its review rule by rule."""
    return Listing[Decision].of(await reports_of(request).decisions(**query.model_dump()))


async def llm_interactions(request: Request, query: ModelCallsQuery) -> Listing[ModelCall]:
    """Questions to models, newest first: tokens, cost, latency, error; in full also prompt and reply."""
    return Listing[ModelCall].of(await reports_of(request).model_calls(**query.model_dump()))


async def equity(request: Request, query: ListQuery) -> Listing[Equity]:
    """Points of the equity curves, newest first."""
    return Listing[Equity].of(await reports_of(request).equity(**query.model_dump()))


async def diary(request: Request, query: ListQuery) -> Listing[DiaryLine]:
    """Lines of the trading diary, newest first."""
    return Listing[DiaryLine].of(await reports_of(request).diary(**query.model_dump()))


async def discrepancies(request: Request, query: DiscrepanciesQuery) -> Listing[Discrepancy]:
    """How ours and the exchange's books differed and what was done about it, newest first."""
    return Listing[Discrepancy].of(await reports_of(request).discrepancies(**query.model_dump()))


async def events(request: Request, query: EventsQuery) -> Events:
    """What happened after a cursor, oldest first, as streams tell it: nothing is told twice or passed over.

    Without a cursor it begins with the oldest that is kept.
    """
    after = None if query.after is None else Place.read(query.after)
    found = await reports_of(request).events(after=after, account=query.account, kind=query.kind, limit=query.limit)
    told = [
        Event(
            cursor=str(each.place),
            account=each.account_id,
            kind=each.kind,
            at=each.at.isoformat(),
            body=json.loads(each.body),
        )
        for each in found
    ]
    return Events(items=told, next=told[-1].cursor if told else query.after)
