"""
Forgetting: what decisions of long ago saw and said is taken away, and nothing that the present rests on.

An account that holds a position keeps everything since its oldest plan was made; one with an order that rests, or may,
everything since the order's cycle.
"""

from datetime import datetime, timedelta

from functions.promises import plans_of
from shared.db.record_retention import Forgotten, forget_decisions
from shared.db.unit_of_work import Database
from shared.domain.breakers import midnight
from shared.domain.ports import Clock
from shared.domain.work import Work


async def forget(database: Database, clock: Clock, retention: timedelta) -> Forgotten:
    """Take away what cycles of whole UTC days that ended longer than *retention* ago saw and said."""
    end = midnight(clock.now() - retention)
    async with database.open_work() as work:
        accounts = [account.id for account in await work.accounts.all()]
        before = {account_id: midnight(min(end, await _needed_since(work, account_id, end))) for account_id in accounts}
    return await forget_decisions(database, before)


async def _needed_since(work: Work, account_id: str, otherwise: datetime) -> datetime:
    """Return the first tick that something of the present rests on."""
    plans = await plans_of(work, account_id, await work.holds.positions(account_id))
    ticks = [since for since, _, _ in plans.values()]
    ticks += [order.intent.tick for order in await work.orders.alive(account_id)]
    return min(ticks, default=otherwise)
