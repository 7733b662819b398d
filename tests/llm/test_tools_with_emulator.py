"""Every emulated model that calls tools, and those that lack something, over a real socket."""

import json
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import httpx
import pytest

from emulators.openrouter import create_app
from shared.domain.model import ModelCall, ModelOptions
from shared.llm.catalogue import Catalogue
from shared.llm.client import OpenRouterClient
from shared.llm.engine import LlmEngine
from shared.llm.prompt import PromptTemplate
from tests.llm.books import Book
from tests.llm.test_engine_with_emulator import FOLLOWED, SYMBOLS, WallClock, actions, briefing, no_sleep
from tests.llm.test_tool_rounds import Shelf
from tests.served import served

OPTIONS = ModelOptions(
    temperature=0.2,
    seed=3,
    reasoning={"effort": "low"},
    provider={"require_parameters": True},
    tool_rounds=2,
    indicators=("RSI", "EMA", "BBANDS"),
)


@pytest.fixture
async def engine() -> AsyncIterator[LlmEngine]:
    async with served(create_app(seed=7)) as url, httpx.AsyncClient() as connection:
        clock = WallClock()
        client = OpenRouterClient(f"{url}/api/v1", "sk-or-v1-secret", connection)
        yield LlmEngine(client, PromptTemplate(), clock, Catalogue(client, clock), OPTIONS, sleep=no_sleep)


async def ask(engine: LlmEngine, name: str, book: Book | None = None) -> Sequence[ModelCall]:
    prompt = engine.prompt(briefing())
    return await engine.ask(prompt, [f"emulated/{name}"], book=book or Book(), lookup=Shelf())


def decided(engine: LlmEngine, calls: Sequence[ModelCall]) -> bool:
    content = calls[-1].content
    return content is not None and actions(engine.read(content, SYMBOLS)) == FOLLOWED


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("analyst", 3),
        ("single-caller", 3),
        ("insatiable", 3),
        ("clumsy-caller", 3),
        ("tool-inventor", 3),
        ("same-id-caller", 2),
        ("thinking-analyst", 3),  # which is refused unless its thoughts come back to it
        ("rule-follower", 1),
    ],
)
async def test_however_a_model_calls_its_tools_it_comes_to_a_decision(engine: LlmEngine, name: str, turns: int) -> None:
    book = Book()

    calls = await ask(engine, name, book)

    assert [call.turn for call in calls] == list(range(turns))
    assert decided(engine, calls)
    assert all(Decimal(0) < call.cost <= most for call, most in zip(calls, book.asked, strict=True))


async def test_a_model_that_only_ever_calls_tools_comes_to_nothing(engine: LlmEngine) -> None:
    calls = await ask(engine, "tireless")

    assert [call.calls_tools for call in calls] == [True, True, False]
    assert calls[-1].error == "UnusableReply: tool_not_offered: the model called a tool, and none was offered"


@pytest.mark.parametrize(("name", "format_sent"), [("sloppy", {"type": "json_object"}), ("bare", None)])
async def test_what_a_model_s_houses_do_not_declare_is_not_sent(
    engine: LlmEngine, name: str, format_sent: object
) -> None:
    [call] = await ask(engine, name)

    assert call.parameters.get("response_format") == format_sent
    assert "tools" not in call.parameters
    assert decided(engine, [call])


async def test_the_answers_of_tools_are_real(engine: LlmEngine) -> None:
    calls = await ask(engine, "analyst")

    told = [json.loads(each["content"]) for each in calls[-1].prompt.turns if each["role"] == "tool"]
    assert [answer for answer in told if "error" in answer] == []
    assert len(told) == 4


async def test_a_reply_of_ten_megabytes_is_read_once_up_to_a_bound_and_counted_at_its_most(engine: LlmEngine) -> None:
    book = Book()

    [call] = await ask(engine, "novelist", book)

    assert call.error == "ModelRefused: the reply is larger than 2000000 bytes"
    assert (call.cost, call.estimated) == (book.asked[0], True)
