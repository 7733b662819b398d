"""The client against the emulator, two independent readings of the same manual, over real HTTP."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from emulators.aster import Venue, create_app, synthetic_market
from shared.clock import SteppedClock, VenueClock
from shared.domain.errors import (
    ClockSkewed,
    InsufficientMargin,
    NotAuthorised,
    NothingToReduce,
    OrderNotFound,
    OutcomeUnknown,
    Refused,
    WouldTrigger,
)
from shared.domain.market import Series, Timeframe
from shared.domain.order import OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.domain.protection import exit_intent
from shared.exchange.account import open_exchange
from shared.exchange.auth import TESTNET_CHAIN, Credentials
from shared.exchange.market import open_market
from tests.exchange.rehearsal import BALANCE, KEY, WALLET, Rehearsal, rehearsed, served


async def test_an_entry_fills_and_everything_tells_the_same_of_it(either: Rehearsal) -> None:
    intent = either.entry("0.010")

    order = await either.account.place(intent)

    assert (order.state, order.executed_quantity) == (OrderState.FILLED, Decimal("0.010"))
    assert order == await either.account.find_order("BTCUSDT", intent.client_order_id)
    (fill,) = await either.account.fills("BTCUSDT", after_trade_id=None, since=either.began)
    assert (fill.venue_order_id, fill.side, fill.quantity) == (order.venue_order_id, Side.BUY, Decimal("0.010"))
    assert fill.price == order.average_price
    assert order == await either.account.order_of_trade(fill)
    assert await either.account.order_of_trade(replace(fill, venue_order_id=1)) is None
    holdings = await either.account.holdings()
    position = holdings.position("BTCUSDT")
    assert position is not None
    assert (position.direction, position.quantity) == (Direction.LONG, Decimal("0.010"))
    assert position.entry_price == fill.price
    assert position.liquidation_price is None or position.liquidation_price < position.entry_price
    assert holdings.balance.wallet == BALANCE - fill.commission
    assert holdings.balance.unrealized == position.unrealized
    assert fill.commission == fill.price * fill.quantity * await either.account.taker_fee("BTCUSDT")


async def test_a_week_of_trading_adds_up_to_the_wallet_to_the_last_digit(rehearsal: Rehearsal) -> None:
    account = rehearsal.account
    for number in range(20):
        await account.place(rehearsal.entry("0.013", side=(Side.BUY, Side.SELL)[number % 3 % 2], attempt=number))
        await rehearsal.pass_time(timedelta(hours=11))

    incomes = await account.incomes(since=rehearsal.began)
    fills = await account.fills("BTCUSDT", after_trade_id=None, since=rehearsal.began)
    holdings, books = await account.holdings(), await rehearsal.books()

    told = sum((row.amount for row in incomes if not row.kind.told_by_fills), Decimal(0))
    told += sum((fill.realized_pnl - fill.commission for fill in fills), Decimal(0))
    assert told == sum((row.amount for row in incomes), Decimal(0)) == holdings.balance.wallet
    assert holdings.balance.wallet == Decimal(books["wallet"])
    assert [fill.trade_id for fill in fills] == [row["id"] for row in books["trades"]]
    assert len(incomes) == len(books["income"]) == len({row.transaction_id for row in incomes})
    assert fills[5:] == await account.fills("BTCUSDT", after_trade_id=fills[4].trade_id, since=rehearsal.began)
    assert await account.fills("BTCUSDT", after_trade_id=fills[-1].trade_id, since=rehearsal.began) == []


async def test_a_stop_rests_is_found_and_is_cancelled_once(either: Rehearsal) -> None:
    account = either.account
    await account.place(either.entry("0.010"))
    intent = await either.stop(Direction.LONG, "0.9")

    placed = await account.place(intent)

    assert (placed.state, placed.type, placed.closes_position) == (OrderState.NEW, OrderType.STOP_MARKET, True)
    assert placed.stop_price == intent.stop_price
    assert [order.client_order_id for order in await account.open_orders(["BTCUSDT"])] == [intent.client_order_id]
    cancelled = await account.cancel("BTCUSDT", intent.client_order_id)
    assert (cancelled.state, cancelled.venue_order_id) == (OrderState.CANCELED, placed.venue_order_id)
    assert await account.open_orders(["BTCUSDT"]) == []
    with pytest.raises(OrderNotFound):
        await account.cancel("BTCUSDT", intent.client_order_id)
    found = await account.find_order("BTCUSDT", intent.client_order_id)
    assert found is not None
    assert found.state is OrderState.CANCELED


async def test_a_stop_that_triggers_ends_the_position(rehearsal: Rehearsal) -> None:
    account = rehearsal.account
    await account.place(rehearsal.entry("0.010"))
    intent = await rehearsal.stop(Direction.LONG, "0.999")
    await account.place(intent)

    while await account.open_orders(["BTCUSDT"]):
        await rehearsal.pass_time(timedelta(hours=6))

    stop = await account.find_order("BTCUSDT", intent.client_order_id)
    assert stop is not None
    assert (stop.state, stop.type, stop.executed_quantity) == (
        OrderState.FILLED,
        OrderType.STOP_MARKET,
        Decimal("0.010"),
    )
    assert (await account.holdings()).positions == ()


async def test_an_exit_ends_the_position_and_a_second_one_finds_nothing(rehearsal: Rehearsal) -> None:
    await rehearsal.account.place(rehearsal.entry("0.010", side=Side.SELL))
    assert (await rehearsal.account.holdings()).positions[0].direction is Direction.SHORT
    leaving = exit_intent(
        "main", rehearsal.clock.now(), "BTCUSDT", direction=Direction.SHORT, quantity=Decimal("0.010")
    )

    await rehearsal.account.place(leaving)

    assert (await rehearsal.account.holdings()).positions == ()
    with pytest.raises(NothingToReduce):
        await rehearsal.account.place(replace(leaving, attempt=1))


async def test_refusals_say_what_to_do_next(rehearsal: Rehearsal) -> None:
    account = rehearsal.account
    with pytest.raises(InsufficientMargin):
        await account.place(rehearsal.entry("10"))
    with pytest.raises(Refused, match="POST /fapi/v3/order"):
        await account.place(rehearsal.entry("0.0105"))
    await account.place(rehearsal.entry("0.010"))
    with pytest.raises(WouldTrigger):
        await account.place(await rehearsal.stop(Direction.LONG, "1.1"))
    assert await account.find_order("BTCUSDT", "pp-never-sent") is None


async def test_an_id_that_is_open_already_is_looked_up_rather_than_refused(rehearsal: Rehearsal) -> None:
    intent = await rehearsal.stop(Direction.LONG, "0.9")
    await rehearsal.account.place(intent)

    with pytest.raises(OutcomeUnknown):
        await rehearsal.account.place(intent)

    assert len(await rehearsal.account.open_orders(["BTCUSDT"])) == 1


@pytest.mark.parametrize("kind", ["503-after", "reset-after", "error:-1007-after"])
async def test_an_order_whose_answer_is_lost_is_found(rehearsal: Rehearsal, kind: str) -> None:
    intent = rehearsal.entry("0.010")
    await rehearsal.fault(kind)

    with pytest.raises(OutcomeUnknown):
        await rehearsal.account.place(intent)

    found = await rehearsal.account.find_order("BTCUSDT", intent.client_order_id)
    assert found is not None
    assert found.state is OrderState.FILLED
    assert len((await rehearsal.books())["orders"]) == 1


@pytest.mark.parametrize("kind", ["503-before", "reset-before", "html-502"])
async def test_an_order_that_got_lost_on_the_way_is_not_found(rehearsal: Rehearsal, kind: str) -> None:
    intent = rehearsal.entry("0.010")
    await rehearsal.fault(kind)

    with pytest.raises(OutcomeUnknown):
        await rehearsal.account.place(intent)

    assert await rehearsal.account.find_order("BTCUSDT", intent.client_order_id) is None


@pytest.mark.parametrize("kind", ["503-before", "reset-before", "reset-after", "html-502"])
async def test_a_read_that_got_lost_is_asked_again_and_answered(rehearsal: Rehearsal, kind: str) -> None:
    await rehearsal.fault(kind, "GET", "/fapi/v3/positionRisk")

    assert (await rehearsal.account.holdings()).balance.wallet == BALANCE


async def test_leverage_is_set(rehearsal: Rehearsal) -> None:
    await rehearsal.account.set_leverage("BTCUSDT", 3)
    await rehearsal.account.place(rehearsal.entry("0.010"))

    assert (await rehearsal.account.holdings()).positions[0].leverage == 3


async def test_the_right_credentials_are_recognised(either: Rehearsal) -> None:
    await either.account.verify_identity()

    assert (await either.account.holdings()).balance.wallet == BALANCE


@pytest.mark.parametrize(
    "credentials",
    [replace(WALLET, chain_id=TESTNET_CHAIN), replace(WALLET, user="0x" + "ab" * 20), replace(KEY, secret="other")],
    ids=["other network", "somebody's account", "wrong secret"],
)
async def test_the_wrong_credentials_are_refused_in_one_line(rehearsal: Rehearsal, credentials: Credentials) -> None:
    async with open_exchange(rehearsal.url, credentials, rehearsal.clock) as account:
        with pytest.raises(NotAuthorised, match="check that the key is this account's") as refusal:
            await account.verify_identity()

    assert "\n" not in str(refusal.value)
    assert "44444444" not in str(refusal.value)


async def test_on_the_test_network_a_key_of_the_main_one_is_refused_and_its_own_is_not() -> None:
    async with rehearsed(replace(WALLET, chain_id=TESTNET_CHAIN), chain=TESTNET_CHAIN) as rehearsal:
        await rehearsal.account.verify_identity()
        order = await rehearsal.account.place(rehearsal.entry("0.010"))
        async with open_exchange(rehearsal.url, WALLET, rehearsal.clock) as mistaken:
            with pytest.raises(NotAuthorised, match="on chain 1666: check that the key"):
                await mistaken.verify_identity()

    assert order.state is OrderState.FILLED


@pytest.mark.parametrize("credentials", [WALLET, KEY], ids=["wallet", "key"])
async def test_a_clock_that_is_wrong_is_said_to_be_wrong(rehearsal: Rehearsal, credentials: Credentials) -> None:
    late = SteppedClock(rehearsal.clock.now() + timedelta(minutes=5))
    async with open_exchange(rehearsal.url, credentials, late) as account:
        with pytest.raises(ClockSkewed):
            await account.place(rehearsal.entry("0.010"))


async def test_candles_are_those_of_the_market_and_all_of_them(rehearsal: Rehearsal) -> None:
    now = rehearsal.clock.now()
    minutes, fours = Series("BTCUSDT", Timeframe.M1), Series("ETHUSDT", Timeframe.H4)

    many, few = await asyncio.gather(
        rehearsal.market.candles(minutes, since=now - timedelta(minutes=3500), until=now),
        rehearsal.market.candles(fours, since=now - timedelta(days=50), until=now),
    )

    assert [candle.opened for candle in many] == [now - timedelta(minutes=n) for n in range(3500, 0, -1)]
    assert [candle.opened for candle in few] == [now - timedelta(hours=4 * n) for n in range(300, 0, -1)]
    assert many[-1].volume > 0


async def test_quotes_and_contracts_are_read(rehearsal: Rehearsal) -> None:
    quotes, contracts = (
        await rehearsal.market.quotes(["BTCUSDT", "ETHUSDT", "NOSUCH"]),
        (await rehearsal.market.instruments()),
    )

    assert quotes.keys() == contracts.keys() == {"BTCUSDT", "ETHUSDT"}
    bitcoin = quotes["BTCUSDT"]
    assert bitcoin.at <= rehearsal.clock.now() < bitcoin.next_funding_at
    assert bitcoin.open_interest is not None
    assert contracts["BTCUSDT"].tick_size == Decimal("0.1")
    assert await rehearsal.market.quotes(["NOSUCH"]) == {}


async def test_many_reads_at_once_are_signed_apart(rehearsal: Rehearsal) -> None:
    found = await asyncio.gather(*(rehearsal.account.find_order("BTCUSDT", f"none-{n}") for n in range(60)))

    assert found == [None] * 60


async def test_a_clock_follows_an_exchange_whose_time_runs_faster() -> None:
    venue = Venue(synthetic_market(symbols=("BTCUSDT",)))
    clock = VenueClock(speed=10)
    async with (
        served(create_app(venue, speed=10)) as url,
        open_market(url, clock) as market,
        open_exchange(url, WALLET, clock) as account,
    ):
        await clock.synchronise(market.server_time)
        await asyncio.sleep(0.5)  # five seconds there

        assert abs(clock.now() - await market.server_time()) < timedelta(seconds=20)
        await account.verify_identity()
