"""
Promises: the exit plans of what an account holds, and which of them have come true.

Decide, reconcile and the cycle between them ask the same questions here, so that they agree about the answers.
"""

from collections.abc import Sequence
from datetime import datetime

from shared.domain.briefing import Plans
from shared.domain.exit_plan import Sight, come_true, sound_views
from shared.domain.position import Position
from shared.domain.snapshot import Snapshot
from shared.domain.work import Work


async def plans_of(work: Work, account_id: str, positions: Sequence[Position]) -> Plans:
    """Return the plans of those *positions* that orders of ours opened."""
    if not positions:
        return {}
    return await work.decisions.plans(account_id, [position.symbol for position in positions])


def sight(position: Position, snapshot: Snapshot | None, tick: datetime, now: datetime) -> Sight:
    """Return what the plan of *position* is held against: the time, and the indicators of the tick if it has any."""
    return Sight(
        now=now,
        mark_price=position.mark_price,
        tick=tick,
        views=sound_views(snapshot, position.symbol) if snapshot else {},
    )


def due(positions: Sequence[Position], plans: Plans, snapshot: Snapshot, now: datetime) -> list[str]:
    """Return the symbols of the *positions* whose plans have come true."""
    return [
        position.symbol
        for position in positions
        if position.key in plans
        and come_true(plans[position.key][1], plans[position.key][0], sight(position, snapshot, snapshot.tick, now))
    ]
