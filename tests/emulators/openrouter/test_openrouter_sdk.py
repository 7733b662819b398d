"""The service's own client, over real HTTP: it declares the type of every field of every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from openrouter import OpenRouter, errors
from openrouter.utils.retries import BackoffStrategy, RetryConfig

from tests.emulators.openrouter.conftest import SEARCH_TOOL, STRICT, a_prompt

# It warns of its own fields: an answer without `rate_limit` it would refuse.
OF_THEIR_OWN = pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED:DeprecationWarning")
# By itself it would retry for an hour.
NEVER = RetryConfig("none", BackoffStrategy(1, 1, 1, 1), False)


@pytest.fixture
def sdk(shared_address: str, own_key: str) -> Iterator[OpenRouter]:
    with OpenRouter(
        api_key=own_key, server_url=f"{shared_address}/api/v1", timeout_ms=10_000, retry_config=NEVER
    ) as client:
        yield client


def messages() -> list[Any]:
    return [
        {"role": "system", "content": "Answer with JSON only."},
        {"role": "user", "content": json.dumps(a_prompt())},
    ]


def ask(sdk: OpenRouter, model: str = "emulated/rule-follower", **options: Any) -> Any:
    return sdk.chat.send(model=model, messages=options.pop("messages", messages()), **options)


def test_it_asks_and_finds_every_field_as_declared(sdk: OpenRouter) -> None:
    answer = ask(sdk)
    [choice] = answer.choices

    assert answer.id.startswith("gen-")
    assert choice.finish_reason == "stop"
    assert json.loads(choice.message.content)["decisions"][0]["action"] == "buy"
    assert answer.usage.cost > 0
    assert answer.usage.cost_details.upstream_inference_prompt_cost > 0
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


def test_it_reads_thoughts_and_counts_them(sdk: OpenRouter) -> None:
    answer = ask(sdk, "emulated/reasoner", reasoning={"effort": "low"}, max_tokens=1000)

    assert answer.choices[0].message.reasoning.startswith("Let me look")
    assert answer.usage.completion_tokens_details.reasoning_tokens == 200


def test_it_gets_an_answer_in_the_strict_schema_it_gives(sdk: OpenRouter) -> None:
    answer = ask(sdk, response_format=STRICT, provider={"require_parameters": True})

    assert list(json.loads(answer.choices[0].message.content)) == ["mood", "decisions"]


def test_it_answers_calls_of_tools_for_several_rounds(sdk: OpenRouter) -> None:
    conversation, rounds = messages(), 0
    while calls := (
        message := ask(sdk, "emulated/thinking-analyst", messages=conversation, tools=[SEARCH_TOOL]).choices[0].message
    ).tool_calls:
        rounds += 1
        conversation.append(message.model_dump(by_alias=True, exclude_none=True))
        conversation += [{"role": "tool", "tool_call_id": call.id, "content": "61.2"} for call in calls]

    assert rounds == 3
    assert json.loads(message.content)["decisions"]


def test_it_reads_a_stream_with_comments_to_its_usage(sdk: OpenRouter) -> None:
    whole = ask(sdk).choices[0].message.content
    with ask(sdk, stream=True) as stream:
        chunks = list(stream)

    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == whole
    assert chunks[-1].usage.cost > 0
    assert chunks[-1].choices == []


def test_it_reads_calls_of_tools_from_a_stream(sdk: OpenRouter) -> None:
    with ask(sdk, "emulated/single-caller", stream=True, tools=[SEARCH_TOOL]) as stream:
        deltas = [choice.delta for chunk in stream for choice in chunk.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or []]

    assert calls[0].function.name == "look_up"
    assert json.loads("".join(call.function.arguments or "" for call in calls))["symbol"] == "BTCUSDT"


STATUSES = {
    400: errors.BadRequestResponseError,
    401: errors.UnauthorizedResponseError,
    402: errors.PaymentRequiredResponseError,
    403: errors.ForbiddenResponseError,
    404: errors.NotFoundResponseError,
    408: errors.RequestTimeoutResponseError,
    409: errors.OpenRouterDefaultError,
    412: errors.OpenRouterDefaultError,
    413: errors.PayloadTooLargeResponseError,
    422: errors.UnprocessableEntityResponseError,
    429: errors.TooManyRequestsResponseError,
    500: errors.InternalServerResponseError,
    502: errors.BadGatewayResponseError,
    503: errors.ServiceUnavailableResponseError,
    504: errors.OpenRouterDefaultError,
    524: errors.EdgeNetworkTimeoutResponseError,
    529: errors.ProviderOverloadedResponseError,
}


@pytest.mark.parametrize(("status", "error"), STATUSES.items())
def test_every_status_becomes_the_clients_own_error(sdk: OpenRouter, status: int, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        ask(sdk, f"faulty/{status}")

    assert caught.value.status_code == status  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("constraint_filtered", errors.NotFoundResponseError),
        ("capacity_exhausted", errors.TooManyRequestsResponseError),
        ("temporarily_unavailable", errors.ServiceUnavailableResponseError),
        ("region_restricted", errors.ForbiddenResponseError),
    ],
)
def test_an_availability_error_is_an_error_of_its_status(sdk: OpenRouter, code: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask(sdk, f"faulty/{code}")


@pytest.mark.parametrize("shape", ["error-as-text", "code-as-word", "no-code"])
def test_an_error_of_another_shape_is_none_it_knows(sdk: OpenRouter, shape: str) -> None:
    with pytest.raises(errors.ResponseValidationError):
        ask(sdk, f"faulty/{shape}")


@pytest.mark.parametrize("kind", ["200-with-error", "empty", "truncated", "no-choices"])
def test_a_200_that_is_no_completion_raises(sdk: OpenRouter, kind: str) -> None:
    with pytest.raises(errors.ResponseValidationError):
        ask(sdk, f"faulty/{kind}")


def test_a_page_raises(sdk: OpenRouter) -> None:
    with pytest.raises(errors.OpenRouterDefaultError):
        ask(sdk, "faulty/html")


@pytest.mark.parametrize("kind", ["reset", "reset-after-headers"])
def test_a_broken_connection_raises(sdk: OpenRouter, kind: str) -> None:
    with pytest.raises(httpx.TransportError):
        ask(sdk, f"faulty/{kind}")


def test_an_error_in_the_middle_of_a_stream_is_a_chunk(sdk: OpenRouter) -> None:
    with ask(sdk, "faulty/mid-stream-error", stream=True) as stream:
        *before, last = list(stream)

    assert before
    assert (last.error.code, last.error.message) == (502, "Provider disconnected")


def test_it_lists_models_endpoints_and_prices(sdk: OpenRouter) -> None:
    listed, response = [], sdk.models.list(offset=0, limit=100)
    while response is not None:
        listed += response.result.data if hasattr(response, "result") else response.data
        response = response.next() if hasattr(response, "next") else None
    coward = sdk.models.get(author="emulated", slug="coward").data
    endpoints = sdk.endpoints.list(author="emulated", slug="rule-follower").data.endpoints

    assert {model.id for model in listed} >= {"emulated/coward", "malformed/48"}
    assert coward.pricing.prompt == "0.00000005"
    assert [endpoint.provider_name for endpoint in endpoints] == ["Emulated", "Secondhand", "Sloppy", "Bare"]
    with pytest.raises(errors.NotFoundResponseError):
        sdk.models.get(author="acme", slug="m1")


@OF_THEIR_OWN
def test_it_reads_its_key_its_credit_and_what_became_of_its_calls(sdk: OpenRouter) -> None:
    answers = [ask(sdk), ask(sdk, "emulated/reasoner")]
    key = sdk.api_keys.get_current_key_metadata().data
    credit = sdk.credits.get_credits().data
    generations = [sdk.generations.get_generation(id=answer.id).data for answer in answers]

    assert key.usage == pytest.approx(sum(answer.usage.cost for answer in answers))
    assert credit.total_usage >= key.usage  # of all keys
    assert [generation.total_cost for generation in generations] == [answer.usage.cost for answer in answers]
    with pytest.raises(errors.NotFoundResponseError):
        sdk.generations.get_generation(id="gen-0")


@OF_THEIR_OWN
def test_it_is_told_that_its_key_is_spent(shared_address: str, own_key: str, sdk: OpenRouter) -> None:
    httpx.post(
        f"{shared_address}/emulator/keys", json={"key": own_key, "limit": "0.00001", "limit_reset": "daily"}
    ).raise_for_status()
    ask(sdk, "emulated/over-trader")

    with pytest.raises(errors.ForbiddenResponseError) as caught:
        ask(sdk)
    budget = sdk.api_keys.get_current_key_metadata().data.effective_budget

    assert caught.value.data.error.metadata["limit_source"] == "openrouter_key_limit"
    assert caught.value.data.error.metadata["resets_at"] == "2025-10-10T00:00:00+00:00"
    assert Decimal(str(budget.remaining_usd)) == 0
