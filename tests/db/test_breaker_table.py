"""Breakers are remembered, lifted by time or by hand, and what counts towards them counts anew from then on."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from shared.db.unit_of_work import Database
from shared.domain.account import Breaker, RiskLimits
from shared.domain.breakers import BreakerState, Trip
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.order import Leg, OrderState, Side
from shared.domain.performance import Combined, EquityPoint
from tests.builders import a_fill, an_order
from tests.db.samples import TICK, a_position, an_intent, open_accounts

HOUR = timedelta(hours=1)
DAY_LOST = Trip(
    breaker=Breaker.DAILY_LOSS,
    at=TICK,
    lifts_at=TICK + HOUR,
    flatten=True,
    reason="the account lost 5 % today",
    saw={"value": "0.05", "limit": "0.05"},
)
FALLEN = replace(DAY_LOST, breaker=Breaker.DRAWDOWN, lifts_at=None, flatten=False)


FOUR = RiskLimits(max_losses_in_a_row=4, max_model_failures=4, max_order_refusals=4)


async def tripped(database: Database, *trips: Trip) -> None:
    await open_accounts(database, "main", "other")
    async with database.open_work() as work:
        await work.breakers.trip("main", trips)


async def test_what_was_tripped_stands_until_it_is_lifted_for_that_account_alone(database: Database) -> None:
    await tripped(database, DAY_LOST, FALLEN)

    async with database.open_work() as work:
        assert await work.breakers.standing("main", TICK) == [DAY_LOST, FALLEN]
        assert await work.breakers.standing("main", TICK + HOUR) == [FALLEN]
        assert await work.breakers.standing("other", TICK) == []
        assert await work.breakers.state("main", TICK) == BreakerState(
            standing=(DAY_LOST, FALLEN), expired=(), lifted={}
        )


async def test_time_lifts_a_breaker_once_and_counts_begin_at_that_moment(database: Database) -> None:
    await tripped(database, DAY_LOST, FALLEN)

    by_time = {Breaker.DAILY_LOSS: TICK + HOUR}
    noticed = BreakerState(standing=(FALLEN,), expired=(Breaker.DAILY_LOSS,), lifted=by_time)
    async with database.open_work() as work:
        assert await work.breakers.state("main", TICK + 3 * HOUR) == noticed
        assert await work.breakers.expire("main", TICK + HOUR - timedelta(microseconds=1)) == []
        assert await work.breakers.expire("main", TICK + 3 * HOUR) == [Breaker.DAILY_LOSS]
        assert await work.breakers.expire("main", TICK + 3 * HOUR) == []
        assert await work.breakers.state("main", TICK + 3 * HOUR) == replace(noticed, expired=())


async def test_a_person_lifts_what_stands_and_it_can_be_tripped_again(database: Database) -> None:
    await tripped(database, DAY_LOST, FALLEN)

    async with database.open_work() as work:
        assert await work.breakers.lift("main", TICK + 2 * HOUR) == [Breaker.DRAWDOWN]
        assert await work.breakers.standing("main", TICK + 2 * HOUR) == []
        again = replace(FALLEN, at=TICK + 3 * HOUR)
        await work.breakers.trip("main", [again])
        assert await work.breakers.standing("main", TICK + 3 * HOUR) == [again]


async def exits(database: Database, *results: str, pieces: int = 1) -> None:
    """Book exits an hour apart, each with that result before a fee of 1 in all, in so many trades."""
    fills = [
        a_fill(
            Side.SELL,
            trade_id=10 * number + piece,
            venue_order_id=number,
            realized_pnl=Decimal(result) / pieces,
            commission=Decimal(1) / pieces,
            at=TICK + number * HOUR,
        )
        for number, result in enumerate(results)
        for piece in range(pieces)
    ]
    entry = a_fill(trade_id=999, venue_order_id=999, commission=Decimal(5), at=TICK + 99 * HOUR)
    async with database.open_work() as work:
        await work.fills.save("main", [*fills, entry])


@pytest.mark.parametrize(
    ("results", "since", "count"),
    [
        (("5", "-1", "-1"), None, 2),
        (("-1", "-1", "5"), None, 0),
        (("-1", "0.5", "-1"), None, 3),  # half a dollar does not pay the fee
        (("-1", "-1", "-1", "-1", "-1"), None, 4),  # no more are looked at
        (("-1", "-1", "-1"), TICK + HOUR, 1),
        ((), None, 0),
    ],
)
async def test_exits_that_lost_are_counted_back_to_the_last_that_did_not(
    database: Database, results: Sequence[str], since: datetime | None, count: int
) -> None:
    await open_accounts(database)
    await exits(database, *results, pieces=2)

    async with database.open_work() as work:
        counted = await work.breakers.in_a_row("main", FOUR, {Breaker.LOSING_STREAK: since} if since else {})

    assert counted == (count, 0, 0)


async def test_exits_whose_trades_lie_between_each_other_s_are_counted_by_their_last(database: Database) -> None:
    await open_accounts(database)
    trades = [(1, "9"), (2, "-4"), (3, "-4"), (2, "-4"), (1, "-20"), (3, "-4")]  # by order; the first lost as a whole
    fills = [
        a_fill(Side.SELL, trade_id=number, venue_order_id=order, realized_pnl=Decimal(result), at=TICK + number * HOUR)
        for number, (order, result) in enumerate(trades, start=1)
    ]
    async with database.open_work() as work:
        await work.fills.save("main", fills)
        before, _, _ = await work.breakers.in_a_row("main", FOUR, {})
        await work.fills.save("main", [replace(fills[0], trade_id=9, realized_pnl=Decimal(50), at=TICK + 9 * HOUR)])
        after, _, _ = await work.breakers.in_a_row("main", FOUR, {})

    assert (before, after) == (3, 0)


@pytest.mark.parametrize(
    ("said", "since", "count"),
    [
        (("no", "no"), None, 2),
        (("no", "yes", "no"), None, 1),
        (("no", "not asked", "no"), None, 2),  # without a question there was no answer to be had
        (("no", "no", "no"), TICK + HOUR, 1),
        (("no",) * 5, None, 4),
    ],
)
async def test_cycles_without_an_answer_are_counted_back_to_the_last_that_had_one(
    database: Database, said: Sequence[str], since: datetime | None, count: int
) -> None:
    await open_accounts(database)
    async with database.open_work() as work:
        for number, answer in enumerate(said):
            request = StageRequest("main", TICK + number * HOUR)
            details = {
                "model": None if answer == "not asked" else "maker/model",
                "no_answer": None if answer == "yes" else "the model said nothing",
            }
            result = StageResult(stage=Stage.DECIDE, request=request, details=details)
            await work.stages.finish(result, started_at=request.tick, finished_at=request.tick)
        counted = await work.breakers.in_a_row("main", FOUR, {Breaker.MODEL_FAILURES: since} if since else {})

    assert counted == (0, count, 0)


@pytest.mark.parametrize(
    ("states", "since", "count"),
    [
        ((OrderState.FILLED, OrderState.REJECTED, OrderState.REJECTED), None, 2),
        ((OrderState.REJECTED, OrderState.FILLED), None, 0),
        ((OrderState.REJECTED, OrderState.ABSENT, OrderState.REJECTED), None, 2),  # never sent, so never refused
        ((OrderState.REJECTED,) * 3, TICK + HOUR, 1),
        ((OrderState.REJECTED,) * 5, None, 4),
    ],
)
async def test_refused_entries_are_counted_back_to_the_last_that_was_taken(
    database: Database, states: Sequence[OrderState], since: datetime | None, count: int
) -> None:
    await open_accounts(database)
    async with database.open_work() as work:
        for number, state in enumerate(states):
            intent = an_intent(tick=TICK + number * HOUR)
            await work.orders.promise([intent], TICK)
            sent_at = None if state is OrderState.ABSENT else intent.tick
            await work.orders.save([an_order(state, intent, sent_at=sent_at)])
        stop = an_intent(leg=Leg.STOP, tick=TICK + 99 * HOUR)
        await work.orders.promise([stop], TICK)
        await work.orders.save([an_order(OrderState.REJECTED, stop, sent_at=stop.tick)])
        counted = await work.breakers.in_a_row("main", FOUR, {Breaker.ORDER_REFUSALS: since} if since else {})

    assert counted == (0, 0, count)


def a_point(hours: int, wallet: str, deposited: str = "1000", unexplained: str = "0") -> EquityPoint:
    return EquityPoint(
        at=TICK + hours * HOUR,
        wallet=Decimal(wallet),
        unrealized=Decimal(0),
        deposited=Decimal(deposited),
        unexplained=Decimal(unexplained),
    )


async def test_a_peak_counts_since_a_breaker_was_lifted_and_no_deposit_that_is_yet_to_be_told(
    database: Database,
) -> None:
    await open_accounts(database)
    async with database.open_work() as work:
        for point in (a_point(0, "1500"), a_point(1, "1200"), a_point(2, "9000", unexplained="7900")):
            await work.holds.add_equity("main", point)

        peaks = []
        for since in (None, TICK + HOUR, TICK + 9 * HOUR):
            stands, _ = await work.holds.standings("main", TICK, since, alive_since=TICK)
            peaks.append(stands.peak if stands else "nothing known")

    assert peaks == [500, 200, None]


async def test_the_other_accounts_are_added_up_each_by_its_own_deposits_and_peak(database: Database) -> None:
    await open_accounts(database, "main", "one", "two", "gone")
    day = TICK + 2 * HOUR
    async with database.open_work() as work:
        # one: 1100 when the day began and 50 lost since; 500 more were paid in, and it once was 300 above deposits
        for point in (a_point(0, "1300"), a_point(1, "1100"), a_point(3, "1550", deposited="1500")):
            await work.holds.add_equity("one", point)
        # two: began after the day did
        for point in (a_point(3, "2000"), a_point(4, "2100")):
            await work.holds.add_equity("two", point)
        await work.holds.add_equity("gone", a_point(0, "7000"))
        await work.holds.add_equity("main", a_point(4, "9000"))
        held = a_position("BTCUSDT", quantity=Decimal(2), mark_price=Decimal(100))
        await work.holds.replace_positions("one", [held], TICK)
        await work.holds.replace_positions("main", [held], TICK)

        _, found = await work.holds.standings("main", day, None, alive_since=TICK + HOUR)
        _, since = await work.holds.standings("main", day, TICK + HOUR, alive_since=TICK + HOUR)
        own, alone = await work.holds.standings("main", day, None, alive_since=TICK + 99 * HOUR)

    assert found == Combined(
        accounts=2,
        equity=Decimal(1550 + 2100),
        day=Decimal(1600 + 2000),
        peak=Decimal(1800 + 2100),
        exposure=Decimal(200),
    )
    assert since is not None
    assert since.peak == 1600 + 2100
    assert (own and own.exposure, alone) == (200, None)
