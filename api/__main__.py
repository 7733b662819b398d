"""The API as a process: `python -m api` serves until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from api.app import create_app
from api.live.sockets import KEEPALIVE
from api.patience import PatientProtocol
from shared.complaints import one_clear_line
from shared.logs import set_up_logging
from shared.server import database_server
from shared.settings import Settings, SettingsError, read_settings

log = logging.getLogger("perpetua.app")

GRACE_SECONDS = 10
"""For requests under way when we are told to stop; a stage cut short is mended by its next run."""
SEND_BUFFER = 256 * 1024
UNREAD_SECONDS = 60
"""How long a client may leave unread what was sent to it, before its connection is cut."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises the signal again at the end, and we would be gone before the database server is stopped.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            log.info("listening", extra={"url": f"http://{f'[{host}]' if ':' in host else host}:{port}"})


def main() -> int:
    """Serve on API_HOST:API_PORT until SIGINT or SIGTERM."""
    with one_clear_line():
        settings = read_settings()
        set_up_logging("api", level=settings.log_level, folder=settings.log_folder, config=settings.logging_config)
        # A port that is taken is found before a database server is started in vain.
        with _listener(settings) as listener, database_server(settings) as connected:
            config = uvicorn.Config(
                create_app(connected),
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                http=PatientProtocol,
                loop="asyncio",
                proxy_headers=False,  # the application believes those of TRUSTED_PROXIES
                timeout_graceful_shutdown=GRACE_SECONDS,
                **KEEPALIVE,
            )
            _Server(config).run(sockets=[listener])
    return 0


def _listener(settings: Settings) -> socket.socket:
    host, port = settings.api_host, settings.api_port
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as exc:
        why = (exc.strerror or str(exc)).partition(" (")[0]
        raise SettingsError(f"cannot listen on {host}:{port} ({why}): choose another API_HOST or API_PORT") from None
    # asyncio does so only for sockets whose protocol number is not 0. Without it the second packet of an answer, its
    # body, waits up to 40 ms for the client's system to acknowledge the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Both are inherited by what is accepted. Whoever stops reading costs a bounded buffer, and is given up in the end.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
    return listener


if __name__ == "__main__":
    sys.exit(main())
