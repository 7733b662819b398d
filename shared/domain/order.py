"""
Orders: what we promised ourselves to send, what the exchange says of it, and what was traded.

An intent is written before it is sent. Its client order id follows from the cycle, the symbol, the leg and the attempt,
so whoever repeats the work arrives at the same id and finds the first one's row instead of sending a second order.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from shared.domain.position import Direction

OUR_PREFIX = "pp-"


class Side(StrEnum):
    """The side of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @classmethod
    def opening(cls, direction: Direction) -> "Side":
        """Return the side that opens a position in *direction*."""
        return cls.BUY if direction is Direction.LONG else cls.SELL


class OrderType(StrEnum):
    """The order types of the exchange."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"


class Leg(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"
    EXTERNAL = "external"
    """Somebody else's: placed by hand, by another program or by the exchange."""


PROTECTION = {Leg.STOP: OrderType.STOP_MARKET, Leg.TARGET: OrderType.TAKE_PROFIT_MARKET}


class OrderState(StrEnum):
    """Where an order of ours stands.

    INTENDED and UNRESOLVED may or may not be live at the exchange; only a look-up may settle them. ABSENT is proven
    never to have landed.
    """

    INTENDED = "INTENDED"
    UNRESOLVED = "UNRESOLVED"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    ABSENT = "ABSENT"

    @property
    def unsettled(self) -> bool:
        """True while we do not know whether the exchange has the order."""
        return self in {OrderState.INTENDED, OrderState.UNRESOLVED}

    @property
    def working(self) -> bool:
        """True while the order rests at the exchange."""
        return self in {OrderState.NEW, OrderState.PARTIALLY_FILLED}

    @property
    def ended(self) -> bool:
        """True once the exchange has had the order and told its end. REJECTED and ABSENT only say that it had none."""
        return self in {OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """
    An order we have promised ourselves to send. A `quantity` of None closes the whole position when triggered.

    `direction` is that of the position it opens or ends, which in hedge mode is not told by its side.
    """

    account_id: str
    tick: datetime
    symbol: str
    leg: Leg
    attempt: int
    side: Side
    direction: Direction
    type: OrderType
    quantity: Decimal | None
    stop_price: Decimal | None = None
    reduce_only: bool = False

    @property
    def client_order_id(self) -> str:
        """The same for the same cycle, symbol, leg and attempt; at most 36 characters of the exchange's alphabet."""
        name = f"{self.account_id}|{self.tick.isoformat()}|{self.symbol}|{self.leg}|{self.attempt}"
        return f"{OUR_PREFIX}{self.leg}-{hashlib.sha256(name.encode()).hexdigest()[:24]}"

    @property
    def closes_position(self) -> bool:
        """True for an order without a size of its own: it ends whatever position it finds."""
        return self.quantity is None


def leg_named(client_order_id: str) -> Leg:
    """Return what an order of ours is for, which its name tells; EXTERNAL for a name that is not of our making."""
    name, _, _ = client_order_id.removeprefix(OUR_PREFIX).partition("-")
    ours = client_order_id.startswith(OUR_PREFIX) and name in {Leg.ENTRY, Leg.STOP, Leg.TARGET, Leg.EXIT}
    return Leg(name) if ours else Leg.EXTERNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """
    An order as the exchange reports it, ours or anybody's.

    `position_side` is the position it acts on in hedge mode; None in one-way mode, where a symbol has only one.
    """

    client_order_id: str
    venue_order_id: int
    symbol: str
    side: Side
    type: OrderType
    state: OrderState
    quantity: Decimal
    executed_quantity: Decimal
    average_price: Decimal
    price: Decimal
    stop_price: Decimal
    reduce_only: bool
    closes_position: bool
    updated_at: datetime
    position_side: Direction | None = None

    @property
    def direction(self) -> Direction:
        """That of the position it opens or ends, as far as the order itself tells."""
        if self.position_side is not None:
            return self.position_side
        side = self.side.opposite if self.reduce_only or self.closes_position else self.side
        return Direction.LONG if side is Side.BUY else Direction.SHORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A row of our order book: the intent, and what became of it."""

    intent: Intent
    client_order_id: str
    state: OrderState
    venue_order_id: int | None = None
    executed_quantity: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)
    reason: str | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersAround:
    """The orders that concern a cycle, each list the oldest first."""

    alive: tuple[Order, ...]
    """Those that rest at the exchange, or may."""
    of_cycle: tuple[Order, ...]
    """Those that the cycle has promised."""
    exits: tuple[Order, ...]
    """Of its tick and since, those that end something and that the exchange took, or may have taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """
    One trade. Counted once, by the exchange's trade id. `commission` is what it cost, positive.

    `position_side` is the position it changed in hedge mode; None in one-way mode.
    """

    trade_id: int
    venue_order_id: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    realized_pnl: Decimal
    commission: Decimal
    commission_asset: str
    maker: bool
    at: datetime
    position_side: Direction | None = None


class IncomeKind(StrEnum):
    """Why the wallet changed, in the exchange's words. Anything it adds later is kept as OTHER."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    FUNDING_FEE = "FUNDING_FEE"
    COMMISSION = "COMMISSION"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"
    WELCOME_BONUS = "WELCOME_BONUS"
    OTHER = "OTHER"

    @property
    def told_by_fills(self) -> bool:
        """True for what the fills already say: booking it again would count it twice."""
        return self in {IncomeKind.REALIZED_PNL, IncomeKind.COMMISSION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """One change of the wallet from the exchange's own ledger. `amount` is signed: what the wallet gained."""

    transaction_id: str
    kind: IncomeKind
    symbol: str | None
    amount: Decimal
    asset: str
    at: datetime
