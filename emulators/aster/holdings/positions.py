"""
Positions, kept by their cost so that no average is ever rounded.

The entry price is the volume-weighted average of the open part; closing a part realizes its share of the cost and
leaves the entry price as it was. An isolated position has a wallet of its own: the initial margin of what is opened
goes into it, and closing a part gives its share back.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

EXACT = Context(prec=60)
"""A share of a cost may never end; sixty digits are further than any wallet can tell."""
ZERO = Decimal(0)
CENT_OF_A_CENT = Decimal("0.00000001")


def rounded(amount: Decimal) -> Decimal:
    """Return an amount as a wallet can book it: eight decimals, half to even."""
    return amount.quantize(CENT_OF_A_CENT)


@dataclass(slots=True)
class Position:
    """The position of one account in one symbol; a short one has a negative quantity and cost."""

    side: str = "BOTH"
    """LONG or SHORT in hedge mode."""
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    """Sum of quantity times price over the open part."""
    isolated: Decimal = ZERO
    """The wallet of an isolated position."""
    update_time: int = 0

    @property
    def entry_price(self) -> Decimal:
        return EXACT.divide(self.cost, self.quantity) if self.quantity else ZERO

    def unrealized(self, price: Decimal) -> Decimal:
        """Return the profit of closing everything at a price, before commission."""
        return self.quantity * price - self.cost

    def closable(self, sign: int) -> Decimal:
        """Return how much an order of this sign (buy 1, sell -1) could close."""
        return abs(self.quantity) if self.quantity * sign < 0 else ZERO

    def fill(self, quantity: Decimal, price: Decimal, *, leverage: int | None = None) -> Decimal:
        """
        Trade a signed *quantity* and return the profit realized, unrounded.

        With a *leverage* the position is isolated, and margin moves in or out with the trade.
        """
        sign = 1 if quantity > 0 else -1
        closing = min(abs(quantity), self.closable(sign))
        realized = ZERO
        if closing:
            share = EXACT.divide(EXACT.multiply(self.cost, closing), abs(self.quantity))
            realized = EXACT.subtract(-sign * closing * price, share)
            self.isolated -= rounded(EXACT.divide(EXACT.multiply(self.isolated, closing), abs(self.quantity)))
            self.quantity += sign * closing
            self.cost = EXACT.subtract(self.cost, share) if self.quantity else ZERO
        opening = quantity - sign * closing
        if opening:
            self.quantity += opening
            self.cost = EXACT.add(self.cost, opening * price)
            if leverage is not None:
                self.isolated += rounded(abs(opening) * price / leverage)
        return realized
