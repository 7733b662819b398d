"""Requests that no client should send, and that some do."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from emulators.aster import Venue
from tests.emulators.aster.traders import Trader, flat, market_of

TICKER = "/fapi/v3/ticker/price"


def trader(**options: Any) -> Trader:
    return Trader(Venue(market_of(*flat(50_000, 60))), **options)


async def get(path: str) -> httpx.Response:
    return await trader().http.get(path)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=BTCUSDT&unknown=1&another=&=", None),
        ("symbol=BTCUSDT&flag", None),
        ("symbol=BTCUSDT&symbol=BTCUSDT", -1101),
        ("&".join(f"p{each}=1" for each in range(501)), -1101),
        ("symbol=%FF%FE", -1100),
        ("symbol=%00", -1121),
        ("symbol=BTC%2FUSDT", -1121),
        ("symbol=btcusdt", -1121),
        ("symbol=%", -1121),
    ],
)
async def test_a_query_is_read_with_the_exchanges_leniency(query: str, code: int | None) -> None:
    answer = await get(f"{TICKER}?{query}")

    assert answer.json().get("code") == code
    assert answer.status_code == (200 if code is None else 400)
    assert "x-mbx-used-weight-1m" in answer.headers


@pytest.mark.parametrize(
    ("query", "body", "symbol"),
    [
        ("symbol=BTCUSDT", "", True),
        ("", "symbol=BTCUSDT", True),
        ("symbol=BTCUSDT", "symbol=NOPE", True),
        ("", "", False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_parameters_are_found_wherever_they_stand_and_the_query_wins(
    method: str, query: str, body: str, symbol: bool
) -> None:
    one = trader()
    name = {"GET": "openOrders", "POST": "leverage", "DELETE": "allOpenOrders"}[method]
    business = "&leverage=3" if method == "POST" else ""
    signer = f"nonce={one.nonce()}&signer={one.wallet.address}{business}"
    message = "&".join(part for part in (query, signer, body) if part)
    sent = "&".join(part for part in (query, signer) if part)

    answer = await one.http.request(
        method, f"/fapi/v3/{name}?{sent}&signature={one.wallet.signature(message)}", content=body
    )

    refused = {"GET": None, "POST": -1102, "DELETE": -1102}[method]
    given = answer.json().get("code") if isinstance(answer.json(), dict) else None
    if symbol:
        assert given not in {-1121, -1022}
    else:
        assert given == refused


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""]
)
async def test_the_content_type_of_a_form_does_not_matter(content_type: str) -> None:
    one = trader()
    signed = one.wallet.signed({"symbol": "BTCUSDT", "leverage": 3}, one.nonce())

    answer = await one.http.post("/fapi/v3/leverage", content=signed, headers={"content-type": content_type})

    assert answer.status_code == 200


async def test_json_where_a_form_is_wanted_says_nothing() -> None:
    answer = await trader().http.post("/fapi/v3/order", json={"symbol": "BTCUSDT", "signature": "00"})

    assert (answer.status_code, answer.json()["code"]) == (400, -1102)


async def test_bodies_and_queries_are_bounded() -> None:
    one = trader()

    body = await one.http.post("/fapi/v3/order", content=b"a=" + b"x" * 1_000_000)
    query = await one.http.get(f"{TICKER}?a={'x' * 16_000}")
    large = await one.http.post("/fapi/v3/order", content=b"a=" + b"x" * 900_000)

    assert [body.status_code, query.status_code, large.status_code] == [413, 414, 400]
    assert "413 " in body.text


async def test_a_body_that_has_no_end_is_not_read_to_its_end() -> None:
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b"x" * 100_000

    answer = await trader().http.post("/fapi/v3/order", content=chunks())

    assert answer.status_code == 413
    assert sent < 20


async def test_head_is_get_without_content_and_options_tells_the_methods() -> None:
    one = trader()

    head = await one.http.head(f"{TICKER}?symbol=BTCUSDT")
    options = await one.http.options("/fapi/v3/order")
    nowhere = await one.http.options("/fapi/v3/nothing")

    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 10
    assert options.status_code == 204
    assert {"OPTIONS", "GET", "POST", "DELETE"} <= set(options.headers["allow"].split(", "))
    assert nowhere.status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/fapi/v3/nothing"), ("GET", "/fapi/v9/time"), ("POST", "/fapi/v3/time"), ("PATCH", "/x")],
)
async def test_what_is_not_served_is_404_and_weighs_one(method: str, path: str) -> None:
    answer = await trader().http.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (404, -1020)
    assert answer.headers["x-mbx-used-weight-1m"] == "1"


async def test_a_delete_may_carry_a_form() -> None:
    one = trader()
    order = await one.order("BUY", "LIMIT", quantity="0.01", price="49000", timeInForce="GTC")
    signed = one.wallet.signed({"symbol": "BTCUSDT", "orderId": order["orderId"]}, one.nonce())

    answer = await one.http.request("DELETE", "/fapi/v3/order", content=signed)

    assert answer.json()["status"] == "CANCELED"


async def test_a_parameter_sent_twice_is_refused_before_anything_happens() -> None:
    one = trader()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "nonce": one.nonce(), "signer": one.wallet.address}
    message = urlencode(order) + "&quantity=0.01&quantity=1"

    answer = await one.http.post("/fapi/v3/order", content=f"{message}&signature={one.wallet.signature(message)}")

    assert answer.json()["code"] == -1101
    assert await one.get("allOrders", symbol="BTCUSDT") == []


async def test_a_word_that_is_none_of_the_possible_ones_is_refused_by_name() -> None:
    answer = await trader().ask("POST", "/fapi/v3/marginType", symbol="BTCUSDT", marginType="BOTH")

    assert answer.json()["code"] == -1102
    assert "marginType" in answer.json()["msg"]


async def test_there_is_no_spot_market_but_its_door_answers() -> None:
    answer = await get("/api/v3/exchangeInfo")

    assert answer.status_code == 200
    assert (answer.json()["symbols"], answer.json()["assets"]) == ([], [])
