"""What the market has no room for fills in part, by the exchange's own book, and what was filled is protected."""

from dataclasses import replace
from decimal import Decimal

from shared.domain.order import Leg, OrderState
from tests.house import House, built_house

HALF = Decimal("0.5")


def narrow(house: House, ticks: int, sign: int) -> None:
    """Let market orders in BTCUSDT go no further than so many ticks from the best bid."""
    instruments, engine = house.venue.market.instruments, house.venue.engine
    spec = instruments["BTCUSDT"]
    last = spec.price(engine.bid("BTCUSDT")) + sign * (ticks + HALF) * spec.tick
    bound = sign * (last / engine.mark("BTCUSDT") - 1)
    instruments["BTCUSDT"] = replace(spec, market_take_bound=bound)


async def test_an_entry_larger_than_the_book_fills_in_part_and_an_exit_takes_what_there_is(database_url: str) -> None:
    async with built_house(database_url, balance=Decimal(10_000_000)) as house:
        house.model.will_decide(await house.wish(allocation_usd=4_000_000))
        narrow(house, 3, +1)
        outcome = await house.cycle()

        [entry] = [order for order in await house.our_orders() if order.intent.leg is Leg.ENTRY]
        [position] = await house.our_positions()
        trades = (await house.venue_books())["trades"]
        assert entry.state is OrderState.EXPIRED
        assert entry.intent.quantity is not None
        assert 0 < entry.executed_quantity < entry.intent.quantity
        assert len(trades) > 1
        assert position.quantity == entry.executed_quantity == sum(Decimal(trade["qty"]) for trade in trades)
        worth = sum(Decimal(trade["qty"]) * Decimal(trade["price"]) for trade in trades)
        assert abs(entry.average_price - worth / position.quantity) < Decimal("0.00001")
        [stop] = await house.venue_orders(type="STOP_MARKET", status="NEW")
        assert stop["closePosition"]
        assert outcome["reconcile"]["discrepancies"] == []

        await house.pass_time()
        house.model.will_decide(await house.wish(action="close"))
        narrow(house, 0, -1)
        outcome = await house.cycle()
        left = (await house.venue_positions())["BTCUSDT"]
        assert 0 < left < position.quantity
        assert [held.quantity for held in await house.our_positions()] == [left]
        assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1
        assert outcome["reconcile"]["discrepancies"] == []

        await house.pass_time()
        house.model.will_decide(await house.wish(action="close"))
        narrow(house, 1000, -1)
        outcome = await house.cycle()
        assert await house.venue_positions() == {}
        assert await house.venue_orders(status="NEW") == []
        assert outcome["reconcile"]["discrepancies"] == []
        assert outcome["reconcile"]["wallet"] == (await house.venue_books())["wallet"]
