"""
Whether others answer: the exchange, and where models are.

Everybody may ask for our health, and every request to the exchange comes out of the budget that trading lives on: so
each is asked at most once in a while, however often we are.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import httpx

from shared.domain.errors import ModelUnavailable, PerpetuaError

log = logging.getLogger("perpetua.app")

FRESH_SECONDS = 5.0
MODELS_FRESH_SECONDS = 60.0
PATIENCE_SECONDS = 2.0


class Pulse:
    """The last answer, and how old it is."""

    def __init__(
        self, ask: Callable[[], Awaitable[object]], *, of: str = "the exchange", fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        """*ask* asks for the least there is; it raises PerpetuaError."""
        self._ask = ask
        self._of = of
        self._fresh_seconds = fresh_seconds
        self._asking = asyncio.Lock()
        self._asked_at: float | None = None
        self._answers = False

    async def beats(self) -> bool:
        """Return whether it answered, now or a while ago."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._asked_at is None or now - self._asked_at >= self._fresh_seconds:
                self._answers = await self._answered()
                self._asked_at = now
            return self._answers

    async def _answered(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._ask()
        except (PerpetuaError, TimeoutError) as exc:
            log.warning("%s does not answer", self._of, extra={"why": str(exc) or "no answer in time"})
            return False
        return True


def asks_for_models(url: str) -> Callable[[], Awaitable[None]]:
    """Return what asks the service at *url* for the first bytes of its list of models: that costs nothing, nor a key.

    What it answers does not matter, but for a failure of its own.
    """

    async def ask() -> None:
        try:
            async with httpx.AsyncClient() as http, http.stream("GET", f"{url}/models") as response:
                status = response.status_code
        except httpx.HTTPError as exc:
            raise ModelUnavailable(type(exc).__name__) from None
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ModelUnavailable(f"HTTP {status}")

    return ask
