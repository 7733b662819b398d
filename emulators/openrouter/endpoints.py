"""
The providers behind a model, and which of them a request may go to.

An endpoint is one model at one provider. Unlike the service, which draws lots among the cheapest, the emulator tries
endpoints in the order of its table, so that the same calls give the same answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from emulators.openrouter.errors import ServiceError, unavailable
from emulators.openrouter.preferences import Preferences
from emulators.openrouter.question import Question

SAMPLING = (
    *("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "stop"),
    *("max_tokens", "max_completion_tokens", "reasoning", "verbosity"),
)
TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
EVERYTHING = (*SAMPLING, *TOOLS, "response_format", "structured_outputs")
PREFERRED = ("tools", "response_format", "verbosity")
"""Parameters for which the service prefers an endpoint of the same model that supports them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A house that serves models. *surcharge* multiplies the model's list price."""

    name: str
    tag: str
    supports: tuple[str, ...]
    surcharge: Decimal
    quantization: str
    collects_data: bool
    throughput: int
    latency_ms: int


EMULATED = Provider(
    name="Emulated",
    tag="emulated",
    supports=EVERYTHING,
    surcharge=Decimal(1),
    quantization="bf16",
    collects_data=False,
    throughput=80,
    latency_ms=400,
)
SECONDHAND = Provider(
    name="Secondhand",
    tag="secondhand/fp8",
    supports=EVERYTHING,
    surcharge=Decimal("1.25"),
    quantization="fp8",
    collects_data=True,
    throughput=120,
    latency_ms=250,
)
# JSON mode without schemas, though its `response_format` satisfies `require_parameters`; no tools.
SLOPPY = Provider(
    name="Sloppy",
    tag="sloppy/int4",
    supports=(*SAMPLING, "response_format"),
    surcharge=Decimal("0.8"),
    quantization="int4",
    collects_data=True,
    throughput=200,
    latency_ms=150,
)
BARE = Provider(
    name="Bare",
    tag="bare",
    supports=("temperature", "max_tokens"),
    surcharge=Decimal("0.5"),
    quantization="unknown",
    collects_data=True,
    throughput=40,
    latency_ms=900,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One model at one provider. Prices are USD per token."""

    provider: Provider
    prompt_price: Decimal
    completion_price: Decimal
    cache_read_price: Decimal
    max_completion_tokens: int

    def supports(self, parameter: str) -> bool:
        return parameter in self.provider.supports

    def is_named(self, names: Sequence[str]) -> bool:
        """Whether one of *names* means this endpoint: its provider's name, or its tag with or without the variant."""
        tag = self.provider.tag
        return any(name in {self.provider.name.lower(), tag, tag.partition("/")[0]} for name in names)


def route(slug: str, endpoints: Sequence[Endpoint], question: Question) -> list[Endpoint]:
    """The endpoints of model *slug* to try, in order; a `ServiceError` of status 404 when all are filtered out."""
    wishes = question.provider
    allowed = [each for each in endpoints if _is_allowed(each, wishes)]
    if not allowed:
        raise _filtered(slug, "provider", "No allowed providers are available for the selected model")
    private = [each for each in allowed if not each.provider.collects_data]
    if wishes.denies_collection or wishes.zdr:
        allowed = private
    if not allowed:
        field = "data_collection" if wishes.denies_collection else "zdr"
        raise unavailable("privacy_restricted", [slug], excluded_by=[f"provider.{field}"])
    fitting = [each for each in allowed if _affords(each, wishes)]
    if not fitting:
        raise _filtered(slug, "max_price", "No endpoints found below the maximum price")
    roomy = [each for each in fitting if (question.max_tokens or 0) <= each.max_completion_tokens]
    if not roomy:
        raise _filtered(slug, "max_tokens", "No endpoints found that can write so many tokens")
    if wishes.require_parameters:
        roomy = [each for each in roomy if all(map(each.supports, question.parameters))]
    if not roomy:
        raise _filtered(slug, "require_parameters", None)
    ordered = _ordered(roomy, question)
    return ordered if wishes.allow_fallbacks else ordered[: max(1, len(wishes.order))]


def _is_allowed(endpoint: Endpoint, wishes: Preferences) -> bool:
    return (
        (not wishes.only or endpoint.is_named(wishes.only))
        and not endpoint.is_named(wishes.ignore)
        and (not wishes.quantizations or endpoint.provider.quantization in wishes.quantizations)
        and (wishes.allow_fallbacks or not wishes.order or endpoint.is_named(wishes.order))
    )


def _affords(endpoint: Endpoint, wishes: Preferences) -> bool:
    prices = (
        (endpoint.prompt_price, wishes.max_prompt_price),
        (endpoint.completion_price, wishes.max_completion_price),
    )
    return all(most is None or price <= most for price, most in prices)


def _ordered(endpoints: list[Endpoint], question: Question) -> list[Endpoint]:
    wishes = question.provider
    wanted = [name for name in PREFERRED if name in question.parameters]
    keys = {
        "price": lambda each: each.prompt_price + each.completion_price,
        "throughput": lambda each: -each.provider.throughput,
        "latency": lambda each: each.provider.latency_ms,
        None: lambda each: sum(not each.supports(name) for name in wanted),
    }
    ordered = sorted(endpoints, key=keys[wishes.sort])
    names = list(wishes.order)

    def place(endpoint: Endpoint) -> int:
        return next((index for index, name in enumerate(names) if endpoint.is_named([name])), len(names))

    return sorted(ordered, key=place)


def _filtered(slug: str, field: str, message: str | None) -> ServiceError:
    constraint: dict[str, Any] = {"field": f"provider.{field}", "detail": message or "unsupported parameters"}
    return unavailable("constraint_filtered", [slug], message, excluded_by=[f"provider.{field}"], constraint=constraint)
