"""How much of its limits an account uses: as the review and the breakers reckon it."""

from dataclasses import replace
from decimal import Decimal

from shared.domain.account import Breaker
from shared.domain.breakers import Figures
from shared.domain.model import ModelOptions
from shared.domain.performance import Combined
from shared.domain.usage import Effect, Today, Usage, usages
from tests.builders import SHORT, a_position, an_account, some_marks

FIGURES = Figures(
    equity=Decimal(1000),
    marks=some_marks(day="1010", peak="1250"),
    exposure=Decimal(700),
    others=None,
    losses=3,
    model_failures=0,
    order_refusals=1,
)
TODAY = Today(entries=10, flips=3, model_money=Decimal("0.6"))
HELD = [a_position(quantity="4"), a_position(quantity="1", direction=SHORT), a_position("ETHUSDT", quantity="2")]


def told(**changes: object) -> dict[str, Usage]:
    account = an_account(model_options=ModelOptions(daily_budget=Decimal(2)))
    found = usages(account, replace(FIGURES, **changes), HELD, TODAY, {Breaker.DRAWDOWN: "fell"})
    return {usage.limit: usage for usage in found}


def test_each_limit_tells_what_is_used_and_what_is_allowed() -> None:
    used = told()

    assert {name: (usage.used, usage.share) for name, usage in used.items()} == {
        "max_leverage": (2, Decimal("0.4")),
        "max_positions": (2, Decimal(2) / 3),  # both directions of a symbol are one
        "max_position_fraction": (Decimal("0.4"), Decimal("0.8")),
        "max_exposure_fraction": (Decimal("0.7"), Decimal("0.7") / Decimal("1.5")),
        "max_entries_per_day": (10, Decimal("0.2")),
        "max_flips_per_day": (3, Decimal("0.5")),
        "daily_loss": (Decimal(10) / 1010, Decimal(10) / 1010 / Decimal("0.05")),
        "drawdown": (Decimal("0.2"), 1),
        "exposure": (Decimal("0.7"), Decimal("0.35")),
        "losing_streak": (3, Decimal("0.5")),
        "model_failures": (0, 0),
        "order_refusals": (1, Decimal(1) / 6),
        "daily_budget": (Decimal("0.6"), Decimal("0.3")),
    }
    assert {usage.effect for usage in used.values()} == {Effect.ENTRIES, Effect.BREAKER, Effect.MODEL}
    assert {name for name, usage in used.items() if usage.standing} == {"drawdown"}


def test_a_gain_uses_nothing_of_a_loss() -> None:
    assert told(equity=Decimal(2000))["daily_loss"].used == 0


def test_what_all_accounts_share_is_told_where_there_are_several() -> None:
    others = Combined(accounts=1, equity=Decimal(1000), day=Decimal(1000), peak=Decimal(1000), exposure=Decimal(300))

    used = told(others=others)

    assert used["global_max_exposure_fraction"].used == Decimal("0.5")
    assert used["global_exposure"].used == Decimal("0.5")


def test_of_an_account_that_is_worth_nothing_no_share_can_be_told() -> None:
    used = told(equity=Decimal(0))

    assert (used["max_exposure_fraction"].used, used["exposure"].used, used["exposure"].share) == (None, None, None)


def test_without_a_limit_there_is_no_share_of_it() -> None:
    [*_, budget] = usages(an_account(), FIGURES, [], TODAY, {})

    assert (budget.used, budget.allowed, budget.share) == (Decimal("0.6"), None, None)
