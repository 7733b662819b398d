"""Orders, fills, incomes, positions and equity: counted once, exact to the last digit, apart for each account."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.db.unit_of_work import Database
from shared.domain.cycle import StageRequest
from shared.domain.errors import UnknownAccount
from shared.domain.order import Income, IncomeKind, Leg, Order, OrderState, OrderType, Side
from shared.domain.performance import Standing
from shared.domain.position import Direction
from shared.domain.reconciliation import Reconciled
from shared.domain.work import Work
from tests.db.samples import (
    CYCLE,
    PRECISE,
    TICK,
    a_fill,
    a_point,
    a_position,
    a_venue_order,
    an_intent,
    open_accounts,
)

FUNDING = Income(
    transaction_id="9689322392",
    kind=IncomeKind.FUNDING_FEE,
    symbol="BTCUSDT",
    amount=Decimal("-0.012345678"),
    asset="USDT",
    at=TICK,
)


@pytest.fixture(autouse=True)
async def accounts(database: Database) -> None:
    await open_accounts(database, "main", "other")


async def test_promising_twice_leaves_the_first_promise_as_it_is(database: Database) -> None:
    entry, stop = an_intent(), an_intent(leg=Leg.STOP, quantity=None, stop_price=Decimal("61234.5"))
    async with database.open_work() as work:
        await work.orders.promise([entry, stop], TICK)
        [first, _] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(first, state=OrderState.FILLED, venue_order_id=7)])
    async with database.open_work() as work:
        await work.orders.promise([entry, stop], TICK)

    async with database.open_work() as work:
        orders = await work.orders.of_cycle(CYCLE)
    assert [order.intent for order in orders] == [entry, stop]
    assert [order.state for order in orders] == [OrderState.FILLED, OrderState.INTENDED]
    assert [order.client_order_id for order in orders] == [entry.client_order_id, stop.client_order_id]


async def test_many_orders_are_saved_at_once_and_come_back_equal(database: Database) -> None:
    intents = [an_intent(f"COIN{n}USDT", quantity=PRECISE + n) for n in range(30)]
    changed = [
        Order(
            intent=intent,
            client_order_id=intent.client_order_id,
            state=OrderState.PARTIALLY_FILLED,
            venue_order_id=2**62 + n,
            executed_quantity=PRECISE,
            average_price=Decimal("0.000000000000000001"),
            reason=None if n % 2 else "-2019: margin",
            sent_at=TICK + timedelta(microseconds=n),
        )
        for n, intent in enumerate(intents)
    ]

    async with database.open_work() as work:
        await work.orders.promise(intents, TICK)
        await work.orders.save(changed)
        assert await work.orders.of_cycle(CYCLE) == changed
        assert await work.orders.of_cycle(StageRequest("other", TICK)) == []


async def test_orders_whose_fate_is_open_are_alive_and_the_others_are_not(database: Database) -> None:
    states = list(OrderState)
    intents = [an_intent(f"COIN{n}USDT") for n in range(len(states))]
    async with database.open_work() as work:
        await work.orders.promise(intents, TICK)
        orders = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=state) for order, state in zip(orders, states, strict=True)])

        alive = await work.orders.alive("main")

    assert [order.state for order in alive] == [
        OrderState.INTENDED,
        OrderState.UNRESOLVED,
        OrderState.NEW,
        OrderState.PARTIALLY_FILLED,
    ]


async def test_an_order_of_somebody_else_is_adopted_and_belongs_to_no_cycle(database: Database) -> None:
    by_hand = a_venue_order("web_1", stop_price=Decimal(0), type=OrderType.LIMIT)

    async with database.open_work() as work:
        await work.orders.adopt("main", [by_hand], TICK)
        [adopted] = await work.orders.alive("main")

        assert await work.orders.of_cycle(CYCLE) == []
        assert await work.orders.known("main", [by_hand.venue_order_id, 5]) == {by_hand.venue_order_id}
        assert await work.orders.known("other", [by_hand.venue_order_id]) == set()
    assert adopted.intent.leg is Leg.EXTERNAL
    assert adopted.intent.tick == TICK
    assert adopted.intent.quantity == by_hand.quantity
    assert adopted.intent.stop_price is None
    assert adopted.client_order_id == "web_1"


@pytest.mark.parametrize(
    ("venue_order_id", "told", "executed", "then"),
    [
        (1, OrderState.NEW, "1", OrderState.CANCELED),
        (1, OrderState.CANCELED, "0.9", OrderState.CANCELED),
        (1, OrderState.FILLED, "2", OrderState.FILLED),
        (2, OrderState.NEW, "0", OrderState.NEW),
    ],
)
async def test_an_older_report_of_an_adopted_order_changes_nothing(
    database: Database, venue_order_id: int, told: OrderState, executed: str, then: OrderState
) -> None:
    ours = an_intent()
    first = a_venue_order(
        ours.client_order_id, venue_order_id=1, state=OrderState.CANCELED, executed_quantity=Decimal(1)
    )
    late = replace(first, venue_order_id=venue_order_id, state=told, executed_quantity=Decimal(executed))
    async with database.open_work() as work:
        await work.orders.promise([ours], TICK)
        await work.orders.adopt("main", [first], TICK)
        await work.orders.adopt("main", [late], TICK)
        [order] = await work.orders.of_cycle(CYCLE)

    assert order.state is then
    assert order.executed_quantity == (1 if then is OrderState.CANCELED else Decimal(executed))


async def test_an_adopted_order_can_be_saved_like_one_of_ours(database: Database) -> None:
    async with database.open_work() as work:
        await work.orders.adopt("main", [a_venue_order("web_1"), a_venue_order("web_2", venue_order_id=2)], TICK)
        [first, second] = await work.orders.alive("main")
        await work.orders.save([replace(first, state=OrderState.CANCELED)])

        assert await work.orders.alive("main") == [second]


async def test_a_client_order_id_that_somebody_uses_again_means_the_new_order(database: Database) -> None:
    first = a_venue_order("web_1")
    second = a_venue_order("web_1", venue_order_id=2, symbol="ETHUSDT", side=Side.BUY, closes_position=True)

    async with database.open_work() as work:
        await work.orders.adopt("main", [first], TICK)
        await work.orders.adopt("main", [second], TICK)
        [adopted] = await work.orders.alive("main")

    assert (adopted.intent.symbol, adopted.intent.side, adopted.venue_order_id) == ("ETHUSDT", Side.BUY, 2)
    assert adopted.intent.closes_position


async def test_an_order_of_ours_that_shows_up_after_all_gets_the_state_the_exchange_tells(database: Database) -> None:
    intent = an_intent(leg=Leg.STOP, quantity=None, stop_price=Decimal("61234.5"))
    async with database.open_work() as work:
        await work.orders.promise([intent], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=OrderState.ABSENT)])

        await work.orders.adopt("main", [a_venue_order(intent.client_order_id)], TICK)

        [found] = await work.orders.of_cycle(CYCLE)
    assert found.state is OrderState.NEW
    assert found.intent == intent


async def test_fills_are_counted_once(database: Database) -> None:
    first, second, third = a_fill(1), a_fill(2, price=PRECISE, realized_pnl=-PRECISE), a_fill(3)
    async with database.open_work() as work:
        assert await work.fills.save("main", [first, second, second]) == [first, second]
    async with database.open_work() as work:
        assert await work.fills.save("main", [second, first, third]) == [third]
        assert await work.fills.save("other", [first]) == [first]

        assert await work.fills.recent("main", 2, before=third.at + timedelta(seconds=1)) == [third, second]
        assert await work.fills.recent("main", 2, before=third.at) == [second, first]
        assert await work.fills.last_trade_ids("main") == {"BTCUSDT": 3}
        assert await work.fills.last_trade_ids("nobody") == {}


async def test_the_same_trade_id_in_another_symbol_is_another_trade(database: Database) -> None:
    bitcoin, ether = a_fill(1), a_fill(1, symbol="ETHUSDT")

    async with database.open_work() as work:
        assert await work.fills.save("main", [bitcoin, ether]) == [bitcoin, ether]


async def test_the_last_exit_is_the_last_trade_that_reduced(database: Database) -> None:
    stop = an_intent("ETHUSDT", Leg.STOP, quantity=None, side=Side.BUY)
    async with database.open_work() as work:
        await work.orders.promise([stop], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=OrderState.FILLED, venue_order_id=42)])
        await work.fills.save(
            "main",
            [
                a_fill(1, side=Side.SELL, realized_pnl=Decimal("-3")),
                a_fill(2, side=Side.SELL, realized_pnl=Decimal("5")),
                a_fill(3),  # the next entry
                a_fill(4, symbol="ETHUSDT", side=Side.BUY, venue_order_id=42),  # a stop-out at the very entry price
                a_fill(5, symbol="SOLUSDT"),
            ],
        )

        exits, _ = await work.fills.last_moves("main", TICK)
        later, _ = await work.fills.last_moves("main", TICK + timedelta(seconds=3))

    assert {symbol: (exit_.at, exit_.direction) for symbol, exit_ in exits.items()} == {
        "BTCUSDT": (TICK + timedelta(seconds=2), Direction.LONG),
        "ETHUSDT": (TICK + timedelta(seconds=4), Direction.SHORT),
    }
    assert later.keys() == {"ETHUSDT"}


async def test_the_last_entry_is_the_last_trade_that_opened_or_added(database: Database) -> None:
    stop = an_intent("ETHUSDT", Leg.STOP, quantity=None, side=Side.BUY)
    async with database.open_work() as work:
        await work.orders.promise([stop], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=OrderState.FILLED, venue_order_id=42)])
        await work.fills.save(
            "main",
            [
                a_fill(1),
                a_fill(2),
                a_fill(3, side=Side.SELL, realized_pnl=Decimal("5")),
                a_fill(4, symbol="ETHUSDT", side=Side.BUY, venue_order_id=42),  # a stop-out at the very entry price
                a_fill(5, symbol="SOLUSDT", side=Side.SELL, position_side=Direction.SHORT),
                a_fill(6, symbol="SOLUSDT", side=Side.SELL, position_side=Direction.LONG),  # likewise, in hedge mode
            ],
        )

        _, entries = await work.fills.last_moves("main", TICK)
        _, later = await work.fills.last_moves("main", TICK + timedelta(seconds=3))

    assert entries == {"BTCUSDT": TICK + timedelta(seconds=2), "SOLUSDT": TICK + timedelta(seconds=5)}
    assert later.keys() == {"SOLUSDT"}


async def test_incomes_are_counted_once(database: Database) -> None:
    deposit = replace(FUNDING, kind=IncomeKind.TRANSFER, symbol=None, amount=PRECISE, at=TICK - timedelta(days=1))
    async with database.open_work() as work:
        assert await work.incomes.save("main", [FUNDING, deposit, FUNDING]) == [FUNDING, deposit]
    async with database.open_work() as work:
        assert await work.incomes.save("main", [deposit, FUNDING]) == []

        assert await work.incomes.keys_since("main", TICK) == {(IncomeKind.FUNDING_FEE, "9689322392")}
        assert await work.incomes.keys_since("other", TICK) == set()


async def test_positions_are_replaced_as_a_whole(database: Database) -> None:
    bitcoin = a_position(quantity=PRECISE, unrealized=-PRECISE, liquidation_price=Decimal("42000.5"))
    hedge = a_position(direction=Direction.SHORT)
    ether = a_position("ETHUSDT")

    async with database.open_work() as work:
        await work.holds.replace_positions("main", [ether, hedge, bitcoin], TICK)
        await work.holds.replace_positions("other", [ether], TICK)
        assert await work.holds.positions("main") == [bitcoin, hedge, ether]

        await work.holds.replace_positions("main", [], TICK)
        assert await work.holds.positions("main") == []
        assert await work.holds.positions("other") == [ether]


async def test_a_second_equity_point_of_the_same_time_replaces_the_first(database: Database) -> None:
    async with database.open_work() as work:
        assert await work.holds.last_equity("main") is None
        await work.holds.add_equity("main", a_point(TICK, "1000"))
        await work.holds.add_equity("main", a_point(TICK - timedelta(days=1), "900"))
        await work.holds.add_equity("main", a_point(TICK, str(PRECISE)))

        assert await work.holds.last_equity("main") == a_point(TICK, str(PRECISE))


async def test_marks_are_the_days_first_equity_and_the_peak_less_deposits(database: Database) -> None:
    day = TICK.replace(hour=0, minute=0)
    yesterday = a_point(day - timedelta(minutes=5), "1200", unrealized=Decimal("-50"))
    first, deposit = a_point(day, "1100"), a_point(day + timedelta(hours=1), "2000", deposited=Decimal(1900))

    async def stands(work: Work) -> Standing | None:
        own, others = await work.holds.standings("main", day, None, alive_since=day)
        assert others is None
        return own

    known = Standing(last=deposit, first=first, peak=Decimal(100), exposure=Decimal(0))
    async with database.open_work() as work:
        assert await stands(work) is None
        await work.holds.add_equity("main", deposit)
        await work.holds.add_equity("main", first)
        assert await stands(work) == known
        await work.holds.add_equity("main", yesterday)
        assert await stands(work) == replace(known, first=yesterday, peak=Decimal(150))


async def test_an_account_is_known_as_it_was_reconciled_last(database: Database) -> None:
    ours, theirs = a_position(), a_position("ETHUSDT", direction=Direction.SHORT)
    async with database.open_work() as work:
        assert await work.holds.reconciled("main") is None
        await work.holds.add_equity("main", a_point(TICK, "1000"))
        flat = await work.holds.reconciled("main")
        await work.holds.replace_positions("main", [theirs, ours], TICK, adopted=[theirs.key])
        await work.holds.add_equity("main", a_point(TICK + timedelta(minutes=5), "900"))
        holding = await work.holds.reconciled("main")
        await work.naked.stand("main", {ours.key: TICK}, TICK)
        naked = await work.holds.reconciled("main")

    assert flat == Reconciled(a_point(TICK, "1000"), (), frozenset(), naked=False)
    now = a_point(TICK + timedelta(minutes=5), "900")
    assert holding == Reconciled(now, (ours, theirs), frozenset({theirs.key}), naked=False)
    assert naked == replace(holding, naked=True)


async def test_writing_for_an_account_that_is_not_there_is_told_in_one_line(database: Database) -> None:
    async def write() -> None:
        async with database.open_work() as work:
            await work.holds.replace_positions("nobody", [a_position()], TICK)

    with pytest.raises(UnknownAccount, match=r"^there is no account 'nobody'$"):
        await write()


async def test_nothing_to_write_is_no_error(database: Database) -> None:
    async with database.open_work() as work:
        await work.orders.promise([], TICK)
        await work.orders.save([])
        await work.orders.adopt("main", [], TICK)
        assert await work.orders.known("main", []) == set()
        assert await work.fills.save("main", []) == []
        assert await work.incomes.save("main", []) == []


async def test_the_orders_around_a_cycle_are_its_own_those_that_live_and_the_exits_since(database: Database) -> None:
    def at(minutes: int, leg: Leg, state: OrderState) -> Order:
        intent = an_intent(leg=leg, tick=TICK + timedelta(minutes=minutes))
        return Order(intent=intent, client_order_id=intent.client_order_id, state=state)

    earlier = [
        at(-5, Leg.ENTRY, OrderState.FILLED),
        at(-5, Leg.STOP, OrderState.NEW),
        at(-5, Leg.EXIT, OrderState.FILLED),
    ]
    own = [at(0, Leg.ENTRY, OrderState.UNRESOLVED), at(0, Leg.EXIT, OrderState.REJECTED)]
    later = [
        at(1, Leg.EXIT, OrderState.FILLED),
        at(2, Leg.EXIT, OrderState.UNRESOLVED),
        at(2, Leg.STOP, OrderState.ABSENT),
    ]
    async with database.open_work() as work:
        await work.orders.promise([order.intent for order in (*earlier, *own, *later)], TICK)
        await work.orders.save([*earlier, *own, *later])
        await work.orders.adopt("main", [a_venue_order("web_1", state=OrderState.NEW)], TICK)
        around = await work.orders.around(CYCLE)

    found = around.alive[-1]
    assert around.alive == (earlier[1], own[0], later[1], found)
    assert found.intent.leg is Leg.EXTERNAL
    assert around.of_cycle == tuple(own)
    assert around.exits == tuple(later[:2])
