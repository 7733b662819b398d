"""
The dashboard in a real browser: the API and the exchange over real sockets, in one loop with a house whose cycles the
test runs. Whatever a page complains of, or asks of another machine, fails its test.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Route, async_playwright, expect

from api.app import create_app
from scripts.browser import ARGUMENTS, MISSING, find_browser
from shared.settings import LOOPBACK, read_settings
from tests.house import House, built_house
from tests.served import served

expect.set_options(timeout=15_000)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser; without one the test is skipped."""
    path = find_browser()
    if path is None:
        pytest.skip(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS])
        yield browser
        await browser.close()


@dataclass
class Watch:
    """What pages did that they should not have."""

    strangers: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """What a test brings about itself: complaints that hold one of these words are none."""

    async def hold(self, route: Route, request: Request) -> None:
        """Let a request go out to this machine only."""
        if urlsplit(request.url).hostname in LOOPBACK:
            await route.continue_()
        else:
            self.strangers.append(request.url)
            await route.abort()

    def hear(self, message: ConsoleMessage) -> None:
        """Note what the console is told to be wrong."""
        if message.type in {"error", "warning"}:
            where = f" ({message.location.get('url', '')})" if message.location else ""
            self.complaints.append(message.text + where)

    def assert_clean(self) -> None:
        """Nothing went out, and nothing went wrong."""
        assert not self.strangers
        assert not [each for each in self.complaints if not any(word in each for word in self.expected)]


@pytest.fixture
def watch() -> Watch:
    return Watch()


Open = Callable[..., Awaitable[Page]]


@pytest.fixture
async def opened(browser: Browser, watch: Watch) -> AsyncIterator[Open]:
    """Open an address in a browser of its own; keywords are those of a browser's context."""
    async with AsyncExitStack() as stack:

        async def open_page(url: str, **options: Any) -> Page:
            context = await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
            stack.push_async_callback(context.close)
            await context.route("**/*", watch.hold)
            page = await context.new_page()
            page.on("console", watch.hear)
            page.on("pageerror", lambda error: watch.complaints.append(f"uncaught: {error}"))
            await page.goto(url)
            return page

        yield open_page
    watch.assert_clean()


@dataclass
class Site:
    """A house, and the address its dashboard is served at."""

    house: House
    url: str


@asynccontextmanager
async def built_site(database_url: str, **changes: Any) -> AsyncIterator[Site]:
    """Build a house and serve its exchange and its dashboard."""
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(built_house(database_url))
        exchange = await stack.enter_async_context(served(house.exchange, websockets=True))
        settings = read_settings(
            environment="testing",
            database_url=database_url,
            asterdex_base_url=exchange,
            asterdex_private_key=token_hex(32),
            openrouter_base_url="http://127.0.0.1:9/api/v1",
            assets="BTCUSDT,ETHUSDT",
            llm_model="scripted/model",
            **changes,
        )
        yield Site(house, await stack.enter_async_context(served(create_app(settings), websockets=True)))


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    """A house that nothing has happened in yet, with its dashboard."""
    async with built_site(database_url) as site:
        yield site


@pytest.fixture
async def trading(site: Site) -> Site:
    """A house that holds one position, with its stop and its target, and has held on for one cycle since."""
    house = site.house
    await house.enter("BTCUSDT")
    await house.pass_time()
    house.model.will_decide(await house.wish("BTCUSDT", "hold"), await house.wish("ETHUSDT", "hold"))
    await house.cycle()
    return site
