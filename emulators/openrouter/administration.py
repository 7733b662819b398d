"""
The emulator's own routes, under `/emulator`: for whoever runs it, without a key.

JSON in and out; what makes no sense is refused with status 400 in the words of the service's errors.
"""

import json
from collections import deque
from collections.abc import Sequence
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulators.openrouter.catalogue import MODELS, find
from emulators.openrouter.clock import Clock
from emulators.openrouter.errors import ServiceError
from emulators.openrouter.faults import KINDS, Faults, read_fault
from emulators.openrouter.keys import Keys, dollars
from emulators.openrouter.wire import Json, WireResponse

KEPT_REQUESTS = 200
LONGEST_STEP = 10 * 366 * 86_400


class Recorder:
    """The latest requests as they came, but for their keys."""

    def __init__(self) -> None:
        self._requests: deque[Json] = deque(maxlen=KEPT_REQUESTS)

    async def record(self, request: Request, key: str) -> None:
        """Keep *request* without its *key*, wherever in it the key stands."""

        def discreet(text: str) -> str:
            return text.replace(key, "[key]") if key else text

        self._requests.append(
            {
                "method": request.method,
                "path": discreet(request.url.path),
                "query": {name: discreet(value) for name, value in request.query_params.items()},
                "headers": {
                    name: discreet(value) for name, value in request.headers.items() if name != "authorization"
                },
                "body": discreet((await request.body()).decode(errors="replace")),
            }
        )

    def all(self) -> list[Json]:
        return list(self._requests)

    def forget(self) -> None:
        self._requests.clear()


def administration(recorder: Recorder, faults: Faults, keys: Keys, clock: Clock) -> Sequence[Route]:
    """The routes that look into the emulator and change it."""

    async def requests(_request: Request) -> Response:
        return WireResponse({"data": recorder.all()})

    async def forget_requests(_request: Request) -> Response:
        recorder.forget()
        return WireResponse({"data": []})

    async def pending_faults(_request: Request) -> Response:
        return WireResponse({"pending": faults.pending()})

    async def order_fault(request: Request) -> Response:
        fault = read_fault(await _document(request))
        if fault.model is not None and find(fault.model) is None:
            _refuse(f"model {fault.model} is not on offer")
        if fault.provider is not None and fault.provider.lower() not in _providers():
            _refuse(f"provider {fault.provider} is not known; known are {', '.join(sorted(_providers()))}")
        faults.add(fault)
        return WireResponse({"pending": faults.pending()})

    async def clear_faults(_request: Request) -> Response:
        faults.clear()
        return WireResponse({"pending": []})

    async def kinds_of_faults(_request: Request) -> Response:
        return WireResponse({"data": KINDS})

    async def change_key(request: Request) -> Response:
        document = await _document(request)
        keys.change(document)
        return WireResponse({"data": keys.record(document["key"])})

    async def change_credits(request: Request) -> Response:
        document = await _document(request)
        if document.keys() != {"total"}:
            _refuse("total must be the account's credit in USD")
        keys.credits = dollars(document["total"], "total")
        return WireResponse({"total_credits": keys.credits, "total_usage": keys.total_usage()})

    async def show_clock(_request: Request) -> Response:
        return WireResponse({"now": clock.now(), "date": clock.date().isoformat()})

    async def advance_clock(request: Request) -> Response:
        document = await _document(request)
        seconds = document.get("advance")
        if document.keys() != {"advance"} or type(seconds) is not int or not 0 <= seconds <= LONGEST_STEP:
            _refuse("advance must be a whole number of seconds")
        clock.advance(seconds)
        return await show_clock(request)

    return [
        Route("/emulator/requests", requests),
        Route("/emulator/requests", forget_requests, methods=["DELETE"]),
        Route("/emulator/faults", pending_faults),
        Route("/emulator/faults", order_fault, methods=["POST"]),
        Route("/emulator/faults", clear_faults, methods=["DELETE"]),
        Route("/emulator/faults/kinds", kinds_of_faults),
        Route("/emulator/keys", change_key, methods=["POST"]),
        Route("/emulator/credits", change_credits, methods=["POST"]),
        Route("/emulator/clock", show_clock),
        Route("/emulator/clock", advance_clock, methods=["POST"]),
    ]


def _providers() -> set[str]:
    return {provider.name.lower() for model in MODELS.values() for provider in model.providers}


async def _document(request: Request) -> Json:
    try:
        document = json.loads(await request.body())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        _refuse("a JSON object is required")
    return document


def _refuse(message: str) -> NoReturn:
    raise ServiceError(400, message)
