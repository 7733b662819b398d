"""A stranger: OpenAI's own client, over real HTTP. It was written against another service than the emulated one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from tests.emulators.openrouter.conftest import SEARCH_TOOL, STRICT, a_prompt


@pytest.fixture
def sdk(shared_address: str, own_key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{shared_address}/api/v1", api_key=own_key, max_retries=0, timeout=10) as client:
        yield client


def messages(*more: Any) -> list[Any]:
    return [
        {"role": "system", "content": "Answer with JSON only."},
        {"role": "user", "content": json.dumps(a_prompt())},
        *more,
    ]


def ask(sdk: OpenAI, model: str = "emulated/rule-follower", **options: Any) -> ChatCompletion:
    return sdk.chat.completions.create(model=model, messages=options.pop("messages", messages()), **options)


def test_it_asks_and_reads_the_answer_and_what_the_service_adds_to_it(sdk: OpenAI) -> None:
    answer = ask(sdk)
    [choice] = answer.choices

    assert choice.finish_reason == "stop"
    assert json.loads(choice.message.content or "")["decisions"][0]["action"] == "buy"
    assert answer.model_extra is not None
    assert answer.model_extra["provider"] == "Emulated"
    assert (choice.model_extra or {})["native_finish_reason"] == "end_turn"
    assert answer.usage is not None
    assert (answer.usage.model_extra or {})["cost"] > 0
    assert answer.usage.prompt_tokens_details is not None


def test_it_gets_an_answer_in_the_strict_schema_it_gives(sdk: OpenAI) -> None:
    answer = ask(sdk, response_format=STRICT, extra_body={"provider": {"require_parameters": True}})

    assert list(json.loads(answer.choices[0].message.content or "")) == ["mood", "decisions"]


class Mood(BaseModel):
    mood: str


def test_it_parses_an_answer_into_its_own_types(sdk: OpenAI) -> None:
    answer = sdk.chat.completions.parse(model="emulated/coward", messages=messages(), response_format=Mood)

    assert answer.choices[0].message.parsed == Mood(mood="")


def test_it_is_told_when_there_is_too_little_room_to_parse(sdk: OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        sdk.chat.completions.parse(model="emulated/coward", messages=messages(), response_format=Mood, max_tokens=1)


def test_it_is_told_of_a_content_filter(sdk: OpenAI) -> None:
    with pytest.raises(openai.ContentFilterFinishReasonError):
        sdk.chat.completions.parse(model="emulated/refuser", messages=messages(), response_format=Mood)


def test_it_answers_calls_of_tools_for_several_rounds(sdk: OpenAI) -> None:
    conversation, asked = messages(), []
    while (
        (answer := ask(sdk, "emulated/analyst", messages=conversation, tools=[SEARCH_TOOL]))
        .choices[0]
        .message.tool_calls
    ):
        message = answer.choices[0].message
        conversation.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or []:
            assert call.type == "function"
            asked.append(json.loads(call.function.arguments))
            conversation.append({"role": "tool", "tool_call_id": call.id, "content": '{"value": 61.2}'})

    assert len(asked) == 6
    assert len({json.dumps(each) for each in asked}) == 6
    assert {each["indicator"] for each in asked} <= {"rsi", "atr", "adx"}
    assert json.loads(answer.choices[0].message.content or "")["decisions"]


def test_it_reads_a_stream_with_comments_to_its_usage(sdk: OpenAI) -> None:
    whole = ask(sdk).choices[0].message.content
    pieces, usage = [], None
    for chunk in ask(sdk, stream=True):  # type: ignore[attr-defined]
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = chunk.usage or usage

    assert "".join(pieces) == whole
    assert len(pieces) > 5
    assert usage is not None
    assert usage.model_extra["cost"] > 0


def test_it_reads_calls_of_tools_from_a_stream(sdk: OpenAI) -> None:
    names, arguments, reasons = [], "", []
    for chunk in ask(sdk, "emulated/single-caller", stream=True, tools=[SEARCH_TOOL]):  # type: ignore[attr-defined]
        for choice in chunk.choices:
            reasons += [choice.finish_reason] if choice.finish_reason else []
            for call in choice.delta.tool_calls or []:
                names += [call.function.name] if call.function.name else []
                arguments += call.function.arguments or ""

    assert (names, reasons) == (["look_up"], ["tool_calls"])
    assert json.loads(arguments)["symbol"] == "BTCUSDT"


STATUSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    402: openai.APIStatusError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    408: openai.APIStatusError,
    409: openai.ConflictError,
    412: openai.APIStatusError,
    413: openai.APIStatusError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
    524: openai.InternalServerError,
    529: openai.InternalServerError,
}


@pytest.mark.parametrize(("status", "error"), STATUSES.items())
def test_every_status_becomes_the_clients_own_error(
    sdk: OpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        ask(sdk, f"faulty/{status}")

    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == status


def test_its_retries_outlast_a_service_that_fails_twice(shared_address: str, sdk: OpenAI) -> None:
    fault = {"kind": "status", "status": 429, "retry_after": 0, "count": 2}
    httpx.post(f"{shared_address}/emulator/faults", json=fault).raise_for_status()

    assert ask(sdk.with_options(max_retries=2)).choices[0].finish_reason == "stop"


def test_an_error_behind_a_200_does_not_raise_and_has_no_choices(sdk: OpenAI) -> None:
    answer = ask(sdk, "faulty/200-with-error")

    assert answer.choices is None
    assert (answer.model_extra or {})["error"]["code"] == 502


def test_an_error_of_a_choice_does_not_raise(sdk: OpenAI) -> None:
    [choice] = ask(sdk, "faulty/choice-error").choices

    assert choice.finish_reason == "error"
    assert (choice.model_extra or {})["error"]["message"] == "Provider disconnected"


def test_a_page_comes_as_the_raw_text(sdk: OpenAI) -> None:
    assert isinstance(ask(sdk, "faulty/html"), str)


@pytest.mark.parametrize("kind", ["empty", "truncated"])
def test_what_is_no_json_raises(sdk: OpenAI, kind: str) -> None:
    with pytest.raises((json.JSONDecodeError, openai.APIResponseValidationError)):
        ask(sdk, f"faulty/{kind}")


@pytest.mark.parametrize("kind", ["reset", "reset-after-headers"])
def test_a_broken_connection_raises(sdk: OpenAI, kind: str) -> None:
    with pytest.raises(Exception, match=r"(?i)connection|reset|read") as caught:
        ask(sdk, f"faulty/{kind}")

    assert type(caught.value).__module__.split(".")[0] in {"openai", "httpx", "httpx2"}


def test_an_error_in_the_middle_of_a_stream_raises_after_what_came_before_it(sdk: OpenAI) -> None:
    stream: Any = iter(ask(sdk, "faulty/mid-stream-error", stream=True))

    assert next(stream).choices
    with pytest.raises(openai.APIError, match="Provider disconnected"):
        list(stream)


def test_a_stream_that_is_cut_just_ends(sdk: OpenAI) -> None:
    chunks: list[Any] = list(ask(sdk, "faulty/stream-cut", stream=True))

    assert chunks
    assert not any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
    assert not any(chunk.usage for chunk in chunks)


def test_a_broken_chunk_raises_after_what_came_before_it(sdk: OpenAI) -> None:
    stream: Any = iter(ask(sdk, "faulty/broken-chunk", stream=True))

    assert next(stream).choices
    with pytest.raises(json.JSONDecodeError):
        list(stream)


def test_it_lists_the_models_and_finds_one_whose_slash_it_escapes(sdk: OpenAI) -> None:
    listed = [model.id for model in sdk.models.list()]
    found = sdk.models.retrieve("emulated/coward")

    assert {"emulated/coward", "malformed/17", "faulty/429"} <= set(listed)
    assert (found.id, found.object, found.owned_by) == ("emulated/coward", "model", "emulated")
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("acme/m1")


def test_what_it_paid_adds_up(sdk: OpenAI) -> None:
    raws = [
        sdk.chat.completions.with_raw_response.create(model=f"emulated/{name}", messages=messages())
        for name in ("over-trader", "reasoner", "refuser")
    ]
    costs = [json.loads(raw.text, parse_float=Decimal)["usage"]["cost"] for raw in raws]
    key = sdk.get("/key", cast_to=object)

    assert Decimal(str(key["data"]["usage"])) == sum(costs)  # type: ignore[index]
