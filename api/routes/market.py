"""Prices: candles as stored, what the analyst makes of them, the quotes of the last cycles. Asks no exchange."""

from collections.abc import Mapping

from starlette.requests import Request

from api.answers import Candle, Indicator, Listing, Quote
from api.errors import Problem
from api.schemas import CandlesQuery, IndicatorQuery, QuotesQuery
from api.state import reports_of, runtime_of
from shared.domain.errors import BadQuestion
from shared.domain.market import Series

WARM_UP = 300
"""Candles before the first that is told: from about so many on, indicators agree to eight digits."""


async def candles(request: Request, query: CandlesQuery) -> Listing[Candle]:
    """Candles of one series, newest first."""
    return Listing[Candle].of(await reports_of(request).candles(**query.model_dump()))


async def quotes(request: Request, query: QuotesQuery) -> Listing[Quote]:
    """The newest quote of each symbol that a cycle has seen, by symbol: one page, whatever its length."""
    found = await reports_of(request).quotes(**query.model_dump())
    return Listing[Quote].model_validate({"items": found, "next": None})


async def indicators(request: Request, query: IndicatorQuery) -> Indicator:
    """One indicator over the candles of a series, newest first: any function of TA-Lib that takes candles.

    Its numbers are those that a model is shown: warmed up over the candles before, to eight digits.
    """
    runtime = runtime_of(request)
    try:
        usual = runtime.analyst.parameters(query.function)
    except BadQuestion as exc:
        raise Problem(400, "bad_parameter", f"function: {exc}", parameter="function") from None
    chosen = {**usual, **_parameters(query.parameters, usual)}
    series = Series(query.symbol, query.timeframe)
    before = query.until or runtime.clock.now()
    async with runtime.open_work() as work:
        [window] = await work.candles.windows([series], before=before, count=query.limit + WARM_UP)
    items = []
    if window.opened:
        try:
            outputs = runtime.analyst.compute(query.function, window, chosen)
        except BadQuestion as exc:
            raise Problem(400, "bad_parameter", f"parameters: {exc}", parameter="parameters") from None
        rows = zip(window.opened, *outputs.values(), strict=True)
        items = [
            {"opened": opened.isoformat(), "values": dict(zip(outputs, values, strict=True))}
            for opened, *values in list(rows)[-query.limit :]
        ]
    return Indicator.model_validate(
        {
            "symbol": query.symbol,
            "timeframe": query.timeframe,
            "function": query.function,
            "parameters": chosen,
            "items": items[::-1],
        }
    )


def _parameters(text: str | None, usual: Mapping[str, int | float]) -> dict[str, int | float]:
    """Read `name:number,…`, each number as the function's own is one. Raises Problem."""
    read: dict[str, int | float] = {}
    for part in text.split(",") if text else ():
        name, _, number = part.partition(":")
        if name not in usual:
            detail = f"parameters: there is no {name}: there is {', '.join(usual) or 'none'}"
            raise Problem(400, "bad_parameter", detail, parameter="parameters")
        read[name] = float(number) if isinstance(usual[name], float) else round(float(number))
    return read
