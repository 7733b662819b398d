"""How an account carries its positions, as it is told and as it is set, and the key of its stream."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.errors import NothingToReduce, OutcomeUnknown, Refused, VenueError
from shared.domain.order import OrderState, OrderType
from shared.domain.position import Direction
from shared.exchange.account_wire import Fees
from shared.exchange.auth import ApiKey

D = Decimal
NO_CHANGE = (400, {"code": -4046, "msg": "No need to change."})
DUAL, KEY = "POST /fapi/v3/positionSide/dual", "/fapi/v3/listenKey"


def no(code: int, msg: str = "No.") -> tuple[int, dict[str, Any]]:
    return 400, {"code": code, "msg": msg}


async def test_each_asset_has_its_balance(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/balance", samples["balance"])

    (balance,) = await venue.account().margin.balances()

    assert (balance.asset, balance.wallet, balance.available) == ("USDT", D("122607.35137903"), D("23.72469206"))
    assert (balance.unrealized, balance.carries) == (D(0), True)


async def test_the_older_generation_tells_the_balance_on_its_own_path(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v2/balance", samples["balance"])

    assert len(await venue.account(ApiKey("k", "s")).margin.balances()) == 1


async def test_a_fee_is_asked_for_once(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/commissionRate", samples["commissionRate"])
    account = venue.account()

    assert [await account.taker_fee("BTCUSDT") for _ in range(3)] == [D("0.0004")] * 3
    assert await account.margin.fees("BTCUSDT") == Fees(maker=D("0.0002"), taker=D("0.0004"))
    assert len(venue.received) == 1


async def test_brackets_come_as_a_list_or_alone(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/leverageBracket", samples["leverageBracket"], samples["leverageBracket"][0])
    margin = venue.account().margin

    everything, one = await margin.brackets(), await margin.brackets("ETHUSDT")

    assert everything == one
    (bracket,) = one["ETHUSDT"]
    assert (bracket.max_leverage, bracket.floor, bracket.cap) == (75, D(0), D(10000))
    assert (bracket.ratio, bracket.less) == (D("0.0065"), D(0))


async def test_the_nearness_of_deleveraging_is_told_for_each_position(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/adlQuantile", samples["adlQuantile"])

    assert await venue.account().margin.adl_quantiles() == {
        ("ETHUSDT", Direction.LONG): 3,
        ("ETHUSDT", Direction.SHORT): 3,
        ("BTCUSDT", Direction.LONG): 1,
        ("BTCUSDT", Direction.SHORT): 2,
        ("BTCUSDT", None): 0,
    }


async def test_leverage_is_sent_as_asked(venue: Any, samples: Any) -> None:
    venue.answer("POST /fapi/v3/leverage", samples["leverage"])

    await venue.account().set_leverage("BTCUSDT", 21)

    assert venue.received[0].params["leverage"] == "21"


async def test_margin_is_kept_apart_or_not(venue: Any, samples: Any) -> None:
    venue.answer("POST /fapi/v3/marginType", samples["marginType"], NO_CHANGE)
    margin = venue.account().margin

    await margin.set_isolated("BTCUSDT", True)
    await margin.set_isolated("BTCUSDT", False)  # it is so already

    assert [received.params["marginType"] for received in venue.received] == ["ISOLATED", "CROSSED"]


async def test_a_set_up_that_cannot_be_is_one_clear_line(venue: Any) -> None:
    msg = "Unable to adjust to isolated-margin mode under the Multi-Assets mode."
    venue.answer("POST /fapi/v3/marginType", no(-4168, msg), no(-4047))
    margin = venue.account().margin

    with pytest.raises(Refused, match="use cross margin, or turn multi-assets mode off") as refusal:
        await margin.set_isolated("BTCUSDT", True)
    assert "\n" not in str(refusal.value)
    with pytest.raises(Refused, match="-4047"):
        await margin.set_isolated("BTCUSDT", True)


async def test_isolated_margin_is_put_in_and_taken_out(venue: Any, samples: Any) -> None:
    venue.answer("POST /fapi/v3/positionMargin", samples["positionMargin"], samples["positionMargin"], no(-4054))
    margin = venue.account().margin

    await margin.add_margin("BTCUSDT", D(100))
    await margin.add_margin("BTCUSDT", D("-0.5"), Direction.SHORT)
    with pytest.raises(NothingToReduce):
        await margin.add_margin("BTCUSDT", D(1))

    sent = [received.params for received in venue.received]
    assert [(params["amount"], params["type"]) for params in sent] == [("100", "1"), ("0.5", "2"), ("1", "1")]
    assert [params.get("positionSide") for params in sent] == [None, "SHORT", None]


async def test_changes_of_isolated_margin_are_signed(venue: Any, samples: Any) -> None:
    first, second = samples["positionMargin/history"]
    venue.answer("GET /fapi/v3/positionMargin/history", [second | {"type": 2}, first])
    since = datetime(2025, 6, 15, 11, tzinfo=UTC)

    put_in, taken_out = await venue.account().histories.margin_changes("BTCUSDT", since=since)

    assert (put_in.amount, put_in.asset, put_in.position_side) == (D("23.36332311"), "USDT", None)
    assert (taken_out.amount, taken_out.position_side) == (D(-100), Direction.LONG)


async def test_a_change_of_margin_of_a_kind_we_do_not_know_is_not_guessed(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/positionMargin/history", [samples["positionMargin/history"][0] | {"type": 3}])

    with pytest.raises(VenueError, match="type is 3"):
        await venue.account().histories.margin_changes("BTCUSDT", since=venue.clock.now() - timedelta(hours=1))


async def test_forced_orders_tell_what_the_exchange_ended_itself(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/forceOrders", samples["forceOrders"])

    forced = await venue.account().histories.forced_orders(since=venue.clock.now() - timedelta(days=1))

    assert [order.client_order_id for order in forced] == ["autoclose-1596107620040000020", "adl_autoclose"]
    assert (forced[0].state, forced[0].average_price) == (OrderState.FILLED, D("10913.21000"))


async def test_the_history_of_orders_is_read(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/allOrders", samples["allOrders"])

    (order,) = await venue.account().histories.orders("BTCUSDT", since=venue.clock.now() - timedelta(days=1))

    assert (order.client_order_id, order.type) == ("abc", OrderType.TRAILING_STOP_MARKET)


async def test_multi_assets_mode_is_told_and_set(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/multiAssetsMargin", samples["multiAssetsMargin"])
    venue.answer("POST /fapi/v3/multiAssetsMargin", samples["marginType"], NO_CHANGE)
    margin = venue.account().margin

    assert await margin.multi_assets()
    await margin.set_multi_assets(True)
    await margin.set_multi_assets(False)

    assert [received.params.get("multiAssetsMargin") for received in venue.received] == [None, "true", "false"]


async def test_the_position_mode_is_set_and_known_from_then_on(venue: Any, samples: Any) -> None:
    venue.answer(DUAL, samples["marginType"], no(-4059))
    mode = venue.account().mode

    await mode.set(True)
    assert await mode.hedged()
    await mode.set(False)  # somebody else did
    assert not await mode.hedged()

    assert [received.params["dualSidePosition"] for received in venue.received] == ["true", "false"]


async def test_a_change_of_mode_that_was_refused_or_lost_leaves_it_to_be_asked_for(venue: Any, samples: Any) -> None:
    venue.answer(DUAL, no(-4068), (503, ""))
    venue.answer("GET /fapi/v3/positionSide/dual", samples["positionSide/dual"])
    mode = venue.account().mode

    with pytest.raises(Refused, match="-4068"):
        await mode.set(False)
    with pytest.raises(OutcomeUnknown):
        await mode.set(False)

    assert await mode.hedged()


async def test_a_listen_key_is_made_kept_and_closed(venue: Any) -> None:
    venue.answer(f"POST {KEY}", {"listenKey": "pqia91"})
    venue.answer(f"PUT {KEY}", {}, no(-1125, "This listenKey does not exist."), no(-1100))
    venue.answer(f"DELETE {KEY}", {})
    keys = venue.account().listen_keys

    assert await keys.make() == "pqia91"
    assert await keys.keep()
    assert not await keys.keep()
    with pytest.raises(Refused, match="-1100"):
        await keys.keep()
    await keys.close()


async def test_a_key_shows_itself_for_a_stream_and_signs_nothing_and_a_wallet_signs(venue: Any) -> None:
    venue.answer("POST /fapi/v1/listenKey", {"listenKey": "pqia91"})
    venue.answer(f"POST {KEY}", {"listenKey": "pqia91"})

    await venue.account(ApiKey("the-key", "s")).listen_keys.make()
    await venue.account().listen_keys.make()

    by_key, by_wallet = venue.received
    assert (by_key.headers["x-mbx-apikey"], by_key.query + by_key.body) == ("the-key", b"")
    assert by_wallet.params.keys() == {"nonce", "signer", "signature"}
