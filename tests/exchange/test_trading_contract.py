"""Everything a trader does with orders and margin, client against emulator, over real HTTP."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulators.aster.habits import Habits
from shared.domain.errors import (
    InstrumentChanged,
    NotFillable,
    NothingToReduce,
    OrderNotFound,
    OutcomeUnknown,
    PositionModeChanged,
    Refused,
    VenueError,
    WouldTrigger,
)
from shared.domain.order import OrderState, OrderType, Side, VenueOrder
from shared.domain.position import Direction
from shared.domain.protection import exit_intent
from shared.exchange.new_order import NewOrder, SelfTrade, TimeInForce, WatchedPrice
from shared.exchange.orders import Outcome
from tests.exchange.rehearsal import WALLET, Rehearsal, rehearsed

LONG, SHORT = Direction.LONG, Direction.SHORT
SIZE = Decimal("0.010")


async def near(rehearsal: Rehearsal, share: str) -> Decimal:
    """Return a tradable price at that share of the present one."""
    instrument = (await rehearsal.market.instruments())["BTCUSDT"]
    return instrument.round_price_down(await rehearsal.price() * Decimal(share))


def new_order(kind: OrderType, name: str = "mine", *, side: Side = Side.BUY, **said: Any) -> NewOrder:
    values: dict[str, Any] = {"quantity": SIZE, "direction": LONG, **said}
    return NewOrder(symbol="BTCUSDT", side=side, type=kind, client_order_id=name, **values)


def states(outcomes: list[Outcome]) -> list[OrderState | type[VenueError]]:
    return [each.state if isinstance(each, VenueOrder) else type(each) for each in outcomes]


@pytest.mark.parametrize("patience", [TimeInForce.GTC, TimeInForce.GTX, TimeInForce.HIDDEN])
async def test_a_limit_order_below_the_market_rests_and_is_found(either: Rehearsal, patience: TimeInForce) -> None:
    price = await near(either, "0.99")
    orders = either.account.orders

    placed = await orders.place(new_order(OrderType.LIMIT, price=price, time_in_force=patience))

    assert (placed.state, placed.price, placed.quantity) == (OrderState.NEW, price, SIZE)
    assert await orders.resting("BTCUSDT") == [placed]
    assert await orders.find_open("BTCUSDT", placed.venue_order_id) == await orders.find("BTCUSDT", "mine") == placed
    assert await either.account.histories.orders("BTCUSDT", since=either.began) == [placed]


@pytest.mark.parametrize("patience", [TimeInForce.IOC, TimeInForce.FOK])
async def test_what_cannot_trade_at_once_and_must_expires(rehearsal: Rehearsal, patience: TimeInForce) -> None:
    price = await near(rehearsal, "0.99")

    ended = await rehearsal.account.orders.place(new_order(OrderType.LIMIT, price=price, time_in_force=patience))

    assert (ended.state, ended.executed_quantity) == (OrderState.EXPIRED, 0)
    assert await rehearsal.account.orders.find_open("BTCUSDT", "mine") is None


@pytest.mark.parametrize("refused", [False, True], ids=["expires", "is refused"])
async def test_what_may_not_take_and_would_ends_without_a_trade(refused: bool) -> None:
    async with rehearsed(WALLET, habits=Habits(refuses_taking_post_only=refused)) as rehearsal:
        orders = rehearsal.account.orders
        taking = new_order(OrderType.LIMIT, price=await near(rehearsal, "1.01"), time_in_force=TimeInForce.GTX)

        if refused:
            with pytest.raises(NotFillable):
                await orders.place(taking)
        else:
            ended = await orders.place(taking)
            assert (ended.state, ended.executed_quantity) == (OrderState.EXPIRED, 0)

        assert await orders.find_open("BTCUSDT", "mine") is None
        assert (await rehearsal.account.holdings()).positions == ()


@pytest.mark.parametrize("refused", [False, True], ids=["is trimmed", "is refused"])
async def test_an_exit_larger_than_the_position_never_turns_it_around(refused: bool) -> None:
    async with rehearsed(WALLET, habits=Habits(refuses_too_much_reduce_only=refused)) as rehearsal:
        account = rehearsal.account
        await account.place(rehearsal.entry("0.010"))
        leaving = exit_intent("main", rehearsal.clock.now(), "BTCUSDT", direction=LONG, quantity=Decimal("0.015"))

        if refused:
            with pytest.raises(NothingToReduce):
                await account.place(leaving)
        else:
            assert (await account.place(leaving)).executed_quantity == SIZE

        assert [held.quantity for held in (await account.holdings()).positions] == ([SIZE] if refused else [])


@pytest.mark.parametrize("numeric", [False, True])
async def test_success_is_success_in_either_spelling(numeric: bool) -> None:
    async with rehearsed(WALLET, habits=Habits(numeric_success_code=numeric)) as rehearsal:
        orders = rehearsal.account.orders
        await orders.place(new_order(OrderType.LIMIT, price=await near(rehearsal, "0.99")))

        await orders.cancel_all("BTCUSDT")

        assert await orders.resting() == []


async def test_leverage_that_is_locked_by_a_position_is_refused() -> None:
    async with rehearsed(WALLET, habits=Habits(locks_leverage=True)) as rehearsal:
        await rehearsal.account.place(rehearsal.entry("0.010"))

        with pytest.raises(Refused, match="-2030"):
            await rehearsal.account.set_leverage("BTCUSDT", 7)


@pytest.mark.parametrize("patience", [TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
async def test_a_limit_order_above_the_market_trades_at_once(rehearsal: Rehearsal, patience: TimeInForce) -> None:
    price = await near(rehearsal, "1.01")

    done = await rehearsal.account.orders.place(new_order(OrderType.LIMIT, price=price, time_in_force=patience))

    assert (done.state, done.executed_quantity) == (OrderState.FILLED, SIZE)
    assert done.average_price <= price


@pytest.mark.parametrize(
    ("kind", "share", "said"),
    [
        (OrderType.STOP, "0.95", {"price": "0.949"}),
        (OrderType.STOP_MARKET, "0.95", {"reduce_only": True, "price_protect": True}),
        (OrderType.STOP_MARKET, "0.95", {"quantity": None, "watches": WatchedPrice.MARK}),
        (OrderType.TAKE_PROFIT, "1.05", {"price": "1.049", "watches": WatchedPrice.LAST}),
        (OrderType.TAKE_PROFIT_MARKET, "1.05", {"reduce_only": True}),
        (OrderType.TAKE_PROFIT_MARKET, "1.05", {"quantity": None}),
    ],
)
async def test_an_order_that_waits_for_a_price_rests_as_it_was_placed(
    rehearsal: Rehearsal, kind: OrderType, share: str, said: dict[str, Any]
) -> None:
    orders = rehearsal.account.orders
    await orders.place(new_order(OrderType.MARKET, "entry"))
    if "price" in said:
        said = said | {"price": await near(rehearsal, said["price"])}

    placed = await orders.place(new_order(kind, side=Side.SELL, stop_price=await near(rehearsal, share), **said))

    assert (placed.state, placed.type, placed.side) == (OrderState.NEW, kind, Side.SELL)
    assert placed.closes_position is (said.get("quantity", SIZE) is None)
    assert placed.closes_position or placed.reduce_only is said.get("reduce_only", False)
    assert await orders.resting() == [placed]


async def test_a_trailing_stop_rests_and_ends_the_position_when_the_price_turns(rehearsal: Rehearsal) -> None:
    account = rehearsal.account
    await account.orders.place(new_order(OrderType.MARKET, "entry"))

    placed = await account.orders.place(
        new_order(
            OrderType.TRAILING_STOP_MARKET,
            side=Side.SELL,
            callback_rate=Decimal("0.5"),
            reduce_only=True,
            self_trade=SelfTrade.TAKER,
        )
    )
    assert (placed.state, placed.type) == (OrderState.NEW, OrderType.TRAILING_STOP_MARKET)
    while await account.orders.find_open("BTCUSDT", "mine"):
        await rehearsal.pass_time(timedelta(hours=1))

    assert (await account.holdings()).positions == ()


async def test_an_order_that_would_trigger_at_once_is_refused_as_such(rehearsal: Rehearsal) -> None:
    await rehearsal.account.orders.place(new_order(OrderType.MARKET, "entry"))

    with pytest.raises(WouldTrigger):
        await rehearsal.account.orders.place(
            new_order(OrderType.STOP_MARKET, side=Side.SELL, stop_price=await near(rehearsal, "1.05"))
        )


async def test_an_order_off_the_grid_has_the_contracts_looked_at_afresh(rehearsal: Rehearsal) -> None:
    price = await near(rehearsal, "0.99")

    for off in ({"quantity": Decimal("0.0105")}, {"price": price + Decimal("0.05")}):
        with pytest.raises(InstrumentChanged):
            await rehearsal.account.orders.place(new_order(OrderType.LIMIT, **{"price": price, **off}))

    before = rehearsal.requests("exchangeInfo")
    await rehearsal.market.instruments()
    assert rehearsal.requests("exchangeInfo") == before + 1


async def test_a_batch_is_placed_each_order_with_its_outcome_and_cancelled_likewise(either: Rehearsal) -> None:
    price = await near(either, "0.99")
    limits = [new_order(OrderType.LIMIT, name, price=price) for name in ("a", "b")]
    nothing_to_end = new_order(OrderType.MARKET, "c", side=Side.SELL, reduce_only=True)
    orders = either.account.orders

    outcomes = await orders.place_all([*limits, nothing_to_end])

    assert states(outcomes) == [OrderState.NEW, OrderState.NEW, NothingToReduce]
    assert states(await orders.cancel_several("BTCUSDT", ["a", "b", "c"])) == [
        OrderState.CANCELED,
        OrderState.CANCELED,
        OrderNotFound,
    ]
    assert await orders.resting() == []


async def test_a_batch_whose_answer_is_lost_is_found(rehearsal: Rehearsal) -> None:
    price = await near(rehearsal, "0.99")
    orders = rehearsal.account.orders
    await rehearsal.fault("503-after", path="/fapi/v3/batchOrders")

    outcomes = await orders.place_all([new_order(OrderType.LIMIT, name, price=price) for name in ("a", "b")])

    assert states(outcomes) == [OutcomeUnknown, OutcomeUnknown]
    assert sorted(order.client_order_id for order in await orders.resting()) == ["a", "b"]


async def test_a_resting_order_is_moved(rehearsal: Rehearsal) -> None:
    price, other = await near(rehearsal, "0.99"), await near(rehearsal, "0.98")
    orders = rehearsal.account.orders
    placed = await orders.place(new_order(OrderType.LIMIT, price=price))

    await orders.modify("BTCUSDT", "mine", quantity=2 * SIZE, price=other)

    (resting,) = await orders.resting()
    assert (resting.venue_order_id, resting.price, resting.quantity) == (placed.venue_order_id, other, 2 * SIZE)


async def test_all_orders_of_a_symbol_are_cancelled_and_none_is_fine_too(either: Rehearsal) -> None:
    price = await near(either, "0.99")
    orders = either.account.orders
    await asyncio.gather(*(orders.place(new_order(OrderType.LIMIT, name, price=price)) for name in "abc"))

    await orders.cancel_all("BTCUSDT")
    await orders.cancel_all("BTCUSDT")

    assert await orders.resting() == []
    found = await orders.find("BTCUSDT", "a")
    assert found is not None
    assert found.state is OrderState.CANCELED


async def test_the_dead_mans_switch_cancels_when_nobody_winds_it_up_again(either: Rehearsal) -> None:
    orders = either.account.orders
    await orders.place(new_order(OrderType.LIMIT, price=await near(either, "0.9")))
    await orders.cancel_after("BTCUSDT", timedelta(minutes=3))
    await either.pass_time(timedelta(minutes=2))
    await orders.cancel_after("BTCUSDT", timedelta(minutes=3))
    await either.pass_time(timedelta(minutes=2))
    assert await orders.find_open("BTCUSDT", "mine") is not None

    await either.pass_time(timedelta(minutes=2))

    assert await orders.find_open("BTCUSDT", "mine") is None


async def test_hedge_mode_keeps_both_directions_apart(either: Rehearsal) -> None:
    account = either.account
    assert not (await account.holdings()).hedged
    await account.mode.set(True)
    await account.mode.set(True)  # it is so already

    await account.place(either.entry("0.010"))
    await account.place(either.entry("0.020", side=Side.SELL))
    stop = await account.place(await either.stop(SHORT, "1.1"))

    holdings = await account.holdings()
    assert holdings.hedged
    assert {held.direction: held.quantity for held in holdings.positions_in("BTCUSDT")} == {
        LONG: Decimal("0.010"),
        SHORT: Decimal("0.020"),
    }
    assert (stop.position_side, stop.closes_position, stop.side) == (SHORT, True, Side.BUY)
    sides = [fill.position_side for fill in await account.fills("BTCUSDT", after_trade_id=None, since=either.began)]
    assert sides == [LONG, SHORT]
    leaving = exit_intent("main", either.clock.now(), "BTCUSDT", direction=LONG, quantity=SIZE)
    await account.place(leaving)
    assert [held.direction for held in (await account.holdings()).positions] == [SHORT]
    with pytest.raises(Refused):
        await account.mode.set(False)  # not while there is a position


async def test_a_mode_changed_by_hand_is_noticed_by_the_next_order(rehearsal: Rehearsal) -> None:
    account = rehearsal.account
    await account.holdings()
    async with rehearsal.again() as somebody:
        await somebody.mode.set(True)

    with pytest.raises(PositionModeChanged, match="written for one-way mode, the account is in hedge mode"):
        await account.place(rehearsal.entry("0.010"))

    assert await account.find_order("BTCUSDT", rehearsal.entry("0.010").client_order_id) is None
    assert (await account.place(rehearsal.entry("0.010", attempt=1))).position_side is LONG


async def test_margin_is_set_apart_added_to_and_told(either: Rehearsal) -> None:
    margin = either.account.margin
    await margin.set_isolated("BTCUSDT", True)
    await margin.set_isolated("BTCUSDT", True)
    await either.account.place(either.entry("0.010"))
    began = either.clock.now() - timedelta(minutes=1)

    await margin.add_margin("BTCUSDT", Decimal("10.5"))
    await margin.add_margin("BTCUSDT", Decimal(-3))

    changes = await either.account.histories.margin_changes("BTCUSDT", since=began)
    assert [change.amount for change in changes] == [Decimal("10.5"), Decimal(-3)]
    with pytest.raises(Refused):
        await margin.set_isolated("BTCUSDT", False)  # not while there is a position


async def test_isolated_margin_and_multi_assets_mode_cannot_be_together(rehearsal: Rehearsal) -> None:
    margin = rehearsal.account.margin
    assert not await margin.multi_assets()
    await margin.set_multi_assets(True)
    assert await margin.multi_assets()

    with pytest.raises(Refused, match="use cross margin, or turn multi-assets mode off"):
        await margin.set_isolated("BTCUSDT", True)


async def test_the_account_tells_its_balances_fees_brackets_and_dangers(either: Rehearsal) -> None:
    await either.account.place(either.entry("0.010"))
    margin, histories = either.account.margin, either.account.histories

    balances = {balance.asset: balance.wallet for balance in await margin.balances()}
    fees = await margin.fees("BTCUSDT")
    brackets = (await margin.brackets("BTCUSDT"))["BTCUSDT"]

    assert balances["USDT"] == (await either.account.holdings()).balance.wallet
    assert fees.maker <= fees.taker
    assert brackets == (await margin.brackets())["BTCUSDT"]
    assert [bracket.floor for bracket in brackets[1:]] == [bracket.cap for bracket in brackets[:-1]]
    assert ("BTCUSDT", None) in await margin.adl_quantiles()
    assert await histories.forced_orders(since=either.began) == []


async def test_a_deleveraging_is_found_among_the_forced_orders(rehearsal: Rehearsal) -> None:
    account = rehearsal.account
    await account.place(rehearsal.entry("0.010"))
    (own,) = [each for each in rehearsal.venue.ledger.accounts.values() if each.open_positions()]

    rehearsal.venue.deleverage(own, "BTCUSDT", quantity=Decimal("0.004"))

    forced = await account.histories.forced_orders(since=rehearsal.began)
    position = (await account.holdings()).position("BTCUSDT")
    assert position is not None
    assert [(each.client_order_id, each.executed_quantity) for each in forced] == [("adl_autoclose", Decimal("0.004"))]
    assert position.quantity == Decimal("0.006")
    assert set(await account.margin.adl_quantiles()) >= {("BTCUSDT", None)}


async def test_leverage_that_no_bracket_allows_is_refused(rehearsal: Rehearsal) -> None:
    with pytest.raises(Refused):
        await rehearsal.account.set_leverage("BTCUSDT", 126)


async def test_the_key_of_the_stream_is_one_until_it_is_closed(either: Rehearsal) -> None:
    keys = either.account.listen_keys

    key = await keys.make()

    assert await keys.make() == key
    assert await keys.keep()
    await keys.close()
    assert not await keys.keep()


async def test_the_example_of_the_manual_trades(either: Rehearsal) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()
    example = manual.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(compile(example, "docs/exchange.md", "exec"), names)

    await names["trade"](either.account, await near(either, "0.99"))
    (resting,) = await either.account.orders.resting()
    await either.pass_time(timedelta(minutes=3))

    assert resting.client_order_id == "my-entry-1"
    assert await either.account.orders.resting() == []
