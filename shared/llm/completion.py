"""
OpenRouter's replies in our own words. No other module knows theirs.

A failure arrives in many shapes: a status with JSON or with HTML, a 200 with an `error` instead of `choices`, a 200
whose choice carries the error, codes as numbers, as digits or as words. All of them come out as ModelUnavailable or
ModelRefused, with a text that says what the service said.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from shared.domain.errors import ModelClosed, ModelRefused, ModelUnavailable, NoRoomToAnswer, UnusableReply
from shared.llm.text import inert, storable

RETRYABLE_STATUSES = frozenset({408, 409, 429})
"""And every status from 500 on."""
FINAL_ERROR_TYPES = frozenset(
    {
        "authentication",
        "content_policy_violation",
        "context_length_exceeded",
        "invalid_prompt",
        "invalid_request",
        "max_tokens_exceeded",
        "not_found",
        "payload_too_large",
        "payment_required",
        "permission_denied",
        "precondition_failed",
        "refusal",
        "string_too_long",
        "token_limit_exceeded",
        "unprocessable",
    }
)
MAYBE_CHARGED = frozenset({408, 504, 524})
"""Somebody gave up waiting for an answer that may have been made all the same."""
OVERLOADED, OVERLOAD_SECONDS = 529, 5.0
MODERATED = frozenset({"reasons", "flagged_input", "patterns"})
"""What a 403 carries that is about the prompt, and not about the key."""
LARGEST_COUNT = 2**31 - 1
SMALLEST_COST, LARGEST_COST = Decimal("1e-18"), Decimal("1e6")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wants looked up. `arguments` is JSON as the model wrote it, or not even that."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """
    A reply that carries a choice.

    `cost` in USD, exactly as printed, None where the service does not say; `raw` is JSON-ready and safe to store.
    """

    content: str | None
    finish_reason: str | None
    refusal: str | None
    model: str | None
    provider: str | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost: Decimal | None
    tool_calls: tuple[ToolCall, ...]
    raw: dict[str, Any]

    def answer(self) -> str:
        """Return the text to read decisions from.

        Raises ModelUnavailable when it is empty, which passes with a retry, NoRoomToAnswer when the model was still
        thinking as its tokens ended, and UnusableReply when it was cut off, refused, or called a tool it was not
        offered.
        """
        if self.finish_reason == "length":
            if self.content is None or not self.content.strip():
                raise NoRoomToAnswer("max_tokens were spent on thinking before the answer began")
            raise UnusableReply("the answer was cut off at max_tokens", code="cut_off")
        if self.refusal or self.finish_reason == "content_filter":
            why = inert(self.refusal or "content filter", limit=200)
            raise UnusableReply(f"the model refused: {why}", code="refused")
        if self.content is None or not self.content.strip():
            if self.finish_reason == "tool_calls":
                raise UnusableReply("the model called a tool, and none was offered", code="tool_not_offered")
            raise ModelUnavailable("the answer is empty")
        return self.content


def read_completion(status: int, body: bytes, *, retry_after: str | None = None) -> Completion:
    """Return what a reply of HTTP *status* holds. Raises ModelUnavailable or ModelRefused."""
    wait = _seconds(retry_after)
    raw = _parse(body)
    error = raw.get("error") if raw is not None else None
    if not 200 <= status < 300 or error:
        _fail(status, error, wait, raw)
    if raw is None:
        raise ModelUnavailable(f"HTTP {status} without JSON", lost=True)
    choice = _first(raw.get("choices"))
    if choice is None:
        raise ModelUnavailable(f"HTTP {status} without choices", lost=True, reply=raw)
    if choice.get("error") or choice.get("finish_reason") == "error":
        _fail(status, choice.get("error"), wait, raw)

    message = _mapping(choice.get("message"))
    usage = _mapping(raw.get("usage"))
    return Completion(
        content=_content(message.get("content")),
        finish_reason=_string(choice.get("finish_reason")),
        refusal=_string(message.get("refusal")),
        model=_string(raw.get("model")),
        provider=_string(raw.get("provider")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        reasoning_tokens=_count(_mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        cost=_cost(body),
        tool_calls=tool_calls(raw),
        raw=raw,
    )


def assistant_message(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's own message in a reply, as received: it goes back unchanged, thoughts and all."""
    choice = _first(raw.get("choices")) or {}
    return dict(_mapping(choice.get("message")))


def tool_calls(raw: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """Return the tools that a reply calls, in its order. Every one of them is to be answered."""
    found = assistant_message(raw).get("tool_calls")
    calls = [_mapping(each) for each in found] if isinstance(found, list) else []
    return tuple(
        ToolCall(
            id=_string(call.get("id")) or f"call_{place}",
            name=_string(_mapping(call.get("function")).get("name")) or "",
            arguments=_string(_mapping(call.get("function")).get("arguments")) or "",
        )
        for place, call in enumerate(calls)
    )


def closed_until(raw: Mapping[str, Any]) -> datetime | None:
    """Return when a service that turned us away says that it will let us in again, UTC; None where it does not say."""
    metadata = _mapping(_mapping(raw.get("error")).get("metadata"))
    try:
        moment = datetime.fromisoformat(str(metadata.get("resets_at")))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _fail(status: int, error: object, wait: float | None, raw: dict[str, Any] | None) -> NoReturn:
    details = _mapping(error)
    metadata, availability = _mapping(details.get("metadata")), _mapping(details.get("availability"))
    error_type = _string(metadata.get("error_type")) or _string(details.get("error_type"))
    meant = status if not 200 <= status < 300 else _status_of(details.get("code"), error_type)
    wait = wait if wait is not None else _seconds(availability.get("retry_after"))

    said = details.get("message") or (error if isinstance(error, str) else None)
    said = said or _elsewhere(raw or {}) or "no explanation"
    parts = [f"HTTP {status}", error_type, availability.get("code"), said, metadata.get("raw")]
    message = inert(": ".join(str(part) for part in parts if part), limit=500)
    if _is_temporary(meant, metadata, availability, wait):
        if wait is None and meant == OVERLOADED:
            wait = OVERLOAD_SECONDS
        raise ModelUnavailable(message, retry_after=wait, lost=meant in MAYBE_CHARGED, reply=raw)
    if meant in {401, 402} or (meant == 403 and not _about_the_prompt(error_type, metadata, availability)):
        raise ModelClosed(message, reply=raw)
    raise ModelRefused(message, reply=raw)


def _elsewhere(raw: Mapping[str, Any]) -> str | None:
    """Return what a service that is not OpenRouter says went wrong, from where such services put it."""
    detail = raw.get("detail") or raw.get("message")
    return detail if isinstance(detail, str) else json.dumps(detail) if detail else None


def _about_the_prompt(error_type: str | None, metadata: Mapping[str, Any], availability: Mapping[str, Any]) -> bool:
    """Say whether a 403 is about what was asked or of whom, so that another model may well answer."""
    return bool(MODERATED & metadata.keys() or availability.get("code")) or error_type in {
        "content_policy_violation",
        "refusal",
    }


def _is_temporary(
    status: int, metadata: Mapping[str, Any], availability: Mapping[str, Any], wait: float | None
) -> bool:
    retryable = availability.get("retryable")
    if isinstance(retryable, bool):
        return retryable
    if status == 402:
        # Out of credit stays so; too many calls in flight against the credit passes.
        return wait is not None or metadata.get("limit_source") == "openrouter_in_flight_budget"
    return status in RETRYABLE_STATUSES or status >= 500


def _status_of(code: object, error_type: str | None) -> int:
    """Return the status that an error within a 200 would have had."""
    if isinstance(code, int | str) and str(code).isascii() and str(code).isdecimal():
        return int(code)
    return 400 if error_type in FINAL_ERROR_TYPES or code in FINAL_ERROR_TYPES else 502


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body, parse_float=_finite, parse_constant=_refuse_constant)
        return _clean(document) if isinstance(document, dict) else None
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"a number too large to store: {text[:20]}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): _clean(item) for key, item in value.items()}
    return value


def _cost(body: bytes) -> Decimal | None:
    """Return what the call cost: with the customer's own provider key the service's fee and the provider's bill."""
    usage = _mapping(json.loads(body, parse_float=_exact).get("usage"))
    if not _is_money(usage.get("cost")):
        return None
    cost = _money(usage.get("cost"))
    if usage.get("is_byok") is True:
        cost += _money(_mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    return cost


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(0)


def _is_money(value: object) -> bool:
    return isinstance(value, Decimal | int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COST


def _money(value: object) -> Decimal:
    """Return an amount in USD, or zero for what cannot be one: a hole in the books beats a row that no column takes."""
    if not isinstance(value, Decimal | int) or isinstance(value, bool):
        return Decimal(0)
    return Decimal(value) if SMALLEST_COST <= value <= LARGEST_COST else Decimal(0)


def _content(value: object) -> str | None:
    """Return the text of a message: a string, or the text parts of a list, joined."""
    if isinstance(value, list):
        texts = [part.get("text") for part in map(_mapping, value) if part.get("type") == "text"]
        return "".join(text for text in texts if isinstance(text, str))
    return _string(value)


def _first(choices: object) -> Mapping[str, Any] | None:
    return _mapping(choices[0]) if isinstance(choices, list) and choices else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT else 0


def _seconds(value: object) -> float | None:
    """Return a wait in seconds, from a number or its text; None for a date or anything else."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
