"""
How long a connection may take to say what it wants: the server itself waits for a request's head for ever.

Without this, somebody who sends a byte a minute holds as many connections as they like.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0


class PatientProtocol(H11Protocol):
    """Speaks HTTP with whoever says within HEAD_SECONDS what they want, and hangs up on others."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on while there is not yet a request to serve; the server waits by itself where none has begun."""
        super().data_received(data)
        is_socket = self.transport.get_protocol() is not self
        is_serving = self.cycle is not None and not self.cycle.response_complete
        if is_socket or is_serving:
            self._wait_no_longer()
        elif self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
