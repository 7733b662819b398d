"""Request weight, order counts, bans and the firewall."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from emulators.aster import Settings, Venue
from emulators.aster.app import ENDPOINTS
from emulators.aster.doors.calls import Endpoint
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of

DAY = 24 * 60 * MINUTE
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


def trader(**options: Any) -> Trader:
    return Trader(Venue(market_of(*flat(50_000, 60))), **options)


# The exchange's own table: what a request weighs, by method, path and parameters.
ONE = {"symbol": "BTCUSDT"}
WEIGHTS: dict[str, list[tuple[dict[str, str], int]]] = {
    **{
        f"GET {name}": [(ONE, 1)]
        for name in (
            *("ping", "time", "exchangeInfo", "trades", "premiumIndex", "fundingRate", "fundingInfo"),
            *("indexreferences", "openInterest", "order", "openOrder", "leverageBracket", "positionMargin/history"),
            *("mmp", "agent", "builder"),
        )
    },
    **{f"{method} order": [(ONE, 1)] for method in ("POST", "PUT", "DELETE")},
    **{
        f"POST {name}": [(ONE, 1)]
        for name in (
            *("noop", "leverage", "marginType", "positionMargin", "positionSide/dual", "multiAssetsMargin", "stpMode"),
            *("chase", "mmp", "mmpReset", "approveAgent", "updateAgent", "approveBuilder", "updateBuilder"),
        )
    },
    **{
        f"DELETE {name}": [(ONE, 1)]
        for name in (
            *("allOpenOrders", "batchOrders", "guardedCancelOrder", "guardedBatchOrders", "mmp", "agent", "builder"),
        )
    },
    **{f"{method} listenKey": [({}, 1)] for method in ("POST", "PUT", "DELETE")},
    "GET depth": [
        *(({**ONE, "limit": each}, 2) for each in ("5", "10", "20", "50")),
        *[({**ONE, "limit": "100"}, 5), ({**ONE, "limit": "500"}, 10), (ONE, 10), ({**ONE, "limit": "1000"}, 20)],
    ],
    **{
        f"GET {name}": [
            *[({"limit": "1"}, 1), ({"limit": "99"}, 1), ({"limit": "100"}, 2), ({"limit": "499"}, 2)],
            *[({}, 5), ({"limit": "500"}, 5), ({"limit": "1000"}, 5), ({"limit": "1001"}, 10), ({"limit": "1500"}, 10)],
        ]
        for name in ("klines", "indexPriceKlines", "markPriceKlines")
    },
    **{f"GET {name}": [(ONE, 20)] for name in ("historicalTrades", "aggTrades", "commissionRate")},
    "GET remainingOpenableNotionalValue": [(ONE, 20)],
    "GET ticker/24hr": [(ONE, 1), ({}, 40)],
    "GET openOrders": [(ONE, 1), ({}, 40)],
    "GET ticker/price": [(ONE, 1), ({}, 2)],
    "GET ticker/bookTicker": [(ONE, 1), ({}, 2)],
    **{f"GET {name}": [({}, 30)] for name in ("positionSide/dual", "multiAssetsMargin", "stpMode", "income")},
    **{f"{method} batchOrders": [({}, 5)] for method in ("POST", "PUT")},
    **{
        f"GET {name}": [(ONE, 5)]
        for name in (
            *("allOrders", "balance", "account", "accountWithJoinMargin", "positionRisk", "userTrades", "adlQuantile"),
            *("strategyOpenOrder", "strategyHistoryOrder"),
        )
    },
    "POST asset/wallet/transfer": [({}, 5)],
    "POST countdownCancelAll": [(ONE, 10)],
    "GET forceOrders": [(ONE, 20), ({}, 50)],
    **{
        f"POST {name}": [({}, 50)]
        for name in ("placeStrategyOrder", "updateStrategyOrder", "registerAndApproveAgent", "asset/migrateUser")
    },
}


@pytest.mark.parametrize(
    "endpoint", dict.fromkeys(each for _, each in ENDPOINTS.values()), ids=lambda each: f"{each.method} {each.name}"
)
def test_every_request_weighs_what_the_exchanges_table_says(endpoint: Endpoint) -> None:
    for parameters, weight in WEIGHTS[f"{endpoint.method} {endpoint.name}"]:
        assert endpoint.weigh(parameters) == weight, parameters


async def test_every_answer_tells_the_weight_used() -> None:
    one = trader()

    used = []
    for path in (
        "time",
        "klines?symbol=BTCUSDT&interval=1m&limit=300",
        "ticker/24hr",
        "depth?symbol=BTCUSDT",
        "nothing",
    ):
        used.append(int((await one.http.get(f"/fapi/v3/{path}")).headers["x-mbx-used-weight-1m"]))
    one.venue.advance(T0 + MINUTE)
    used.append(int((await one.http.get("/fapi/v3/time")).headers["x-mbx-used-weight-1m"]))

    assert used == [1, 3, 43, 53, 54, 1]


async def test_too_much_weight_is_refused_until_the_minute_is_over() -> None:
    one = trader(weight_limit=50)
    one.venue.advance(T0 + 45_500)

    answers = [await one.http.get("/fapi/v3/ticker/24hr") for _ in range(2)]
    one.venue.advance(T0 + MINUTE)
    later = await one.http.get("/fapi/v3/ticker/24hr")

    assert [answer.status_code for answer in answers] == [200, 429]
    assert (answers[1].json()["code"], answers[1].headers["retry-after"]) == (-1003, "15")
    assert later.status_code == 200


async def test_how_long_to_wait_is_told_in_seconds_of_the_market_at_any_speed() -> None:
    one = trader(weight_limit=50, speed=10)

    answers = [await one.http.get("/fapi/v3/ticker/24hr") for _ in range(2)]

    assert int(answers[1].headers["retry-after"]) > 6


async def test_orders_are_counted_by_account() -> None:
    one = trader(weight_limit=10_000)

    first = await one.ask("POST", "/fapi/v3/order", **ORDER)
    second = await one.ask("POST", "/fapi/v3/order", **ORDER, price="nonsense")
    question = await one.ask("GET", "/fapi/v3/openOrders", symbol="BTCUSDT")

    counts = [each.headers.get("x-mbx-order-count-1m") for each in (first, second, question)]
    assert counts == ["1", "2", None]


async def test_too_many_orders_a_minute_are_refused() -> None:
    one = trader(order_limit=3)
    answers = [await one.ask("POST", "/fapi/v3/order", **ORDER) for _ in range(4)]
    one.venue.advance(T0 + MINUTE)
    later = await one.ask("POST", "/fapi/v3/order", **ORDER)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["code"] == -1015
    assert later.status_code == 200


async def test_the_exchange_tells_the_limits_it_holds_to() -> None:
    one = trader(weight_limit=100, order_limit=7)

    rates = (await one.http.get("/fapi/v3/exchangeInfo")).json()["rateLimits"]

    assert [(rate["rateLimitType"], rate["interval"], rate["intervalNum"], rate["limit"]) for rate in rates] == [
        ("REQUEST_WEIGHT", "MINUTE", 1, 100),
        ("ORDERS", "MINUTE", 1, 7),
    ]


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        ('[{"symbol":"BTCUSDT"},{}]', 2),
        ("[{'symbol':'BTCUSDT'},{},{}]", 3),
        ("nonsense", 1),
        ("[]", 1),
        ("", 1),
        ("5", 1),
    ],
)
def test_a_batch_counts_each_of_its_orders(batch: str, count: int) -> None:
    async def nothing(call: Any) -> Any:
        return call

    assert Endpoint("POST", "batchOrders", nothing, is_order=True).orders_in({"batchOrders": batch}) == count


async def test_who_goes_on_after_429_is_banned_and_told_until_when() -> None:
    one = trader(weight_limit=50, ban_after=2)

    async def ask() -> tuple[int, str | None, str]:
        answer = await one.http.get("/fapi/v3/ticker/24hr")
        return answer.status_code, answer.headers.get("retry-after"), answer.json()["msg"] if answer.is_error else ""

    answers = [await ask() for _ in range(5)]
    end = T0 + 2 * MINUTE
    one.venue.advance(end - 1)
    before = await ask()
    one.venue.advance(end)

    assert [status for status, _, _ in answers] == [200, 429, 429, 418, 418]
    assert answers[3][1:] == ("120", f"Way too many requests; IP banned until {end}.")
    assert before[0] == 418
    assert (await ask())[0] == 200


async def test_each_ban_is_twice_as_long_as_the_one_before_up_to_three_days() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 24 * 20), base="1h")), weight_limit=1, ban_after=0)
    spans = []
    for _ in range(14):
        await one.http.get("/fapi/v3/time")
        await one.http.get("/fapi/v3/time")
        [until] = (await one.http.get("/emulator/bans")).json().values()
        spans.append(until - one.venue.now)
        one.venue.advance(until)

    one.venue.advance(one.venue.now + 3 * DAY)
    await one.http.get("/fapi/v3/time")
    await one.http.get("/fapi/v3/time")
    [until] = (await one.http.get("/emulator/bans")).json().values()

    assert spans == [*(2 * MINUTE * 2**each for each in range(12)), 3 * DAY, 3 * DAY]
    assert until - one.venue.now == 2 * MINUTE  # three quiet days are enough


async def test_bans_survive_a_restart_and_can_be_pardoned(tmp_path: Path) -> None:
    market = market_of(*flat(50_000, 60))
    one = Trader(Venue(market, state=tmp_path), weight_limit=1, ban_after=0)
    for _ in range(2):
        await one.http.get("/fapi/v3/time")
    one.venue.close()

    two = Trader(Venue(market, state=tmp_path))
    still = await two.http.get("/fapi/v3/time")
    pardoned = await two.http.delete("/emulator/bans")
    free = await two.http.get("/fapi/v3/time")
    two.venue.close()

    assert (still.status_code, still.json()["code"]) == (418, -1003)
    assert (pardoned.json(), free.status_code) == ({}, 200)


async def test_bans_retry_headers_and_the_way_an_end_is_written_can_be_chosen() -> None:
    lenient = trader(weight_limit=1, ban_after=None, retry_after=False)
    dated = trader(weight_limit=1, ban_after=0, ban_end_as_date=True)

    refused = [await lenient.http.get("/fapi/v3/time") for _ in range(30)][-1]
    banned = [await dated.http.get("/fapi/v3/time") for _ in range(2)][-1]

    assert (refused.status_code, refused.headers.get("retry-after")) == (429, None)
    until = datetime.fromtimestamp((T0 + 2 * MINUTE) / 1000, UTC).isoformat(timespec="seconds")
    assert banned.json()["msg"] == f"Way too many requests; IP banned until {until}."


async def test_a_firewall_answers_with_a_page_and_403() -> None:
    one = trader(firewall_limit=2)

    answers = [await one.http.get("/fapi/v3/time") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert answers[2].headers["content-type"] == "text/html"
    assert "403 Forbidden" in answers[2].text


def test_the_limits_are_those_of_the_exchange() -> None:
    assert (Settings().weight_limit, Settings().order_limit) == (2400, 1200)


async def test_an_answer_that_took_its_time_does_not_undo_what_was_counted_meanwhile() -> None:
    """As when a live market has to ask another venue first."""
    one = trader()
    asked, answered = asyncio.Event(), asyncio.Event()
    klines = one.venue.market.klines

    async def slow(*arguments: Any, **named: Any) -> bytes:
        asked.set()
        await answered.wait()
        return await klines(*arguments, **named)

    one.venue.market.klines = slow  # type: ignore[method-assign]
    waiting = asyncio.create_task(one.http.get("/fapi/v3/klines?symbol=BTCUSDT&interval=1m&limit=1"))
    await asked.wait()
    one.venue.advance(T0 + MINUTE)
    used = [(await one.http.get("/fapi/v3/time")).headers["x-mbx-used-weight-1m"] for _ in range(2)]
    answered.set()
    late = (await waiting).headers["x-mbx-used-weight-1m"]

    assert (used, late) == (["1", "2"], "2")
    assert (await one.http.get("/fapi/v3/time")).headers["x-mbx-used-weight-1m"] == "3"
