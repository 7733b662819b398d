"""The emulator as a server: `python -m emulators.openrouter --port 3002 --seed 7`."""

import argparse
import contextlib
import socket
import sys
from typing import NoReturn

import uvicorn

from emulators.openrouter.app import create_app

LARGEST_PORT = 65_535


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        sys.stdout.write(f"openrouter emulator ready on http://{host}:{port}/api/v1\n")
        sys.stdout.flush()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to {LARGEST_PORT}")
    return int(text)


def main() -> None:
    parser = _Parser(prog="python -m emulators.openrouter", description="An emulator of OpenRouter's chat completions.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=_port, default=3002, help="port, 0 for any free one (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="decides ids and dice (default %(default)s)")
    parser.add_argument("--real-time", action="store_true", help="follow the real time, not one second an answer")
    arguments = parser.parse_args()
    try:
        listener = socket.create_server((arguments.host, arguments.port))
    except OSError as exc:
        parser.error(f"cannot listen on {arguments.host}:{arguments.port}: {exc.strerror}; choose another --port")
    # asyncio does so only for sockets whose protocol number is not 0; an answer's body would wait 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        create_app(arguments.seed, real_time=arguments.real_time), log_level="warning", timeout_graceful_shutdown=1
    )
    with listener, contextlib.suppress(KeyboardInterrupt):
        _Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
