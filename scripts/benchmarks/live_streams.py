"""
How long an event needs from its commit to everybody who listens: `python -m scripts.benchmarks.live_streams`.

The API is a process of its own on a real PostgreSQL. Beside it, event by event, a bare server made of `websockets`
alone broadcasts the very same messages to as many sockets, without a database, a filter or a cursor. The listeners read
frames and nothing more, and are the same for both. An event's time begins before its COMMIT is sent; the bare
message's, before it is handed to its server. All three processes share the machine.
"""

import asyncio
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from websockets.asyncio.client import connect

from shared.db.embedded import embedded_postgres
from shared.db.migrate import upgrade
from shared.db.unit_of_work import Database

ROOT = Path(__file__).parents[2]
SOCKETS, MANY = 500, 1_000
EVENTS, PAUSE = 200, 0.05
WARM_UP = 20
NUMBER = re.compile(rb'"n": (\d+)')
HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
BARE = """
import asyncio
from websockets.asyncio.server import broadcast, serve

listeners = set()

async def handle(socket):
    if socket.request.path == "/say":
        async for message in socket:
            broadcast(listeners, message)
    else:
        listeners.add(socket)
        await socket.send('{"type": "snapshot"}')
        await socket.wait_closed()

async def main():
    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

asyncio.run(main())
"""
ORDER = {
    "id": 1,
    "symbol": "BTCUSDT",
    "leg": "entry",
    "attempt": 0,
    "tick": "2026-03-31T23:55:00+00:00",
    "client_order_id": "pp-entry-0123456789abcdef01234567",
    "side": "BUY",
    "direction": "LONG",
    "type": "MARKET",
    "reduce_only": False,
    "state": "FILLED",
    "reason": None,
    "sent_at": "2026-03-31T23:55:03.123456+00:00",
    "quantity": "0.010",
    "stop_price": None,
    "venue_order_id": "8389765519993300001",
    "executed_quantity": "0.010",
    "average_price": "64000.10",
    "was": "NEW",
}
"""The body of an event as it commonly is."""


class Ears(asyncio.Protocol):
    """One listener: when each numbered message came."""

    def __init__(self, path: str, heard: "Heard") -> None:
        self._path = path
        self._heard = heard
        self._ready = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(HANDSHAKE.format(self._path).encode())

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        data = self._rest + data
        if not self._ready and b'"snapshot"' in data:
            self._ready = True
            self._heard.ready += 1
            self._heard.changed.set()
        last = 0
        for found in NUMBER.finditer(data):
            if found.end() < len(data):
                self._heard.at(int(found[1]), now)
                last = found.end()
        self._rest = data[max(last, len(data) - 40) :]


class Heard:
    """What all listeners of a server have heard."""

    def __init__(self) -> None:
        self.ready = 0
        self.changed = asyncio.Event()
        self.said: dict[int, float] = {}
        self.latencies: list[float] = []

    def at(self, number: int, now: float) -> None:
        if number >= WARM_UP:
            self.latencies.append(now - self.said[number])
        self.changed.set()

    async def until(self, ready: int = 0, latencies: int = 0) -> None:
        while self.ready < ready or len(self.latencies) < latencies:
            self.changed.clear()
            await self.changed.wait()


async def listen(port: int, path: str, count: int, heard: Heard) -> list[asyncio.BaseTransport]:
    """Open so many listeners, a hundred at a time, and return when each has had its snapshot."""
    loop = asyncio.get_running_loop()
    transports: list[asyncio.BaseTransport] = []
    for start in range(0, count, 100):
        opened = [
            loop.create_connection(lambda: Ears(path, heard), "127.0.0.1", port) for _ in range(min(100, count - start))
        ]
        transports += [transport for transport, _ in await asyncio.gather(*opened)]
        await heard.until(ready=len(transports))
    return transports


@contextmanager
def api(database_url: str, logs: Path) -> Iterator[tuple[int, int]]:
    """Run the API; yield its process and its port."""
    environment = os.environ | {
        "ENVIRONMENT": "testing",
        "DATABASE_URL": database_url,
        "API_PORT": "0",
        "ASTERDEX_BASE_URL": "http://127.0.0.1:9",
        "ASTERDEX_PRIVATE_KEY": "1" * 64,
        "OPENROUTER_BASE_URL": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "api"]
    with logs.open("w") as out, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out) as process:
        try:
            while not (found := re.search(r'"url": ?"http://[^:]+:(\d+)"', logs.read_text())):
                time.sleep(0.05)
            yield process.pid, int(found[1])
        finally:
            process.kill()


@contextmanager
def bare() -> Iterator[tuple[int, int]]:
    """Run the bare server; yield its process and its port."""
    with subprocess.Popen([sys.executable, "-c", BARE], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.pid, int(cast(IO[str], process.stdout).readline())
        finally:
            process.kill()


async def tell(database: Database, number: int, heard: Heard) -> None:
    """Commit an event."""
    async with database.open_work() as work:
        await work.journal.event("main", "order", datetime.now(UTC), {"n": number} | ORDER)
        heard.said[number] = time.perf_counter()


def quantiles(latencies: list[float]) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def memory(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    [kib] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kib) / 1024


def busy(pid: int) -> float:
    """Return the seconds that a process has had a processor."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


async def compare(database: Database, server: tuple[int, int], other: tuple[int, int]) -> None:
    """Tell the same to 500 listeners of each, by turns."""
    (pid, port), (bare_pid, bare_port) = server, other
    ours, theirs = Heard(), Heard()
    sockets = await listen(port, "/ws/trading-events", SOCKETS, ours) + await listen(bare_port, "/", SOCKETS, theirs)
    spent, bare_spent = busy(pid), busy(bare_pid)
    async with connect(f"ws://127.0.0.1:{bare_port}/say", compression=None, proxy=None) as say:
        for number in range(WARM_UP + EVENTS):
            await tell(database, number, ours)
            await asyncio.sleep(PAUSE)
            event = {"type": "event", "cursor": "123456-7890", "kind": "order", "account": "main"}
            told = event | {"at": datetime.now(UTC).isoformat(), "body": {"n": number} | ORDER}
            theirs.said[number] = time.perf_counter()
            await say.send(json.dumps(told))
            await asyncio.sleep(PAUSE)
    for heard in (ours, theirs):
        await heard.until(latencies=SOCKETS * EVENTS)
    messages = SOCKETS * (WARM_UP + EVENTS)
    each, bare_each = (busy(pid) - spent) / messages * 1e6, (busy(bare_pid) - bare_spent) / messages * 1e6
    for socket in sockets:
        socket.close()
    (half, most), (bare_half, bare_most) = quantiles(ours.latencies), quantiles(theirs.latencies)
    print(f"{SOCKETS} sockets, {EVENTS} events, ms from commit to socket: p50 {half:.1f}, p99 {most:.1f}")
    print(f"  a bare broadcast of the same messages: p50 {bare_half:.1f}, p99 {bare_most:.1f}")
    print(f"  the server's processor time, a message and socket: {each:.0f} µs, bare {bare_each:.0f} µs")
    print(f"  ratio: p50 {half / bare_half:.1f}, p99 {most / bare_most:.1f}")


async def many(database: Database, pid: int, port: int) -> None:
    """Open a thousand, and tell them something."""
    heard = Heard()
    before = memory(pid)
    began = time.perf_counter()
    sockets = await listen(port, "/ws/trading-events", MANY, heard)
    took = time.perf_counter() - began
    each = (memory(pid) - before) * 1024 / MANY
    for number in range(WARM_UP + EVENTS // 4):
        await tell(database, number, heard)
        await asyncio.sleep(4 * PAUSE)
    await heard.until(latencies=MANY * (EVENTS // 4))
    half, most = quantiles(heard.latencies)
    print(f"{MANY} sockets: all had their snapshot within {took:.1f} s, {each:.0f} KiB each")
    print(f"  ms from commit to socket: p50 {half:.1f}, p99 {most:.1f}")
    for socket in sockets:
        socket.close()


async def measure(url: str, server: tuple[int, int], other: tuple[int, int]) -> None:
    """Measure everything."""
    database = Database(url, long_lived=True)
    await compare(database, server, other)
    await many(database, *server)
    await database.close()


def main() -> None:
    """Measure and print."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(embedded_postgres(folder / "postgres"))
        asyncio.run(upgrade(url))
        server = stack.enter_context(api(url, folder / "api.log"))
        asyncio.run(measure(url, server, stack.enter_context(bare())))


if __name__ == "__main__":
    main()
