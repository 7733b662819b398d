"""What the dashboard says when something is not as it should be: nothing is called well by an old answer."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from playwright.async_api import Locator, Page, expect
from sqlalchemy import text

from api.routes import controls
from functions.alerting import check
from functions.stopping import stop_account, stop_all
from shared.domain.account import AccountStatus
from shared.domain.model_health import ModelHealth
from tests.conftest import fresh_database
from tests.dashboard.conftest import Open, Site, Watch, built_site, of_module

HOLDINGS = "/fapi/v3/accountWithJoinMargin"
LONGER_THAN_A_COOLDOWN = timedelta(minutes=20)


@of_module
async def busy(postgres_url: str, template: str) -> AsyncIterator[Site]:
    """The module's house, where there is something to see on every page: two positions have ended, one is open."""
    async with fresh_database(postgres_url, template) as url, built_site(url) as site:
        house = site.house
        for side in ("buy", "sell"):
            await house.enter("BTCUSDT", side)
            await house.pass_time()
            house.model.will_decide(await house.wish("BTCUSDT", "close"))
            await house.cycle()
            await house.pass_time(LONGER_THAN_A_COOLDOWN)
        await house.enter("ETHUSDT")
        async with house.runtime.database.transaction() as connection:
            await connection.execute(text("UPDATE model_calls SET estimated = true WHERE id % 2 = 0"))
        yield site


def vital(page: Page, name: str) -> Locator:
    """One cell of the health strip."""
    return page.locator(".vital", has=page.locator("dt", has_text=re.compile(f"^{name}")))


def attention(page: Page) -> Locator:
    """The lines of what needs a person's eye."""
    return page.locator(".attention li")


async def test_an_exchange_that_does_not_answer_is_told_by_every_word_that_would_call_it_well(
    own: Site, opened: Open, watch: Watch
) -> None:
    watch.expected = ("503", "Failed to load resource")
    page = await opened(own.url)
    await expect(vital(page, "Services")).to_contain_text("All well")

    await own.house.spoil_by(kind="503-before", count=None)

    await expect(vital(page, "Services")).to_contain_text("Not ready")
    await expect(vital(page, "Services")).to_contain_text("the exchange does not answer")
    await expect(vital(page, "State")).to_contain_text("Cut off")
    await expect(page.locator(".sentence.bad")).to_contain_text("The exchange does not answer")
    await expect(page.locator(".sentence")).to_contain_text("when it was last seen")
    await expect(page.locator(".sentence")).not_to_contain_text("Trading")
    await expect(attention(page).filter(has_text="the exchange does not answer")).to_have_count(1)

    await own.house.clear_faults()
    await expect(page.locator(".sentence.good")).to_contain_text("Trading.")
    await expect(vital(page, "Services")).to_contain_text("All well")


async def test_cycles_that_do_not_come_are_told_and_no_next_one_is_promised(
    own: Site, opened: Open, watch: Watch
) -> None:
    watch.expected = ("503",)
    database = own.house.runtime.database
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE stage_runs SET tick = tick - interval '22 minutes'"))

    page = await opened(own.url)

    await expect(vital(page, "State")).to_contain_text("Overdue")
    await expect(vital(page, "Last cycle")).to_contain_text("overdue")
    await expect(vital(page, "Last cycle")).not_to_contain_text("next in")
    await expect(page.locator(".sentence.bad")).to_contain_text("No cycle for too long: main")
    await expect(vital(page, "Services")).to_contain_text("Not ready")
    await expect(attention(page)).to_have_count(1)


async def test_an_account_that_no_model_answers_is_said_to_manage_only_wherever_it_is_named(
    own: Site, opened: Open
) -> None:
    house = own.house
    async with house.runtime.open_work() as work:
        health = ModelHealth(failures=3, manage_only_since=house.clock.now(), reason="3 in a row failed")
        await work.model_health.save("main", health)
    await check(house.runtime, [])

    page = await opened(own.url)

    await expect(vital(page, "State")).to_contain_text("Manages only")
    await expect(page.locator(".sentence.warn")).to_contain_text("Manages only: main")
    await expect(page.locator(".account-line .badge").first).to_have_text("Manages only")
    await expect(vital(page, "Services")).to_contain_text("no model answers main")
    await expect(attention(page)).to_have_count(1)
    await page.goto(f"{own.url}/#/accounts")
    await expect(page.locator("section.card h2 .badge").first).to_have_text("Manages only")


async def test_a_halt_is_told_once_with_the_way_out(own: Site, opened: Open) -> None:
    await stop_account(own.house.runtime, "main", by="a test")
    await check(own.house.runtime, [])

    page = await opened(own.url)

    await expect(attention(page)).to_have_count(1)
    await expect(attention(page)).to_contain_text("Halted")
    await expect(attention(page)).not_to_contain_text("resumed")
    await attention(page).get_by_role("link", name="Arm again").click()
    await expect(page.get_by_role("button", name="Arm again …")).to_be_visible()


async def test_the_accounts_page_keeps_up_with_equity_and_with_a_stop(own: Site, opened: Open) -> None:
    house = own.house
    page = await opened(f"{own.url}/#/accounts")
    equity = page.locator(".fact", has=page.get_by_text("Equity", exact=True)).locator("dd")
    await expect(equity).to_contain_text("9,99")
    at = equity.locator("time").first
    before = await at.get_attribute("datetime")

    await house.next_cycle()

    await expect(at).not_to_have_attribute("datetime", str(before))
    await house.spoil_by(method="GET", path=HOLDINGS, kind="503-before", count=None)
    await stop_account(house.runtime, "main", by="a test", patience=timedelta(seconds=1))
    await expect(page.get_by_text("Being stopped.")).to_be_visible()
    await house.clear_faults()
    await stop_account(house.runtime, "main", by="a test")
    await expect(page.get_by_text("Stopped: nothing is left.")).to_be_visible()


async def test_a_stop_that_is_not_at_its_end_is_told_as_what_it_is(
    own: Site, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "stop_all", partial(stop_all, patience=timedelta(seconds=1)))
    await own.house.spoil_by(method="GET", path=HOLDINGS, kind="503-before", count=None)
    page = await opened(own.url)
    await page.get_by_role("button", name="Stop all").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Type stop all to confirm").fill("stop all")
    await dialog.get_by_role("button", name="Stop everything").click()

    await expect(dialog.get_by_role("heading", name="Halted; closing goes on")).to_be_visible()
    await expect(dialog.get_by_label("What is left")).to_contain_text("main")
    await expect(dialog.get_by_role("button", name="Stop everything")).to_have_count(0)
    await expect(dialog.get_by_role("alert")).to_have_count(0)
    async with own.house.runtime.open_work() as work:
        assert (await work.accounts.get("main")).status is AccountStatus.HALTED


PAGES = (
    *("", "positions", "market", "decisions", "performance", "edge", "costs", "alerts", "audit", "accounts"),
    *("activity", "activity/fills", "activity/diary", "activity/models", "activity/logs", "discrepancies"),
)
OUTSIDE = """() => [...document.querySelectorAll('main *, header *')].filter((each) => {
    const box = each.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !each.closest('.table-box, .chart, .ears, .fold');
}).map((each) => each.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("name", PAGES)
async def test_no_page_is_wider_than_a_phone(busy: Site, opened: Open, watch: Watch, name: str) -> None:
    watch.expected = ("404",)
    page = await opened(f"{busy.url}/#/{name}", viewport={"width": 390, "height": 844}, has_touch=True)
    await expect(page.get_by_role("main").locator("h1")).to_be_visible()
    await expect(page.locator(".loading")).to_have_count(0)

    assert await page.evaluate(OUTSIDE) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [1280, 1360])
async def test_no_cell_of_the_strip_is_cut_off(busy: Site, opened: Open, width: int) -> None:
    page = await opened(busy.url, viewport={"width": width, "height": 900})
    await expect(vital(page, "Requests")).to_contain_text("used")

    outside = await page.evaluate(
        """() => {
            const box = document.querySelector('.vitals-box').getBoundingClientRect();
            return [...document.querySelectorAll('.vital')].filter((each) => {
                const [value, cell] = [each.querySelector('dd'), each.getBoundingClientRect()];
                return cell.right > box.right + 1 || value.scrollWidth > value.clientWidth + 1;
            }).map((each) => each.innerText);
        }"""
    )

    assert outside == []


async def test_totals_that_hold_estimates_say_so(busy: Site, opened: Open) -> None:
    page = await opened(f"{busy.url}/#/costs")
    together = page.locator("section.card", has=page.get_by_role("heading", name="All together"))

    for name in ("Models", "In all"):
        value = together.locator(".fact", has=page.locator("dt", has_text=re.compile(f"^{name}$"))).locator("dd")
        await expect(value).to_contain_text("about $")
    await expect(together).to_contain_text(re.compile(r"\d+ % of it estimated"))


async def test_what_was_not_decided_shows_as_a_gap(busy: Site, opened: Open) -> None:
    page = await opened(f"{busy.url}/#/decisions")

    await expect(page.locator(".gap")).to_have_count(2)
    await expect(page.locator(".gap").first).to_contain_text("main decided nothing between")
    await expect(page.locator(".gap").first).to_contain_text("3 cycles missed, or no model was asked")
