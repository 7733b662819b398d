"""What the trading log says, to be waited for."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 30
LOOKING, LOOKED, SEEN = "reconciling between ticks", "reconciled between ticks", "seen already"


class Lines(logging.Handler):
    """Hears what the trading log says."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)
        self._more.set()

    def of(self, message: str) -> list[dict[str, Any]]:
        return [record.__dict__ for record in self._records if record.getMessage() == message]

    async def next(self, message: str, count: int = 1) -> dict[str, Any]:
        """Return the *count*th such line, from the beginning."""
        async with asyncio.timeout(PATIENCE):
            while len(self.of(message)) < count:
                self._more.clear()
                await self._more.wait()
        return self.of(message)[count - 1]


@contextmanager
def hearing() -> Iterator[Lines]:
    listener, logger = Lines(), logging.getLogger("perpetua.trading")
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.DEBUG)
    yield listener
    logger.setLevel(level)
    logger.removeHandler(listener)
