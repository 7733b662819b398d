"""
Shadow models: others answer what the cycle was decided by, move nothing, and are scored with it.

Reads    the cycle's record, entries whose time has passed, the candles that came after them
Asks     each shadow of the account, all at once, each with a deadline of its own and within its share of the budget;
         they may look up what the account's own model could
Writes   their calls, what risk makes of their answers under the very same context, and how entries would have ended
Repeats  safely: a shadow is claimed before it is asked, so it is asked at most once a cycle, also by one that died.

Comes after the real decision was stored and in nobody's way: it holds no lease, and whatever fails here fails alone.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from functions.asking import CycleBook
from functions.judging import judge
from functions.looking_up import CycleLookup
from functions.replaying import case_of, load, question
from shared.domain.account import Account
from shared.domain.cycle import StageRequest
from shared.domain.errors import PerpetuaError
from shared.domain.market import Series, Timeframe
from shared.domain.model import ModelCall, Purpose, Reservation
from shared.domain.opinion import Answerer, Unscored, opinion
from shared.domain.outcome import LONGEST, Ending, proposals, score
from shared.domain.ports import Analyst, Clock, Engine, Lookup, MarketData
from shared.domain.record import DecisionRecord, RecordId
from shared.domain.work import OpenWork, Work

log = logging.getLogger("perpetua.llm")

AT_ONCE = 500
"""Entries scored in one run at most: the rest is as due the next time."""

GIVEN_UP_AFTER = timedelta(days=2)
"""So long candles that are missing may still come."""


class ShadowBook(CycleBook):
    """Shadows share a part of the day's budget, and the account's own model never goes without for them."""

    def __init__(
        self, account: Account, request: StageRequest, clock: Clock, open_work: OpenWork, fraction: Decimal
    ) -> None:
        """*fraction* is their part of the account's budget, if it has one."""
        super().__init__(account, request, clock, open_work)
        self._budget = account.model_options.daily_budget
        self._fraction = fraction
        self._turn = asyncio.Lock()
        self._open = Decimal(0)

    async def reserve(self, amount: Decimal) -> Reservation | None:
        """Set *amount* USD aside, one shadow after the other; None when not that much of their part is left."""
        async with self._turn:
            reservation = await super().reserve(amount)
            self._open += amount if reservation else 0
            return reservation

    async def allows(self, work: Work, day: date, amount: Decimal) -> bool:
        """Say whether *amount* more stays within the shadows' part."""
        if self._budget is None:
            return True
        spent = await work.model_calls.spent(self._account.id, day, Purpose.SHADOW)
        return spent + self._open + amount <= self._budget * self._fraction

    async def keep(self, call: ModelCall, reservation: Reservation) -> None:
        """Store *call*, and book its cost in place of what was set aside for it."""
        await super().keep(call, reservation)
        self._open -= reservation.amount


@dataclass(frozen=True, slots=True)
class Shadow:
    """A model that is asked for comparison, behind an engine that knows its prompt."""

    model: str
    engine: Engine


async def compare(
    request: StageRequest,
    *,
    shadows: Sequence[Shadow],
    budget_fraction: Decimal,
    open_work: OpenWork,
    market: MarketData,
    analyst: Analyst,
    clock: Clock,
    timeframe: Timeframe,
) -> dict[str, Any]:
    """Ask the shadows what the cycle was decided by, and score what is due by candles of *timeframe*.

    All shadows together may spend *budget_fraction* of the day's budget. Raises UnknownRecord, and RecordBroken.
    """
    asked: Sequence[dict[str, Any] | None] = ()
    if shadows:
        record = await load(open_work, RecordId(account_id=request.account_id, tick=request.tick))
        book = ShadowBook(record.context.account, request, clock, open_work, budget_fraction)
        lookup = CycleLookup(record.snapshot, open_work=open_work, market=market, analyst=analyst, clock=clock)
        asked = await asyncio.gather(
            *(
                _ask(shadow, record, book=book, lookup=lookup, open_work=open_work, clock=clock)
                for shadow in shadows
                if record.calls
            )
        )
    scored = await score_due(request.account_id, open_work=open_work, clock=clock, timeframe=timeframe)
    return {
        "account": request.account_id,
        "tick": request.tick.isoformat(),
        "shadows": [each for each in asked if each is not None],
        "scored": scored,
    }


async def score_due(account_id: str, *, open_work: OpenWork, clock: Clock, timeframe: Timeframe) -> int:
    """Score the account's entries whose time has passed, by candles of *timeframe*; return how many."""
    now, scored = clock.now(), 0
    async with open_work() as work:
        due: dict[datetime, list[Unscored]] = {}
        for each in await work.opinions.unscored(account_id, now, AT_ONCE):
            due.setdefault(each.request.tick, []).append(each)
        for tick, entries in due.items():
            series = [Series(asset, timeframe) for asset in dict.fromkeys(each.asset for each in entries)]
            until = tick + LONGEST
            windows = await work.candles.windows(series, before=until, count=timeframe.number(tick, until))
            candles = {window.series.symbol: window for window in windows}
            for each in entries:
                found = score(each.proposal, candles[each.asset], tick)
                if found.ending is Ending.UNKNOWN and now - until < GIVEN_UP_AFTER:
                    continue
                await work.opinions.set_score(each, found)
                scored += 1
    return scored


async def _ask(
    shadow: Shadow, record: DecisionRecord, *, book: ShadowBook, lookup: Lookup, open_work: OpenWork, clock: Clock
) -> dict[str, Any] | None:
    """Ask one shadow; None when it was asked already. What fails is logged and told, and sinks nobody else."""
    prompt = question(record, shadow.engine)
    answerer = Answerer(shadow.model, prompt.version)
    cycle = StageRequest(record.account_id, record.tick)
    told: dict[str, Any] = {"model": shadow.model, "prompt_version": prompt.version}
    asked_at = clock.now()
    try:
        async with open_work() as work:
            if not await work.opinions.claim(cycle, answerer, Purpose.SHADOW, asked_at):
                return None
            await work.records.keep_prompt(shadow.engine.template)
        calls = await shadow.engine.ask(prompt, [shadow.model], book=book, lookup=lookup, purpose=Purpose.SHADOW)
        unanswered = "" if calls else "the shadows' part of the day's budget is too little"
        judgement = judge(case_of(record), calls, unanswered, shadow.engine.read)
        async with open_work() as work:
            said, entries = opinion(calls, judgement), proposals(judgement, record.context)
            await work.opinions.save(cycle, answerer, said, entries, purpose=Purpose.SHADOW, at=asked_at)
    except PerpetuaError as exc:
        log.warning("a shadow was not asked", extra={"model": shadow.model, "why": str(exc)})
        return {**told, "error": str(exc)}
    except Exception:
        log.exception("a shadow failed", extra={"model": shadow.model})
        return {**told, "error": "a defect of ours: see the log"}
    return {
        **told,
        "cost_usd": f"{sum((call.cost for call in calls), Decimal(0)):f}",
        "no_answer": judgement.why or None,
        "decisions": [
            {"asset": each.decision.asset, "action": each.decision.action.value, "verdict": each.review.verdict.value}
            for each in judgement.reviewed
        ],
    }
