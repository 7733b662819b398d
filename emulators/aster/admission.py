"""
Who may join the book: reading a new order's parameters and holding them against the symbol's filters.

Every rule has the exchange's own refusal code. Where several rules are broken, the first of these speaks: form,
decimals (-1111), bounds and grids, the order's sense, the number of orders, its value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from .accounts import Account
from .errors import Refusal
from .orders import CONDITIONAL
from .parameters import Parameters, choice, decimal, flag, needed_decimal
from .positions import ZERO
from .symbols import Instrument, decimals_of

SIDES = frozenset({"BUY", "SELL"})
TYPES = frozenset({"LIMIT", "MARKET", *CONDITIONAL})
PRICED = frozenset({"LIMIT", "STOP", "TAKE_PROFIT"})
CLOSING_TYPES = frozenset({"STOP_MARKET", "TAKE_PROFIT_MARKET"})
TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTX"})
POSITION_SIDES = frozenset({"BOTH", "LONG", "SHORT"})
WORKING_TYPES = frozenset({"CONTRACT_PRICE", "MARK_PRICE"})
CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """A well-formed order that nobody has accepted yet; zero where it has no quantity, price or stop price."""

    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    reduce_only: bool
    close_position: bool
    position_side: str
    working_type: str
    price_protect: bool
    client_id: str | None

    @property
    def only_closes(self) -> bool:
        return self.reduce_only or self.close_position


def read_order(parameters: Parameters, instrument: Instrument) -> NewOrder:
    """Return the order the parameters describe; it obeys the filters of price and quantity."""
    side = choice(parameters, "side", SIDES, -1117)
    if parameters.get("type") == "TRAILING_STOP_MARKET":
        raise Refusal(-4084)
    kind = choice(parameters, "type", TYPES, -1116)
    closing, reducing = flag(parameters, "closePosition"), flag(parameters, "reduceOnly")
    if closing:
        _refuse_odd_closing(parameters, kind)
    in_force = choice(parameters, "timeInForce", TIMES_IN_FORCE, -1115, None if kind == "LIMIT" else "GTC")
    client_id = parameters.get("newClientOrderId") or None
    if client_id is not None and not CLIENT_ID.fullmatch(client_id):
        raise Refusal(-4015)
    quantity = ZERO if closing else needed_decimal(parameters, "quantity")
    price = needed_decimal(parameters, "price") if kind in PRICED else ZERO
    stop_price = needed_decimal(parameters, "stopPrice") if kind in CONDITIONAL else ZERO
    order = NewOrder(
        side=side,
        type=kind,
        time_in_force=in_force,
        quantity=quantity,
        price=price,
        stop_price=stop_price,
        reduce_only=reducing,
        close_position=closing,
        position_side=choice(parameters, "positionSide", POSITION_SIDES, -4060, "BOTH"),
        working_type=choice(parameters, "workingType", WORKING_TYPES, -4031, "CONTRACT_PRICE"),
        price_protect=flag(parameters, "priceProtect"),
        client_id=client_id,
    )
    _refuse_off_grid(order, instrument)
    return order


def refuse_if_unreasonable(order: NewOrder, account: Account, instrument: Instrument, *, mark: Decimal) -> None:
    """Refuse an order that does not fit the price of the moment or what the account already has."""
    sign = 1 if order.side == "BUY" else -1
    if (order.position_side == "BOTH") == account.hedge_mode:
        raise Refusal(-4061)
    if account.hedge_mode:
        raise Refusal(-4084)
    if instrument.entry["status"] != "TRADING" and not order.only_closes:
        raise Refusal(-4140)
    if order.client_id is not None and account.has_open(order.client_id):
        raise Refusal(-4116)
    if order.reduce_only and not account.positions[instrument.symbol].closable(sign):
        raise Refusal(-2022)
    if order.type in CONDITIONAL and _triggers_at_once(order, mark):
        raise Refusal(-2021)
    _refuse_far_prices(order, instrument, mark)
    _refuse_crowding(order, account, instrument)
    if not order.only_closes:
        value = order.quantity * (order.price or order.stop_price or mark)
        if value < instrument.min_notional:
            raise Refusal(-4164, instrument.min_notional)


def _refuse_odd_closing(parameters: Parameters, kind: str) -> None:
    if kind not in CLOSING_TYPES:
        raise Refusal(-4020, kind, "true")
    if decimal(parameters, "quantity"):
        raise Refusal(-4137)
    if flag(parameters, "reduceOnly"):
        raise Refusal(-1106, "reduceOnly")


def _refuse_off_grid(order: NewOrder, instrument: Instrument) -> None:
    for price in (order.price, order.stop_price):
        if decimals_of(price) > instrument.price_precision:
            raise Refusal(-1111)
    if decimals_of(order.quantity) > instrument.quantity_precision:
        raise Refusal(-1111)
    if order.type in PRICED:
        _refuse_price(order.price, instrument, negative=-4001, below=-4013, above=-4002)
    if order.type in CONDITIONAL:
        _refuse_price(order.stop_price, instrument, negative=-4006, below=-4006, above=-4007)
    if not order.close_position:
        market = order.type not in PRICED
        least = instrument.market_min_quantity if market else instrument.min_quantity
        most = instrument.market_max_quantity if market else instrument.max_quantity
        _refuse_quantity(order.quantity, instrument, least=least, most=most)


def _refuse_price(price: Decimal, instrument: Instrument, *, negative: int, below: int, above: int) -> None:
    if price < 0:
        raise Refusal(negative)
    if price < instrument.min_price:
        raise Refusal(below)
    if price > instrument.max_price:
        raise Refusal(above)
    if (price - instrument.min_price) % instrument.tick:
        raise Refusal(-4014)


def _refuse_quantity(quantity: Decimal, instrument: Instrument, *, least: Decimal, most: Decimal) -> None:
    if quantity <= 0:
        raise Refusal(-4003)
    if quantity < least:
        raise Refusal(-4004)
    if quantity > most:
        raise Refusal(-4005)
    if (quantity - least) % instrument.step:
        raise Refusal(-4023)


def _triggers_at_once(order: NewOrder, mark: Decimal) -> bool:
    rises = order.type.startswith("STOP") == (order.side == "BUY")
    return mark >= order.stop_price if rises else mark <= order.stop_price


def _refuse_far_prices(order: NewOrder, instrument: Instrument, mark: Decimal) -> None:
    """A limit price may not be much worse than the mark price, or than the price that triggers it."""
    if order.type not in PRICED:
        return
    waits = order.type in CONDITIONAL
    reference = order.stop_price if waits else mark
    if order.side == "BUY" and order.price > reference * instrument.percent_up:
        raise Refusal(-4183 if waits else -4016)
    if order.side == "SELL" and order.price < reference * instrument.percent_down:
        raise Refusal(-4184 if waits else -4024)


def _refuse_crowding(order: NewOrder, account: Account, instrument: Instrument) -> None:
    resting = [each for each in account.open_orders.values() if each.symbol == instrument.symbol]
    if len(resting) >= instrument.max_orders:
        raise Refusal(-2025)
    if order.type in CONDITIONAL and sum(each.waits_for_trigger for each in resting) >= instrument.max_stop_orders:
        raise Refusal(-4045)
