"""
What becomes of orders: they take, they rest, they are triggered, they end.

- An order that takes walks through the venue's liquidity (see `liquidity`) to its limit price, a market order as far
  from the mark price as the symbol's `marketTakeBound` lets it; what is left of it rests or expires as its time in
  force says. FOK is all or nothing; GTX never takes.
- A resting order is filled at its own price, as maker. GTC and HIDDEN differ in nothing but their name, for other
  people's books show no account's orders.
- A conditional order is triggered when the price of its working type reaches its stop price. Triggered by the last
  price it is executed at its stop price, or at the price the path jumped to when it jumped over it; triggered by the
  mark price, or by a trailing stop's callback, at the last price of the moment. With price protection it expires
  instead when mark and last price are too far apart; so does one that asks for margin its account does not have.
- An order that may only close never does more than that: what is left of it expires.
- An order that would trade beyond the price of a resting order of its own account meets it: as the order's mode of
  self-trade prevention says, the taking, the resting or both of them expire.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ..errors import Refusal
from ..holdings.orders import TRAILING, Order
from ..holdings.positions import ZERO
from .desks import Desk
from .floor import Floor
from .liquidity import Liquidity, next_minute

RESTING = frozenset({"GTC", "GTX", "HIDDEN"})
Steps = list[tuple[int, Decimal]]
"""Prices and quantities of what an order trades."""


class Matching:
    """Matches the orders of a venue against its market."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._ledger = floor.ledger
        self._market = floor.market
        self._idle_status = "CANCELED" if floor.habits.cancels_idle_closing else "EXPIRED"
        self._desks = {symbol: Desk(floor.market, symbol) for symbol in floor.market.instruments}
        self.liquidity = Liquidity(floor.market, floor.ledger, floor.now)
        for account in floor.ledger.accounts.values():
            for order in account.open_orders.values():
                self._desks[order.symbol].keep(order)

    def submit(self, order: Order) -> None:
        """Take in an order that has been admitted: execute it, or let it rest."""
        self._ledger.add(order)
        if order.waits_for_trigger:
            self._desks[order.symbol].keep(order)
        else:
            self._execute(order, self._floor.last(order.symbol))

    def end(self, order: Order, status: str) -> None:
        """End an open order: CANCELED or EXPIRED."""
        self._desks[order.symbol].discard(order)
        self._ledger.finish(order, status, self._floor.now)

    def amend(self, order: Order, quantity: Decimal, price: int) -> None:
        """Give a limit order another quantity and price; it is matched as if it had just arrived."""
        self._desks[order.symbol].discard(order)
        self._ledger.amend(order, quantity, price, self._floor.now)
        self._execute(order, self._floor.last(order.symbol))

    def would_take(self, order: Order) -> bool:
        """Tell whether a limit order would trade at once."""
        return _takes(order, self._floor.last(order.symbol))

    def next_moment(self, until: int) -> int | None:
        """Return the first millisecond up to *until* at which something happens to an order."""
        moment = None
        for desk in self._desks.values():
            if desk and (found := desk.next_moment(self._floor.now, until)) is not None:
                moment = until = found
        return moment

    def follow(self, until: int) -> None:
        """Let active trailing stops follow the price up to a time."""
        for desk in self._desks.values():
            for order in desk.follow(self._floor.now, until):
                self._ledger.note(order)

    def happen(self) -> None:
        """Let everything happen to orders that belongs to this millisecond."""
        now = self._floor.now
        for symbol, desk in self._desks.items():
            if not desk:
                continue
            price = self._floor.last(symbol)
            jumped = self._market.jumps_at(symbol, now)
            while (order := desk.last.touched(price)) is not None:
                desk.last.remove(order)
                if order.type == TRAILING:
                    self._activate(order)
                elif order.waits_for_trigger:
                    self._trigger(order, price if jumped else order.stop_price)
                else:
                    self._be_taken(order)
            while (order := desk.mark.touched(self._floor.fine_mark(symbol))) is not None:
                desk.mark.remove(order)
                if order.type == TRAILING:
                    self._activate(order)
                else:
                    self._trigger(order, price)
            for order in desk.called_back(now):
                if order.is_open:
                    desk.discard(order)
                    self._trigger(order, price)
            self._resume(symbol, desk, price)

    def _activate(self, order: Order) -> None:
        """Let a trailing stop follow from the price of this moment."""
        now = self._floor.now
        order.best = self._desks[order.symbol].extremes(order.working_type)(now - 1, now)[0]
        self._ledger.note(order)
        self._desks[order.symbol].keep(order)

    def _trigger(self, order: Order, price: int) -> None:
        # A waiting order ties up no margin, so what it needs is asked for only now.
        instrument = self._floor.instrument(order.symbol)
        affordable = order.only_closes or self._floor.affordable(order, instrument.price(order.price or price))
        mark = self._floor.mark(order.symbol)
        apart = abs(mark - instrument.price(self._floor.last(order.symbol)))
        protected = order.price_protect and apart > instrument.trigger_protect * mark
        self._ledger.note_trigger(order, self._floor.now)
        if order.close_position:
            order.quantity = self._closable(order)
            if not order.quantity:
                self._ledger.finish(order, self._idle_status, self._floor.now)
                return
        if affordable and not protected:
            self._execute(order, price)
        else:
            self._ledger.finish(order, "EXPIRED", self._floor.now)

    def _execute(self, order: Order, bid: int) -> None:
        """Execute a market or limit order that has just arrived at a best bid."""
        takes = _takes(order, bid)
        if takes and order.time_in_force != "GTX":
            self._take(order, bid)
        elif takes or order.time_in_force not in RESTING:
            self._ledger.finish(order, "EXPIRED", self._floor.now)
        else:
            self._desks[order.symbol].keep(order)

    def _take(self, order: Order, bid: int) -> None:
        now, instrument = self._floor.now, self._floor.instrument(order.symbol)
        room = self._room(order)
        if not room:
            self._ledger.finish(order, "EXPIRED", now)
            return
        limit = order.price or self._take_bound(order)
        steps = self.liquidity.walk(instrument, order.side, bid, limit=limit, quantity=room, now=now)
        steps, stopped = self._meet_rivals(order, steps, room, limit)
        if order.time_in_force == "FOK" and sum((part for _, part in steps), ZERO) < order.remaining:
            steps = []
        for ticks, part in steps:
            self.liquidity.take(order.symbol, order.side, ticks, part, now, maker=False)
            self._ledger.fill(order, instrument, ticks, part, maker=False, now=now)
        if not order.is_open:
            return
        if order.type == "LIMIT" and order.time_in_force in RESTING and not stopped and self._room(order):
            self._pause(order)
        else:
            self._ledger.finish(order, "EXPIRED", now)

    def _take_bound(self, order: Order) -> int:
        """Return the worst price a market order may trade at, in ticks."""
        instrument = self._floor.instrument(order.symbol)
        worst = self._floor.mark(order.symbol) * (1 + order.sign * instrument.market_take_bound)
        rounding = ROUND_FLOOR if order.sign > 0 else ROUND_CEILING
        return int(worst.scaleb(instrument.price_decimals).to_integral_value(rounding))

    def refuse_far_market(self, order: Order) -> None:
        """Refuse a market order whose first price would lie beyond its bound."""
        bid = self._floor.last(order.symbol)
        best = bid + 1 if order.sign > 0 else bid
        if (best - self._take_bound(order)) * order.sign > 0:
            raise Refusal(-4131)

    def _meet_rivals(self, order: Order, steps: Steps, room: Decimal, limit: int) -> tuple[Steps, bool]:
        """Return what an order trades of some steps, and whether it was stopped by one of its own account's orders."""
        sign, whole = order.sign, sum((part for _, part in steps), ZERO) == room
        reach = steps[-1][0] - sign if whole and steps else limit
        price = self._floor.last(order.symbol)
        rivals = [
            each
            for each in self._ledger.accounts[order.account].open_of[order.symbol].values()
            if each.side != order.side
            and not each.waits_for_trigger
            and (reach - each.price) * sign >= 0
            # What the price has just gone through is filled at this very moment.
            and (each.pauses_until or not _is_through(each, price))
        ]
        if not rivals:
            return steps, False
        nearest = min(each.price * sign for each in rivals) * sign
        for each in rivals:
            if order.self_trade == "EXPIRE_MAKER" or (order.self_trade == "EXPIRE_BOTH" and each.price == nearest):
                self.end(each, "EXPIRED")
        if order.self_trade == "EXPIRE_MAKER":
            return steps, False
        return [(ticks, part) for ticks, part in steps if (nearest - ticks) * sign >= 0], True

    def _be_taken(self, order: Order) -> None:
        """Fill a resting order the price has gone through with what its level holds."""
        now, instrument = self._floor.now, self._floor.instrument(order.symbol)
        left = self.liquidity.left(instrument, order.side, order.price, now, maker=True)
        self._make(order, min(left, self._room(order)))

    def _make(self, order: Order, quantity: Decimal) -> None:
        """Fill a resting order and let what is left of it wait for the next minute."""
        now = self._floor.now
        if quantity:
            self.liquidity.take(order.symbol, order.side, order.price, quantity, now, maker=True)
            instrument = self._floor.instrument(order.symbol)
            self._ledger.fill(order, instrument, order.price, quantity, maker=True, now=now)
        if not order.is_open:
            return
        if self._room(order):
            self._pause(order)
        else:
            self._ledger.finish(order, "EXPIRED", now)

    def _pause(self, order: Order) -> None:
        order.pauses_until = next_minute(self._floor.now)
        self._ledger.note(order)
        self._desks[order.symbol].keep(order)

    def _resume(self, symbol: str, desk: Desk, price: int) -> None:
        """At a whole minute, fill further what the price is still beyond, and let rest what it is not."""
        due = desk.resuming(self._floor.now)
        if not due:
            return
        left = self.liquidity.trickle(self._floor.instrument(symbol), self._floor.now)
        for order in due:
            desk.discard(order)
            if _is_through(order, price):
                part = min(left, self._room(order))
                left -= part
                self._make(order, part)
            else:
                order.pauses_until = 0
                self._ledger.note(order)
                self._desks[order.symbol].keep(order)

    def _room(self, order: Order) -> Decimal:
        """Return how much of an order may be filled."""
        return min(order.remaining, self._closable(order)) if order.only_closes else order.remaining

    def _closable(self, order: Order) -> Decimal:
        position = self._ledger.accounts[order.account].position(order.symbol, order.position_side)
        return position.closable(order.sign)


def _takes(order: Order, bid: int) -> bool:
    best = bid + 1 if order.sign > 0 else bid
    return order.type == "MARKET" or (order.price - best) * order.sign >= 0


def _is_through(order: Order, price: int) -> bool:
    """Tell whether the price is where a resting order is filled."""
    return price < order.price if order.sign > 0 else price >= order.price
