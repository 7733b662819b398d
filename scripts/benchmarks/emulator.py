"""
How many requests a second the paper exchange answers: a cheap question and a signed order, by three roads.

    .venv/bin/python -m scripts.benchmarks.emulator

`application` calls the ASGI application itself, so it costs only what the emulator does; `transport` is httpx in the
same process; their seconds are the processor's. `http` is httpx over TCP to a server in a process of its own, in
seconds of the wall: what else the machine does blurs it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlencode

import httpx
from coincurve import PrivateKey

from emulators.aster import Settings, Venue, create_app, synthetic_market
from emulators.aster.doors.signatures import address_of, digest_of

REQUESTS = 1_000
KEY = PrivateKey(bytes.fromhex("11" * 32))
ADDRESS = address_of(KEY.public_key)
FORM = {"content-type": "application/x-www-form-urlencoded"}

Ask = Callable[[str, str, bytes], Awaitable[None]]


def signed_order(number: int) -> bytes:
    """Return the body of an order that is filled at once, buying and selling in turn."""
    side = "BUY" if number % 2 else "SELL"
    order = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": "0.001"}
    message = urlencode({**order, "nonce": time.time_ns() // 1000 + number, "signer": ADDRESS}).encode()
    raw = KEY.sign_recoverable(digest_of(message, 1666), hasher=None)
    return message + b"&signature=0x" + (raw[:64] + bytes([raw[64] + 27])).hex().encode()


async def measured(ask: Ask, clock: Callable[[], float] = time.process_time) -> tuple[float, float]:
    """Return questions and orders answered in a second of the clock's time, signing not counted."""
    began = clock()
    for _ in range(REQUESTS):
        await ask("GET", "/fapi/v3/time", b"")
    asked = clock() - began
    ordered = 0.0
    for number in range(REQUESTS):
        body = signed_order(number)
        began = clock()
        await ask("POST", "/fapi/v3/order", body)
        ordered += clock() - began
    return REQUESTS / asked, REQUESTS / ordered


def by_application(app: Any) -> Ask:
    async def ask(method: str, path: str, body: bytes) -> None:
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {"type": "http", "method": method, "path": path, "root_path": "", "query_string": b"", "headers": []}
        await app(scope, receive, send)
        if statuses != [200]:
            raise RuntimeError(f"{method} {path} was answered with {statuses}")

    return ask


def by_client(http: httpx.AsyncClient) -> Ask:
    async def ask(method: str, path: str, body: bytes) -> None:
        (await http.request(method, path, content=body, headers=FORM)).raise_for_status()

    return ask


def patient_app() -> Any:
    return create_app(
        Venue(synthetic_market(symbols=("BTCUSDT",))), settings=Settings(weight_limit=10**9, order_limit=10**9)
    )


async def main() -> None:
    rows = {"application": await measured(by_application(patient_app()))}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(patient_app()), base_url="http://venue") as http:
        rows["transport"] = await measured(by_client(http))
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emulators.aster", "--port", "0", "--symbols", "BTCUSDT", "--speed", "60",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    url = (await cast(asyncio.StreamReader, server.stdout).readline()).decode().split("ready on ")[1].split()[0]
    async with httpx.AsyncClient(base_url=url) as http:
        rows["http"] = await measured(by_client(http), time.perf_counter)
    server.terminate()
    await server.wait()
    for road, (questions, orders) in rows.items():
        print(f"{road:12} {questions:8.0f} questions/s {orders:8.0f} signed orders/s")


if __name__ == "__main__":
    asyncio.run(main())
