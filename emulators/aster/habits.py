"""
How the exchange trades where nobody outside it knows for sure: one answer each, and a switch for the other.

A client has to be right under both, so whoever tests one can have either. The defaults are what the exchange most
likely does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _choice(default: Any, meaning: str, *among: int) -> Any:
    return field(default=default, metadata={"help": meaning, "choices": among or None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a venue behaves where the documentation leaves it open."""

    refuses_taking_post_only: bool = _choice(False, "refuse a GTX order that would take (-5022) instead of expiring it")
    refuses_too_much_reduce_only: bool = _choice(
        False, "refuse a reduce-only order larger than its position (-2022) instead of expiring what is too much"
    )
    cancels_idle_closing: bool = _choice(
        False, "cancel, instead of expiring, a close-position order that finds no position when it is triggered"
    )
    locks_leverage: bool = _choice(False, "refuse to change the leverage of a symbol with a position (-2030)")
    duplicate_client_id: int = _choice(-4116, "code for the client order id of another open order", -4116, -4015, -2010)
    numeric_success_code: bool = _choice(False, 'answer the cancelling of all orders with 200 instead of "200"')
    negative_commission: bool = _choice(False, "write a commission that was paid as a negative number in userTrades")
    flat_positions: bool = _choice(True, "show symbols without a position in positionRisk")
    documented_positions: bool = _choice(False, "leave out of positionRisk what its documentation does not name")
