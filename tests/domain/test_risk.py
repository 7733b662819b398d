"""The risk review: every rule with the case that just passes it and the case that just fails it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import AccountStatus, Breaker, Cap, RiskLimits
from shared.domain.decision import Action, Decision, Move
from shared.domain.performance import Combined
from shared.domain.risk import Reduction, Review, Verdict, review
from shared.domain.rules import (
    ENTRY_RULES,
    GATE_RULES,
    SIZE_RULES,
    Exit,
    Finding,
    RiskContext,
    loss,
    payments,
    unsound,
)
from tests.builders import (
    LONG,
    SHORT,
    a_context,
    a_decision,
    a_free_quote,
    a_position,
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


def exited(direction: Any = LONG, limits: dict[str, Any] | None = None, **ago: Any) -> RiskContext:
    """A position ended so long ago."""
    last = Exit(at=a_context().now - timedelta(**ago), direction=direction)
    return a_context(limits=limits, last_exits={"BTCUSDT": last})


def entered(**ago: Any) -> RiskContext:
    """A LONG of 100 USD that was entered so long ago."""
    at = a_context().now - timedelta(**ago)
    return a_context(holdings=some_holdings(a_position()), last_entries={"BTCUSDT": at})


def shown(price: str) -> RiskContext:
    """Another price than that of now, which is 100."""
    return a_context(shown={"BTCUSDT": Decimal(price)})


def spreading(percent: str, reward_to_risk: str) -> RiskContext:
    half = Decimal(percent) / 2
    quote = a_free_quote(bid=100 - half, ask=100 + half)
    return a_context(limits={"min_reward_to_risk": Decimal(reward_to_risk)}, quotes={"BTCUSDT": quote})


def far(stop: str, **changes: Any) -> Decision:
    """With a stop far away, and a target three times as far."""
    distance = 100 - Decimal(stop)
    return a_decision(stop_loss=Decimal(stop), take_profit=100 + 3 * distance, **changes)


def worth(usd: str, asset: str = "BTCUSDT") -> Decision:
    return a_decision(asset, allocation_usd=Decimal(usd))


def beyond(usd: str) -> Decision:
    """Asks for the smallest amount more than that."""
    return a_decision(allocation_usd=Decimal(usd) + Decimal("1e-9"))


LARGEST_ORDER_IS_3 = {"BTCUSDT": an_instrument(max_market_quantity=Decimal(3))}


def holding(*positions: Any, **changes: Any) -> RiskContext:
    return a_context(holdings=some_holdings(*positions), **changes)


def with_funding(rate: str) -> RiskContext:
    return quoted(funding_rate=Decimal(rate))


def quoted(**changes: Any) -> RiskContext:
    return a_context(quotes={"BTCUSDT": a_free_quote(**changes)})


def with_positions(*symbols: str) -> RiskContext:
    return a_context(limits={"max_positions": 2}, holdings=some_holdings(*(a_position(symbol) for symbol in symbols)))


def among(day: str = "1000", peak: str = "1000", exposure: str = "0", **changes: Any) -> RiskContext:
    """With another account, worth 1000."""
    marks = {"day": Decimal(day), "peak": Decimal(peak), "exposure": Decimal(exposure)}
    return a_context(others=Combined(accounts=1, equity=Decimal(1000), **marks), **changes)


def refusing(*caps: Cap, **limits: Any) -> RiskContext:
    """Clips beyond all but these caps."""
    return a_context(limits=limits | {"clip": tuple(cap for cap in Cap if cap not in caps)})


ALL_FINE = a_context()
NOW = ALL_FINE.now
NOT_A_NUMBER = [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal("1e400")]
GATE = [
    # rule, just passes, just fails: the decision stays the same, the state of the account does not
    ("account_active", ALL_FINE, a_context(account=an_account(status=AccountStatus.PAUSED))),
    ("account_active", ALL_FINE, a_context(account=an_account(status=AccountStatus.HALTED))),
    ("breakers", ALL_FINE, a_context(tripped={Breaker.DRAWDOWN: "the account lost 20 % from its peak"})),
    ("symbol_allowed", ALL_FINE, replace(ALL_FINE, account=an_account(symbols=("ETHUSDT",)))),
    ("symbol_trading", ALL_FINE, a_context(instruments={"BTCUSDT": an_instrument(trading=False)})),
    ("symbol_trading", ALL_FINE, a_context(instruments={})),
    ("data_fresh", a_context(defects={"ETHUSDT": "gap"}), a_context(defects={"BTCUSDT": "gap"})),
    ("data_fresh", ALL_FINE, a_context(quotes={})),
    ("data_fresh", ALL_FINE, quoted(price="0")),
    ("data_fresh", ALL_FINE, quoted(price="NaN")),
    ("data_fresh", ALL_FINE, quoted(bid=Decimal("NaN"))),
    ("data_fresh", ALL_FINE, quoted(ask=Decimal("Infinity"))),
    ("data_fresh", ALL_FINE, with_funding("NaN")),
    (
        "data_fresh",
        quoted(at=NOW - timedelta(seconds=60)),
        quoted(at=NOW - timedelta(seconds=60, microseconds=1)),
    ),
    (
        "no_unsettled_order",
        a_context(unsettled=frozenset({"ETHUSDT"})),
        a_context(unsettled=frozenset({"BTCUSDT"})),
    ),
    # 5 % of 1050 is 52.5: an equity of 1000 has lost less, one of 997.5 exactly as much
    ("daily_loss", a_context(marks=some_marks(day="1050")), a_context(marks=some_marks(day="1052.632"))),
    (
        "daily_loss",
        a_context(marks=some_marks(day="1050"), holdings=some_holdings(equity="997.51")),
        a_context(marks=some_marks(day="1050"), holdings=some_holdings(equity="997.5")),
    ),
    ("drawdown", a_context(marks=some_marks(peak="1249.99")), a_context(marks=some_marks(peak="1250"))),
    ("drawdown", ALL_FINE, a_context(marks=some_marks(peak="0"))),
    ("daily_loss", ALL_FINE, a_context(holdings=some_holdings(equity="0"), marks=some_marks("0", "0"))),
    (
        "daily_loss",
        ALL_FINE,
        a_context(
            holdings=some_holdings(equity="0"), limits={"max_daily_loss": Decimal(1), "max_drawdown": Decimal(1)}
        ),
    ),
    # together 2000 are left: of 2105.26 that is just less than 5 % lost, of 2500 exactly 20 %
    ("global_daily_loss", among(day="1105.26"), among(day="1105.27")),
    ("global_drawdown", among(peak="1499.99"), among(peak="1500")),
    # the other account alone would be beyond it, both together are not
    ("global_daily_loss", among(day="1060"), among(day="1060", marks=some_marks(day="1049"))),
    ("global_drawdown", among(peak="1300"), among(peak="1300", marks=some_marks(peak="1200"))),
    ("numbers", ALL_FINE, a_context(holdings=some_holdings(equity="NaN"))),
    ("numbers", ALL_FINE, a_context(holdings=some_holdings(available="Infinity"))),
    ("numbers", ALL_FINE, a_context(holdings=some_holdings(a_position("ETHUSDT", quantity="NaN")))),
    ("numbers", ALL_FINE, a_context(marks=some_marks(day="NaN"))),
    ("numbers", ALL_FINE, a_context(marks=some_marks(peak="NaN"))),
    ("numbers", ALL_FINE, a_context(taker_fee=Decimal("NaN"))),
    ("numbers", ALL_FINE, a_context(shown={"BTCUSDT": Decimal("NaN")})),
    ("numbers", among(), among(day="NaN")),
    ("numbers", among(), among(peak="NaN")),
    ("numbers", among(), among(exposure="NaN")),
]


@pytest.mark.parametrize(("rule", "passing", "failing"), GATE)
def test_nothing_opens_in_an_account_or_a_market_that_is_not_fit_for_it(
    rule: str, passing: RiskContext, failing: RiskContext
) -> None:
    assert reviewed(long(), passing).acts
    assert reviewed(long(), failing).code == rule
    assert reviewed(long(), failing).verdict is Verdict.REFUSED


FEES = a_context(taker_fee=Decimal("0.0005"))
PAYING = quoted(funding_rate=Decimal("0.001"))
"""0.1 % to pay by whoever is long, once within eight hours."""
ENTRY = [
    # rule, just passes, just fails: at a price of 100 and, unless told otherwise, no fees
    *(("numbers", (long(), ALL_FINE), (long(allocation_usd=wrong), ALL_FINE)) for wrong in NOT_A_NUMBER),
    *(("numbers", (long(), ALL_FINE), (long(stop_loss=wrong), ALL_FINE)) for wrong in NOT_A_NUMBER),
    *(("numbers", (long(), ALL_FINE), (long(take_profit=wrong), ALL_FINE)) for wrong in NOT_A_NUMBER),
    *(("numbers", (long(), ALL_FINE), (long(confidence=wrong), ALL_FINE)) for wrong in NOT_A_NUMBER),
    (
        "numbers",
        (long(allocation_usd=Decimal(10**18)), ALL_FINE),
        (long(allocation_usd=Decimal(10**18) + 1), ALL_FINE),
    ),
    ("numbers", (long(leverage=10**18), ALL_FINE), (long(leverage=10**18 + 1), ALL_FINE)),
    ("confidence", (long(confidence=Decimal("0.5")), ALL_FINE), (long(confidence=Decimal("0.49999")), ALL_FINE)),
    (
        "confidence",
        (short(confidence=Decimal("0.6")), holding(a_position())),
        (short(confidence=Decimal("0.59999")), holding(a_position())),
    ),
    (
        "confidence",  # turning around never needs less than going on does
        (short(confidence=Decimal("0.7")), holding(a_position(), limits={"min_confidence": Decimal("0.7")})),
        (short(confidence=Decimal("0.69")), holding(a_position(), limits={"min_confidence": Decimal("0.7")})),
    ),
    ("confidence", (long(confidence=Decimal("0.5")), holding(a_position())), (long(confidence=Decimal(0)), ALL_FINE)),
    ("price_move", (long(), shown("100.5024")), (long(), shown("100.5026"))),
    ("price_move", (long(), shown("99.5025")), (long(), shown("99.5024"))),
    (
        "price_move",  # to the limit, exactly
        (long(), replace(shown("80"), account=an_account(limits=RiskLimits(max_price_move=Decimal("0.25"))))),
        (long(), replace(shown("79.99"), account=an_account(limits=RiskLimits(max_price_move=Decimal("0.25"))))),
    ),
    ("price_move", (long(), ALL_FINE), (long(), a_context(shown={}))),
    ("price_move", (long(), ALL_FINE), (long(), shown("0"))),
    ("spread", (long(), quoted(bid=Decimal("99.9"))), (long(), quoted(bid=Decimal("99.79")))),
    ("spread", (long(), spreading("0.2", "1.5")), (long(), spreading("0.200001", "1.5"))),
    ("spread", (long(), ALL_FINE), (long(), quoted(bid=None))),
    ("spread", (long(), ALL_FINE), (long(), quoted(ask=None))),
    ("spread", (long(), ALL_FINE), (long(), quoted(bid=Decimal("100.01")))),
    ("max_positions", (long(), with_positions("ETHUSDT")), (long(), with_positions("ETHUSDT", "SOLUSDT"))),
    ("max_positions", (long(), with_positions("ETHUSDT", "BTCUSDT")), (long(), with_positions("ETHUSDT", "SOLUSDT"))),
    ("entries_today", (long(), a_context(entries_today=49)), (long(), a_context(entries_today=50))),
    (
        "flips_today",
        (short(), holding(a_position(), flips_today=5)),
        (short(), holding(a_position(), flips_today=6)),
    ),
    ("flips_today", (long(), holding(a_position(), flips_today=6)), (short(), holding(a_position(), flips_today=6))),
    ("flip_cooldown", (short(), entered(hours=1)), (short(), entered(minutes=59, seconds=59))),
    ("flip_cooldown", (long(), entered()), (short(), entered())),
    ("cooldown", (long(), exited(minutes=15)), (long(), exited(minutes=14, seconds=59))),
    ("cooldown", (short(), exited(hours=1)), (short(), exited(minutes=59, seconds=59))),
    ("cooldown", (short(), exited(SHORT, minutes=15)), (short(), exited(SHORT, minutes=14, seconds=59))),
    (
        "cooldown",  # a flip never waits less than going on the same way does
        (short(), exited(hours=2, limits={"cooldown": timedelta(hours=2)})),
        (short(), exited(minutes=119, limits={"cooldown": timedelta(hours=2)})),
    ),
    ("funding", (long(), with_funding("0.001")), (long(), with_funding("0.001000001"))),
    ("funding", (short(), with_funding("-0.001")), (short(), with_funding("-0.001000001"))),
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
    # (1.5 - 0.1) / (1 + 0.1) is 1.27, (1.4 - 0.1) / (1 + 0.1) is 1.18: two fees, a spread or funding of 0.1 %
    ("reward_to_risk", (long(take_profit=Decimal("101.5")), FEES), (long(take_profit=Decimal("101.4")), FEES)),
    (
        "reward_to_risk",
        (long(take_profit=Decimal("101.5")), spreading("0.1", "1.2")),
        (long(take_profit=Decimal("101.4")), spreading("0.1", "1.2")),
    ),
    ("reward_to_risk", (long(take_profit=Decimal("101.5")), PAYING), (long(take_profit=Decimal("101.4")), PAYING)),
    # what funding brings in is not reckoned with
    (
        "reward_to_risk",
        (short(take_profit=Decimal("98.8")), PAYING),
        (short(take_profit=Decimal("98.9")), PAYING),
    ),
    (
        "leverage_cap",
        (long(leverage=5), refusing(Cap.LEVERAGE)),
        (long(leverage=6), refusing(Cap.LEVERAGE)),
    ),
    (
        "liquidation_cap",  # at 10x: 80 % of (10 % less 1 % maintenance margin) is 7.2 % away
        (far("92.8", leverage=10), refusing(Cap.LIQUIDATION, max_leverage=10)),
        (far("92.7", leverage=10), refusing(Cap.LIQUIDATION, max_leverage=10)),
    ),
    (
        "liquidation_cap",  # even without any leverage: 80 % of 99 % is 79.2 % away
        (far("20.8"), a_context(limits={"max_stop_distance": Decimal(1)})),
        (far("20.7"), a_context(limits={"max_stop_distance": Decimal(1)})),
    ),
    (
        "position_cap",
        (long(allocation_usd=Decimal(500)), refusing(Cap.POSITION)),
        (beyond("500"), refusing(Cap.POSITION)),
    ),
    (
        "exposure_cap",
        (worth("300"), refusing(Cap.EXPOSURE, max_exposure_fraction=Decimal("0.3"))),
        (beyond("300"), refusing(Cap.EXPOSURE, max_exposure_fraction=Decimal("0.3"))),
    ),
    (
        "risk_cap",
        (worth("200"), refusing(Cap.RISK, risk_per_trade=Decimal("0.002"))),
        (beyond("200"), refusing(Cap.RISK, risk_per_trade=Decimal("0.002"))),
    ),
    (
        "margin_cap",
        (worth("200"), refusing(Cap.MARGIN, min_margin_left=Decimal("0.9"))),
        (beyond("200"), refusing(Cap.MARGIN, min_margin_left=Decimal("0.9"))),
    ),
    (
        "order_cap",
        (worth("300"), replace(refusing(Cap.ORDER), instruments=LARGEST_ORDER_IS_3)),
        (beyond("300"), replace(refusing(Cap.ORDER), instruments=LARGEST_ORDER_IS_3)),
    ),
    (
        "global_exposure_cap",  # 1.5 times 2000, less the 2800 of the other account
        (
            long(allocation_usd=Decimal(200)),
            replace(refusing(Cap.GLOBAL_EXPOSURE), others=among(exposure="2800").others),
        ),
        (beyond("200"), replace(refusing(Cap.GLOBAL_EXPOSURE), others=among(exposure="2800").others)),
    ),
    # already beyond a cap, nothing is left to clip to
    ("global_exposure_cap", (long(), among(exposure="2900")), (long(), among(exposure="3000.01"))),
    ("position_cap", (long(), holding(a_position(quantity="4"))), (long(), holding(a_position(quantity="5.001")))),
    ("minimum_size", (long(allocation_usd=Decimal(5)), ALL_FINE), (long(allocation_usd=Decimal("4.9")), ALL_FINE)),
    ("minimum_size", (long(), ALL_FINE), (long(allocation_usd=Decimal(-100)), ALL_FINE)),
]
Case = tuple[Decision, RiskContext]


@pytest.mark.parametrize(("rule", "passing", "failing"), ENTRY)
def test_an_entry_passes_each_rule_up_to_its_bound_and_not_beyond(rule: str, passing: Case, failing: Case) -> None:
    assert reviewed(*passing).acts
    assert reviewed(*failing).code == rule


def test_every_rule_there_is_has_a_case_that_just_passes_it_and_one_that_just_fails_it() -> None:
    tried = {rule for rule, *_ in (*GATE, *ENTRY)}
    told = [each.rule for each in reviewed(long(), ALL_FINE).findings]

    assert set(told) - tried == {"one_move"}  # which takes two decisions, and has a test of its own
    assert sorted(told) == sorted(["one_move", "numbers", *GATE_RULES, *ENTRY_RULES, *SIZE_RULES])
    assert {rule for rule, *_ in REDUCTION} >= {
        each.rule for each in reviewed(closing("50"), holding(a_position(quantity="2"))).findings
    } - {"one_move"}


@pytest.mark.parametrize("case", [*(case[2] for case in ENTRY), *((long(), case[2]) for case in GATE)])
def test_the_ledger_of_a_refusal_tells_of_every_rule_and_the_first_that_failed_is_the_code(case: Case) -> None:
    verdict = reviewed(*case)
    failed = [each for each in verdict.findings if not each.passed]

    assert sorted(each.rule for each in verdict.findings) == sorted(
        ["one_move", "numbers", *GATE_RULES, *ENTRY_RULES, *SIZE_RULES]
    )
    assert (failed[0].rule, failed[0].reason) == (verdict.code, verdict.reason)
    assert all(each.reason for each in failed)
    assert all(not each.reason and each.judged for each in verdict.findings if each.passed)
    assert failed[0].judged


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
    assert finding(verdict, cap).saw["cap"] == f"{verdict.quantity * 100:.2f}"


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
        tripped={Breaker.DRAWDOWN: "the account lost 20 % from its peak"},
        quotes={},
        instruments={},
        defects={"BTCUSDT": "gap"},
        unsettled=frozenset({"BTCUSDT"}),
        last_exits=exited().last_exits,
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
    assert finding(verdict, cap).saw["cap"] == f"{verdict.quantity * 100:.2f}"


def test_nothing_is_added_to_a_position_that_is_as_large_as_it_may_be() -> None:
    assert reviewed(long(), holding(a_position(quantity="4.951"))).code == "minimum_size"
    assert reviewed(long(), holding(a_position(quantity="4.95"))).quantity == Decimal("0.05")
    assert reviewed(long(), holding(a_position(quantity="7"))).code == "position_cap"


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
    flip, other = (
        each.review for each in review([short(), a_decision("ETHUSDT", allocation_usd=Decimal(500))], context)
    )

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
    *(
        ("numbers", (closing("50"), holding(a_position())), (closing(str(wrong)), holding(a_position())))
        for wrong in NOT_A_NUMBER
    ),
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
    assert [each.rule for each in verdict.findings if not each.passed and each.judged] == [
        *("confidence", "stop_required", "stop_side", "stop_distance", "reward_to_risk"),
    ]
    assert [each.rule for each in verdict.findings if not each.judged] == list(SIZE_RULES)


def test_the_ledger_carries_the_numbers_that_each_rule_saw() -> None:
    context = replace(
        exited(minutes=90), taker_fee=Decimal("0.0005"), unsettled=frozenset({"ETHUSDT"}), entries_today=7
    )
    seen = {each.rule: dict(each.saw) for each in reviewed(long(), context).findings}

    assert seen == {
        "one_move": {"symbol": "BTCUSDT"},
        "numbers": {},
        "account_active": {"status": "active"},
        "breakers": {},
        "symbol_allowed": {"symbol": "BTCUSDT"},
        "symbol_trading": {"listed": "True"},
        "data_fresh": {"age": "0:00:20", "max_age": "0:01:00", "defect": "none"},
        "no_unsettled_order": {"unsettled": "ETHUSDT"},
        "daily_loss": {"before": "1000", "equity": "1000", "loss": "0.0000", "limit": "0.05"},
        "drawdown": {"before": "1000", "equity": "1000", "loss": "0.0000", "limit": "0.20"},
        "global_daily_loss": {"accounts": "1"},
        "global_drawdown": {"accounts": "1"},
        "confidence": {"confidence": "0.8", "min": "0.5", "move": "open"},
        "price_move": {"shown": "100", "now": "100", "max": "0.005"},
        "spread": {"bid": "100", "ask": "100", "max": "0.002"},
        "max_positions": {"open": "0", "max": "3"},
        "entries_today": {"today": "7", "max": "50"},
        "flips_today": {"move": "open"},
        "cooldown": {"last_exit": "LONG 2026-03-02T10:30:20+00:00", "wait": "0:15:00", "waited": "1:30:00"},
        "flip_cooldown": {"move": "open"},
        "funding": {"rate": "0", "max": "0.001"},
        "stop_required": {"stop": "99.0"},
        "stop_side": {"price": "100", "stop": "99.0"},
        "stop_distance": {"distance": "0.01000", "min": "0.002", "max": "0.10"},
        "target_side": {"price": "100", "target": "104.0"},
        "reward_to_risk": {
            "reward": "0.03900",
            "risk": "0.01100",
            "trading_costs": "0.00100",
            "funding_costs": "0.00000",
            "ratio": "3.545",
            "min": "1.2",
        },
        "leverage_cap": {"asked": "2.00", "cap": "5.00", "beyond": "clipped"},
        "liquidation_cap": {"asked": "2.00", "cap": "44.00", "beyond": "clipped"},
        "position_cap": {"asked": "100.00", "cap": "500.00", "beyond": "clipped"},
        "exposure_cap": {"asked": "100.00", "cap": "1500.00", "beyond": "clipped"},
        "global_exposure_cap": {"accounts": "1"},
        "risk_cap": {"asked": "100.00", "cap": "1818.18", "beyond": "clipped"},
        "margin_cap": {"asked": "100.00", "cap": "1798.20", "beyond": "clipped"},
        "order_cap": {"asked": "100.00", "cap": "100000.00", "beyond": "clipped"},
        "minimum_size": {"quantity": "1.000", "notional": "100.00", "min_notional": "5", "min_quantity": "0.001"},
    }


def test_limits_left_at_their_defaults_still_limit() -> None:
    assert reviewed(long(allocation_usd=Decimal(10**9), leverage=125), ALL_FINE).quantity == 5


# ---- the sums


@pytest.mark.parametrize(
    ("first_in", "every", "span", "times"),
    [
        (4, 8, 4, 1),  # on the dot
        (4, 8, 3.99, 0),
        (4, 8, 12, 2),
        (4, None, 12, 2),  # every eight hours where nobody tells
        (4, None, 11.99, 1),
        (1, 1, 8, 8),
        (-1, 8, 8, 1),  # what was due an hour ago is over; the next is due in seven
        (-1, 8, 6.99, 0),
        (0, 8, 8, 1),
        (9, 1, 8, 0),
    ],
)
def test_funding_is_paid_at_each_of_its_times_within_the_span(
    first_in: float, every: float | None, span: float, times: int
) -> None:
    quote = a_free_quote(
        next_funding_at=NOW + timedelta(hours=first_in),
        funding_interval=None if every is None else timedelta(hours=every),
    )

    assert payments(quote, NOW, timedelta(hours=span)) == times


def test_funding_counts_as_often_as_it_is_paid() -> None:
    quote = a_free_quote(funding_rate=Decimal("0.001"), funding_interval=timedelta(hours=1))
    context = a_context(quotes={"BTCUSDT": quote}, limits={"holding_time": timedelta(hours=6)})

    # the first in four hours, less the twenty seconds since the tick
    assert finding(reviewed(long(), context), "reward_to_risk").saw["funding_costs"] == "0.00300"


def test_a_loss_is_a_share_of_what_there_was_and_everything_where_there_was_nothing() -> None:
    assert loss(Decimal("0.5"), Decimal("0.25")) == Decimal("0.5")
    assert loss(Decimal(0), Decimal(5)) == 1
    assert loss(Decimal(-1), Decimal(5)) == 1


def test_a_price_may_be_as_small_as_it_likes_above_zero() -> None:
    assert unsound(a_free_quote(price="0.5")) is None
    assert unsound(a_free_quote(price="0")) == "no price"


def test_bad_data_is_told_as_it_is_even_where_it_is_old_too() -> None:
    context = a_context(defects={"BTCUSDT": "gap"}, quotes={"BTCUSDT": a_free_quote(at=NOW - timedelta(hours=1))})
    found = finding(reviewed(long(), context), "data_fresh")

    assert (found.saw["defect"], found.reason) == ("gap", "market data cannot be trusted: gap")


def test_the_ledger_says_of_each_cap_whether_it_clips_or_refuses() -> None:
    verdict = reviewed(long(), refusing(Cap.POSITION))

    assert finding(verdict, "position_cap").saw["beyond"] == "refused"
    assert finding(verdict, "risk_cap").saw["beyond"] == "clipped"
    assert finding(verdict, "no_unsettled_order").saw == {"unsettled": "none"}


def test_what_is_held_moves_nothing() -> None:
    verdict = reviewed(a_decision(action=Action.HOLD), ALL_FINE)

    assert (verdict.quantity, verdict.price, verdict.leverage, verdict.reductions) == (0, 0, 0, ())


def test_a_refused_decision_does_not_use_up_the_move_of_its_symbol() -> None:
    first, second = (each.review for each in review([long(stop_loss=None), long()], ALL_FINE))

    assert (first.acts, second.acts) == (False, True)


def test_a_close_of_a_dollar_is_no_close_of_everything() -> None:
    assert reviewed(closing("1"), holding(a_position(quantity="2"))).code == "minimum_reduction"


def test_a_close_makes_room_for_exactly_what_it_closed() -> None:
    wide = {"max_exposure_fraction": Decimal(1), "max_position_fraction": Decimal(5), "risk_per_trade": Decimal(1)}
    context = holding(a_position("ETHUSDT", quantity="9"), limits=wide)
    wishes = [worth("5000"), a_decision("ETHUSDT", action=Action.CLOSE)]

    assert review(wishes, context)[0].review.quantity == 10


@pytest.mark.parametrize(("usd", "move"), [("150", Move.REDUCE), ("151", Move.CLOSE)])
def test_a_reduction_leaves_the_smallest_quantity_or_nothing(usd: str, move: Move) -> None:
    least = {"BTCUSDT": an_instrument(min_quantity=Decimal("0.5"))}

    assert reviewed(closing(usd), holding(a_position(quantity="2"), instruments=least)).move is move


def test_flips_of_one_answer_count_and_what_is_no_flip_does_not() -> None:
    held = some_holdings(a_position("BTCUSDT"), a_position("ETHUSDT"))
    context = a_context(holdings=held, flips_today=5)
    flips = [a_decision(symbol, action=Action.SELL) for symbol in ("BTCUSDT", "ETHUSDT")]

    assert [each.review.code for each in review(flips, context)] == [None, "flips_today"]
    assert [each.review.code for each in review([a_decision("SOLUSDT"), flips[0]], context)] == [None, None]
