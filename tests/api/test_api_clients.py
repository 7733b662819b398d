"""Programs that others make from the document work: a client in Python, and Swagger UI in a browser."""

import importlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from scripts.browser import ARGUMENTS, MISSING, find_browser
from shared.db.unit_of_work import Database
from tests.api.conftest import Serve
from tests.db.samples import TICK, a_fill

TOKEN = "a-token-nobody-guesses"


@pytest.fixture
def url(serve: Serve) -> str:
    return serve(api_token=TOKEN)


@pytest.fixture
def generated(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a module of the client that a generator has made of the served document."""
    (tmp_path / "document.json").write_text(httpx.get(f"{url}/openapi.json").text)
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    generator = Path(sys.executable).with_name("openapi-python-client")
    paths = ("--path", "document.json", "--config", "config.yaml", "--output-path", "generated_client")
    made = subprocess.run(
        [generator, "generate", *paths, "--meta", "none", "--fail-on-warning"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name: importlib.import_module(f"generated_client.{name}")


async def test_a_client_made_from_the_document_reads_steers_and_is_told_what_is_wrong(
    url: str, generated: Callable[[str], Any], database: Database
) -> None:
    kind = generated("client").AuthenticatedClient
    client, stranger = (kind(base_url=url, token=token, timeout=httpx.Timeout(60)) for token in (TOKEN, "no"))

    def ask(operation: str, *given: Any, **more: Any) -> Any:
        return generated(f"api.{operation}").sync(*given, client=client, **more)

    ran = ask("functions.post_functions_stage_invocations", "fetch", body=event(generated, account="main"))
    async with database.open_work() as work:
        await work.fills.save("main", [a_fill(number) for number in range(5)])
    pages = [ask("trades.get_trades", account="main", limit=2)]
    while pages[-1].next_ is not None:
        pages.append(ask("trades.get_trades", account="main", limit=2, before=pages[-1].next_))
    recent = ask("trades.get_trades", since=TICK + timedelta(seconds=3))
    paused = ask("accounts.post_accounts_account_pause", "main")
    missing = ask("orders.get_orders_order", 999)
    refused = generated("api.status.get_status").sync(client=stranger)
    for each in (client, stranger):
        each.get_httpx_client().close()

    assert ran["stage"] == "fetch"
    assert [[fill.trade_id for fill in page.items] for page in pages] == [["4", "3"], ["2", "1"], ["0"]]
    assert [fill.trade_id for fill in recent.items] == ["4", "3"]
    assert paused.status == "paused"
    assert (missing.code, missing.status) == ("unknown_order", 404)
    assert refused.code == "token_wrong"
    assert generated("models.order_list").OrderList.from_dict({"items": [], "next": None}).items == []


def event(generated: Callable[[str], Any], **fields: Any) -> Any:
    kind = generated("models.post_functions_stage_invocations_stage_event").PostFunctionsStageInvocationsStageEvent
    return kind.from_dict(fields)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = find_browser()
    if path is None:
        pytest.skip(MISSING)
    async with async_playwright() as play:
        launched = await play.chromium.launch(executable_path=path, args=[*ARGUMENTS])
        yield launched
        await launched.close()


async def watched(browser: Browser, url: str) -> tuple[Page, list[str]]:
    """Return a page, and what goes wrong on it: errors, and whatever is asked of any other place."""
    page, wrong = await browser.new_page(), list[str]()
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((url, "data:")) else wrong.append(request.url))
    return page, wrong


async def test_swagger_ui_tries_an_operation_out_with_a_token_and_asks_nobody_else(browser: Browser, url: str) -> None:
    page, wrong = await watched(browser, url)
    await page.goto(f"{url}/docs")
    await page.get_by_role("button", name="Authorize", exact=True).click()
    await page.locator(".auth-container input").fill(TOKEN)
    await page.locator(".auth-btn-wrapper .authorize").click()
    await page.locator(".auth-btn-wrapper .btn-done").click()

    block = page.locator("#operations-status-get_status")
    await block.locator(".opblock-summary-control").click()
    await block.get_by_role("button", name="Try it out").click()
    await block.get_by_role("button", name="Execute").click()

    answer = block.locator(".live-responses-table .response-col_description code").first
    await expect(answer).to_contain_text('"mode"', timeout=20_000)
    assert '"account": "main"' in await answer.inner_text()
    assert wrong == []


async def test_the_type_of_a_problem_leads_to_what_to_do_about_it(browser: Browser, url: str) -> None:
    page, wrong = await watched(browser, url)
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        problem = (await client.get("/orders/1")).json()

    await page.goto(url + problem["type"])

    await expect(page.locator(f"#{problem['code']}")).to_be_in_viewport()
    assert wrong == []
