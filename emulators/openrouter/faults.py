"""
Faults on demand: what can go wrong between a client and the service.

A fault waits for attempts at a model, or at a model at one provider, or for any chat completion; it strikes `count`
times, every time its dice say so. An HTTP error that is one model's lets the service go on to the fallbacks of the
request; one that is one provider's, to the model's next provider; any other is the answer.
"""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, NoReturn

from emulators.openrouter.errors import AVAILABILITIES, ERROR_TYPES, MEANINGS, ServiceError, unavailable
from emulators.openrouter.wire import Json

KINDS = {
    "status": "an HTTP error of `status`, 503 unless said, with `retry_after` and `error_type` if given",
    "availability": "an availability error of `code`",
    "in-flight-budget": "402 for too many calls at once against the credit, with a Retry-After",
    "key-limit": "403 for a key whose limit is spent, with `limit_source` and `resets_at`",
    "moderation": "403 of a moderator, with reasons",
    "guardrail": "403 of a guardrail, with the patterns it saw",
    "upstream": "502 whose metadata quotes the provider, and the errors of the ones before it",
    "error-as-text": "503 whose `error` is a bare string",
    "code-as-digits": "429 whose `error.code` is a string of digits",
    "code-as-word": "429 whose `error.code` is a word",
    "no-code": "503 whose `error` has no code",
    "200-with-error": "an `error` and no choices behind HTTP 200; `status` becomes its code, 502 unless said",
    "choice-error": "half an answer whose choice carries the error",
    "no-choices": "an answer without choices",
    "no-usage": "an answer without usage",
    "no-cost": "an answer whose usage has no cost",
    "other-model": "an answer that names another model than the one asked",
    "html": "a gateway's page; `status` is its status, 200 unless said",
    "empty": "nothing; `status` is its status, 200 unless said",
    "truncated": "the first half of the body",
    "slow-first-byte": "`ms` milliseconds of silence before the answer",
    "whitespace-drip": "`ms` milliseconds of white space before the answer; of comments in a stream",
    "reset": "a connection reset in place of an answer",
    "reset-after-headers": "a connection reset in the middle of the body",
    "mid-stream-error": "an error in the middle of a stream; `choice-error` without one",
    "stream-cut": "a stream that ends in the middle; `truncated` without one",
    "broken-chunk": "a chunk of a stream that is no JSON; `truncated` without one",
}
ERRORS = frozenset(
    {
        *("status", "availability", "in-flight-budget", "key-limit", "moderation", "guardrail", "upstream"),
        *("error-as-text", "code-as-digits", "code-as-word", "no-code"),
    }
)
"""Kinds that answer with an HTTP error in JSON."""
WITH_RETRY_AFTER = (402, 429, 503)
"""Statuses that may carry a Retry-After."""
RESETS_AT = "2025-10-10T00:00:00+00:00"


def key_limit_exceeded(status: int, limit: str, spent: str, resets_at: str | None) -> ServiceError:
    """The refusal of a key whose own limit is spent: 403 today, 402 before October 2026."""
    metadata = {
        "limit_source": "openrouter_key_limit",
        "scope": "key_limit",
        "limit_usd": Decimal(limit),
        "spend_usd": Decimal(spent),
        "resets_at": resets_at,
        "remedy_hint": "raise_key_limit",
    }
    return ServiceError(status, "Key limit exceeded", metadata=metadata)


def _in_flight(_model: str, _provider: str) -> ServiceError:
    metadata = {"limit_source": "openrouter_in_flight_budget", "remedy_hint": "wait_for_in_flight_requests"}
    return ServiceError(402, "In-flight budget exhausted", retry_after=1, metadata=metadata)


def _moderated(model: str, provider: str) -> ServiceError:
    metadata = {
        "error_type": "content_policy_violation",
        "reasons": ["financial-advice"],
        "flagged_input": "buy it all",
        "provider_name": provider,
        "model_slug": model,
    }
    return ServiceError(403, "Your input was flagged", metadata=metadata)


def _upstream(_model: str, provider: str) -> ServiceError:
    metadata = {
        "provider_name": provider,
        "raw": '{"error":{"message":"overloaded","type":"server_error"}}',
        "provider_code": "overloaded",
        "previous_errors": [{"provider": "Secondhand", "code": 503, "status": 503}],
    }
    return ServiceError(502, metadata=metadata)


NAMED: dict[str, Callable[[str, str], ServiceError]] = {
    "in-flight-budget": _in_flight,
    "key-limit": lambda _model, _provider: key_limit_exceeded(403, "5", "5", RESETS_AT),
    "moderation": _moderated,
    "guardrail": lambda _model, _provider: ServiceError(
        403, "Blocked by a guardrail", metadata={"patterns": ["ignore previous instructions"]}
    ),
    "upstream": _upstream,
}
"""Errors that say more than their status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One order of `POST /emulator/faults`: a *kind* that strikes *count* times, without end for None.

    *model* is a slug, *provider* a provider's name. With a *probability* below 1, dice with a *seed* decide.
    """

    kind: str
    count: int | None = 1
    model: str | None = None
    provider: str | None = None
    probability: float = 1.0
    seed: int = 0
    status: int | None = None
    retry_after: int | None = None
    error_type: str | None = None
    code: str = "temporarily_unavailable"
    ms: int = 1000

    @property
    def is_error(self) -> bool:
        return self.kind in ERRORS

    @property
    def passes_on(self) -> bool:
        """Whether the service tries another model or provider instead of telling the client."""
        return self.is_error and (self.model is not None or self.provider is not None)

    def strikes(self, model: str, provider: str) -> bool:
        return self.model in (None, model) and (self.provider is None or self.provider.lower() == provider.lower())

    def error(self, model: str, provider: str) -> ServiceError:
        """The error to answer with, for the kinds that are errors."""
        if self.kind == "availability":
            return unavailable(self.code, [model], retry_after=self.retry_after, affected_providers=[provider])
        if self.kind in NAMED:
            return NAMED[self.kind](model, provider)
        return self._misshapen_error() or self._status_error(provider)

    def _status_error(self, provider: str) -> ServiceError:
        metadata = {"provider_name": provider} | ({"error_type": self.error_type} if self.error_type else {})
        headers = {}
        if self.status == 429:
            # Only on refusals, never on success, and in milliseconds.
            headers = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1760000060000"}
        status = self.status or 503
        return ServiceError(status, retry_after=self.retry_after, metadata=metadata, headers=headers)

    def _misshapen_error(self) -> ServiceError | None:
        shapes: dict[str, tuple[int, Any]] = {
            "error-as-text": (503, "upstream connect error"),
            "code-as-digits": (429, {"code": "429", "message": "Slow down"}),
            "code-as-word": (429, {"code": "rate_limit", "message": "Slow down"}),
            "no-code": (503, {"message": "Something went wrong"}),
        }
        if self.kind not in shapes:
            return None
        status, shape = shapes[self.kind]
        error = ServiceError(self.status or status, retry_after=self.retry_after)
        error.error = shape
        return error


def read_fault(document: object) -> Fault:
    """Read an order; a `ServiceError` of status 400 says what is wrong with it."""
    if not isinstance(document, dict) or document.get("kind") not in tuple(KINDS):
        _refuse(f"kind must be one of {', '.join(KINDS)}")
    known = {each.name for each in fields(Fault)}
    unknown = sorted(document.keys() - known)
    if unknown:
        _refuse(f"unknown field {unknown[0]}; known are {', '.join(sorted(known))}")
    for name in document.keys() & {"count", "status", "retry_after", "ms", "seed"}:
        endless = name == "count" and document[name] is None
        if not endless and (type(document[name]) is not int or document[name] < (name == "count")):
            _refuse(f"{name} must be an integer of at least {int(name == 'count')}")
    for name in document.keys() & {"model", "provider", "error_type", "code"}:
        if not isinstance(document[name], str):
            _refuse(f"{name} must be a string")
    chance = document.get("probability", 1.0)
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        _refuse("probability must be a number from 0 to 1")
    if document.get("status", 503) not in MEANINGS:
        _refuse(f"status must be one of {', '.join(map(str, MEANINGS))}")
    if document.get("code", "no_endpoints") not in AVAILABILITIES:
        _refuse(f"code must be one of {', '.join(AVAILABILITIES)}")
    if document.get("error_type", "server") not in ERROR_TYPES:
        _refuse(f"error_type must be one of {', '.join(sorted(ERROR_TYPES))}")
    # With dice, a fault that says no count strikes without end.
    usual_count = 1 if chance == 1 else None
    orders: dict[str, Any] = {"count": usual_count} | document
    return Fault(**orders)


def read_header(text: str) -> Fault:
    """Read an order of the header `X-Emulator-Fault`, for the one request that carries it."""
    try:
        return read_fault(json.loads(text))
    except ValueError:
        _refuse("X-Emulator-Fault must be a JSON object")


def _refuse(message: str) -> NoReturn:
    raise ServiceError(400, message)


@dataclass(slots=True)
class _Order:
    fault: Fault
    left: int | None
    dice: random.Random
    struck: int = 0


@dataclass(slots=True)
class Faults:
    """The orders still to be carried out, first come, first served."""

    _orders: list[_Order] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self._orders.append(_Order(fault, fault.count, random.Random(fault.seed)))

    def clear(self) -> None:
        self._orders.clear()

    def take(self, model: str, provider: str) -> Fault | None:
        """The fault that strikes this attempt at *model* at *provider*, if any."""
        for order in self._orders:
            if order.fault.strikes(model, provider) and _falls(order.fault, order.dice):
                order.struck += 1
                if order.left is not None:
                    order.left -= 1
                    if not order.left:
                        self._orders.remove(order)
                return order.fault
        return None

    def pending(self) -> list[Json]:
        return [
            {"kind": each.fault.kind, "model": each.fault.model, "left": each.left, "struck": each.struck}
            for each in self._orders
        ]


def first_of(troubles: Iterable[Fault], dice: random.Random) -> Fault | None:
    """The first of a model's own troubles that befalls this attempt."""
    return next((each for each in troubles if _falls(each, dice)), None)


def _falls(fault: Fault, dice: random.Random) -> bool:
    return fault.probability >= 1 or dice.random() < fault.probability
