"""Around the chat: the door, the lists, and the record of requests."""

from decimal import Decimal

import pytest

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
