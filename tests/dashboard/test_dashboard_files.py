"""The dashboard's files as a browser is given them."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from api.dashboard.files import CHART_LIBRARY, STATIC, chart_library
from tests.dashboard.conftest import Site, of_test

LIBRARY = f"/vendor/{CHART_LIBRARY}"


@of_test
async def client(trading: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=trading.url) as client:
        yield client


def test_the_chart_library_is_the_one_that_the_lock_names() -> None:
    banner = (chart_library() / CHART_LIBRARY).read_text(encoding="utf-8")[:300]

    assert "TradingView Lightweight Charts™ v5.2.0" in banner
    assert "Apache License 2.0" in banner


async def test_every_file_is_served_small_kept_and_asked_for_again_only_when_it_changed(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/", "/assets/app.js", "/assets/look.css", LIBRARY):
        first = await client.get(path)

        assert first.status_code == 200, path
        assert first.headers["content-encoding"] == "gzip"
        assert first.headers["cache-control"] == "no-cache"
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_no_script_and_no_style_but_its_own_files_is_let_run(client: httpx.AsyncClient) -> None:
    for path in ("/", "/assets/app.js", LIBRARY):
        headers = (await client.get(path)).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))

        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"


async def test_nothing_outside_the_folders_is_served(client: httpx.AsyncClient) -> None:
    for path in ("/assets/../files.py", "/assets/%2e%2e/files.py", "/vendor/../__init__.py", "/assets/nothing.js"):
        assert (await client.get(path)).status_code == 404, path


MARKUP = ("innerHTML", "outerHTML", "insertAdjacent", "eval(", "document.write")


def test_no_file_sets_markup_from_data_or_carries_a_script_or_a_style_of_its_own() -> None:
    for file in STATIC.rglob("*.js"):
        text = file.read_text(encoding="utf-8")
        assert not [
            word for word in ("innerHTML", "outerHTML", "insertAdjacent", "eval(", "document.write") if word in text
        ]
    page = Path(STATIC, "index.html").read_text(encoding="utf-8")
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count('<script type="module" src=')
