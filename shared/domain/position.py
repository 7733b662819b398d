"""Positions and what an account is worth, as the exchange reports them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

WALLET_ASSET = "USDT"
"""What positions are settled in. The books are kept in it alone, whatever else an account holds beside."""


class Direction(StrEnum):
    """Which way a position earns."""

    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def sign(self) -> int:
        """+1 for LONG, -1 for SHORT."""
        return 1 if self is Direction.LONG else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An open position. `quantity` is positive; `direction` carries the sign."""

    symbol: str
    direction: Direction
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized: Decimal
    leverage: int
    liquidation_price: Decimal | None

    @property
    def key(self) -> tuple[str, Direction]:
        """What names it: hedge mode holds a LONG and a SHORT of one symbol."""
        return self.symbol, self.direction

    @property
    def notional(self) -> Decimal:
        """Size in USD at the mark price."""
        return self.quantity * self.mark_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What the account holds of the asset that positions are settled in."""

    wallet: Decimal
    unrealized: Decimal
    available: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal

    @property
    def equity(self) -> Decimal:
        """Wallet balance plus unrealized profit and loss."""
        return self.wallet + self.unrealized


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """How an account holds positions. A person can change it at the exchange, and then sizes and risks are others."""

    hedged: bool
    isolated: frozenset[str]
    """The symbols whose positions have a margin of their own."""

    def change_to(self, now: "Modes") -> str:
        """Say in words what is different *now*; empty where nothing is."""
        said = []
        if now.hedged is not self.hedged:
            said.append(f"the account is in {'hedge' if now.hedged else 'one-way'} mode")
        said += [f"{symbol} has isolated margin" for symbol in sorted(now.isolated - self.isolated)]
        said += [f"{symbol} has cross margin" for symbol in sorted(self.isolated - now.isolated)]
        return ", ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What is known of an account before it is looked at."""

    modes: Modes | None
    """How it held positions when that was first seen; None when it was not since it was resumed."""
    first: bool
    """It was never seen before: it has no books."""
    resting: frozenset[str]
    """Symbols in which an order rests, or may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """
    The balance and every open position at one moment.

    `hedged` tells the account's position mode: in hedge mode a symbol may have a LONG and a SHORT position, in one-way
    mode it has one at most. `isolated` names the symbols with isolated margin, held or not.
    """

    balance: Balance
    positions: tuple[Position, ...]
    at: datetime
    hedged: bool = False
    isolated: frozenset[str] = frozenset()

    @property
    def keys(self) -> frozenset[tuple[str, Direction]]:
        """Symbol and direction of each open position."""
        return frozenset(held.key for held in self.positions)

    def at_prices(self, marks: Mapping[str, Decimal]) -> "Holdings":
        """Return the holdings as they are worth at other mark prices, where those are known.

        A loss is taken off what is available; a gain is not added to it before the exchange says so.
        """
        positions, gained = [], Decimal(0)
        for held in self.positions:
            mark = marks.get(held.symbol, held.mark_price)
            change = (mark - held.mark_price) * held.quantity * held.direction.sign
            positions.append(replace(held, mark_price=mark, unrealized=held.unrealized + change))
            gained += change
        balance = replace(
            self.balance,
            unrealized=self.balance.unrealized + gained,
            available=self.balance.available + min(Decimal(0), gained),
        )
        return replace(self, balance=balance, positions=tuple(positions))

    def modes(self, symbols: Iterable[str]) -> Modes:
        """Return how positions in *symbols* are held."""
        return Modes(hedged=self.hedged, isolated=self.isolated.intersection(symbols))

    def positions_in(self, symbol: str) -> tuple[Position, ...]:
        """Return the open positions in *symbol*, the larger first: none or one, and in hedge mode at most two."""
        found = (held for held in self.positions if held.symbol == symbol)
        return tuple(sorted(found, key=lambda held: held.quantity, reverse=True))

    def position(self, symbol: str) -> Position | None:
        """Return the open position in *symbol*, or None; of two, the larger."""
        return next(iter(self.positions_in(symbol)), None)
