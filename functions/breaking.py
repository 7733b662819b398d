"""
Breaking: whether an account has reached a limit that stops it, between two decisions too.

Reconcile asks this each time it has looked at an account, in the transaction that writes what it saw: from then on
nothing opens, whatever was approved before. Told as events, in the diary, and with the account's state.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from functions.reviewing import STILL_TRADED, marked_since
from functions.run import Run
from shared.domain.account import Account, Breaker
from shared.domain.breakers import Figures, Trip, trips
from shared.domain.performance import EquityMarks, EquityPoint
from shared.domain.position import Position
from shared.domain.work import Work


async def mind_breakers(work: Work, run: Run, point: EquityPoint, positions: Sequence[Position]) -> list[Trip]:
    """Trip and lift the account's breakers by what was just seen of it; return those that stand."""
    account, now = run.account, run.clock.now()
    state = await work.breakers.state(account.id, now)
    for breaker in await work.breakers.expire(account.id, now) if state.expired else ():
        await tell_lifted(work, run, breaker)
    standing = state.standing
    figures = await figures_of(work, account, now, point=point, positions=positions, lifted=state.lifted)
    new = trips(figures, account.limits, now, standing={trip.breaker for trip in standing})
    await work.breakers.trip(account.id, new)
    for trip in new:
        until = trip.lifts_at.isoformat() if trip.lifts_at else "a person resumes the account"
        body = {"breaker": trip.breaker.value, "reason": trip.reason, "until": until, "flatten": trip.flatten}
        text = f"{trip.breaker.value}: {trip.reason}; nothing opens until {until}"
        await work.journal.diary(account.id, run.request.tick, now, text, body)
    return [*standing, *new]


async def tell_lifted(work: Work, run: Run, breaker: Breaker) -> None:
    now, account_id = run.clock.now(), run.account.id
    await work.journal.diary(account_id, run.request.tick, now, f"{breaker.value}: lifted by time", {})


async def figures_of(
    work: Work,
    account: Account,
    now: datetime,
    *,
    point: EquityPoint,
    positions: Sequence[Position],
    lifted: Mapping[Breaker, datetime],
) -> Figures:
    """Return how *account*, worth what *point* says, stands *now*; *lifted* says when each breaker last was."""
    limits = account.limits
    # What nothing explains yet is as likely a transfer as a loss: once it counts, it counts for good.
    equity = point.equity - point.unexplained
    day, since = marked_since(lifted, now)
    own, others = await work.holds.standings(account.id, day, since, alive_since=now - STILL_TRADED)
    losses, model_failures, order_refusals = await work.breakers.in_a_row(account.id, limits, lifted)
    return Figures(
        equity=equity,
        marks=EquityMarks.of(equity, own),
        exposure=sum((held.notional for held in positions), Decimal(0)),
        others=others,
        losses=losses,
        model_failures=model_failures,
        order_refusals=order_refusals,
    )
