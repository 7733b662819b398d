"""A venue that answers as it was told and keeps every request as it arrived, and clients that speak to it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.clock import SteppedClock
from shared.exchange.account import AsterExchange
from shared.exchange.auth import Credentials, SignerWallet, signer_for
from shared.exchange.client import AsterClient
from shared.exchange.market import AsterMarketData
from tests.exchange import rehearsal as rehearsing
from tests.exchange.rehearsal import Rehearsal, rehearsed
from tests.exchange.streams import Heard, Hours, Streams, serving

SAMPLES = json.loads((Path(__file__).parent / "samples.json").read_text())
NOW = datetime(2025, 6, 15, 12, 0, 5, tzinfo=UTC)
WALLET = SignerWallet("0x" + "11" * 32)


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    call: str
    query: bytes
    body: bytes
    headers: dict[str, str]

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl((self.query or self.body).decode()))


class FakeVenue:
    """Answers each call with what `answer` gave it, in turn; the last answer is repeated."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.clock = SteppedClock(NOW)
        self.slept: list[float] = []
        self.instruments_changed = 0
        self._answers: dict[str, list[Any]] = {}
        methods = ["GET", "POST", "PUT", "DELETE"]
        app = Starlette(routes=[Route("/{path:path}", self._serve, methods=methods)])
        self.transport = httpx.ASGITransport(app)

    def answer(self, call: str, *answers: Any) -> None:
        """Each is a payload, a (status, payload or text[, headers]), an exception to die of, or makes one of these."""
        self._answers[call] = list(answers)

    def calls(self) -> list[str]:
        return [received.call for received in self.received]

    def client(self, credentials: Credentials | None = None) -> AsterClient:
        return AsterClient(
            "http://venue",
            clock=self.clock,
            signer=signer_for(credentials) if credentials else None,
            transport=self.transport,
            sleep=self.sleep,
            jitter=lambda: 1.0,
        )

    def market(self) -> AsterMarketData:
        return AsterMarketData(self.client(), self.clock)

    def account(self, credentials: Credentials = WALLET) -> AsterExchange:
        return AsterExchange(self.client(credentials), signer_for(credentials), self.clock, self._note_change)

    def _note_change(self) -> None:
        self.instruments_changed += 1

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(self.clock.now() + timedelta(seconds=seconds))

    async def _serve(self, request: Request) -> Response:
        received = Received(
            call=f"{request.method} {request.url.path}",
            query=request.scope["query_string"],
            body=await request.body(),
            headers=dict(request.headers),
        )
        self.received.append(received)
        answers = self._answers[received.call]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(received)
        if isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        status, payload, *headers = answer if isinstance(answer, tuple) else (200, answer)
        if isinstance(payload, str):
            return Response(payload, status, *headers)
        return JSONResponse(payload, status, *headers)


@pytest.fixture
def venue() -> FakeVenue:
    return FakeVenue()


@pytest.fixture
def samples() -> Any:
    return SAMPLES


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    async with rehearsed(rehearsing.WALLET) as opened:
        yield opened


@pytest.fixture(params=[rehearsing.WALLET, rehearsing.KEY], ids=["wallet", "key"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Rehearsal]:
    """As signed by each generation of credentials."""
    async with rehearsed(request.param) as opened:
        yield opened


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    async with serving() as served:
        yield served


@pytest.fixture
def heard() -> Heard:
    return Heard()
