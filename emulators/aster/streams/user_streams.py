"""
A user's stream: what happened to an account, in the exchange's words.

`ACCOUNT_UPDATE` tells money and positions, `ORDER_TRADE_UPDATE` every step of an order, `ACCOUNT_CONFIG_UPDATE`
leverage and modes, and `MARGIN_CALL`, once each time it comes to that, that the maintenance margin has reached four
fifths of the equity. Of a trade, the account's change is told before the order's.

How the exchange tells that a conditional order was triggered is not certain. Here the order appears as NEW once more,
with the type it is executed as; with *trigger_expires* an EXPIRED of the conditional type goes before it, as other
venues of this family do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ..doors.wire import eight, plain
from ..holdings.accounts import Account
from ..holdings.happenings import AccountChanged, Happening, LeverageChanged, OrderChanged, PositionSeen
from ..holdings.margin import position_margins
from ..holdings.orders import LIQUIDATION, TRAILING
from ..holdings.positions import ZERO
from ..prices.symbols import QUOTE
from ..venue import Venue
from .frames import Frame

MARGIN_CALL_AT = Decimal("0.8")
Json = dict[str, Any]


class UserStreams:
    """Writes what happened as events of the accounts it happened to."""

    def __init__(self, venue: Venue, *, trigger_expires: bool = False) -> None:
        self._venue = venue
        self._trigger_expires = trigger_expires
        self._realized: dict[tuple[str, str, str], tuple[int, Decimal]] = {}
        """By account, symbol and position side, how many trades have been looked at, and what they add up to."""
        self._called: dict[str, set[tuple[str, str]]] = defaultdict(set)
        """By account, the positions that have had their margin call."""

    def frames(self, stream: str, happening: Happening, now: int) -> Iterator[Frame]:
        """Yield the events that a happening makes on the stream of its account."""
        if isinstance(happening, OrderChanged):
            for change in self._steps(happening):
                payload = {"E": change.time, "T": change.time, "o": self._order(change)}
                yield Frame(stream, change.time, {"e": "ORDER_TRADE_UPDATE", **payload}, account=change.order.account)
            return
        if isinstance(happening, AccountChanged):
            time, name, told = happening.time, "ACCOUNT_UPDATE", {"a": self._account(happening)}
        elif isinstance(happening, LeverageChanged):
            time, name, told = now, "ACCOUNT_CONFIG_UPDATE", {"ac": {"s": happening.symbol, "l": happening.leverage}}
        else:
            modes = {"j": happening.multi_assets, "f": False, "d": happening.hedge}
            time, name, told = now, "ACCOUNT_CONFIG_UPDATE", {"ai": modes}
        yield Frame(stream, time, {"e": name, "E": time, "T": time, **told}, account=happening.account)

    def margin_call(self, stream: str, account: Account, now: int) -> Frame | None:
        """Return a margin call when it has come to that since the last time this was asked."""
        endangered = self._endangered(account)
        rows = [row for name, row in endangered.items() if name not in self._called[account.id]]
        self._called[account.id] = set(endangered)
        if not rows:
            return None
        payload = {"e": "MARGIN_CALL", "E": now, "cw": eight(account.cross_wallet), "p": rows}
        return Frame(stream, now, payload, account=account.id)

    def _endangered(self, account: Account) -> dict[tuple[str, str], Json]:
        """Return the positions whose margin is nearly used up, by symbol and side, as margin calls name them."""
        held = account.open_positions()
        if not held:
            return {}
        whole = self._venue.margin(account)
        endangered: dict[tuple[str, str], Json] = {}
        for symbol in dict.fromkeys(symbol for symbol, _ in held):
            mark = self._venue.engine.mark(symbol)
            for risk in position_margins(account, self._venue.instrument(symbol), mark):
                position = risk.position
                equity, needed = whole.cross_equity, whole.cross_maintenance
                if risk.isolated:
                    equity, needed = position.isolated + risk.unrealized, risk.maintenance
                if not position.quantity or needed < equity * MARGIN_CALL_AT:
                    continue
                endangered[symbol, position.side] = {
                    "s": symbol,
                    "ps": position.side,
                    "pa": plain(position.quantity),
                    "mt": "ISOLATED" if risk.isolated else "CROSSED",
                    "iw": eight(position.isolated) if risk.isolated else "0",
                    "mp": eight(mark),
                    "up": eight(risk.unrealized),
                    "mm": eight(risk.maintenance),
                }
        return endangered

    @staticmethod
    def expired(stream: str, account: str, at: int) -> Frame:
        """Return the word that a listen key has ended."""
        return Frame(stream, at, {"e": "listenKeyExpired", "E": at}, account=account)

    def _steps(self, change: OrderChanged) -> Iterator[OrderChanged]:
        if change.execution != "TRIGGERED":
            yield change
            return
        if self._trigger_expires:
            conditional = replace(change.order, type=change.order.original_type, status="EXPIRED")
            yield replace(change, execution="EXPIRED", order=conditional)
        yield replace(change, execution="NEW")

    def _order(self, change: OrderChanged) -> Json:
        order, trade = change.order, change.trade
        instrument = self._venue.instrument(order.symbol)
        kind, original = order.type, order.original_type
        if order.client_id.startswith(LIQUIDATION):
            kind = original = "LIQUIDATION"
        bids, asks = self._resting(order.account, order.symbol)
        trailing: Json = {}
        if original == TRAILING:
            trailing = {"AP": instrument.price_text(order.activation), "cr": plain(order.callback_rate)}
        fee: Json = {"N": QUOTE, "n": plain(trade.commission)} if trade is not None and trade.commission else {}
        return {
            "s": order.symbol,
            "c": order.client_id,
            "S": order.side,
            "o": kind,
            "f": order.time_in_force,
            "q": plain(order.quantity),
            "p": instrument.price_text(order.price) if order.price else "0",
            "ap": plain((order.quote / order.executed).quantize(instrument.tick / 10)) if order.executed else "0",
            "sp": instrument.price_text(order.stop_price) if order.stop_price else "0",
            "x": change.execution,
            "X": order.status,
            "i": order.id,
            "l": plain(trade.quantity) if trade else "0",
            "z": plain(order.executed),
            "L": instrument.price_text(trade.price) if trade else "0",
            **fee,
            "T": change.time,
            "t": trade.id if trade else 0,
            "b": plain(bids),
            "a": plain(asks),
            "m": trade.maker if trade else False,
            "R": order.reduce_only,
            "wt": order.working_type,
            "ot": original,
            "ps": order.position_side,
            "cp": order.close_position,
            **trailing,
            "rp": plain(trade.realized) if trade else "0",
        }

    def _resting(self, account: str, symbol: str) -> tuple[Decimal, Decimal]:
        """Return what an account's open buys and sells of a symbol are worth."""
        bids = asks = ZERO
        price = self._venue.instrument(symbol).price
        for order in self._venue.ledger.accounts[account].open_orders.values():
            if order.symbol == symbol and not order.waits_for_trigger:
                notional = order.remaining * price(order.price)
                bids, asks = (bids + notional, asks) if order.sign > 0 else (bids, asks + notional)
        return bids, asks

    def _account(self, change: AccountChanged) -> Json:
        money = {
            "a": QUOTE,
            "wb": eight(change.wallet),
            "cw": eight(change.cross_wallet),
            "bc": eight(change.change) if change.change else "0",
        }
        positions = [self._position(change, position) for position in change.positions]
        return {"m": change.reason, "B": [money], "P": positions}

    def _position(self, change: AccountChanged, position: PositionSeen) -> Json:
        instrument = self._venue.instrument(position.symbol)
        mark = instrument.fine_price(self._venue.market.mark(position.symbol, change.time))
        return {
            "s": position.symbol,
            "pa": plain(position.quantity),
            "ep": eight(position.entry_price),
            "cr": eight(self._realized_until(change.time, change.account, position)),
            "up": eight((mark - position.entry_price) * position.quantity),
            "mt": position.margin_type,
            "iw": eight(position.isolated_wallet) if position.isolated_wallet else "0",
            "ps": position.side,
            "ma": QUOTE,
        }

    def _realized_until(self, time: int, account: str, position: PositionSeen) -> Decimal:
        name = account, position.symbol, position.side
        trades = self._venue.ledger.accounts[account].trades_of[position.symbol]
        count, total = self._realized.get(name, (0, ZERO))
        while count < len(trades) and trades[count].time <= time:
            if trades[count].position_side == position.side:
                total += trades[count].realized
            count += 1
        self._realized[name] = count, total
        return total
