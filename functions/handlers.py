"""
AWS Lambda's doors: `handler(event, context)` for each stage, for the whole cycle, for comparing, and for alerts.

One event loop and one runtime a container, opened by the first call and kept: asyncpg ties a connection to the loop
that opened it, so `asyncio.run` would open a fresh one on every invocation.
"""

import asyncio
import logging
from typing import Any

from functions.alerting import attend
from functions.invoke import COMPARE, CYCLE, invoke
from shared.domain.cycle import Stage
from shared.domain.errors import PerpetuaError
from shared.logs import set_up_logging
from shared.runtime import Runtime
from shared.secrets import mask_text
from shared.settings import read_settings

log = logging.getLogger("perpetua.app")

ALERT = "alert"

_loop = asyncio.new_event_loop()
_runtime: Runtime | None = None


def fetch(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Fetch for the cycle that *event* names."""
    return _answer(Stage.FETCH, event)


def decide(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Decide the cycle that *event* names."""
    return _answer(Stage.DECIDE, event)


def execute(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Execute the cycle that *event* names."""
    return _answer(Stage.EXECUTE, event)


def reconcile(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Reconcile after the cycle that *event* names."""
    return _answer(Stage.RECONCILE, event)


def cycle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Run the four stages of the cycle that *event* names."""
    return _answer(CYCLE, event)


def compare(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Ask the shadow models about the cycle that *event* names, and score what is due."""
    return _answer(COMPARE, event)


def alert(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Look whether something is the matter, and send what people are to be told. To be called every minute."""
    return _answer(ALERT, event)


class StageDefect(Exception):
    """Something failed that we have no name for; the log holds the rest."""


def _answer(door: str, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke. What fails leaves the house through the runtime client, which knows nothing of secrets."""
    try:
        return _loop.run_until_complete(_invoke(door, event))
    except PerpetuaError as exc:
        exc.args = (mask_text(str(exc)),)
        raise
    except Exception as exc:
        log.exception("%s failed", door)
        raise StageDefect(f"{door} failed on {type(exc).__name__}: see the log") from None


async def _invoke(door: str, event: dict[str, Any]) -> dict[str, Any]:
    global _runtime  # noqa: PLW0603 - a container's one runtime
    if _runtime is None:
        settings = read_settings()
        set_up_logging("lambda", level=settings.log_level, folder=None)
        _runtime = await Runtime.open(settings, long_lived=False)
    if door == ALERT:
        return await attend(_runtime)
    return await invoke(_runtime, door, event)
