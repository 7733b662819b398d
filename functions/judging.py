"""
Judging: from a model's last word to what risk makes of it.

Pure: nothing but the arguments decides, so a decision on record comes out the same whenever it is judged again, and
another model's word is judged by the very same measure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from shared.domain.briefing import Plans
from shared.domain.decision import Action, Answer, Decision, ExitPlan
from shared.domain.errors import UnusableReply
from shared.domain.exit_plan import Sight, close_by_plan, come_true, enforceable, lies_ahead, sound_views
from shared.domain.grounding import ground, levels, shown
from shared.domain.model import ModelCall
from shared.domain.position import Direction
from shared.domain.record import HeldPlan, Judgement
from shared.domain.risk import review
from shared.domain.rules import Finding, RiskContext
from shared.domain.snapshot import Snapshot
from shared.llm.prompt import briefed

NO_PLAN = ExitPlan(text="", unenforced=("no plan was given",))

Read = Callable[[str, Sequence[str]], Answer]
"""Reads the decisions in a text that speaks of these symbols. Raises UnusableReply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a model's word is judged by."""

    snapshot: Snapshot
    context: RiskContext
    plans: Plans
    """Of the open positions."""

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


def judge(case: Case, calls: Sequence[ModelCall], unanswered: str, read: Read) -> Judgement:
    """Return what comes of the last word in *calls*, and of plans that have come true, whatever was said.

    *unanswered* says why there is no last word, where that was not the model's own doing.
    """
    answer, why = read_answer(case, calls, unanswered, read)
    decisions = _enforceable(answer.decisions, case) if answer else ()
    due = _due_closes(decisions, case)
    reviewed = review(
        (*due, *decisions), case.context, prior=_prior(decisions, answer.reasoning if answer else "", case, calls)
    )
    return Judgement(answer=answer, why=why, reviewed=tuple(reviewed))


def plans_kept(plans: Plans) -> tuple[HeldPlan, ...]:
    """Return *plans* as a record holds them."""
    return tuple(
        HeldPlan(symbol=symbol, direction=direction, since=since, plan=plan, review=reviewed)
        for (symbol, direction), (since, plan, reviewed) in sorted(plans.items(), key=lambda each: each[0])
    )


def plans_of(kept: Sequence[HeldPlan]) -> Plans:
    """Return the plans that a record holds."""
    return {(each.symbol, each.direction): (each.since, each.plan, each.review) for each in kept}


def read_answer(case: Case, calls: Sequence[ModelCall], unanswered: str, read: Read) -> tuple[Answer | None, str]:
    """Return the answer in the last word of *calls*, or None and why there is none."""
    held = (position.symbol for position in case.context.holdings.positions)
    symbols = tuple(dict.fromkeys((*case.context.account.symbols, *held)))
    last = calls[-1] if calls else None
    if last is None or last.content is None:
        return None, unanswered or (last and last.error) or "the model said nothing"
    try:
        return read(last.content, symbols), ""
    except UnusableReply as exc:
        return None, f"{exc.code}: {exc}"


def _enforceable(decisions: Sequence[Decision], case: Case) -> tuple[Decision, ...]:
    """Return the decisions with what their plans rely on and the snapshot does not tell said to be unenforced."""
    return tuple(
        replace(decision, exit_plan=enforceable(_plan(decision, case), case.sight(decision.asset).views))
        for decision in decisions
    )


def _plan(decision: Decision, case: Case) -> ExitPlan:
    """Return the plan. Where an entry has none and adds to none, that is said: an older position's is not meant."""
    direction = Direction.LONG if decision.action is Action.BUY else Direction.SHORT
    adds = (decision.asset, direction) in case.plans
    return NO_PLAN if decision.opens and decision.exit_plan.blank and not adds else decision.exit_plan


def _due_closes(decisions: Sequence[Decision], case: Case) -> tuple[Decision, ...]:
    """Return a close for each position whose plan has come true, unless the model closes all of it by itself."""
    closed = {each.asset for each in decisions if each.action is Action.CLOSE and not each.allocation_usd}
    return tuple(
        close_by_plan(position.symbol, plan, true)
        for position in case.context.holdings.positions
        if position.symbol not in closed
        # A close ends all that is held in a symbol. Of a LONG and a SHORT, reconcile ends the one whose plan it is.
        and len(case.context.holdings.positions_in(position.symbol)) == 1
        and position.key in case.plans
        and (plan := case.plans[position.key][1])
        and (true := come_true(plan, case.plans[position.key][0], case.sight(position.symbol)))
    )


def _prior(
    decisions: Sequence[Decision], reasoning: str, case: Case, calls: Sequence[ModelCall]
) -> Mapping[str, tuple[Finding, ...]]:
    """Return, per asset, what was found about the model's decision before the review."""
    if not decisions:
        return {}
    turns: Sequence[Mapping[str, Any]] = calls[-1].prompt.turns
    told = [str(turn.get("content")) for turn in turns if turn.get("role") == "tool"]
    seen = shown(briefed(calls[-1].prompt), told)
    policy = case.context.account.limits.grounding
    proposed = [level for decision in decisions for level in levels(decision)]
    return {
        decision.asset: (
            ground(decision, seen, policy, reasoning=reasoning, proposed=proposed),
            *([lies_ahead(decision.exit_plan, case.sight(decision.asset))] if decision.opens else []),
        )
        for decision in decisions
    }
