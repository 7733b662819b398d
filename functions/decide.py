"""
Decide: a model proposes, hard rules dispose.

Reads    the cycle's snapshot, the account's plans, recent decisions and trades, its equity marks, what it has paid,
         unsettled orders, the breakers that stand
Asks     the model, once per cycle, letting it look things up; then, where it wants to open something, the exchange for
         the prices of now
Writes   each model call as it is answered, then the decisions with their reviews, the record of all that they came
         from, and how the models are doing
Repeats  safely: an answer is committed before anything is made of it, and a second run goes on from those it finds.

Whatever goes wrong with the model, the result is to hold: nothing opens, and what is open keeps its protection and its
exit plan. A plan that has come true closes its position, whatever the model says or fails to say.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from functions.asking import Asked, ask, health_after, note_health, spent_on
from functions.code import code_versions
from functions.judging import Case, judge, plans_kept, read_answer
from functions.looking_up import CycleLookup
from functions.promises import plans_of
from functions.reviewing import at_present, review_context
from functions.run import Run, begin
from shared.domain.account import Account
from shared.domain.breakers import midnight
from shared.domain.briefing import Plans, briefing
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.errors import MarketDataUnusable
from shared.domain.exit_plan import rules
from shared.domain.model import ModelCall, PromptVersion, Purpose
from shared.domain.model_health import ModelHealth
from shared.domain.opinion import Answerer, opinion
from shared.domain.outcome import proposals
from shared.domain.ports import Analyst, Clock, Engine, MarketData
from shared.domain.record import DecisionRecord, Judgement
from shared.domain.risk import ReviewedDecision, Verdict
from shared.domain.rules import RiskContext
from shared.domain.snapshot import Snapshot
from shared.domain.work import OpenWork, Work

RECENT_DECISIONS = 10
RECENT_FILLS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the database knows that the decision needs."""

    snapshot: Snapshot
    calls: tuple[ModelCall, ...]
    health: ModelHealth
    briefing: dict[str, Any]
    context: RiskContext
    plans: Plans


async def decide(
    request: StageRequest, *, open_work: OpenWork, engine: Engine, market: MarketData, analyst: Analyst, clock: Clock
) -> StageResult:
    """Ask, read, review, store. Raises MarketDataUnusable when the cycle has no snapshot."""

    async def begin_with(work: Work, run: Run) -> Known:
        await work.records.keep_prompt(engine.template)
        return await load(work, run.account, request, clock.now())

    async with begin(Stage.DECIDE, request, begin_with, open_work=open_work, clock=clock) as begun:
        if isinstance(begun, StageResult):
            return begun
        run, known = begun
        lookup = CycleLookup(known.snapshot, open_work=open_work, market=market, analyst=analyst, clock=clock)
        asked = await ask(
            run, known.briefing, known.calls, known.health, open_work=open_work, engine=engine, lookup=lookup
        )
        case = Case(snapshot=known.snapshot, context=known.context, plans=known.plans)
        answer, _ = read_answer(case, asked.calls, asked.unanswered, engine.read)
        present = await at_present(known.context, answer.decisions if answer else (), market, clock)
        case = replace(case, context=present)
        judgement = judge(case, asked.calls, asked.unanswered, engine.read)
        health = health_after(run, known.health, asked, judgement.why, engine)
        async with run.ending() as work:
            await work.decisions.save(request, judgement.reviewed, judgement.answer)
            await note_health(work, run, known.health, health)
            name = await _record(work, case, asked, judgement, engine.template)
            details = _details(asked.calls, judgement) | {"record": name, "manage_only": health.reason or None}
            for each in judgement.reviewed:
                await _write_diary(work, run, each)
            return await run.finish(work, details)


async def load(work: Work, account: Account, request: StageRequest, now: datetime) -> Known:
    """Return what is known for a decision of that cycle at *now*. Raises MarketDataUnusable without a snapshot."""
    tick = request.tick
    snapshot = await work.snapshots.get(request)
    if snapshot is None:
        raise MarketDataUnusable(f"account {account.id} has no snapshot at {tick.isoformat()}: run fetch first")
    plans = await plans_of(work, account.id, snapshot.holdings.positions)
    context = await review_context(work, account, request, snapshot, now)
    document = briefing(
        account,
        snapshot,
        plans=plans,
        recent_decisions=await work.decisions.recent(account.id, RECENT_DECISIONS, before=tick),
        recent_fills=await work.fills.recent(account.id, RECENT_FILLS, before=snapshot.taken_at),
        marks=context.marks,
        expenses=await work.expenses.paid(account.id, midnight(tick)),
    )
    return Known(
        snapshot=snapshot,
        calls=tuple(await work.model_calls.of_cycle(request)),
        health=await work.model_health.get(account.id),
        briefing=document,
        context=context,
        plans=plans,
    )


async def _record(work: Work, case: Case, asked: Asked, judgement: Judgement, template: PromptVersion) -> str:
    """Store all that the decision came from, and whose opinion it was; return the record's name."""
    calls, prompt = asked.calls, None
    if calls:  # a run that died may have asked in the words of another template
        known = calls[-1].prompt.version == template.version
        prompt = template if known else await work.records.prompt(calls[-1].prompt.version)
    cycle = StageRequest(case.snapshot.account_id, case.snapshot.tick)
    record = DecisionRecord(
        account_id=cycle.account_id,
        tick=cycle.tick,
        snapshot=case.snapshot,
        context=case.context,
        plans=plans_kept(case.plans),
        prompt=prompt,
        calls=calls,
        unanswered=asked.unanswered,
        code=code_versions(),
        judgement=judgement,
    )
    if calls:
        last = calls[-1]
        answerer = Answerer(last.asked_model, last.prompt.version)
        said, entries = opinion(calls, judgement), proposals(judgement, case.context)
        await work.opinions.save(cycle, answerer, said, entries, purpose=Purpose.DECISION, at=last.at)
    return await work.records.save(record)


def _details(calls: tuple[ModelCall, ...], judgement: Judgement) -> dict[str, Any]:
    answer = judgement.answer
    return {
        "model": (calls[-1].answered_model or calls[-1].asked_model) if calls else None,
        **spent_on(calls),
        "no_answer": judgement.why or None,
        "decisions": [
            {
                "asset": each.decision.asset,
                "action": each.decision.action.value,
                "source": each.decision.source.value,
                "verdict": each.review.verdict.value,
                "code": each.review.code,
                "reason": each.review.reason,
            }
            for each in judgement.reviewed
        ],
        "unread": [{"code": item.code, "reason": item.reason} for item in answer.unread] if answer else [],
    }


async def _write_diary(work: Work, run: Run, each: ReviewedDecision) -> None:
    if each.review.verdict is Verdict.HELD:
        return
    decision, verdict = each.decision, each.review
    text = f"{decision.action.value} {decision.asset}: {verdict.verdict.value}"
    if verdict.reason:
        text += f" ({verdict.code}: {verdict.reason})"
    body = {
        "rationale": decision.rationale,
        "exit_plan": decision.exit_plan.text,
        "exit_rules": list(rules(decision.exit_plan)),
        "exit_rules_not_enforced": list(decision.exit_plan.unenforced),
        "source": decision.source.value,
        "confidence": str(decision.confidence),
        "quantity": str(verdict.quantity),
        "stop_loss": str(verdict.stop_loss),
        "take_profit": str(verdict.take_profit),
    }
    await work.journal.diary(run.account.id, run.request.tick, run.clock.now(), text, body)
