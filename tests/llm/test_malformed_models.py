"""Every malformed answer the emulated service can give, over the wire: read, dropped or rejected as it is to be."""

from collections.abc import AsyncIterator

import httpx
import pytest

from emulators.openrouter import create_app, malformed
from emulators.openrouter.malformed import Case
from shared.domain.model import ModelOptions, Prompt
from shared.llm.catalogue import Catalogue
from shared.llm.client import OpenRouterClient
from shared.llm.engine import LlmEngine
from shared.llm.prompt import PromptTemplate
from tests.llm.books import Book
from tests.llm.soundness import assert_sound
from tests.llm.test_engine_with_emulator import WallClock, briefing, no_sleep

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
ELSEWHERE = {
    "35": "an entry whose stop is null is read, and refused by the risk review",
    "35b": "so is an entry without a stop",
    "43b": "we offer tools to ask with, and none to answer by",
}

READ, DROPPED, REJECTED = "read", "dropped", "rejected"
ALLOWED = {
    malformed.READ: {READ},
    malformed.DROPPED: {DROPPED},
    malformed.REJECTED: {REJECTED},
    malformed.IDLE: {DROPPED},
    malformed.READ_OR_REJECTED: {READ, REJECTED},
    malformed.READ_OR_DROPPED: {READ, DROPPED},
}


@pytest.fixture
async def connection() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(seed=7))) as connection:
        yield connection


@pytest.fixture
def engine(connection: httpx.AsyncClient) -> LlmEngine:
    client = OpenRouterClient("http://emulator/api/v1", "sk-or-v1-secret", connection)
    clock = WallClock()
    return LlmEngine(
        client, PromptTemplate(), clock, Catalogue(client, clock), ModelOptions(), sleep=no_sleep, retries=0
    )


async def outcome(engine: LlmEngine, prompt: Prompt, name: str) -> str:
    *_, call = await engine.ask(prompt, [f"malformed/{name}"], book=Book())
    if call.content is None:
        assert call.error
        return REJECTED
    found = engine.read(call.content, SYMBOLS)
    assert_sound(found, call.content, SYMBOLS)
    return READ if any(decision.opens for decision in found.decisions) else DROPPED


@pytest.mark.parametrize(("name", "case"), malformed.CASES.items(), ids=list(malformed.CASES))
async def test_what_comes_of_it_is_what_is_to_come_of_it(engine: LlmEngine, name: str, case: Case) -> None:
    prompt = engine.prompt(briefing() | {"positions": []})

    found = await outcome(engine, prompt, name)

    assert case.name in ELSEWHERE or found in ALLOWED[case.verdict]
