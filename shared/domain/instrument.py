"""What an order for one symbol must look like for the exchange to take it."""

from dataclasses import dataclass
from decimal import Context, Decimal

_EXACT = Context(prec=100)
"""Of the usual 28 digits, 0.99… of a step would make a whole one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A perpetual contract and its filters. Prices in the quote asset (USD), quantities in the base asset."""

    symbol: str
    trading: bool
    tick_size: Decimal
    min_price: Decimal
    max_price: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_market_quantity: Decimal
    min_notional: Decimal

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """Round down to the step and to the largest market order: rounding up would risk more than was allowed."""
        return _at_most(min(quantity, self.max_market_quantity), self.step_size)

    def in_market_orders(self, quantity: Decimal) -> tuple[Decimal, ...]:
        """Return the sizes of market orders that make up *quantity*, rounded down to the step.

        None is larger than the largest order, and none but a quantity that is too small itself is below the smallest.
        """
        left = _at_most(quantity, self.step_size)
        largest = _at_most(self.max_market_quantity, self.step_size)
        smallest = _at_least(self.min_quantity, self.step_size)
        sizes = []
        while left > largest:
            sizes.append(min(largest, left - smallest))
            left -= sizes[-1]
        return (*sizes, left)

    def round_price_down(self, price: Decimal) -> Decimal:
        """Return the nearest tradable price at or below *price*."""
        return self.min_price + _at_most(_EXACT.subtract(price, self.min_price), self.tick_size)

    def round_price_up(self, price: Decimal) -> Decimal:
        """Return the nearest tradable price at or above *price*."""
        return self.min_price + _at_least(_EXACT.subtract(price, self.min_price), self.tick_size)

    def accepts(self, quantity: Decimal, price: Decimal) -> bool:
        """Say whether a market order of *quantity* near *price* passes the size and notional filters."""
        return self.min_quantity <= quantity <= self.max_market_quantity and quantity * price >= self.min_notional


def _at_most(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of *step* that is not above *value*."""
    steps, rest = _EXACT.divmod(value, step)
    return (steps - 1 if rest < 0 else steps) * step


def _at_least(value: Decimal, step: Decimal) -> Decimal:
    steps, rest = _EXACT.divmod(value, step)
    return (steps + 1 if rest > 0 else steps) * step
