"""How large a position may be, so that its stop costs a known share of equity and every cap holds."""

from dataclasses import dataclass, replace
from decimal import Decimal

from shared.domain.account import RiskLimits
from shared.domain.position import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is taken and what is left while entries are approved one after the other. Money in USD."""

    exposure: Decimal
    available: Decimal
    symbols: frozenset[str]
    """Those with a position, open or approved."""

    def without(self, position: Position, taker_fee: Decimal) -> "Room":
        """Return the room once *position* is closed, its margin free and its fee paid."""
        return replace(
            self,
            exposure=self.exposure - position.notional,
            available=self.available + position.notional / position.leverage - position.notional * taker_fee,
            symbols=self.symbols - {position.symbol},
        )

    def less(self, symbol: str, notional: Decimal, *, leverage: int, taker_fee: Decimal) -> "Room":
        """Return the room left after one more entry, its margin and its fee paid."""
        return replace(
            self,
            exposure=self.exposure + notional,
            available=self.available - notional / leverage - notional * taker_fee,
            symbols=self.symbols | {symbol},
        )


def largest_notional(
    limits: RiskLimits,
    *,
    equity: Decimal,
    room: Room,
    stop_distance: Decimal,
    taker_fee: Decimal,
    leverage: int,
    held: Position | None = None,
) -> tuple[Decimal, dict[str, Decimal]]:
    """Return the largest notional (USD) that every cap allows, never below zero, and each cap by name.

    With *held*, that is what may be added to it: position and risk are capped for the whole, as if all of it were
    entered now with the new stop, and what the new leverage ties up for the part that is held is taken off the margin.

    The risk cap is `equity * risk_per_trade / (stop_distance + 2 * taker_fee)`: a stop-out, fees included, costs no
    more than `risk_per_trade` of equity. The margin cap leaves `min_margin_left` of equity untouched and pays the
    entry's fee.
    """
    free_margin = room.available - equity * limits.min_margin_left
    taken = held.notional if held else Decimal(0)
    if held and leverage < held.leverage:
        free_margin -= taken / leverage - taken / held.leverage
    caps = {
        "position_cap": equity * limits.max_position_fraction - taken,
        "exposure_cap": equity * limits.max_exposure_fraction - room.exposure,
        "risk_cap": equity * limits.risk_per_trade / (stop_distance + 2 * taker_fee) - taken,
        "margin_cap": free_margin / (1 / Decimal(leverage) + taker_fee),
    }
    return max(Decimal(0), min(caps.values())), caps
