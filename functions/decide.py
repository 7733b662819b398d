"""
Decide: a model proposes, hard rules dispose.

Reads    the cycle's snapshot, the account's plans, recent decisions and trades, its equity marks, unsettled orders,
         the breakers that stand
Asks     the model, once per cycle, letting it look things up; then, where it wants to open something, the exchange for
         the prices of now
Writes   each model call as it is answered, then the decisions with their reviews and how the models are doing
Repeats  safely: an answer is committed before anything is made of it, and a second run goes on from those it finds.

Whatever goes wrong with the model, the result is to hold: nothing opens, and what is open keeps its protection and its
exit plan. A plan that has come true closes its position, whatever the model says or fails to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from functions.asking import Asked, ask, health_after, note_health, spent_on
from functions.looking_up import CycleLookup
from functions.reviewing import at_present, review_context
from functions.run import Run, begin
from shared.domain.briefing import Plans, briefing
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.decision import Action, Answer, Decision, ExitPlan
from shared.domain.errors import MarketDataUnusable, UnusableReply
from shared.domain.exit_plan import Sight, close_by_plan, come_true, enforceable, lies_ahead, rules, sound_views
from shared.domain.grounding import ground, shown
from shared.domain.model import ModelCall
from shared.domain.model_health import ModelHealth
from shared.domain.ports import Analyst, Clock, Engine, MarketData, OpenWork, Work
from shared.domain.position import Direction
from shared.domain.risk import ReviewedDecision, Verdict, review
from shared.domain.rules import Finding, RiskContext
from shared.domain.snapshot import Snapshot

RECENT_DECISIONS = 10
RECENT_FILLS = 10
NO_PLAN = ExitPlan(text="", unenforced=("no plan was given",))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the database knows that the decision needs."""

    snapshot: Snapshot
    calls: tuple[ModelCall, ...]
    health: ModelHealth
    briefing: dict[str, Any]
    context: RiskContext
    plans: Plans

    def sight(self, symbol: str) -> Sight:
        """Return what the plan of an entry or a position in *symbol* is held against."""
        return Sight(
            now=self.context.now,
            mark_price=self._mark_price(symbol),
            tick=self.snapshot.tick,
            views=sound_views(self.snapshot, symbol),
        )

    def _mark_price(self, symbol: str) -> Decimal:
        """Return the price that came with the position, else that of the quote; what has neither is not traded."""
        position, quote = self.context.holdings.position(symbol), self.snapshot.quotes.get(symbol)
        return position.mark_price if position else quote.mark_price if quote else Decimal(0)


async def decide(
    request: StageRequest, *, open_work: OpenWork, engine: Engine, market: MarketData, analyst: Analyst, clock: Clock
) -> StageResult:
    """Ask, read, review, store. Raises MarketDataUnusable when the cycle has no snapshot."""
    async with begin(Stage.DECIDE, request, open_work=open_work, clock=clock) as run:
        if run.result:
            return run.result
        async with open_work(run.lease) as work:
            known = await _load(work, run)
        lookup = CycleLookup(run, known.snapshot, open_work=open_work, market=market, analyst=analyst)
        asked = await ask(
            run, known.briefing, known.calls, known.health, open_work=open_work, engine=engine, lookup=lookup
        )
        held = (position.symbol for position in known.snapshot.holdings.positions)
        answer, why = _read(asked, engine, tuple(dict.fromkeys((*run.account.symbols, *held))))
        health = health_after(run, known.health, asked, why, engine)
        decisions = _enforceable(answer.decisions, known) if answer else ()
        due = _due_closes(decisions, known)
        present = await at_present(known.context, decisions, market, clock)
        reviewed = review((*due, *decisions), present, prior=_prior(decisions, known, asked.calls))
        async with open_work(run.lease) as work:
            await work.decisions.save(request, reviewed, answer)
            await note_health(work, run, known.health, health)
            details = _details(asked.calls, reviewed, answer, why) | {"manage_only": health.reason or None}
            await work.journal.event(run.account.id, "decided", clock.now(), details)
            for each in reviewed:
                await _write_diary(work, run, each)
            return await run.finish(work, details)


async def _load(work: Work, run: Run) -> _Known:
    account, tick = run.account, run.request.tick
    snapshot = await work.snapshots.get(run.request)
    if snapshot is None:
        raise MarketDataUnusable(f"account {account.id} has no snapshot at {tick.isoformat()}: run fetch first")
    held = [position.symbol for position in snapshot.holdings.positions]
    plans: Plans = await work.decisions.plans(account.id, held) if held else {}
    adopted = await work.holds.adopted(account.id)
    plans = {key: plan for key, plan in plans.items() if key not in adopted}
    context = await review_context(work, run, snapshot)
    document = briefing(
        account,
        snapshot,
        plans=plans,
        recent_decisions=await work.decisions.recent(account.id, RECENT_DECISIONS),
        recent_fills=await work.fills.recent(account.id, RECENT_FILLS),
        marks=context.marks,
    )
    return _Known(
        snapshot=snapshot,
        calls=tuple(await work.model_calls.of_cycle(run.request)),
        health=await work.model_health.get(account.id),
        briefing=document,
        context=context,
        plans=plans,
    )


def _enforceable(decisions: Sequence[Decision], known: _Known) -> tuple[Decision, ...]:
    """Return the decisions with what their plans rely on and the snapshot does not tell said to be unenforced."""
    return tuple(
        replace(decision, exit_plan=enforceable(_plan(decision, known), known.sight(decision.asset).views))
        for decision in decisions
    )


def _plan(decision: Decision, known: _Known) -> ExitPlan:
    """Return the plan. Where an entry has none and adds to none, that is said: an older position's is not meant."""
    direction = Direction.LONG if decision.action is Action.BUY else Direction.SHORT
    adds = (decision.asset, direction) in known.plans
    return NO_PLAN if decision.opens and decision.exit_plan.blank and not adds else decision.exit_plan


def _due_closes(decisions: Sequence[Decision], known: _Known) -> tuple[Decision, ...]:
    """Return a close for each position whose plan has come true, unless the model closes all of it by itself."""
    closed = {each.asset for each in decisions if each.action is Action.CLOSE and not each.allocation_usd}
    return tuple(
        close_by_plan(position.symbol, plan, true)
        for position in known.context.holdings.positions
        if position.symbol not in closed
        # A close ends all that is held in a symbol. Of a LONG and a SHORT, reconcile ends the one whose plan it is.
        and len(known.context.holdings.positions_in(position.symbol)) == 1
        and position.key in known.plans
        and (plan := known.plans[position.key][1])
        and (true := come_true(plan, known.plans[position.key][0], known.sight(position.symbol)))
    )


def _prior(decisions: Sequence[Decision], known: _Known, calls: Sequence[ModelCall]) -> dict[str, tuple[Finding, ...]]:
    """Return, per asset, what was found about the model's decision before the review."""
    turns = calls[-1].prompt.turns if calls else ()
    seen = shown(known.briefing, [str(turn.get("content")) for turn in turns if turn.get("role") == "tool"])
    policy = known.context.account.limits.grounding
    return {
        decision.asset: (
            ground(decision, seen, policy),
            *([lies_ahead(decision.exit_plan, known.sight(decision.asset))] if decision.opens else []),
        )
        for decision in decisions
    }


def _read(asked: Asked, engine: Engine, symbols: tuple[str, ...]) -> tuple[Answer | None, str]:
    """Return the answer, or None and why there is none."""
    last = asked.calls[-1] if asked.calls else None
    if last is None or last.content is None:
        spent = "the day's budget for models is spent" if asked.budget_spent else ""
        return None, asked.not_asked or spent or (last and last.error) or "the model said nothing"
    try:
        return engine.read(last.content, symbols), ""
    except UnusableReply as exc:
        return None, f"{exc.code}: {exc}"


def _details(
    calls: tuple[ModelCall, ...], reviewed: list[ReviewedDecision], answer: Answer | None, why: str
) -> dict[str, Any]:
    return {
        "model": (calls[-1].answered_model or calls[-1].asked_model) if calls else None,
        **spent_on(calls),
        "no_answer": why or None,
        "decisions": [
            {
                "asset": each.decision.asset,
                "action": each.decision.action.value,
                "source": each.decision.source.value,
                "verdict": each.review.verdict.value,
                "code": each.review.code,
                "reason": each.review.reason,
            }
            for each in reviewed
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
