"""Size: caps, each by its own sum."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import Cap, RiskLimits
from shared.domain.performance import Combined
from shared.domain.sizing import Room, largest_leverage, notional_caps
from tests.builders import a_position

WIDE = RiskLimits(
    max_position_fraction=Decimal(100),
    max_exposure_fraction=Decimal(100),
    risk_per_trade=Decimal(1),
    min_margin_left=Decimal(0),
)


def some_room(exposure: str = "0", available: str = "1000", *symbols: str) -> Room:
    return Room(
        exposure=Decimal(exposure), available=Decimal(available), symbols=frozenset(symbols), entries=0, flips=0
    )


def caps(
    limits: RiskLimits, room: Room, *, cost: str = "0.01", fee: str = "0", leverage: int = 2, **more: Any
) -> dict[Cap, Decimal]:
    return notional_caps(
        limits,
        equity=Decimal(1000),
        room=room,
        stop_cost=Decimal(cost),
        taker_fee=Decimal(fee),
        leverage=leverage,
        **more,
    )


def limits(**changes: str) -> RiskLimits:
    numbers: dict[str, Any] = {name: Decimal(value) for name, value in changes.items()}
    return replace(WIDE, **numbers)


def test_a_position_may_be_so_large_a_share_of_equity() -> None:
    assert caps(limits(max_position_fraction="0.5"), some_room())[Cap.POSITION] == 500


def test_all_positions_together_may_be_so_large_a_share_of_equity() -> None:
    assert caps(limits(max_exposure_fraction="1.5"), some_room(exposure="1400"))[Cap.EXPOSURE] == 100


def test_a_stop_out_costs_no_more_than_its_share_of_equity() -> None:
    assert caps(limits(risk_per_trade="0.01"), some_room(), cost="0.02")[Cap.RISK] == 500  # 2 % of 500 is 1 % of 1000


def test_some_margin_stays_free_whatever_is_asked() -> None:
    # (600 - 100) at leverage 2
    assert caps(limits(min_margin_left="0.1"), some_room(available="600"))[Cap.MARGIN] == 1000


def test_margin_pays_for_the_fee_too() -> None:
    # 50 of margin and 1 of fee
    assert caps(limits(), some_room(available="51"), fee="0.01")[Cap.MARGIN] == 100


def test_a_cap_that_is_exceeded_already_is_below_zero() -> None:
    assert caps(limits(max_exposure_fraction="1"), some_room(exposure="1200"))[Cap.EXPOSURE] == -200
    assert caps(limits(min_margin_left="0.5"), some_room(available="400"))[Cap.MARGIN] == -200


def test_an_account_by_itself_has_no_cap_for_all_accounts() -> None:
    assert caps(RiskLimits(), some_room()) == {Cap.POSITION: 500, Cap.EXPOSURE: 1500, Cap.RISK: 2000, Cap.MARGIN: 1800}


def test_the_positions_of_all_accounts_share_one_cap() -> None:
    others = Combined(accounts=2, equity=Decimal(3000), day=Decimal(1), peak=Decimal(1), exposure=Decimal(7000))

    # 2 times 4000 that all are worth, less 7000 of theirs and 300 of ours
    found = caps(limits(global_max_exposure_fraction="2"), some_room(exposure="300"), others=others)

    assert found[Cap.GLOBAL_EXPOSURE] == 700


@pytest.mark.parametrize(
    ("leverage", "held_at", "left"),
    [
        (2, 5, "840"),  # 600 at 2x instead of 5x tie up 180 more
        (5, 5, "3000"),
        (5, 2, "3000"),  # nothing comes free before the exchange says so
    ],
)
def test_what_is_added_to_counts_as_part_of_the_whole(leverage: int, held_at: int, left: str) -> None:
    held = a_position(quantity="6", leverage=held_at)
    found = caps(
        limits(max_position_fraction="1", risk_per_trade="0.01"),
        some_room(exposure="600", available="600"),
        leverage=leverage,
        held=held,
    )

    assert (found[Cap.POSITION], found[Cap.RISK], found[Cap.MARGIN]) == (400, 400, Decimal(left))


@pytest.mark.parametrize(
    ("distance", "leverage"),
    [
        ("0", 100),  # the maintenance margin alone is 1 %
        ("0.072", 10),  # 80 % of (10 % less 1 %)
        ("0.072001", 9),
        ("0.792", 1),
        ("0.792001", 0),
    ],
)
def test_leverage_leaves_liquidation_beyond_the_stop(distance: str, leverage: int) -> None:
    assert largest_leverage(Decimal(distance)) == leverage


def test_an_entry_takes_its_margin_its_fee_and_its_place() -> None:
    room, fee = some_room("100", "1000", "ETHUSDT"), Decimal("0.01")
    left = room.less("BTCUSDT", Decimal(300), leverage=3, taker_fee=fee, flip=False)

    assert left == replace(some_room("400", "897", "ETHUSDT", "BTCUSDT"), entries=1)
    assert room.less("BTCUSDT", Decimal(300), leverage=3, taker_fee=fee, flip=True).flips == 1


def test_an_addition_at_less_leverage_takes_margin_for_what_is_held_too() -> None:
    held = a_position(quantity="6", leverage=5)
    left = some_room("600", "1000").less(
        "BTCUSDT", Decimal(300), leverage=3, taker_fee=Decimal(0), flip=False, held=held
    )

    assert left.available == 1000 - 100 - (200 - 120)


def test_a_position_that_is_closed_gives_its_margin_back_less_the_fee() -> None:
    held = a_position(quantity="3", leverage=2)

    left = some_room("400", "500", "BTCUSDT", "ETHUSDT").without(held, Decimal("0.01"))

    assert left == some_room("100", "647", "ETHUSDT")
