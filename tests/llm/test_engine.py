"""The chain: which failure is tried again, which goes to the next model, and what is kept of each attempt."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.domain.errors import ModelUnavailable
from shared.domain.model import ModelOptions, Prompt
from shared.llm.catalogue import Catalogue
from shared.llm.client import OpenRouterClient
from shared.llm.engine import LlmEngine
from shared.llm.prompt import LIMITS, PromptTemplate
from tests.llm.books import Book

START = datetime(2025, 5, 6, 16, 5, tzinfo=UTC)
HOLD = '{"reasoning":"","decisions":[{"asset":"BTCUSDT","action":"hold"}]}'
BRIEFING = {
    "limits": dict.fromkeys(LIMITS, "1"),
    "market": {"BTCUSDT": {"timeframes": {"5m": {}, "4h": {}}}, "ETHUSDT": {"timeframes": {"5m": {}}}},
    "positions": [{"asset": "SOLUSDT"}],
}
Answer = Callable[[], httpx.Response]


class ManualClock:
    """Stands still unless somebody waits."""

    def __init__(self) -> None:
        self.time = START
        self.waits: list[float] = []
        self.speed = 1

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += timedelta(seconds=seconds * self.speed)


class Provider:
    """Answers each model with its next scripted answer, and the last one for ever."""

    def __init__(self, clock: ManualClock) -> None:
        self.scripts: dict[str, list[Answer]] = {}
        self.asked: list[dict[str, Any]] = []
        self.listings: list[dict[str, Any]] = []
        self.seconds_per_call = 0.0
        self._clock = clock

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"data": self.listings})
        body = json.loads(request.content)
        self.asked.append(body)
        self._clock.time += timedelta(seconds=self.seconds_per_call)
        script = self.scripts[body["model"]]
        return (script.pop(0) if len(script) > 1 else script[0])()


def says(content: str | None, finish_reason: str = "stop") -> Answer:
    body = {
        "model": "acme/m1-2026",
        "provider": "Acme",
        "choices": [{"finish_reason": finish_reason, "message": {"content": content}}],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 4,
            "cost": 0.25,
            "prompt_tokens_details": {"cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }
    return lambda: httpx.Response(200, json=body)


def fails(status: int, retry_after: str | None = None) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda: httpx.Response(status, json={"error": {"code": status, "message": "sorry"}}, headers=headers)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def provider(clock: ManualClock) -> Provider:
    return Provider(clock)


@pytest.fixture
async def engine(provider: Provider, clock: ManualClock) -> AsyncIterator[LlmEngine]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider)) as connection:
        client = OpenRouterClient("https://openrouter.ai/api/v1", "sk-or-v1-secret", connection)
        yield LlmEngine(
            client,
            PromptTemplate(),
            clock,
            Catalogue(client, clock),
            ModelOptions(),
            deadline=timedelta(seconds=60),
            sleep=clock.sleep,
            jitter=lambda: 0.5,
        )


@pytest.fixture
def prompt(engine: LlmEngine) -> Prompt:
    return engine.prompt(BRIEFING)


async def test_an_answer_at_once_is_one_call_with_everything_in_it(
    engine: LlmEngine, provider: Provider, prompt: Prompt
) -> None:
    provider.scripts["acme/m1"] = [says(HOLD)]
    provider.seconds_per_call = 1.5

    (call,) = await engine.ask(prompt, ["acme/m1", "other/m2"], book=Book())

    assert (call.asked_model, call.answered_model, call.provider) == ("acme/m1", "acme/m1-2026", "Acme")
    assert (call.prompt_tokens, call.completion_tokens, call.cost) == (10, 4, Decimal("0.25"))
    assert (call.cached_tokens, call.reasoning_tokens) == (6, 3)
    assert (call.at, call.latency_ms) == (START, 1500)
    assert (call.content, call.error, call.prompt) == (HOLD, None, prompt)
    assert call.raw["choices"][0]["message"]["content"] == HOLD
    assert [decision.asset for decision in engine.read(HOLD, ["BTCUSDT"]).decisions] == ["BTCUSDT"]


async def test_the_schema_offers_what_the_briefing_shows_and_what_is_held(
    engine: LlmEngine, provider: Provider, prompt: Prompt
) -> None:
    provider.scripts["acme/m1"] = [says(HOLD)]

    await engine.ask(prompt, ["acme/m1"], book=Book())

    text = json.dumps(provider.asked[0]["response_format"])
    assert '"enum": ["BTCUSDT", "ETHUSDT", "SOLUSDT"]' in text
    assert '"enum": ["5m", "4h"]' in text


async def test_a_passing_failure_is_tried_again_after_growing_pauses(
    engine: LlmEngine, provider: Provider, prompt: Prompt, clock: ManualClock
) -> None:
    provider.scripts["acme/m1"] = [fails(503), fails(429), says(HOLD)]

    calls = await engine.ask(prompt, ["acme/m1"], book=Book())

    assert [call.error for call in calls] == [
        "ModelUnavailable: HTTP 503: sorry",
        "ModelUnavailable: HTTP 429: sorry",
        None,
    ]
    assert clock.waits == [0.75, 1.5]


async def test_after_two_retries_the_next_model_is_asked(engine: LlmEngine, provider: Provider, prompt: Prompt) -> None:
    provider.scripts = {"acme/m1": [fails(500)], "other/m2": [says(HOLD)]}

    calls = await engine.ask(prompt, ["acme/m1", "other/m2"], book=Book())

    assert [call.asked_model for call in calls] == ["acme/m1", "acme/m1", "acme/m1", "other/m2"]
    assert calls[-1].content == HOLD


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (fails(404), "ModelRefused: HTTP 404: sorry"),
        (says(HOLD[:-9], "length"), "UnusableReply: cut_off: the answer was cut off at max_tokens"),
        (says(None, "content_filter"), "UnusableReply: refused: the model refused: content filter"),
        (says("I would buy."), "UnusableReply: no_json: the answer holds no JSON object: 'I would buy.'"),
        (says(HOLD[:-2]), "UnusableReply: cut_off: the answer is cut off: a bracket is never closed"),
    ],
)
async def test_what_a_retry_cannot_mend_goes_to_the_next_model_at_once(
    engine: LlmEngine, provider: Provider, prompt: Prompt, answer: Answer, error: str
) -> None:
    provider.scripts = {"acme/m1": [answer], "other/m2": [says(HOLD)]}

    calls = await engine.ask(prompt, ["acme/m1", "other/m2"], book=Book())

    assert [(call.asked_model, call.error) for call in calls] == [("acme/m1", error), ("other/m2", None)]


async def test_an_answer_that_was_paid_for_is_booked_even_when_it_is_useless(
    engine: LlmEngine, provider: Provider, prompt: Prompt
) -> None:
    provider.scripts["acme/m1"] = [says("I would buy.")]

    (call,) = await engine.ask(prompt, ["acme/m1"], book=Book())

    assert call.content is None
    assert call.cost == Decimal("0.25")
    assert call.raw["choices"][0]["message"]["content"] == "I would buy."


async def test_an_empty_answer_is_asked_for_again(engine: LlmEngine, provider: Provider, prompt: Prompt) -> None:
    provider.scripts["acme/m1"] = [says(""), says(HOLD)]

    calls = await engine.ask(prompt, ["acme/m1"], book=Book())

    assert [call.error for call in calls] == ["ModelUnavailable: the answer is empty", None]


async def test_a_named_wait_is_kept_when_it_fits_and_else_the_next_model_is_asked(
    engine: LlmEngine, provider: Provider, prompt: Prompt, clock: ManualClock
) -> None:
    provider.scripts = {"acme/m1": [fails(429, "7"), fails(429, "45")], "other/m2": [says(HOLD)]}

    calls = await engine.ask(prompt, ["acme/m1", "other/m2"], book=Book())

    assert [call.asked_model for call in calls] == ["acme/m1", "acme/m1", "other/m2"]
    assert clock.waits == [7]


async def test_a_slow_model_leaves_its_fallbacks_their_share_of_the_deadline(
    engine: LlmEngine, provider: Provider, prompt: Prompt, clock: ManualClock
) -> None:
    provider.scripts = {"slow/m1": [fails(504)], "slow/m2": [fails(504)], "other/m3": [says(HOLD)]}
    provider.seconds_per_call = 19.5

    calls = await engine.ask(prompt, ["slow/m1", "slow/m2", "other/m3"], book=Book())

    assert [call.asked_model for call in calls] == ["slow/m1", "slow/m2", "other/m3"]
    assert calls[-1].error is None


async def test_nobody_is_asked_after_the_deadline(
    engine: LlmEngine, provider: Provider, prompt: Prompt, clock: ManualClock
) -> None:
    provider.scripts = {"slow/m1": [fails(504)], "other/m2": [says(HOLD)]}
    provider.seconds_per_call = 61

    calls = await engine.ask(prompt, ["slow/m1", "other/m2"], book=Book())

    assert [call.asked_model for call in calls] == ["slow/m1"]


async def test_a_wait_that_outlasts_the_deadline_where_time_runs_faster_costs_nothing(
    engine: LlmEngine, provider: Provider, prompt: Prompt, clock: ManualClock
) -> None:
    provider.scripts = {"acme/m1": [fails(429, "2")], "other/m2": [says(HOLD)]}
    clock.speed = 60

    calls = await engine.ask(prompt, ["acme/m1", "other/m2"], book=Book())

    assert [(call.asked_model, call.cost) for call in calls] == [("acme/m1", 0)]
    assert len(provider.asked) == 1


async def test_with_no_time_left_nothing_is_sent_and_nothing_can_have_been_charged(provider: Provider) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider)) as connection:
        client = OpenRouterClient("https://openrouter.ai/api/v1", "sk-or-v1-secret", connection)
        with pytest.raises(ModelUnavailable, match="no time was left") as refused:
            await client.complete({"model": "acme/m1"}, seconds=-35.2)

    assert (refused.value.lost, provider.asked) == (False, [])


async def test_when_every_model_fails_every_failure_is_on_record(
    engine: LlmEngine, provider: Provider, prompt: Prompt
) -> None:
    provider.scripts = {"acme/m1": [fails(500)], "other/m2": [fails(404)]}

    calls = await engine.ask(prompt, ["acme/m1", "other/m2"], book=Book())

    assert len(calls) == 4
    assert all(call.error and call.content is None for call in calls)


async def test_no_models_no_calls(engine: LlmEngine, prompt: Prompt) -> None:
    assert list(await engine.ask(prompt, [], book=Book())) == []


async def test_a_flaw_of_ours_is_recorded_and_the_next_model_asked(
    engine: LlmEngine, provider: Provider, prompt: Prompt
) -> None:
    def flaw() -> httpx.Response:
        raise ZeroDivisionError("sk-or-v1-secret")

    provider.scripts = {"acme/m1": [flaw], "other/m2": [says(HOLD)]}

    calls = await engine.ask(prompt, ["acme/m1", "other/m2"], book=Book())

    assert [call.error for call in calls] == ["ModelRefused: ZeroDivisionError on our side", None]


async def test_a_prompt_of_another_making_is_asked_with_no_symbol_to_name(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.scripts["acme/m1"] = [says(HOLD)]

    calls = await engine.ask(Prompt(version="x", system="Trade.", user="How are you?"), ["acme/m1"], book=Book())

    assert calls[-1].error is None
    assert "BTCUSDT" not in json.dumps(provider.asked[0])


THOUGHTS_ONLY = says(None, "length")
PRICED = {"id": "acme/m1", "pricing": {"prompt": "0.000001", "completion": "0.0001"}}


async def test_a_model_whose_thoughts_left_no_room_is_asked_once_with_twice_the_room_and_pays_for_it(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.listings = [PRICED]
    provider.scripts["acme/m1"] = [THOUGHTS_ONLY, says(HOLD)]
    book = Book()

    thinking, decided = await engine.ask(engine.prompt(BRIEFING), ["acme/m1"], book=book)

    assert thinking.error == "NoRoomToAnswer: max_tokens were spent on thinking before the answer began"
    assert decided.content == HOLD
    assert [body["max_tokens"] for body in provider.asked] == [8000, 16000]
    assert decided.parameters["max_tokens"] == 16000
    assert round(book.asked[1] - book.asked[0], 2) == 8000 * Decimal("0.0001")


async def test_a_model_that_thinks_on_and_on_is_left_for_the_next(engine: LlmEngine, provider: Provider) -> None:
    provider.scripts = {"acme/m1": [THOUGHTS_ONLY], "acme/m2": [says(HOLD)]}

    calls = await engine.ask(engine.prompt(BRIEFING), ["acme/m1", "acme/m2"], book=Book())

    assert [call.asked_model for call in calls] == ["acme/m1", "acme/m1", "acme/m2"]
    assert [body["max_tokens"] for body in provider.asked] == [8000, 16000, 8000]


@pytest.mark.parametrize(("longest", "room"), [(9000, [8000, 9000]), (8000, [8000]), (True, [8000, 16000])])
async def test_no_model_is_given_more_room_than_it_has(
    engine: LlmEngine, provider: Provider, longest: int, room: list[int]
) -> None:
    provider.listings = [PRICED | {"top_provider": {"max_completion_tokens": longest}}]
    provider.scripts["acme/m1"] = [THOUGHTS_ONLY]

    await engine.ask(engine.prompt(BRIEFING), ["acme/m1"], book=Book())

    assert [body["max_tokens"] for body in provider.asked] == room


async def test_whoever_goes_on_after_thoughts_without_an_answer_gives_more_room_too(
    engine: LlmEngine, provider: Provider
) -> None:
    provider.scripts["acme/m1"] = [THOUGHTS_ONLY, says(HOLD)]
    prompt = engine.prompt(BRIEFING)
    said = (await engine.ask(prompt, ["acme/m1"], book=Book()))[:1]

    await engine.ask(prompt, ["acme/m1"], book=Book(), said=said)

    assert [body["max_tokens"] for body in provider.asked] == [8000, 16000, 16000]


async def test_more_room_that_the_budget_does_not_cover_is_not_taken(engine: LlmEngine, provider: Provider) -> None:
    provider.listings = [PRICED]
    provider.scripts["acme/m1"] = [THOUGHTS_ONLY]

    calls = await engine.ask(engine.prompt(BRIEFING), ["acme/m1"], book=Book(Decimal(1)))

    assert len(calls) == len(provider.asked) == 1
