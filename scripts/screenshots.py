"""
The pictures of docs/dashboard.md: `python -m scripts.screenshots`.

Runs the whole paper system with a seed in a folder of its own, lets it trade for some cycles, and photographs the
dashboard while it is live, by day, by night and on a phone.
"""

import argparse
import asyncio
import os
import re
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from scripts.browser import ARGUMENTS, MISSING, find_browser

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "images"
ACCOUNTS = Path(__file__).with_name("screenshots.accounts.yaml")
CYCLE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d │")
DESK, PHONE = {"width": 1360, "height": 860}, {"width": 360, "height": 740}


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture. *path* is the page, or `WHY` for the decision behind the newest entry."""

    name: str
    path: str
    scheme: str = "light"
    phone: bool = False
    press: str = ""
    """The button that opens what is to be seen."""


WHY = "why"

PICTURES = (
    Picture("overview", ""),
    Picture("overview-dark", "", scheme="dark"),
    Picture("overview-phone", "", phone=True),
    Picture("positions", "positions"),
    Picture("positions-phone", "positions", scheme="dark", phone=True),
    Picture("market", "market?show=ema,rsi,trades,levels", scheme="dark"),
    Picture("decision", WHY),
    Picture("performance", "performance", scheme="dark"),
    Picture("edge", "edge"),
    Picture("accounts", "accounts"),
    Picture("adding", "accounts", press="Add an account …"),
    Picture("accounts-phone", "accounts", phone=True),
)


def main() -> int:
    """Take every picture; 2 when something that it takes is not there."""
    parser = argparse.ArgumentParser(prog="scripts.screenshots", description="Take the pictures of docs/dashboard.md.")
    parser.add_argument("--cycles", type=int, default=110, help="cycles of all accounts before the first picture")
    parser.add_argument("--speed", type=float, default=60, help="how many times faster than life")
    parser.add_argument("--seed", type=int, default=8, help="of the market and of the models")
    chosen = parser.parse_args()
    if find_browser() is None:
        print(f"screenshots: {MISSING}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(Path(folder), chosen))


async def _run(folder: Path, chosen: argparse.Namespace) -> int:
    api, exchange, models = _free_port(), _free_port(), _free_port()
    environment = {
        "API_PORT": str(api),
        "ASTERDEX_BASE_URL": f"http://127.0.0.1:{exchange}",
        "OPENROUTER_BASE_URL": f"http://127.0.0.1:{models}/api/v1",
        "DATA_FOLDER": str(folder / "data"),
        "LOG_FOLDER": str(folder / "logs"),
    }
    options = ["--seed", str(chosen.seed), "--speed", str(chosen.speed), "--accounts", str(ACCOUNTS)]
    system = await _started(["-m", "scripts.dev", *options], environment)
    try:
        if not await _traded(system, chosen.cycles):
            print("screenshots: the system ended by itself; it says why above", file=sys.stderr)
            return 2
        rest = asyncio.create_task(_drained(system))
        await _photograph(f"http://127.0.0.1:{api}")
        rest.cancel()
    finally:
        if system.returncode is None:
            system.terminate()
        await system.wait()
    return 0


async def _started(arguments: list[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
    )


async def _traded(system: asyncio.subprocess.Process, cycles: int) -> bool:
    """Return once so many cycles were told; False if the system ended before."""
    assert system.stdout is not None  # noqa: S101 - it was asked for above
    while cycles > 0:
        line = (await system.stdout.readline()).decode(errors="replace")
        if not line:
            return False
        cycles -= bool(CYCLE.match(line))
    return True


async def _drained(system: asyncio.subprocess.Process) -> None:
    assert system.stdout is not None  # noqa: S101 - it was asked for above
    while await system.stdout.readline():
        pass


async def _photograph(url: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=[*ARGUMENTS])
        for picture in PICTURES:
            page = await _opened(browser, url, picture)
            await page.screenshot(path=FOLDER / f"{picture.name}.png")
            await page.context.close()
            print(f"screenshots: {picture.name}", flush=True)
        await browser.close()


async def _opened(browser: Browser, url: str, picture: Picture) -> Page:
    """Open the page of *picture* and return it once it is live and everything on it is there."""
    context = await browser.new_context(
        viewport=PHONE if picture.phone else DESK, color_scheme=picture.scheme, reduced_motion="reduce"
    )
    page = await context.new_page()
    if picture.path == WHY:
        await page.goto(f"{url}/#/decisions?action=buy&verdict=approved")
        await page.locator(".cycle", has_text="buy").first.click()
    else:
        await page.goto(f"{url}/#/{picture.path}")
    await page.locator(".vital.first", has_text="Live").wait_for()
    await page.locator("main .card").first.wait_for()
    await page.locator(".loading").first.wait_for(state="detached")
    if picture.press:
        await page.get_by_role("button", name=picture.press).click()
        await page.get_by_role("dialog").wait_for()
    chart = page.locator("figure.chart")
    if await chart.count():
        await chart.first.locator("canvas").first.wait_for()
        # The library draws in the frame after the one that its data came in.
        await page.evaluate("new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))")
    return page


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


if __name__ == "__main__":
    sys.exit(main())
