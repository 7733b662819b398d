"""What a person sees and does in the dashboard."""

import re
from datetime import timedelta

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from shared.domain.account import AccountStatus
from tests.dashboard.conftest import Open, Site


def figure(page: Page, name: str) -> Locator:
    return page.locator(f"[data-figure={name}]")


def vital(page: Page, name: str) -> Locator:
    """One cell of the health strip."""
    return page.locator(".vital", has=page.locator("dt", has_text=re.compile(f"^{name}$")))


async def test_the_first_page_says_what_the_money_is_worth_and_that_it_is_protected(
    trading: Site, opened: Open
) -> None:
    page = await opened(trading.url)

    await expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    await expect(figure(page, "equity")).to_contain_text(re.compile(r"^(9,9|10,0)\d\d\.\d\d"))
    await expect(page.locator(".sentence")).to_contain_text("Trading. 1 open position, protected by a stop")
    row = page.get_by_role("region", name="Open positions").locator("tbody tr")
    await expect(row).to_contain_text("BTC")
    await expect(row).to_contain_text("Stop and target")
    await expect(vital(page, "State")).to_contain_text("Trading")
    await expect(vital(page, "Stream")).to_contain_text("Live")
    await expect(page.locator("figure.chart canvas").first).to_be_visible()


async def test_what_happens_shows_without_a_reload(own: Site, opened: Open) -> None:
    page = await opened(own.url)
    rows = page.get_by_role("region", name="Open positions").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(vital(page, "Stream")).to_contain_text("Live")

    await own.house.pass_time()
    await own.house.enter("ETHUSDT", "sell")

    await expect(rows).to_have_count(2)
    await expect(page.locator(".timeline .cycle").first).to_contain_text("ETH")


async def test_the_reason_of_a_trade_is_there_with_all_that_came_of_it(trading: Site, opened: Open) -> None:
    page = await opened(trading.url)

    await page.locator(".timeline .cycle", has_text="buy").click()

    await expect(page.get_by_role("heading", name="Decision", exact=True)).to_be_visible()
    await expect(page.locator(".rationale")).to_have_text("a test")
    ledger = page.get_by_role("region", name="Review ledger of BTCUSDT")
    await expect(ledger.locator("tr", has_text="reward to risk")).to_contain_text("ratio")
    await expect(page.get_by_role("region", name="Orders of this cycle").locator("tbody tr")).to_have_count(3)
    await page.get_by_text("Raw reply").click()
    await expect(page.get_by_label("Raw reply")).to_contain_text("scripted/model")


# By what name it is clicked, from the first page on.
WAYS_TO_THE_REASON = {
    "decision": [("link", re.compile("buy.*BTC"))],
    "open position": [("link", re.compile("^BTC"))],
    "open position, looked at": [("link", "Positions"), ("link", "Why")],
    "closed position": [("link", "Positions"), ("link", "decision")],
    "order": [("link", "Activity"), ("link", re.compile(r"^\d\d:\d\d$"))],
    "fill": [("link", "Activity"), ("button", "Fills"), ("link", re.compile(r"^\d\d:\d\d$"))],
    "line of the diary": [("link", "Activity"), ("button", "Diary"), ("link", re.compile("BTCUSDT"))],
}
COUNT_CLICKS = "document.addEventListener('click', () => { window.clicks += 1; }, true);"


async def test_three_clicks_lead_from_the_money_to_the_reason_of_any_trade(own: Site, opened: Open) -> None:
    house = own.house
    await house.pass_time()
    house.model.will_decide(await house.wish("BTCUSDT", "close"))
    await house.cycle()
    await house.pass_time(timedelta(minutes=20))
    await house.enter("BTCUSDT")
    page = await opened(own.url)
    await page.evaluate(COUNT_CLICKS)

    for trade, way in WAYS_TO_THE_REASON.items():
        await page.goto(f"{own.url}/#/")
        await expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
        await page.evaluate("window.clicks = 0")
        for role, name in way:
            exact = isinstance(name, str)
            await page.get_by_role(role, name=name, exact=exact).first.click()  # type: ignore[arg-type]
        await expect(page.locator(".rationale").first, trade).to_have_text("a test")
        assert await page.evaluate("window.clicks") == len(way) <= 3, trade


@pytest.mark.parametrize("width", [1360, 1024, 390])
async def test_the_health_strip_is_seen_whole(trading: Site, opened: Open, width: int) -> None:
    page = await opened(trading.url, viewport={"width": width, "height": 800})
    await expect(vital(page, "Stream")).to_contain_text("Live")
    if width < 820:
        await expect(vital(page, "Time")).to_be_hidden()
        await page.get_by_role("button", name="All of the health strip").click()
    await expect(vital(page, "Requests")).to_contain_text("used")

    outside = await page.evaluate(OUTSIDE_THE_STRIP)

    assert await page.locator(".vital").count() == 9
    assert outside == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width


OUTSIDE_THE_STRIP = """() => {
    const box = document.querySelector('.vitals-box').getBoundingClientRect();
    const stop = document.querySelector('.stop-box').getBoundingClientRect();
    const covered = (cell) => cell.right > stop.left && cell.bottom > stop.top && cell.top < stop.bottom;
    return [...document.querySelectorAll('.vital')].filter((each) => {
        const cell = each.getBoundingClientRect();
        const value = each.querySelector('dd');
        return !cell.width || cell.right > box.right + 1 || covered(cell) || value.scrollWidth > value.clientWidth + 1;
    }).map((each) => each.innerText);
}"""


async def test_a_house_without_accounts_says_what_to_do(site: Site, opened: Open) -> None:
    async with httpx.AsyncClient(base_url=site.url) as api:
        (await api.delete("/accounts/main")).raise_for_status()
    page = await opened(site.url)

    await expect(page.get_by_text("There is no account.")).to_be_visible()
    await expect(vital(page, "State")).to_contain_text("No account")
    await page.get_by_role("link", name="Add one").click()

    await expect(page.get_by_role("button", name="Add an account …")).to_be_visible()
    await page.get_by_role("button", name="Stop all").click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def test_an_address_leads_straight_to_a_decision_which_can_be_made_again(trading: Site, opened: Open) -> None:
    tick = trading.house.request.tick.strftime("%Y-%m-%dT%H:%M:%SZ")
    page = await opened(f"{trading.url}/#/decisions/main@{tick}")

    await page.get_by_role("button", name="Run again").click()

    await expect(page.get_by_text("The same, to the last byte.")).to_be_visible()


async def test_decisions_can_be_narrowed_down_and_the_address_keeps_it(trading: Site, opened: Open) -> None:
    page = await opened(f"{trading.url}/#/decisions")
    await expect(page.locator(".cycle")).to_have_count(2)

    await page.get_by_label("Action").select_option("buy")

    await expect(page.locator(".cycle")).to_have_count(1)
    assert page.url.endswith("#/decisions?action=buy")
    await page.reload()
    await expect(page.locator(".cycle")).to_have_count(1)
    await expect(page.get_by_label("Action")).to_have_value("buy")


async def test_a_list_that_is_not_followed_stands_still_and_counts(own: Site, opened: Open) -> None:
    page = await opened(f"{own.url}/#/activity/fills")
    rows = page.get_by_role("region", name="Fills").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(vital(page, "Stream")).to_contain_text("Live")

    await page.get_by_label("Follow").uncheck()
    await own.house.pass_time()
    await own.house.enter("ETHUSDT", "sell")
    since = page.get_by_role("button", name="since")
    await expect(since).to_be_visible()
    await expect(rows).to_have_count(1)

    await since.click()

    await expect(rows).to_have_count(2)


async def test_a_model_s_words_are_never_markup(site: Site, opened: Open) -> None:
    trap = "<img src=x onerror=\"document.title='caught'\"><script>document.title='caught'</script>"
    house = site.house
    house.model.will_decide(
        await house.wish("BTCUSDT", "buy", rationale=trap, exit_plan={"text": trap, "invalidation": None})
    )
    await house.cycle()
    page = await opened(f"{site.url}/#/decisions")

    await expect(page.locator(".cycle .why")).to_have_text(trap)
    await page.locator(".cycle").click()

    await expect(page.locator(".rationale")).to_have_text(trap)
    assert await page.locator("main img, main script").count() == 0
    assert await page.title() == "Decision · Perpetua"


async def test_an_empty_house_says_what_will_come(site: Site, opened: Open) -> None:
    page = await opened(site.url)

    for text in ("Nothing is open.", "No decision yet.", "No curve yet."):
        await expect(page.get_by_text(text)).to_be_visible()
    await expect(vital(page, "Last cycle")).to_contain_text("none yet")


async def test_a_stop_asks_for_the_account_s_name_first(own: Site, opened: Open) -> None:
    page = await opened(f"{own.url}/#/accounts")
    await page.get_by_role("main").get_by_role("button", name="Stop …").click()
    dialog = page.get_by_role("dialog")
    stop = dialog.get_by_role("button", name="Stop it")

    await expect(stop).to_be_disabled()
    await dialog.get_by_label("Type main to confirm").fill("mian")
    await expect(stop).to_be_disabled()
    await dialog.get_by_label("Type main to confirm").fill("main")
    await stop.click()

    await expect(vital(page, "State")).to_contain_text("Halted")
    async with own.house.runtime.open_work() as work:
        assert (await work.accounts.get("main")).status is AccountStatus.HALTED


async def test_the_keyboard_alone_is_enough(trading: Site, opened: Open) -> None:
    page = await opened(trading.url)
    await expect(page.locator(".timeline .cycle").first).to_be_visible()

    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("g")
    await page.keyboard.press("d")
    await expect(page.get_by_role("heading", name="Decisions", exact=True)).to_be_visible()
    await expect(page.locator(".cycle").first).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".cycle").nth(1)).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="Decision", exact=True)).to_be_visible()


DRAWN = "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
RESULTS = ("performance", "edge", "costs")
RECORDS = ("activity", "activity/fills", "activity/diary", "activity/models", "discrepancies", "alerts", "audit")
PAGES = ("", "positions", "market", "decisions", *RESULTS, *RECORDS, "accounts", "tokens")


async def test_every_page_fits_a_phone_and_shows_no_number_that_is_none(trading: Site, opened: Open) -> None:
    page = await opened(trading.url, viewport={"width": 360, "height": 740}, has_touch=True)

    for name in PAGES:
        await page.goto(f"{trading.url}/#/{name}")
        await page.evaluate(DRAWN)
        await expect(page.locator(".loading"), name).to_have_count(0)
        await expect(page.get_by_role("main").get_by_role("alert"), name).to_have_count(0)

        assert await page.evaluate("document.documentElement.scrollWidth") == 360, name
        text = await page.locator("body").inner_text()
        assert not re.search(r"\bNaN\b|undefined|\[object|Infinity|Invalid Date", text), name


async def test_the_menu_of_a_phone_opens_over_the_page(trading: Site, opened: Open) -> None:
    page = await opened(trading.url, viewport={"width": 360, "height": 740}, has_touch=True)
    link = page.get_by_role("navigation").get_by_role("link", name="Positions")
    await expect(link).to_be_hidden()

    await page.get_by_role("button", name="Menu").tap()
    await link.tap()

    await expect(page.get_by_role("heading", name="Positions", exact=True)).to_be_visible()
    await expect(link).to_be_hidden()
