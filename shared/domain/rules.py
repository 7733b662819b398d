"""
The rules that an entry has to pass, one function each: what it saw, and whether that is within the limits.

A rule reads the decision, the account's limits and what the exchange says now, and nothing else. Rules of the gate need
no price; those of the entry need a sound one; those of the size need a stop on its side. What cannot be judged for want
of that is told as such, and opens nothing either.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from shared.domain.account import Account, AccountStatus, Breaker, Cap
from shared.domain.decision import Decision, Move
from shared.domain.instrument import Instrument
from shared.domain.market import Quote
from shared.domain.performance import Combined, EquityMarks
from shared.domain.position import Direction, Holdings, Position
from shared.domain.sizing import Room, largest_leverage, notional_caps

LARGEST = Decimal("1e18")
"""No number of a decision or of an account is larger: one that is was never meant, and would overflow a product."""

FUNDING_INTERVAL = timedelta(hours=8)
"""Where the exchange does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule's verdict, with the numbers it saw."""

    rule: str
    passed: bool
    saw: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    """Why it failed; empty when it passed."""
    judged: bool = True
    """False where the rule had nothing to go by: then it has not passed either."""

    def __post_init__(self) -> None:
        if self.passed:
            object.__setattr__(self, "reason", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one rule says, before it bears the rule's name."""

    passed: bool
    reason: str
    saw: Mapping[str, str] = field(default_factory=dict)


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
    """As they are when the review is made, not when the model was asked."""
    shown: Mapping[str, Decimal]
    """The mark prices that the model was shown."""
    instruments: Mapping[str, Instrument]
    defects: Mapping[str, str]
    taker_fee: Decimal
    unsettled: frozenset[str]
    """Symbols with an order whose fate is unknown."""
    last_exits: Mapping[str, Exit]
    last_entries: Mapping[str, datetime]
    """When a position in a symbol was last opened or added to."""
    marks: EquityMarks
    entries_today: int
    """Approved since midnight, UTC."""
    flips_today: int
    """Those of them that turned a position around."""
    tripped: Mapping[Breaker, str]
    """The breakers that stand, and why."""
    others: Combined | None
    """The other accounts; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
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

    @property
    def trading_costs(self) -> Decimal:
        """Share of the notional that going in and out costs: a fee each time, and the spread."""
        return 2 * self.context.taker_fee + (self.quote.spread or Decimal(0))

    @property
    def funding_costs(self) -> Decimal:
        """Share of the notional that funding costs while the position is held; never below zero."""
        due = max(Decimal(0), self.quote.funding_rate * self.direction.sign)
        return due * payments(self.quote, self.context.now, self.context.account.limits.holding_time)


def payments(quote: Quote, now: datetime, span: timedelta) -> int:
    """Return how many times funding is due after *now* within *span*."""
    every = quote.funding_interval or FUNDING_INTERVAL

    def due_until(moment: datetime) -> int:
        return (moment - quote.next_funding_at) // every + 1

    return max(0, due_until(now + span)) - max(0, due_until(now))


# ---- the gate: may this account open anything in this symbol now?


def numbers(decision: Decision, context: RiskContext) -> Ruling:
    """Say whether everything can be reckoned with; without that no other rule can be asked."""
    balance, marks, others = context.holdings.balance, context.marks, context.others
    all_of_them: dict[str, Decimal | None] = {
        "allocation_usd": decision.allocation_usd,
        "leverage": Decimal(decision.leverage),
        "stop_loss": decision.stop_loss,
        "take_profit": decision.take_profit,
        "confidence": decision.confidence,
        "equity": balance.equity,
        "available": balance.available,
        "taker_fee": context.taker_fee,
        "day": marks.day,
        "peak": marks.peak,
        "shown": context.shown.get(decision.asset),
    }
    all_of_them |= {f"{held.symbol} {held.direction.value}": held.notional for held in context.holdings.positions}
    if others:
        all_of_them |= {
            "others' equity": others.equity,
            "others' day": others.day,
            "others' peak": others.peak,
            "others' exposure": others.exposure,
        }
    wrong = not_numbers(all_of_them)
    return Ruling(
        passed=not wrong,
        saw=wrong,
        reason=f"{', '.join(wrong)}: not a number that can be traded by",
    )


def not_numbers(numbers: Mapping[str, Decimal | None]) -> dict[str, str]:
    """Return those of *numbers* that are there and are none: NaN, infinite, or larger than any that is meant."""
    return {
        name: str(value)
        for name, value in numbers.items()
        if value is not None and not (value.is_finite() and abs(value) <= LARGEST)
    }


def _account_active(_: Decision, context: RiskContext) -> Ruling:
    status = context.account.status
    return Ruling(
        passed=status is AccountStatus.ACTIVE,
        saw={"status": status.value},
        reason=f"the account is {status.value}: it opens nothing",
    )


def _breakers(_: Decision, context: RiskContext) -> Ruling:
    told = {breaker.value: reason for breaker, reason in context.tripped.items()}
    return Ruling(passed=not told, saw=told, reason="; ".join(told.values()))


def _symbol_allowed(decision: Decision, context: RiskContext) -> Ruling:
    return Ruling(
        passed=decision.asset in context.account.symbols,
        saw={"symbol": decision.asset},
        reason=f"{decision.asset} is not among the account's symbols",
    )


def _symbol_trading(decision: Decision, context: RiskContext) -> Ruling:
    instrument = context.instruments.get(decision.asset)
    return Ruling(
        passed=instrument is not None and instrument.trading,
        saw={"listed": str(instrument is not None)},
        reason=f"{decision.asset} is not trading at the exchange",
    )


def _data_fresh(decision: Decision, context: RiskContext) -> Ruling:
    quote, oldest = context.quotes.get(decision.asset), context.account.limits.max_quote_age
    saw = {"max_age": str(oldest)}
    defect = context.defects.get(decision.asset) or unsound(quote)
    if quote:
        age = context.now - quote.at
        saw["age"] = str(age)
        if not defect and age > oldest:
            defect = f"the price is {age.total_seconds():.0f} s old"
    return Ruling(
        passed=not defect,
        saw=saw | {"defect": defect or "none"},
        reason=f"market data cannot be trusted: {defect}",
    )


def unsound(quote: Quote | None) -> str | None:
    """Say why nothing can be reckoned with *quote*, or return None."""
    if quote is None:
        return "no price"
    prices = {"mark price": quote.mark_price, "bid": quote.bid, "ask": quote.ask, "funding": quote.funding_rate}
    if wrong := not_numbers(prices):
        return f"{', '.join(wrong)}: not a number"
    return None if quote.mark_price > 0 else "no price"


def _no_unsettled_order(decision: Decision, context: RiskContext) -> Ruling:
    return Ruling(
        passed=decision.asset not in context.unsettled,
        saw={"unsettled": ", ".join(sorted(context.unsettled)) or "none"},
        reason="an earlier order's fate is unknown: nothing opens here until it is settled",
    )


def _daily_loss(_: Decision, context: RiskContext) -> Ruling:
    equity, limits = context.holdings.balance.equity, context.account.limits
    return _loss("the account lost {} today", context.marks.day, equity, limits.max_daily_loss)


def _drawdown(_: Decision, context: RiskContext) -> Ruling:
    equity, limits = context.holdings.balance.equity, context.account.limits
    return _loss("the account lost {} from its peak", context.marks.peak, equity, limits.max_drawdown)


def _global_daily_loss(_: Decision, context: RiskContext) -> Ruling:
    equity, others = context.holdings.balance.equity, context.others
    if others is None:
        return ALONE
    limit, before = context.account.limits.global_max_daily_loss, context.marks.day + others.day
    return _loss("all accounts lost {} today", before, equity + others.equity, limit)


def _global_drawdown(_: Decision, context: RiskContext) -> Ruling:
    equity, others = context.holdings.balance.equity, context.others
    if others is None:
        return ALONE
    limit, before = context.account.limits.global_max_drawdown, context.marks.peak + others.peak
    return _loss("all accounts lost {} from their peaks", before, equity + others.equity, limit)


ALONE = Ruling(passed=True, saw={"accounts": "1"}, reason="")


def _loss(words: str, before: Decimal, equity: Decimal, limit: Decimal) -> Ruling:
    lost = loss(before, equity)
    return Ruling(
        passed=lost < limit,
        saw={"before": str(before), "equity": str(equity), "loss": f"{lost:.4f}", "limit": str(limit)},
        reason=f"{words.format(f'{lost:.2%}')}; entries stop at {limit:.2%}",
    )


def loss(before: Decimal, equity: Decimal) -> Decimal:
    """Return the share of *before* that is lost; all of it where there never was anything."""
    return (before - equity) / before if before > 0 else Decimal(1)


GateRule = Callable[[Decision, RiskContext], Ruling]

GATE_RULES: Mapping[str, GateRule] = {
    "account_active": _account_active,
    "breakers": _breakers,
    "symbol_allowed": _symbol_allowed,
    "symbol_trading": _symbol_trading,
    "data_fresh": _data_fresh,
    "no_unsettled_order": _no_unsettled_order,
    "daily_loss": _daily_loss,
    "drawdown": _drawdown,
    "global_daily_loss": _global_daily_loss,
    "global_drawdown": _global_drawdown,
}


# ---- the entry itself


def _confidence(entry: Entry) -> Ruling:
    limits, confidence = entry.context.account.limits, entry.decision.confidence
    needed = limits.min_confidence
    if entry.move is Move.FLIP:
        needed = max(needed, limits.min_flip_confidence)
    return Ruling(
        passed=confidence >= needed,
        saw={"confidence": str(confidence), "min": str(needed), "move": entry.move.value},
        reason=f"confidence {confidence} is below {needed}",
    )


def _price_move(entry: Entry) -> Ruling:
    shown, most = entry.context.shown.get(entry.decision.asset), entry.context.account.limits.max_price_move
    moved = abs(entry.price - shown) / shown if shown else None
    return Ruling(
        passed=moved is not None and moved <= most,
        saw={"shown": str(shown), "now": str(entry.price), "max": str(most)},
        reason=f"the price is {entry.price} now and was {shown} when the model was asked",
    )


def _spread(entry: Entry) -> Ruling:
    spread, most = entry.quote.spread, entry.context.account.limits.max_spread
    return Ruling(
        passed=spread is not None and 0 <= spread <= most,
        saw={"bid": str(entry.quote.bid), "ask": str(entry.quote.ask), "max": str(most)},
        reason=f"bid {entry.quote.bid} and ask {entry.quote.ask} are not within {most:.2%} of each other",
    )


def _max_positions(entry: Entry) -> Ruling:
    most, taken = entry.context.account.limits.max_positions, len(entry.room.symbols - {entry.decision.asset})
    return Ruling(
        passed=taken < most,
        saw={"open": str(taken), "max": str(most)},
        reason=f"{taken} positions are open; the most is {most}",
    )


def _entries_today(entry: Entry) -> Ruling:
    return _count("entries", entry.room.entries, entry.context.account.limits.max_entries_per_day)


def _flips_today(entry: Entry) -> Ruling:
    if entry.move is not Move.FLIP:
        return Ruling(passed=True, saw={"move": entry.move.value}, reason="")
    return _count("flips", entry.room.flips, entry.context.account.limits.max_flips_per_day)


def _count(what: str, so_far: int, most: int) -> Ruling:
    return Ruling(
        passed=so_far < most,
        saw={"today": str(so_far), "max": str(most)},
        reason=f"{so_far} {what} today; the most is {most}",
    )


def _cooldown(entry: Entry) -> Ruling:
    last = entry.context.last_exits.get(entry.decision.asset)
    if last is None:
        return Ruling(passed=True, saw={"last_exit": "none"}, reason="")
    limits = entry.context.account.limits
    wait = limits.cooldown if last.direction is entry.direction else max(limits.cooldown, limits.flip_cooldown)
    waited = entry.context.now - last.at
    return Ruling(
        passed=waited >= wait,
        saw={"last_exit": f"{last.direction.value} {last.at.isoformat()}", "wait": str(wait), "waited": str(waited)},
        reason=f"the last {last.direction.value} position ended {_minutes(waited)} ago; the wait is {_minutes(wait)}",
    )


def _flip_cooldown(entry: Entry) -> Ruling:
    """A position stands for a while before it is turned around, or every wiggle of the model would cost two fees."""
    entered, wait = entry.context.last_entries.get(entry.decision.asset), entry.context.account.limits.flip_cooldown
    if entry.move is not Move.FLIP or entered is None:
        return Ruling(passed=True, saw={"move": entry.move.value}, reason="")
    waited = entry.context.now - entered
    return Ruling(
        passed=waited >= wait,
        saw={"move": entry.move.value, "wait": str(wait), "waited": str(waited)},
        reason=f"the position was entered {_minutes(waited)} ago; it is not turned around within {_minutes(wait)}",
    )


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"


def _funding(entry: Entry) -> Ruling:
    ours_to_pay = entry.quote.funding_rate * entry.direction.sign
    limit = entry.context.account.limits.max_funding_rate
    return Ruling(
        passed=ours_to_pay <= limit,
        saw={"rate": str(entry.quote.funding_rate), "max": str(limit)},
        reason=f"funding of {ours_to_pay:.4%} would be ours to pay; the most is {limit:.4%}",
    )


def _stop_required(entry: Entry) -> Ruling:
    return Ruling(passed=entry.stop is not None, saw={"stop": str(entry.stop)}, reason="an entry needs a stop loss")


def _stop_side(entry: Entry) -> Ruling:
    distance = entry.stop_distance
    return Ruling(
        passed=distance is not None and distance > 0,
        saw={"price": str(entry.price), "stop": str(entry.stop)},
        reason=f"a {entry.direction.value} position's stop at {entry.stop} is on the wrong side of {entry.price}",
    )


def _stop_distance(entry: Entry) -> Ruling:
    limits, distance = entry.context.account.limits, entry.stop_distance
    return Ruling(
        passed=distance is not None and limits.min_stop_distance <= distance <= limits.max_stop_distance,
        saw={
            "distance": "none" if distance is None else f"{distance:.5f}",
            "min": str(limits.min_stop_distance),
            "max": str(limits.max_stop_distance),
        },
        reason=f"the stop must lie between {limits.min_stop_distance:.2%} and {limits.max_stop_distance:.2%} away",
    )


def _target_side(entry: Entry) -> Ruling:
    distance = entry.target_distance
    return Ruling(
        passed=distance is not None and distance > 0,
        saw={"price": str(entry.price), "target": str(entry.target)},
        reason=f"a {entry.direction.value} entry at {entry.price} needs a take-profit beyond it, not {entry.target}",
    )


def _reward_to_risk(entry: Entry) -> Ruling:
    """Net of fees, spread and funding, at the price of now and not at one that flatters the ratio."""
    needed = entry.context.account.limits.min_reward_to_risk
    if entry.stop_distance is None or entry.stop_distance <= 0 or entry.target_distance is None:
        return Ruling(passed=False, reason="reward to risk needs a stop on its side and a take-profit")
    costs = entry.trading_costs + entry.funding_costs
    reward, risk = entry.target_distance - costs, entry.stop_distance + costs
    ratio = reward / risk
    return Ruling(
        passed=ratio >= needed,
        saw={
            "reward": f"{reward:.5f}",
            "risk": f"{risk:.5f}",
            "trading_costs": f"{entry.trading_costs:.5f}",
            "funding_costs": f"{entry.funding_costs:.5f}",
            "ratio": f"{ratio:.3f}",
            "min": str(needed),
        },
        reason=f"reward to risk after costs is {ratio:.2f}, at least {needed} is asked",
    )


EntryRule = Callable[[Entry], Ruling]

ENTRY_RULES: Mapping[str, EntryRule] = {
    "confidence": _confidence,
    "price_move": _price_move,
    "spread": _spread,
    "max_positions": _max_positions,
    "entries_today": _entries_today,
    "flips_today": _flips_today,
    "cooldown": _cooldown,
    "flip_cooldown": _flip_cooldown,
    "funding": _funding,
    "stop_required": _stop_required,
    "stop_side": _stop_side,
    "stop_distance": _stop_distance,
    "target_side": _target_side,
    "reward_to_risk": _reward_to_risk,
}


# ---- its size


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What may be opened. `quantity` is on the step, and may be too small to be an order."""

    quantity: Decimal
    leverage: int
    clipped: bool


SIZE_RULES = (*(f"{cap.value}_cap" for cap in Cap), "minimum_size")


def size(entry: Entry, distance: Decimal) -> tuple[Size, list[Finding]]:
    """Return the size within every cap, and what each cap says. *distance* is that of the stop, on its side."""
    asked, lever = entry.decision.allocation_usd, max(1, entry.decision.leverage)
    limits = entry.context.account.limits
    levers = {Cap.LEVERAGE: limits.max_leverage, Cap.LIQUIDATION: largest_leverage(distance)}
    leverage = max(1, min(lever, *levers.values()))
    caps = notional_caps(
        limits,
        equity=entry.context.holdings.balance.equity,
        room=entry.room,
        stop_cost=distance + entry.trading_costs,
        taker_fee=entry.context.taker_fee,
        leverage=leverage,
        held=entry.held,
        others=entry.context.others,
    )
    caps[Cap.ORDER] = entry.instrument.max_market_quantity * entry.price
    allowed = min(asked, *caps.values())
    quantity = entry.instrument.round_quantity(allowed / entry.price)
    findings = [_cap(name, Decimal(lever), Decimal(most), limits.clip, least=1) for name, most in levers.items()]
    findings += [_cap(name, asked, most, limits.clip) for name, most in caps.items()]
    if Cap.GLOBAL_EXPOSURE not in caps:
        findings.append(Finding(rule=f"{Cap.GLOBAL_EXPOSURE.value}_cap", passed=True, saw=ALONE.saw))
    findings.append(_minimum_size(entry, quantity))
    sized = Size(quantity=quantity, leverage=leverage, clipped=allowed < asked or leverage < lever)
    return sized, findings


def _cap(name: Cap, asked: Decimal, most: Decimal, clip: Iterable[Cap], *, least: int = 0) -> Finding:
    clips = name in clip
    return Finding(
        rule=f"{name.value}_cap",
        passed=asked <= most or (clips and most >= least),
        saw={"asked": f"{asked:.2f}", "cap": f"{most:.2f}", "beyond": "clipped" if clips else "refused"},
        reason=f"{asked:.2f} is asked and the {name.value.replace('_', ' ')} cap is {most:.2f}",
    )


def _minimum_size(entry: Entry, quantity: Decimal) -> Finding:
    return Finding(
        rule="minimum_size",
        passed=entry.instrument.accepts(quantity, entry.price),
        saw={
            "quantity": str(quantity),
            "notional": f"{quantity * entry.price:.2f}",
            "min_notional": str(entry.instrument.min_notional),
            "min_quantity": str(entry.instrument.min_quantity),
        },
        reason="what was asked, or what the limits leave of it, is smaller than the smallest order",
    )
