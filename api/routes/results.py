"""What is held and how it is protected, what has ended, where profit came from, what it cost, and limits in use."""

from decimal import Decimal

from starlette.requests import Request

from api.answers import Listing
from api.results import AllLimits, ClosedPosition, Costs, Edge, Limit, Limits, Position
from api.schemas import AccountQuery, ClosedPositionsQuery, EdgeQuery, ListQuery, SymbolQuery
from api.state import reports_of, runtime_of
from functions.measuring import measure
from shared.domain.assessment import sample_of
from shared.domain.usage import Effect, Unit, Usage


async def positions(request: Request, query: SymbolQuery) -> Listing[Position]:
    """Open positions by account and symbol, each with the stop and target that rest for it and how far they are."""
    return Listing[Position].of(await reports_of(request).positions(**query.model_dump()))


async def closed_positions(request: Request, query: ClosedPositionsQuery) -> Listing[ClosedPosition]:
    """Positions from flat to flat, the last ended first: prices, holding time, fees, funding, profit, return and R."""
    asked = query.model_dump()
    asked["exit_reason"] = asked.pop("exit")
    return Listing[ClosedPosition].of(await reports_of(request).closed_positions(**asked))


async def edge(request: Request, query: EdgeQuery) -> Edge:
    """Where profit came from: by holding time, direction, symbol, hour and weekday of the entry, model and exit."""
    told = await reports_of(request).edge(**query.model_dump())
    total = told["total"]
    proves = sample_of(total["round_trips"], total["mean_return"], total["deviation"])
    return Edge.model_validate({**told, "caution": None if proves.enough else proves.word})


async def costs(request: Request, query: ListQuery) -> Listing[Costs]:
    """What trading and models have cost by UTC day, newest first: fees, funding and questions, and each per what."""
    return Listing[Costs].of(await reports_of(request).costs(**query.model_dump()))


async def limits(request: Request, query: AccountQuery) -> AllLimits:
    """How much of every limit is used: of entries, of breakers, of the budget for models and of the exchange's."""
    runtime, reports = runtime_of(request), reports_of(request)
    now = runtime.clock.now()
    async with runtime.open_work() as work:
        chosen = [await work.accounts.get(query.account)] if query.account else await work.accounts.all()
    name, allowed = runtime.request_limit
    requests = Usage(
        limit="requests",
        effect=Effect.REQUESTS,
        unit=Unit.COUNT,
        used=Decimal(await reports.requests_taken(name, now)),
        allowed=Decimal(allowed),
    )
    items = []
    for account in chosen:
        money = await reports.model_money(account.id, now.date())
        async with runtime.open_work() as work:
            seen = await work.holds.last_equity(account.id)
            used = await measure(work, account, now, model_money=money)
        at = seen.at.isoformat() if seen else None
        items.append(Limits(account=account.id, at=at, limits=[_limit(each) for each in (*used, requests)]))
    return AllLimits(items=items)


def _limit(usage: Usage) -> Limit:
    return Limit(
        limit=usage.limit,
        effect=usage.effect,
        unit=usage.unit,
        used=_written(usage.used),
        allowed=_written(usage.allowed),
        share=_written(usage.share),
        standing=usage.standing,
    )


def _written(value: Decimal | None) -> str | None:
    return None if value is None else f"{round(value, 8).normalize():f}"
