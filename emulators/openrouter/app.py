"""
The emulated service: its routes under `/api/v1`, and the emulator's own under `/emulator`.

Promises that the same seed and the same calls give the same bytes, and that an API key is never shown again.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulators.openrouter import sending
from emulators.openrouter.administration import Recorder, administration
from emulators.openrouter.caching import PromptCache
from emulators.openrouter.catalogue import MODELS, Model, find
from emulators.openrouter.clock import Clock
from emulators.openrouter.completion import chunks, completion, failed_chunk
from emulators.openrouter.endpoints import Endpoint, route
from emulators.openrouter.errors import ServiceError, unavailable
from emulators.openrouter.faults import Fault, Faults, first_of, read_header
from emulators.openrouter.keys import Keys
from emulators.openrouter.ledger import Generation, Ledger
from emulators.openrouter.prompt import read_prompt
from emulators.openrouter.question import Question, read_question
from emulators.openrouter.reply import CHARACTERS_PER_TOKEN, Reply
from emulators.openrouter.turn import Turn
from emulators.openrouter.wire import Json, WireResponse

NATIVE_FINISH_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "SAFETY",
    "error": "error",
}
LARGEST_BODY = 20_000_000
LARGEST_PAGE = 1000
SMALL_CONTEXT = 8192
"""Models of no more context lose the middle of a long prompt unless they are told not to."""

Door = Callable[[Request], Awaitable[Response]]


def create_app(seed: int = 7, *, real_time: bool = False) -> Starlette:
    """
    An ASGI application with books of its own; *seed* decides its ids and its dice.

    Its clock moves one second with every answer, or follows the *real_time*.
    """
    service = _Service(seed, Clock(follows_real_time=real_time))
    api: dict[str, Door] = {
        "models": service.models,
        "models/{author}/{slug}/endpoints": service.endpoints,
        "models/{author}/{slug}": service.openai_model,
        "model/{author}/{slug}": service.model,
        "key": service.key,
        "credits": service.credits,
        "generation": service.generation,
    }
    return Starlette(
        routes=[
            Route("/api/v1/chat/completions", service.behind_the_door(service.chat), methods=["POST"]),
            *(Route(f"/api/v1/{path}", service.behind_the_door(endpoint)) for path, endpoint in api.items()),
            *administration(service.recorder, service.faults, service.keys, service.clock),
        ],
        exception_handlers=dict.fromkeys((ServiceError, HTTPException), _refuse),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """Who answers what, and who pays."""

    model: Model
    endpoint: Endpoint
    question: Question
    key: str


class _Service:
    def __init__(self, seed: int, clock: Clock) -> None:
        self.clock = clock
        self.keys = Keys(clock)
        self.faults = Faults()
        self.recorder = Recorder()
        self._seed = seed
        self._ledger = Ledger(seed, clock)
        self._cache = PromptCache()
        self._luck = random.Random(seed)

    def behind_the_door(self, endpoint: Door) -> Door:
        """Record the request, then ask for a key, then let it in."""

        async def door(request: Request) -> Response:
            key = _key(request)
            await self.recorder.record(request, key)
            if not key:
                raise ServiceError(401)
            self.keys.refuse_disabled(key)
            return await endpoint(request)

        return door

    async def chat(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > LARGEST_BODY:
            raise ServiceError(413)
        question, key = read_question(body), _key(request)
        self.keys.refuse_spent(key)
        ordered = request.headers.get("x-emulator-fault")
        once = read_header(ordered) if ordered else None
        failure: ServiceError | None = None
        attempts: list[Json] = []
        for slug in question.models:
            try:
                model = _model(slug, question)
                endpoints = route(slug, model.endpoints, question)
            except ServiceError as error:
                failure = error
                continue
            for endpoint in endpoints:
                fault, once = once or self._fault(model, endpoint), None
                name = endpoint.provider.name
                attempt = {"provider": name, "model": slug, "status": 200}
                attempts.append(attempt)
                if fault is None or not fault.is_error:
                    chosen = _Chosen(model=model, endpoint=endpoint, question=question, key=key)
                    routing = _routing(question, attempts, endpoints) if _wants_routing(request) else {}
                    return await self._attempt(chosen, fault, routing)
                failure = fault.error(slug, name)
                attempt["status"] = failure.status
                if not fault.passes_on:
                    raise failure
                if fault.provider is None:
                    break
        raise failure or ServiceError(500)

    def _fault(self, model: Model, endpoint: Endpoint) -> Fault | None:
        ordered = self.faults.take(model.slug, endpoint.provider.name)
        return ordered or first_of(model.troubles, self._luck)

    async def _attempt(self, chosen: _Chosen, fault: Fault | None, routing: Json) -> Response:
        self._admit(chosen)
        if fault is not None and (refusal := sending.without_an_answer(fault)) is not None:
            return refusal
        reply = self._reply(chosen)
        fails = fault is not None and fault.kind in {"choice-error", "mid-stream-error"}
        if fails:
            said = reply.text
            reply = Reply(content=said[: len(said) // 2], finish_reason="error")
        generation = self._generate(chosen, reply)
        if chosen.question.stream:
            failed = failed_chunk(generation, sending.DISCONNECTED)
            return await sending.streamed(list(chunks(generation, reply)), failed, fault)
        body = completion(generation, reply) | routing
        if fails:
            body["choices"][0]["error"] = sending.DISCONNECTED
        return await sending.whole(body, fault)

    def _admit(self, chosen: _Chosen) -> None:
        """Refuse what the account's credit or the platform's limits do not allow."""
        if chosen.model.is_free:
            self.keys.count_free_call(chosen.key)
            return
        endpoint, question = chosen.endpoint, chosen.question
        prompt = question.prompt_tokens * endpoint.prompt_price
        most = question.max_tokens or endpoint.max_completion_tokens
        self.keys.refuse_unaffordable(prompt, endpoint.completion_price, most)

    def _reply(self, chosen: _Chosen) -> Reply:
        model, endpoint, question = chosen.model, chosen.endpoint, chosen.question
        asked = _digest(question.prompt_text)
        callable_now = question.tool_choice != "none" and endpoint.supports("tools")
        texts = question.user_texts
        if question.prompt_tokens > model.context_length:
            texts = [_without_middle(text, model.context_length) for text in texts]
        turn = Turn(
            prompt=read_prompt(texts),
            question=question,
            schema=question.schema if endpoint.supports("structured_outputs") else None,
            tools=question.tools if callable_now else (),
            heeds_format=endpoint.supports("response_format"),
            dice=random.Random(f"{self._seed}:{model.slug}:{question.seed}:{asked}"),
        )
        reply = model.character(turn)
        if model.is_boundless:
            return reply
        return reply.cut(min(question.max_tokens or model.max_completion_tokens, model.max_completion_tokens))

    def _generate(self, chosen: _Chosen, reply: Reply) -> Generation:
        """
        Book what *reply* costs: prompt and completion tokens at the endpoint's prices, cached ones at a tenth.

        Reasoning counts as completion. An answer that ends in an error is free, and so is one that says nothing and
        ends for no reason.
        """
        endpoint, question = chosen.endpoint, chosen.question
        generation_id, created = self._ledger.next_id()
        owner = _digest(chosen.key)
        cached = self._cache.read(
            f"{owner}:{chosen.model.slug}:{endpoint.provider.name}", question.prompt_text, created
        )
        said_nothing = reply.finish_reason is None and not reply.completion_tokens
        generation = Generation(
            id=generation_id,
            created=created,
            model=chosen.model.slug,
            endpoint=endpoint,
            finish_reason=reply.finish_reason,
            native_finish_reason=NATIVE_FINISH_REASONS.get(reply.finish_reason or ""),
            prompt_tokens=question.prompt_tokens,
            cached_tokens=cached,
            completion_tokens=reply.completion_tokens,
            reasoning_tokens=reply.reasoning_tokens,
            is_charged=reply.finish_reason != "error" and not said_nothing,
            streamed=question.stream,
            session_id=question.session_id,
        )
        self.keys.charge(chosen.key, generation.cost)
        self._ledger.book(owner, generation)
        return generation

    async def models(self, request: Request) -> Response:
        wanted = set(filter(None, request.query_params.get("supported_parameters", "").split(",")))
        found = [model for model in MODELS.values() if wanted <= set(model.supported_parameters)]
        match request.query_params.get("sort"):
            case "pricing-low-to-high":
                found.sort(key=lambda model: model.prompt_price + model.completion_price)
            case "pricing-high-to-low":
                found.sort(key=lambda model: -(model.prompt_price + model.completion_price))
        offset, limit = _whole_number(request, "offset", 0), _whole_number(request, "limit", len(found))
        end = offset + min(limit, LARGEST_PAGE)
        following = f"/api/v1/models?offset={end}&limit={limit}" if end < len(found) and limit else None
        data = [model.listing() for model in found[offset:end]]
        return WireResponse({"data": data, "total_count": len(found), "links": {"next": following}})

    async def endpoints(self, request: Request) -> Response:
        return WireResponse({"data": _named(request).endpoint_listing()})

    async def model(self, request: Request) -> Response:
        return WireResponse({"data": _named(request).listing()})

    async def openai_model(self, request: Request) -> Response:
        """One model as OpenAI's API shows it, for that API's clients: without an envelope."""
        listing = _named(request).listing()
        return WireResponse(listing | {"object": "model", "owned_by": listing["id"].partition("/")[0]})

    async def key(self, request: Request) -> Response:
        return WireResponse({"data": self.keys.record(_key(request))})

    async def credits(self, _request: Request) -> Response:
        return WireResponse({"data": {"total_credits": self.keys.credits, "total_usage": self.keys.total_usage()}})

    async def generation(self, request: Request) -> Response:
        generation = self._ledger.generation(_digest(_key(request)), request.query_params.get("id", ""))
        if generation is None:
            raise ServiceError(404, "Generation not found")
        return WireResponse({"data": generation.record()})


def _model(slug: str, question: Question) -> Model:
    """The model of *slug*, if it can be asked this at all; a `ServiceError` otherwise."""
    model = find(slug)
    if model is None:
        raise unavailable("model_not_found", [slug], f"{slug} is not a valid model ID")
    if model.reasoning and model.reasoning["mandatory"] and question.reasoning.effort == "none":
        raise ServiceError(400, "Reasoning is mandatory for this endpoint and cannot be disabled.")
    if model.needs_its_thoughts and any(
        each.tool_calls and not each.has_reasoning_details for each in question.messages
    ):
        raise ServiceError(400, "messages: an assistant message with tool_calls must keep its reasoning_details")
    compresses = model.context_length <= SMALL_CONTEXT if question.compresses is None else question.compresses
    needed = question.prompt_tokens + (question.max_tokens or 0)
    if needed > model.context_length and not compresses:
        message = (
            f"This endpoint's maximum context length is {model.context_length} tokens. "
            f"However, you requested about {needed} tokens."
        )
        raise ServiceError(400, message, metadata={"error_type": "context_length_exceeded"})
    return model


def _without_middle(text: str, most_tokens: int) -> str:
    kept = most_tokens * CHARACTERS_PER_TOKEN // 2
    return text if len(text) <= 2 * kept else text[:kept] + text[-kept:]


def _named(request: Request) -> Model:
    model = find("{author}/{slug}".format_map(request.path_params))
    if model is None:
        raise ServiceError(404, "Model not found")
    return model


def _whole_number(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name, str(usual))
    if not text.isdecimal():
        raise ServiceError(400, f"{name} must be a whole number")
    return int(text)


def _wants_routing(request: Request) -> bool:
    return "enabled" in {
        request.headers.get(name) for name in ("x-openrouter-metadata", "x-openrouter-experimental-metadata")
    }


def _routing(question: Question, attempts: list[Json], endpoints: list[Endpoint]) -> Json:
    """What the request header `X-OpenRouter-Metadata` asks to be told."""
    last = attempts[-1]
    available: list[dict[str, Any]] = [
        {"provider": each.provider.name, "model": last["model"], "selected": each.provider.name == last["provider"]}
        for each in endpoints
    ]
    return {
        "openrouter_metadata": {
            "requested": question.models[0],
            "strategy": "direct" if len(attempts) == 1 else "fallback",
            "region": "emulated",
            "summary": f"available={len(endpoints)}, selected={last['provider']}",
            "attempt": len(attempts),
            "is_byok": False,
            "endpoints": {"total": len(endpoints), "available": available},
            "attempts": attempts,
        }
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _key(request: Request) -> str:
    """The bearer token, or nothing."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


async def _refuse(_request: Request, error: Exception) -> Response:
    """Answer a `ServiceError`, or the router's own error when no route fits."""
    refusal = error if isinstance(error, ServiceError) else ServiceError(404, "No such route")
    return refusal.response()
