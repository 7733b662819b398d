"""Size: the smallest of four caps, each by its own sum."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import RiskLimits
from shared.domain.sizing import Room, largest_notional

WIDE = RiskLimits(
    max_position_fraction=Decimal(100),
    max_exposure_fraction=Decimal(100),
    risk_per_trade=Decimal(1),
    min_margin_left=Decimal(0),
)


def some_room(exposure: str = "0", available: str = "1000", *symbols: str) -> Room:
    return Room(exposure=Decimal(exposure), available=Decimal(available), symbols=frozenset(symbols))


def sized(limits: RiskLimits, room: Room, *, stop: str = "0.01", fee: str = "0", leverage: int = 2) -> Decimal:
    notional, _ = largest_notional(
        limits,
        equity=Decimal(1000),
        room=room,
        stop_distance=Decimal(stop),
        taker_fee=Decimal(fee),
        leverage=leverage,
    )
    return notional


def limits(**changes: str) -> RiskLimits:
    numbers: dict[str, Any] = {name: Decimal(value) for name, value in changes.items()}
    return replace(WIDE, **numbers)


def test_a_position_may_be_so_large_a_share_of_equity() -> None:
    assert sized(limits(max_position_fraction="0.5"), some_room()) == 500


def test_all_positions_together_may_be_so_large_a_share_of_equity() -> None:
    assert sized(limits(max_exposure_fraction="1.5"), some_room(exposure="1400")) == 100


@pytest.mark.parametrize(
    ("stop", "fee", "notional"),
    [
        ("0.02", "0", "500"),  # 2 % of 500 is 1 % of 1000
        ("0.015", "0.0025", "500"),  # both fees count as part of the loss
    ],
)
def test_a_stop_out_costs_no_more_than_its_share_of_equity(stop: str, fee: str, notional: str) -> None:
    assert sized(limits(risk_per_trade="0.01"), some_room(), stop=stop, fee=fee) == Decimal(notional)


def test_some_margin_stays_free_whatever_is_asked() -> None:
    assert sized(limits(min_margin_left="0.1"), some_room(available="600")) == 1000  # (600 - 100) at leverage 2


def test_margin_pays_for_the_fee_too() -> None:
    assert sized(limits(), some_room(available="51"), fee="0.01") == 100  # 50 of margin and 1 of fee


def test_where_nothing_is_left_the_size_is_zero_and_never_less() -> None:
    assert sized(limits(max_exposure_fraction="1"), some_room(exposure="1200")) == 0
    assert sized(limits(min_margin_left="0.5"), some_room(available="400")) == 0


def test_every_cap_is_told_by_name() -> None:
    _, caps = largest_notional(
        RiskLimits(),
        equity=Decimal(1000),
        room=some_room(),
        stop_distance=Decimal("0.01"),
        taker_fee=Decimal(0),
        leverage=2,
    )

    assert caps == {"position_cap": 500, "exposure_cap": 1500, "risk_cap": 2000, "margin_cap": 1800}


def test_an_entry_takes_its_margin_its_fee_and_its_place() -> None:
    left = some_room("100", "1000", "ETHUSDT").less("BTCUSDT", Decimal(300), leverage=3, taker_fee=Decimal("0.01"))

    assert left == some_room("400", "897", "ETHUSDT", "BTCUSDT")
