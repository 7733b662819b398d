"""Every shape in which the service answers or fails, and what each means to us."""

import json
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.errors import ModelRefused, ModelUnavailable
from shared.llm.completion import read_completion


def reply(**changes: Any) -> dict[str, Any]:
    return {
        "id": "gen-1",
        "model": "acme/m1-2026",
        "provider": "Acme",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
        "usage": {"prompt_tokens": 5313, "completion_tokens": 412, "total_tokens": 5725, "cost": 0.006137},
    } | changes


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_reply_gives_its_text_its_origin_and_its_price() -> None:
    found = read_completion(200, b"\n   \n" + encoded(reply()))

    assert found.answer() == "hello"
    assert (found.model, found.provider, found.finish_reason) == ("acme/m1-2026", "Acme", "stop")
    assert (found.prompt_tokens, found.completion_tokens) == (5313, 412)
    assert found.raw == reply()


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ('{"cost":0.1000000000000000055}', "0.1000000000000000055"),
        ('{"cost":1.2e-7}', "1.2E-7"),
        ('{"cost":0}', "0"),
        ('{"cost":2}', "2"),
        ('{"cost":0.01,"is_byok":true,"cost_details":{"upstream_inference_cost":0.25}}', "0.26"),
        ('{"cost":0.01,"is_byok":false,"cost_details":{"upstream_inference_cost":0.25}}', "0.01"),
        ('{"cost":null}', None),
        ('{"cost":-1}', None),
        ('{"cost":"0.1"}', None),
        ('{"cost":1e-99999999999999999999}', "0"),
        ("null", None),
    ],
)
def test_the_cost_is_taken_from_the_text_and_never_through_a_binary_float(usage: str, cost: str | None) -> None:
    body = encoded(reply(usage="HERE")).replace(b'"HERE"', usage.encode())

    assert read_completion(200, body).cost == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize("tokens", [None, "12", -1, True, 10**12, 1.5])
def test_a_count_that_is_none_is_zero(tokens: object) -> None:
    found = read_completion(200, encoded(reply(usage={"prompt_tokens": tokens})))

    assert (found.prompt_tokens, found.completion_tokens) == (0, 0)


def test_what_no_database_can_hold_is_replaced_throughout() -> None:
    choice = {"finish_reason": "stop", "message": {"content": "a\0b\ud83d", "reasoning_details": [{"te\0xt": "\0"}]}}
    found = read_completion(200, encoded(reply(choices=[choice])))

    assert found.content == "a�b�"
    assert "\\u0000" not in json.dumps(found.raw)


def error(code: object = 429, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "Provider returned error", **more}}


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 524, 529])
def test_a_status_that_passes_is_worth_another_try(status: int) -> None:
    with pytest.raises(ModelUnavailable, match=f"HTTP {status}: Provider returned error"):
        read_completion(status, encoded(error(status)))


@pytest.mark.parametrize("status", [307, 400, 401, 402, 403, 404, 412, 413, 422])
def test_a_status_that_stays_is_not(status: int) -> None:
    with pytest.raises(ModelRefused, match=f"HTTP {status}: Provider returned error"):
        read_completion(status, encoded(error(status)))


@pytest.mark.parametrize(
    ("status", "body", "retry_after", "expected"),
    [
        (429, error(), "7", 7.0),
        (503, error(503), "0.5", 0.5),
        (429, error(), "Wed, 21 Oct 2026 07:28:00 GMT", None),
        (429, error(), "-1", None),
        (429, error(), "nan", None),
        (402, error(402), "3", 3.0),
        (402, error(402, metadata={"limit_source": "openrouter_in_flight_budget"}), None, None),
        (
            503,
            {"error": {"message": "busy", "availability": {"code": "temporarily_unavailable", "retry_after": 9}}},
            None,
            9.0,
        ),
    ],
)
def test_the_service_may_say_how_long_to_wait(
    status: int, body: object, retry_after: str | None, expected: float | None
) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        read_completion(status, encoded(body), retry_after=retry_after)

    assert caught.value.retry_after == expected


@pytest.mark.parametrize(
    "body",
    [
        error("429"),
        error(502),
        error("rate_limit"),
        error(None, metadata={"error_type": "provider_unavailable"}),
        {"error": "upstream went away"},
        reply(
            choices=[{"finish_reason": "error", "error": {"code": 502, "message": "gone"}, "message": {"content": "{"}}]
        ),
        reply(
            choices=[{"finish_reason": "stop", "error": {"code": 502, "message": "gone"}, "message": {"content": "{"}}]
        ),
        reply(choices=[{"finish_reason": "error", "message": {"content": "half"}}]),
        reply(choices=[]),
        reply(choices=None),
        [],
        "hello",
    ],
)
def test_a_failure_within_a_200_is_a_failure(body: object) -> None:
    with pytest.raises(ModelUnavailable):
        read_completion(200, encoded(body))


@pytest.mark.parametrize(
    "body",
    [
        error(400),
        error("403"),
        error("invalid_request"),
        error(None, metadata={"error_type": "context_length_exceeded"}),
        {"error": {"message": "gone", "availability": {"code": "model_deprecated", "retryable": False}}},
    ],
)
def test_a_failure_within_a_200_may_be_final(body: object) -> None:
    with pytest.raises(ModelRefused):
        read_completion(200, encoded(body))


def test_the_service_has_the_last_word_on_whether_to_try_again() -> None:
    body = {"error": {"message": "full", "availability": {"code": "capacity_exhausted", "retryable": False}}}

    with pytest.raises(ModelRefused, match="HTTP 429: capacity_exhausted: full"):
        read_completion(429, encoded(body))


@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"\xff\xfe", b'{"cost":NaN}', b'{"a":1e999}', b"[" * 100_000]
)
def test_a_body_that_is_not_json_is_judged_by_its_status(body: bytes) -> None:
    with pytest.raises(ModelUnavailable):
        read_completion(200, body)
    with pytest.raises(ModelUnavailable):
        read_completion(502, body)
    with pytest.raises(ModelRefused):
        read_completion(403, body)


def test_the_error_says_what_the_service_and_the_provider_said_in_one_short_line() -> None:
    body = error(
        400, metadata={"error_type": "invalid_request", "raw": "schema keyword\n'minimum'\x1b[31m" + "x" * 9000}
    )

    with pytest.raises(ModelRefused) as caught:
        read_completion(400, encoded(body))

    assert str(caught.value).startswith(
        "HTTP 400: invalid_request: Provider returned error: schema keyword 'minimum'[31m"
    )
    assert len(str(caught.value)) == 500
