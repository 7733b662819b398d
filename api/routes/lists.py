"""
What was done and what is held, as pages: `{"items": […], "next": cursor or null}`.

A page is followed by the one that begins after its last row: rows that come in meanwhile neither repeat nor hide any.
Money and quantities are strings, moments ISO 8601.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.schemas import CandlesQuery, DecisionsQuery, ListQuery, ModelCallsQuery, OrdersQuery, SymbolQuery, read_query
from api.state import reports_of
from shared.db.paging import Page


async def accounts(request: Request) -> Response:
    """Accounts by id, each with its configuration, newest equity and number of open positions."""
    return _page(await reports_of(request).accounts(**read_query(request, ListQuery).model_dump()))


async def positions(request: Request) -> Response:
    """Open positions by account and symbol, as the exchange last reported them."""
    return _page(await reports_of(request).positions(**read_query(request, SymbolQuery).model_dump()))


async def orders(request: Request) -> Response:
    """Orders, ours and those found at the exchange, newest first."""
    return _page(await reports_of(request).orders(**read_query(request, OrdersQuery).model_dump()))


async def trades(request: Request) -> Response:
    """Fills, newest first."""
    return _page(await reports_of(request).trades(**read_query(request, SymbolQuery).model_dump()))


async def decisions(request: Request) -> Response:
    """Decisions, newest tick first, each with its review rule by rule."""
    return _page(await reports_of(request).decisions(**read_query(request, DecisionsQuery).model_dump()))


async def llm_interactions(request: Request) -> Response:
    """Questions to models, newest first: tokens, cost, latency, error; in full also prompt and raw reply."""
    return _page(await reports_of(request).model_calls(**read_query(request, ModelCallsQuery).model_dump()))


async def costs(request: Request) -> Response:
    """What models have cost by UTC day, newest first: in all, for a decision, and for an entry that was made."""
    return _page(await reports_of(request).costs(**read_query(request, ListQuery).model_dump()))


async def market_data(request: Request) -> Response:
    """Candles of one series, newest first."""
    return _page(await reports_of(request).candles(**read_query(request, CandlesQuery).model_dump()))


async def equity(request: Request) -> Response:
    """Points of the equity curves, newest first."""
    return _page(await reports_of(request).equity(**read_query(request, ListQuery).model_dump()))


async def diary(request: Request) -> Response:
    """Lines of the trading diary, newest first."""
    return _page(await reports_of(request).diary(**read_query(request, ListQuery).model_dump()))


async def discrepancies(request: Request) -> Response:
    """How ours and the exchange's books differed and what was done about it, newest first."""
    return _page(await reports_of(request).discrepancies(**read_query(request, ListQuery).model_dump()))


def _page(page: Page) -> Response:
    return JSONResponse({"items": page.rows, "next": page.next})
