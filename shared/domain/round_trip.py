"""
Round trips: what a position was from flat to flat, put together from the trades that made it.

Trades of one position come in the order of the exchange's trade ids. A trip is a sum over its trades, so it makes no
difference whether they are booked one by one or all at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from shared.domain.order import Fill, Side
from shared.domain.position import WALLET_ASSET, Direction

PositionKey = tuple[str, Direction | None]
"""Symbol and position side: None in one-way mode, where a symbol has one position."""


class ExitReason(StrEnum):
    """What ended a position."""

    STOP = "stop"
    TARGET = "target"
    DECISION = "decision"
    """A model's, to close it or to turn it around."""
    GUARD = "guard"
    """Code: its exit plan came true, a breaker flattens, or it could not be protected."""
    HAND = "hand"
    """A person, through us: closed by hand, or an emergency stop."""
    EXTERNAL = "external"
    """No order of ours: at the exchange by hand, by another program, or by the exchange, a liquidation for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """A position from flat to flat, or so far. Quantities are positive; `direction` carries the sign. USD."""

    symbol: str
    position_side: Direction | None
    direction: Direction
    first_trade_id: int
    last_trade_id: int
    entry_order: int
    """The exchange's id of the order that opened it."""
    exit_order: int | None
    """Of the order that ended it; None while it is open."""
    opened_at: datetime
    closed_at: datetime | None
    held: Decimal
    """What is left of it."""
    entered: Decimal
    entry_value: Decimal
    exited: Decimal
    exit_value: Decimal
    realized: Decimal
    fees: Decimal
    trades: int

    @property
    def key(self) -> PositionKey:
        """Which position it was."""
        return self.symbol, self.position_side

    @property
    def holding(self) -> timedelta | None:
        """How long it stood; None while it does."""
        return None if self.closed_at is None else self.closed_at - self.opened_at


_BY = {
    ExitReason.STOP: "by its stop",
    ExitReason.TARGET: "by its target",
    ExitReason.DECISION: "by a decision",
    ExitReason.GUARD: "by a rule",
    ExitReason.HAND: "by hand",
    ExitReason.EXTERNAL: "by somebody else",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a position ended: `net` is what it brought after fees and funding, USD."""

    symbol: str
    direction: Direction
    quantity: Decimal
    price: Decimal
    net: Decimal
    reason: ExitReason
    opened_at: datetime
    closed_at: datetime

    @property
    def words(self) -> str:
        """Say it in a line."""
        held = (self.closed_at - self.opened_at) // timedelta(minutes=1)
        return (
            f"ended {_BY[self.reason]}: {self.direction.value} {self.quantity:f} {self.symbol} at {self.price:f}, "
            f"{self.net:+.2f} USD after fees and funding, held for {held // 60} h {held % 60} min"
        )


def book(open_trips: Mapping[PositionKey, RoundTrip], fills: Iterable[Fill]) -> list[RoundTrip]:
    """Return the round trips that *fills*, oldest first, began, continued or ended, as they are after them.

    A trade that turns a position around ends one trip and begins the next; its fee is shared out by size. A trade that
    ends what no trade began is in no trip: the position is older than the books.
    """
    running = dict(open_trips)
    ended: list[RoundTrip] = []
    touched: set[PositionKey] = set()
    for fill in fills:
        if not fill.quantity:
            continue  # it moved nothing, and has no size to share its fee out by
        key = (fill.symbol, fill.position_side)
        trip = running.get(key)
        if trip is None:
            if not _ends_something(fill):
                running[key] = _begun(fill, fill.quantity, _fee(fill))
                touched.add(key)
            continue
        touched.add(key)
        if fill.side is Side.opening(trip.direction):
            running[key] = _enlarged(trip, fill)
            continue
        part = min(fill.quantity, trip.held)
        fee = _fee(fill) * part / fill.quantity
        left = _reduced(trip, fill, part, fee)
        if left.closed_at is None:
            running[key] = left
            continue
        ended.append(left)
        del running[key]
        # In hedge mode a position cannot turn around: what exceeds it was somebody's whom the books do not know.
        if fill.quantity > part and fill.position_side is None:
            rest = _begun(replace(fill, realized_pnl=Decimal(0)), fill.quantity - part, _fee(fill) - fee)
            running[key] = rest
    return ended + [trip for key, trip in running.items() if key in touched]


def _ends_something(fill: Fill) -> bool:
    """Say whether a trade that met no position of ours ended one all the same."""
    against = fill.position_side is not None and fill.side is not Side.opening(fill.position_side)
    return against or fill.realized_pnl != 0


def _begun(fill: Fill, quantity: Decimal, fee: Decimal) -> RoundTrip:
    return RoundTrip(
        symbol=fill.symbol,
        position_side=fill.position_side,
        direction=Direction.LONG if fill.side is Side.BUY else Direction.SHORT,
        first_trade_id=fill.trade_id,
        last_trade_id=fill.trade_id,
        entry_order=fill.venue_order_id,
        exit_order=None,
        opened_at=fill.at,
        closed_at=None,
        held=quantity,
        entered=quantity,
        entry_value=quantity * fill.price,
        exited=Decimal(0),
        exit_value=Decimal(0),
        realized=fill.realized_pnl,
        fees=fee,
        trades=1,
    )


def _enlarged(trip: RoundTrip, fill: Fill) -> RoundTrip:
    return replace(
        trip,
        last_trade_id=fill.trade_id,
        held=trip.held + fill.quantity,
        entered=trip.entered + fill.quantity,
        entry_value=trip.entry_value + fill.quantity * fill.price,
        realized=trip.realized + fill.realized_pnl,
        fees=trip.fees + _fee(fill),
        trades=trip.trades + 1,
    )


def _reduced(trip: RoundTrip, fill: Fill, part: Decimal, fee: Decimal) -> RoundTrip:
    ends = part == trip.held
    return replace(
        trip,
        last_trade_id=fill.trade_id,
        exit_order=fill.venue_order_id if ends else None,
        closed_at=fill.at if ends else None,
        held=trip.held - part,
        exited=trip.exited + part,
        exit_value=trip.exit_value + part * fill.price,
        realized=trip.realized + fill.realized_pnl,
        fees=trip.fees + fee,
        trades=trip.trades + 1,
    )


def _fee(fill: Fill) -> Decimal:
    """Return what the trade cost of the wallet: fees in other assets are none of its money."""
    return fill.commission if fill.commission_asset == WALLET_ASSET else Decimal(0)
