"""
The asking half of a decision: whether a model is asked at all, what that may cost, and what follows when none answers.

Every question is paid for before it is asked and stored before the next one is, in transactions of its own.
"""

import logging
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from functions.run import Run
from shared.domain.account import Account
from shared.domain.cycle import StageRequest
from shared.domain.errors import ModelClosed
from shared.domain.model import ModelCall, Purpose, Reservation
from shared.domain.model_health import ModelHealth
from shared.domain.ports import Clock, Engine, Lookup
from shared.domain.work import Lease, OpenWork, Work

log = logging.getLogger("perpetua.llm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of asking: every call, and why there was none when there was not."""

    calls: tuple[ModelCall, ...]
    budget_spent: bool = False
    not_asked: str = ""

    @property
    def unanswered(self) -> str:
        """Return why there is no last word, where that was not the model's own doing; else nothing."""
        return self.not_asked or ("the day's budget for models is spent" if self.budget_spent else "")


class CycleBook:
    """The `CallBook` of one cycle. `refused` once the day's budget did not allow a question."""

    def __init__(
        self, account: Account, request: StageRequest, clock: Clock, open_work: OpenWork, lease: Lease | None = None
    ) -> None:
        """With a *lease*, nothing is written once somebody has taken it over."""
        self.refused = False
        self._account = account
        self._request = request
        self._clock = clock
        self._open_work = open_work
        self._lease = lease

    async def reserve(self, amount: Decimal) -> Reservation | None:
        """Set *amount* USD of the day's budget aside; None when not that much is left."""
        account, day = self._account, self._clock.now().date()
        async with self._open_work(self._lease) as work:
            granted = await self.allows(work, day, amount) and await work.model_spending.reserve(
                account.id, day, amount, account.model_options.daily_budget
            )
        self.refused = not granted
        return Reservation(day, amount) if granted else None

    async def allows(self, work: Work, day: date, amount: Decimal) -> bool:
        """Say whether *amount* may be spent, as far as the day's budget allows it."""
        return True

    async def keep(self, call: ModelCall, reservation: Reservation) -> None:
        """Store *call*, and book its cost in place of what was set aside for it: both or neither."""
        async with self._open_work(self._lease) as work:
            await work.model_calls.save(self._request, [call])
            await work.model_spending.settle(self._account.id, reservation.day, reservation.amount, call.cost)


async def ask(
    run: Run,
    briefing: dict[str, Any],
    said: tuple[ModelCall, ...],
    health: ModelHealth,
    *,
    open_work: OpenWork,
    engine: Engine,
    lookup: Lookup,
) -> Asked:
    """Ask the account's models about *briefing*, going on from what was *said* in this cycle before."""
    if not briefing["market"] and not briefing["positions"]:
        return Asked(calls=said, not_asked="no usable market data")  # no question worth its price
    if not said and not health.may_ask(run.clock.now()):
        again = f"{health.asks_again_at:%Y-%m-%d %H:%M}"
        return Asked(calls=(), not_asked=f"managing only, no model is asked before {again}: {health.reason}")
    account, book = run.account, CycleBook(run.account, run.request, run.clock, open_work, run.lease)
    models = (account.model, *account.fallback_models)
    # What a run that died had begun with: the account's past may have moved on since.
    prompt = replace(said[0].prompt, turns=()) if said else engine.prompt(briefing)
    calls = await engine.ask(prompt, models, book=book, lookup=lookup, said=said)
    return Asked(calls=tuple(calls), budget_spent=book.refused)


def health_after(run: Run, health: ModelHealth, asked: Asked, why: str, engine: Engine) -> ModelHealth:
    """Return how the models are doing after this cycle: *why* says what was wrong, if anything."""
    if not why:
        return ModelHealth()
    if asked.not_asked:
        return health
    now, options = run.clock.now(), run.account.model_options
    if asked.budget_spent:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        reason = f"the day's ${options.daily_budget} for models is spent or set aside, until {midnight:%Y-%m-%d %H:%M}"
        return health.spent(reason, now)
    last = asked.calls[-1] if asked.calls else None
    if last is not None and (last.error or "").startswith(ModelClosed.__name__):
        until = engine.closed_until(last)
        return health.closed(why, now, until=until, asks_again_after=options.asks_again_after)
    return health.failed(why, now, allowed=options.failures_allowed, asks_again_after=options.asks_again_after)


async def note_health(work: Work, run: Run, before: ModelHealth, after: ModelHealth) -> None:
    """Store how the models are doing, and tell people when the account begins or ceases to only manage."""
    if after == before:
        return
    await work.model_health.save(run.account.id, after)
    now = run.clock.now()
    if after.manage_only_since and not before.manage_only_since:
        body = {
            "reason": after.reason,
            "asks_again_at": after.asks_again_at.isoformat() if after.asks_again_at else None,
        }
        await work.journal.event(run.account.id, "manage_only", now, body)
        text = f"managing what is open, opening nothing: {after.reason}"
        await work.journal.diary(run.account.id, run.request.tick, now, text, body)
        log.error("account only manages what is open", extra={"why": after.reason})
    if before.manage_only_since and not after.manage_only_since:
        body = {"since": before.manage_only_since.isoformat(), "reason": before.reason}
        await work.journal.event(run.account.id, "models_answer_again", now, body)
        await work.journal.diary(run.account.id, run.request.tick, now, "a model answers again: trading goes on", body)
        log.warning("a model answers again", extra={"since": before.manage_only_since.isoformat()})


def spent_on(calls: tuple[ModelCall, ...]) -> dict[str, Any]:
    """Return what a decision cost, and on what."""
    return {
        "cost_usd": str(sum(call.cost for call in calls)),
        "cost_estimated": any(call.estimated for call in calls),
        "calls": len(calls),
        "tool_turns": sum(call.calls_tools for call in calls),
        "fallback": any(call.purpose is Purpose.FALLBACK and call.content is not None for call in calls),
        "latency_ms": sum(call.latency_ms for call in calls),
    }
