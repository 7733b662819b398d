"""Whatever a model asks for, in whatever state the account is: what is approved stays within every limit."""

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.account import RiskLimits
from shared.domain.decision import Action, Decision, Move
from shared.domain.market import Quote
from shared.domain.performance import Combined
from shared.domain.risk import Review, review
from shared.domain.rules import Exit, RiskContext
from shared.domain.sizing import LIQUIDATION_BUFFER, MAINTENANCE_MARGIN
from tests.builders import (
    a_context,
    a_decision,
    a_position,
    a_quote,
    an_account,
    an_instrument,
    some_holdings,
    some_marks,
)

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
TRIFLE = Decimal("1e-12")
"""A quotient of 28 digits may differ from the true one by less than this."""


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals on a grid, made from integers: drawn many times faster than hypothesis's own."""
    scale = Decimal(10) ** places
    bounds = (int(Decimal(low) * scale), int(Decimal(high) * scale))
    return st.integers(*bounds).map(lambda number: Decimal(number).scaleb(-places))


@st.composite
def contexts(draw: st.DrawFn) -> RiskContext:
    limits = RiskLimits(
        max_leverage=draw(st.sampled_from([1, 3, 5, 20, 125])),
        max_position_fraction=draw(decimals("0.1", "5", 3)),
        max_exposure_fraction=draw(decimals("0.1", "9", 3)),
        max_positions=draw(st.sampled_from([1, 2, 3, 3])),
        risk_per_trade=draw(decimals("0.001", "1", 4)),
        min_margin_left=draw(decimals("0", "0.5", 2)),
        max_stop_distance=draw(st.sampled_from([Decimal("0.02"), Decimal("0.1"), Decimal(1)])),
        min_reward_to_risk=draw(decimals("0", "2", 2)),
        cooldown=timedelta(minutes=draw(st.integers(1, 30))),
        max_entries_per_day=draw(st.integers(2, 4)),
        global_max_exposure_fraction=draw(decimals("0.5", "3", 3)),
    )
    account = an_account(limits=limits)
    equity = draw(decimals("1000", "100000", 4))
    available = equity * draw(decimals("0.3", "1", 3))
    prices = {symbol: draw(decimals("3", "3000", 3)) for symbol in SYMBOLS}
    held = [a_position(symbol, quantity="0.5") for symbol in draw(st.sets(st.sampled_from(SYMBOLS), max_size=1))]
    return a_context(
        account=account,
        holdings=some_holdings(*held, equity=str(equity), available=str(available)),
        quotes={symbol: draw(quotes(symbol, price)) for symbol, price in prices.items()},
        shown={
            symbol: price * draw(st.sampled_from([Decimal(1), Decimal("1.004")])) for symbol, price in prices.items()
        },
        instruments={symbol: draw(instruments(symbol)) for symbol in SYMBOLS},
        taker_fee=draw(decimals("0", "0.002", 5)),
        marks=some_marks(str(equity), str(equity)),
        entries_today=draw(st.integers(0, 1)),
        others=draw(st.none() | st.builds(another_account, decimals("0", "100000", 2))),
        last_exits={
            symbol: Exit(at=a_context().now - timedelta(minutes=20), direction=held[0].direction)
            for symbol in SYMBOLS[:1]
            if held
        },
    )


def another_account(exposure: Decimal) -> Combined:
    equity = Decimal(20000)
    return Combined(accounts=1, equity=equity, day=equity, peak=equity, exposure=exposure)


@st.composite
def quotes(draw: st.DrawFn, symbol: str, price: Decimal) -> Quote:
    half = price * draw(decimals("0", "0.0009", 5)) / 2
    return a_quote(
        symbol, str(price), bid=price - half, ask=price + half, funding_rate=draw(decimals("-0.001", "0.001", 5))
    )


@st.composite
def instruments(draw: st.DrawFn, symbol: str) -> Any:
    step = draw(st.sampled_from(["0.001", "0.01", "0.5"]))
    return an_instrument(
        symbol,
        step_size=Decimal(step),
        min_quantity=Decimal(step),
        tick_size=Decimal(draw(st.sampled_from(["0.001", "0.1", "0.25"]))),
        max_market_quantity=draw(decimals("1", "500", 3)),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Decision], RiskContext]:
    """An account and what a model that knows no limits wants of it."""
    context = draw(contexts())

    def wish() -> Decision:
        symbol = draw(st.sampled_from(SYMBOLS))
        price = context.quotes[symbol].mark_price
        action = draw(st.sampled_from([Action.BUY, Action.BUY, Action.SELL, Action.SELL, Action.CLOSE]))
        # Mostly on the side where it belongs, and now and then beyond every bound.
        way = (-1 if action is Action.SELL else 1) * draw(st.sampled_from([1, 1, 1, 1, 1, 1, -1]))
        return a_decision(
            symbol,
            action,
            allocation_usd=draw(decimals("0", "100000", 2)),
            leverage=draw(st.sampled_from([-1, 1, 2, 3, 10, 200])),
            stop_loss=price
            * (1 - way * draw(decimals("0.001", "0.11", 4)) * draw(st.sampled_from([1, Decimal("0.2")]))),
            take_profit=price * (1 + way * draw(decimals("0.01", "0.6", 4))),
        )

    return [wish() for _ in range(draw(st.integers(1, 5)))], context


def entries(decisions: list[Decision], context: RiskContext) -> list[tuple[str, Review]]:
    approved = [each for each in review(decisions, context) if each.review.acts and each.decision.opens]
    return [(each.decision.asset, each.review) for each in approved]


def held_by(context: RiskContext, symbol: str) -> Decimal:
    return sum((position.notional for position in context.holdings.positions_in(symbol)), Decimal(0))


def notional(entry: Review) -> Decimal:
    return entry.quantity * entry.price


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_an_approved_entry_never_exceeds_a_cap(case: tuple[list[Decision], RiskContext]) -> None:
    decisions, context = case
    limits, equity = context.account.limits, context.holdings.balance.equity

    for symbol, entry in entries(decisions, context):
        whole = notional(entry) + (held_by(context, symbol) if entry.move is Move.ADD else 0)
        stop_distance = abs(entry.price - (entry.stop_loss or 0)) / entry.price
        spread = context.quotes[symbol].spread or Decimal(0)
        cost_of_a_stop_out = whole * (stop_distance + 2 * context.taker_fee + spread)
        assert 1 <= entry.leverage <= limits.max_leverage
        assert whole <= equity * limits.max_position_fraction + TRIFLE
        assert cost_of_a_stop_out <= equity * limits.risk_per_trade + TRIFLE
        assert stop_distance <= min(
            limits.max_stop_distance, LIQUIDATION_BUFFER * (1 / Decimal(entry.leverage) - MAINTENANCE_MARGIN)
        )


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_approved_entries_together_never_exceed_a_cap(case: tuple[list[Decision], RiskContext]) -> None:
    decisions, context = case
    limits, balance = context.account.limits, context.holdings.balance
    held = {position.symbol: position for position in context.holdings.positions}
    sizes = {symbol: position.notional for symbol, position in held.items()}
    moved = [(each.decision.asset, each.review) for each in review(decisions, context) if each.review.acts]
    available = balance.available
    for symbol, verdict in moved:
        for reduction in verdict.reductions:
            sizes[symbol] -= sum(reduction.quantities, Decimal(0)) * held[symbol].mark_price
            if verdict.move is Move.FLIP:
                available += held[symbol].notional * (1 / Decimal(held[symbol].leverage) - context.taker_fee)
    opened = [(symbol, verdict) for symbol, verdict in moved if verdict.leverage]
    for symbol, entry in opened:
        if entry.move is Move.ADD:
            more = 1 / Decimal(entry.leverage) - 1 / Decimal(held[symbol].leverage)
            available -= held[symbol].notional * max(Decimal(0), more)
        sizes[symbol] = sizes.get(symbol, Decimal(0)) + notional(entry)
        available -= notional(entry) * (1 / Decimal(entry.leverage) + context.taker_fee)

    assert len(moved) == len({symbol for symbol, _ in moved})
    if opened:
        assert len([symbol for symbol, size in sizes.items() if size > 0]) <= limits.max_positions
        assert sum(sizes.values()) <= balance.equity * limits.max_exposure_fraction + TRIFLE
        assert available >= balance.equity * limits.min_margin_left - TRIFLE
        assert context.entries_today + len(opened) <= limits.max_entries_per_day
    if opened and context.others:
        everything = balance.equity + context.others.equity
        most = everything * limits.global_max_exposure_fraction
        assert sum(sizes.values()) + context.others.exposure <= most + TRIFLE


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_an_approved_entry_is_on_the_grid_with_stop_and_target_on_their_sides(
    case: tuple[list[Decision], RiskContext],
) -> None:
    decisions, context = case

    for symbol, entry in entries(decisions, context):
        instrument = context.instruments[symbol]
        assert entry.direction is not None
        assert entry.stop_loss is not None
        assert entry.take_profit is not None
        assert (entry.price - entry.stop_loss) * entry.direction.sign > 0
        assert (entry.take_profit - entry.price) * entry.direction.sign > 0
        for price in (entry.stop_loss, entry.take_profit):
            assert (price - instrument.min_price) % instrument.tick_size == 0
        assert entry.quantity > 0
        assert entry.quantity % instrument.step_size == 0
        assert instrument.accepts(entry.quantity, entry.price)


LESS = {
    "max_leverage": lambda value: max(1, value - 1),
    "max_positions": lambda value: value - 1,
    "max_entries_per_day": lambda value: value - 1,
    "max_flips_per_day": lambda value: value - 1,
    "max_quote_age": lambda value: value / 4,
}
MORE = {
    "cooldown": lambda value: value * 2,
    "flip_cooldown": lambda value: value * 2,
    "holding_time": lambda value: value * 2,
    "min_margin_left": lambda value: value + Decimal("0.05"),
    "min_stop_distance": lambda value: value * 2,
    "min_reward_to_risk": lambda value: value + Decimal("0.2"),
    "min_confidence": lambda value: value + Decimal("0.4"),
    "min_flip_confidence": lambda value: value + Decimal("0.4"),
    "clip": lambda value: value[1:],
}
NOT_OF_THE_REVIEW = {
    *("max_exposure_held", "max_losses_in_a_row", "max_model_failures", "max_order_refusals", "cool_off"),
    *("global_max_exposure_held", "lift_next_day", "lift_by_hand", "flatten_on", "grounding"),
}
"""Of the breakers, and of what is judged before."""


def tightened(limits: RiskLimits, name: str) -> RiskLimits:
    step: Any = LESS.get(name) or MORE.get(name) or (lambda value: value * Decimal("0.7"))
    return replace(limits, **{name: step(getattr(limits, name))})


@given(case=cases(), name=st.sampled_from(sorted({*RiskLimits.__slots__} - NOT_OF_THE_REVIEW)))
@settings(max_examples=100, deadline=None)
def test_a_tighter_limit_never_approves_more(case: tuple[list[Decision], RiskContext], name: str) -> None:
    [decision, *_], context = case
    limits = tightened(context.account.limits, name)

    before = entries([decision], context)
    after = entries([decision], replace(context, account=replace(context.account, limits=limits)))

    assert len(after) <= len(before)
    for (_, tight), (_, loose) in zip(after, before, strict=False):
        assert tight.quantity <= loose.quantity
        assert tight.leverage <= loose.leverage


ANY_NUMBER = st.decimals(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [Decimal("sNaN"), Decimal("1e999999"), Decimal("-1e999999"), Decimal("1e-999999"), Decimal(0), Decimal("-0")]
)


@st.composite
def strange_decisions(draw: st.DrawFn) -> Decision:
    return a_decision(
        action=draw(st.sampled_from(Action)),
        allocation_usd=draw(ANY_NUMBER),
        stop_loss=draw(st.none() | ANY_NUMBER),
        take_profit=draw(st.none() | ANY_NUMBER),
        confidence=draw(ANY_NUMBER),
        leverage=draw(st.integers()),
    )


@given(decision=strange_decisions(), held=st.booleans())
@settings(max_examples=200, deadline=None)
def test_whatever_numbers_a_decision_holds_the_review_says_something_and_alters_no_limit(
    decision: Decision, held: bool
) -> None:
    context = a_context(holdings=some_holdings(*([a_position()] if held else [])))
    before = repr(context)

    [only] = review([decision], context)

    assert repr(context) == before
    assert notional(only.review) <= Decimal(1000) * RiskLimits().max_position_fraction
    assert only.review.leverage <= RiskLimits().max_leverage


def test_no_field_of_a_decision_can_be_taken_for_a_limit() -> None:
    """A rule reads limits from the account alone; a decision brings none along, under whatever name."""
    limits = {*RiskLimits.__slots__, "limits", "account", "status"}

    assert limits.isdisjoint(Decision.__slots__)
    assert all(field.type != "RiskLimits" for field in fields(Decision))
    assert RiskLimits.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert RiskContext.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_the_cases_do_hold_approvals_to_prove_something_by() -> None:
    approved = []

    @given(case=cases())
    @settings(max_examples=300, derandomize=True, deadline=None, database=None)
    def count(case: tuple[list[Decision], RiskContext]) -> None:
        approved.append(len(entries(*case)))

    count()

    assert sum(many >= 1 for many in approved) >= 10
    assert max(approved) >= 2
