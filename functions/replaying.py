"""
A recorded decision made again: as it was, by another model or prompt, or under other limits.

What the decision saw comes from its record, whose every part is proved first. So making it again needs no exchange and
no model, and making it otherwise changes one thing and nothing else. Only what a model that is asked again looks up
beyond that comes out of the books, as of the tick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from functions.asking import CycleBook
from functions.code import code_versions
from functions.judging import Case, Read, judge, plans_of
from functions.looking_up import CycleLookup
from shared.domain.account import Account, RiskLimits
from shared.domain.cycle import StageRequest
from shared.domain.errors import BadRequest
from shared.domain.market import Series
from shared.domain.model import ModelCall, Prompt, Purpose
from shared.domain.ports import Analyst, Clock, Engine, MarketData
from shared.domain.record import DecisionRecord, Judgement, RecordId, canonical, differences, plain, take_apart
from shared.domain.risk import Review, ReviewedDecision
from shared.domain.rules import RiskContext
from shared.domain.work import OpenWork, Work
from shared.llm.prompt import briefed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """A decision made again from what it was made from."""

    record: DecisionRecord
    name: str
    differences: tuple[str, ...]
    """Where it came out otherwise; empty when it came out the same, byte for byte."""
    code: tuple[str, ...]
    """The parts of the code that are not what they were."""
    candles: tuple[str, ...]
    """The stored candles that are no longer those behind its indicators, which the record holds all the same."""

    @property
    def same(self) -> bool:
        """Whether it came out the same."""
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it crosses a wire."""
        return {
            **_head(self.record, self.name),
            "same": self.same,
            "differences": list(self.differences),
            "code_changed": list(self.code),
            "candles_changed": list(self.candles),
            "decisions": [_told(each) for each in self.record.judgement.reviewed],
            "no_answer": self.record.judgement.why or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two ways in which a decision was made."""

    title: Mapping[str, str]
    judgement: Judgement
    cost: Decimal | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it crosses a wire."""
        return {
            **self.title,
            "cost_usd": None if self.cost is None else f"{self.cost:f}",
            "no_answer": self.judgement.why or None,
            "reasoning": self.judgement.answer.reasoning if self.judgement.answer else None,
            "decisions": [_told(each) for each in self.judgement.reviewed],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A decision as it was made and as it would have been."""

    record: DecisionRecord
    name: str
    before: Side
    after: Side

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it crosses a wire."""
        return {
            **_head(self.record, self.name),
            "before": self.before.as_json(),
            "after": self.after.as_json(),
            "changed": sorted(asset for asset, (old, new) in self.by_asset().items() if old != new),
        }

    def by_asset(self) -> dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None]]:
        """Return what was said of each asset and what risk made of it, before and after."""
        sides = [
            {each.decision.asset: _told(each) for each in side.judgement.reviewed} for side in (self.before, self.after)
        ]
        return {asset: (sides[0].get(asset), sides[1].get(asset)) for asset in {**sides[0], **sides[1]}}


async def load(open_work: OpenWork, wanted: RecordId) -> DecisionRecord:
    """Return the record that is meant. Raises UnknownRecord, and RecordBroken, which says what of it was changed."""
    async with open_work() as work:
        return await work.records.get(wanted)


def case_of(record: DecisionRecord) -> Case:
    """Return what the recorded decision was judged by."""
    return Case(snapshot=record.snapshot, context=record.context, plans=plans_of(record.plans))


async def rerun(record: DecisionRecord, *, open_work: OpenWork, read: Read) -> Rerun:
    """Read and review the stored reply again, and compare the outcome with the recorded one and the one acted upon."""
    judgement = judge(case_of(record), record.calls, record.unanswered, read)
    found = list(differences(plain(record.judgement), plain(judgement)))
    if not found and canonical(record.judgement) != canonical(judgement):
        found.append("the outcome is another text that says the same")
    cycle = StageRequest(record.account_id, record.tick)
    async with open_work() as work:
        acted = await work.decisions.of_cycle(cycle)
        candles = [line async for line in _changed_candles(work, record)]
    recorded = plain(record.judgement.reviewed)
    found += [f"acted upon: {line}" for line in differences(recorded, plain(acted))]
    code = code_versions()
    return Rerun(
        record=record,
        name=take_apart(record).name,
        differences=tuple(found),
        code=tuple(part for part in code if code[part] != record.code.get(part)),
        candles=tuple(candles),
    )


def rereview(record: DecisionRecord, limits: RiskLimits, *, read: Read) -> Comparison:
    """Review the recorded answer under other limits. The model is taken to have said the same."""

    def judged(context: RiskContext) -> Judgement:
        return judge(replace(case_of(record), context=context), record.calls, record.unanswered, read)

    account = record.context.account
    changed = replace(record.context, account=replace(account, limits=limits))
    names = [
        field.name for field in fields(limits) if getattr(limits, field.name) != getattr(account.limits, field.name)
    ]
    return Comparison(
        record=record,
        name=take_apart(record).name,
        before=Side(
            title={"limits": _limits(account.limits, names)},
            judgement=judged(record.context),
        ),
        after=Side(title={"limits": _limits(limits, names)}, judgement=judged(changed)),
    )


def question(record: DecisionRecord, engine: Engine | None = None) -> Prompt:
    """Return the messages that the decision began with; the same briefing in the words of *engine*'s prompt, with one.

    Raises BadRequest when no model was asked.
    """
    if not record.calls:
        raise BadRequest(
            f"no model was asked for {record.account_id}@{record.tick.isoformat()}: there is nothing to ask again"
        )
    asked = replace(record.calls[0].prompt, turns=())
    return asked if engine is None or engine.template.version == asked.version else engine.prompt(briefed(asked))


async def reask(
    record: DecisionRecord,
    model: str,
    *,
    account: Account,
    engine: Engine,
    open_work: OpenWork,
    market: MarketData,
    analyst: Analyst,
    clock: Clock,
    own_prompt: bool,
) -> Comparison:
    """Ask *model* what the decision was made from, with *own_prompt* in the words of the engine's prompt.

    It may look up what there was at the tick. What it says is held beside what came of it then, under the same review.
    The calls are stored, and paid for by what *account*, as it is configured now, may spend today. Raises BadRequest
    when that allows none.
    """
    prompt = question(record, engine if own_prompt else None)
    if own_prompt:
        async with open_work() as work:
            await work.records.keep_prompt(engine.template)
    book = CycleBook(account, StageRequest(record.account_id, record.tick), clock, open_work)
    lookup = CycleLookup(record.snapshot, open_work=open_work, market=market, analyst=analyst, clock=clock)
    calls = await engine.ask(prompt, [model], book=book, lookup=lookup, purpose=Purpose.REPLAY)
    if not calls:
        raise BadRequest(
            f"what is left of the day's budget of account {record.account_id} is too little to ask {model}"
        )
    return Comparison(
        record=record,
        name=take_apart(record).name,
        before=_asked(record.calls, record.judgement),
        after=_asked(calls, judge(case_of(record), calls, "", engine.read)),
    )


def _asked(calls: Sequence[ModelCall], judgement: Judgement) -> Side:
    last = calls[-1]
    return Side(
        title={"model": last.answered_model or last.asked_model, "prompt_version": last.prompt.version},
        judgement=judgement,
        cost=sum((call.cost for call in calls), Decimal(0)),
    )


async def _changed_candles(work: Work, record: DecisionRecord) -> Any:
    for symbol, ranges in record.snapshot.candles.items():
        for timeframe, range_ in ranges.items():
            series = Series(symbol, timeframe)
            [window] = await work.candles.windows(
                [series], before=timeframe.following(range_.until), count=range_.count
            )
            if len(window.opened) < range_.count:
                yield f"{symbol} {timeframe}: {len(window.opened)} of {range_.count} are still kept"
            elif window.digest() != range_.digest:
                yield f"{symbol} {timeframe}: corrected since"


def _head(record: DecisionRecord, name: str) -> dict[str, Any]:
    return {"account": record.account_id, "tick": record.tick.isoformat(), "record": name}


def _told(each: ReviewedDecision) -> dict[str, Any]:
    decision, review = each.decision, each.review
    return {
        "asset": decision.asset,
        "action": decision.action.value,
        "allocation_usd": str(decision.allocation_usd),
        "leverage": decision.leverage,
        "stop_loss": _text(decision.stop_loss),
        "take_profit": _text(decision.take_profit),
        "confidence": str(decision.confidence),
        "rationale": decision.rationale,
        **_verdict(review),
    }


def _verdict(review: Review) -> dict[str, Any]:
    return {
        "verdict": review.verdict.value,
        "code": review.code,
        "reason": review.reason,
        "quantity": str(review.quantity),
        "allowed_leverage": review.leverage,
    }


def _limits(limits: RiskLimits, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={plain(getattr(limits, name))}" for name in names) or "the same"


def _text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)
