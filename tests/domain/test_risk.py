"""The risk review: every rule with the case that just passes it and the case that just fails it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import AccountStatus
from shared.domain.decision import Action, Decision
from shared.domain.risk import (
    ENTRY_RULES,
    GATE_RULES,
    Exit,
    Finding,
    Move,
    Reduction,
    Review,
    RiskContext,
    Verdict,
    review,
)
from tests.builders import (
    LONG,
    SHORT,
    a_context,
    a_decision,
    a_position,
    a_quote,
    an_account,
    an_instrument,
    some_holdings,
    some_marks,
)


def reviewed(decision: Decision, context: RiskContext) -> Review:
    [only] = review([decision], context)
    return only.review


def finding(verdict: Review, rule: str) -> Finding:
    [found] = [each for each in verdict.findings if each.rule == rule]
    return found


def long(**changes: Any) -> Decision:
    return a_decision(**changes)


def short(**changes: Any) -> Decision:
    return a_decision(action=Action.SELL, **changes)


def exited(minutes_ago: int, direction: Any = LONG) -> dict[str, Exit]:
    return {"BTCUSDT": Exit(at=a_context().now - timedelta(minutes=minutes_ago), direction=direction)}


def entered(minutes_ago: int) -> RiskContext:
    """A LONG of 100 USD that was entered so long ago."""
    at = a_context().now - timedelta(minutes=minutes_ago)
    return a_context(holdings=some_holdings(a_position()), last_entries={"BTCUSDT": at})


def holding(*positions: Any, **changes: Any) -> RiskContext:
    return a_context(holdings=some_holdings(*positions), **changes)


def with_funding(rate: str) -> RiskContext:
    return a_context(quotes={"BTCUSDT": a_quote(funding_rate=Decimal(rate))})


def with_positions(*symbols: str) -> RiskContext:
    return a_context(limits={"max_positions": 2}, holdings=some_holdings(*(a_position(symbol) for symbol in symbols)))


ALL_FINE = a_context()
GATE = [
    # rule, just passes, just fails: the decision stays the same, the state of the account does not
    ("account_active", ALL_FINE, a_context(account=an_account(status=AccountStatus.PAUSED))),
    ("account_active", ALL_FINE, a_context(account=an_account(status=AccountStatus.HALTED))),
    ("symbol_allowed", ALL_FINE, replace(ALL_FINE, account=an_account(symbols=("ETHUSDT",)))),
    ("symbol_trading", ALL_FINE, a_context(instruments={"BTCUSDT": an_instrument(trading=False)})),
    ("symbol_trading", ALL_FINE, a_context(instruments={})),
    ("data_fresh", a_context(defects={"ETHUSDT": "gap"}), a_context(defects={"BTCUSDT": "gap"})),
    ("data_fresh", ALL_FINE, a_context(quotes={})),
    ("data_fresh", ALL_FINE, a_context(quotes={"BTCUSDT": a_quote(price="0")})),
    (
        "no_unsettled_order",
        a_context(unsettled=frozenset({"ETHUSDT"})),
        a_context(unsettled=frozenset({"BTCUSDT"})),
    ),
    # 5 % of 1050 is 52.5: an equity of 1000 has lost less, one of 997.5 exactly as much
    ("daily_loss", a_context(marks=some_marks(day="1050")), a_context(marks=some_marks(day="1052.632"))),
    (
        "daily_loss",
        a_context(marks=some_marks(day="1049")),
        a_context(marks=some_marks(day="1050"), holdings=some_holdings(equity="997.5")),
    ),
    ("drawdown", a_context(marks=some_marks(peak="1249.99")), a_context(marks=some_marks(peak="1250"))),
    ("drawdown", ALL_FINE, a_context(marks=some_marks(peak="0"))),
    ("daily_loss", ALL_FINE, a_context(holdings=some_holdings(equity="0"), marks=some_marks("0", "0"))),
]


@pytest.mark.parametrize(("rule", "passing", "failing"), GATE)
def test_nothing_opens_in_an_account_or_a_market_that_is_not_fit_for_it(
    rule: str, passing: RiskContext, failing: RiskContext
) -> None:
    assert reviewed(long(), passing).acts
    assert reviewed(long(), failing).code == rule
    assert reviewed(long(), failing).verdict is Verdict.REFUSED


ENTRY = [
    # rule, just passes, just fails: at a price of 100 and, unless told otherwise, no fees
    ("confidence", (long(confidence=Decimal("0.5")), ALL_FINE), (long(confidence=Decimal("0.49")), ALL_FINE)),
    ("max_positions", (long(), with_positions("ETHUSDT")), (long(), with_positions("ETHUSDT", "SOLUSDT"))),
    ("max_positions", (long(), with_positions("ETHUSDT", "BTCUSDT")), (long(), with_positions("ETHUSDT", "SOLUSDT"))),
    ("flip_cooldown", (short(), entered(60)), (short(), entered(59))),
    ("flip_cooldown", (long(), entered(0)), (short(), entered(0))),
    ("cooldown", (long(), a_context(last_exits=exited(15))), (long(), a_context(last_exits=exited(14)))),
    ("cooldown", (short(), a_context(last_exits=exited(60))), (short(), a_context(last_exits=exited(59)))),
    (
        "cooldown",  # a flip never waits less than going on the same way does
        (short(), a_context(limits={"cooldown": timedelta(hours=2)}, last_exits=exited(120))),
        (short(), a_context(limits={"cooldown": timedelta(hours=2)}, last_exits=exited(119))),
    ),
    ("funding", (long(), with_funding("0.001")), (long(), with_funding("0.0011"))),
    ("funding", (short(), with_funding("-0.001")), (short(), with_funding("-0.0011"))),
    ("stop_required", (long(), ALL_FINE), (long(stop_loss=None), ALL_FINE)),
    ("stop_side", (long(stop_loss=Decimal("99.8")), ALL_FINE), (long(stop_loss=Decimal(100)), ALL_FINE)),
    ("stop_side", (short(stop_loss=Decimal("100.2")), ALL_FINE), (short(stop_loss=Decimal(100)), ALL_FINE)),
    ("stop_distance", (long(stop_loss=Decimal("99.8")), ALL_FINE), (long(stop_loss=Decimal("99.9")), ALL_FINE)),
    (
        "stop_distance",
        (long(stop_loss=Decimal(90), take_profit=Decimal(112)), ALL_FINE),
        (long(stop_loss=Decimal("89.9"), take_profit=Decimal(113)), ALL_FINE),
    ),
    (
        "target_side",
        (long(take_profit=Decimal("100.1")), a_context(limits={"min_reward_to_risk": Decimal(0)})),
        (long(take_profit=Decimal(100)), a_context(limits={"min_reward_to_risk": Decimal(0)})),
    ),
    ("target_side", (long(), ALL_FINE), (long(take_profit=None), ALL_FINE)),
    (
        "reward_to_risk",
        (long(take_profit=Decimal("101.2")), ALL_FINE),
        (long(take_profit=Decimal("101.1")), ALL_FINE),
    ),
    (
        "reward_to_risk",  # (1.5 - 0.1) / (1 + 0.1) is 1.27, (1.4 - 0.1) / (1 + 0.1) is 1.18
        (long(take_profit=Decimal("101.5")), a_context(taker_fee=Decimal("0.0005"))),
        (long(take_profit=Decimal("101.4")), a_context(taker_fee=Decimal("0.0005"))),
    ),
    (
        "stop_before_liquidation",  # at 10x: 80 % of (10 % less 1 % maintenance margin) is 7.2 % away
        (
            long(leverage=10, stop_loss=Decimal("92.8"), take_profit=Decimal(110)),
            a_context(limits={"max_leverage": 10}),
        ),
        (
            long(leverage=10, stop_loss=Decimal("92.7"), take_profit=Decimal(110)),
            a_context(limits={"max_leverage": 10}),
        ),
    ),
    ("minimum_size", (long(allocation_usd=Decimal(5)), ALL_FINE), (long(allocation_usd=Decimal("4.9")), ALL_FINE)),
    ("minimum_size", (long(), ALL_FINE), (long(allocation_usd=Decimal(-100)), ALL_FINE)),
]
Case = tuple[Decision, RiskContext]


@pytest.mark.parametrize(("rule", "passing", "failing"), ENTRY)
def test_an_entry_passes_each_rule_up_to_its_bound_and_not_beyond(rule: str, passing: Case, failing: Case) -> None:
    assert reviewed(*passing).acts
    assert reviewed(*failing).code == rule


def test_every_rule_there_is_has_its_two_cases() -> None:
    verdict = reviewed(long(), ALL_FINE)
    tried = {rule for rule, *_ in GATE} | {rule for rule, *_ in ENTRY}

    assert {each.rule for each in verdict.findings} - tried == {"size"}
    assert len(verdict.findings) == len(GATE_RULES) + len(ENTRY_RULES) + 3


def test_an_entry_within_every_limit_is_approved_as_it_was_asked() -> None:
    verdict = reviewed(long(), ALL_FINE)

    assert verdict.verdict is Verdict.APPROVED
    assert (verdict.direction, verdict.quantity, verdict.price) == (LONG, Decimal(1), Decimal(100))
    assert verdict.leverage == 2
    assert (verdict.stop_loss, verdict.take_profit) == (Decimal(99), Decimal(104))
    assert (verdict.code, verdict.reason) == (None, "")


def test_a_sale_opens_a_short_position() -> None:
    verdict = reviewed(short(), ALL_FINE)

    assert (verdict.verdict, verdict.direction) == (Verdict.APPROVED, SHORT)


@pytest.mark.parametrize(
    ("context", "quantity", "cap"),
    [
        (a_context(limits={"max_position_fraction": Decimal("0.4")}), "4", "position_cap"),
        (a_context(limits={"max_exposure_fraction": Decimal("0.3")}), "3", "exposure_cap"),
        (a_context(limits={"risk_per_trade": Decimal("0.002")}), "2", "risk_cap"),
        (a_context(holdings=some_holdings(available="150")), "1", "margin_cap"),
        (
            a_context(instruments={"BTCUSDT": an_instrument(max_market_quantity=Decimal(3))}),
            "3",
            "order_cap",
        ),
    ],
)
def test_an_entry_too_large_is_clipped_to_the_tightest_cap(context: RiskContext, quantity: str, cap: str) -> None:
    verdict = reviewed(long(allocation_usd=Decimal(10000)), context)

    assert verdict.verdict is Verdict.CLIPPED
    assert verdict.quantity == Decimal(quantity)
    assert finding(verdict, "size").saw[cap] == f"{verdict.quantity * 100:.2f}"


def test_leverage_beyond_the_limit_is_clipped() -> None:
    verdict = reviewed(long(leverage=20), ALL_FINE)

    assert (verdict.verdict, verdict.leverage) == (Verdict.CLIPPED, 5)


def test_leverage_below_one_counts_as_one() -> None:
    assert reviewed(long(leverage=0), ALL_FINE).leverage == 1


def test_rounding_to_the_step_is_no_clip() -> None:
    verdict = reviewed(long(allocation_usd=Decimal("100.05")), ALL_FINE)

    assert (verdict.verdict, verdict.quantity) == (Verdict.APPROVED, Decimal(1))


@pytest.mark.parametrize(
    ("decision", "stop", "target"),
    [
        (long(stop_loss=Decimal("98.91"), take_profit=Decimal("104.09")), "99.0", "104.0"),
        (short(stop_loss=Decimal("101.09"), take_profit=Decimal("95.91")), "101.0", "96.0"),
    ],
)
def test_a_stop_never_rounds_away_from_the_price(decision: Decision, stop: str, target: str) -> None:
    verdict = reviewed(decision, ALL_FINE)

    assert (verdict.stop_loss, verdict.take_profit) == (Decimal(stop), Decimal(target))


def test_a_stop_that_rounds_onto_the_price_is_refused() -> None:
    assert reviewed(long(stop_loss=Decimal("99.95")), ALL_FINE).code == "stop_side"


def test_a_hold_is_held_whatever_the_state() -> None:
    verdict = reviewed(a_decision(action=Action.HOLD), a_context(account=an_account(status=AccountStatus.HALTED)))

    assert verdict.verdict is Verdict.HELD
    assert not verdict.acts


def test_a_close_is_allowed_in_the_worst_state_of_account_and_data() -> None:
    context = a_context(
        account=an_account(status=AccountStatus.HALTED, symbols=("ETHUSDT",)),
        holdings=some_holdings(a_position(direction=SHORT, quantity="2.5"), equity="1"),
        quotes={},
        instruments={},
        defects={"BTCUSDT": "gap"},
        unsettled=frozenset({"BTCUSDT"}),
        last_exits=exited(0),
        marks=some_marks(day="9999", peak="9999"),
    )
    verdict = reviewed(a_decision(action=Action.CLOSE, confidence=Decimal(0)), context)

    assert verdict.verdict is Verdict.APPROVED
    assert (verdict.direction, verdict.quantity) == (SHORT, Decimal("2.5"))


def test_a_close_without_a_position_is_refused() -> None:
    verdict = reviewed(a_decision(action=Action.CLOSE), ALL_FINE)

    assert (verdict.code, verdict.reason) == ("position_exists", "there is no BTCUSDT position")


def test_entries_are_approved_one_after_the_other_from_the_room_that_is_left() -> None:
    context = a_context(limits={"max_exposure_fraction": Decimal("0.8")})
    wishes = [a_decision(symbol, allocation_usd=Decimal(500)) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")]

    first, second, third = (each.review for each in review(wishes, context))

    assert (first.verdict, first.quantity) == (Verdict.APPROVED, Decimal(5))
    assert (second.verdict, second.quantity) == (Verdict.CLIPPED, Decimal(3))
    assert third.code == "minimum_size"


def test_approved_entries_take_places_among_the_positions() -> None:
    context = a_context(limits={"max_positions": 1})

    first, second = (each.review for each in review([a_decision("BTCUSDT"), a_decision("ETHUSDT")], context))

    assert first.acts
    assert second.code == "max_positions"


def test_a_refused_entry_takes_no_room() -> None:
    context = a_context(limits={"max_positions": 1})
    wishes = [a_decision("BTCUSDT", stop_loss=None), a_decision("ETHUSDT")]

    assert [each.review.acts for each in review(wishes, context)] == [False, True]


def test_one_symbol_is_entered_once_however_often_it_is_asked_for() -> None:
    first, second = (each.review for each in review([long(), short()], ALL_FINE))

    assert first.acts
    assert second.code == "one_move"


def test_a_close_makes_room_for_an_entry_that_was_named_before_it() -> None:
    held = some_holdings(a_position("ETHUSDT", quantity="10"))
    context = a_context(limits={"max_positions": 1, "max_exposure_fraction": Decimal(1)}, holdings=held)
    entry, close = a_decision("BTCUSDT"), a_decision("ETHUSDT", action=Action.CLOSE)

    assert [each.review.acts for each in review([entry, close], context)] == [True, True]
    assert [each.review.acts for each in review([entry], context)] == [False]


def test_a_symbol_that_is_closed_is_not_entered_by_the_same_answer() -> None:
    close, entry = (each.review for each in review([a_decision(action=Action.CLOSE), short()], holding(a_position())))

    assert close.acts
    assert entry.code == "one_move"


# ---- moves: what a decision comes to, given what is held


def test_a_buy_where_nothing_is_held_opens() -> None:
    verdict = reviewed(long(), ALL_FINE)

    assert (verdict.move, verdict.reductions) == (Move.OPEN, ())


def test_a_buy_of_what_is_held_long_adds_with_a_stop_and_a_target_for_the_whole() -> None:
    verdict = reviewed(long(), holding(a_position(quantity="2")))

    assert (verdict.verdict, verdict.move, verdict.direction) == (Verdict.APPROVED, Move.ADD, LONG)
    assert (verdict.quantity, verdict.reductions) == (1, ())
    assert (verdict.stop_loss, verdict.take_profit) == (99, 104)


@pytest.mark.parametrize(
    ("context", "quantity", "cap"),
    [
        # of 5 that the whole may have, 2 are held
        (holding(a_position(quantity="2")), "3", "position_cap"),
        # the stop is 1 % away: a whole of 4 loses 4 of 1000
        (holding(a_position(quantity="2"), limits={"risk_per_trade": Decimal("0.004")}), "2", "risk_cap"),
        # all positions together may have 6, of which 2 and 1 are held
        (
            holding(
                a_position(quantity="2"),
                a_position("ETHUSDT"),
                limits={"max_exposure_fraction": Decimal("0.6"), "max_position_fraction": Decimal(1)},
            ),
            "3",
            "exposure_cap",
        ),
        # 300 are free and 100 have to stay; at 2x instead of 5x the 2 that are held tie up 60 more
        (
            a_context(holdings=some_holdings(a_position(quantity="2", leverage=5), available="300")),
            "2.8",
            "margin_cap",
        ),
    ],
)
def test_an_addition_is_clipped_to_what_the_whole_position_may_be(
    context: RiskContext, quantity: str, cap: str
) -> None:
    verdict = reviewed(long(allocation_usd=Decimal(10000)), context)

    assert (verdict.verdict, verdict.move, verdict.quantity) == (Verdict.CLIPPED, Move.ADD, Decimal(quantity))
    assert finding(verdict, "size").saw[cap] == f"{verdict.quantity * 100:.2f}"


def test_nothing_is_added_to_a_position_that_is_as_large_as_it_may_be() -> None:
    assert reviewed(long(), holding(a_position(quantity="4.951"))).code == "minimum_size"
    assert reviewed(long(), holding(a_position(quantity="4.95"))).quantity == Decimal("0.05")
    assert reviewed(long(), holding(a_position(quantity="7"))).code == "minimum_size"


def test_an_addition_takes_no_other_place_among_the_positions() -> None:
    context = holding(a_position(), limits={"max_positions": 1})

    assert reviewed(long(), context).move is Move.ADD


def test_a_sale_of_what_is_held_long_closes_it_and_opens_the_other_way() -> None:
    verdict = reviewed(short(), holding(a_position(quantity="2")))

    assert (verdict.verdict, verdict.move, verdict.direction) == (Verdict.APPROVED, Move.FLIP, SHORT)
    assert verdict.quantity == 1
    assert verdict.reductions == (Reduction(direction=LONG, quantities=(Decimal(2),), whole=True),)


def test_a_flip_opens_in_the_room_that_its_close_makes() -> None:
    tight = {"max_positions": 1, "max_exposure_fraction": Decimal("0.5")}
    held = some_holdings(a_position(quantity="5", leverage=2), available="750")
    context = a_context(limits=tight, holdings=held)

    # 250 come free of what was held at 2x
    assert reviewed(short(allocation_usd=Decimal(500)), context).quantity == 5
    assert reviewed(a_decision("ETHUSDT"), context).code == "max_positions"


def test_a_refused_flip_closes_nothing_and_makes_no_room() -> None:
    context = holding(a_position(), limits={"max_positions": 1})
    flip, other = (each.review for each in review([short(stop_loss=None), a_decision("ETHUSDT")], context))

    assert (flip.code, flip.reductions) == ("stop_required", ())
    assert other.code == "max_positions"


def test_a_flip_counts_no_more_than_the_position_it_leads_to() -> None:
    context = holding(a_position(quantity="5"), limits={"max_positions": 2, "max_exposure_fraction": Decimal("0.6")})
    flip, other = (each.review for each in review([short(), a_decision("ETHUSDT", allocation_usd=500)], context))

    assert flip.quantity == 1
    assert other.quantity == 5


def test_where_a_long_and_a_short_are_held_a_buy_closes_the_short_and_adds_to_the_long() -> None:
    verdict = reviewed(long(), holding(a_position(quantity="2"), a_position(direction=SHORT, quantity="3")))

    assert (verdict.move, verdict.direction, verdict.quantity) == (Move.FLIP, LONG, 1)
    assert verdict.reductions == (Reduction(direction=SHORT, quantities=(Decimal(3),), whole=True),)


def closing(usd: str) -> Decision:
    return a_decision(action=Action.CLOSE, allocation_usd=Decimal(usd))


@pytest.mark.parametrize("usd", ["0", "200", "1000"])
def test_a_close_of_nothing_in_particular_or_of_all_and_more_ends_the_position(usd: str) -> None:
    verdict = reviewed(closing(usd), holding(a_position(quantity="2")))

    assert (verdict.verdict, verdict.move, verdict.quantity) == (Verdict.APPROVED, Move.CLOSE, 2)
    assert verdict.reductions == (Reduction(direction=LONG, quantities=(Decimal(2),), whole=True),)


def test_a_close_of_less_than_the_position_reduces_it_by_that_much_on_the_step() -> None:
    verdict = reviewed(closing("60.09"), holding(a_position(direction=SHORT, quantity="2")))

    assert (verdict.verdict, verdict.move, verdict.quantity) == (Verdict.APPROVED, Move.REDUCE, Decimal("0.6"))
    assert verdict.reductions == (Reduction(direction=SHORT, quantities=(Decimal("0.6"),), whole=False),)


def test_a_reduction_never_leaves_less_than_the_smallest_order() -> None:
    leaves_enough = reviewed(closing("195"), holding(a_position(quantity="2")))
    leaves_dust = reviewed(closing("195.1"), holding(a_position(quantity="2")))

    assert (leaves_enough.move, leaves_enough.quantity) == (Move.REDUCE, Decimal("1.95"))
    assert (leaves_dust.verdict, leaves_dust.move, leaves_dust.quantity) == (Verdict.CLIPPED, Move.CLOSE, 2)


LONG_AND_SHORT = holding(a_position(), a_position(direction=SHORT))
REDUCTION = [
    # rule, just passes, just fails
    ("position_exists", (closing("50"), holding(a_position())), (closing("50"), ALL_FINE)),
    ("one_position", (closing("0"), LONG_AND_SHORT), (closing("50"), LONG_AND_SHORT)),
    (
        "filters_known",
        (closing("0"), holding(a_position(), instruments={})),
        (closing("50"), holding(a_position(), instruments={})),
    ),
    ("minimum_reduction", (closing("5"), holding(a_position())), (closing("4.99"), holding(a_position()))),
    (
        "minimum_reduction",
        (closing("50"), holding(a_position(), instruments={"BTCUSDT": an_instrument(min_quantity=Decimal("0.5"))})),
        (closing("49.9"), holding(a_position(), instruments={"BTCUSDT": an_instrument(min_quantity=Decimal("0.5"))})),
    ),
]


@pytest.mark.parametrize(("rule", "passing", "failing"), REDUCTION)
def test_a_close_passes_each_rule_up_to_its_bound_and_not_beyond(rule: str, passing: Case, failing: Case) -> None:
    assert reviewed(*passing).acts
    assert reviewed(*failing).code == rule


def test_a_long_and_a_short_are_closed_together() -> None:
    verdict = reviewed(closing("0"), holding(a_position(), a_position(direction=SHORT, quantity="2")))

    assert [(each.direction, each.quantities, each.whole) for each in verdict.reductions] == [
        (SHORT, (2,), True),
        (LONG, (1,), True),
    ]


def test_what_is_larger_than_the_largest_order_is_closed_by_several() -> None:
    context = holding(a_position(quantity="7"), instruments={"BTCUSDT": an_instrument(max_market_quantity=Decimal(3))})

    assert reviewed(closing("0"), context).reductions[0].quantities == (3, 3, 1)
    assert reviewed(closing("500"), context).reductions[0].quantities == (3, 2)
    assert reviewed(short(), context).reductions[0].quantities == (3, 3, 1)


def test_a_reduction_makes_room_by_what_it_closes() -> None:
    held = some_holdings(a_position("ETHUSDT", quantity="10"))
    context = a_context(limits={"max_exposure_fraction": Decimal(1)}, holdings=held)
    reduce = a_decision("ETHUSDT", Action.CLOSE, allocation_usd=Decimal(300))
    entry, _ = (each.review for each in review([a_decision(allocation_usd=Decimal(500)), reduce], context))

    assert entry.quantity == 3


def test_reviews_come_back_in_the_order_of_the_decisions() -> None:
    wishes = [a_decision("SOLUSDT"), a_decision("ETHUSDT", action=Action.HOLD), a_decision("BTCUSDT")]

    assert [each.decision for each in review(wishes, ALL_FINE)] == wishes


def test_a_refusal_names_the_first_rule_that_failed_and_tells_of_all_of_them() -> None:
    verdict = reviewed(long(confidence=Decimal("0.1"), stop_loss=None), ALL_FINE)

    assert verdict.code == "confidence"
    assert verdict.reason == "confidence 0.1 is below 0.5"
    assert [each.rule for each in verdict.findings if not each.passed] == [
        *("confidence", "stop_required", "stop_side", "stop_distance", "reward_to_risk"),
    ]


def test_the_ledger_carries_the_numbers_that_each_rule_saw() -> None:
    context = a_context(last_exits=exited(90), taker_fee=Decimal("0.0005"))
    seen = {each.rule: dict(each.saw) for each in reviewed(long(), context).findings}

    assert seen == {
        "account_active": {"status": "active"},
        "symbol_allowed": {"symbol": "BTCUSDT"},
        "symbol_trading": {"listed": "True"},
        "data_fresh": {"defect": "none"},
        "no_unsettled_order": {},
        "daily_loss": {"before": "1000", "equity": "1000", "loss": "0.0000", "limit": "0.05"},
        "drawdown": {"before": "1000", "equity": "1000", "loss": "0.0000", "limit": "0.20"},
        "confidence": {"confidence": "0.8", "min": "0.5"},
        "max_positions": {"open": "0", "max": "3"},
        "cooldown": {"last_exit": "LONG 2026-03-02T10:30:20+00:00", "wait": "0:15:00", "waited": "1:30:00"},
        "flip_cooldown": {"move": "open"},
        "funding": {"rate": "0.0001", "max": "0.001"},
        "stop_required": {},
        "stop_side": {"price": "100", "stop": "99.0"},
        "stop_distance": {"distance": "0.01000", "min": "0.002", "max": "0.10"},
        "target_side": {"price": "100", "target": "104.0"},
        "reward_to_risk": {"reward": "0.03900", "risk": "0.01100", "ratio": "3.545", "min": "1.2"},
        "stop_before_liquidation": {"distance": "0.01000", "reach": "0.39200", "leverage": "2"},
        "size": {
            "asked": "100",
            "position_cap": "500.00",
            "exposure_cap": "1500.00",
            "risk_cap": "1818.18",
            "margin_cap": "1798.20",
            "order_cap": "100000.00",
        },
        "minimum_size": {"quantity": "1.000", "notional": "100.00", "min_notional": "5", "min_quantity": "0.001"},
    }


def test_limits_left_at_their_defaults_still_limit() -> None:
    assert reviewed(long(allocation_usd=Decimal(10**9), leverage=125), ALL_FINE).quantity == 5
