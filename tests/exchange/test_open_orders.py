"""Resting orders are asked for where they may be; now and then everywhere, because that weighs forty times as much."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.errors import VenueUnreachable

OPEN_ORDERS = "GET /fapi/v3/openOrders"
HOUR = timedelta(hours=1)


@pytest.fixture
def everywhere(venue: Any, samples: Any) -> Any:
    """A venue on which an order rests in BTCUSDT and in SOLUSDT, and which lists no GONEUSDT."""
    order = samples["order"]
    resting = [{**order, "symbol": symbol, "clientOrderId": symbol} for symbol in ("BTCUSDT", "SOLUSDT")]

    def serve(received: Any) -> Any:
        symbol = received.params.get("symbol")
        if symbol == "GONEUSDT":
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        return [row for row in resting if symbol in {None, row["symbol"]}]

    venue.answer(OPEN_ORDERS, serve)
    return venue


def asked(venue: Any) -> list[str]:
    """The symbols that were asked for since the last time, all of them being ''."""
    symbols = sorted(received.params.get("symbol", "") for received in venue.received)
    venue.received.clear()
    return symbols


async def test_all_symbols_are_looked_at_first_and_then_those_asked_for(everywhere: Any) -> None:
    account = everywhere.account()

    found = await account.open_orders(["ETHUSDT"], elsewhere=True)
    assert asked(everywhere) == [""]
    assert [order.symbol for order in found] == ["BTCUSDT", "SOLUSDT"]

    found = await account.open_orders({"BTCUSDT", "ETHUSDT"}, elsewhere=True)
    assert asked(everywhere) == ["BTCUSDT", "ETHUSDT"]
    assert [order.symbol for order in found] == ["BTCUSDT"]


async def test_every_hour_all_symbols_are_looked_at_again(everywhere: Any) -> None:
    account = everywhere.account()
    await account.open_orders(["BTCUSDT"], elsewhere=True)
    everywhere.clock.advance(everywhere.clock.now() + HOUR)
    asked(everywhere)

    await account.open_orders(["BTCUSDT"])
    await account.open_orders(["BTCUSDT"], elsewhere=True)
    await account.open_orders(["ETHUSDT"], elsewhere=True)

    assert asked(everywhere) == ["", "BTCUSDT", "ETHUSDT"]


async def test_all_symbols_are_looked_at_where_that_weighs_no_more(everywhere: Any) -> None:
    await everywhere.account().open_orders([f"COIN{n}USDT" for n in range(40)])

    assert asked(everywhere) == [""]


async def test_a_symbol_that_is_not_listed_has_no_orders(everywhere: Any) -> None:
    found = await everywhere.account().open_orders(["GONEUSDT", "SOLUSDT"])

    assert [order.symbol for order in found] == ["SOLUSDT"]


async def test_a_look_at_all_symbols_that_failed_is_made_up_for(everywhere: Any, samples: Any) -> None:
    account = everywhere.account()
    everywhere.answer(OPEN_ORDERS, (503, ""))
    with pytest.raises(VenueUnreachable):
        await account.open_orders(["BTCUSDT"], elsewhere=True)
    everywhere.answer(OPEN_ORDERS, [])
    asked(everywhere)

    await account.open_orders(["BTCUSDT"], elsewhere=True)

    assert asked(everywhere) == [""]
