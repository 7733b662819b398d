"""Who sees the dashboard, and what they may do in it."""

import re
from collections.abc import AsyncIterator

import httpx
from playwright.async_api import Page, expect

from api.credentials import draw_token
from api.routes.tokens import TokenWanted
from shared.db.tokens import BY_HAND, TokenTable
from shared.domain.access import Scope
from tests.conftest import fresh_database
from tests.dashboard.conftest import Open, Site, Watch, built_site, of_module

HOUSE_TOKEN = "a-token-of-the-house-that-is-long-enough"


@of_module
async def locked(postgres_url: str, template: str) -> AsyncIterator[Site]:
    """A house that opens to tokens only, and where more takes a day, or a second person's word."""
    async with (
        fresh_database(postgres_url, template) as url,
        built_site(url, api_token=HOUSE_TOKEN, raise_delay="1d") as site,
    ):
        yield site


async def made_token(site: Site, **wanted: str) -> str:
    """Have the house make a token, and return it."""
    async with httpx.AsyncClient(base_url=site.url, headers={"Authorization": f"Bearer {HOUSE_TOKEN}"}) as house:
        made: str = (await house.post("/tokens", json=wanted)).raise_for_status().json()["token"]
        return made


async def token_by_hand(site: Site, name: str) -> str:
    """Make an admin's token as one does at a terminal, where no other token stands behind it."""
    drawn = draw_token()
    wanted = TokenWanted(name=name, scope=Scope.ADMIN)
    await TokenTable(site.house.runtime.database).create(wanted.drawn(drawn, created_by=f"somebody{BY_HAND}"))
    return drawn.text


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
    token = await made_token(locked, name="visitor", scope="read")
    page = await opened(f"{locked.url}/#/accounts")

    await sign_in(page, token)

    await expect(page.get_by_text("visitor may read: the controls here take a token that may operate")).to_be_visible()
    await expect(page.get_by_role("heading", name="main")).to_be_visible()
    await expect(page.get_by_role("button", name=re.compile("…$|Pause|Stop all|Add"))).to_have_count(0)
    await expect(page.get_by_role("navigation").get_by_role("link", name="Tokens")).to_have_count(0)
    await page.goto(f"{locked.url}/#/audit")
    await expect(page.get_by_text("takes an admin's token; visitor may read")).to_be_visible()


async def test_who_may_operate_one_account_is_shown_that_one_s_controls_alone(
    locked: Site, opened: Open, watch: Watch
) -> None:
    watch.expected = ("401",)
    token = await made_token(locked, name="operator", scope="operate", account="main")
    page = await opened(f"{locked.url}/#/accounts")

    await sign_in(page, token)

    await expect(page.get_by_role("button", name="Stop …")).to_be_visible()
    await expect(page.get_by_role("button", name="Run a stage …")).to_be_visible()
    await expect(page.get_by_text("the controls here take a token that may admin")).to_be_visible()
    await expect(page.get_by_role("button", name=re.compile("Stop all|Limits|Settings|Remove|Add"))).to_have_count(0)


async def test_a_looser_limit_waits_until_a_second_admin_is_for_it(locked: Site, opened: Open, watch: Watch) -> None:
    watch.expected = ("401", "409")
    tokens = [await token_by_hand(locked, name) for name in ("anna", "ben")]
    first, second = [await opened(f"{locked.url}/#/accounts") for _ in tokens]
    for page, token in zip((first, second), tokens, strict=True):
        await sign_in(page, token)
    headers = {"Authorization": f"Bearer {HOUSE_TOKEN}"}
    async with httpx.AsyncClient(base_url=locked.url, headers=headers) as api:

        async def max_leverage() -> int:
            found: int = (await api.get("/accounts/main")).json()["config"]["limits"]["max_leverage"]
            return found

        async def ask_for(value: str) -> None:
            await first.get_by_role("button", name="Limits …").click()
            await first.get_by_label("max leverage").fill(value)
            await first.get_by_role("button", name="Change it").click()
            await expect(first.get_by_text("What allows it more waits as change")).to_be_visible()

        async def approve(page: Page) -> None:
            await page.get_by_role("button", name="Approve …").click()
            dialog = page.get_by_role("dialog")
            await expect(dialog).to_contain_text("risk.max leverage: 5 to")
            await dialog.get_by_label("Type main to confirm").fill("main")
            await dialog.get_by_role("button", name="I am for it").click()

        # As its settings are new to this house, the account itself waits for its word first.
        [addition] = (await api.get("/changes", params={"state": "pending"})).json()["items"]
        for token in tokens:
            by = {"Authorization": f"Bearer {token}"}
            (await api.post(f"/changes/{addition['id']}/approve", headers=by)).raise_for_status()

        waiting = second.get_by_role("region", name="Changes that wait").locator("tbody tr")
        await ask_for("6")
        await expect(waiting).to_contain_text("max leverage: 5 to 6")
        await expect(waiting).to_contain_text("anna")
        await expect(waiting.locator("td", has_text="or with a second word")).to_contain_text("in 2")
        assert await max_leverage() == 5

        await second.get_by_role("button", name="Reject").click()
        await expect(waiting).to_have_count(0)
        await expect(first.get_by_role("region", name="Changes that wait")).to_have_count(0)
        assert await max_leverage() == 5

        await ask_for("7")
        await expect(first.get_by_text("you are for it")).to_be_visible()
        await expect(first.get_by_role("button", name="Approve …")).to_have_count(0)
        await approve(second)

        await expect(second.get_by_text("is in force.")).to_be_visible()
        await expect(first.get_by_text("at most 7×")).to_be_visible()
        assert await max_leverage() == 7
