"""Faults on demand: each kind, and when it strikes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from emulators.aster import Venue
from emulators.aster.doors.faults import KINDS
from tests.emulators.aster.traders import MINUTE, T0, Trader, Wallet, flat, keyed, market_of

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "gk-1"}
LIMIT = {"quantity": "0.01", "price": "49900", "timeInForce": "GTC"}


def trader(**options: Any) -> Trader:
    return Trader(Venue(market_of(*flat(50_000, 60))), **options)


async def fetch(one: Trader, path: str) -> Any:
    return (await one.http.get(path)).json()


async def fault(one: Trader, kind: str, **fields: Any) -> httpx.Response:
    return await one.http.post(
        "/emulator/faults", json={"method": "POST", "path": "/fapi/v3/order", "kind": kind, **fields}
    )


@pytest.mark.parametrize(
    ("kind", "status", "landed"),
    [
        ("503-before", 503, False),
        ("503-after", 503, True),
        ("html-502", 502, False),
        ("html-504-after", 504, True),
        ("html-200", 200, False),
        ("html-200-after", 200, True),
        ("403-before", 403, False),
        ("429-before", 429, False),
        ("429-after", 429, True),
        ("418-before", 418, False),
        ("error:-1007-before", 400, False),
        ("error:-1007-after", 400, True),
        ("error:-1003-before", 429, False),
        ("error:-1006-after", 400, True),
        ("error:-2019-before", 400, False),
        ("delay-ms:1", 200, True),
        ("delay-ms:1-before", 200, True),
        ("empty", 200, True),
        ("truncated", 200, True),
        ("nan", 200, True),
        ("wrong-types", 200, True),
        ("extra", 200, True),
        ("missing:orderId", 200, True),
        ("not-found", 400, False),
    ],
)
async def test_a_fault_strikes_once_and_before_or_after_the_effect(kind: str, status: int, landed: bool) -> None:
    one = trader()
    await fault(one, kind)

    answer = await one.ask("POST", "/fapi/v3/order", **ORDER)
    found = await one.get("order", symbol="BTCUSDT", origClientOrderId="gk-1")
    again = await one.ask("POST", "/fapi/v3/order", **ORDER)

    assert answer.status_code == status
    assert (found.get("status") == "FILLED") == landed
    assert again.status_code == 200


@pytest.mark.parametrize(("kind", "landed"), [("reset-before", False), ("reset-after", True)])
async def test_within_the_process_a_reset_is_a_read_error(kind: str, landed: bool) -> None:
    one = trader()
    await fault(one, kind)

    with pytest.raises(httpx.ReadError):
        await one.ask("POST", "/fapi/v3/order", **ORDER)

    found = await one.get("order", symbol="BTCUSDT", origClientOrderId="gk-1")
    assert (found.get("status") == "FILLED") == landed


async def test_faults_are_counted_listed_and_cleared() -> None:
    one = trader()

    added = await fault(one, "503-before", count=2)
    await one.ask("POST", "/fapi/v3/order", **ORDER)
    listed = await fetch(one, "/emulator/faults")
    cleared = (await one.http.delete("/emulator/faults")).json()

    assert [each["count"] for each in added.json()] == [2]
    assert [(each["kind"], each["method"], each["path"]) for each in listed] == [
        ("503-before", "POST", "/fapi/v3/order")
    ]
    assert [(each["count"], each["struck"]) for each in listed] == [(1, 1)]
    assert cleared == []


@pytest.mark.parametrize(
    "fields",
    [
        *[{"kind": "explode"}, {"kind": "503"}, {"kind": 503}, {"kind": "missing:"}, {"path": None}],
        *[{"count": 0}, {"count": "many"}, {"lasts_ms": 0}, {"lasts_ms": "long"}, {"probability": 1.5}],
        *[{"probability": "high"}, {"seed": "lucky"}, {"ocunt": 3}],
    ],
)
async def test_a_fault_nobody_knows_is_refused(fields: dict[str, Any]) -> None:
    answer = await fault(trader(), **{"kind": "503-after", **fields})

    assert answer.status_code == 400
    assert answer.json()["error"]


async def add(one: Trader, kind: str, **fields: Any) -> None:
    (await one.http.post("/emulator/faults", json={"kind": kind, **fields})).raise_for_status()


async def statuses(one: Trader, times: int, path: str = "/fapi/v3/time") -> list[int]:
    return [(await one.http.get(path)).status_code for _ in range(times)]


async def test_the_kinds_can_be_asked_for() -> None:
    assert await fetch(trader(), "/emulator/faults/kinds") == list(KINDS)


async def test_method_and_path_may_be_wild() -> None:
    one = trader()
    await add(one, "503-before", method="GET", path="/fapi/v?/ticker/*", count=2)

    answers = [await one.http.get(f"/fapi/{name}") for name in ("v1/time", "v1/ticker/price", "v3/ticker/24hr")]

    assert [answer.status_code for answer in answers] == [200, 503, 503]


async def test_dice_with_the_same_seed_strike_the_same_requests() -> None:
    one, other, third = trader(), trader(), trader()
    for each, seed in ((one, 1), (other, 1), (third, 2)):
        await add(each, "503-before", probability=0.5, seed=seed)

    first, second, different = [await statuses(each, 40) for each in (one, other, third)]

    assert first == second != different
    assert 8 < first.count(503) < 32


async def test_a_fault_of_a_probability_may_be_counted() -> None:
    one = trader()
    await add(one, "503-before", probability=0.5, count=3)

    assert (await statuses(one, 40)).count(503) == 3


async def test_a_fault_may_last_for_a_span_of_market_time() -> None:
    one = trader()
    await add(one, "503-before", lasts_ms=10_000)

    during = await statuses(one, 5)
    one.venue.advance(T0 + 9_999)
    at_the_end = await statuses(one, 1)
    one.venue.advance(T0 + 10_000)

    assert (during, at_the_end) == ([503] * 5, [503])
    assert await statuses(one, 1) == [200]
    assert await fetch(one, "/emulator/faults") == []


async def test_an_endless_fault_ends_when_it_is_cleared() -> None:
    one = trader()
    await add(one, "503-before", count=None)

    during = await statuses(one, 5)
    await one.http.delete("/emulator/faults")

    assert (during, await statuses(one, 1)) == ([503] * 5, [200])


async def test_one_request_is_struck_by_the_first_fault_that_waits_for_it() -> None:
    one = trader()
    await add(one, "503-before")
    await add(one, "html-502")

    assert await statuses(one, 3) == [503, 502, 200]


async def test_a_refusal_for_asking_too_much_says_how_long_to_wait() -> None:
    one = trader()
    one.venue.advance(T0 + 30_000)
    for kind in ("429-before", "418-before"):
        await add(one, kind)

    too_many, banned = [await one.http.get("/fapi/v3/time") for _ in range(2)]

    assert (too_many.json()["code"], too_many.headers["retry-after"]) == (-1003, "30")
    assert (banned.json()["code"], banned.headers["retry-after"]) == (-1003, "120")
    assert str(T0 + 30_000 + 2 * MINUTE) in banned.json()["msg"]


async def test_a_stale_read_answers_what_was_answered_then() -> None:
    one = trader()
    before = await one.get("openOrders", symbol="BTCUSDT")
    one.venue.advance(T0 + 1_000)
    await one.order("BUY", "LIMIT", **LIMIT)
    between = await one.get("openOrders", symbol="BTCUSDT")
    one.venue.advance(T0 + 3_000)
    await one.order("BUY", "LIMIT", **LIMIT)
    path = "/fapi/v3/openOrders"

    await add(one, "stale-ms:2500", path=path)
    old = await one.get("openOrders", symbol="BTCUSDT")
    await add(one, "stale-ms:2000", path=path)
    newer = await one.get("openOrders", symbol="BTCUSDT")
    await add(one, "stale-ms:2500", path=path)
    never_asked = await one.get("openOrders")
    now = await one.get("openOrders", symbol="BTCUSDT")

    assert old == before == []
    assert newer == between
    assert len(between) == 1
    assert len(never_asked) == len(now) == 2


async def test_nobody_is_shown_the_stale_orders_of_another() -> None:
    one = trader()
    other = Trader(one.venue, wallet=Wallet("22" * 32))
    other.http = one.http
    await other.get("openOrders")
    await one.order("BUY", "LIMIT", **LIMIT)
    await add(one, "stale-ms:1000", path="/fapi/v3/openOrders")

    assert len(await one.get("openOrders")) == 1


async def test_orders_can_be_hidden_from_those_who_look_for_them() -> None:
    one = trader()
    order = await one.order("BUY", "LIMIT", **LIMIT)
    which = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    await add(one, "not-found", path="/fapi/v3/*rder*", count=4)

    hidden = [await one.get(name, **which) for name in ("order", "openOrder", "openOrders")]
    cancelled = (await one.ask("DELETE", "/fapi/v3/order", **which)).json()
    found = await one.get("order", **which)

    assert [answer["code"] for answer in hidden[:2]] == [-2013, -2013]
    assert hidden[2] == []
    assert cancelled["code"] == -2011
    assert found["status"] == "NEW"


async def spoiled(kind: str, path: str = "/fapi/v3/ticker/price?symbol=BTCUSDT") -> str:
    one = trader()
    await add(one, kind)
    return (await one.http.get(path)).text


async def test_answers_can_be_cut_emptied_or_filled_with_nonsense() -> None:
    whole = {"symbol": "BTCUSDT", "price": "50000.0", "time": T0}
    text = json.dumps(whole, separators=(",", ":"))

    assert await spoiled("empty") == ""
    assert await spoiled("truncated") == text[: len(text) // 2]
    assert await spoiled("nan") == '{"symbol":"BTCUSDT","price":"NaN","time":NaN}'
    assert json.loads(await spoiled("wrong-types")) == {"symbol": "BTCUSDT", "price": ["50000.0"], "time": [T0]}
    assert json.loads(await spoiled("missing:price")) == {"symbol": "BTCUSDT", "time": T0}
    more = json.loads(await spoiled("extra"))
    assert more.keys() > whole.keys()
    assert {name: more[name] for name in whole} == whole


async def test_fields_go_missing_at_every_depth() -> None:
    info = json.loads(await spoiled("missing:filterType", "/fapi/v3/exchangeInfo"))

    assert not any("filterType" in each for each in info["symbols"][0]["filters"])
    assert info["symbols"][0]["filters"]


@pytest.mark.parametrize("skew", [-61_000, -30_000, 30_000, 61_000])
async def test_a_clock_may_be_wrong_and_judges_nonces_by_itself(skew: int) -> None:
    one = trader()
    await add(one, f"clock-skew-ms:{skew}", lasts_ms=MINUTE)

    told = (await fetch(one, "/fapi/v3/time"))["serverTime"]
    info = (await fetch(one, "/fapi/v3/exchangeInfo"))["serverTime"]
    by_the_right_clock = await one.get("balance")
    by_its_clock = await one.http.get(f"/fapi/v3/balance?{one.wallet.signed({}, told * 1000)}")
    one.venue.advance(T0 + MINUTE)

    assert told == info == T0 + skew
    assert isinstance(by_the_right_clock, dict) == (abs(skew) > MINUTE)
    assert by_its_clock.status_code == 200
    assert (await fetch(one, "/fapi/v3/time"))["serverTime"] == T0 + MINUTE


async def test_a_wrong_clock_judges_timestamps_too() -> None:
    one = trader()
    await one.http.post("/emulator/accounts", json={"apiKey": "key-1", "secret": "shh"})
    await add(one, "clock-skew-ms:5000")
    headers = {"X-MBX-APIKEY": "key-1"}

    answers = []
    for timestamp in (T0 - 1, T0 + 5_999, T0 + 6_000):
        message = f"timestamp={timestamp}"
        signature = keyed("shh", message)
        answers.append(
            (await one.http.get(f"/fapi/v2/balance?{message}&signature={signature}", headers=headers)).status_code
        )

    assert answers == [400, 200, 400]


# Filters that change


async def change(one: Trader, **fields: Any) -> httpx.Response:
    return await one.http.post("/emulator/symbols", json={"symbol": "BTCUSDT", **fields})


async def test_filters_change_while_the_market_is_open() -> None:
    one = trader()
    order = {"quantity": "0.001", "price": "49900.1", "timeInForce": "GTC"}
    before = await one.order("BUY", "LIMIT", **order)

    changed = await change(one, tickSize="1", stepSize="0.01", minQty="0.01", notional="100")
    info = (await fetch(one, "/fapi/v3/exchangeInfo"))["symbols"][0]

    assert before["status"] == "NEW"
    filters = {each["filterType"]: each for each in info["filters"]}
    assert (filters["PRICE_FILTER"]["tickSize"], filters["MIN_NOTIONAL"]["notional"]) == ("1", "100")
    assert (filters["LOT_SIZE"]["stepSize"], filters["MARKET_LOT_SIZE"]["stepSize"]) == ("0.01", "0.01")
    assert changed.json()["filters"] == info["filters"]
    assert (await one.order("BUY", "LIMIT", **order))["code"] == -4014
    order["price"] = "49900"
    assert (await one.order("BUY", "LIMIT", **order))["code"] == -4004
    order["quantity"] = "0.015"
    assert (await one.order("BUY", "LIMIT", **order))["code"] == -4023
    order["quantity"] = "0.01"
    placed = await one.order("BUY", "LIMIT", **order)
    assert (placed["status"], Decimal(placed["price"])) == ("NEW", Decimal(49900))


async def test_a_symbol_that_is_halted_takes_no_new_positions_but_lets_them_go() -> None:
    one = trader()
    await one.order("BUY", quantity="0.01")

    await change(one, status="BREAK")
    opened = await one.order("BUY", quantity="0.01")
    closed = await one.order("SELL", quantity="0.01", reduceOnly="true")
    info = (await fetch(one, "/fapi/v3/exchangeInfo"))["symbols"][0]["status"]
    await change(one, status="TRADING")

    assert (info, opened["code"], closed["status"]) == ("BREAK", -4140, "FILLED")
    assert (await one.order("BUY", quantity="0.01"))["status"] == "FILLED"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"symbol": "NOPE"}, 404),
        ({"tickSize": "much"}, 400),
        ({"tickSize": -1}, 400),
        ({"status": "SLEEPING"}, 400),
        ({"tick": "1"}, 400),
        ({}, 200),
    ],
)
async def test_filters_are_changed_with_sense(fields: dict[str, Any], status: int) -> None:
    one = trader()

    assert (await change(one, **fields)).status_code == status
    assert [row["symbol"] for row in await fetch(one, "/emulator/symbols")] == ["BTCUSDT"]
