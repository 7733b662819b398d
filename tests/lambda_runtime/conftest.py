"""The cloud in small: functions in containers, a real PostgreSQL, and the exchange and the models over real HTTP."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulators import aster, openrouter
from tests.lambda_runtime.runtime_api import Function, deployed, served

TICK = datetime(2025, 5, 6, 16, 5, tzinfo=UTC)
PRIVATE_KEY = "5ec0de" * 10 + "5ec0"
MODEL_KEY = "sk-or-v1-nobody-may-read-this"


class Cloud:
    """Account `main`, which trades BTCUSDT every five minutes by a model that always wants to; TICK has just closed."""

    event: Mapping[str, str] = {"account": "main", "tick": TICK.isoformat()}

    def __init__(self, stack: AsyncExitStack, variables: Mapping[str, str], folder: Path) -> None:
        self.variables = variables
        self._stack = stack
        self._folder = folder
        self._admin = httpx.AsyncClient(base_url=variables["ASTERDEX_BASE_URL"])
        stack.push_async_callback(self._admin.aclose)

    async def function(self, stage: str, *, seconds: float = 30, **variables: str) -> Function:
        """Deploy a stage, with other *variables* than the usual where given."""
        log = self._folder / f"{stage}.log"
        handler = f"functions.handlers.{stage}"
        return await self._stack.enter_async_context(
            deployed(handler, {**self.variables, **variables}, log, seconds=seconds)
        )

    async def spoil(self, method: str, path: str, kind: str) -> None:
        """Have the exchange fail the next such request."""
        (
            await self._admin.post("/emulator/faults", json={"method": method, "path": path, "kind": kind})
        ).raise_for_status()

    async def faults_to_come(self) -> int:
        """Return how many faults have not struck yet."""
        return len((await self._admin.get("/emulator/faults")).json())

    async def venue_orders(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the exchange's orders, ever, whose fields are as *wanted*."""
        [account] = (await self._admin.get("/emulator/accounts")).json()
        books = (await self._admin.get("/emulator/books", params={"account": account["account"]})).json()
        return [order for order in books["orders"] if all(order[name] == value for name, value in wanted.items())]


@pytest.fixture
async def cloud(database_url: str, tmp_path: Path) -> AsyncIterator[Cloud]:
    start = round((TICK + timedelta(seconds=2)).timestamp() * 1000)
    venue = aster.Venue(aster.synthetic_market(symbols=("BTCUSDT",), start=start))
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(served(aster.create_app(venue, speed=1.0)))
        models = await stack.enter_async_context(served(openrouter.create_app()))
        variables = {
            "ENVIRONMENT": "testing",
            "DATABASE_URL": database_url,
            "ASTERDEX_BASE_URL": f"http://127.0.0.1:{exchange}",
            "OPENROUTER_BASE_URL": f"http://127.0.0.1:{models}/api/v1",
            "ASTERDEX_PRIVATE_KEY": PRIVATE_KEY,
            "OPENROUTER_API_KEY": MODEL_KEY,
            "ASSETS": "BTCUSDT",
            "LLM_MODEL": "emulated/over-trader",
        }
        yield Cloud(stack, variables, tmp_path)
    venue.close()
