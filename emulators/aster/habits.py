"""
What the exchange is not known for sure to do: one answer each, and a switch for the other.

A client has to be right under both, so whoever tests one can have either.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a venue behaves where the documentation leaves it open."""

    refuses_taking_post_only: bool = False
    """Refuse a GTX order that would take (-5022) instead of accepting it and letting it expire."""
    refuses_too_much_reduce_only: bool = False
    """Refuse a reduce-only order larger than the position (-2022) instead of letting the rest of it expire."""
    locks_leverage: bool = False
    """Refuse any change of leverage while there is a position (-2030)."""
    numeric_success_code: bool = False
    """Answer a cancelling of all orders with the code 200 instead of "200"."""
