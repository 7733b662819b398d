"""Round trips: positions from flat to flat, worked out by hand, and what holds for any trades."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.order import Fill
from shared.domain.round_trip import RoundTrip, book
from tests.builders import BUY, LONG, SELL, SHORT, TICK, a_fill

HOUR = timedelta(hours=1)


def test_a_position_from_flat_to_flat_is_one_trip_whatever_it_took() -> None:
    fills = [
        a_fill(BUY, "1", trade_id=1, commission=Decimal("0.1")),
        a_fill(BUY, "1", trade_id=2, price=Decimal(110), commission=Decimal("0.1"), at=TICK + HOUR),
        a_fill(SELL, "0.5", trade_id=3, commission=Decimal("0.1"), realized_pnl=Decimal(3), at=TICK + 2 * HOUR),
        a_fill(
            SELL,
            "1.5",
            trade_id=4,
            venue_order_id=9,
            commission=Decimal("0.1"),
            realized_pnl=Decimal(5),
            at=TICK + 3 * HOUR,
        ),
    ]

    [trip] = book({}, fills)

    assert (trip.direction, trip.opened_at, trip.closed_at, trip.holding) == (LONG, TICK, TICK + 3 * HOUR, 3 * HOUR)
    assert (trip.entered, trip.entry_value, trip.exited, trip.exit_value) == (2, 210, 2, 200)
    assert (trip.realized, trip.fees, trip.trades) == (8, Decimal("0.4"), 4)
    assert (trip.entry_order, trip.exit_order, trip.held) == (1, 9, 0)


def test_a_trade_that_turns_a_position_around_ends_one_trip_and_begins_the_next_and_shares_its_fee() -> None:
    fills = [
        a_fill(BUY, "1", trade_id=1),
        a_fill(SELL, "4", trade_id=2, commission=Decimal(4), realized_pnl=Decimal(4), at=TICK + HOUR),
        a_fill(BUY, "3", trade_id=3, realized_pnl=Decimal(-1), at=TICK + 2 * HOUR),
    ]

    told = [(trip.direction, trip.opened_at, trip.realized, trip.fees) for trip in book({}, fills)]

    assert told == [(LONG, TICK, 4, 1), (SHORT, TICK + HOUR, -1, 3)]


def test_an_open_position_is_a_trip_that_has_not_ended_and_symbols_do_not_mix() -> None:
    fills = [
        a_fill(BUY, "1", trade_id=1),
        a_fill(SELL, "1", trade_id=1, symbol="ETHUSDT"),
        a_fill(BUY, "1", trade_id=2, symbol="ETHUSDT"),
    ]

    assert [(trip.symbol, trip.closed_at is None) for trip in book({}, fills)] == [
        ("ETHUSDT", False),
        ("BTCUSDT", True),
    ]


def test_in_hedge_mode_a_position_ends_and_does_not_turn_around() -> None:
    fills = [
        a_fill(BUY, "1", trade_id=1, position_side=LONG),
        a_fill(SELL, "3", trade_id=2, position_side=SHORT),
        a_fill(SELL, "2", trade_id=3, position_side=LONG),
    ]

    told = [(trip.position_side, trip.closed_at is not None, trip.held) for trip in book({}, fills)]

    assert told == [(LONG, True, 0), (SHORT, False, 3)]


def test_what_ends_a_position_older_than_the_books_is_no_trip() -> None:
    fills = [
        a_fill(SELL, "1", trade_id=1, realized_pnl=Decimal(7)),
        a_fill(SELL, "1", trade_id=2, position_side=LONG),
        a_fill(BUY, "1", trade_id=3),
    ]

    assert [trip.first_trade_id for trip in book({}, fills)] == [3]


def test_a_fee_in_another_asset_is_none_of_the_wallets_money() -> None:
    [trip] = book({}, [a_fill(BUY, "1", commission=Decimal(1), commission_asset="ASTER")])

    assert trip.fees == 0


def test_a_trade_of_nothing_moves_nothing() -> None:
    trips = book({}, [a_fill(BUY, "1", trade_id=1), a_fill(SELL, "0", trade_id=2), a_fill(SELL, "1", trade_id=3)])

    assert [(trip.trades, trip.held) for trip in trips] == [(2, 0)]


def some_fills() -> st.SearchStrategy[list[Fill]]:
    one = st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 5), st.integers(50, 150), st.sampled_from("AB"))
    return st.lists(one, max_size=40).map(
        lambda rows: [
            a_fill(
                side,
                str(size),
                trade_id=number,
                price=Decimal(price),
                symbol=symbol,
                commission=Decimal("0.06"),
                at=TICK + number * HOUR,
            )
            for number, (side, size, price, symbol) in enumerate(rows)
        ]
    )


@given(some_fills())
def test_no_size_and_no_fee_is_lost_or_counted_twice(fills: list[Fill]) -> None:
    trips = book({}, fills)

    assert sum(trip.entered + trip.exited for trip in trips) == sum(fill.quantity for fill in fills)
    assert sum((trip.fees for trip in trips), Decimal(0)).quantize(Decimal("1e-20")) == len(fills) * Decimal("0.06")
    for trip in trips:
        assert trip.entered - trip.exited == trip.held >= 0
        assert (trip.held == 0) == (trip.closed_at is not None)
    for symbol in "AB":
        held = sum(trip.held * trip.direction.sign for trip in trips if trip.symbol == symbol)
        assert held == sum(
            fill.quantity if fill.side is BUY else -fill.quantity for fill in fills if fill.symbol == symbol
        )


@given(fills=some_fills(), data=st.data())
def test_booked_in_portions_trips_are_the_same(fills: list[Fill], data: st.DataObject) -> None:
    kept: dict[tuple[str, int], RoundTrip] = {}
    rest = fills
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        running = {trip.key: trip for trip in kept.values() if trip.closed_at is None}
        kept |= {(trip.symbol, trip.first_trade_id): trip for trip in book(running, rest[:count])}
        rest = rest[count:]

    assert kept == {(trip.symbol, trip.first_trade_id): trip for trip in book({}, fills)}
