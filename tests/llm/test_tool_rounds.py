"""Looking things up: the model may ask, every question is answered, and in the end it must decide."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.domain.errors import BadQuestion
from shared.domain.market import CandleWindow, Series, Timeframe
from shared.domain.model import ModelCall, ModelOptions, Purpose
from shared.domain.order import Fill
from shared.domain.risk import ReviewedDecision
from shared.indicators.talib_analyst import IndicatorSettings, TalibAnalyst
from shared.llm.catalogue import Catalogue
from shared.llm.client import OpenRouterClient
from shared.llm.engine import LlmEngine
from shared.llm.prompt import PromptTemplate
from tests.db.samples import a_fill, a_reviewed
from tests.llm.books import Book
from tests.llm.test_engine import BRIEFING, HOLD, START, Answer, ManualClock, Provider, fails, says

OPTIONS = ModelOptions(tool_rounds=2, indicators=("RSI", "BBANDS"))
THOUGHT = [{"type": "reasoning.text", "text": "hm", "signature": "s1", "index": 0}]


class Shelf:
    """A `Lookup` over three hundred candles of a rising price."""

    symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT")

    def __init__(self) -> None:
        self._analyst = TalibAnalyst(IndicatorSettings())

    async def indicator(
        self, symbol: str, timeframe: Timeframe, function: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Sequence[float | None]]:
        return self._analyst.compute(function, await self.candles(symbol, timeframe), parameters)

    def parameters(self, function: str) -> Mapping[str, int | float]:
        return self._analyst.parameters(function)

    async def candles(self, symbol: str, timeframe: Timeframe) -> CandleWindow:
        if timeframe is Timeframe.MONTH:
            raise BadQuestion("BTCUSDT 1M: no candles")
        closes = [100.0 + step % 7 + step / 10 for step in range(300)]
        return CandleWindow(
            series=Series(symbol, timeframe),
            opened=[START + step * timedelta(minutes=5) for step in range(300)],
            open=closes,
            high=[close + 1 for close in closes],
            low=[close - 1 for close in closes],
            close=closes,
            volume=[10.0] * 300,
        )

    async def fills(self, count: int) -> Sequence[Fill]:
        return [a_fill(number) for number in range(count)]

    async def decisions(self, count: int) -> Sequence[tuple[datetime, ReviewedDecision]]:
        return [(datetime(2025, 5, 6, tzinfo=UTC), a_reviewed())] * count


def calls(*wanted: tuple[str, Any], **message: Any) -> Answer:
    """An answer that calls tools; arguments that are no text are written as JSON."""
    made = [
        {
            "id": f"call_{place}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for place, (name, given) in enumerate(wanted)
    ]
    body = {
        "model": "acme/m1-2026",
        "choices": [
            {
                "finish_reason": "tool_calls",
                "message": {"role": "assistant", "content": None, "tool_calls": made, **message},
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "cost": 0.5},
    }
    return lambda: httpx.Response(200, json=body)


RSI = ("indicator", {"symbol": "BTCUSDT", "timeframe": "1h", "function": "RSI", "parameters": {"timeperiod": 21}})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def provider(clock: ManualClock) -> Provider:
    return Provider(clock)


@pytest.fixture
async def engine(provider: Provider, clock: ManualClock) -> AsyncIterator[LlmEngine]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider)) as connection:
        yield an_engine(connection, clock)


def an_engine(connection: httpx.AsyncClient, clock: ManualClock, options: ModelOptions = OPTIONS) -> LlmEngine:
    client = OpenRouterClient("https://openrouter.ai/api/v1", "sk-or-v1-secret", connection)
    return LlmEngine(
        client, PromptTemplate(), clock, Catalogue(client, clock), options, sleep=clock.sleep, jitter=lambda: 0.5
    )


async def ask(
    engine: LlmEngine, *models: str, book: Book | None = None, said: Sequence[ModelCall] = ()
) -> Sequence[ModelCall]:
    return await engine.ask(
        engine.prompt(BRIEFING), models or ("acme/m1",), book=book or Book(), lookup=Shelf(), said=said
    )


def told(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tool answers in a request."""
    return [json.loads(each["content"]) for each in body["messages"] if each["role"] == "tool"]


async def test_a_model_looks_something_up_and_then_decides(engine: LlmEngine, provider: Provider) -> None:
    provider.scripts["acme/m1"] = [calls(RSI, reasoning_details=THOUGHT), says(HOLD)]

    looked, decided = await ask(engine)

    first, second = provider.asked
    assert [tool["function"]["name"] for tool in first["tools"]] == [
        "indicator",
        "candles",
        "recent_fills",
        "past_decisions",
    ]
    assert first["tools"] == second["tools"]
    assert "response_format" not in first
    assert (looked.calls_tools, looked.turn, looked.cost) == (True, 0, Decimal("0.5"))
    assert (decided.content, decided.turn) == (HOLD, 1)
    [answer] = told(second)
    assert answer["parameters"] == {"timeperiod": 21}
    assert len(answer["real"]) == 10
    assert all(0 <= value <= 100 for value in answer["real"])


async def test_what_the_model_said_goes_back_unchanged_thoughts_and_all(engine: LlmEngine, provider: Provider) -> None:
    provider.scripts["acme/m1"] = [calls(RSI, reasoning_details=THOUGHT, content="Let me look."), says(HOLD)]

    looked, decided = await ask(engine)

    received = looked.raw["choices"][0]["message"]
    assert provider.asked[1]["messages"][2] == received
    assert received["reasoning_details"] == THOUGHT
    assert decided.prompt.turns[0] == received
    assert decided.prompt.messages == provider.asked[1]["messages"]


async def test_after_the_last_round_it_must_decide_by_the_schema_and_without_tools(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.scripts["acme/m1"] = [calls(RSI), calls(RSI), says(HOLD)]

    made = await ask(engine)

    assert [call.turn for call in made] == [0, 1, 2]
    assert "tools" not in provider.asked[2]
    assert provider.asked[2]["response_format"]["type"] == "json_schema"
    assert len(told(provider.asked[2])) == 2


async def test_a_tool_that_is_called_when_none_is_offered_is_no_answer(engine: LlmEngine, provider: Provider) -> None:
    provider.scripts = {"acme/m1": [calls(RSI)], "other/m2": [says(HOLD)]}

    made = await ask(engine, "acme/m1", "other/m2")

    assert made[2].error == "UnusableReply: tool_not_offered: the model called a tool, and none was offered"
    assert (made[3].asked_model, made[3].purpose, made[3].turn) == ("other/m2", Purpose.FALLBACK, 0)
    assert len(provider.asked[3]["messages"]) == 2


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("insider_news", {}, "there is no tool 'insider_news'"),
        ("indicator", '{"symbol": "BTC', "no JSON"),
        ("indicator", "[1]", "one JSON object"),
        ("indicator", "[" * 100_000, "no JSON"),
        ("indicator", {**RSI[1], "symbol": "MOONUSDT"}, "symbol must be one of BTCUSDT, ETHUSDT"),
        ("indicator", {**RSI[1], "timeframe": "7m"}, "timeframe must be one of"),
        ("indicator", {**RSI[1], "function": "EMA"}, "function must be one of RSI, BBANDS"),
        ("indicator", {**RSI[1], "parameters": {"length": 3}}, "RSI has no parameter 'length': it takes timeperiod"),
        ("indicator", {**RSI[1], "parameters": {"timeperiod": 0}}, "timeperiod must be a whole number from 1 to 250"),
        ("indicator", {**RSI[1], "parameters": {"timeperiod": 1e9}}, "timeperiod must be a whole number"),
        ("indicator", {**RSI[1], "parameters": {"timeperiod": True}}, "timeperiod must be a number"),
        ("indicator", {**RSI[1], "parameters": [21]}, "parameters must be an object"),
        ("indicator", {**RSI[1], "parameters": {"timeperiod": 1}}, "RSI cannot be computed with"),
        (
            "indicator",
            '{"symbol":"BTCUSDT","timeframe":"1h","function":"BBANDS","parameters":{"nbdevup":1e999}}',
            "nbdevup must lie within",
        ),
        ("indicator", {**RSI[1], "last": 51}, "last must be a whole number from 1 to 50"),
        ("candles", {"symbol": "BTCUSDT", "timeframe": "1M"}, "BTCUSDT 1M: no candles"),
        ("recent_fills", {"count": -1}, "count must be a whole number from 1 to 30"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong_with_it_and_harms_nothing(
    engine: LlmEngine, provider: Provider, name: str, arguments: Any, why: str
) -> None:
    provider.scripts["acme/m1"] = [calls((name, arguments)), says(HOLD)]

    made = await ask(engine)

    [answer] = told(provider.asked[1])
    assert answer.keys() == {"error"}
    assert why in answer["error"]
    assert made[-1].content == HOLD


async def test_every_call_is_answered_and_a_round_has_a_bound(engine: LlmEngine, provider: Provider) -> None:
    candles = ("candles", {"symbol": "BTCUSDT", "timeframe": "1m", "last": 50})
    provider.scripts["acme/m1"] = [calls(*[candles] * 40), says(HOLD)]

    await ask(engine)

    answers = [each for each in provider.asked[1]["messages"] if each["role"] == "tool"]
    assert [each["tool_call_id"] for each in answers] == [f"call_{place}" for place in range(40)]
    assert sum(len(each["content"]) for each in answers) < 30_000
    assert "too much at once" in answers[-1]["content"]


async def test_a_flood_of_calls_is_not_answered_but_taken_for_none(engine: LlmEngine, provider: Provider) -> None:
    provider.scripts["acme/m1"] = [calls(*[RSI] * 2000), says(HOLD)]

    flood, decided = await ask(engine)

    assert flood.error == "UnusableReply: too_many_calls: the model called 2000 tools at once"
    assert decided.content == HOLD
    assert "tools" not in provider.asked[1]
    assert len(provider.asked[1]["messages"]) == 2


async def test_trades_and_past_decisions_are_told_as_the_briefing_tells_them(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.scripts["acme/m1"] = [calls(("recent_fills", {"count": 2}), ("past_decisions", "")), says(HOLD)]

    await ask(engine)

    fills, decisions = told(provider.asked[1])
    assert len(fills["recent_fills"]) == 2
    assert decisions["past_decisions"][0]["verdict"] == "approved"


async def test_prose_in_place_of_a_question_is_asked_again_with_the_schema(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.scripts["acme/m1"] = [says("I would wait."), says(HOLD)]

    made = await ask(engine)

    assert [(call.asked_model, bool(call.error)) for call in made] == [("acme/m1", True), ("acme/m1", False)]
    assert "tools" not in provider.asked[1]


async def test_a_model_that_declares_no_tools_is_offered_none(engine: LlmEngine, provider: Provider) -> None:
    provider.listings = [{"id": "acme/m1", "supported_parameters": ["max_tokens", "structured_outputs"]}]
    provider.scripts["acme/m1"] = [says(HOLD)]

    await ask(engine)

    assert "tools" not in provider.asked[0]
    assert "response_format" in provider.asked[0]


async def test_whoever_takes_over_goes_on_from_the_turns_that_were_stored(
    provider: Provider, clock: ManualClock
) -> None:
    provider.scripts["acme/m1"] = [calls(RSI), calls(RSI), says(HOLD)]
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider)) as connection:
        whole = await ask(an_engine(connection, clock))
        straight = [dict(body) for body in provider.asked]
        for died_after in (0, 1, 2, 3):
            provider.asked.clear()
            provider.scripts["acme/m1"] = [calls(RSI), calls(RSI), says(HOLD)][died_after:] or [fails(500)]

            made = await ask(an_engine(connection, clock), said=whole[:died_after])

            assert provider.asked == straight[died_after:]
            assert [call.content for call in made] == [None, None, HOLD]


async def test_whoever_takes_over_knows_which_attempts_have_failed(provider: Provider, clock: ManualClock) -> None:
    provider.scripts = {"acme/m1": [fails(503)], "other/m2": [fails(404)], "third/m3": [says(HOLD)]}
    models = ("acme/m1", "other/m2", "third/m3")
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider)) as connection:
        whole = await ask(an_engine(connection, clock), *models)
        names = [call.asked_model for call in whole]
        assert names == ["acme/m1", "acme/m1", "acme/m1", "other/m2", "third/m3"]
        for died_after in range(len(whole)):
            provider.asked.clear()

            await ask(an_engine(connection, clock), *models, said=whole[:died_after])

            assert [body["model"] for body in provider.asked] == names[died_after:]


async def test_a_failure_in_the_middle_of_looking_up_is_tried_again_from_there(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.scripts["acme/m1"] = [calls(RSI), fails(503), says(HOLD)]

    made = await ask(engine)

    assert [(call.turn, call.error is None) for call in made] == [(0, True), (1, False), (1, True)]
    assert provider.asked[1] == provider.asked[2]


async def test_every_turn_is_paid_for_before_it_is_asked_and_stored_after(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.listings = [{"id": "acme/m1", "pricing": {"prompt": "0.000001", "completion": "0.00001"}}]
    provider.scripts["acme/m1"] = [calls(RSI), calls(RSI), says(HOLD)]
    book = Book(budget=Decimal(5))

    made = await ask(engine, book=book)

    assert book.kept == list(made)
    assert book.left == 5 - sum(call.cost for call in made)
    assert book.asked[0] < book.asked[1]
    assert all(Decimal("0.08") < amount < Decimal("0.2") for amount in book.asked)


async def test_what_the_budget_does_not_allow_is_not_asked(engine: LlmEngine, provider: Provider) -> None:
    provider.listings = [{"id": "acme/m1", "pricing": {"prompt": "0.000001", "completion": "0.00001"}}]
    provider.scripts["acme/m1"] = [calls(RSI), says(HOLD)]

    made = await ask(engine, book=Book(budget=Decimal("0.55")))

    assert [call.calls_tools for call in made] == [True]
    assert len(provider.asked) == 1


async def test_a_cheaper_model_is_asked_when_the_first_is_too_dear_for_what_is_left(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.listings = [
        {"id": "acme/m1", "pricing": {"prompt": "0.000001", "completion": "0.00001"}},
        {"id": "small/m2", "pricing": {"prompt": "0.0000001", "completion": "0.0000001"}},
    ]
    provider.scripts = {"acme/m1": [says(HOLD)], "small/m2": [says(HOLD)]}

    [call] = await ask(engine, "acme/m1", "small/m2", book=Book(budget=Decimal("0.01")))

    assert (call.asked_model, call.content) == ("small/m2", HOLD)


async def test_shadows_and_their_tools_are_marked_as_such(engine: LlmEngine, provider: Provider) -> None:
    provider.scripts["acme/m1"] = [says(HOLD)]

    [call] = await engine.ask(engine.prompt(BRIEFING), ["acme/m1"], book=Book(), purpose=Purpose.SHADOW)

    assert call.purpose is Purpose.SHADOW
    assert "tools" not in provider.asked[0]


async def test_without_indicators_allowed_only_the_rest_is_offered(provider: Provider, clock: ManualClock) -> None:
    provider.scripts["acme/m1"] = [calls(RSI), says(HOLD)]
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider)) as connection:
        await ask(an_engine(connection, clock, replace(OPTIONS, indicators=())))

    assert [tool["function"]["name"] for tool in provider.asked[0]["tools"]] == [
        "candles",
        "recent_fills",
        "past_decisions",
    ]
    assert "function must be one of" in told(provider.asked[1])[0]["error"]
