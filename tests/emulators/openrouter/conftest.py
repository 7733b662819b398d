"""A prompt that mentions only what a test cares about, and a client with a key."""

import contextlib
import copy
import hashlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
import uvicorn

from emulators.openrouter import create_app

Json = dict[str, Any]

RISING: Json = {
    "close": 95500.0,
    "ema_20": 95300.0,
    "ema_50": 95000.0,
    "rsi_14": 50.0,
    "atr_14": 150.0,
    "adx_14": 30.0,
    "bb_upper": 96000.0,
    "bb_middle": 95400.0,
    "bb_lower": 94800.0,
}
PULLED_BACK: Json = {
    "close": [95600.0, 95500.0, 95450.0, 95400.0, 95420.0, 95500.0],
    "rsi_14": [55.0, 48.0, 44.0, 42.0, 43.0, 50.0],
    "macd_hist": [5.0, 2.0, -1.0, -3.0, -4.0, -2.0],
}
LIMITS: Json = {
    "max_leverage": 5,
    "max_position_usd": "2000",
    "max_total_exposure_usd": "6000",
    "max_positions": 3,
    "min_notional_usd": "5",
    "risk_per_trade": "0.01",
    "min_reward_to_risk": "1.2",
    "min_stop_distance": "0.002",
    "max_stop_distance": "0.08",
    "min_confidence": "0.5",
}


SEARCH_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "An indicator of an asset.",
        "parameters": {
            "type": "object",
            "properties": {
                "symbol": {"type": "string", "enum": ["BTCUSDT"]},
                "indicator": {"type": "string", "enum": ["rsi", "atr", "adx"]},
                "timeframe": {"type": "string"},
                "length": {"type": "integer", "minimum": 2, "maximum": 30},
            },
            "required": ["symbol", "indicator", "length"],
        },
    },
}
STRICT: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "trade_decisions",
        "strict": True,
        "schema": {
            "type": "object",
            "additionalProperties": False,
            "required": ["mood", "decisions"],
            "properties": {
                "mood": {"type": "string"},
                "decisions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["asset", "action"],
                        "properties": {"asset": {"type": "string"}, "action": {"type": "string"}},
                    },
                },
            },
        },
    },
}


def mirrored(market: Json) -> Json:
    """The same market upside down around 95500: where one would buy, now one would sell."""
    turned = copy.deepcopy(market)
    for frame in turned["timeframes"].values():
        latest, series = frame["latest"], frame["series"]
        for name in ("ema_20", "ema_50", "bb_middle"):
            latest[name] = 191000.0 - latest[name]
        latest["rsi_14"] = 100.0 - latest["rsi_14"]
        series["close"] = [191000.0 - value for value in series["close"]]
        series["rsi_14"] = [100.0 - value for value in series["rsi_14"]]
        series["macd_hist"] = [-value for value in series["macd_hist"]]
    return turned


def a_market() -> Json:
    """An uptrend whose momentum has just turned up again after a pullback."""
    frame = {"candles": 300, "latest": dict(RISING), "series": copy.deepcopy(PULLED_BACK)}
    return {"mark_price": "95500", "timeframes": {"5m": frame}}


def a_position(**changes: Any) -> Json:
    invalidation = {"timeframe": "5m", "condition": "close_below", "price": "94200"}
    return {
        "asset": "BTCUSDT",
        "side": "LONG",
        "quantity": "0.010",
        "notional_usd": "955",
        "exit_plan": {"text": "", "invalidation": invalidation},
    } | changes


def a_prompt(**changes: Any) -> Json:
    return {
        "time": "2025-05-06T16:05:00Z",
        "account": {"equity": "10000.00", "available": "9000.00"},
        "limits": dict(LIMITS),
        "positions": [],
        "market": {"BTCUSDT": a_market()},
    } | changes


@pytest.fixture
def prompt() -> Callable[..., Json]:
    return a_prompt


@pytest.fixture
def position() -> Callable[..., Json]:
    return a_position


@pytest.fixture
def rising() -> Json:
    return a_market()


@pytest.fixture
def falling() -> Json:
    return mirrored(a_market())


@contextlib.contextmanager
def a_server() -> Iterator[str]:
    """The emulator on a real socket; where it listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def address() -> Iterator[str]:
    with a_server() as address:
        yield address


@pytest.fixture(scope="module")
def shared_address() -> Iterator[str]:
    """A server for all tests of a module, which keep apart by their keys."""
    with a_server() as address:
        yield address


@pytest.fixture
def own_key(request: pytest.FixtureRequest) -> str:
    return f"sk-or-v1-{hashlib.sha256(request.node.name.encode()).hexdigest()}"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(seed=7))
    headers = {"Authorization": "Bearer sk-or-v1-secret"}
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator/api/v1", headers=headers) as client:
        yield client


Ask = Callable[..., Awaitable[Json]]


@pytest.fixture
def ask(client: httpx.AsyncClient) -> Ask:
    """Ask *model* about a prompt; the whole reply comes back, numbers as decimals."""

    async def asking(model: str, document: Json, **fields: Any) -> Json:
        messages = [
            {"role": "system", "content": "Answer with JSON only."},
            {"role": "user", "content": f"Here is the market.\n{json.dumps(document)}\nDecide."},
        ]
        body = {"model": f"emulated/{model}", "messages": messages} | fields
        reply = await client.post("/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        return json.loads(reply.content, parse_float=Decimal)

    return asking


@pytest.fixture
def decisions(ask: Ask) -> Ask:
    """Ask a well-behaved *model*; its decisions come back by asset."""

    async def asking(model: str, document: Json, **fields: Any) -> Json:
        reply = await ask(model, document, **fields)
        answer = json.loads(reply["choices"][0]["message"]["content"], parse_float=Decimal)
        return {decision["asset"]: decision for decision in answer["decisions"]}

    return asking
