"""What an order for one symbol must look like for the exchange to take it."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal


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
        return self._on_step(min(quantity, self.max_market_quantity), ROUND_DOWN)

    def in_market_orders(self, quantity: Decimal) -> tuple[Decimal, ...]:
        """Return the sizes of market orders that make up *quantity*, rounded down to the step.

        None is larger than the largest order, and none but a quantity that is too small itself is below the smallest.
        """
        left = self._on_step(quantity, ROUND_DOWN)
        largest = self._on_step(self.max_market_quantity, ROUND_DOWN)
        smallest = self._on_step(self.min_quantity, ROUND_CEILING)
        sizes = []
        while left > largest:
            sizes.append(min(largest, left - smallest))
            left -= sizes[-1]
        return (*sizes, left)

    def round_price_down(self, price: Decimal) -> Decimal:
        """Return the nearest tradable price at or below *price*."""
        return self._on_tick(price, ROUND_FLOOR)

    def round_price_up(self, price: Decimal) -> Decimal:
        """Return the nearest tradable price at or above *price*."""
        return self._on_tick(price, ROUND_CEILING)

    def accepts(self, quantity: Decimal, price: Decimal) -> bool:
        """Say whether a market order of *quantity* near *price* passes the size and notional filters."""
        return self.min_quantity <= quantity <= self.max_market_quantity and quantity * price >= self.min_notional

    def _on_step(self, quantity: Decimal, rounding: str) -> Decimal:
        return (quantity / self.step_size).to_integral_value(rounding) * self.step_size

    def _on_tick(self, price: Decimal, rounding: str) -> Decimal:
        ticks = ((price - self.min_price) / self.tick_size).to_integral_value(rounding)
        return self.min_price + ticks * self.tick_size
