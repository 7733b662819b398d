"""End to end: real indicators in a real prompt, over the wire to each emulated model, and its answer read."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from emulators.openrouter import create_app
from shared.domain.decision import Action, Answer
from shared.domain.market import CandleWindow, Series, Timeframe
from shared.domain.model import ModelCall, ModelOptions, Prompt
from shared.indicators.talib_analyst import IndicatorSettings, TalibAnalyst
from shared.llm.catalogue import Catalogue
from shared.llm.client import OpenRouterClient
from shared.llm.engine import LlmEngine
from shared.llm.prompt import PromptTemplate
from tests.llm.books import Book

OPENED = datetime(2025, 5, 6, tzinfo=UTC)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def market(symbol: str, closes: Sequence[float]) -> dict[str, Any]:
    """One asset of a briefing, its indicators computed from *closes* of five-minute candles."""
    opens = [closes[0], *closes[:-1]]
    window = CandleWindow(
        series=Series(symbol, Timeframe.M5),
        opened=[OPENED + index * timedelta(minutes=5) for index in range(len(closes))],
        open=opens,
        high=[max(pair) * 1.0005 for pair in zip(opens, closes, strict=True)],
        low=[min(pair) * 0.9995 for pair in zip(opens, closes, strict=True)],
        close=closes,
        volume=[10.0] * len(closes),
    )
    seen = TalibAnalyst(IndicatorSettings()).study(window)
    return {
        "mark_price": str(closes[-1]),
        "funding_rate": "0.0001",
        "timeframes": {"5m": {"candles": seen.candles, "series": dict(seen.series), "latest": dict(seen.latest)}},
    }


def uptrend_after_a_pullback(price: float) -> list[float]:
    """Three hundred closes: a swinging rise, seven candles down, one up again."""
    rise = [price * (1 + index * 0.0006 + 0.001 * math.sin(index)) for index in range(290)]
    fall = [rise[-1] * (1 - 0.0012 * step) for step in range(1, 9)]
    return [*rise, *fall, fall[-1] * 1.0015, fall[-1] * 1.004]


def briefing() -> dict[str, Any]:
    """BTC has just resumed its rise, ETH is held and has lost its idea, SOL stands still."""
    return {
        "time": "2025-05-07T01:00:00Z",
        "cycle": 412,
        "account": {"equity": "10000.00", "available": "9000.00", "wallet": "10010.0", "unrealized": "-10"},
        "limits": {
            "max_leverage": 5,
            "preferred_leverage": 3,
            "max_position_usd": "2000",
            "max_total_exposure_usd": "6000",
            "max_positions": 3,
            "min_notional_usd": "5",
            "risk_per_trade": "0.01",
            "min_reward_to_risk": "1.2",
            "min_stop_distance": "0.002",
            "max_stop_distance": "0.08",
            "min_confidence": "0.5",
            "taker_fee": "0.0004",
        },
        "positions": [
            {
                "asset": "ETHUSDT",
                "side": "LONG",
                "notional_usd": "955",
                "exit_plan": {
                    "text": "out below 2000",
                    "invalidation": {"timeframe": "5m", "condition": "close_below", "price": "2000"},
                },
            }
        ],
        "market": {
            "BTCUSDT": market("BTCUSDT", uptrend_after_a_pullback(80_000)),
            "ETHUSDT": market("ETHUSDT", [1900 + math.sin(index) for index in range(300)]),
            "SOLUSDT": market("SOLUSDT", [150 + math.sin(index / 2) / 10 for index in range(300)]),
        },
    }


class WallClock:
    """The time of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


async def no_sleep(_seconds: float) -> None:
    """Retries need no pauses here."""


@pytest.fixture
async def connection() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(seed=7))) as connection:
        yield connection


@pytest.fixture
def engine(connection: httpx.AsyncClient) -> LlmEngine:
    clock = WallClock()
    client = OpenRouterClient("http://emulator/api/v1", "sk-or-v1-secret", connection)
    return LlmEngine(
        client, PromptTemplate(), clock, Catalogue(client, clock), ModelOptions(temperature=0.2), sleep=no_sleep
    )


@pytest.fixture
def prompt(engine: LlmEngine) -> Prompt:
    return engine.prompt(briefing())


async def ask(engine: LlmEngine, prompt: Prompt, *names: str) -> Sequence[ModelCall]:
    return await engine.ask(prompt, [f"emulated/{name}" for name in names], book=Book())


async def answered(engine: LlmEngine, prompt: Prompt, name: str) -> Answer:
    (call,) = await ask(engine, prompt, name)
    assert call.error is None
    assert call.content is not None
    return engine.read(call.content, SYMBOLS)


def actions(answer: Answer) -> Mapping[str, str]:
    return {decision.asset: decision.action.value for decision in answer.decisions}


FOLLOWED = {"BTCUSDT": "buy", "ETHUSDT": "close", "SOLUSDT": "hold"}


async def test_the_rule_follower_sees_in_our_prompt_what_we_put_there(engine: LlmEngine, prompt: Prompt) -> None:
    answer = await answered(engine, prompt, "rule-follower")

    assert actions(answer) == FOLLOWED
    assert (answer.unread, answer.repairs) == ((), ())
    entry = answer.decisions[0]
    mark = Decimal(briefing()["market"]["BTCUSDT"]["mark_price"])
    assert entry.stop_loss is not None
    assert entry.take_profit is not None
    assert entry.stop_loss < mark < entry.take_profit
    assert 0 < entry.allocation_usd <= 2000
    assert entry.exit_plan.invalidation is not None


@pytest.mark.parametrize("name", ["trend-follower", "contrarian", "over-trader", "coward"])
async def test_every_well_behaved_model_decides_on_every_asset(engine: LlmEngine, prompt: Prompt, name: str) -> None:
    answer = await answered(engine, prompt, name)

    assert {decision.asset for decision in answer.decisions} == set(SYMBOLS)
    assert (answer.unread, answer.repairs) == ((), ())


@pytest.mark.parametrize(
    ("name", "repairs"),
    [
        ("fenced", ("fence", "surrounding_text")),
        ("thinker", ("thinking",)),
        ("numbers-as-strings", ("number_as_text",)),
    ],
)
async def test_a_bad_habit_that_leaves_the_meaning_certain_changes_no_decision(
    engine: LlmEngine, prompt: Prompt, name: str, repairs: tuple[str, ...]
) -> None:
    sound = await answered(engine, prompt, "rule-follower")

    answer = await answered(engine, prompt, name)

    assert answer.decisions == sound.decisions
    assert (answer.unread, answer.repairs) == ((), repairs)


async def test_of_one_bad_item_only_that_item_is_lost(engine: LlmEngine, prompt: Prompt) -> None:
    answer = await answered(engine, prompt, "one-bad-item")

    assert actions(answer) == {"BTCUSDT": "hold", "ETHUSDT": "close", "SOLUSDT": "hold"}
    assert [item.code for item in answer.unread] == ["missing_asset"]


async def test_of_a_hallucination_only_the_close_is_kept(engine: LlmEngine, prompt: Prompt) -> None:
    answer = await answered(engine, prompt, "hallucinator")

    assert [decision.action for decision in answer.decisions] == [Action.CLOSE]
    assert [item.code for item in answer.unread] == ["bad_leverage", "bad_leverage", "unknown_symbol"]


@pytest.mark.parametrize(
    ("name", "error", "asked"),
    [
        ("truncated", "UnusableReply: cut_off: the answer was cut off at max_tokens", 1),
        ("empty", "NoRoomToAnswer: max_tokens were spent on thinking before the answer began", 2),
        ("refuser", "UnusableReply: refused: the model refused: I'm sorry, but I can't", 1),
        ("not-json", "UnusableReply: no_json: the answer holds no JSON object: 'This market calls for patience.", 1),
        ("nobody", "ModelRefused: HTTP 400: ", 1),
    ],
)
async def test_a_model_that_gives_no_answer_hands_over_to_the_next(
    engine: LlmEngine, prompt: Prompt, name: str, error: str, asked: int
) -> None:
    calls = await ask(engine, prompt, name, "rule-follower")

    assert [call.asked_model for call in calls] == [f"emulated/{name}"] * asked + ["emulated/rule-follower"]
    assert calls[0].error is not None
    assert calls[0].error.startswith(error)
    assert calls[0].content is None
    assert actions(engine.read(calls[-1].content or "", SYMBOLS)) == FOLLOWED


@pytest.mark.parametrize("kind", ["status", "200-with-error", "choice-error", "html", "empty"])
async def test_a_fault_of_the_service_is_outlived(
    engine: LlmEngine, prompt: Prompt, connection: httpx.AsyncClient, kind: str
) -> None:
    ordered = await connection.post("http://emulator/emulator/faults", json={"kind": kind, "count": 2})
    assert ordered.is_success

    calls = await ask(engine, prompt, "coward")

    assert [call.error is None for call in calls] == [False, False, True]


async def test_the_books_agree_with_those_of_the_service(
    engine: LlmEngine, prompt: Prompt, connection: httpx.AsyncClient
) -> None:
    calls = [*await ask(engine, prompt, "not-json", "over-trader"), *await ask(engine, prompt, "thinker")]
    key = await connection.get("http://emulator/api/v1/key", headers={"Authorization": "Bearer sk-or-v1-secret"})

    assert sum(call.cost for call in calls) == Decimal(str(key.json()["data"]["usage"]))
    assert all(call.cost > 0 for call in calls)
    assert calls[-1].provider == "Emulated"
