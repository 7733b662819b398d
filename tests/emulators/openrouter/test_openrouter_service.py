"""Around the chat: the door, the lists, and the record of requests."""

import time
from decimal import Decimal

import httpx
import pytest

from emulators.openrouter import create_app

ROUTES = ["models", "models/emulated/coward/endpoints", "key", "credits", "generation"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic abc"])
async def test_nobody_gets_in_without_a_key(client, route, authorization) -> None:
    reply = await client.get(f"/{route}", headers={"Authorization": authorization})

    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == 401


async def test_a_chat_without_a_key_is_refused_before_it_is_read(client) -> None:
    reply = await client.post("/chat/completions", content=b"not json", headers={"Authorization": ""})

    assert reply.status_code == 401


@pytest.mark.parametrize("path", ["/nothing", "/chat", "http://emulator/", "/models/acme/m1/endpoints"])
async def test_elsewhere_is_a_404_in_json(client, path) -> None:
    reply = await client.get(path)

    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"]["code"] == 404


async def test_models_are_listed_with_prices_as_decimal_strings_per_token(client) -> None:
    listing = (await client.get("/models", params={"offset": 0, "limit": 500})).json()
    models = {model["id"]: model for model in listing["data"]}

    assert listing["total_count"] == len(models) > 150
    assert listing["links"] == {"next": None}
    assert models["emulated/rule-follower"]["pricing"] == {
        "prompt": "0.0000003",
        "completion": "0.0000012",
        "input_cache_read": "0.00000003",
        "request": "0",
    }
    assert all(Decimal(model["pricing"]["completion"]) > 0 for model in models.values())


@pytest.mark.parametrize("path", ["emulated/coward", "emulated%2Fcoward"])
async def test_the_endpoints_of_a_model_are_found_with_and_without_an_escaped_slash(client, path) -> None:
    data = (await client.get(f"/models/{path}/endpoints")).json()["data"]

    assert data["id"] == "emulated/coward"
    assert data["endpoints"][0]["status"] == 0
    assert "structured_outputs" in data["endpoints"][0]["supported_parameters"]


async def test_every_request_is_on_record_as_sent_but_for_the_key(client) -> None:
    sent = b'{"model": "emulated/coward",  "messages": []}'
    await client.get("/generation", params={"id": "gen-1"})
    await client.post("/chat/completions", content=sent, headers={"HTTP-Referer": "http://desk"})

    reply = await client.get("http://emulator/emulator/requests")

    looked_up, asked = reply.json()["data"]
    assert (looked_up["method"], looked_up["path"]) == ("GET", "/api/v1/generation")
    assert looked_up["query"] == {"id": "gen-1"}
    assert asked["body"] == sent.decode()
    assert asked["headers"]["http-referer"] == "http://desk"
    assert "secret" not in reply.text


async def test_the_list_of_models_comes_in_pages_when_asked_so(client) -> None:
    everything = (await client.get("/models")).json()
    pages, path = [], "/models?offset=0&limit=60"
    while path:
        page = (await client.get(path)).json()
        pages.append(page["data"])
        path = (page["links"]["next"] or "").removeprefix("/api/v1")

    assert [len(page) for page in pages[:-1]] == [60] * (len(pages) - 1)
    assert [model for page in pages for model in page] == everything["data"]
    assert (await client.get("/models", params={"limit": "many"})).status_code == 400


async def test_the_list_of_models_can_be_filtered_and_sorted(client) -> None:
    able = (await client.get("/models", params={"supported_parameters": "structured_outputs,tools"})).json()["data"]
    cheap = (await client.get("/models", params={"sort": "pricing-low-to-high"})).json()["data"]
    dear = (await client.get("/models", params={"sort": "pricing-high-to-low"})).json()["data"]

    slugs = {model["id"] for model in able}
    assert "emulated/rule-follower" in slugs
    assert not {"emulated/sloppy", "emulated/bare"} & slugs
    assert cheap[0]["id"] == "emulated/hallucinator"
    assert dear[0]["id"] == "emulated/over-trader"


@pytest.mark.parametrize("slug", ["emulated/coward", "emulated%2Fcoward", "emulated/coward:free", "malformed/20b"])
async def test_one_model_can_be_looked_up(client, slug) -> None:
    found = (await client.get(f"/model/{slug}")).json()["data"]

    assert found["id"] == slug.replace("%2F", "/")
    assert (await client.get("/model/acme/m1")).status_code == 404


async def test_a_model_says_whether_it_thinks_and_when_it_ends(client) -> None:
    async def listing(name: str) -> dict:
        return (await client.get(f"/model/emulated/{name}")).json()["data"]

    assert (await listing("brooder"))["reasoning"]["mandatory"] is True
    assert "reasoning" not in await listing("coward")
    assert (await listing("coward"))["expiration_date"] is None
    assert (await listing("leaver"))["expiration_date"] == "2025-10-20"


async def test_a_key_is_on_record_nowhere_not_even_where_it_does_not_belong(client) -> None:
    key = "sk-or-v1-secret"
    await client.get("/generation", params={"id": key})
    await client.post("/chat/completions", content=f'{{"user": "{key}"}}', headers={"X-Note": f"mine is {key}"})

    reply = await client.get("http://emulator/emulator/requests")
    looked_up, asked = reply.json()["data"]

    assert key not in reply.text
    assert looked_up["query"] == {"id": "[key]"}
    assert (asked["body"], asked["headers"]["x-note"]) == ('{"user": "[key]"}', "mine is [key]")
    assert "authorization" not in asked["headers"]


async def test_the_record_of_requests_can_be_cleared(client) -> None:
    await client.get("/key")

    await client.delete("http://emulator/emulator/requests")

    assert (await client.get("http://emulator/emulator/requests")).json() == {"data": []}


async def test_a_body_beyond_measure_is_refused(client) -> None:
    reply = await client.post("/chat/completions", content=b" " * 20_000_001)

    assert reply.status_code == 413


async def test_the_clock_moves_a_second_with_every_answer_and_as_far_as_it_is_told(client) -> None:
    async def now() -> int:
        return (await client.get("http://emulator/emulator/clock")).json()["now"]

    start = await now()
    body = {"model": "emulated/coward", "messages": [{"role": "user", "content": "{}"}]}
    reply = (await client.post("/chat/completions", json=body)).json()
    moved = await now()
    await client.post("http://emulator/emulator/clock", json={"advance": 3600})

    assert (reply["created"], moved, await now()) == (start + 1, start + 1, start + 3601)


async def test_the_clock_may_follow_the_real_time() -> None:
    transport = httpx.ASGITransport(create_app(real_time=True))
    async with httpx.AsyncClient(transport=transport) as client:
        told = (await client.get("http://emulator/emulator/clock")).json()["now"]

    assert abs(told - time.time()) < 60
