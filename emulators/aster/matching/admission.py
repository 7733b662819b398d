"""
Who may join the book: reading a new order's parameters and holding them against the symbol's filters.

Every rule has the exchange's own refusal code. Where several rules are broken, the first of these speaks: form,
decimals (-1111), bounds and grids, the order's sense (mode, client id, position, trigger), the number of orders, its
value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from ..errors import Refusal
from ..habits import Habits
from ..holdings.accounts import Account
from ..holdings.orders import CONDITIONAL, STOPS, TRAILING
from ..holdings.positions import ZERO
from ..parameters import Parameters, choice, decimal, flag, needed_decimal
from ..prices.symbols import Instrument, decimals_of

SIDES = frozenset({"BUY", "SELL"})
TYPES = frozenset({"LIMIT", "MARKET", *CONDITIONAL})
PRICED = frozenset({"LIMIT", "STOP", "TAKE_PROFIT"})
CLOSING_TYPES = frozenset({"STOP_MARKET", "TAKE_PROFIT_MARKET"})
TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTX", "HIDDEN"})
SELF_TRADES = frozenset({"EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"})
LEAST_CALLBACK, MOST_CALLBACK, CALLBACK_DECIMALS = Decimal("0.1"), Decimal(5), 2
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
    self_trade: str | None
    """Nothing when the account's own setting holds."""
    activation: Decimal
    callback_rate: Decimal
    client_id: str | None

    @property
    def only_closes(self) -> bool:
        against = self.position_side == ("LONG" if self.side == "SELL" else "SHORT")
        return self.reduce_only or self.close_position or against

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1


def read_order(parameters: Parameters, instrument: Instrument) -> NewOrder:
    """Return the order the parameters describe; it obeys the filters of price and quantity."""
    side = choice(parameters, "side", SIDES, -1117)
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
    stop_price = needed_decimal(parameters, "stopPrice") if kind in CONDITIONAL - {TRAILING} else ZERO
    activation, callback_rate = _trailing(parameters) if kind == TRAILING else (ZERO, ZERO)
    self_trade = parameters.get("stpMode") and choice(parameters, "stpMode", SELF_TRADES, -1130)
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
        self_trade=self_trade or None,
        activation=activation,
        callback_rate=callback_rate,
        client_id=client_id,
    )
    _refuse_off_grid(order, instrument)
    return order


def read_amendment(
    parameters: Parameters, side: str, instrument: Instrument, *, mark: Decimal
) -> tuple[Decimal, Decimal]:
    """Return the quantity and the price a limit order is to have; they obey the filters."""
    wanted = {**parameters, "side": side, "type": "LIMIT", "timeInForce": "GTC"}
    kept = ("side", "type", "timeInForce", "quantity", "price")
    order = read_order({name: value for name, value in wanted.items() if name in kept}, instrument)
    _refuse_far_prices(order, instrument, mark)
    return order.quantity, order.price


def refuse_if_unreasonable(
    order: NewOrder, account: Account, instrument: Instrument, *, mark: Decimal, last: Decimal, habits: Habits
) -> None:
    """Refuse an order that does not fit the prices of the moment or what the account already has."""
    if (order.position_side == "BOTH") == account.hedge_mode:
        raise Refusal(-4061)
    if instrument.entry["status"] != "TRADING" and not order.only_closes:
        raise Refusal(-4140)
    if account.hedge_mode and order.reduce_only:
        raise Refusal(-4062)
    if order.close_position and order.position_side == ("LONG" if order.side == "BUY" else "SHORT"):
        raise Refusal(-4020, order.type, "true")
    if order.client_id is not None and account.has_open(order.client_id):
        raise Refusal(habits.duplicate_client_id)
    if order.only_closes and not order.close_position:
        closable = account.position(instrument.symbol, order.position_side).closable(order.sign)
        if not closable or (habits.refuses_too_much_reduce_only and order.quantity > closable):
            raise Refusal(-2022)
    if order.type in CONDITIONAL and _triggers_at_once(order, mark if order.working_type == "MARK_PRICE" else last):
        raise Refusal(-2021)
    _refuse_far_prices(order, instrument, mark)
    _refuse_crowding(order, account, instrument)
    if not order.only_closes:
        value = order.quantity * (order.price or order.stop_price or order.activation or mark)
        if value < instrument.min_notional:
            raise Refusal(-4164, instrument.min_notional)


def _trailing(parameters: Parameters) -> tuple[Decimal, Decimal]:
    """Return the activation price, zero for the price of the moment, and the callback rate of a trailing stop."""
    rate = needed_decimal(parameters, "callbackRate")
    if not LEAST_CALLBACK <= rate <= MOST_CALLBACK or decimals_of(rate) > CALLBACK_DECIMALS:
        raise Refusal(-1130, "callbackRate")
    try:
        activation = decimal(parameters, "activationPrice") or ZERO
    except Refusal as exc:
        raise Refusal(-4135) from exc
    return activation, rate


def _refuse_odd_closing(parameters: Parameters, kind: str) -> None:
    if kind not in CLOSING_TYPES:
        raise Refusal(-4020, kind, "true")
    if decimal(parameters, "quantity"):
        raise Refusal(-4137)
    if flag(parameters, "reduceOnly"):
        raise Refusal(-1106, "reduceOnly")


def _refuse_off_grid(order: NewOrder, instrument: Instrument) -> None:
    for price in (order.price, order.stop_price, order.activation):
        if decimals_of(price) > instrument.price_precision:
            raise Refusal(-1111)
    if decimals_of(order.quantity) > instrument.quantity_precision:
        raise Refusal(-1111)
    if order.type in PRICED:
        _refuse_price(order.price, instrument, negative=-4001, below=-4013, above=-4002)
    if order.activation:
        _refuse_price(order.activation, instrument, negative=-4135, below=-4135, above=-4135)
    elif order.type in CONDITIONAL - {TRAILING}:
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


def _triggers_at_once(order: NewOrder, price: Decimal) -> bool:
    """Tell whether a stop price, or a trailing stop's activation price, has already been reached."""
    if order.type == TRAILING:
        return bool(order.activation) and (order.activation - price) * order.sign >= 0
    rises = (order.type in STOPS) == (order.side == "BUY")
    return price >= order.stop_price if rises else price <= order.stop_price


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
    resting = account.open_of[instrument.symbol].values()
    if len(resting) >= instrument.max_orders:
        raise Refusal(-2025)
    if order.type in CONDITIONAL and sum(each.waits_for_trigger for each in resting) >= instrument.max_stop_orders:
        raise Refusal(-4045)
