"""What an independent tool finds wrong with the pages for those who see, hear or move otherwise."""

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.async_api import Page, expect

from tests.dashboard.conftest import Open, Site

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

PAGES = (
    "",
    "positions",
    "market",
    "decisions",
    "decision",
    "performance",
    "costs",
    "activity",
    "accounts",
    "alerts",
    "tokens",
)


# By night only the colours are others.
RULES = {"light": "", "dark": "runOnly: ['color-contrast'],"}


@pytest.mark.parametrize("scheme", RULES)
async def test_axe_finds_no_violation_on_any_page(trading: Site, opened: Open, scheme: str) -> None:
    page = await opened(trading.url, color_scheme=scheme, reduced_motion="reduce")
    await expect(page.locator(".cycle").first).to_be_visible()
    decision = await page.locator(".cycle", has_text="buy").get_attribute("href")
    await page.evaluate(AXE)

    for name in PAGES:
        await page.evaluate(
            "(address) => { location.hash = address; }", decision if name == "decision" else f"#/{name}"
        )
        await expect(page.locator(".loading")).to_have_count(0)
        await expect(page.get_by_role("main").locator("h1")).to_be_visible()
        await assert_no_violation(page, name, RULES[scheme])
    await page.get_by_role("link", name="Accounts", exact=True).click()
    for button in ("Add an account …", "Remove …"):
        await page.get_by_role("button", name=button).click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await assert_no_violation(page, button, RULES[scheme])
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def assert_no_violation(page: Page, name: str, rules: str) -> None:
    found = await page.evaluate(f"axe.run({{ {rules} resultTypes: ['violations'] }})")
    told = [
        f"{name}: {violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
    assert not told, "\n".join(told)
