"""Everything a trader may ask of an account, asked by the client of the emulator: two readings of one manual."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.errors import InsufficientMargin, NothingToReduce, OrderNotFound, Refused, WouldTrigger
from shared.domain.order import OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.exchange.new_order import NewOrder, TimeInForce, WatchedPrice
from tests.exchange.rehearsal import Rehearsal

QUANTITY = Decimal("0.010")


async def price(rehearsal: Rehearsal, share: str) -> Decimal:
    """Return a price at that share of the present one."""
    instrument = (await rehearsal.market.instruments())["BTCUSDT"]
    return instrument.round_price_down(await rehearsal.price() * Decimal(share))


def order(number: int, kind: OrderType, side: Side = Side.BUY, **more: Any) -> NewOrder:
    fields = {"direction": Direction.LONG if side is Side.BUY else Direction.SHORT, "quantity": QUANTITY, **more}
    return NewOrder(symbol="BTCUSDT", side=side, type=kind, client_order_id=f"order-{number}", **fields)


async def test_every_type_of_order_is_placed_found_and_cancelled(either: Rehearsal) -> None:
    orders = either.account.orders
    below, above = await price(either, "0.99"), await price(either, "1.01")
    wanted = [
        order(1, OrderType.LIMIT, price=below),
        order(2, OrderType.LIMIT, price=below, time_in_force=TimeInForce.GTX),
        order(3, OrderType.LIMIT, price=below, time_in_force=TimeInForce.HIDDEN),
        order(4, OrderType.STOP, price=above, stop_price=above, watches=WatchedPrice.LAST),
        order(5, OrderType.STOP_MARKET, stop_price=above, price_protect=True),
        order(6, OrderType.TAKE_PROFIT, price=below, stop_price=below, watches=WatchedPrice.MARK),
        order(7, OrderType.TAKE_PROFIT_MARKET, stop_price=below, quantity=None, direction=Direction.SHORT),
        order(8, OrderType.TRAILING_STOP_MARKET, callback_rate=Decimal("1.5"), activation_price=below),
    ]

    placed = [await orders.place(each) for each in wanted]

    assert [each.state for each in placed] == [OrderState.NEW] * 8
    assert [each.type for each in placed] == [each.type for each in wanted]
    assert await orders.resting("BTCUSDT") == [await orders.find("BTCUSDT", each.client_order_id) for each in wanted]
    for each in placed:
        cancelled = await orders.cancel("BTCUSDT", each.client_order_id)
        assert cancelled.state is OrderState.CANCELED
    assert await orders.resting() == []


async def test_orders_that_may_not_rest_end_at_once(either: Rehearsal) -> None:
    orders = either.account.orders
    below, above = await price(either, "0.99"), await price(either, "1.01")

    states = [
        (await orders.place(order(number, OrderType.LIMIT, price=limit, time_in_force=time_in_force))).state
        for number, (time_in_force, limit) in enumerate(
            [
                (TimeInForce.IOC, below),
                (TimeInForce.FOK, below),
                (TimeInForce.GTX, above),
                (TimeInForce.IOC, above),
                (TimeInForce.FOK, above),
            ]
        )
    ]

    assert states == [OrderState.EXPIRED] * 3 + [OrderState.FILLED] * 2


async def test_several_orders_have_an_outcome_each(either: Rehearsal) -> None:
    orders = either.account.orders
    below = await price(either, "0.99")

    outcomes = await orders.place_all(
        [
            order(1, OrderType.LIMIT, price=below),
            order(2, OrderType.MARKET, Side.SELL, direction=Direction.LONG, reduce_only=True),
            order(3, OrderType.STOP_MARKET, stop_price=below),
            order(4, OrderType.MARKET, quantity=Decimal(9)),
            order(5, OrderType.MARKET),
        ]
    )
    cancelled = await orders.cancel_several("BTCUSDT", ["order-1", "order-5"])

    kinds = [type(each) for each in outcomes if isinstance(each, Exception)]
    assert kinds == [NothingToReduce, WouldTrigger, InsufficientMargin]
    assert [each.state for each in cancelled if not isinstance(each, Exception)] == [OrderState.CANCELED]
    assert isinstance(cancelled[1], OrderNotFound)


async def test_a_resting_order_is_modified_by_the_current_generation(rehearsal: Rehearsal) -> None:
    orders = rehearsal.account.orders
    await orders.place(order(1, OrderType.LIMIT, price=await price(rehearsal, "0.99")))
    better = await price(rehearsal, "0.995")

    changed = await orders.modify("BTCUSDT", "order-1", quantity=Decimal("0.020"), price=better)

    assert (changed.state, changed.price, changed.quantity) == (OrderState.NEW, better, Decimal("0.020"))
    assert await orders.find_open("BTCUSDT", "order-1") == changed


async def test_the_exchange_s_own_switch_cancels_when_nobody_is_heard_of(either: Rehearsal) -> None:
    orders = either.account.orders
    await orders.place(order(1, OrderType.LIMIT, price=await price(either, "0.9")))
    await orders.cancel_after("BTCUSDT", timedelta(minutes=2))

    await either.pass_time(timedelta(seconds=90))
    before = await orders.find("BTCUSDT", "order-1")
    await either.pass_time(timedelta(minutes=2))
    after = await orders.find("BTCUSDT", "order-1")

    assert before is not None
    assert after is not None
    assert (before.state, after.state) == (OrderState.NEW, OrderState.CANCELED)


async def test_in_hedge_mode_both_positions_are_held_and_ended_by_themselves(either: Rehearsal) -> None:
    account = either.account
    await account.mode.set(hedged=True)
    await account.orders.place(order(1, OrderType.MARKET))
    await account.orders.place(order(2, OrderType.MARKET, Side.SELL, quantity=Decimal("0.004")))
    await account.orders.place(
        order(3, OrderType.MARKET, Side.SELL, direction=Direction.LONG, reduce_only=True, quantity=Decimal("0.003"))
    )

    holdings = await account.holdings()

    held = sorted((position.direction.value, position.quantity) for position in holdings.positions)
    assert held == [("LONG", Decimal("0.007")), ("SHORT", Decimal("0.004"))]
    assert holdings.balance.wallet == Decimal((await either.account.margin.balances())[0].wallet)


async def test_isolated_margin_is_set_added_to_and_told_of(either: Rehearsal) -> None:
    account = either.account
    await account.margin.set_isolated("BTCUSDT", True)
    await account.margin.set_isolated("BTCUSDT", True)
    await account.orders.place(order(1, OrderType.MARKET))
    before = (await account.holdings()).position("BTCUSDT")

    await account.margin.add_margin("BTCUSDT", Decimal(20))
    await account.margin.add_margin("BTCUSDT", Decimal(-5))
    after = (await account.holdings()).position("BTCUSDT")

    assert before is not None
    assert after is not None
    assert before.liquidation_price is not None
    assert after.liquidation_price is None or after.liquidation_price < before.liquidation_price - 1000
    changes = await account.histories.margin_changes("BTCUSDT", since=either.began)
    assert [change.amount for change in changes] == [20, -5]
    with pytest.raises(Refused):
        await account.margin.set_isolated("BTCUSDT", False)


async def test_a_liquidation_and_a_deleveraging_are_found_among_the_forced_orders(rehearsal: Rehearsal) -> None:
    account = rehearsal.account
    await account.orders.place(order(1, OrderType.MARKET))
    (own,) = [each for each in rehearsal.venue.ledger.accounts.values() if each.open_positions()]

    rehearsal.venue.deleverage(own, "BTCUSDT", quantity=Decimal("0.004"))

    forced = await account.histories.forced_orders(since=rehearsal.began)
    position = (await account.holdings()).position("BTCUSDT")
    assert position is not None
    assert [(each.client_order_id, each.executed_quantity) for each in forced] == [("adl_autoclose", Decimal("0.004"))]
    assert position.quantity == Decimal("0.006")
    assert set(await account.margin.adl_quantiles()) >= {("BTCUSDT", None)}
