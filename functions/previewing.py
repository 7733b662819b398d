"""A look at what the model would be asked, before a cent is spent: the exact messages, their size, their price."""

from datetime import datetime
from typing import Any

from functions.decide import load
from shared.domain.account import Account
from shared.domain.cycle import StageRequest
from shared.domain.errors import BadRequest
from shared.domain.ports import Clock, Engine
from shared.domain.work import OpenWork


async def preview(
    account: Account, tick: datetime | None, *, open_work: OpenWork, engine: Engine, clock: Clock
) -> dict[str, Any]:
    """Return what decide would put before the account's model at *tick*, or at its newest snapshot. Asks no model.

    Raises BadRequest when nothing was fetched yet, MarketDataUnusable when nothing was at *tick*.
    """
    async with open_work() as work:
        tick = tick or await work.snapshots.latest_tick(account.id)
        if tick is None:
            raise BadRequest(f"account {account.id} has no snapshot yet: run python -m functions fetch first")
        known = await load(work, account, StageRequest(account.id, tick), clock.now())
    prompt = engine.prompt(known.briefing)
    estimate = await engine.estimate(prompt, account.model)
    return {
        "account": account.id,
        "tick": tick.isoformat(),
        "model": account.model,
        "prompt_version": prompt.version,
        "messages": prompt.messages,
        "prompt_tokens": estimate.prompt_tokens,
        "max_tokens": estimate.max_tokens,
        "worst_cost_usd": None if estimate.worst_cost is None else f"{estimate.worst_cost:f}",
    }
