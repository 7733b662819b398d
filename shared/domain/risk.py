"""
The risk review: what a model wants, held against limits it cannot reach.

Pure and complete: the rules are evaluated on every entry, with the numbers each one saw, so that "why was this refused"
is one row to read. Sizes are clipped down to what the limits allow; everything else that fails refuses. A close needs
nothing but a position, whatever the state of the account or of the data.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from shared.domain.account import Account, AccountStatus
from shared.domain.decision import Action, Decision
from shared.domain.instrument import Instrument
from shared.domain.market import Quote
from shared.domain.performance import EquityMarks
from shared.domain.position import Direction, Holdings
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
    """What risk allows. For a refusal `code` names the first rule that failed and `reason` says it in words."""

    verdict: Verdict
    code: str | None = None
    reason: str = ""
    direction: Direction | None = None
    quantity: Decimal = Decimal(0)
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
    room: Room
    context: RiskContext

    @property
    def stop_distance(self) -> Decimal | None:
        """Share of the price between entry and stop; negative on the wrong side."""
        return None if self.stop is None else (self.price - self.stop) * self.direction.sign / self.price

    @property
    def target_distance(self) -> Decimal | None:
        """Share of the price between entry and target; negative on the wrong side."""
        return None if self.target is None else (self.target - self.price) * self.direction.sign / self.price


def review(decisions: Sequence[Decision], context: RiskContext) -> list[ReviewedDecision]:
    """Review every decision, closes first because they make room; return them in the order given."""
    reviews: dict[int, Review] = {}
    entries: list[int] = []
    for index, decision in enumerate(decisions):
        if decision.opens:
            entries.append(index)
        else:
            reviews[index] = _review_close(decision, context) if decision.action is Action.CLOSE else HELD
    closing = {decisions[index].asset for index, verdict in reviews.items() if verdict.acts}
    room = _room(context, closing)
    for index in entries:
        reviews[index], room = _review_entry(decisions[index], context, room)
    return [ReviewedDecision(decision=decision, review=reviews[index]) for index, decision in enumerate(decisions)]


HELD = Review(verdict=Verdict.HELD)


def _review_close(decision: Decision, context: RiskContext) -> Review:
    position = context.holdings.position(decision.asset)
    if position is None:
        return _refusal(
            [Finding(rule="position_exists", passed=False, reason=f"there is no {decision.asset} position")]
        )
    return Review(
        verdict=Verdict.APPROVED,
        direction=position.direction,
        quantity=position.quantity,
        price=position.mark_price,
        findings=(Finding(rule="position_exists", passed=True, saw={"quantity": str(position.quantity)}),),
    )


def _room(context: RiskContext, closing: Iterable[str]) -> Room:
    staying = [held for held in context.holdings.positions if held.symbol not in set(closing)]
    return Room(
        exposure=sum((held.notional for held in staying), Decimal(0)),
        available=context.holdings.balance.available,
        symbols=frozenset(held.symbol for held in staying),
    )


def _review_entry(decision: Decision, context: RiskContext, room: Room) -> tuple[Review, Room]:
    gate = [rule(decision, context) for rule in GATE_RULES]
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
        room=room,
        stop_distance=entry.stop_distance or Decimal(0),
        taker_fee=context.taker_fee,
        leverage=leverage,
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
        direction=entry.direction,
        quantity=quantity,
        price=entry.price,
        leverage=leverage,
        stop_loss=entry.stop,
        take_profit=entry.target,
        findings=tuple(findings),
    )
    taken = quantity * entry.price
    return approved, room.less(decision.asset, taken, leverage=leverage, taker_fee=context.taker_fee)


def _entry(decision: Decision, context: RiskContext, room: Room) -> _Entry:
    direction = Direction.LONG if decision.action is Action.BUY else Direction.SHORT
    instrument = context.instruments[decision.asset]
    # Both levels round towards the price: the stop costs no more and the target asks no more than was decided.
    up, down = instrument.round_price_up, instrument.round_price_down
    stop_to, target_to = (up, down) if direction is Direction.LONG else (down, up)
    return _Entry(
        decision=decision,
        direction=direction,
        price=context.quotes[decision.asset].mark_price,
        stop=None if decision.stop_loss is None else stop_to(decision.stop_loss),
        target=None if decision.take_profit is None else target_to(decision.take_profit),
        instrument=instrument,
        quote=context.quotes[decision.asset],
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


def _not_already_open(entry: _Entry) -> Finding:
    held = entry.context.holdings.position(entry.decision.asset)
    return Finding(
        rule="not_already_open",
        passed=held is None and entry.decision.asset not in entry.room.symbols,
        saw={"position": f"{held.direction.value} {held.quantity}" if held else "none"},
        reason="there is a position in this symbol already, open or just approved: close it first",
    )


def _max_positions(entry: _Entry) -> Finding:
    most, taken = entry.context.account.limits.max_positions, len(entry.room.symbols)
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
    _not_already_open,
    _max_positions,
    _cooldown,
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
