"""
Leverage brackets: how much leverage a position of some notional may have, and what margin keeps it open.

Maintenance margin is notional times the ratio of its bracket less the bracket's `cum`, the amount that makes the
margin continuous from one bracket to the next. The two tables are plausible, not the exchange's: it publishes its own
per symbol.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bracket:
    """Positions with a notional of *floor* up to *cap*."""

    number: int
    leverage: int
    floor: Decimal
    cap: Decimal
    ratio: Decimal
    cum: Decimal


def _table(rows: list[tuple[int, int, str]]) -> tuple[Bracket, ...]:
    brackets: list[Bracket] = []
    floor, cum, last_ratio = Decimal(0), Decimal(0), Decimal(0)
    for number, (cap, leverage, ratio_text) in enumerate(rows, start=1):
        ratio = Decimal(ratio_text)
        cum += floor * (ratio - last_ratio)
        brackets.append(Bracket(number, leverage, floor, Decimal(cap), ratio, cum))
        floor, last_ratio = Decimal(cap), ratio
    return tuple(brackets)


MAJORS = frozenset({"BTCUSDT", "ETHUSDT"})
MAJOR_BRACKETS = _table([
    (50_000, 125, "0.004"), (250_000, 100, "0.005"), (1_000_000, 50, "0.01"), (10_000_000, 20, "0.025"),
    (20_000_000, 10, "0.05"), (50_000_000, 5, "0.1"), (100_000_000, 4, "0.125"), (200_000_000, 3, "0.15"),
    (300_000_000, 2, "0.25"), (500_000_000, 1, "0.5"),
])  # fmt: skip
OTHER_BRACKETS = _table([
    (10_000, 75, "0.0065"), (50_000, 50, "0.01"), (250_000, 25, "0.02"), (1_000_000, 20, "0.025"),
    (2_000_000, 10, "0.05"), (5_000_000, 5, "0.1"), (10_000_000, 4, "0.125"), (20_000_000, 2, "0.25"),
    (50_000_000, 1, "0.5"),
])  # fmt: skip


def brackets_of(symbol: str) -> tuple[Bracket, ...]:
    """Return the brackets of a symbol, smallest positions first."""
    return MAJOR_BRACKETS if symbol in MAJORS else OTHER_BRACKETS


def bracket_of(symbol: str, notional: Decimal) -> Bracket:
    """Return the bracket a notional falls into; the last one has no end."""
    table = brackets_of(symbol)
    return next((bracket for bracket in table if notional <= bracket.cap), table[-1])


def maintenance_margin(symbol: str, notional: Decimal) -> Decimal:
    """Return the margin below which a position of this notional is liquidated."""
    bracket = bracket_of(symbol, notional)
    return notional * bracket.ratio - bracket.cum


def max_leverage(symbol: str) -> int:
    return brackets_of(symbol)[0].leverage


def max_notional(symbol: str, leverage: int) -> Decimal:
    """Return the largest position allowed at a leverage."""
    return max(bracket.cap for bracket in brackets_of(symbol) if bracket.leverage >= leverage)
