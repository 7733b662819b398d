"""
The dashboard in a real browser: the API and the exchange over real sockets, in one loop with a house whose cycles the
test runs. Whatever a page complains of, or asks of another machine, fails its test.

Each module has one browser, and a house that its tests share as long as none takes from it what another needs; a test
that does asks for one of its own. They all run in the module's loop.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Route, async_playwright, expect

from api.app import create_app
from emulators.openrouter import app as openrouter
from scripts.browser import ARGUMENTS, MISSING, find_browser
from shared.settings import LOOPBACK, read_settings
from tests.conftest import fresh_database
from tests.house import House, built_house
from tests.served import served

HERE = Path(__file__).parent

expect.set_options(timeout=15_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests of this folder run in the loop of their module."""
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


of_module = pytest_asyncio.fixture(scope="module", loop_scope="module")
of_test = pytest_asyncio.fixture(loop_scope="module")


@of_module
async def browser() -> AsyncIterator[Browser]:
    """A browser; without one the tests are skipped."""
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
        # A busy machine may be slow to tell how it is, and says so.
        expected = (*self.expected, "/health/ready")
        assert not [each for each in self.complaints if not any(word in each for word in expected)]


@pytest.fixture
def watch() -> Watch:
    return Watch()


Open = Callable[..., Awaitable[Page]]


@of_test
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

    async def trade(self) -> None:
        """Have one position, with its stop and its target, and hold on for one cycle."""
        house = self.house
        await house.enter("BTCUSDT")
        await house.pass_time()
        house.model.will_decide(await house.wish("BTCUSDT", "hold"), await house.wish("ETHUSDT", "hold"))
        await house.cycle()


@asynccontextmanager
async def built_site(database_url: str, **changes: Any) -> AsyncIterator[Site]:
    """Build a house and serve its exchange, models and its dashboard."""
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(built_house(database_url))
        exchange = await stack.enter_async_context(served(house.exchange, websockets=True))
        models = await stack.enter_async_context(served(openrouter.create_app()))
        settings = read_settings(
            environment="testing",
            database_url=database_url,
            asterdex_base_url=exchange,
            openrouter_base_url=f"{models}/api/v1",
            assets="BTCUSDT,ETHUSDT",
            llm_model="scripted/model",
            **changes,
        )
        yield Site(house, await stack.enter_async_context(served(create_app(settings), websockets=True)))


@of_test
async def site(database_url: str) -> AsyncIterator[Site]:
    """A house of the test's own that nothing has happened in yet, with its dashboard."""
    async with built_site(database_url) as site:
        yield site


@of_test
async def own(site: Site) -> Site:
    """A house of the test's own that holds one position, and has held on for one cycle since."""
    await site.trade()
    return site


@of_module
async def trading(postgres_url: str, template: str) -> AsyncIterator[Site]:
    """The module's house, that holds one position, and has held on for one cycle since."""
    async with fresh_database(postgres_url, template) as url, built_site(url) as site:
        await site.trade()
        yield site
