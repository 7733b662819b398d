"""The client against servers that behave and misbehave, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.domain.errors import ModelRefused, ModelUnavailable
from shared.domain.model import ModelOptions, Prompt
from shared.llm.client import MAX_REPLY_BYTES, OpenRouterClient
from shared.llm.completion import Completion
from shared.llm.request import request_body
from shared.llm.schema import answer_schema

KEY = "sk-or-v1-secret"
PROMPT = Prompt(version="v1", system="Trade well.", user='Data: {"a":"ü"}')
BODY = b'{"model":"m","choices":[{"finish_reason":"stop","message":{"content":"hi"}}],"usage":{"cost":0.003}}'
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(status: str, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


class Service:
    """Reads one request at a time, keeps it, and then behaves as told."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.head = ""
        self.body: dict[str, Any] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(self.head.lower().partition("content-length: ")[2].partition("\r\n")[0])
            self.body = json.loads(await reader.readexactly(length))
            await self._behaviour(reader, writer)
        except ConnectionError:
            pass  # the client left, as some tests want it to
        finally:
            writer.close()


def answers(reply: bytes) -> Behaviour:
    async def behaviour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()

    return behaviour


@asynccontextmanager
async def running(behaviour: Behaviour) -> AsyncIterator[tuple[Service, str]]:
    service = Service(behaviour)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    try:
        yield service, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
    finally:
        server.close()
        await server.wait_closed()


async def ask(base_url: str, *, seconds: float = 20, options: ModelOptions | None = None) -> Completion:
    body = request_body(
        PROMPT, "acme/m1", options or ModelOptions(max_tokens=4000), schema=answer_schema(["BTCUSDT"], ["5m"])
    )
    async with httpx.AsyncClient(follow_redirects=True) as connection:
        return await OpenRouterClient(base_url, KEY, connection).complete(body, seconds=seconds)


async def test_a_question_is_one_post_with_the_key_in_its_header_and_a_strict_schema() -> None:
    async with running(answers(http("200 OK", BODY, "Content-Type: application/json"))) as (service, base_url):
        options = ModelOptions(
            max_tokens=4000,
            temperature=0.2,
            seed=7,
            reasoning={"effort": "low"},
            provider={"require_parameters": True, "data_collection": "deny"},
        )
        found = await ask(f"{base_url}/", options=options)

    assert found.answer() == "hi"
    assert found.cost == Decimal("0.003")
    assert service.head.startswith("POST /api/v1/chat/completions HTTP/1.1\r\n")
    assert f"authorization: bearer {KEY}\r\n" in service.head.lower()
    assert service.body == {
        "model": "acme/m1",
        "messages": [{"role": "system", "content": "Trade well."}, {"role": "user", "content": 'Data: {"a":"ü"}'}],
        "max_tokens": 4000,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "trading_decisions",
                "strict": True,
                "schema": answer_schema(["BTCUSDT"], ["5m"]),
            },
        },
        "stream": False,
        "temperature": 0.2,
        "seed": 7,
        "reasoning": {"effort": "low"},
        "provider": {"require_parameters": True, "data_collection": "deny"},
        "plugins": [{"id": "context-compression", "enabled": False}],
    }


async def test_a_reply_that_drips_white_space_ends_at_the_deadline() -> None:
    left = asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        try:
            while True:
                writer.write(b"\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            left.set()

    async with running(drip) as (_, base_url):
        with pytest.raises(ModelUnavailable, match="no answer within"):
            await ask(base_url, seconds=0.3)
        await asyncio.wait_for(left.wait(), 5)

    assert left.is_set()


async def test_white_space_before_the_reply_does_no_harm() -> None:
    async with running(answers(http("200 OK", b"\n \n\n" + BODY))) as (_, base_url):
        assert (await ask(base_url)).answer() == "hi"


async def test_silence_ends_at_the_deadline() -> None:
    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with running(silence) as (_, base_url):
        with pytest.raises(ModelUnavailable, match="no answer within"):
            await ask(base_url, seconds=0.2)


async def test_a_reply_without_end_is_cut_off() -> None:
    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 100_000)
            await writer.drain()

    async with running(flood) as (_, base_url):
        with pytest.raises(ModelRefused, match=f"larger than {MAX_REPLY_BYTES} bytes"):
            await ask(base_url)


async def test_a_connection_reset_in_the_middle_is_worth_another_try() -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()

    async with running(reset) as (_, base_url):
        with pytest.raises(ModelUnavailable, match=r"ReadError|RemoteProtocolError"):
            await ask(base_url)


async def test_a_service_that_is_not_there_is_worth_another_try() -> None:
    async with running(answers(b"")) as (_, base_url):
        pass

    with pytest.raises(ModelUnavailable, match="ConnectError"):
        await ask(base_url)


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (http("200 OK", b"<html>sorry</html>", "Content-Type: text/html"), ModelUnavailable),
        (http("200 OK", b""), ModelUnavailable),
        (http("502 Bad Gateway", b"<html>sorry</html>"), ModelUnavailable),
        (http("403 Forbidden", b"<html>no</html>"), ModelRefused),
        (b"nonsense\r\n\r\n", ModelUnavailable),
        (http("200 OK", b"no gzip", "Content-Encoding: gzip"), ModelUnavailable),
    ],
)
async def test_what_is_not_json_is_a_failure_by_its_status(reply: bytes, failure: type[Exception]) -> None:
    async with running(answers(reply)) as (_, base_url):
        with pytest.raises(failure):
            await ask(base_url)


async def test_the_wait_that_the_service_asks_for_is_passed_on() -> None:
    async with running(answers(http("429 Slow", b"{}", "Retry-After: 12"))) as (_, base_url):
        with pytest.raises(ModelUnavailable) as caught:
            await ask(base_url)

    assert caught.value.retry_after == 12


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    async with (
        running(answers(http("200 OK", BODY))) as (elsewhere, there),
        running(answers(http("307 Moved", b"", f"Location: {there}/chat/completions"))) as (_, base_url),
    ):
        with pytest.raises(ModelRefused, match="HTTP 307"):
            await ask(base_url)

    assert elsewhere.head == ""


async def test_the_key_is_never_shown() -> None:
    body = json.dumps({"error": {"code": 401, "message": f"No such key: {KEY}"}}).encode()
    async with running(answers(http("401 Unauthorized", body))) as (_, base_url):
        with pytest.raises(ModelRefused) as caught:
            await ask(base_url)

    assert str(caught.value) == "HTTP 401: No such key: [key]"
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize("key", ["", "two words", "line\n", "schlüssel"])
async def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    async with httpx.AsyncClient() as connection:
        with pytest.raises(ValueError, match="the model provider's API key is empty or holds") as caught:
            OpenRouterClient("https://openrouter.ai/api/v1", key, connection)

    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("base_url", ["http://openrouter.ai/api/v1", "http://10.0.0.7:3002/api/v1"])
async def test_the_key_is_not_sent_in_the_clear_to_another_machine(base_url: str) -> None:
    async with httpx.AsyncClient() as connection:
        with pytest.raises(ValueError, match="in the clear: use https://"):
            OpenRouterClient(base_url, KEY, connection)


@pytest.mark.parametrize("base_url", ["openrouter.ai/api/v1", "ftp://openrouter.ai", "http://", "http://[::1"])
async def test_a_base_url_that_is_none_is_refused(base_url: str) -> None:
    async with httpx.AsyncClient() as connection:
        with pytest.raises(ValueError, match="the model provider's base URL"):
            OpenRouterClient(base_url, KEY, connection)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:3002/api/v1", "http://[::1]:3002", "http://emulators:3002"])
async def test_this_machine_and_its_containers_need_no_encryption(base_url: str) -> None:
    async with httpx.AsyncClient() as connection:
        client = OpenRouterClient(base_url, KEY, connection)

    assert KEY not in repr(client)
