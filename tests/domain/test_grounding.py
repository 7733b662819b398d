"""What a decision cites was shown to the model, or is told to be made up; what it does not cite is left alone."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import Grounding
from shared.domain.decision import Action, Condition, Decision, ExitPlan, Invalidation
from shared.domain.grounding import Shown, ground, levels, shown
from shared.domain.market import Timeframe
from shared.domain.risk import Verdict, review
from shared.domain.rules import Finding
from tests.builders import a_context, a_decision

BRIEFING: dict[str, Any] = {
    "time": "2026-03-02T12:00:05+00:00",
    "account": {"equity": "10000.00"},
    "positions": [
        {
            "asset": "ETHUSDT",
            "side": "LONG",
            "entry_price": "3105.5",
            "mark_price": "3180.2",
            "stop_loss": "3011",
            "liquidation_price": None,
        }
    ],
    "open_orders": [{"asset": "ETHUSDT", "price": "3011"}],
    "recent_fills": [{"asset": "BTCUSDT", "price": "61999.5"}],
    "market": {
        "BTCUSDT": {
            "mark_price": "64187.3",
            "index_price": "64190.1",
            "funding_rate": "0.000125",
            "timeframes": {
                "5m": {
                    "series": {
                        "close": [63900.0, 64010.5, 64187.0],
                        "ema_20": [63800.1, 63850.2, 63900.3],
                        "bb_upper": [64500.0, 64555.5, 64620.25],
                        "rsi_14": [None, 61.2, 66.4],
                        "rsi_7": [70.0, 72.1, 78.9],
                        "macd": [-12.5, -8.25, -3.125],
                        "atr_14": [120.5, 121.5, 122.5],
                        "adx_14": [31.5, 32.0, 32.75],
                    }
                },
                "4h": {"series": {"close": [60150.0, 63000.0, 64187.0], "rsi_14": [55.0, 58.0, 59.5]}},
            },
        },
        "ETHUSDT": {
            "mark_price": "3180.2",
            "funding_rate": "-0.00031",
            "timeframes": {"5m": {"series": {"close": [3170.1, 3180.0], "rsi_14": [40.0, 41.5]}}},
        },
    },
}
SEEN = shown(BRIEFING)


def decision(rationale: str = "", plan: str = "", **changes: Any) -> Decision:
    usual = a_decision(stop_loss=Decimal(63000), take_profit=Decimal(66500), rationale=rationale)
    return replace(usual, exit_plan=ExitPlan(text=plan), **changes)


def made_up(found: Finding) -> list[str]:
    return [text for name, text in found.saw.items() if name.startswith("made_up")]


def flags(rationale: str, plan: str = "", seen: Shown = SEEN, **changes: Any) -> list[str]:
    return made_up(ground(decision(rationale, plan, **changes), seen, Grounding.FLAG))


@pytest.mark.parametrize(
    "rationale",
    [
        "The trend is up and momentum is strong.",
        "Price holds above EMA20 at 63,900 with RSI 66 and ADX of 32.",
        "RSI(14) at 66.4, RSI7 is 79, 4h RSI 59.5; MACD -3.1 and rising.",
        "rsi_14 = 61.2, ema_20 = 63850, atr_14 = 121.5",
        "Mark price 64,187 sits below the upper band at 64,620.",
        "Currently trading at $64.2k, near the top of 60,150 to 64,620.",
        "Bounced off support at 63,000; last fill was at 61,999.5.",
        "Stop at 63,000 and target at 66,500, reward to risk 2.0.",
        "RSI above 70 would be overbought; RSI < 30 oversold. Leave if RSI crosses 50.",
        "EMA 20 above EMA 50, RSI 14 rising, SMA 200 far below, ATR 14 quiet.",
        "A 2% move within 12 candles; 5m and 4h agree; 1.5 ATR stop; 3x leverage; 20-period average.",
        "On 2026-03-02 at 12:00 funding was 0.01%.",
        "ETH at 3,180 confirms; ETH trading at 3180.2.",
        "No existing long position, so a new long position may be opened.",
        "There is no current short position; we are long-term bullish; short-term trend is up.",
        "Volume of 70000 contracts is high. Confidence 0.8, risk 150 USD.",
        "Our existing long position in ETH is correlated.",
    ],
)
def test_what_was_shown_or_is_no_citation_is_not_flagged(rationale: str) -> None:
    assert flags(rationale) == []


@pytest.mark.parametrize(
    ("rationale", "said"),
    [
        ("Strong support at 58,200 below.", "support at 58,200"),
        ("Resistance at $71,500 is far.", "Resistance at $71,500"),
        ("It broke 67,250 with force.", "67,250"),
        ("RSI 71 shows strength on the 4h chart, rsi(14) at 21.5.", "rsi(14) at 21.5"),
        ("RSI at 88.", "RSI at 88"),
        ("MACD = 45.5 turned up.", "MACD = 45.5"),
        ("EMA20 at 61,000 holds.", "EMA20 at 61,000"),
        ("OBV at 123456.7 climbs.", "OBV at 123456.7"),
        ("The mark price is 70,125.5 now.", "mark price is 70,125.5"),
        ("BTC is currently trading at $69,800.", "currently trading at $69,800"),
        ("Our existing short position needs cover.", "Our existing short position"),
        ("We are already short here.", "We are already short"),
    ],
)
def test_what_was_made_up_is_flagged_with_where_it_was_looked_for(rationale: str, said: str) -> None:
    found = flags(rationale)

    assert [text.split(": ")[0] for text in found] == [said]
    assert all(len(text.split(": ", 1)[1]) > 5 for text in found)


def test_a_plan_in_words_is_searched_too() -> None:
    assert flags("", "leave below support at 52,500") == [
        "support at 52,500: prices shown: 60150.0 to 64620.25",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_loss": Decimal(31000)},
        {"take_profit": Decimal(120000)},
    ],
)
def test_a_level_of_no_such_market_is_a_claim(changes: dict[str, Any]) -> None:
    found = ground(decision(**changes), SEEN, Grounding.REFUSE_CLAIMS)

    assert not found.passed
    assert "the price shown is 64187.3" in found.reason


def test_an_invalidation_of_no_such_market_is_a_claim() -> None:
    rule = Invalidation(timeframe=Timeframe.M5, condition=Condition.CLOSE_BELOW, price=Decimal(30))
    far = replace(decision(), exit_plan=ExitPlan(text="", invalidation=rule))

    assert not ground(far, SEEN, Grounding.REFUSE_CLAIMS).passed


@pytest.mark.parametrize(
    ("policy", "cited", "claimed"),
    [
        (Grounding.OFF, True, True),
        (Grounding.FLAG, True, True),
        (Grounding.REFUSE_CLAIMS, True, False),
        (Grounding.REFUSE, False, False),
    ],
)
def test_the_policy_says_what_refuses(policy: Grounding, cited: bool, claimed: bool) -> None:
    assert ground(decision("support at 58,200"), SEEN, policy).passed is cited
    assert ground(decision("currently trading at 58,200"), SEEN, policy).passed is claimed


@pytest.mark.parametrize("policy", list(Grounding))
def test_a_close_or_a_hold_is_never_refused(policy: Grounding) -> None:
    for action in (Action.CLOSE, Action.HOLD):
        idle = replace(decision("We are already short at 58,200."), action=action, stop_loss=None, take_profit=None)
        assert ground(idle, SEEN, policy).passed


def test_off_looks_for_nothing() -> None:
    assert made_up(ground(decision("RSI at 3"), SEEN, Grounding.OFF)) == []


def test_what_a_tool_answered_was_shown() -> None:
    seen = shown(BRIEFING, ['{"timeframe": "1d", "values": {"rsi_14": 24.44, "sma_200": 52525.5}}'])

    assert flags("1d RSI at 24.4 and SMA200 at 52,525; support at 52,525.5", seen=seen) == []
    assert len(flags("1d RSI at 24.4 and SMA200 at 52,525; support at 52,525.5")) == 3


def test_an_asset_that_was_not_shown_has_no_prices_to_cite() -> None:
    assert flags("support at 0.2, RSI 55", asset="DOGEUSDT") == ["RSI 55: it was not shown"]


def test_the_finding_is_part_of_the_review_and_refuses_an_entry() -> None:
    wanted = replace(a_decision(), rationale="Currently trading at 170.")
    seen = shown({"market": {"BTCUSDT": {"mark_price": "100", "timeframes": {}}}})
    found = ground(wanted, seen, Grounding.REFUSE_CLAIMS)

    [reviewed] = review([wanted], a_context(), prior={"BTCUSDT": [found]})

    assert (reviewed.review.verdict, reviewed.review.code) == (Verdict.REFUSED, "grounding")
    assert reviewed.review.reason == "Currently trading at 170: prices shown: BTCUSDT 100 to 100"
    assert found in reviewed.review.findings


@pytest.mark.parametrize(
    "text", ["9" * 2000, "1," * 1000, "rsi " * 500, "support at " * 180, "mark price is " * 140, "no any " * 280]
)
def test_a_search_of_text_that_repeats_itself_comes_to_an_end_and_to_a_finding(text: str) -> None:
    assert ground(decision(text), SEEN, Grounding.REFUSE).rule == "grounding"


@pytest.mark.parametrize(
    "text",
    [
        "it moves between 63,900 and 64,200",
        "a range of 63.9k-64.2k",
        "stuck from 63.9 to 64.2k",
        "trading between 64,000 and 64,500",
        "now between 60k and 70k",
        "waiting 5-10 candles, risking 1-2% of it",
        "the range of 3 to 4 days",
        "the 14-20 period averages",
    ],
)
def test_a_range_that_was_shown_or_is_none_of_prices_is_grounded(text: str) -> None:
    assert flags(text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("support between 71k and 72k", "between 71k and 72k"),
        ("the zone of 71,000-72,000 holds", "zone of 71,000-72,000"),
        ("a range from $52,000 to $64,000", "from $52,000 to $64,000"),
        ("fair between 104 and 105k", None),
        ("fair between 64.1 and 75k", "between 64.1 and 75k"),
    ],
)
def test_a_range_with_an_end_that_was_not_shown_is_made_up(text: str, where: str | None) -> None:
    found = flags(text)

    assert [each.partition(": ")[0] for each in found] == ([where] if where else [])


def test_a_range_in_which_the_price_is_said_to_be_now_is_a_claim() -> None:
    assert not ground(decision("trading between 71k and 72k"), SEEN, Grounding.REFUSE_CLAIMS).passed
    assert ground(decision("trading between 60k and 72k"), SEEN, Grounding.REFUSE_CLAIMS).passed


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("funding is 0.0125%", True),
        ("funding rate of 0.000125", True),
        ("the funding rate at 1.25 bps", True),
        ("funding 0.01%", True),
        ("funding above 0.05% would hurt", True),
        ("funding at 16 UTC", True),
        ("funding is 13% annualised", True),
        ("funding is 0.05%", False),
        ("funding rate of 0.0008", False),
        ("funding: 9 basis points", False),
        ("funding is -0.0125%", False),
    ],
)
def test_a_funding_rate_is_held_against_the_one_that_was_shown(text: str, sound: bool) -> None:
    assert bool(flags(text)) is not sound


def test_a_negative_funding_rate_may_be_said_with_or_without_its_sign() -> None:
    short = decision(
        "funding is -0.031%, negative funding of 0.031%", asset="ETHUSDT", stop_loss=None, take_profit=None
    )

    assert made_up(ground(short, SEEN, Grounding.FLAG)) == []


def of_reasoning(text: str, policy: Grounding = Grounding.FLAG, **proposed: Any) -> Finding:
    return ground(decision("it goes up"), SEEN, policy, reasoning=text, **proposed)


def test_the_reasoning_of_the_answer_is_held_against_every_asset() -> None:
    assert made_up(of_reasoning("BTC holds 64,000 and ETH trades at 3,180 with RSI at 41.5, funding 0.0125%")) == []

    assert made_up(of_reasoning("ETH has support at 2,450 and RSI at 12")) == [
        "RSI at 12: shown: 55.0 to 78.9; 40.0 to 41.5",
        "support at 2,450: prices shown: 3011 to 3180.2",
    ]


def test_what_the_reasoning_makes_up_refuses_an_entry_as_the_policy_says() -> None:
    assert of_reasoning("support at 2,450", Grounding.REFUSE_CLAIMS).passed
    assert not of_reasoning("support at 2,450", Grounding.REFUSE).passed
    assert not of_reasoning("BTC is currently trading at 71,000", Grounding.REFUSE_CLAIMS).passed
    assert not of_reasoning("we are short", Grounding.REFUSE_CLAIMS).passed
    assert of_reasoning("we are long", Grounding.REFUSE).passed


def test_levels_that_the_answer_proposes_for_another_asset_are_no_citations() -> None:
    other = decision("it falls", asset="ETHUSDT", stop_loss=Decimal(3420), take_profit=Decimal(2850))

    assert of_reasoning("the stop of ETH rests at 3,420", Grounding.REFUSE, proposed=levels(other)).passed
    assert not of_reasoning("the stop of ETH rests at 3,420", Grounding.REFUSE).passed
