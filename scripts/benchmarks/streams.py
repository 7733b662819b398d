"""
How many events a second the paper exchange sends to a hundred sockets, and what being listened to costs an order.

    .venv/bin/python -m scripts.benchmarks.streams

The server is a process of its own, stepped by the listeners' process as fast as they have read what a step said; the
seconds are those of the wall, and both processes share the machine. Orders are placed in this process, without HTTP,
unheard and heard by one who does nothing, by turns.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

import httpx

from emulators.aster import Venue, synthetic_market
from emulators.aster.holdings.happenings import Happening

SOCKETS, STEPS = 100, 30
ORDERS, TURNS = 2_000, 5
STEP = 60_000
PATH, MARK, EVENTS = "/ws/btcusdt@aggTrade", b'"e":"aggTrade"', 60
"""A stream, how its events are known, and how many there are in a step."""
HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Ear:
    """One listener, who counts events and looks at nothing else."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._rest = b""

    async def hear(self, count: int) -> None:
        """Read until so many events have come."""
        while count > 0:
            heard = self._rest + await self._reader.read(1 << 20)
            count -= heard.count(MARK)
            self._rest = heard[-len(MARK) + 1 :]


async def fan_out(url: str) -> float:
    """Return the events a second that all sockets together got."""
    port = int(url.rpartition(":")[2])
    ears, writers = [], []
    for _ in range(SOCKETS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE.format(PATH).encode())
        await reader.readuntil(b"\r\n\r\n")
        ears.append(Ear(reader))
        writers.append(writer)
    async with httpx.AsyncClient(base_url=url) as http:
        now = (await http.get("/emulator/clock")).json()["now"]
        began = time.perf_counter()
        for number in range(1, STEPS + 1):
            asking = http.post("/emulator/advance", json={"to": now + number * STEP})
            await asyncio.gather(asking, *(ear.hear(EVENTS) for ear in ears))
        took = time.perf_counter() - began
    for writer in writers:
        writer.close()
    return SOCKETS * STEPS * EVENTS / took


def orders_a_second(*, heard: bool) -> float:
    """Return how many market orders a second a venue takes, in processor time."""
    venue = Venue(synthetic_market(symbols=("BTCUSDT",)))
    account = venue.open_account("someone")

    def listener(happened: Sequence[Happening], now: int) -> None:
        """Hear it and do nothing."""

    if heard:
        venue.ledger.listen(listener)
    began = time.process_time()
    for number in range(ORDERS):
        side = "SELL" if number % 2 else "BUY"
        venue.place(account, {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": "0.001"})
    return ORDERS / (time.process_time() - began)


async def main() -> None:
    command = (sys.executable, "-m", "emulators.aster", "--stepped", "--port", "0", "--symbols", "BTCUSDT")
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    if server.stdout is None:
        raise RuntimeError("the server has no voice")
    try:
        url = (await server.stdout.readline()).decode().split("ready on ")[1].split()[0]
        sys.stdout.write(f"events to {SOCKETS} sockets: {await fan_out(url):,.0f} a second\n")
    finally:
        server.terminate()
        await server.wait()
    unheard, heard = (max(orders_a_second(heard=heard) for _ in range(TURNS)) for heard in (False, True))
    sys.stdout.write(f"orders a second unheard {unheard:,.0f}, heard {heard:,.0f}: ratio {unheard / heard:.2f}\n")


if __name__ == "__main__":
    asyncio.run(main())
