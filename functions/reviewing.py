"""
Reviewing: what the rules of the review look at, out of the books, and then at the prices of the moment.

A model may think for a minute and more. What it decided is judged by the prices there are once it has spoken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.account import Account, Breaker
from shared.domain.breakers import midnight
from shared.domain.cycle import StageRequest
from shared.domain.decision import Decision
from shared.domain.errors import VenueError
from shared.domain.performance import EquityMarks
from shared.domain.ports import Clock, MarketData
from shared.domain.rules import RiskContext
from shared.domain.snapshot import Snapshot
from shared.domain.work import Work

STILL_TRADED = timedelta(days=1)
"""An account that was not reconciled for so long is none of those that losses are shared with."""


def marked_since(lifted: Mapping[Breaker, datetime], now: datetime) -> tuple[datetime, datetime | None]:
    """Return since when losses of the day count, and falls from the peak: from when their breaker was lifted on."""
    days = [lifted[each] for each in (Breaker.DAILY_LOSS, Breaker.GLOBAL_DAILY_LOSS) if each in lifted]
    peaks = [lifted[each] for each in (Breaker.DRAWDOWN, Breaker.GLOBAL_DRAWDOWN) if each in lifted]
    return max([midnight(now), *days]), max(peaks, default=None)


async def review_context(
    work: Work, account: Account, request: StageRequest, snapshot: Snapshot, now: datetime
) -> RiskContext:
    """Return what the rules look at *now*, at the snapshot's prices."""
    tick = request.tick
    breakers = await work.breakers.state(account.id, now)
    day, since = marked_since(breakers.lifted, tick)
    own, others = await work.holds.standings(account.id, day, since, alive_since=now - STILL_TRADED)
    longest = max(account.limits.cooldown, account.limits.flip_cooldown, timedelta(0))
    activity = await work.decisions.activity(account.id, midnight(tick))
    last_exits, last_entries = await work.fills.last_moves(account.id, tick - longest)
    return RiskContext(
        account=account,
        now=now,
        holdings=snapshot.holdings,
        quotes=snapshot.quotes,
        shown={symbol: quote.mark_price for symbol, quote in snapshot.quotes.items()},
        instruments=snapshot.instruments,
        defects=snapshot.defects,
        taker_fee=snapshot.taker_fee,
        unsettled=activity.unsettled,
        last_exits=last_exits,
        last_entries=last_entries,
        marks=EquityMarks.of(snapshot.holdings.balance.equity, own),
        entries_today=activity.entries,
        flips_today=activity.flips,
        tripped={trip.breaker: trip.reason for trip in breakers.standing},
        others=others,
    )


async def at_present(
    context: RiskContext, decisions: Sequence[Decision], market: MarketData, clock: Clock
) -> RiskContext:
    """Return the context at the prices of now, which an entry needs; without prices where they cannot be had."""
    if not any(decision.opens and decision.asset in context.quotes for decision in decisions):
        return context
    held = {position.symbol for position in context.holdings.positions}
    try:
        quotes = await market.quotes(sorted(context.quotes.keys() | held))
    except VenueError:
        quotes = {}
    marks = {symbol: quote.mark_price for symbol, quote in quotes.items()}
    return replace(context, now=clock.now(), quotes=quotes, holdings=context.holdings.at_prices(marks))
