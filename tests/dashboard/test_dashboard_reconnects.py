"""A page that is open while its server dies and comes back."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex

from playwright.async_api import expect

from tests.dashboard.conftest import Open, Watch
from tests.house import built_house
from tests.served import served

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def server(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m api` from when it listens until it is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while b'"listening"' not in await process.stdout.readline():
        assert process.returncode is None
    reading = asyncio.create_task(process.stdout.read())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await reading


async def test_a_page_says_that_its_server_is_gone_and_goes_on_by_itself_when_it_is_back(
    database_url: str, opened: Open, watch: Watch
) -> None:
    watch.expected = ("WebSocket connection", "Failed to load resource")
    async with built_house(database_url) as house, served(house.exchange, websockets=True) as exchange:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = {
            **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
            "ENVIRONMENT": "testing",
            "DATABASE_URL": database_url,
            "ASTERDEX_BASE_URL": exchange,
            "ASTERDEX_PRIVATE_KEY": token_hex(32),
            "ASSETS": "BTCUSDT,ETHUSDT",
            "LLM_MODEL": "scripted/model",
            "API_PORT": str(port),
        }
        await house.enter("BTCUSDT")
        async with server(environment) as first:
            page = await opened(f"http://127.0.0.1:{port}")
            stream = page.locator(".vital.first")
            await expect(stream).to_contain_text("Live")
            await expect(page.locator(".cycle")).to_have_count(1)

            first.send_signal(signal.SIGKILL)

            await expect(page.get_by_text("This page is not live")).to_be_visible()
            await expect(stream).to_contain_text("Not live")
            await expect(page.locator("[data-figure=equity]")).to_contain_text("USD")
        await house.pass_time()
        await house.enter("ETHUSDT", "sell")
        async with server(environment):
            await expect(stream).to_contain_text("Live", timeout=30_000)
            await expect(page.get_by_text("This page is not live")).to_be_hidden()
            await expect(page.locator(".cycle")).to_have_count(2)
