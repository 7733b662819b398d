"""The emulated traders cite what they were shown, in any market; what is put into their mouths is found out."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from emulators.openrouter.decisions import decide
from emulators.openrouter.prompt import read_prompt
from emulators.openrouter.traders import CONTRARIAN, OVER_TRADER, RULE_FOLLOWER, TREND_FOLLOWER, Trader
from emulators.openrouter.wire import dumps
from shared.domain.account import Grounding
from shared.domain.decision import Answer
from shared.domain.grounding import ground, shown
from shared.domain.market import CandleWindow, Series, Timeframe
from shared.indicators.talib_analyst import IndicatorSettings, TalibAnalyst
from shared.llm import reply

OPENED = datetime(2025, 5, 6, tzinfo=UTC)
PRICES = {"BTCUSDT": 64_000.0, "ETHUSDT": 3_100.0, "SOLUSDT": 92.0, "DOGEUSDT": 0.21, "PEPEUSDT": 0.0000123}
CANDLES = 300
LIMITS = {
    "max_leverage": 5,
    "preferred_leverage": 3,
    "max_position_usd": "5000",
    "max_total_exposure_usd": "15000",
    "max_positions": 5,
    "min_notional_usd": "5",
    "risk_per_trade": "0.02",
    "min_reward_to_risk": "1.2",
    "min_stop_distance": "0.002",
    "max_stop_distance": "0.10",
    "min_confidence": "0.5",
    "taker_fee": "0.0004",
}


def walk(chance: random.Random, price: float) -> list[float]:
    """Closes that swing and drift, as markets do."""
    drift, closes = chance.uniform(-0.0008, 0.0008), [price]
    for _ in range(CANDLES - 1):
        closes.append(closes[-1] * (1 + drift + chance.gauss(0, 0.003)))
    return closes


def market(symbol: str, closes: list[float]) -> dict[str, Any]:
    window = CandleWindow(
        series=Series(symbol, Timeframe.M5),
        opened=[OPENED + index * timedelta(minutes=5) for index in range(CANDLES)],
        open=[closes[0], *closes[:-1]],
        high=[price * 1.001 for price in closes],
        low=[price * 0.999 for price in closes],
        close=closes,
        volume=[10.0] * CANDLES,
    )
    view = TalibAnalyst(IndicatorSettings()).study(window)
    told = {"candles": view.candles, "series": dict(view.series), "latest": dict(view.latest)}
    return {"mark_price": f"{closes[-1]:.10f}", "funding_rate": "0.0001", "timeframes": {"5m": told}}


def briefing(seed: int, *, held: str | None = None) -> dict[str, Any]:
    chance = random.Random(seed)
    markets = {symbol: market(symbol, walk(chance, price)) for symbol, price in PRICES.items()}
    positions = []
    if held:
        mark = float(markets[held]["mark_price"])
        plan = {"timeframe": "5m", "condition": "close_below", "price": f"{mark * 1.001:.10f}"}
        positions = [
            {
                "asset": held,
                "side": "LONG",
                "notional_usd": "900",
                "entry_price": f"{mark * 1.02:.10f}",
                "mark_price": markets[held]["mark_price"],
                "exit_plan": {"text": "", "invalidation": plan},
            }
        ]
    return {
        "account": {"equity": "10000.00", "available": "9000.00"},
        "limits": LIMITS,
        "positions": positions,
        "market": markets,
    }


def answered(document: dict[str, Any], trader: Trader) -> Answer:
    content = dumps(decide(read_prompt([f"Decide.\n{json.dumps(document)}"]), trader))
    return reply.read(content, list(PRICES))


@pytest.mark.parametrize("trader", [RULE_FOLLOWER, TREND_FOLLOWER, CONTRARIAN, OVER_TRADER])
def test_a_trader_that_cites_what_it_sees_is_never_flagged(trader: Trader) -> None:
    entries = 0
    for seed in range(40):
        document = briefing(seed, held="SOLUSDT" if seed % 2 else None)
        seen = shown(document)
        for decision in answered(document, trader).decisions:
            entries += decision.opens
            found = ground(decision, seen, Grounding.REFUSE)
            assert found.passed
            assert not [name for name in found.saw if name.startswith("made_up")]
    assert entries


def rounded(chance: random.Random, value: float) -> str:
    """A number as people round it: to two significant digits or more, with or without thousands."""
    digits = chance.randint(2, 7)
    text = f"{Decimal(f'{value:.{digits}g}'):f}"
    whole, _, rest = text.partition(".")
    return f"{int(whole):,}" + (f".{rest}" if rest else "") if abs(value) >= 1000 and chance.random() < 0.5 else text


@pytest.mark.parametrize("seed", range(10))
def test_whatever_was_shown_may_be_cited_rounded_as_people_do(seed: int) -> None:
    document, chance = briefing(seed), random.Random(seed)
    seen = shown(document)
    sound = answered(document, OVER_TRADER).decisions
    for decision in sound:
        view = document["market"][decision.asset]["timeframes"]["5m"]["series"]
        told = [f"{name} at {rounded(chance, chance.choice(values))}" for name, values in view.items()]
        close = rounded(chance, view["close"][-1])
        told += [f"currently trading at {close}", f"price around {close}", f"support at {close}", f"holds {close} well"]
        for saying in told:
            found = ground(replace(decision, rationale=f"Because {saying}, so it goes."), seen, Grounding.REFUSE)
            assert not [text for name, text in found.saw.items() if name.startswith("made_up")]


LIES = (
    "Support at {far}.",
    "The mark price is {far} by now.",
    "RSI(14) at 101.5.",
    "EMA20 at {far} holds.",
    "Our existing short position is losing.",
)


@pytest.mark.parametrize("lie", LIES)
def test_what_is_put_into_its_mouth_is_found_out(lie: str) -> None:
    document = briefing(3)
    seen = shown(document)
    content = decide(read_prompt([f"Decide.\n{json.dumps(document)}"]), OVER_TRADER)
    for item in content["decisions"]:
        far = float(max(seen.prices[item["asset"]])) * 1.1
        item["rationale"] += " " + lie.format(far=f"{far:,.2f}" if far > 1 else f"{far:.10f}".rstrip("0"))

    found = reply.read(dumps(content), list(PRICES)).decisions

    assert len(found) == len(PRICES)
    assert all(not ground(decision, seen, Grounding.REFUSE).passed for decision in found if decision.opens)
    assert any(decision.opens for decision in found)
