"""
The risk review: what a model wants, held against limits it cannot reach.

Pure and complete: every rule of `shared.domain.rules` is evaluated on every entry, with the numbers it saw, also after
the first one has failed, so that "why was this refused" is one row to read. Sizes and leverage are clipped down to what
the limits allow, or refused, whichever the account chose; everything else that fails refuses. A close needs nothing but
a position, whatever the state of the account or of the data.

What a decision comes to depends on what is held, see `Move`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from shared.domain.decision import Action, Decision, Move, Source
from shared.domain.position import Direction, Position
from shared.domain.rules import (
    ENTRY_RULES,
    GATE_RULES,
    SIZE_RULES,
    Entry,
    Finding,
    RiskContext,
    Ruling,
    not_numbers,
    numbers,
    size,
    unsound,
)
from shared.domain.sizing import Room


class Verdict(StrEnum):
    """What became of a decision."""

    APPROVED = "approved"
    CLIPPED = "clipped"
    REFUSED = "refused"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """What is to be ended of a position: the sizes of the market orders that do it, and whether that is all of it."""

    direction: Direction
    quantities: tuple[Decimal, ...]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """
    What risk allows. For a refusal `code` names the first rule that failed and `reason` says it in words.

    `direction` and `quantity` are what is opened or, where nothing is, what is ended. `reductions` come first.
    """

    verdict: Verdict
    code: str | None = None
    reason: str = ""
    move: Move | None = None
    direction: Direction | None = None
    quantity: Decimal = Decimal(0)
    reductions: tuple[Reduction, ...] = ()
    price: Decimal = Decimal(0)
    """The mark price the review rested on."""
    leverage: int = 0
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def acts(self) -> bool:
        """True when there is something to execute."""
        return self.verdict in {Verdict.APPROVED, Verdict.CLIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedDecision:
    """A decision and what risk says to it."""

    decision: Decision
    review: Review


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What an account's decisions have led to."""

    entries: int
    """That were approved."""
    flips: int
    """Those of them that turned a position around."""
    unsettled: frozenset[str]
    """Symbols in which nobody knows what became of an order."""


HELD = Review(verdict=Verdict.HELD)
NOTHING_FOUND: Mapping[str, Sequence[Finding]] = {}


def review(
    decisions: Sequence[Decision], context: RiskContext, *, prior: Mapping[str, Sequence[Finding]] = NOTHING_FOUND
) -> list[ReviewedDecision]:
    """Review every decision, closes first because they make room; return them in the order given.

    *prior* is what was found before about the model's decision on an asset. It can refuse an entry, and never a close.
    """
    reviews: dict[int, Review] = {}
    room = Room(
        exposure=sum((held.notional for held in context.holdings.positions), Decimal(0)),
        available=context.holdings.balance.available,
        symbols=frozenset(held.symbol for held in context.holdings.positions),
        entries=context.entries_today,
        flips=context.flips_today,
    )
    acted: set[str] = set()
    # A sort is stable: among closes, and among entries, the order is the model's.
    for index in sorted(range(len(decisions)), key=lambda index: decisions[index].opens):
        decision = decisions[index]
        found = tuple(prior.get(decision.asset, ())) if decision.source is Source.MODEL else ()
        if decision.action is Action.HOLD:
            reviews[index] = replace(HELD, findings=found)
            continue
        first = _first_move(decision, acted)
        if decision.opens:
            reviews[index], room = _review_entry(decision, context, room, (first, *found))
        else:
            reviews[index], room = _review_close(decision, context, room, first)
            reviews[index] = replace(reviews[index], findings=(*reviews[index].findings, *found))
        if reviews[index].acts:
            acted.add(decision.asset)
    return [ReviewedDecision(decision=decision, review=reviews[index]) for index, decision in enumerate(decisions)]


def _first_move(decision: Decision, acted: set[str]) -> Finding:
    return Finding(
        rule="one_move",
        passed=decision.asset not in acted,
        saw={"symbol": decision.asset},
        reason="another decision of the same answer moves this symbol already: one move a cycle",
    )


# ---- closes


def _review_close(decision: Decision, context: RiskContext, room: Room, first: Finding) -> tuple[Review, Room]:
    positions = context.holdings.positions_in(decision.asset)
    wrong = not_numbers({"allocation_usd": decision.allocation_usd})
    findings: tuple[Finding, ...] = (
        first,
        Finding(rule="numbers", passed=not wrong, saw=wrong, reason="how much to close is no number"),
        Finding(
            rule="position_exists",
            passed=bool(positions),
            saw={f"{held.direction.value} quantity": str(held.quantity) for held in positions},
            reason=f"there is no {decision.asset} position",
        ),
    )
    if not all(finding.passed for finding in findings):
        return _refusal(findings), room
    if decision.allocation_usd <= 0 or decision.allocation_usd >= sum(held.notional for held in positions):
        return _closed(positions, context, findings), _emptied(room, positions)
    part = _part(decision, positions, context)
    findings += _reduction_rules(decision, positions, part, context)
    if not all(finding.passed for finding in findings):
        return _refusal(findings), room
    [position] = positions
    if _is_dust(position, position.quantity - part, context):
        return _closed(positions, context, findings, Verdict.CLIPPED), _emptied(room, positions)
    reduction = Reduction(
        direction=position.direction,
        quantities=_in_orders(decision.asset, part, context),
        whole=False,
    )
    reduced = Review(
        verdict=Verdict.APPROVED,
        move=Move.REDUCE,
        direction=position.direction,
        quantity=part,
        reductions=(reduction,),
        price=position.mark_price,
        findings=findings,
    )
    return reduced, replace(room, exposure=room.exposure - part * position.mark_price)


def _closed(
    positions: Sequence[Position],
    context: RiskContext,
    findings: tuple[Finding, ...],
    verdict: Verdict = Verdict.APPROVED,
) -> Review:
    return Review(
        verdict=verdict,
        move=Move.CLOSE,
        direction=positions[0].direction,
        quantity=sum((held.quantity for held in positions), Decimal(0)),
        reductions=_whole(positions, context),
        price=positions[0].mark_price,
        findings=findings,
    )


def _emptied(room: Room, positions: Sequence[Position]) -> Room:
    """What closes free of exposure and places; the margin that they free is counted when it is there."""
    symbols = {held.symbol for held in positions}
    exposure = room.exposure - sum((held.notional for held in positions), Decimal(0))
    return replace(room, exposure=exposure, symbols=room.symbols - symbols)


def _whole(positions: Sequence[Position], context: RiskContext) -> tuple[Reduction, ...]:
    return tuple(
        Reduction(direction=held.direction, quantities=_in_orders(held.symbol, held.quantity, context), whole=True)
        for held in positions
    )


def _in_orders(symbol: str, quantity: Decimal, context: RiskContext) -> tuple[Decimal, ...]:
    """Return the market orders that end *quantity*: one of it all where the symbol's filters are not known."""
    instrument = context.instruments.get(symbol)
    return instrument.in_market_orders(quantity) if instrument else (quantity,)


def _part(decision: Decision, positions: Sequence[Position], context: RiskContext) -> Decimal:
    """Return what *decision* closes of the first position, on the step where that is known."""
    part = decision.allocation_usd / positions[0].mark_price
    return sum(_in_orders(decision.asset, part, context), Decimal(0))


def _reduction_rules(
    decision: Decision, positions: Sequence[Position], part: Decimal, context: RiskContext
) -> tuple[Finding, ...]:
    instrument = context.instruments.get(decision.asset)
    notional = part * positions[0].mark_price
    return (
        Finding(
            rule="one_position",
            passed=len(positions) == 1,
            saw={"positions": str(len(positions))},
            reason="a LONG and a SHORT are open: which of them to reduce is not said; a close of all ends both",
        ),
        Finding(
            rule="filters_known",
            passed=instrument is not None,
            reason=f"the filters of {decision.asset} are not known: it can only be closed whole",
        ),
        Finding(
            rule="minimum_reduction",
            passed=instrument is None or (part >= instrument.min_quantity and notional >= instrument.min_notional),
            saw={"asked": str(decision.allocation_usd), "quantity": str(part), "notional": f"{notional:.2f}"},
            reason="what is to be closed is smaller than the smallest order",
        ),
    )


def _is_dust(position: Position, rest: Decimal, context: RiskContext) -> bool:
    """Say whether a *rest* of the position would be too small to be traded again: then all of it goes."""
    instrument = context.instruments[position.symbol]
    return rest < instrument.min_quantity or rest * position.mark_price < instrument.min_notional


# ---- entries


def _review_entry(
    decision: Decision, context: RiskContext, room: Room, prior: Sequence[Finding]
) -> tuple[Review, Room]:
    """Review an entry by every rule; what was found before counts like a rule, but after the gate."""
    first, *found = prior
    sound = _finding("numbers", numbers(decision, context))
    findings = [first, sound]
    if not sound.passed:
        rest = (*GATE_RULES, *ENTRY_RULES, *SIZE_RULES)
        return _refusal([*findings, *_not_judged(rest, "by numbers that are none"), *found]), room
    findings += [_finding(name, rule(decision, context)) for name, rule in GATE_RULES.items()]
    findings += found
    entry = _entry(decision, context, room)
    if entry is None:
        return _refusal([*findings, *_not_judged((*ENTRY_RULES, *SIZE_RULES), "without a price and filters")]), room
    findings += [_finding(name, rule(entry)) for name, rule in ENTRY_RULES.items()]
    distance = entry.stop_distance
    if distance is None or distance <= 0:
        return _refusal([*findings, *_not_judged(SIZE_RULES, "without a stop on its side")]), room
    sized, of_size = size(entry, distance)
    findings += of_size
    if not all(finding.passed for finding in findings):
        return _refusal(findings), room
    approved = Review(
        verdict=Verdict.CLIPPED if sized.clipped else Verdict.APPROVED,
        move=entry.move,
        direction=entry.direction,
        quantity=sized.quantity,
        reductions=_whole(entry.against, context),
        price=entry.price,
        leverage=sized.leverage,
        stop_loss=entry.stop,
        take_profit=entry.target,
        findings=tuple(findings),
    )
    left = entry.room.less(
        decision.asset,
        sized.quantity * entry.price,
        leverage=sized.leverage,
        taker_fee=context.taker_fee,
        flip=entry.move is Move.FLIP,
        held=entry.held,
    )
    return approved, left


def _finding(rule: str, ruling: Ruling) -> Finding:
    return Finding(rule=rule, passed=ruling.passed, saw=ruling.saw, reason=ruling.reason)


def _not_judged(rules: Iterable[str], why: str) -> list[Finding]:
    return [Finding(rule=rule, passed=False, judged=False, reason=f"cannot be judged {why}") for rule in rules]


def _entry(decision: Decision, context: RiskContext, room: Room) -> Entry | None:
    """Return the entry at the price of now; None where there is none to reckon with, or no filters."""
    instrument, quote = context.instruments.get(decision.asset), context.quotes.get(decision.asset)
    if instrument is None or quote is None or unsound(quote):
        return None
    direction = Direction.LONG if decision.action is Action.BUY else Direction.SHORT
    # Both levels round towards the price: the stop costs no more and the target asks no more than was decided.
    up, down = instrument.round_price_up, instrument.round_price_down
    stop_to, target_to = (up, down) if direction is Direction.LONG else (down, up)
    positions = context.holdings.positions_in(decision.asset)
    held = next((each for each in positions if each.direction is direction), None)
    against = tuple(each for each in positions if each is not held)
    for position in against:
        room = room.without(position, context.taker_fee)
    return Entry(
        decision=decision,
        direction=direction,
        price=quote.mark_price,
        stop=None if decision.stop_loss is None else stop_to(decision.stop_loss),
        target=None if decision.take_profit is None else target_to(decision.take_profit),
        instrument=instrument,
        quote=quote,
        held=held,
        against=against,
        room=room,
        context=context,
    )


def _refusal(findings: Sequence[Finding]) -> Review:
    failed = next(finding for finding in findings if not finding.passed)
    return Review(verdict=Verdict.REFUSED, code=failed.rule, reason=failed.reason, findings=tuple(findings))
