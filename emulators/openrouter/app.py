"""
The emulated service: its routes under `/api/v1`, and the emulator's own under `/emulator`.

Promises that the same seed and the same calls give the same bytes, and that an API key is never shown again.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from decimal import Decimal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulators.openrouter.catalogue import MODELS, Model
from emulators.openrouter.characters import Reply
from emulators.openrouter.completion import completion
from emulators.openrouter.errors import ServiceError
from emulators.openrouter.faults import Fault, Faults, late, read_fault, without_an_answer
from emulators.openrouter.ledger import Generation, Ledger
from emulators.openrouter.prompt import read_prompt
from emulators.openrouter.question import Question, read_question
from emulators.openrouter.wire import Json, WireResponse

KEPT_REQUESTS = 200
NATIVE_FINISH_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "SAFETY", "error": "error"}

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(seed: int = 7) -> Starlette:
    """An ASGI application with books of its own; *seed* decides the ids it gives out."""
    service = _Service(seed)
    api = {
        "models": service.models,
        "models/{author}/{slug}/endpoints": service.endpoints,
        "key": service.key,
        "credits": service.credits,
        "generation": service.generation,
    }
    return Starlette(
        routes=[
            Route("/api/v1/chat/completions", service.behind_the_door(service.chat), methods=["POST"]),
            *(Route(f"/api/v1/{path}", service.behind_the_door(endpoint)) for path, endpoint in api.items()),
            Route("/emulator/requests", service.requests),
            Route("/emulator/faults", service.order_fault, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys((ServiceError, HTTPException), _refuse),
    )


class _Service:
    def __init__(self, seed: int) -> None:
        self._ledger = Ledger(seed)
        self._faults = Faults()
        self._requests: deque[Json] = deque(maxlen=KEPT_REQUESTS)

    def behind_the_door(self, endpoint: Endpoint) -> Endpoint:
        """Record the request, then ask for a key, then let it in."""

        async def door(request: Request) -> Response:
            self._requests.append(await _record(request))
            if not _key(request):
                raise ServiceError(401)
            return await endpoint(request)

        return door

    async def chat(self, request: Request) -> Response:
        question = read_question(await request.body())
        failure: ServiceError | None = None
        for slug in question.models:
            model = MODELS.get(slug)
            if model is None:
                failure = ServiceError(400, f"{slug} is not a valid model ID")
                continue
            fault = self._faults.take(slug)
            if fault is not None and fault.kind == "status" and fault.model is not None:
                failure = fault.error()
                continue
            return await self._attempt(model, question, fault, _key(request))
        raise failure or ServiceError(500)

    async def _attempt(self, model: Model, question: Question, fault: Fault | None, key: str) -> Response:
        if fault is None:
            return WireResponse(self._answer(model, question, key))
        if fault.kind == "choice-error":
            return WireResponse(self._half_an_answer(model, question, key))
        return without_an_answer(fault) or await late(fault, self._answer(model, question, key))

    def _answer(self, model: Model, question: Question, key: str) -> Json:
        reply = _reply(model, question)
        return completion(self._generate(model, question, reply, key), reply)

    def _half_an_answer(self, model: Model, question: Question, key: str) -> Json:
        """A choice that failed half-way: partial content, and the error beside it."""
        whole = _reply(model, question).content or ""
        reply = Reply(content=whole[: len(whole) // 2], finish_reason="error")
        body = completion(self._generate(model, question, reply, key), reply)
        body["choices"][0]["error"] = ServiceError(502, "Provider disconnected").error
        return body

    def _generate(self, model: Model, question: Question, reply: Reply, key: str) -> Generation:
        """
        Book what *reply* costs: prompt and completion tokens at the model's prices.

        A token is four characters, rounded up; reasoning counts as completion. An answer that ends in an error is free.
        """
        generation_id, created = self._ledger.next_id()
        reasoning_tokens = _tokens(len(reply.reasoning or ""))
        prompt_tokens = _tokens(question.prompt_characters)
        completion_tokens = _tokens(len(reply.content or reply.refusal or "")) + reasoning_tokens
        charged = Decimal(reply.finish_reason != "error")
        generation = Generation(
            id=generation_id,
            created=created,
            model=model,
            finish_reason=reply.finish_reason,
            native_finish_reason=NATIVE_FINISH_REASONS[reply.finish_reason],
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            reasoning_tokens=reasoning_tokens,
            prompt_cost=prompt_tokens * model.prompt_price * charged,
            completion_cost=completion_tokens * model.completion_price * charged,
        )
        self._ledger.book(key, generation)
        return generation

    async def models(self, _request: Request) -> Response:
        data = [model.listing() for model in MODELS.values()]
        return WireResponse({"data": data, "total_count": len(data), "links": {"next": None}})

    async def endpoints(self, request: Request) -> Response:
        model = MODELS.get("{author}/{slug}".format_map(request.path_params))
        if model is None:
            raise ServiceError(404, "Model not found")
        return WireResponse({"data": model.endpoints()})

    async def key(self, request: Request) -> Response:
        return WireResponse({"data": self._ledger.key(_key(request))})

    async def credits(self, _request: Request) -> Response:
        return WireResponse({"data": self._ledger.credits()})

    async def generation(self, request: Request) -> Response:
        generation = self._ledger.generation(request.query_params.get("id", ""))
        if generation is None:
            raise ServiceError(404, "Generation not found")
        return WireResponse({"data": generation.record()})

    async def requests(self, _request: Request) -> Response:
        return WireResponse({"data": list(self._requests)})

    async def order_fault(self, request: Request) -> Response:
        self._faults.add(read_fault(await request.body()))
        return WireResponse({"pending": self._faults.pending()})


def _reply(model: Model, question: Question) -> Reply:
    reply = model.character(read_prompt(question.user_text), question.schema)
    return reply if question.max_tokens is None else reply.cut(question.max_tokens)


def _tokens(characters: int) -> int:
    return -(-characters // 4)


def _key(request: Request) -> str:
    """The bearer token, or nothing."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


async def _record(request: Request) -> Json:
    return {
        "method": request.method,
        "path": request.url.path,
        "query": dict(request.query_params),
        "headers": {name: value for name, value in request.headers.items() if name != "authorization"},
        "body": (await request.body()).decode(errors="replace"),
    }


async def _refuse(_request: Request, error: Exception) -> Response:
    """Answer a `ServiceError`, or the router's own error when no route fits."""
    refusal = error if isinstance(error, ServiceError) else ServiceError(404, "No such route")
    return refusal.response()
