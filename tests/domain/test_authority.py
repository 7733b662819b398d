"""What an account may do: every limit has a way to become looser, and only the tighter is in force at once."""

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import Account, Breaker, Cap, Grounding, RiskLimits
from shared.domain.authority import ACCOUNT, LIMITS, MODEL, Terms, Way, granted, judge
from shared.domain.model import ModelOptions
from tests.builders import TICK, an_account

DAY = timedelta(days=1)
MONTH = Terms(mode="live", delay=DAY, lasts=30 * DAY)

LOOSER: dict[str, tuple[Any, Any]] = {
    "max_leverage": (5, 6),
    "max_position_fraction": (Decimal("0.5"), Decimal("0.6")),
    "max_exposure_fraction": (Decimal("1.5"), Decimal("1.6")),
    "max_positions": (3, 4),
    "risk_per_trade": (Decimal("0.02"), Decimal("0.03")),
    "min_margin_left": (Decimal("0.1"), Decimal("0.05")),
    "min_stop_distance": (Decimal("0.002"), Decimal("0.001")),
    "max_stop_distance": (Decimal("0.1"), Decimal("0.2")),
    "min_reward_to_risk": (Decimal("1.2"), Decimal(1)),
    "min_confidence": (Decimal("0.5"), Decimal("0.4")),
    "max_daily_loss": (Decimal("0.05"), Decimal("0.06")),
    "max_drawdown": (Decimal("0.2"), Decimal("0.3")),
    "cooldown": (timedelta(minutes=15), timedelta(minutes=5)),
    "flip_cooldown": (timedelta(minutes=60), timedelta(minutes=30)),
    "max_funding_rate": (Decimal("0.001"), Decimal("0.002")),
    "grounding": (Grounding.REFUSE_CLAIMS, Grounding.FLAG),
    "holding_time": (timedelta(hours=8), timedelta(hours=4)),
    "max_spread": (Decimal("0.002"), Decimal("0.003")),
    "max_price_move": (Decimal("0.005"), Decimal("0.006")),
    "max_quote_age": (timedelta(seconds=60), timedelta(seconds=90)),
    "min_flip_confidence": (Decimal("0.6"), Decimal("0.5")),
    "max_entries_per_day": (50, 51),
    "max_flips_per_day": (6, 7),
    "clip": ((Cap.RISK,), (Cap.RISK, Cap.MARGIN)),
    "max_exposure_held": (Decimal(2), Decimal(3)),
    "max_losses_in_a_row": (6, 7),
    "max_model_failures": (6, 7),
    "max_order_refusals": (6, 7),
    "global_max_daily_loss": (Decimal("0.05"), Decimal("0.06")),
    "global_max_drawdown": (Decimal("0.2"), Decimal("0.3")),
    "global_max_exposure_fraction": (Decimal("1.5"), Decimal(2)),
    "global_max_exposure_held": (Decimal(2), Decimal(3)),
    "cool_off": (timedelta(hours=4), timedelta(hours=1)),
    "lift_next_day": ((Breaker.DAILY_LOSS,), ()),
    "lift_by_hand": ((Breaker.DRAWDOWN, Breaker.EXPOSURE), (Breaker.DRAWDOWN,)),
    "flatten_on": ((Breaker.DRAWDOWN,), ()),
}
"""Each limit as it is, and as it would allow more: written by hand, and held against the table."""


def with_limit(name: str, value: Any) -> Account:
    return an_account(limits=replace(RiskLimits(), **{name: value}), authority_until=TICK + DAY)


def test_every_limit_that_there_is_has_a_way_and_an_example() -> None:
    assert LIMITS.keys() == {field.name for field in fields(RiskLimits)} == LOOSER.keys()
    assert MODEL.keys() == {field.name for field in fields(ModelOptions)}
    assert ACCOUNT.keys() == {field.name for field in fields(Account)} - {"limits", "model_options"}
    assert Way.FREE not in LIMITS.values()


@pytest.mark.parametrize("name", LOOSER)
def test_what_is_looser_waits_and_what_is_tighter_is_in_force_at_once(name: str) -> None:
    tight, loose = (with_limit(name, value) for value in LOOSER[name])

    raised, lowered = judge(tight, loose), judge(loose, tight)

    assert [words.partition(":")[0] for words in raised.raises] == [f"risk.{name}"]
    assert raised.now == tight
    if LIMITS[name] is not Way.OTHER:
        assert (lowered.now, lowered.raises) == (tight, ())


def test_of_a_change_that_is_both_only_what_is_tighter_is_in_force() -> None:
    current = an_account(limits=RiskLimits(max_leverage=5, max_positions=3), leverage=3)
    wanted = replace(current, limits=RiskLimits(max_leverage=2, max_positions=9), leverage=4, model="other/model")

    judged = judge(current, wanted)

    assert (judged.now.limits.max_leverage, judged.now.limits.max_positions) == (2, 3)
    assert (judged.now.leverage, judged.now.model) == (3, "other/model")
    assert judged.raises == ("risk.max_positions: 3 to 9", "leverage: 3 to 4")


@pytest.mark.parametrize(
    ("before", "after", "now", "waits"),
    [
        (("BTC", "ETH"), ("ETH",), ("ETH",), False),
        (("BTC",), ("ETH", "BTC"), ("BTC",), True),
        (("BTC",), ("ETH",), ("BTC",), True),  # rather than none at all
        (("BTC", "ETH"), ("ETH", "BTC"), ("ETH", "BTC"), False),
    ],
)
def test_a_symbol_more_waits_and_one_fewer_does_not(
    before: tuple[str, ...], after: tuple[str, ...], now: tuple[str, ...], waits: bool
) -> None:
    judged = judge(an_account(symbols=before), an_account(symbols=after))

    assert judged.now.symbols == now
    assert bool(judged.raises) is waits


@pytest.mark.parametrize(("before", "after", "waits"), [("1", "2", True), ("2", "1", False), ("1", None, True)])
def test_more_money_for_models_waits(before: str, after: str | None, waits: bool) -> None:
    current = an_account(model_options=ModelOptions(daily_budget=Decimal(before)))
    wanted = an_account(model_options=ModelOptions(daily_budget=Decimal(after) if after else None))

    judged = judge(current, wanted)

    assert bool(judged.raises) is waits
    assert judged.now == (current if waits else wanted)


def test_authority_that_nothing_is_said_of_stays_and_a_longer_one_waits() -> None:
    current = an_account(authority_until=TICK)

    silent = judge(current, an_account())
    longer = judge(current, an_account(authority_until=TICK + DAY))
    shorter = judge(current, an_account(authority_until=TICK - DAY))

    assert (silent.now.authority_until, silent.raises) == (TICK, ())
    assert (longer.now.authority_until, len(longer.raises)) == (TICK, 1)
    assert (shorter.now.authority_until, shorter.raises) == (TICK - DAY, ())


@pytest.mark.parametrize(
    ("wanted", "until"),
    [(None, 30 * DAY), (10 * DAY, 10 * DAY), (400 * DAY, 30 * DAY), (-DAY, -DAY)],
)
def test_authority_is_granted_for_no_longer_than_the_terms_say(wanted: timedelta | None, until: timedelta) -> None:
    account = an_account(authority_until=None if wanted is None else TICK + wanted)

    assert granted(account, an_account(), TICK, MONTH, adds=True).authority_until == TICK + until
    on_paper = granted(account, an_account(), TICK, Terms(mode="paper"), adds=True)
    assert on_paper.authority_until == account.authority_until


def test_raising_a_limit_extends_no_authority() -> None:
    current = an_account(authority_until=TICK + DAY)

    raised = granted(an_account(leverage=9), current, TICK, MONTH, adds=False)

    assert (raised.leverage, raised.authority_until) == (9, TICK + DAY)
