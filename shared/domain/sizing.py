"""How large a position may be, so that its stop costs a known share of equity and every cap holds."""

from dataclasses import dataclass, replace
from decimal import Decimal

from shared.domain.account import Cap, RiskLimits
from shared.domain.performance import Combined
from shared.domain.position import Position

LIQUIDATION_BUFFER = Decimal("0.8")
"""A stop must trigger within this share of the way that leverage leaves before liquidation."""

MAINTENANCE_MARGIN = Decimal("0.01")
"""Of the notional: what liquidation comes early by. The exchange asks less of positions that are not very large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is taken and what is left while entries are approved one after the other. Money in USD."""

    exposure: Decimal
    available: Decimal
    symbols: frozenset[str]
    """Those with a position, open or approved."""
    entries: int
    """Approved today."""
    flips: int
    """Those of them that turned a position around."""

    def without(self, position: Position, taker_fee: Decimal) -> "Room":
        """Return the room once *position* is closed, its margin free and its fee paid."""
        return replace(
            self,
            exposure=self.exposure - position.notional,
            available=self.available + position.notional / position.leverage - position.notional * taker_fee,
            symbols=self.symbols - {position.symbol},
        )

    def less(
        self,
        symbol: str,
        notional: Decimal,
        *,
        leverage: int,
        taker_fee: Decimal,
        flip: bool,
        held: Position | None = None,
    ) -> "Room":
        """Return the room left after one more entry, its margin and its fee paid; *held* is what it is added to."""
        return replace(
            self,
            exposure=self.exposure + notional,
            available=self.available - notional / leverage - notional * taker_fee - tied_up(held, leverage),
            symbols=self.symbols | {symbol},
            entries=self.entries + 1,
            flips=self.flips + flip,
        )


def tied_up(held: Position | None, leverage: int) -> Decimal:
    """Return what *leverage* ties up of the margin for what is held already; nothing comes free by a larger one."""
    if held is None:
        return Decimal(0)
    return max(Decimal(0), held.notional / leverage - held.notional / held.leverage)


def largest_leverage(stop_distance: Decimal) -> int:
    """Return the most leverage with which a stop so far away still comes before liquidation; 0 where none does."""
    return int(1 / (stop_distance / LIQUIDATION_BUFFER + MAINTENANCE_MARGIN))


def notional_caps(
    limits: RiskLimits,
    *,
    equity: Decimal,
    room: Room,
    stop_cost: Decimal,
    taker_fee: Decimal,
    leverage: int,
    held: Position | None = None,
    others: Combined | None = None,
) -> dict[Cap, Decimal]:
    """Return by name what each cap leaves for an entry (USD); below zero where it is exceeded already.

    With *held*, that is what may be added to it: position and risk are capped for the whole, as if all of it were
    entered now with the new stop, and what the new leverage ties up for the part that is held is taken off the margin.
    With *others*, all accounts together have a cap as well.

    The risk cap is `equity * risk_per_trade / stop_cost`, where *stop_cost* is the share of the notional that a stop
    loss costs, fees and spread included. The margin cap leaves `min_margin_left` of equity untouched and pays the
    entry's fee.
    """
    free_margin = room.available - equity * limits.min_margin_left - tied_up(held, leverage)
    taken = held.notional if held else Decimal(0)
    caps = {
        Cap.POSITION: equity * limits.max_position_fraction - taken,
        Cap.EXPOSURE: equity * limits.max_exposure_fraction - room.exposure,
        Cap.RISK: equity * limits.risk_per_trade / stop_cost - taken,
        Cap.MARGIN: free_margin / (1 / Decimal(leverage) + taker_fee),
    }
    if others:
        most = (equity + others.equity) * limits.global_max_exposure_fraction
        caps[Cap.GLOBAL_EXPOSURE] = most - others.exposure - room.exposure
    return caps
