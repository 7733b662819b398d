"""How the accounts have done, in the numbers people judge them by."""

import asyncio
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from api.schemas import PerformanceQuery
from api.state import reports_of, runtime_of
from shared.domain.performance import assess


async def performance(request: Request, query: PerformanceQuery) -> dict[str, Any]:
    """Assess one account, or each. Money and returns are strings, ratios numbers; null where too little is known."""
    async with runtime_of(request).open_work() as work:
        chosen = [await work.accounts.get(query.account)] if query.account else await work.accounts.all()
    items = []
    for account in chosen:
        curve, fills, funding = await reports_of(request).performance_inputs(account.id)
        # Years of trades take a moment to add up, and others are waiting.
        assessed = await asyncio.to_thread(assess, curve, fills, funding=funding, days_a_year=int(query.annualisation))
        items.append({"account": account.id, **_plain(asdict(assessed))})
    return {"annualisation": int(query.annualisation), "items": items}


def _plain(numbers: dict[str, Any]) -> dict[str, Any]:
    written = numbers.copy()
    for name, value in numbers.items():
        if isinstance(value, Decimal):
            written[name] = f"{value:f}"
        elif isinstance(value, datetime):
            written[name] = value.isoformat()
    return written
