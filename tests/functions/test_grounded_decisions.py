"""What a decision made up is one row to read, and costs the entry where the account's policy says so."""

import json
from decimal import Decimal

import pytest

from shared.domain.rules import Finding
from tests.house import House, built_house

SUPPORT = "Strong support at {far}."
QUOTE = "It is currently trading at {far}."


async def grounding_of(house: House, rationale: str) -> tuple[str, Finding]:
    """Run a cycle with a decision that says so, and return its verdict and the stored finding."""
    far = await house.mark("BTCUSDT") * Decimal("1.3")
    house.model.will_decide(await house.wish(rationale=rationale.format(far=f"{far:,.1f}")))
    await house.cycle()
    async with house.runtime.open_work() as work:
        [stored] = await work.decisions.of_cycle(house.request)
    [finding] = [each for each in stored.review.findings if each.rule == "grounding"]
    return stored.review.code or stored.review.verdict.value, finding


async def test_a_price_of_now_that_nobody_showed_refuses_the_entry(house: House) -> None:
    code, finding = await grounding_of(house, QUOTE)

    assert code == "grounding"
    assert "currently trading at" in finding.reason
    assert finding.saw["policy"] == "refuse_claims"
    assert await house.venue_orders() == []


async def test_what_the_reasoning_of_the_answer_makes_up_refuses_its_entries(house: House) -> None:
    answer = {"reasoning": "We are short already.", "decisions": [await house.wish(), await house.wish("ETHUSDT")]}
    house.model.answers.append(json.dumps(answer))

    outcome = await house.cycle()

    assert [each["code"] for each in outcome["decide"]["decisions"]] == ["grounding", "grounding"]


async def test_a_level_that_nobody_showed_is_written_down(house: House) -> None:
    code, finding = await grounding_of(house, SUPPORT)

    assert code == "approved"
    assert finding.saw["made_up_1"].startswith("support at ")
    assert finding.saw["prices_shown"]


async def test_a_decision_that_cites_nothing_is_not_flagged(house: House) -> None:
    code, finding = await grounding_of(house, "the trend is up")

    assert code == "approved"
    assert set(finding.saw) == {"policy", "prices_shown"}


@pytest.mark.parametrize(
    ("policy", "rationale", "outcome"),
    [("off", QUOTE, "approved"), ("flag", QUOTE, "approved"), ("refuse", SUPPORT, "grounding")],
)
async def test_the_account_says_what_refuses(database_url: str, policy: str, rationale: str, outcome: str) -> None:
    async with built_house(database_url, risk_grounding=policy) as house:
        assert (await grounding_of(house, rationale))[0] == outcome
