"""
A new order with everything a trader may say of it, and the combinations that the exchange takes.

What cannot be an order is refused here, in one line and before anything is sent.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from shared.domain.errors import Refused
from shared.domain.order import Intent, OrderType, Side
from shared.domain.position import Direction
from shared.exchange.fields import number

_CLIENT_ORDER_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_CALLBACK_RATES = (Decimal("0.1"), Decimal(5))


class TimeInForce(StrEnum):
    """How long an order with a price may rest."""

    GTC = "GTC"
    """Until it is cancelled."""
    IOC = "IOC"
    """It trades what it can at once; the rest expires."""
    FOK = "FOK"
    """It trades whole and at once, or expires."""
    GTX = "GTX"
    """Post only: it expires rather than take."""
    HIDDEN = "HIDDEN"
    """Until it is cancelled, and never shown in the book."""


class WatchedPrice(StrEnum):
    """The price that a trigger watches."""

    MARK = "MARK_PRICE"
    LAST = "CONTRACT_PRICE"


class SelfTrade(StrEnum):
    """Which of two orders of one account expires rather than trade with the other."""

    TAKER = "EXPIRE_TAKER"
    MAKER = "EXPIRE_MAKER"
    BOTH = "EXPIRE_BOTH"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What an order of one type has to say, and what it may say beside; what neither names it may not."""

    needs: frozenset[str]
    may: frozenset[str] = frozenset()


_WAITS = frozenset({"watches", "price_protect"})
_RULES = {
    OrderType.LIMIT: _Rule(frozenset({"quantity", "price"}), frozenset({"time_in_force"})),
    OrderType.MARKET: _Rule(frozenset({"quantity"})),
    OrderType.STOP: _Rule(frozenset({"quantity", "price", "stop_price"}), _WAITS | {"time_in_force"}),
    OrderType.TAKE_PROFIT: _Rule(frozenset({"quantity", "price", "stop_price"}), _WAITS | {"time_in_force"}),
    OrderType.STOP_MARKET: _Rule(frozenset({"stop_price"}), _WAITS | {"quantity"}),
    OrderType.TAKE_PROFIT_MARKET: _Rule(frozenset({"stop_price"}), _WAITS | {"quantity"}),
    OrderType.TRAILING_STOP_MARKET: _Rule(
        frozenset({"quantity", "callback_rate"}), frozenset({"watches", "activation_price"})
    ),
}
_OPTIONS = (
    "quantity",
    "price",
    "time_in_force",
    "stop_price",
    "watches",
    "price_protect",
    "activation_price",
    "callback_rate",
)
_POSITIVE = ("quantity", "price", "stop_price", "activation_price", "callback_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """
    An order to be placed. A `quantity` of None closes the whole position when triggered.

    `direction` is that of the position it opens or ends. Making one that the exchange cannot take raises Refused.
    """

    symbol: str
    side: Side
    direction: Direction
    type: OrderType
    client_order_id: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    """GTC where a price needs one and none is given."""
    stop_price: Decimal | None = None
    watches: WatchedPrice | None = None
    """The last price where none is given, as the exchange has it."""
    price_protect: bool = False
    """It does not trigger while mark and last price are further apart than the contract's `triggerProtect`."""
    activation_price: Decimal | None = None
    callback_rate: Decimal | None = None
    """In percent."""
    reduce_only: bool = False
    self_trade: SelfTrade | None = None
    """The account's own setting where none is given."""

    def __post_init__(self) -> None:
        if complaints := list(self._complaints()):
            raise Refused(f"no {self.type.value} order for {self.symbol} can be made of this: {'; '.join(complaints)}")

    @classmethod
    def of(cls, intent: Intent) -> "NewOrder":
        """Return what to send for *intent*; its trigger watches the mark price."""
        return cls(
            symbol=intent.symbol,
            side=intent.side,
            direction=intent.direction,
            type=intent.type,
            client_order_id=intent.client_order_id,
            quantity=intent.quantity,
            stop_price=intent.stop_price,
            watches=None if intent.stop_price is None else WatchedPrice.MARK,
            reduce_only=intent.reduce_only,
        )

    @property
    def only_reduces(self) -> bool:
        """True for an order that can only make a position smaller: it goes ahead of others."""
        return self.reduce_only or self.quantity is None

    def params(self, *, hedged: bool) -> dict[str, str]:
        """
        Return the parameters that place it.

        In hedge mode the position is named, and being reduce-only follows from it: saying so would be refused.
        """
        named = {
            "positionSide": self.direction.value if hedged else None,
            "timeInForce": self._time_in_force,
            "quantity": _plain(self.quantity),
            "closePosition": "true" if self.quantity is None else None,
            "price": _plain(self.price),
            "stopPrice": _plain(self.stop_price),
            "workingType": self.watches,
            "priceProtect": "TRUE" if self.price_protect else None,
            "activationPrice": _plain(self.activation_price),
            "callbackRate": _plain(self.callback_rate),
            "reduceOnly": "true" if self.reduce_only and not hedged else None,
            "stpMode": self.self_trade,
            "newClientOrderId": self.client_order_id,
            "newOrderRespType": "RESULT",
        }
        said = {name: str(value) for name, value in named.items() if value is not None}
        return {"symbol": self.symbol, "side": self.side.value, "type": self.type.value, **said}

    @property
    def _time_in_force(self) -> TimeInForce | None:
        return self.time_in_force or (TimeInForce.GTC if self.price is not None else None)

    def _complaints(self) -> Iterator[str]:
        """Say what is wrong with it."""
        rule = _RULES[self.type]
        said = {name for name in _OPTIONS if getattr(self, name) is not None and getattr(self, name) is not False}
        if missing := rule.needs - said:
            yield f"it needs {_listed(missing)}"
        if surplus := said - rule.needs - rule.may:
            yield f"it cannot have {_listed(surplus)}"
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value > 0):
                yield f"{name} is {value}"
        least, most = _CALLBACK_RATES
        if self.callback_rate is not None and not least <= self.callback_rate <= most:
            yield f"callback_rate is {self.callback_rate}, not between {least} and {most}"
        if self.only_reduces and self.side is Side.opening(self.direction):
            yield f"a {self.side.value} cannot end a {self.direction.value} position"
        if self.reduce_only and self.quantity is None:
            yield "what closes the whole position is reduce-only already"
        if not _CLIENT_ORDER_ID.fullmatch(self.client_order_id):
            yield f"client_order_id is {self.client_order_id!r}"


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else number(value)


def _listed(names: set[str] | frozenset[str]) -> str:
    return ", ".join(name for name in _OPTIONS if name in names)
