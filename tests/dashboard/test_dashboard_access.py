"""Who sees the dashboard, and what they may do in it."""

import re
from collections.abc import AsyncIterator

import httpx
from playwright.async_api import Page, expect

from tests.conftest import fresh_database
from tests.dashboard.conftest import Open, Site, Watch, built_site, of_module

HOUSE_TOKEN = "a-token-of-the-house-that-is-long-enough"


@of_module
async def locked(postgres_url: str, template: str) -> AsyncIterator[Site]:
    """A house that opens to tokens only."""
    async with fresh_database(postgres_url, template) as url, built_site(url, api_token=HOUSE_TOKEN) as site:
        yield site


async def sign_in(page: Page, token: str) -> None:
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_token_is_asked_for_and_lives_on_as_a_cookie_no_script_reads(
    locked: Site, opened: Open, watch: Watch
) -> None:
    watch.expected = ("401",)
    page = await opened(locked.url)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    await sign_in(page, "not-that-one-but-long-enough")
    await expect(page.get_by_role("alert")).to_be_visible()
    await sign_in(page, HOUSE_TOKEN)

    await expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    await expect(page.locator(".vital.first")).to_contain_text("Live")
    assert HOUSE_TOKEN not in await page.evaluate("document.cookie + JSON.stringify({...localStorage})")
    await page.reload()
    await expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_who_may_only_read_is_shown_no_control(locked: Site, opened: Open, watch: Watch) -> None:
    watch.expected = ("401",)
    async with httpx.AsyncClient(base_url=locked.url, headers={"Authorization": f"Bearer {HOUSE_TOKEN}"}) as admin:
        made = (await admin.post("/tokens", json={"name": "visitor", "scope": "read"})).raise_for_status().json()
    page = await opened(f"{locked.url}/#/accounts")

    await sign_in(page, made["token"])

    await expect(page.get_by_text("visitor may read: the controls here take a token that may operate")).to_be_visible()
    await expect(page.get_by_role("heading", name="main")).to_be_visible()
    await expect(page.get_by_role("button", name=re.compile("…$|Pause|Stop all|Add"))).to_have_count(0)
    await expect(page.get_by_role("navigation").get_by_role("link", name="Tokens")).to_have_count(0)
    await page.goto(f"{locked.url}/#/audit")
    await expect(page.get_by_text("takes an admin's token; visitor may read")).to_be_visible()
