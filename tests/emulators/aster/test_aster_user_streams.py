"""A user's stream: its key, and what it tells, checked against the exchange's examples (`pushes.json`)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from emulators.aster import Venue
from tests.emulators.aster.sockets import Listener, Site, serving
from tests.emulators.aster.test_aster_market_streams import PUSHES, shape
from tests.emulators.aster.traders import MINUTE, T0, Wallet, flat, market_of

HOUR = 60 * MINUTE
KEY = {"x-mbx-apikey": "key-of-someone"}
ORDER_LETTERS = set(PUSHES["OrderUpdate"]["o"])


def quiet(*more: tuple[float, float, float, float], minutes: int = 5) -> Venue:
    return Venue(market_of(*flat(50_000, minutes), *more))


async def said(one: Listener) -> list[Any]:
    return [json.loads(text) for text in await one.everything_so_far()]


async def told_about(site: Site, wallet: Wallet, *orders: dict[str, Any], until: int | None = None) -> list[Any]:
    """Return what a user hears who places some orders and then lets time go by."""
    key = await site.listen_key(wallet)
    async with site.listener(f"/ws/{key}") as one:
        for order in orders:
            answer = await site.ask("POST", "order", wallet, symbol="BTCUSDT", **order)
            assert "orderId" in answer, answer
        if until is not None:
            site.venue.advance(until)
        return await said(one)


def steps(events: list[Any]) -> list[str]:
    """Return in a few words each what was told."""
    words = {"ORDER_TRADE_UPDATE": lambda e: f"{e['o']['x']} {e['o']['X']} {e['o']['o']}"}
    words["ACCOUNT_UPDATE"] = lambda e: e["a"]["m"]
    return [words.get(event["e"], lambda e: e["e"])(event) for event in events]


BUY = {"side": "BUY", "type": "MARKET", "quantity": "0.010"}
BID = {"side": "BUY", "type": "LIMIT", "quantity": "0.010", "price": "49000", "timeInForce": "GTC"}


async def test_an_account_has_one_key_which_asking_again_gives_again() -> None:
    async with serving(quiet()) as site:
        mine, other = Wallet(), Wallet("22" * 32)
        key = await site.listen_key(mine)

        assert len(key) == 64
        assert await site.listen_key(mine) == key
        assert await site.listen_key(other) != key


async def test_a_key_is_good_for_an_hour_and_another_each_time_it_is_kept_alive() -> None:
    async with serving(quiet(minutes=300)) as site:
        wallet = Wallet()
        key = await site.listen_key(wallet)
        site.venue.advance(T0 + 59 * MINUTE)
        assert await site.ask("PUT", "listenKey", wallet) == {}
        site.venue.advance(T0 + 118 * MINUTE)
        assert await site.listen_key(wallet) == key
        site.venue.advance(T0 + 178 * MINUTE)

        assert await site.ask("PUT", "listenKey", wallet) == {"code": -1125, "msg": "This listenKey does not exist."}
        assert await site.listen_key(wallet) != key


async def test_a_key_can_be_closed_and_is_then_unknown() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one:
            assert await site.ask("DELETE", "listenKey", wallet) == {}
            assert (await site.ask("PUT", "listenKey", wallet))["code"] == -1125
            assert (await site.ask("DELETE", "listenKey", wallet))["code"] == -1125
            await site.order(wallet, "BUY", quantity="0.010")

            assert await said(one) == []


async def test_in_the_first_generation_the_api_key_alone_opens_the_stream() -> None:
    venue = quiet()
    venue.open_account("key-of-someone", secret="secret")
    async with serving(venue) as site:
        opened = await site.http.post("/fapi/v1/listenKey", headers=KEY)
        assert (await site.http.put("/fapi/v1/listenKey", headers=KEY)).json() == {}
        async with site.listener(f"/ws/{opened.json()['listenKey']}") as one:
            account = venue.ledger.accounts["key-of-someone"]
            venue.place(account, {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"})
            assert (await one.next())["o"]["x"] == "NEW"
        assert (await site.http.delete("/fapi/v1/listenKey", headers=KEY)).json() == {}


@pytest.mark.parametrize(("headers", "status", "code"), [({}, 401, -2014), ({"x-mbx-apikey": "of-nobody"}, 401, -2015)])
async def test_without_a_known_api_key_there_is_no_stream(headers: dict[str, str], status: int, code: int) -> None:
    async with serving(quiet()) as site:
        refused: httpx.Response = await site.http.post("/fapi/v1/listenKey", headers=headers)

        assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_the_second_generation_signs() -> None:
    async with serving(quiet()) as site:
        assert (await site.ask("POST", "listenKey"))["code"] == -1102


async def test_an_order_is_told_step_by_step_in_the_exchange_s_letters() -> None:
    async with serving(quiet()) as site:
        events = await told_about(site, Wallet(), {**BUY, "newClientOrderId": "mine"})

    assert steps(events) == ["NEW NEW MARKET", "ORDER", "TRADE FILLED MARKET"]
    new, money, trade = events
    # AP and cr belong to trailing stops, N and n to what cost something.
    assert set(new["o"]) == ORDER_LETTERS - {"AP", "cr", "N", "n"}
    assert set(trade["o"]) == ORDER_LETTERS - {"AP", "cr"}
    assert shape(trade["o"]) == {
        name: kind for name, kind in shape(PUSHES["OrderUpdate"]["o"]).items() if name in trade["o"]
    }
    assert set(new) == set(PUSHES["OrderUpdate"])
    assert shape(money) == shape(
        PUSHES["AccountUpdate"]
        | {
            "a": {
                "m": "",
                "B": PUSHES["AccountUpdate"]["a"]["B"][:1],
                "P": [PUSHES["AccountUpdate"]["a"]["P"][0] | {"ma": ""}],
            }
        }
    )


async def test_what_a_trade_says() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        _, money, trade = await told_about(site, wallet, {**BUY, "newClientOrderId": "mine"})
        balance = (await site.ask("GET", "balance", wallet))[0]
        (fill,) = await site.ask("GET", "userTrades", wallet, symbol="BTCUSDT")

    order = trade["o"]
    assert (order["c"], order["S"], order["l"], order["z"], order["q"]) == ("mine", "BUY", "0.010", "0.010", "0.010")
    assert (order["t"], order["i"], order["L"], order["n"]) == (
        fill["id"], fill["orderId"], fill["price"], fill["commission"],
    )  # fmt: skip
    assert (Decimal(order["ap"]), order["m"], order["rp"]) == (Decimal("50000.1"), False, "0.00000000")
    (asset,), (position,) = money["a"]["B"], money["a"]["P"]
    assert asset == {"a": "USDT", "wb": balance["balance"], "cw": balance["crossWalletBalance"], "bc": "0"}
    assert position == {
        "s": "BTCUSDT", "pa": "0.010", "ep": "50000.10000000", "cr": "0.00000000", "up": "-0.00100000",
        "mt": "cross", "iw": "0", "ps": "BOTH", "ma": "USDT",
    }  # fmt: skip


async def test_a_closed_position_is_told_once_more_with_what_it_earned() -> None:
    venue = Venue(market_of(*flat(50_000, 1), *flat(51_000, 5)))
    async with serving(venue) as site:
        wallet = Wallet()
        await site.order(wallet, "BUY", quantity="0.010")
        venue.advance(T0 + 2 * MINUTE)
        _, money, trade = await told_about(site, wallet, {**BUY, "side": "SELL"})

    (position,) = money["a"]["P"]
    assert (position["pa"], position["ep"], position["cr"]) == ("0.000", "0.00000000", "9.99900000")
    assert trade["o"]["rp"] == "9.99900000"


async def test_resting_and_cancelling_changes_no_money() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one:
            placed = await site.order(wallet, "BUY", "LIMIT", quantity="0.010", price="49000", timeInForce="GTC")
            await site.ask("DELETE", "order", wallet, symbol="BTCUSDT", orderId=placed["orderId"])
            events = await said(one)

    assert steps(events) == ["NEW NEW LIMIT", "CANCELED CANCELED LIMIT"]
    assert [event["o"]["b"] for event in events] == ["490.0000", "0"]


async def test_a_resting_order_is_told_to_trade_at_the_time_it_did_as_maker() -> None:
    venue = quiet((50_000, 50_000, 48_000, 48_000), *flat(48_000, 5), minutes=1)
    async with serving(venue) as site:
        _, _, trade = await told_about(site, Wallet(), BID, until=T0 + 5 * MINUTE)

    assert (trade["o"]["X"], trade["o"]["m"], trade["o"]["L"]) == ("FILLED", True, "49000.0")
    assert T0 + MINUTE < trade["T"] < T0 + 2 * MINUTE


STOP = {"side": "SELL", "type": "STOP_MARKET", "stopPrice": "49500", "closePosition": "true"}


@pytest.mark.parametrize(
    ("trigger_expires", "told"),
    [
        (False, ["NEW NEW MARKET"]),
        (True, ["EXPIRED EXPIRED STOP_MARKET", "NEW NEW MARKET"]),
    ],
)
async def test_a_trigger_can_be_told_in_either_way(trigger_expires: bool, told: list[str]) -> None:
    venue = quiet((50_000, 50_000, 49_000, 49_000), *flat(49_000, 5), minutes=1)
    async with serving(venue, trigger_expires=trigger_expires) as site:
        events = await told_about(site, Wallet(), BUY, STOP, until=T0 + 5 * MINUTE)

    assert steps(events)[3:] == ["NEW NEW STOP_MARKET", *told, "ORDER", "TRADE FILLED MARKET"]
    assert {event["o"]["ot"] for event in events[3:] if "o" in event} == {"STOP_MARKET"}
    assert events[-1]["o"]["cp"] is True


async def test_funding_changes_the_balance_alone() -> None:
    venue = Venue(market_of(*flat(50_000, 490), funding={T0 + 8 * HOUR: "0.0001"}))
    async with serving(venue) as site:
        wallet = Wallet()
        await site.order(wallet, "BUY", quantity="0.010")
        venue.advance(T0 + 8 * HOUR - MINUTE)
        (paid,) = await told_about(site, wallet, until=T0 + 8 * HOUR)

    assert (paid["e"], paid["E"], paid["a"]["m"], paid["a"]["P"]) == (
        "ACCOUNT_UPDATE",
        T0 + 8 * HOUR,
        "FUNDING_FEE",
        [],
    )
    assert paid["a"]["B"][0]["bc"] == "-0.05000000"


async def test_leverage_and_modes_are_told() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one:
            await site.ask("POST", "leverage", wallet, symbol="BTCUSDT", leverage=25)
            await site.ask("POST", "positionSide/dual", wallet, dualSidePosition="true")
            leverage, mode = await said(one)

    assert shape(leverage) == shape(PUSHES["AccountConfig"])
    assert leverage["ac"] == {"s": "BTCUSDT", "l": 25}
    assert mode["ai"] == {"j": False, "f": False, "d": True}


async def test_a_margin_call_comes_once_before_the_liquidation_does() -> None:
    fall = [(50_000 - 50 * n, 50_000 - 50 * n, 49_950 - 50 * n, 49_950 - 50 * n) for n in range(20)]
    venue = Venue(market_of(*fall), balance=Decimal(600))
    async with serving(venue) as site:
        wallet = Wallet()
        await site.ask("POST", "leverage", wallet, symbol="BTCUSDT", leverage=100)
        await site.order(wallet, "BUY", quantity="1.000")
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one:
            for minute in range(1, 20):
                venue.advance(T0 + minute * MINUTE)
            events = await said(one)

    assert steps(events)[0] == "MARGIN_CALL"
    assert steps(events).count("MARGIN_CALL") == 1
    end = ["NEW NEW LIQUIDATION", "ORDER", "CALCULATED FILLED LIQUIDATION", "INSURANCE_CLEAR"]
    assert steps(events)[-4:] == end
    assert events[-2]["o"]["c"].startswith("autoclose-")
    assert shape(events[0]) == shape(PUSHES["AccountMargin"])
    (risk,) = events[0]["p"]
    assert Decimal(risk["mm"]) >= (Decimal(events[0]["cw"]) + Decimal(risk["up"])) * Decimal("0.8")


async def test_in_hedge_mode_long_and_short_are_told_apart() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        await site.ask("POST", "positionSide/dual", wallet, dualSidePosition="true")
        events = await told_about(
            site, wallet, {**BUY, "positionSide": "LONG"}, {**BUY, "side": "SELL", "positionSide": "SHORT"}
        )

    assert [event["o"]["ps"] for event in events if "o" in event] == ["LONG", "LONG", "SHORT", "SHORT"]
    positions = [event["a"]["P"] for event in events if "a" in event]
    assert [[(each["ps"], each["pa"]) for each in rows] for rows in positions] == [
        [("LONG", "0.010")],
        [("SHORT", "-0.010")],
    ]


async def test_isolated_margin_is_told_with_the_wallet_of_the_position() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        await site.ask("POST", "marginType", wallet, symbol="BTCUSDT", marginType="ISOLATED")
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one:
            await site.order(wallet, "BUY", quantity="0.010")
            await site.ask("POST", "positionMargin", wallet, symbol="BTCUSDT", amount="5", type=1)
            events = await said(one)
        balance = (await site.ask("GET", "balance", wallet))[0]

    assert steps(events) == ["NEW NEW MARKET", "ORDER", "TRADE FILLED MARKET", "MARGIN_TRANSFER"]
    moved = events[-1]["a"]
    (money,), (position,) = moved["B"], moved["P"]
    assert (position["mt"], Decimal(position["iw"])) == ("isolated", Decimal("25.00005") + 5)
    assert (money["wb"], money["cw"]) == (balance["balance"], balance["crossWalletBalance"])
    assert Decimal(money["wb"]) - Decimal(money["cw"]) == Decimal(position["iw"])


async def test_a_trailing_stop_is_told_with_its_activation_price_and_its_callback_rate() -> None:
    async with serving(quiet()) as site:
        trailing = {"side": "SELL", "type": "TRAILING_STOP_MARKET", "quantity": "0.010", "callbackRate": "1.5"}
        *_, placed = await told_about(site, Wallet(), BUY, {**trailing, "activationPrice": "51000"})

    assert set(placed["o"]) == ORDER_LETTERS - {"N", "n"}
    assert (placed["o"]["AP"], Decimal(placed["o"]["cr"])) == ("51000.0", Decimal("1.5"))


async def test_an_amended_order_is_told_with_its_new_terms() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        placed = await site.order(wallet, "BUY", "LIMIT", quantity="0.010", price="49000", timeInForce="GTC")
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one:
            terms = {"orderId": placed["orderId"], "side": "BUY", "quantity": "0.020", "price": "48000"}
            await site.ask("PUT", "order", wallet, symbol="BTCUSDT", **terms)
            (amended,) = await said(one)

    assert steps([amended]) == ["AMENDMENT NEW LIMIT"]
    assert (amended["o"]["q"], amended["o"]["p"]) == ("0.020", "48000.0")


async def test_a_partial_fill_leaves_the_rest_open() -> None:
    venue = Venue(market_of(*flat(50_000, 5)), balance=Decimal(100_000_000))
    async with serving(venue) as site:
        events = await told_about(
            site,
            Wallet(),
            {"side": "BUY", "type": "LIMIT", "quantity": "100.000", "price": "50000.3", "timeInForce": "GTC"},
        )

    told = [event["o"] for event in events if "o" in event]
    assert {each["X"] for each in told[1:]} == {"PARTIALLY_FILLED"}
    assert sum(Decimal(each["l"]) for each in told) == Decimal(told[-1]["z"]) < 100


async def test_two_sockets_on_one_key_both_hear_everything() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one, site.listener("/stream") as two:
            await two.command("SUBSCRIBE", key)
            await site.order(wallet, "BUY", quantity="0.010")
            first, second = await said(one), await said(two)

    assert len(first) == 3
    assert second == [{"stream": key, "data": event} for event in first]


async def test_nobody_hears_of_another_account() -> None:
    async with serving(quiet()) as site:
        mine, other = Wallet(), Wallet("22" * 32)
        key = await site.listen_key(mine)
        async with site.listener(f"/ws/{key}") as one:
            await site.listen_key(other)
            await site.order(other, "BUY", quantity="0.010")

            assert await said(one) == []


async def test_a_key_that_runs_out_says_so_and_then_nothing() -> None:
    async with serving(quiet(minutes=100)) as site:
        wallet = Wallet()
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one:
            site.venue.advance(T0 + 61 * MINUTE)
            await site.order(wallet, "BUY", quantity="0.010")

            assert await said(one) == [{"e": "listenKeyExpired", "E": T0 + HOUR}]


async def test_what_happened_before_a_key_ran_out_is_told_even_in_one_step() -> None:
    venue = quiet((50_000, 50_000, 48_000, 48_000), *flat(48_000, 100), minutes=10)
    async with serving(venue) as site:
        events = await told_about(site, Wallet(), BID, until=T0 + 90 * MINUTE)

    assert steps(events) == ["NEW NEW LIMIT", "ORDER", "TRADE FILLED LIMIT", "listenKeyExpired"]


async def test_a_refused_order_is_not_told() -> None:
    async with serving(quiet()) as site:
        wallet = Wallet()
        key = await site.listen_key(wallet)
        async with site.listener(f"/ws/{key}") as one:
            assert (await site.order(wallet, "BUY", quantity="10"))["code"] == -2019

            assert await said(one) == []
