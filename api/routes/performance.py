"""How the accounts have done: the record, the curve, and what either is held against."""

import asyncio
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from api.answers import Listing
from api.benchmarks import benchmarks, held
from api.results import Curve, CurvePoint, Performance, PeriodReturn, TrackRecord
from api.schemas import CurveQuery, PerformanceQuery, ReturnsQuery
from api.state import reports_of, runtime_of
from shared.domain.account import Account
from shared.domain.assessment import assess


async def performance(request: Request, query: PerformanceQuery) -> Performance:
    """Assess one account, or each, beside benchmarks, and say how much its trades prove.

    Money and returns are strings, ratios numbers; null where too little is known. Deposits are taken out.
    """
    async with runtime_of(request).open_work() as work:
        chosen = [await work.accounts.get(query.account)] if query.account else await work.accounts.all()
    days_a_year = int(query.annualisation)
    items = [await _record(request, account, days_a_year) for account in chosen]
    return Performance(annualisation=days_a_year, items=items)


async def returns(request: Request, query: ReturnsQuery) -> Listing[PeriodReturn]:
    """Returns by the day, week or month, newest first, deposits taken out."""
    return Listing[PeriodReturn].of(await reports_of(request).returns(**query.model_dump()))


async def curve(request: Request, query: CurveQuery) -> Curve:
    """An account's curve to draw, deposits taken out, with drawdown and what its symbols did by themselves.

    At most `points` points, the highest, the lowest and the deepest among them.
    """
    async with runtime_of(request).open_work() as work:
        account = await work.accounts.get(query.account)
    reports = reports_of(request)
    drawn, made_of = await reports.curve(account.id, since=query.since, until=query.until, most=query.points)
    if not drawn:
        return Curve(account=account.id, points=[], symbols=[], without=[])
    begun = await reports.begun(account.id) or drawn[0].at
    hold = await held(account, [begun, *(point.at for point in drawn)], reports)
    beside = hold.growth[1:] or [None] * len(drawn)
    points = []
    for point, bought in zip(drawn, beside, strict=True):
        kept = made_of.get(point.at)
        points.append(
            CurvePoint(
                at=point.at.isoformat(),
                growth=float(point.growth),
                drawdown=float(point.drawdown),
                equity=f"{kept.equity:f}" if kept else None,
                deposited=f"{kept.deposited:f}" if kept else None,
                buy_and_hold=bought,
            )
        )
    return Curve(account=account.id, points=points, symbols=list(hold.symbols), without=list(hold.without))


async def _record(request: Request, account: Account, days_a_year: int) -> TrackRecord:
    reports = reports_of(request)
    outline = await reports.record(account.id)
    # Years of days take a moment to add up, and others are waiting.
    assessed = await asyncio.to_thread(assess, outline.days, outline.traded, days_a_year=days_a_year)
    beside = await benchmarks(account, outline, reports=reports, open_work=runtime_of(request).open_work)
    edge = await reports.edge(account=account.id)
    told = {
        "account": account.id,
        **_plain(asdict(assessed)),
        "model_cost": f"{outline.model_cost:f}",
        "caution": None if assessed.sample.enough else assessed.sample.word,
        "benchmarks": beside,
        "models": edge["groups"]["model"],
    }
    return TrackRecord.model_validate(told)


RATES = {"total_return", "max_drawdown"}


def _plain(numbers: dict[str, Any]) -> dict[str, Any]:
    written = numbers.copy()
    for name, value in numbers.items():
        if isinstance(value, Decimal):
            written[name] = f"{round(value, 8).normalize() if name in RATES else value:f}"
        elif isinstance(value, datetime):
            written[name] = value.isoformat()
    return written
