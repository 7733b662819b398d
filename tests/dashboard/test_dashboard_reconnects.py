"""A page that is open while its server dies and comes back."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex

from playwright.async_api import expect

from tests.dashboard.conftest import Open, Watch
from tests.house import House, built_house
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


@asynccontextmanager
async def outside(database_url: str) -> AsyncIterator[tuple[House, dict[str, str]]]:
    """A house that holds a position, and what a server of its own needs to show it."""
    async with built_house(database_url) as house, served(house.exchange, websockets=True) as exchange:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        await house.enter("BTCUSDT")
        yield (
            house,
            {
                **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
                "ENVIRONMENT": "testing",
                "DATABASE_URL": database_url,
                "ASTERDEX_BASE_URL": exchange,
                "ASTERDEX_PRIVATE_KEY": token_hex(32),
                "ASSETS": "BTCUSDT,ETHUSDT",
                "LLM_MODEL": "scripted/model",
                "API_PORT": str(port),
            },
        )


async def test_a_page_says_that_its_server_is_gone_and_goes_on_by_itself_when_it_is_back(
    database_url: str, opened: Open, watch: Watch
) -> None:
    watch.expected = ("WebSocket connection", "Failed to load resource")
    async with outside(database_url) as (house, environment):
        async with server(environment) as first:
            page = await opened(f"http://127.0.0.1:{environment['API_PORT']}")
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


async def test_a_page_whose_server_hangs_says_since_when_and_calls_nothing_well(
    database_url: str, opened: Open, watch: Watch
) -> None:
    watch.expected = ("WebSocket connection", "Failed to load resource")
    async with outside(database_url) as (_, environment), server(environment) as hanging:
        page = await opened(f"http://127.0.0.1:{environment['API_PORT']}")
        await expect(page.locator(".sentence.good")).to_contain_text("Trading.")
        strip = page.get_by_role("region", name="Health")
        await expect(strip).to_contain_text("Live")

        hanging.send_signal(signal.SIGSTOP)

        try:
            await expect(page.locator(".sentence.bad")).to_contain_text(re.compile(r"No answer since \d\d:\d\d:\d\d"))
            await expect(page.locator(".not-live.bad")).to_contain_text("no answer since")
            await expect(strip).to_contain_text("Not live")
            for word in ("Trading", "All well", "Fresh", "next in"):
                await expect(strip).not_to_contain_text(word)
            await expect(strip.locator(".badge.good")).to_have_count(0)
        finally:
            hanging.send_signal(signal.SIGCONT)
        await expect(page.locator(".sentence.good")).to_contain_text("Trading.", timeout=30_000)
        await expect(page.locator(".not-live")).to_have_count(0)
        await expect(strip).to_contain_text("next in")
