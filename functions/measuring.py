"""Measuring: how much of each of its limits an account uses, out of the books."""

from datetime import datetime
from decimal import Decimal

from functions.breaking import figures_of
from shared.domain.account import Account
from shared.domain.breakers import midnight
from shared.domain.usage import Today, Usage, usages
from shared.domain.work import Work


async def measure(work: Work, account: Account, now: datetime, *, model_money: Decimal) -> list[Usage]:
    """Return how much of each limit *account* uses *now*, by its last reconciliation; nothing before the first.

    *model_money* is what its models have cost today, USD.
    """
    point = await work.holds.last_equity(account.id)
    if point is None:
        return []
    state = await work.breakers.state(account.id, now)
    positions = await work.holds.positions(account.id)
    activity = await work.decisions.activity(account.id, midnight(now))
    return usages(
        account,
        await figures_of(work, account, now, point=point, positions=positions, lifted=state.lifted),
        positions,
        Today(entries=activity.entries, flips=activity.flips, model_money=model_money),
        {trip.breaker: trip.reason for trip in state.standing},
    )
