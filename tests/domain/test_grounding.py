"""What a decision cites was shown to the model, or is told to be made up; what it does not cite is left alone."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import Grounding
from shared.domain.decision import Action, Condition, Decision, ExitPlan, Invalidation
from shared.domain.grounding import Shown, ground, shown
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
