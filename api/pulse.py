"""
Whether the exchange answers.

Everybody may ask for our health, and every request to the exchange comes out of the budget that trading lives on: so
the exchange is asked at most once in a few seconds, however often we are.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.domain.errors import VenueError

log = logging.getLogger("perpetua.app")

FRESH_SECONDS = 5.0
PATIENCE_SECONDS = 2.0


class Pulse:
    """The last answer, and how old it is."""

    def __init__(self, ask: Callable[[], Awaitable[object]]) -> None:
        """*ask* asks the exchange for the least there is; it raises VenueError."""
        self._ask = ask
        self._asking = asyncio.Lock()
        self._asked_at: float | None = None
        self._answers = False

    async def beats(self) -> bool:
        """Return whether the exchange answered, now or a few seconds ago."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._asked_at is None or now - self._asked_at >= FRESH_SECONDS:
                self._answers = await self._answered()
                self._asked_at = now
            return self._answers

    async def _answered(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._ask()
        except (VenueError, TimeoutError) as exc:
            log.warning("the exchange does not answer", extra={"why": str(exc) or "no answer in time"})
            return False
        return True
