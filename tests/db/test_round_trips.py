"""The books: round trips, days and curves are what their rows come to, in whatever order and portions these came."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from shared.db.reports import Reports
from shared.db.unit_of_work import Database
from shared.domain.curve import Period
from shared.domain.decision import Action
from shared.domain.order import Fill, Income, IncomeKind, Leg, OrderState, OrderType, Side
from shared.domain.performance import EquityPoint
from shared.domain.position import Direction
from shared.domain.round_trip import ExitReason
from tests.db.samples import CYCLE, TICK, a_call, a_fill, a_point, a_position, a_reviewed, an_intent, open_accounts

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
async def reports(database: Database) -> Reports:
    await open_accounts(database, "main", "other")
    return Reports(database)


def bought(number: int, quantity: str = "0.010", **changes: object) -> Fill:
    return a_fill(number, quantity=Decimal(quantity), commission=Decimal("0.1"), **changes)


def sold(number: int, quantity: str = "0.010", profit: str = "5", **changes: object) -> Fill:
    return bought(number, quantity, side=Side.SELL, realized_pnl=Decimal(profit), **changes)


def funding(number: int, amount: str, at: datetime, symbol: str = "BTCUSDT") -> Income:
    return Income(
        transaction_id=str(number),
        kind=IncomeKind.FUNDING_FEE,
        symbol=symbol,
        amount=Decimal(amount),
        asset="USDT",
        at=at,
    )


async def save(database: Database, *portions: Sequence[Fill]) -> None:
    for fills in portions:
        async with database.open_work() as work:
            await work.fills.save("main", fills)


async def test_a_closed_position_tells_prices_costs_holding_time_and_profit(
    database: Database, reports: Reports
) -> None:
    await save(database, [bought(1), sold(2, at=TICK + HOUR)])
    async with database.open_work() as work:
        await work.incomes.save("main", [funding(1, "-0.25", TICK + HOUR / 2), funding(2, "9", TICK + 2 * HOUR)])

    [row] = (await reports.closed_positions()).rows

    assert (row["account"], row["symbol"], row["direction"], row["position_side"]) == (
        "main",
        "BTCUSDT",
        "LONG",
        "BOTH",
    )
    assert (row["entry_price"], row["exit_price"], row["quantity"]) == ("64000.1", "64000.1", "0.010")
    assert (row["realized"], row["fees"], row["funding"], row["profit"]) == ("5", "0.2", "-0.25", "4.55")
    assert (row["holding_seconds"], row["closed_at"]) == ("3599", (TICK + HOUR).isoformat())
    assert (row["net_return"], row["r"], row["model"]) == ("0.00710936", None, None)
    assert row["exit"] == ExitReason.EXTERNAL


async def test_a_position_of_ours_knows_its_cycle_its_model_its_risk_and_what_ended_it(
    database: Database, reports: Reports
) -> None:
    entry = an_intent()
    stop = an_intent(
        leg=Leg.STOP, type=OrderType.STOP_MARKET, direction=Direction.LONG, side=Side.SELL, stop_price=Decimal(63000)
    )
    async with database.open_work() as work:
        await work.model_calls.save(CYCLE, [a_call()])
        await work.orders.promise([entry, stop], TICK)
        told = {order.intent.leg: order for order in await work.orders.of_cycle(CYCLE)}
        await work.orders.save(
            [
                replace(told[Leg.ENTRY], state=OrderState.FILLED, venue_order_id=77),
                replace(told[Leg.STOP], state=OrderState.FILLED, venue_order_id=78),
            ]
        )
    await save(database, [bought(1)], [sold(2, profit="-10", venue_order_id=78)])

    [row] = (await reports.closed_positions(model="maker/model-1", exit_reason=ExitReason.STOP)).rows

    assert (row["cycle"], row["model"], row["exit"]) == ("main@2026-03-31T23:55:00Z", "maker/model-1", "stop")
    assert (row["first_stop"], row["r"]) == ("63000", "-1.01989801")  # 10.2 lost of the 10.001 that were at risk
    assert (await reports.closed_positions(model="another/model")).rows == []


@pytest.mark.parametrize(("decided", "reason"), [(True, ExitReason.DECISION), (False, ExitReason.GUARD)])
async def test_an_exit_is_a_models_where_it_decided_so_and_codes_otherwise(
    database: Database, reports: Reports, *, decided: bool, reason: ExitReason
) -> None:
    leaving = an_intent(leg=Leg.EXIT, direction=Direction.LONG, side=Side.SELL)
    async with database.open_work() as work:
        if decided:
            await work.decisions.save(CYCLE, [a_reviewed(action=Action.CLOSE)], None)
        await work.orders.promise([leaving], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=OrderState.FILLED, venue_order_id=78)])
    await save(database, [bought(1), sold(2, venue_order_id=78)])

    assert [row["exit"] for row in (await reports.closed_positions()).rows] == [reason]


@pytest.mark.parametrize("how", ["an errand", "a stop"])
async def test_an_exit_that_a_person_asked_for_is_a_persons(database: Database, reports: Reports, how: str) -> None:
    leaving = an_intent(leg=Leg.EXIT, direction=Direction.LONG, side=Side.SELL)
    async with database.open_work() as work:
        if how == "an errand":
            await work.errands.moment("main", "close it", TICK)
        else:
            await work.stops.ask("main", "ann", TICK)
        await work.orders.promise([leaving], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=OrderState.FILLED, venue_order_id=78, sent_at=TICK)])
    await save(database, [bought(1), sold(2, venue_order_id=78)])

    assert [row["exit"] for row in (await reports.closed_positions()).rows] == [ExitReason.HAND]


async def test_an_exit_after_the_account_was_armed_again_is_a_rules(database: Database, reports: Reports) -> None:
    leaving = an_intent(leg=Leg.EXIT, direction=Direction.LONG, side=Side.SELL)
    async with database.open_work() as work:
        await work.stops.ask("main", "ann", TICK - 2 * HOUR)
        await work.stops.rearm("main", TICK - HOUR)
        await work.orders.promise([leaving], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=OrderState.FILLED, venue_order_id=78, sent_at=TICK)])
    await save(database, [bought(1), sold(2, venue_order_id=78)])

    assert [row["exit"] for row in (await reports.closed_positions()).rows] == [ExitReason.GUARD]


@pytest.mark.usefixtures("reports")
async def test_positions_that_trades_have_ended_are_told_in_a_line(database: Database) -> None:
    trades = [bought(1), sold(2, profit="-10.05", at=TICK + 3 * HOUR)]
    async with database.open_work() as work:
        assert await work.fills.endings("main", await work.fills.save("main", trades[:1])) == []
        [ended] = await work.fills.endings("main", await work.fills.save("main", trades[1:]))

    assert ended.words == (
        "ended by somebody else: LONG 0.010 BTCUSDT at 64000.1, -10.25 USD after fees and funding, held for 2 h 59 min"
    )


def walks() -> st.SearchStrategy[list[Fill]]:
    """Trades of two symbols in which positions open, grow, shrink, turn around and end."""
    trade = st.tuples(st.sampled_from(["BTCUSDT", "ETHUSDT"]), st.sampled_from([*Side]), st.integers(1, 4))
    return st.lists(trade, min_size=1, max_size=14).map(
        lambda trades: [
            a_fill(
                number,
                symbol=symbol,
                side=side,
                quantity=Decimal(size),
                commission=Decimal("0.12"),
                at=TICK + number * 7 * HOUR,
            )
            for number, (symbol, side, size) in enumerate(trades, 1)
        ]
    )


async def booked(database: Database) -> list[tuple[object, ...]]:
    async with database.transaction() as connection:
        trips = await connection.execute(text("SELECT * FROM round_trips ORDER BY symbol, first_trade_id"))
        days = await connection.execute(text("SELECT * FROM trading_days WHERE trades + trips > 0 ORDER BY day"))
        return [tuple(row) for row in trips] + [tuple(row) for row in days]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fills=walks(), data=st.data())
async def test_trades_that_come_late_and_in_portions_are_booked_like_those_that_come_in_order(
    database: Database, fills: list[Fill], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(fills))
    cut = data.draw(st.integers(0, len(fills)))
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE accounts CASCADE"))
    await open_accounts(database, "main")

    await save(database, fills)
    in_order = await booked(database)
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE fills, round_trips, trading_days"))
    await save(database, shuffled[:cut], shuffled[cut:])

    assert await booked(database) == in_order


async def test_a_trade_that_is_told_twice_is_booked_once(database: Database, reports: Reports) -> None:
    await save(database, [bought(1)], [bought(1), sold(2)], [sold(2)])

    assert [row["trades"] for row in (await reports.closed_positions()).rows] == [2]
    assert (await reports.record("main")).traded.trades == 2


async def test_a_trade_at_no_price_at_all_stops_no_bookkeeping(database: Database, reports: Reports) -> None:
    await save(database, [bought(1, price=Decimal(0)), sold(2)])

    [row] = (await reports.closed_positions()).rows

    assert (row["profit"], row["net_return"]) == ("4.8", None)
    assert (await reports.edge())["total"]["mean_return"] is None


async def test_in_hedge_mode_both_sides_have_trips_and_funding_of_nobody_is_in_neither(
    database: Database, reports: Reports
) -> None:
    both = [
        bought(1, position_side=Direction.LONG),
        sold(2, profit="0", position_side=Direction.SHORT),
        replace(bought(3, position_side=Direction.SHORT), realized_pnl=Decimal(1), at=TICK + HOUR),
        sold(4, position_side=Direction.LONG, at=TICK + 3 * HOUR),
    ]
    await save(database, both)
    async with database.open_work() as work:
        await work.incomes.save("main", [funding(1, "-1", TICK + HOUR / 2), funding(2, "-2", TICK + 2 * HOUR)])

    rows = (await reports.closed_positions()).rows

    assert [(row["direction"], row["position_side"], row["funding"]) for row in rows] == [
        ("LONG", "LONG", "-2"),
        ("SHORT", "SHORT", "0"),
    ]
    assert (await reports.record("main")).traded.funding == -3


async def test_what_ends_a_position_older_than_the_books_is_a_trade_and_no_trip(
    database: Database, reports: Reports
) -> None:
    await save(database, [sold(1), bought(2), sold(3)])

    assert [row["first_trade_id"] for row in (await reports.closed_positions()).rows] == ["2"]
    assert (await reports.record("main")).traded.trades == 3


async def test_books_that_are_not_there_yet_are_made_of_all_there_is(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await work.holds.add_equity("main", a_point(TICK))
        await work.holds.add_equity("main", a_point(TICK + DAY, "1100"))
        await work.incomes.save("main", [funding(1, "-1", TICK + HOUR)])
    await save(database, [bought(1), sold(2, at=TICK + HOUR), bought(3, symbol="ETHUSDT")])
    before, record = await booked(database), await reports.record("main")
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE round_trips, trading_days, equity_days"))

    async with database.open_work() as work:
        await work.holds.add_equity("main", a_point(TICK + DAY, "1100"))

    assert await booked(database) == before
    assert await reports.record("main") == record


values = st.lists(
    st.tuples(st.integers(500, 2000), st.sampled_from([0, 0, 0, 100, -100]), st.integers(1, 40)),
    min_size=2,
    max_size=30,
)


def as_points(steps: list[tuple[int, int, int]]) -> list[EquityPoint]:
    """Points some hours apart, worth what the steps say, after paying in what they say."""
    points, at, deposited = [], datetime(2025, 1, 1, 12, tzinfo=UTC), 1000
    for worth, paid_in, hours in steps:
        at, deposited = at + hours * HOUR, deposited + paid_in
        points.append(a_point(at, str(worth), deposited=Decimal(deposited)))
    return points


def witness(points: list[EquityPoint]) -> pd.DataFrame:
    """The same curve as pandas makes it."""
    frame = pd.DataFrame(
        {"equity": [float(p.equity) for p in points], "deposited": [float(p.deposited) for p in points]},
        index=pd.DatetimeIndex([p.at for p in points]),
    )
    gained = frame.equity.diff() - frame.deposited.diff()
    frame["growth"] = (1 + (gained / frame.equity.shift()).fillna(0.0)).cumprod()
    frame["drawdown"] = 1 - frame.growth / frame.growth.cummax()
    return frame


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=values, data=st.data())
async def test_curve_and_returns_by_the_period_are_what_pandas_makes_of_them(
    database: Database, steps: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    points = as_points(steps)
    reports = Reports(database)
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE accounts CASCADE"))
    await open_accounts(database, "main", "other")
    async with database.open_work() as work:
        for point in data.draw(st.permutations(points)):
            await work.holds.add_equity("main", point)
        await work.holds.add_equity("other", points[0])

    expected = witness(points)
    days = (await reports.record("main")).days
    assert [float(day.growth) for day in days] == pytest.approx(
        list(expected.growth.groupby(expected.index.date).last())
    )
    assert float(max(day.drawdown for day in days)) == pytest.approx(expected.drawdown.max())
    for period, rule in ((Period.DAY, "D"), (Period.WEEK, "W-SUN"), (Period.MONTH, "ME")):
        last = expected.growth.resample(rule).last().dropna()
        wanted = (last / last.shift(fill_value=1.0) - 1).iloc[::-1]
        told = (await reports.returns(period=period, account="main", limit=1000)).rows
        assert [float(row["total_return"]) for row in told] == pytest.approx(list(wanted), abs=1e-8)
        assert sum(Decimal(row["profit"]) for row in told) == points[-1].equity - points[-1].deposited


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=values, most=st.integers(5, 20))
async def test_a_chart_has_the_extremes_of_the_curve_however_few_points_it_has(
    database: Database, steps: list[tuple[int, int, int]], most: int
) -> None:
    points = as_points(steps)
    async with database.transaction() as connection:
        await connection.execute(text("TRUNCATE accounts CASCADE"))
    await open_accounts(database, "main")
    async with database.open_work() as work:
        for point in points:
            await work.holds.add_equity("main", point)

    drawn, made_of = await Reports(database).curve("main", since=None, until=None, most=most)

    expected = witness(points)
    assert len(drawn) <= most
    assert float(max(point.growth for point in drawn)) == pytest.approx(expected.growth.max())
    assert float(max(point.drawdown for point in drawn)) == pytest.approx(expected.drawdown.max())
    assert drawn[-1].at == points[-1].at
    for point in drawn:
        assert float(point.growth) == pytest.approx(expected.growth[point.at])
        assert float(point.drawdown) == pytest.approx(expected.drawdown[point.at])
        assert made_of[point.at] in points


async def test_a_stretch_of_the_curve_falls_from_peaks_before_it(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        for day, worth in enumerate(("1000", "2000", "1500", "1000")):
            await work.holds.add_equity("main", a_point(TICK + day * DAY, worth))

    drawn, _ = await reports.curve("main", since=TICK + 2 * DAY, until=TICK + 3 * DAY, most=10)

    assert [(point.at, point.drawdown) for point in drawn] == [(TICK + 2 * DAY, Decimal("0.25"))]


async def test_money_that_nothing_explains_yet_is_no_profit_and_no_fall(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await work.holds.add_equity("main", a_point(TICK))
        await work.holds.add_equity("main", a_point(TICK + HOUR, "1500", unexplained=Decimal(500)))
        await work.holds.add_equity("main", a_point(TICK + 2 * HOUR, "1500", deposited=Decimal(1500)))

    days = (await reports.record("main")).days

    assert {(day.growth, day.high, day.drawdown) for day in days} == {(1, 1, 0)}


async def test_positions_say_what_protects_them_how_far_away_it_is_and_how_far_liquidation(
    database: Database, reports: Reports
) -> None:
    stop = an_intent(
        leg=Leg.STOP,
        type=OrderType.STOP_MARKET,
        direction=Direction.LONG,
        side=Side.SELL,
        quantity=None,
        stop_price=Decimal(63000),
    )
    target = replace(stop, leg=Leg.TARGET, type=OrderType.TAKE_PROFIT_MARKET, stop_price=Decimal(66000))
    held = a_position(
        quantity=Decimal("0.010"),
        entry_price=Decimal(64000),
        mark_price=Decimal(64500),
        liquidation_price=Decimal(43000),
    )
    async with database.open_work() as work:
        await work.orders.promise([an_intent(), stop, target], TICK)
        told = {order.intent.leg: order for order in await work.orders.of_cycle(CYCLE)}
        resting = [
            replace(told[leg], state=OrderState.NEW, venue_order_id=number, sent_at=TICK)
            for leg, number in ((Leg.STOP, 78), (Leg.TARGET, 79))
        ]
        await work.orders.save([replace(told[Leg.ENTRY], state=OrderState.FILLED, venue_order_id=77), *resting])
        await work.holds.replace_positions("main", [held, a_position("ETHUSDT")], TICK + HOUR)
    await save(database, [bought(1)])

    [protected, naked] = (await reports.positions()).rows

    guard = protected["protection"]
    assert (guard["naked"], guard["confirmed_at"]) == (False, (TICK + HOUR).isoformat())
    assert guard["stop"] == {
        "price": "63000",
        "client_order_id": stop.client_order_id,
        "venue_order_id": "78",
        "since": TICK.isoformat(),
        "distance": "0.02325581",
        "distance_r": "1.5",
    }
    assert (guard["target"]["price"], guard["target"]["distance"]) == ("66000", "0.02325581")
    assert (protected["r"], protected["liquidation_distance"]) == ("0.5", "0.33333333")
    bare = naked["protection"]
    assert (bare["naked"], bare["stop"], bare["target"], naked["r"]) == (True, None, None, None)


async def test_a_stop_of_less_than_the_position_protects_nothing(database: Database, reports: Reports) -> None:
    stop = an_intent(
        leg=Leg.STOP, type=OrderType.STOP_MARKET, direction=Direction.LONG, side=Side.SELL, stop_price=Decimal(63000)
    )
    async with database.open_work() as work:
        await work.orders.promise([stop], TICK)
        [order] = await work.orders.of_cycle(CYCLE)
        await work.orders.save([replace(order, state=OrderState.NEW, venue_order_id=78)])
        await work.holds.replace_positions("main", [a_position(quantity=Decimal("0.011"))], TICK)

    assert [row["protection"]["naked"] for row in (await reports.positions()).rows] == [True]


async def test_the_edge_is_told_by_every_dimension_and_each_adds_up(database: Database, reports: Reports) -> None:
    await save(
        database,
        [bought(1), sold(2, profit="5", at=TICK + 2 * HOUR)],
        [
            sold(1, profit="0", symbol="ETHUSDT", at=TICK),
            replace(bought(2, symbol="ETHUSDT"), realized_pnl=Decimal(-3), at=TICK + 3 * DAY),
        ],
    )

    told = await reports.edge(account="main")

    assert (told["whole"], told["total"]["round_trips"], told["total"]["profit"]) == (True, 2, "1.6")
    for rows in told["groups"].values():
        assert sum(row["round_trips"] for row in rows) == 2
        assert sum(Decimal(row["profit"]) for row in rows) == Decimal("1.6")
    assert [(row["value"], row["profit"]) for row in told["groups"]["holding_time"]] == [
        ("1h to 4h", "4.8"),
        ("1d to 7d", "-3.2"),
    ]
    assert {row["value"] for row in told["groups"]["direction"]} == {"LONG", "SHORT"}
    assert [row["value"] for row in told["groups"]["hour"]] == ["23"]
    assert (await reports.edge(account="other"))["total"]["round_trips"] == 0


async def test_of_too_many_positions_the_last_are_taken_apart_and_that_is_said(
    database: Database, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.db.result_reports.EDGE_TRIPS", 1)
    await save(database, [bought(1), sold(2), bought(3), sold(4, at=TICK + HOUR)])

    told = await reports.edge()

    assert (told["whole"], told["total"]["round_trips"], told["since"]) == (False, 1, (TICK + HOUR).isoformat())


async def test_costs_are_told_by_the_day_and_for_each_of_what(database: Database, reports: Reports) -> None:
    async with database.open_work() as work:
        await work.model_spending.reserve("main", TICK.date(), Decimal(1), None)
        await work.model_calls.save(CYCLE, [a_call(), a_call(estimated=True)])
        await work.decisions.save(CYCLE, [a_reviewed()], None)
        await work.incomes.save("main", [funding(1, "-0.5", TICK)])
    await save(database, [bought(1), sold(2), bought(3, at=TICK + DAY)])

    [later, first] = (await reports.costs(account="main")).rows

    assert (first["day"], first["trades"], first["round_trips"]) == ("2026-03-31T00:00:00+00:00", 2, 1)
    assert (first["fees"], first["funding"], first["cost"], first["total"]) == ("0.2", "-0.5", "0.00246", "0.70246")
    assert (first["calls"], first["estimated"], first["decisions"], first["entries"]) == (2, 1, 1, 1)
    assert (first["fees_per_trade"], first["total_per_round_trip"], first["cost_per_entry"]) == (
        "0.1",
        "0.70246",
        "0.00246",
    )
    assert (later["trades"], later["cost"], later["total_per_round_trip"]) == (1, "0", None)
    assert (await reports.costs(account="other")).rows == []
