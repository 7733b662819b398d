"""What a person has done in the dashboard, looked for where it takes effect: at the API and at the exchange."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator, Page, Route, expect

from shared.db.alerts import AlertTable
from shared.domain.alert import Alarm, AlertKind
from shared.domain.cycle import Stage, between_ticks
from tests.dashboard.conftest import Open, Site, Watch, of_test

LONGER_THAN_A_COOLDOWN = timedelta(minutes=20)


@of_test
async def api(trading: Site) -> AsyncIterator[httpx.AsyncClient]:
    """The API that the pages talk to."""
    async with httpx.AsyncClient(base_url=trading.url) as client:
        yield client


@pytest.fixture(autouse=True)
def refusals(watch: Watch) -> None:
    """A browser's console tells of every answer that is a refusal, which some of these tests ask for."""
    watch.expected = ("Failed to load resource",)


def card(page: Page, account: str) -> Locator:
    """The part of a page that is about one account."""
    return page.locator("section.card", has=page.get_by_role("heading", name=account))


def said(page: Page) -> Locator:
    """What the page says of what was done last."""
    return page.get_by_role("status", name="What came of it")


async def ask(place: Locator | Page, button: str) -> Locator:
    """Press a button that opens a dialog, and return that."""
    await place.get_by_role("button", name=button, exact=True).click()
    page = place if isinstance(place, Page) else place.page
    return page.get_by_role("dialog")


async def confirm(dialog: Locator, verb: str, word: str | None = None) -> None:
    """Do what the dialog asks about, with the word that it wants."""
    button = dialog.get_by_role("button", name=verb, exact=True)
    if word is not None:
        await expect(button).to_be_disabled()
        await dialog.get_by_label(f"Type {word} to confirm").fill(word)
    await button.click()


async def account(api: httpx.AsyncClient, name: str = "main") -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/accounts/{name}")).raise_for_status().json()
    return found


async def seen_at_the_exchange(site: Site) -> None:
    """Have the books brought up to date."""
    await site.house.stage(Stage.RECONCILE, between_ticks("main", site.house.clock.now()))


async def held(site: Site) -> Decimal:
    """What the exchange holds of BTC; something, whatever an earlier test has closed."""
    if not (await site.house.venue_positions()).get("BTCUSDT"):
        await site.house.pass_time(LONGER_THAN_A_COOLDOWN)
        await site.house.enter("BTCUSDT")
    return (await site.house.venue_positions())["BTCUSDT"]


async def test_an_account_is_added_with_what_is_wrong_told_at_its_field_and_removed_again(
    site: Site, opened: Open
) -> None:
    async def of_second() -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=site.url) as api:
            return await account(api, "second")

    page = await opened(f"{site.url}/#/accounts")
    dialog = await ask(page, "Add an account …")
    await dialog.get_by_label("Name", exact=True).fill("second")
    await dialog.get_by_label("Symbols").fill("ethusdt, btcusdt")
    await dialog.get_by_label("Decides every").fill("soon")
    await dialog.get_by_label("Leverage", exact=True).fill("2")
    await dialog.get_by_text("Limits: entries").click()
    await dialog.get_by_label("max positions").fill("0")
    await confirm(dialog, "Add it")

    await expect(dialog.get_by_label("Decides every")).to_be_focused()
    await expect(dialog.get_by_label("Decides every")).to_have_accessible_description(
        re.compile("'soon' is no duration: write it like 30s, 5m, 4h or 1d")
    )
    await expect(dialog.get_by_label("max positions")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Decides every").fill("15m")
    await dialog.get_by_label("max positions").fill("1")
    await confirm(dialog, "Add it")

    await expect(said(page)).to_contain_text("second is added.")
    await expect(card(page, "second")).to_contain_text("15 min")
    config = (await of_second())["config"]
    assert (config["symbols"], config["interval"], config["leverage"]) == (["ETHUSDT", "BTCUSDT"], "PT15M", 2)
    assert config["limits"]["max_positions"] == 1

    await confirm(await ask(card(page, "second"), "Remove …"), "Remove it", "second")

    await expect(said(page)).to_contain_text("second is removed.")
    await expect(card(page, "second")).to_have_count(0)
    assert (await of_second())["removed_at"]


async def test_a_secret_is_refused_where_only_its_name_belongs(
    trading: Site, api: httpx.AsyncClient, opened: Open
) -> None:
    page = await opened(f"{trading.url}/#/accounts")
    dialog = await ask(page, "Add an account …")
    await dialog.get_by_label("Name", exact=True).fill("leaky")
    await dialog.get_by_label("Signer wallet: private key").fill("ab" * 32)
    await confirm(dialog, "Add it")

    await expect(dialog.get_by_label("Signer wallet: private key")).to_have_attribute("aria-invalid", "true")
    await expect(dialog.get_by_text("over the API a secret is named, never told")).to_be_visible()
    assert (await api.get("/accounts/leaky")).status_code == 404


async def test_settings_and_limits_are_changed_and_nothing_else_is_said(
    trading: Site, api: httpx.AsyncClient, opened: Open
) -> None:
    page = await opened(f"{trading.url}/#/accounts")
    dialog = await ask(card(page, "main"), "Limits …")
    await expect(dialog.get_by_label("max leverage")).to_have_value("5")
    await dialog.get_by_label("max leverage").fill("3")
    await dialog.get_by_label("cooldown", exact=True).fill("20m")
    await confirm(dialog, "Change it")

    await expect(said(page)).to_contain_text("main is changed.")
    now = await account(api)
    assert now["said"]["risk"] == {"max_leverage": "3", "cooldown": "20m"}
    assert (now["config"]["limits"]["max_leverage"], now["config"]["limits"]["cooldown"]) == (3, "PT20M")

    dialog = await ask(card(page, "main"), "Settings …")
    await dialog.get_by_label("USD a day for models").fill("4.5")
    await dialog.get_by_label("Then these").fill("emulated/coward")
    await confirm(dialog, "Change it")
    await expect(card(page, "main")).to_contain_text("then emulated/coward")
    assert (await account(api))["config"]["model_options"]["daily_budget"] == "4.5"

    dialog = await ask(card(page, "main"), "Limits …")
    await dialog.get_by_label("max leverage").fill("")
    await dialog.get_by_label("cooldown", exact=True).fill("")
    await confirm(dialog, "Change it")
    await expect(card(page, "main")).to_contain_text("at most 5×")
    assert (await account(api))["config"]["limits"]["cooldown"] == "PT15M"


async def test_a_form_that_was_opened_on_what_is_old_is_refused_in_the_api_s_words(
    trading: Site, api: httpx.AsyncClient, opened: Open
) -> None:
    page = await opened(f"{trading.url}/#/accounts")
    dialog = await ask(card(page, "main"), "Limits …")
    version = (await account(api))["version"]
    await api.patch("/accounts/main", json={"version": version, "llm": {"temperature": 0.3}})
    await dialog.get_by_label("max positions").fill("2")
    await confirm(dialog, "Change it")

    await expect(dialog.get_by_role("alert")).to_contain_text(f"is at version {version + 1}, not {version}: look again")
    assert (await account(api))["config"]["limits"]["max_positions"] == 3


async def test_one_order_is_cancelled_and_then_all_that_protect_nothing(trading: Site, opened: Open) -> None:
    await held(trading)
    first, second = [await trading.house.bid(name=name) for name in ("by-hand-1", "by-hand-2")]
    await seen_at_the_exchange(trading)
    page = await opened(f"{trading.url}/#/activity/orders")
    rows = page.get_by_role("region", name="Orders").locator("tbody tr")
    await expect(page.get_by_role("button", name=f"Cancel {first} …")).to_have_count(1)
    await expect(rows.filter(has_text="stop").filter(has_text="resting").get_by_role("button")).to_have_count(0)

    await confirm(await ask(page, f"Cancel {first} …"), "Cancel it")

    await expect(said(page)).to_contain_text(f"{first} is cancelled.")
    await expect(page.get_by_role("button", name=f"Cancel {first} …")).to_have_count(0)
    assert [row["clientOrderId"] for row in await trading.house.venue_orders(status="NEW", type="LIMIT")] == [second]

    await page.goto(f"{trading.url}/#/accounts")
    await confirm(await ask(card(page, "main"), "Cancel orders …"), "Cancel them", "main")

    await expect(said(page)).to_contain_text("main: 1 order done with.")
    left = await trading.house.venue_orders(status="NEW")
    assert sorted(row["type"] for row in left) == ["STOP_MARKET", "TAKE_PROFIT_MARKET"]


async def test_a_part_of_a_position_is_closed_and_then_all_of_it(trading: Site, opened: Open) -> None:
    before = await held(trading)
    page = await opened(f"{trading.url}/#/positions")
    dialog = await ask(page, "Close BTCUSDT of main …")
    await dialog.get_by_label("Only a part of it").fill("0.001")
    await confirm(dialog, "Close the position", "BTCUSDT")

    await expect(said(page)).to_contain_text("0.001 of BTCUSDT of main is closed.")
    assert (await trading.house.venue_positions())["BTCUSDT"] == before - Decimal("0.001")

    await confirm(await ask(page, "Close BTCUSDT of main …"), "Close the position", "BTCUSDT")

    await expect(page.get_by_text("Nothing is open.")).to_be_visible()
    assert not any((await trading.house.venue_positions()).values())
    assert await trading.house.venue_orders(status="NEW") == []


async def test_what_is_pressed_twice_is_sent_once(trading: Site, opened: Open) -> None:
    before = await held(trading)
    page = await opened(f"{trading.url}/#/positions")
    sent: list[str] = []
    held_back = asyncio.Event()

    async def hold(route: Route) -> None:
        sent.append(route.request.headers["idempotency-key"])
        await held_back.wait()
        await route.continue_()

    await page.route("**/close", hold)
    dialog = await ask(page, "Close BTCUSDT of main …")
    await dialog.get_by_label("Only a part of it").fill("0.001")
    await dialog.get_by_label("Type BTCUSDT to confirm").fill("BTCUSDT")
    await dialog.get_by_label("Type BTCUSDT to confirm").press("Enter")
    await expect(dialog.get_by_role("button", name="Working …")).to_be_visible()
    await dialog.get_by_label("Type BTCUSDT to confirm").press("Enter")
    held_back.set()

    await expect(said(page)).to_contain_text("is closed.")
    assert len(sent) == 1
    assert (await trading.house.venue_positions())["BTCUSDT"] == before - Decimal("0.001")


async def test_what_was_done_and_not_answered_is_asked_again_under_the_same_key(trading: Site, opened: Open) -> None:
    before = await held(trading)
    page = await opened(f"{trading.url}/#/positions")

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await page.route("**/close", lose, times=1)
    dialog = await ask(page, "Close BTCUSDT of main …")
    await dialog.get_by_label("Only a part of it").fill("0.001")
    await confirm(dialog, "Close the position", "BTCUSDT")
    await expect(dialog.get_by_role("alert")).to_contain_text("whether it was done is not known")
    await dialog.get_by_role("button", name="Close the position").click()

    await expect(said(page)).to_contain_text("is closed.")
    assert (await trading.house.venue_positions())["BTCUSDT"] == before - Decimal("0.001")


async def test_a_stage_is_run_at_once_and_what_it_did_is_shown(
    trading: Site, api: httpx.AsyncClient, opened: Open
) -> None:
    page = await opened(f"{trading.url}/#/accounts")
    dialog = await ask(card(page, "main"), "Run a stage …")
    await dialog.get_by_label("Stage").select_option("fetch")
    await confirm(dialog, "Run it")

    await expect(dialog.get_by_role("heading")).to_contain_text("fetch of main")
    await expect(dialog.get_by_label("What the stage did")).to_contain_text('"stage": "fetch"')
    await dialog.get_by_role("button", name="Done").click()
    await expect(card(page, "main").get_by_role("button", name="Run a stage …")).to_be_focused()
    newest = (await api.get("/audit", params={"action": "POST /functions/{stage}/invocations"})).json()["items"][0]
    assert (newest["body"], newest["status"]) == ({"account": "main"}, 200)


async def test_an_alert_is_taken_notice_of(trading: Site, api: httpx.AsyncClient, opened: Open) -> None:
    spent = Alarm(kind=AlertKind.BUDGET_SPENT, account_id="main", text="the day's money is spent")
    async with trading.house.runtime.database.transaction() as connection:
        await AlertTable(connection).settle([spent], trading.house.clock.now(), channels=[])
    page = await opened(f"{trading.url}/#/alerts")

    await page.get_by_role("button", name="Take notice").click()

    await expect(said(page)).to_contain_text("budget spent: this machine has taken notice.")
    await expect(page.get_by_role("button", name="Take notice")).to_have_count(0)
    [alert] = (await api.get("/alerts", params={"kind": "budget_spent"})).json()["items"]
    assert alert["acknowledged_by"] == "this machine"


async def test_a_token_is_made_shown_once_and_revoked(trading: Site, opened: Open) -> None:
    page = await opened(f"{trading.url}/#/tokens")
    await expect(page.get_by_text("There is no token.")).to_be_visible()
    dialog = await ask(page, "Make a token …")
    await dialog.get_by_label("Name", exact=True).fill("Anna Smith")
    await dialog.get_by_role("combobox", name="May", exact=True).select_option("operate")
    await dialog.get_by_role("combobox", name="On", exact=True).select_option("main")
    await confirm(dialog, "Make it")
    await expect(dialog.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Name").fill("anna")
    await confirm(dialog, "Make it")

    token = await dialog.locator("[data-figure=token]").inner_text()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=trading.url, headers=headers) as anna:
        who = (await anna.get("/session")).json()
        assert (who["name"], who["scope"], who["account"]) == ("anna", "operate", "main")
        await dialog.get_by_role("button", name="Done").click()
        row = page.get_by_role("region", name="Tokens").locator("tbody tr")
        await expect(row).to_contain_text("operate")
        assert token not in await page.content()

        await confirm(await ask(page, "Revoke anna …"), "Revoke it", "anna")

        await expect(row).to_contain_text("revoked")
        assert (await anna.get("/session")).status_code == 401


async def test_a_decision_is_reviewed_under_another_limit_and_another_model_is_asked(
    trading: Site, api: httpx.AsyncClient, opened: Open
) -> None:
    orders = len(await trading.house.venue_orders())
    page = await opened(trading.url)
    await page.locator(".timeline .cycle", has_text="buy").first.click()
    dialog = await ask(page, "Review under other limits")
    await dialog.get_by_label("Limit").select_option("min_confidence")
    await dialog.get_by_label("Value").fill("0.9")
    await confirm(dialog, "Review")

    rows = page.get_by_role("region", name="Before and after").locator("tbody tr")
    await expect(rows.filter(has_text="before")).to_contain_text("approved")
    await expect(rows.filter(has_text="after")).to_contain_text("refused")

    dialog = await ask(page, "Ask another model")
    await dialog.get_by_label("Model").fill("emulated/coward")
    await confirm(dialog, "Ask it")

    await expect(page.get_by_text("After: emulated/coward")).to_be_visible()
    [call] = (await api.get("/llm-interactions", params={"purpose": "replay"})).json()["items"]
    assert call["asked_model"] == "emulated/coward"
    assert len(await trading.house.venue_orders()) == orders


async def test_an_account_is_paused_and_resumed_with_the_keyboard(
    trading: Site, api: httpx.AsyncClient, opened: Open
) -> None:
    page = await opened(f"{trading.url}/#/accounts")
    await page.get_by_role("button", name="Pause").focus()
    await page.keyboard.press("Enter")
    await expect(said(page)).to_contain_text("main is paused")
    await expect(page.get_by_role("button", name="Resume")).to_be_focused()
    assert (await account(api))["status"] == "paused"

    await page.keyboard.press("Enter")

    await expect(said(page)).to_contain_text("main trades again.")
    assert (await account(api))["status"] == "active"


async def test_everything_is_stopped_and_armed_again(trading: Site, api: httpx.AsyncClient, opened: Open) -> None:
    await held(trading)
    page = await opened(f"{trading.url}/#/accounts")

    await confirm(await ask(page, "Stop all"), "Stop everything", "stop all")

    await expect(said(page)).to_contain_text("Everything is stopped: 1 account halted, nothing is held.")
    assert not any((await trading.house.venue_positions()).values())
    assert await trading.house.venue_orders(status="NEW") == []
    assert (await account(api))["status"] == "halted"

    await confirm(await ask(card(page, "main"), "Arm again …"), "Arm it", "main")

    await expect(said(page)).to_contain_text("main trades again.")
    assert (await account(api))["status"] == "active"
