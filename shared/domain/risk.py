"""
The risk review: what a model wants, held against limits it cannot reach.

Pure and complete: the rules are evaluated on every entry, with the numbers each one saw, so that "why was this refused"
is one row to read. Sizes are clipped down to what the limits allow; everything else that fails refuses. A close needs
nothing but a position, whatever the state of the account or of the data.

What a decision comes to depends on what is held, see `Move`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from shared.domain.account import Account, AccountStatus
from shared.domain.decision import Action, Decision, Source
from shared.domain.instrument import Instrument
from shared.domain.market import Quote
from shared.domain.performance import EquityMarks
from shared.domain.position import Direction, Holdings, Position
from shared.domain.sizing import Room, largest_notional

LIQUIDATION_BUFFER = Decimal("0.8")
"""A stop must trigger within this share of the way that leverage leaves before liquidation."""

MAINTENANCE_MARGIN = Decimal("0.01")
"""Of the notional: what liquidation comes early by. The exchange asks less of positions that are not very large."""


class Verdict(StrEnum):
    """What became of a decision."""

    APPROVED = "approved"
    CLIPPED = "clipped"
    REFUSED = "refused"
    HELD = "held"


class Move(StrEnum):
    """What a decision comes to, given what is held in its symbol."""

    OPEN = "open"
    """A buy or a sell where nothing is held."""
    ADD = "add"
    """A buy or a sell in the direction of the position: it grows, and gets the new stop and target as a whole."""
    FLIP = "flip"
    """A buy or a sell against the position: it is closed, and once that filled, one the other way is opened."""
    REDUCE = "reduce"
    """A close of less than the position."""
    CLOSE = "close"
    """A close of all that is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """What is to be ended of a position: the sizes of the market orders that do it, and whether that is all of it."""

    direction: Direction
    quantities: tuple[Decimal, ...]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule's verdict, with the numbers it saw."""

    rule: str
    passed: bool
    saw: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    """Why it failed; empty when it passed."""

    def __post_init__(self) -> None:
        if self.passed:
            object.__setattr__(self, "reason", "")


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
class Exit:
    """When a position was last reduced, and which way it had pointed."""

    at: datetime
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskContext:
    """Everything the rules may look at. Nothing in it comes from the model."""

    account: Account
    now: datetime
    holdings: Holdings
    quotes: Mapping[str, Quote]
    instruments: Mapping[str, Instrument]
    defects: Mapping[str, str]
    taker_fee: Decimal
    unsettled: frozenset[str]
    """Symbols with an order whose fate is unknown."""
    last_exits: Mapping[str, Exit]
    last_entries: Mapping[str, datetime]
    """When a position in a symbol was last opened or added to."""
    marks: EquityMarks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """An entry under review: the decision with every price it touches."""

    decision: Decision
    direction: Direction
    price: Decimal
    stop: Decimal | None
    target: Decimal | None
    instrument: Instrument
    quote: Quote
    held: Position | None
    """What is held in the direction already."""
    against: tuple[Position, ...]
    """What is held against it, and is closed first."""
    room: Room
    """What is left once that is closed."""
    context: RiskContext

    @property
    def move(self) -> Move:
        """What the entry comes to."""
        return Move.FLIP if self.against else Move.ADD if self.held else Move.OPEN

    @property
    def stop_distance(self) -> Decimal | None:
        """Share of the price between entry and stop; negative on the wrong side."""
        return None if self.stop is None else (self.price - self.stop) * self.direction.sign / self.price

    @property
    def target_distance(self) -> Decimal | None:
        """Share of the price between entry and target; negative on the wrong side."""
        return None if self.target is None else (self.target - self.price) * self.direction.sign / self.price


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
    )
    acted: set[str] = set()
    # A sort is stable: among closes, and among entries, the order is the model's.
    for index in sorted(range(len(decisions)), key=lambda index: decisions[index].opens):
        decision = decisions[index]
        found = tuple(prior.get(decision.asset, ())) if decision.source is Source.MODEL else ()
        if decision.action is Action.HOLD:
            reviews[index] = replace(HELD, findings=found)
        elif decision.asset in acted:
            reviews[index] = _refusal([_acted_already(decision)])
        elif decision.opens:
            reviews[index], room = _review_entry(decision, context, room, found)
        else:
            reviews[index], room = _review_close(decision, context, room)
            reviews[index] = replace(reviews[index], findings=(*reviews[index].findings, *found))
        if reviews[index].acts:
            acted.add(decision.asset)
    return [ReviewedDecision(decision=decision, review=reviews[index]) for index, decision in enumerate(decisions)]


def _acted_already(decision: Decision) -> Finding:
    return Finding(
        rule="one_move",
        passed=False,
        saw={"symbol": decision.asset},
        reason="another decision of the same answer moves this symbol already: one move a cycle",
    )


# ---- closes


def _review_close(decision: Decision, context: RiskContext, room: Room) -> tuple[Review, Room]:
    positions = context.holdings.positions_in(decision.asset)
    exists = Finding(
        rule="position_exists",
        passed=bool(positions),
        saw={f"{held.direction.value} quantity": str(held.quantity) for held in positions},
        reason=f"there is no {decision.asset} position",
    )
    if not positions:
        return _refusal([exists]), room
    if decision.allocation_usd <= 0 or decision.allocation_usd >= sum(held.notional for held in positions):
        return _closed(positions, context, (exists,)), _emptied(room, positions)
    part = _part(decision, positions, context)
    findings = (exists, *_reduction_rules(decision, positions, part, context))
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
    part = decision.allocation_usd / positions[0].mark_price if positions[0].mark_price > 0 else Decimal(0)
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
    gate = [*(rule(decision, context) for rule in GATE_RULES), *prior]
    if not all(finding.passed for finding in gate):
        return _refusal(gate), room
    entry = _entry(decision, context, room)
    findings = gate + [rule(entry) for rule in ENTRY_RULES]
    if not all(finding.passed for finding in findings):
        return _refusal(findings), room

    limits = context.account.limits
    leverage = max(1, min(decision.leverage, limits.max_leverage))
    notional, caps = largest_notional(
        limits,
        equity=context.holdings.balance.equity,
        room=entry.room,
        stop_distance=entry.stop_distance or Decimal(0),
        taker_fee=context.taker_fee,
        leverage=leverage,
        held=entry.held,
    )
    caps["order_cap"] = entry.instrument.max_market_quantity * entry.price
    allowed = min(decision.allocation_usd, notional, caps["order_cap"])
    quantity = entry.instrument.round_quantity(allowed / entry.price)
    findings += [
        _stop_before_liquidation(entry, leverage),
        Finding(
            rule="size",
            passed=True,
            saw={"asked": str(decision.allocation_usd), **{name: f"{cap:.2f}" for name, cap in caps.items()}},
        ),
        Finding(
            rule="minimum_size",
            passed=entry.instrument.accepts(quantity, entry.price),
            saw={
                "quantity": str(quantity),
                "notional": f"{quantity * entry.price:.2f}",
                "min_notional": str(entry.instrument.min_notional),
                "min_quantity": str(entry.instrument.min_quantity),
            },
            reason="what was asked, or what the limits leave of it, is smaller than the smallest order",
        ),
    ]
    if not all(finding.passed for finding in findings):
        return _refusal(findings), room
    clipped = allowed < decision.allocation_usd or leverage < decision.leverage
    approved = Review(
        verdict=Verdict.CLIPPED if clipped else Verdict.APPROVED,
        move=entry.move,
        direction=entry.direction,
        quantity=quantity,
        reductions=_whole(entry.against, context),
        price=entry.price,
        leverage=leverage,
        stop_loss=entry.stop,
        take_profit=entry.target,
        findings=tuple(findings),
    )
    taken = quantity * entry.price
    return approved, entry.room.less(decision.asset, taken, leverage=leverage, taker_fee=context.taker_fee)


def _entry(decision: Decision, context: RiskContext, room: Room) -> _Entry:
    direction = Direction.LONG if decision.action is Action.BUY else Direction.SHORT
    instrument = context.instruments[decision.asset]
    # Both levels round towards the price: the stop costs no more and the target asks no more than was decided.
    up, down = instrument.round_price_up, instrument.round_price_down
    stop_to, target_to = (up, down) if direction is Direction.LONG else (down, up)
    positions = context.holdings.positions_in(decision.asset)
    held = next((each for each in positions if each.direction is direction), None)
    against = tuple(each for each in positions if each is not held)
    for position in against:
        room = room.without(position, context.taker_fee)
    return _Entry(
        decision=decision,
        direction=direction,
        price=context.quotes[decision.asset].mark_price,
        stop=None if decision.stop_loss is None else stop_to(decision.stop_loss),
        target=None if decision.take_profit is None else target_to(decision.take_profit),
        instrument=instrument,
        quote=context.quotes[decision.asset],
        held=held,
        against=against,
        room=room,
        context=context,
    )


def _refusal(findings: Sequence[Finding]) -> Review:
    failed = next(finding for finding in findings if not finding.passed)
    return Review(verdict=Verdict.REFUSED, code=failed.rule, reason=failed.reason, findings=tuple(findings))


# ---- the gate: may this account open anything in this symbol now?


def _account_active(_: Decision, context: RiskContext) -> Finding:
    status = context.account.status
    return Finding(
        rule="account_active",
        passed=status is AccountStatus.ACTIVE,
        saw={"status": status.value},
        reason=f"the account is {status.value}: it opens nothing",
    )


def _symbol_allowed(decision: Decision, context: RiskContext) -> Finding:
    return Finding(
        rule="symbol_allowed",
        passed=decision.asset in context.account.symbols,
        saw={"symbol": decision.asset},
        reason=f"{decision.asset} is not among the account's symbols",
    )


def _data_fresh(decision: Decision, context: RiskContext) -> Finding:
    defect, quote = context.defects.get(decision.asset), context.quotes.get(decision.asset)
    if defect is None and (quote is None or quote.mark_price <= 0):
        defect = "no mark price"
    return Finding(
        rule="data_fresh",
        passed=defect is None,
        saw={"defect": defect or "none"},
        reason=f"market data cannot be trusted: {defect}",
    )


def _symbol_trading(decision: Decision, context: RiskContext) -> Finding:
    instrument = context.instruments.get(decision.asset)
    return Finding(
        rule="symbol_trading",
        passed=instrument is not None and instrument.trading,
        saw={"listed": str(instrument is not None)},
        reason=f"{decision.asset} is not trading at the exchange",
    )


def _no_unsettled_order(decision: Decision, context: RiskContext) -> Finding:
    return Finding(
        rule="no_unsettled_order",
        passed=decision.asset not in context.unsettled,
        reason="an earlier order's fate is unknown: nothing opens here until it is settled",
    )


def _daily_loss(_: Decision, context: RiskContext) -> Finding:
    return _loss_rule("daily_loss", "today", context, context.marks.day, context.account.limits.max_daily_loss)


def _drawdown(_: Decision, context: RiskContext) -> Finding:
    return _loss_rule("drawdown", "from the peak", context, context.marks.peak, context.account.limits.max_drawdown)


def _loss_rule(rule: str, since: str, context: RiskContext, before: Decimal, limit: Decimal) -> Finding:
    equity = context.holdings.balance.equity
    loss = (before - equity) / before if before > 0 else Decimal(1)
    return Finding(
        rule=rule,
        passed=equity > 0 and loss < limit,
        saw={"before": str(before), "equity": str(equity), "loss": f"{loss:.4f}", "limit": str(limit)},
        reason=f"the account lost {loss:.2%} {since}; entries stop at {limit:.2%}",
    )


GATE_RULES: tuple[Callable[[Decision, RiskContext], Finding], ...] = (
    _account_active,
    _symbol_allowed,
    _symbol_trading,
    _data_fresh,
    _no_unsettled_order,
    _daily_loss,
    _drawdown,
)


# ---- the entry itself


def _confidence(entry: _Entry) -> Finding:
    needed = entry.context.account.limits.min_confidence
    return Finding(
        rule="confidence",
        passed=entry.decision.confidence >= needed,
        saw={"confidence": str(entry.decision.confidence), "min": str(needed)},
        reason=f"confidence {entry.decision.confidence} is below {needed}",
    )


def _max_positions(entry: _Entry) -> Finding:
    most, taken = entry.context.account.limits.max_positions, len(entry.room.symbols - {entry.decision.asset})
    return Finding(
        rule="max_positions",
        passed=taken < most,
        saw={"open": str(taken), "max": str(most)},
        reason=f"{taken} positions are open; the most is {most}",
    )


def _cooldown(entry: _Entry) -> Finding:
    last = entry.context.last_exits.get(entry.decision.asset)
    if last is None:
        return Finding(rule="cooldown", passed=True, saw={"last_exit": "none"})
    limits = entry.context.account.limits
    wait = limits.cooldown if last.direction is entry.direction else max(limits.cooldown, limits.flip_cooldown)
    waited = entry.context.now - last.at
    return Finding(
        rule="cooldown",
        passed=waited >= wait,
        saw={"last_exit": f"{last.direction.value} {last.at.isoformat()}", "wait": str(wait), "waited": str(waited)},
        reason=f"the last {last.direction.value} position ended {waited} ago; the wait is {wait}",
    )


def _flip_cooldown(entry: _Entry) -> Finding:
    """A position stands for a while before it is turned around, or every wiggle of the model would cost two fees."""
    entered, wait = entry.context.last_entries.get(entry.decision.asset), entry.context.account.limits.flip_cooldown
    if not entry.against or entered is None:
        return Finding(rule="flip_cooldown", passed=True, saw={"move": entry.move.value})
    waited = entry.context.now - entered
    return Finding(
        rule="flip_cooldown",
        passed=waited >= wait,
        saw={"move": entry.move.value, "wait": str(wait), "waited": str(waited)},
        reason=f"the position was entered {_minutes(waited)} ago; it is not turned around within {_minutes(wait)}",
    )


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"


def _funding(entry: _Entry) -> Finding:
    ours_to_pay = entry.quote.funding_rate * entry.direction.sign
    limit = entry.context.account.limits.max_funding_rate
    return Finding(
        rule="funding",
        passed=ours_to_pay <= limit,
        saw={"rate": str(entry.quote.funding_rate), "max": str(limit)},
        reason=f"funding of {ours_to_pay:.4%} would be ours to pay; the most is {limit:.4%}",
    )


def _stop_required(entry: _Entry) -> Finding:
    return Finding(rule="stop_required", passed=entry.stop is not None, reason="an entry needs a stop loss")


def _stop_side(entry: _Entry) -> Finding:
    distance = entry.stop_distance
    return Finding(
        rule="stop_side",
        passed=distance is not None and distance > 0,
        saw={"price": str(entry.price), "stop": str(entry.stop)},
        reason=f"a {entry.direction.value} position's stop at {entry.stop} is on the wrong side of {entry.price}",
    )


def _stop_distance(entry: _Entry) -> Finding:
    limits, distance = entry.context.account.limits, entry.stop_distance
    return Finding(
        rule="stop_distance",
        passed=distance is not None and limits.min_stop_distance <= distance <= limits.max_stop_distance,
        saw={
            "distance": "none" if distance is None else f"{distance:.5f}",
            "min": str(limits.min_stop_distance),
            "max": str(limits.max_stop_distance),
        },
        reason=f"the stop must lie between {limits.min_stop_distance:.2%} and {limits.max_stop_distance:.2%} away",
    )


def _target_side(entry: _Entry) -> Finding:
    distance = entry.target_distance
    return Finding(
        rule="target_side",
        passed=distance is not None and distance > 0,
        saw={"price": str(entry.price), "target": str(entry.target)},
        reason=f"a {entry.direction.value} entry at {entry.price} needs a take-profit beyond it, not {entry.target}",
    )


def _reward_to_risk(entry: _Entry) -> Finding:
    """Net of what going in and out costs, at the price of now and not at one that flatters the ratio."""
    needed = entry.context.account.limits.min_reward_to_risk
    if entry.stop_distance is None or entry.target_distance is None:
        return Finding(rule="reward_to_risk", passed=False, reason="reward to risk needs a stop and a take-profit")
    costs = 2 * entry.context.taker_fee
    reward, risk = entry.target_distance - costs, entry.stop_distance + costs
    ratio = reward / risk if risk > 0 else Decimal(0)
    return Finding(
        rule="reward_to_risk",
        passed=ratio >= needed,
        saw={"reward": f"{reward:.5f}", "risk": f"{risk:.5f}", "ratio": f"{ratio:.3f}", "min": str(needed)},
        reason=f"reward to risk after costs is {ratio:.2f}, at least {needed} is asked",
    )


ENTRY_RULES: tuple[Callable[[_Entry], Finding], ...] = (
    _confidence,
    _max_positions,
    _cooldown,
    _flip_cooldown,
    _funding,
    _stop_required,
    _stop_side,
    _stop_distance,
    _target_side,
    _reward_to_risk,
)


def _stop_before_liquidation(entry: _Entry, leverage: int) -> Finding:
    distance = entry.stop_distance or Decimal(0)
    reach = LIQUIDATION_BUFFER * (1 / Decimal(leverage) - MAINTENANCE_MARGIN)
    return Finding(
        rule="stop_before_liquidation",
        passed=distance <= reach,
        saw={"distance": f"{distance:.5f}", "reach": f"{reach:.5f}", "leverage": str(leverage)},
        reason=f"at leverage {leverage} liquidation may come before a stop {distance:.2%} away",
    )
