"""A client of the streams, as a dashboard would be one."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from websockets.asyncio.client import ClientConnection, connect

from api.app import STREAMS
from api.live.bodies import BODIES
from shared.settings import Settings

PATIENCE = 20.0
ROOT = Path(__file__).parents[2]


class Ear:
    """One open socket."""

    def __init__(self, socket: ClientConnection, path: str) -> None:
        self.socket = socket
        self.path = path.partition("?")[0]

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            frame = await self.socket.recv()
        message: dict[str, Any] = json.loads(frame)
        _require_documented(self.path, message)
        return message

    async def first(self, kind: str) -> dict[str, Any]:
        """Return the next message, which is of that type."""
        message = await self.next()
        assert message["type"] == kind, message
        return message

    async def event(self, kind: str) -> dict[str, Any]:
        """Return the next event of that kind, whatever comes before it."""
        while True:
            message = await self.next()
            if message["type"] == "event" and message["kind"] == kind:
                return message

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next messages, all of them events."""
        return [await self.first("event") for _ in range(count)]

    async def end(self) -> tuple[dict[str, Any], int | None, str | None]:
        """Return the error that the server ends with, and the code and reason it closes with."""
        while (message := await self.next())["type"] != "error":
            pass
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return message, self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def listening(url: str, path: str, **options: Any) -> AsyncIterator[Ear]:
    """Open a stream of the API at *url*."""
    # With messages left in a bounded queue a client does not see the server's answer to its farewell.
    options = {"max_queue": None, **options}
    async with connect(url.replace("http", "ws", 1) + path, proxy=None, **options) as socket:
        yield Ear(socket, path)


def _require_documented(path: str, message: dict[str, Any]) -> None:
    """Require that a message is one that the stream declares, and of a known kind of event its body."""
    [stream] = [each for each in STREAMS if each.path == path]
    fitting = [
        model
        for model in stream.messages
        if all(
            message.get(name) == model.model_fields[name].default
            for name in {"type", "closed"} & model.model_fields.keys()
        )
    ]
    assert len(fitting) == 1, message
    fitting[0].model_validate(message)
    if message["type"] == "event" and (body := BODIES.get(message["kind"])):
        body.model_validate(message["body"])


@contextmanager
def api_process(settings: Settings, *, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the API as a process of its own; yield its address and the process, which may be killed."""
    secrets = {name: getattr(settings, name).get_secret_value() for name in ("database_url", "asterdex_private_key")}
    given = {name: str(getattr(settings, name)) for name in ("asterdex_base_url", "openrouter_base_url")} | secrets
    environment = {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
        **{name.upper(): value for name, value in given.items()},
        "ENVIRONMENT": "testing",
        "API_PORT": str(port),
    }
    command = [sys.executable, "-m", "api"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        # Read to its end: a process that cannot get rid of what it says stands still.
        said: SimpleQueue[str] = SimpleQueue()
        reader = threading.Thread(target=_pass_on, args=(process.stdout, said))
        reader.start()
        try:
            while (line := json.loads(said.get(timeout=60)))["message"] != "listening":
                pass
            yield line["url"], process
        finally:
            process.kill()
            reader.join()


def _pass_on(lines: IO[str], said: SimpleQueue[str]) -> None:
    for line in lines:
        said.put(line)
