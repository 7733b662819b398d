"""What a service lacks: found out by how it refuses, left out from then on, and never taken for anything else."""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.domain.model import ModelOptions, Price
from shared.llm.catalogue import Catalogue
from shared.llm.client import OpenRouterClient
from shared.llm.engine import LlmEngine
from shared.llm.prompt import PromptTemplate
from tests.llm.books import Book
from tests.llm.test_engine import BRIEFING, HOLD, ManualClock, fails, says
from tests.llm.test_tool_rounds import Shelf

EVERYTHING = ModelOptions(
    temperature=0.2,
    seed=7,
    reasoning={"effort": "low"},
    provider={"require_parameters": True, "data_collection": "deny"},
    tool_rounds=1,
    indicators=("RSI",),
)
Refusal = Callable[[dict[str, Any]], httpx.Response | None]


class Server:
    """Answers whatever its *refusals* let through."""

    def __init__(self, *refusals: Refusal, listings: list[dict[str, Any]] | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.refusals = refusals
        self.listings = listings
        self.listed = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.listed += 1
            return httpx.Response(404) if self.listings is None else httpx.Response(200, json={"data": self.listings})
        body = json.loads(request.content)
        self.asked.append(body)
        refused = (refusal(body) for refusal in self.refusals)
        return next((response for response in refused if response is not None), None) or says(HOLD)()


def does_not_know(name: str, text: str, status: int = 400) -> Refusal:
    """A refusal of whatever holds *name* anywhere but in its messages."""

    def refusal(body: dict[str, Any]) -> httpx.Response | None:
        sent = json.dumps({key: value for key, value in body.items() if key != "messages"})
        return httpx.Response(status, json={"error": {"message": text}}) if f'"{name}"' in sent else None

    return refusal


def built(server: Server, clock: ManualClock, options: ModelOptions = EVERYTHING) -> LlmEngine:
    connection = httpx.AsyncClient(transport=httpx.MockTransport(server))
    client = OpenRouterClient("http://localhost:8080/v1", "none", connection)
    catalogue = Catalogue(client, clock)
    return LlmEngine(client, PromptTemplate(), clock, catalogue, options, sleep=clock.sleep, jitter=lambda: 0.5)


@pytest.mark.parametrize(
    ("name", "text", "status"),
    [
        ("tools", "llama-7b does not support tools", 400),
        ("tools", "tools param requires --jinja flag", 500),
        ("tools", "No endpoints found that support tool use.", 404),
        ("seed", "Unrecognized request argument supplied: seed", 400),
        ("temperature", "Unsupported value: 'temperature' does not support 0.2 with this model.", 400),
        ("reasoning", "Unknown parameter: 'reasoning'.", 400),
        ("provider", "Unrecognized request arguments supplied: plugins, provider", 400),
        ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", 400),
    ],
)
async def test_what_is_not_known_is_left_out_and_remembered(
    caplog: pytest.LogCaptureFixture, name: str, text: str, status: int
) -> None:
    server, clock = Server(does_not_know(name, text, status)), ManualClock()
    engine = built(server, clock)

    with caplog.at_level(logging.WARNING, logger="perpetua.llm"):
        first = await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book(), lookup=Shelf())
        second = await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book(), lookup=Shelf())

    assert [call.error is None for call in first] == [False, True]
    assert [call.error is None for call in second] == [True]
    assert name in server.asked[0]
    assert not any(name in body for body in server.asked[1:])
    assert len([record for record in caplog.records if "left out" in record.message]) == 1


async def test_a_schema_that_is_refused_becomes_json_mode_and_then_a_matter_of_the_prompt() -> None:
    server = Server(
        does_not_know("json_schema", "This response_format type is unavailable now"),
        does_not_know("json_object", "'response_format.type' must be 'text'"),
    )
    engine = built(server, ManualClock(), ModelOptions())

    calls = await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book())

    formats = [body.get("response_format", {}).get("type") for body in server.asked]
    assert formats == ["json_schema", "json_object", None]
    assert calls[-1].content == HOLD


async def test_a_server_that_knows_nothing_but_messages_is_asked_in_the_end() -> None:
    plain = {"model", "messages", "stream", "max_completion_tokens"}

    def only_plain(body: dict[str, Any]) -> httpx.Response | None:
        unknown = sorted(body.keys() - plain)
        wrong = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs"} for name in unknown[:1]]
        return httpx.Response(422, json={"detail": wrong}) if wrong else None

    server = Server(only_plain)
    engine = built(server, ManualClock())

    calls = await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book(), lookup=Shelf())

    assert calls[-1].content == HOLD
    assert server.asked[-1].keys() == plain


@pytest.mark.parametrize(
    "error",
    [
        {"code": 400, "message": "schema of your tools is fine", "metadata": {"error_type": "context_length_exceeded"}},
        {"code": 400, "message": "unsupported topic", "metadata": {"error_type": "content_policy_violation"}},
        {"code": 400, "message": "something is wrong"},
    ],
)
async def test_a_refusal_of_the_content_simplifies_nothing(error: dict[str, Any]) -> None:
    server = Server(lambda body: httpx.Response(400, json={"error": error}) if body["model"] == "m" else None)
    engine = built(server, ManualClock(), ModelOptions())

    calls = await engine.ask(engine.prompt(BRIEFING), ["m", "other"], book=Book())

    assert [call.asked_model for call in calls] == ["m", "other"]
    assert server.asked[0].keys() == server.asked[1].keys()


async def test_what_a_listing_does_not_declare_is_left_out_from_the_beginning() -> None:
    listing = {"id": "m", "supported_parameters": ["max_completion_tokens", "response_format", "reasoning"]}
    server = Server(listings=[listing])
    engine = built(server, ManualClock())

    await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book(), lookup=Shelf())

    [body] = server.asked
    assert body["response_format"] == {"type": "json_object"}
    assert body.keys() == {
        *("model", "messages", "stream", "max_completion_tokens"),
        *("response_format", "reasoning", "provider", "plugins"),
    }


@pytest.mark.parametrize(
    ("listing", "says_what"),
    [
        ({"id": "another"}, "lists no model m: check the name"),
        ({"id": "m", "expiration_date": "2025-05-10"}, "it ends on 2025-05-10"),
        ({"id": "m", "context_length": 4096}, "its 4096 tokens leave no room beside LLM_MAX_TOKENS"),
        ({"id": "m"}, "its price is not known: set LLM_PRICE"),
        ({"id": "m", "pricing": {"prompt": "-1", "completion": "-1"}}, "its price is not known"),
        ({"id": "m", "supported_parameters": ["max_tokens"]}, "it does not declare json_schema, seed"),
    ],
)
async def test_a_model_that_is_not_as_it_should_be_is_one_line_a_day(
    caplog: pytest.LogCaptureFixture, listing: dict[str, Any], says_what: str
) -> None:
    server, clock = Server(listings=[listing]), ManualClock()
    engine = built(server, clock, ModelOptions(daily_budget=Decimal(1), seed=7))

    with caplog.at_level(logging.WARNING, logger="perpetua.llm"):
        for _ in range(3):
            await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book())
        clock.time += timedelta(days=1, minutes=1)
        await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book())

    lines = [record.message for record in caplog.records]
    assert len(lines) == 2
    assert all(says_what in line for line in lines)
    assert server.listed == 2


async def test_a_model_that_is_as_it_should_be_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    listing = {
        "id": "m",
        "context_length": 128_000,
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "supported_parameters": ["max_tokens", "temperature", "structured_outputs", "response_format"],
        "expiration_date": None,
    }
    server = Server(listings=[listing])
    engine = built(server, ManualClock(), ModelOptions(daily_budget=Decimal(1), temperature=0.2))

    await engine.check(["m", "m:nitro"])

    assert caplog.records == []


async def test_accounts_that_ask_at_once_all_get_the_list_that_is_asked_for_once() -> None:
    server, clock = Server(listings=[{"id": "m", "pricing": {"prompt": "0.1", "completion": "0.2"}}]), ManualClock()
    connection = httpx.AsyncClient(transport=httpx.MockTransport(server))
    catalogue = Catalogue(OpenRouterClient("http://localhost/v1", "none", connection), clock)

    found = await asyncio.gather(*(catalogue.listing("m") for _ in range(5)))

    assert all(listing is not None and listing.price is not None for listing in found)
    assert server.listed == 1


async def test_a_service_without_a_list_is_asked_all_the_same() -> None:
    server = Server()
    engine = built(server, ManualClock(), ModelOptions(daily_budget=Decimal(1)))

    for _ in range(3):
        calls = await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book())

    assert calls[-1].content == HOLD
    assert server.listed == 1


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        ({"prompt": "0.000001", "completion": "0"}, ("0.000001", "0", "0")),
        ({"prompt": "0.000001", "completion": "0.000002", "request": "0.01"}, ("0.000001", "0.000002", "0.01")),
        (
            {"prompt": "0.1", "completion": "0.2", "overrides": [{"min_prompt_tokens": 9, "prompt": "0.3"}]},
            ("0.3", "0.2", "0"),
        ),
        ({"prompt": "0.1", "completion": "0.2", "internal_reasoning": "0.4"}, ("0.1", "0.4", "0")),
        ({"prompt": "cheap", "completion": "0.2"}, None),
        ({"prompt": "NaN", "completion": "0.2"}, None),
        ({"completion": "0.2"}, None),
        (None, None),
    ],
)
async def test_the_price_is_the_dearest_a_token_can_get(pricing: Any, price: tuple[str, str, str] | None) -> None:
    server, clock = Server(listings=[{"id": "m", "pricing": pricing}, "junk", {"no": "id"}]), ManualClock()
    connection = httpx.AsyncClient(transport=httpx.MockTransport(server))
    listing = await Catalogue(OpenRouterClient("http://localhost/v1", "none", connection), clock).listing("m")

    assert listing is not None
    expected = price and Price(prompt=Decimal(price[0]), completion=Decimal(price[1]), request=Decimal(price[2]))
    assert listing.price == expected


async def test_a_question_is_kept_with_what_was_sent_but_for_the_messages() -> None:
    server = Server()
    engine = built(server, ManualClock())

    [call] = await engine.ask(engine.prompt(BRIEFING), ["m"], book=Book())

    sent = call.parameters
    assert (sent["seed"], sent["temperature"], sent["reasoning"]) == (7, 0.2, {"effort": "low"})
    assert sent["response_format"]["schema"].startswith("sha256:")
    assert "messages" not in sent


COSTLY = ModelOptions(price=Price(prompt=Decimal("0.001"), completion=Decimal("0.01")), max_tokens=1000)


@pytest.mark.parametrize(
    ("answer", "cost", "estimated"),
    [
        ({"usage": {"prompt_tokens": 10, "completion_tokens": 4, "cost": 0.25}}, "0.25", False),
        ({"usage": {"prompt_tokens": 10, "completion_tokens": 4}}, "0.05", True),
        ({}, "worst", True),
    ],
)
async def test_a_cost_that_is_not_told_is_reckoned_and_said_to_be(
    answer: dict[str, Any], cost: str, estimated: bool
) -> None:
    body = {"choices": [{"finish_reason": "stop", "message": {"content": HOLD}}], **answer}
    server = Server(lambda _body: httpx.Response(200, json=body))
    engine, book = built(server, ManualClock(), COSTLY), Book()

    [call] = await engine.ask(engine.prompt(BRIEFING), ["m"], book=book)

    assert call.cost == (book.asked[0] if cost == "worst" else Decimal(cost))
    assert call.estimated is estimated
    assert book.asked[0] > Decimal("0.001") * len(json.dumps(server.asked[0])) * Decimal("0.9") + 10


@pytest.mark.parametrize(("status", "charged"), [(504, True), (408, True), (503, False), (429, False), (404, False)])
async def test_an_answer_that_may_have_been_made_and_never_came_costs_the_most_it_can(
    status: int, charged: bool
) -> None:
    server = Server(lambda _body: fails(status)())
    engine, book = built(server, ManualClock(), COSTLY), Book()

    calls = await engine.ask(engine.prompt(BRIEFING), ["m"], book=book)

    assert {call.cost for call in calls} == ({book.asked[0]} if charged else {Decimal(0)})
    assert {call.estimated for call in calls} == {charged}
