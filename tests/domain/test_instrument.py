"""An order that leaves us obeys the symbol's filters, and never asks for more than was allowed."""

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import an_instrument

prices = st.decimals(min_value="0.1", max_value="900000", places=8)


@pytest.mark.parametrize(
    ("asked", "tradable"),
    [
        ("0.0505", "0.050"),  # down, never up
        ("0.0509999", "0.050"),
        ("0.051", "0.051"),
        ("0.0009", "0.000"),  # less than one step is nothing
        ("2000", "1000"),  # the largest market order
    ],
)
def test_a_quantity_rounds_down_to_the_step_and_the_largest_order(asked: str, tradable: str) -> None:
    assert an_instrument().round_quantity(Decimal(asked)) == Decimal(tradable)


def test_a_largest_order_off_the_step_is_not_rounded_up_to_it() -> None:
    instrument = an_instrument(max_market_quantity=Decimal("10.0005"))

    assert instrument.round_quantity(Decimal(11)) == Decimal("10.000")


@pytest.mark.parametrize(
    ("price", "down", "up"),
    [("100.14", "100.1", "100.2"), ("100.1", "100.1", "100.1"), ("100.19999999", "100.1", "100.2")],
)
def test_a_price_rounds_to_the_tick_on_the_side_asked_for(price: str, down: str, up: str) -> None:
    instrument = an_instrument()

    assert instrument.round_price_down(Decimal(price)) == Decimal(down)
    assert instrument.round_price_up(Decimal(price)) == Decimal(up)


def test_ticks_are_counted_from_the_lowest_price() -> None:
    instrument = an_instrument(min_price=Decimal("0.05"), tick_size=Decimal("0.1"))

    assert instrument.round_price_down(Decimal("1.00")) == Decimal("0.95")
    assert instrument.round_price_up(Decimal("1.00")) == Decimal("1.05")


@given(price=prices)
def test_rounded_prices_lie_on_the_grid_and_within_a_tick(price: Decimal) -> None:
    instrument = an_instrument()
    down, up = instrument.round_price_down(price), instrument.round_price_up(price)

    assert down <= price <= up
    assert up - down <= instrument.tick_size
    assert (down - instrument.min_price) % instrument.tick_size == 0
    assert (up - instrument.min_price) % instrument.tick_size == 0


@pytest.mark.parametrize("step", ["0.007", "0.003", "2.5", "0.001"])
def test_what_lies_a_hair_below_a_step_or_above_it_rounds_away_from_it(step: str) -> None:
    hair, grid = Decimal("1e-30"), Decimal(step)
    instrument = an_instrument(step_size=grid, tick_size=grid, min_price=Decimal("0.05"))
    exact = Context(prec=60)
    point, hundredth = grid * 100, exact.add(grid * 100, Decimal("0.05"))

    assert instrument.round_quantity(exact.subtract(point, hair)) == point - grid
    assert instrument.round_price_down(exact.subtract(hundredth, hair)) == hundredth - grid
    assert instrument.round_price_up(exact.add(hundredth, hair)) == hundredth + grid


@pytest.mark.parametrize(
    ("quantity", "price", "accepted"),
    [
        ("0.05", "100", True),  # a notional of exactly 5
        ("0.05", "99.9", False),
        ("0.001", "10000", True),
        ("0.0009", "10000", False),
        ("1000", "100", True),
        ("1000.001", "100", False),
    ],
)
def test_an_order_must_reach_the_smallest_size_and_not_pass_the_largest(
    quantity: str, price: str, accepted: bool
) -> None:
    assert an_instrument().accepts(Decimal(quantity), Decimal(price)) is accepted


@pytest.mark.parametrize(
    ("quantity", "sizes"),
    [
        ("3", ("3",)),
        ("10", ("10",)),
        ("10.5", ("10", "0.5")),
        ("25", ("10", "10", "5")),
        ("20.4", ("10", "9.9", "0.5")),  # 0.4 is no order: the one before gives the rest
        ("10.19", ("9.6", "0.5")),  # rounded down to the step first
        ("0.3", ("0.3",)),
        ("0.05", ("0",)),
    ],
)
def test_a_quantity_is_split_into_orders_none_of_which_is_too_large_or_too_small(
    quantity: str, sizes: tuple[str, ...]
) -> None:
    instrument = an_instrument(
        step_size=Decimal("0.1"), min_quantity=Decimal("0.5"), max_market_quantity=Decimal("10.04")
    )

    assert instrument.in_market_orders(Decimal(quantity)) == tuple(map(Decimal, sizes))
