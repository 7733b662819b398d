"""
The exchange's payloads in our own words, and our orders in its.

Numbers are read exactly, from text or from JSON numbers. What cannot be read for certain is not read at all: a reader
raises Unreadable rather than guess. Keys that nobody asked for are ignored: the exchange adds some now and then.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from shared.domain.instrument import Instrument
from shared.domain.market import EPOCH, Candle, Quote
from shared.domain.order import Fill, Income, IncomeKind, Intent, OrderState, OrderType, Side, VenueOrder
from shared.domain.position import Balance, Direction, Position

log = logging.getLogger("perpetua.market_data")

Row = Mapping[str, Any]
Word = TypeVar("Word", bound=StrEnum)

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_MILLISECOND = timedelta(milliseconds=1)
_INCOME_KINDS = {kind.value: kind for kind in IncomeKind}


class Unreadable(Exception):
    """The payload is not what the exchange's manual says. The message names what is wrong with it."""


def parse(content: bytes) -> Any:
    """Return the JSON in *content*, its fractions as exact decimals. Raises Unreadable, on NaN and Infinity too."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise Unreadable(f"no JSON: {exc}") from exc


def milliseconds(moment: datetime) -> int:
    """Return *moment* as the exchange writes it, rounded down."""
    return (moment - EPOCH) // _MILLISECOND


def moment_at(since_epoch: int) -> datetime:
    """Return the moment that many milliseconds after 1970, UTC."""
    try:
        return EPOCH + since_epoch * _MILLISECOND
    except OverflowError:
        raise Unreadable(f"{since_epoch} is no time") from None


def number(value: Decimal) -> str:
    """Return *value* in plain digits; the exchange reads no exponents."""
    return format(value, "f")


# --- market data ------------------------------------------------------------------------------------------------------


def read_server_time(payload: Any) -> datetime:
    """Read the answer of `time`."""
    return _moment(_row(payload), "serverTime")


def read_speed(payload: Any) -> float:
    """Read from the answer of `time` how many times faster than life a market runs; 1 where it is not told."""
    return float(_decimal({"speed": "1", **_row(payload)}, "speed"))


def read_instruments(payload: Any) -> dict[str, Instrument]:
    """Read the perpetual contracts of `exchangeInfo`, leaving out those whose filters cannot be read."""
    found, skipped = {}, []
    for row in _rows(_row(payload).get("symbols")):
        symbol = _text(row, "symbol")
        if row.get("contractType") != "PERPETUAL" or symbol.startswith("TEST"):
            continue
        try:
            found[symbol] = _instrument(symbol, row)
        except Unreadable as exc:
            skipped.append(f"{symbol} ({exc})")
    if skipped:
        log.warning("contracts left out, their filters cannot be read: %s", ", ".join(skipped))
    if not found:
        raise Unreadable("no contract that can be traded")
    return found


def _instrument(symbol: str, row: Row) -> Instrument:
    filters = {_text(entry, "filterType"): entry for entry in _rows(row.get("filters"))}
    price, lot = _row(filters.get("PRICE_FILTER")), _row(filters.get("LOT_SIZE"))
    market_lot = _row(filters.get("MARKET_LOT_SIZE", lot))
    instrument = Instrument(
        symbol=symbol,
        trading=_text(row, "status") == "TRADING",
        tick_size=_decimal(price, "tickSize"),
        min_price=_decimal(price, "minPrice"),
        max_price=_decimal(price, "maxPrice"),
        step_size=max(_decimal(lot, "stepSize"), _decimal(market_lot, "stepSize")),
        min_quantity=max(_decimal(lot, "minQty"), _decimal(market_lot, "minQty")),
        max_market_quantity=min(_decimal(lot, "maxQty"), _decimal(market_lot, "maxQty")),
        min_notional=_decimal(_row(filters.get("MIN_NOTIONAL")), "notional"),
    )
    if instrument.tick_size <= 0 or instrument.step_size <= 0:
        raise Unreadable("a tick or step size of zero")
    return instrument


def read_candles(payload: Any, *, closed_by: datetime) -> list[Candle]:
    """Read `klines`, leaving out the candle that was still running at *closed_by*."""
    if not isinstance(payload, list):
        raise Unreadable("not a list of candles")
    limit = milliseconds(closed_by)
    return [_candle(row) for row in payload if not _closes_after(row, limit)]


def _closes_after(row: Any, limit: int) -> bool:
    if not isinstance(row, list) or len(row) < 7 or type(row[6]) is not int:
        raise Unreadable("a candle without a closing time")
    return row[6] > limit


def _candle(row: list[Any]) -> Candle:
    names = ("openTime", "open", "high", "low", "close", "volume")
    columns = dict(zip(names, row, strict=False))
    candle = Candle(
        opened=_moment(columns, "openTime"), **{name: _decimal(columns, name) for name in names if name != "openTime"}
    )
    if not candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high:
        raise Unreadable(f"the candle of {candle.opened:%Y-%m-%d %H:%M} has its high below its low")
    return candle


def read_quotes(payload: Any, symbols: Iterable[str]) -> dict[str, Quote]:
    """Read those *symbols* that `premiumIndex` tells of, be it one object or a list; without open interest."""
    wanted = set(symbols)
    rows = _rows(payload if isinstance(payload, list) else [payload])
    return {row["symbol"]: _quote(row) for row in rows if row.get("symbol") in wanted}


def _quote(row: Row) -> Quote:
    return Quote(
        symbol=_text(row, "symbol"),
        mark_price=_decimal(row, "markPrice"),
        index_price=_decimal(row, "indexPrice"),
        funding_rate=_decimal(row, "lastFundingRate"),
        next_funding_at=_moment(row, "nextFundingTime"),
        open_interest=None,
        at=_moment(row, "time"),
    )


def read_open_interest(payload: Any) -> Decimal:
    """Read the answer of `openInterest`, which the manual does not mention."""
    return _decimal(_row(payload), "openInterest")


# --- the account ------------------------------------------------------------------------------------------------------


Sizes = dict[tuple[str, Direction | None], Decimal]
"""Signed position sizes by symbol and position side, flat ones left out."""


@dataclass(frozen=True, slots=True)
class AccountReport:
    """The totals of an account, the sizes they rest on, and whether it is in hedge mode; None where no row tells."""

    balance: Balance
    sizes: Sizes
    hedged: bool | None


def read_account(payload: Any) -> AccountReport:
    """Read the answer of `accountWithJoinMargin`."""
    row = _row(payload)
    balance = Balance(
        wallet=_decimal(row, "totalWalletBalance"),
        unrealized=_decimal(row, "totalUnrealizedProfit"),
        available=_decimal(row, "availableBalance"),
        initial_margin=_decimal(row, "totalInitialMargin"),
        maintenance_margin=_decimal(row, "totalMaintMargin"),
    )
    positions = _rows(row.get("positions"))
    return AccountReport(balance, _sizes(positions), _hedged(positions))


@dataclass(frozen=True, slots=True)
class PositionReport:
    """The open positions, one for each symbol and position side, their sizes, and whether that is hedge mode."""

    positions: tuple[Position, ...]
    sizes: Sizes
    hedged: bool | None


def read_positions(payload: Any) -> PositionReport:
    """Read the open positions of `positionRisk`, of an account in one-way or in hedge mode."""
    rows = _rows(payload)
    held = tuple(_position(row) for row in rows if _decimal(row, "positionAmt") != 0)
    return PositionReport(held, _sizes(rows), _hedged(rows))


def read_hedged(payload: Any) -> bool:
    """Read the answer of `positionSide/dual`: whether the account is in hedge mode."""
    return _flag(_row(payload), "dualSidePosition")


def _sizes(rows: Iterable[Row]) -> Sizes:
    sizes = {(_text(row, "symbol"), _position_side(row)): _decimal(row, "positionAmt") for row in rows}
    return {key: size for key, size in sizes.items() if size != 0}


def _hedged(rows: Iterable[Row]) -> bool | None:
    """Say whether the rows are those of hedge mode: it has LONG and SHORT ones, one-way mode nothing but BOTH."""
    sides = {_position_side(row) for row in rows}
    return sides != {None} if sides else None


def _position_side(row: Row) -> Direction | None:
    return None if _text(row, "positionSide") == "BOTH" else _word(row, "positionSide", Direction)


def _position(row: Row) -> Position:
    size = _decimal(row, "positionAmt")
    direction = _position_side(row) or (Direction.LONG if size > 0 else Direction.SHORT)
    liquidation_price = _decimal(row, "liquidationPrice", "0")
    return Position(
        symbol=_text(row, "symbol"),
        direction=direction,
        quantity=abs(size),
        entry_price=_decimal(row, "entryPrice"),
        mark_price=_decimal(row, "markPrice"),
        unrealized=_decimal(row, "unRealizedProfit"),
        leverage=_integer(row, "leverage"),
        liquidation_price=liquidation_price if liquidation_price > 0 else None,
    )


def read_order(payload: Any) -> VenueOrder:
    """Read an order. A triggered one keeps the type it was placed with, though it executes as another."""
    row = _row(payload)
    executed = _decimal(row, "executedQty")
    average = _decimal(row, "avgPrice", "0")
    if average == 0 and executed > 0:  # answers to a cancellation leave the average out
        average = _decimal(row, "cumQuote") / executed
    return VenueOrder(
        client_order_id=_text(row, "clientOrderId"),
        venue_order_id=_integer(row, "orderId"),
        symbol=_text(row, "symbol"),
        side=_word(row, "side", Side),
        type=_word(row, "origType" if row.get("origType") else "type", OrderType),
        state=_word(row, "status", OrderState),
        quantity=_decimal(row, "origQty"),
        executed_quantity=executed,
        average_price=average,
        price=_decimal(row, "price", "0"),
        stop_price=_decimal(row, "stopPrice", "0"),
        reduce_only=_flag(row, "reduceOnly"),
        closes_position=_flag(row, "closePosition"),
        updated_at=_moment(row, "updateTime"),
        position_side=_position_side(row),
    )


def read_orders(payload: Any) -> list[VenueOrder]:
    """Read a list of orders."""
    return [read_order(row) for row in _rows(payload)]


def read_fills(payload: Any) -> list[Fill]:
    """Read `userTrades`, by trade id. A commission is a cost in either sign: negative in the manual, positive live."""
    fills = [
        Fill(
            trade_id=_integer(row, "id"),
            venue_order_id=_integer(row, "orderId"),
            symbol=_text(row, "symbol"),
            side=_word(row, "side", Side),
            price=_decimal(row, "price"),
            quantity=_decimal(row, "qty"),
            realized_pnl=_decimal(row, "realizedPnl"),
            commission=abs(_decimal(row, "commission")),
            commission_asset=_text(row, "commissionAsset"),
            maker=_flag(row, "maker"),
            at=_moment(row, "time"),
            position_side=_position_side(row),
        )
        for row in _rows(payload)
    ]
    return sorted(fills, key=lambda fill: fill.trade_id)


def read_incomes(payload: Any) -> list[Income]:
    """Read `income`, oldest first. Its transaction ids are unique within a kind only, so ours carry the kind."""
    return sorted((_income(row) for row in _rows(payload)), key=lambda row: row.at)


def _income(row: Row) -> Income:
    kind = _text(row, "incomeType")
    return Income(
        transaction_id=f"{kind}:{_identifier(row, 'tranId')}",
        kind=_INCOME_KINDS.get(kind, IncomeKind.OTHER),
        symbol=row.get("symbol") or None,
        amount=_decimal(row, "income"),
        asset=_text(row, "asset"),
        at=_moment(row, "time"),
    )


def read_taker_fee(payload: Any) -> Decimal:
    """Read the answer of `commissionRate`."""
    return _decimal(_row(payload), "takerCommissionRate")


def read_nothing(payload: Any) -> None:
    """Read an answer that says no more than that it was done."""
    _row(payload)


def write_order(intent: Intent, *, hedged: bool) -> dict[str, str]:
    """
    Return the parameters that place *intent*, its trigger watching the mark price.

    In hedge mode the position is named, and being reduce-only follows from it: saying so would be refused.
    """
    params = {"symbol": intent.symbol, "side": intent.side.value, "type": intent.type.value}
    if intent.quantity is not None:
        params["quantity"] = number(intent.quantity)
    else:
        params["closePosition"] = "true"
    if intent.stop_price is not None:
        params |= {"stopPrice": number(intent.stop_price), "workingType": "MARK_PRICE"}
    if hedged:
        params["positionSide"] = intent.direction.value
    elif intent.reduce_only:
        params["reduceOnly"] = "true"
    return params | {"newClientOrderId": intent.client_order_id, "newOrderRespType": "RESULT"}


# --- fields -----------------------------------------------------------------------------------------------------------


def _row(payload: Any) -> Row:
    if not isinstance(payload, dict):
        raise Unreadable(f"an object was due, not {str(payload)[:40]!r}")
    return payload


def _rows(payload: Any) -> Sequence[Row]:
    if not isinstance(payload, list):
        raise Unreadable(f"a list was due, not {str(payload)[:40]!r}")
    return [_row(entry) for entry in payload]


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{key} is {value!r}, not a text")
    return value


def _word(row: Row, key: str, words: type[Word]) -> Word:
    try:
        return words(_text(row, key))
    except ValueError:
        raise Unreadable(f"{key} is {row[key]!r}, which we do not know") from None


def _decimal(row: Row, key: str, absent: str | None = None) -> Decimal:
    value = row.get(key, absent)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or not _NUMBER.fullmatch(str(value)):
        raise Unreadable(f"{key} is {value!r}, not a number")
    return Decimal(value)


def _integer(row: Row, key: str) -> int:
    value = _decimal(row, key)
    if value != value.to_integral_value():
        raise Unreadable(f"{key} is {value}, not a whole number")
    return int(value)


def _moment(row: Row, key: str) -> datetime:
    return moment_at(_integer(row, key))


def _flag(row: Row, key: str) -> bool:
    value = row.get(key)
    if not isinstance(value, bool):
        raise Unreadable(f"{key} is {value!r}, not true or false")
    return value


def _identifier(row: Row, key: str) -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Unreadable(f"{key} is {value!r}, not an id")
    return str(value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
