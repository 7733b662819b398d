"""
What streams tell, in our words, and the names of streams.

The streams abbreviate what the exchange's answers spell out. Where both tell of the same thing the letters become the
names, and the readers of the answers read it: one strictness, one meaning. Events nobody asked for are passed over.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from shared.domain.market import Quote, Series, Timeframe
from shared.domain.news import (
    AccountUpdate,
    BookTop,
    CandleUpdate,
    MarginCall,
    OrderUpdate,
    PublicTrade,
    SettingsUpdate,
)
from shared.domain.order import Fill, Side
from shared.exchange.account_wire import read_fills, read_order
from shared.exchange.fields import Row, Unreadable, as_row, as_rows, decimal, flag, integer, moment, parse, text, word
from shared.exchange.market_wire import read_candles, read_quotes

MARK_PRICE, BOOK_TOP, TRADES = "markPrice@1s", "bookTicker", "aggTrade"

_MARK = {
    "s": "symbol",
    "p": "markPrice",
    "i": "indexPrice",
    "r": "lastFundingRate",
    "T": "nextFundingTime",
    "E": "time",
}
_ORDER = {
    "s": "symbol",
    "c": "clientOrderId",
    "S": "side",
    "ot": "origType",
    "o": "type",
    "q": "origQty",
    "p": "price",
    "ap": "avgPrice",
    "sp": "stopPrice",
    "X": "status",
    "i": "orderId",
    "z": "executedQty",
    "T": "updateTime",
    "R": "reduceOnly",
    "cp": "closePosition",
    "ps": "positionSide",
}
_FILL = {
    "s": "symbol",
    "S": "side",
    "i": "orderId",
    "t": "id",
    "L": "price",
    "l": "qty",
    "rp": "realizedPnl",
    "n": "commission",
    "N": "commissionAsset",
    "m": "maker",
    "T": "time",
    "ps": "positionSide",
}


def stream_name(symbol: str, kind: str) -> str:
    """Return the stream of *kind* for *symbol*."""
    return f"{symbol.lower()}@{kind}"


def candle_stream(series: Series) -> str:
    """Return the stream of the candles of *series*."""
    return stream_name(series.symbol, f"kline_{series.timeframe.value}")


def write_subscription(streams: Sequence[str], number: int) -> str:
    """Return the command that subscribes to *streams*."""
    return json.dumps({"method": "SUBSCRIBE", "params": list(streams), "id": number})


def is_answer(frame: str | bytes, number: int) -> bool:
    """Say whether *frame* answers command *number*. Raises Unreadable when it refuses it."""
    payload = parse(frame)
    if not isinstance(payload, dict) or "stream" in payload or "e" in payload:
        return False
    if "code" in payload or payload.get("error"):
        raise Unreadable(f"the command was refused: {str(payload)[:200]}")
    return payload.get("id") == number


# --- the market -------------------------------------------------------------------------------------------------------


def read_market(payload: Any) -> Quote | BookTop | PublicTrade | CandleUpdate | None:
    """Read one event of the market; None for anything else that may come by such a stream."""
    row = _unwrapped(payload)
    match row.get("e"):
        case "markPriceUpdate":
            named = _named(row, _MARK)
            return read_quotes(named, [text(row, "s")])[text(row, "s")]
        case "bookTicker":
            return BookTop(
                symbol=text(row, "s"),
                bid=decimal(row, "b"),
                bid_quantity=decimal(row, "B"),
                ask=decimal(row, "a"),
                ask_quantity=decimal(row, "A"),
                update_id=integer(row, "u"),
                at=moment(row, "T"),
            )
        case "aggTrade":
            return PublicTrade(
                symbol=text(row, "s"),
                trade_id=integer(row, "a"),
                side=Side.SELL if flag(row, "m") else Side.BUY,  # `m`: the buyer's order was there first
                price=decimal(row, "p"),
                quantity=decimal(row, "q"),
                at=moment(row, "T"),
            )
        case "kline":
            return _candle_update(row)
    return None


def _candle_update(row: Row) -> CandleUpdate:
    bar = as_row(row.get("k"))
    closes = moment(bar, "T")
    columns = [bar.get(letter) for letter in ("t", "o", "h", "l", "c", "v", "T")]
    [candle] = read_candles([columns], closed_by=closes + timedelta(seconds=1))
    if not candle.possible:
        raise Unreadable(f"no market makes such a candle: {candle}")
    return CandleUpdate(
        series=Series(text(bar, "s"), word(bar, "i", Timeframe)),
        candle=candle,
        closed=flag(bar, "x"),
        at=moment(row, "E"),
    )


# --- an account -------------------------------------------------------------------------------------------------------

LISTEN_KEY_EXPIRED = "listenKeyExpired"


def kind_of(payload: Any) -> str:
    """Return what kind of event *payload* is."""
    return str(_unwrapped(payload).get("e"))


def read_account_events(
    payload: Any,
) -> list[OrderUpdate | Fill | AccountUpdate | MarginCall | SettingsUpdate]:
    """Read what one event tells of an account: an order and the trade that changed it are told apart."""
    row = _unwrapped(payload)
    match row.get("e"):
        case "ORDER_TRADE_UPDATE":
            return [*_fills(row), _order_update(row)]
        case "ACCOUNT_UPDATE":
            return [_account_update(row)]
        case "MARGIN_CALL":
            symbols = tuple(text(each, "s") for each in as_rows(row.get("p")))
            return [MarginCall(symbols=symbols, at=moment(row, "E"))]
        case "ACCOUNT_CONFIG_UPDATE":
            config = as_row(row.get("ac", {}))
            return [
                SettingsUpdate(
                    symbol=text(config, "s") if config else None,
                    leverage=integer(config, "l") if config else None,
                    at=moment(row, "E"),
                )
            ]
    return []


def _order_update(row: Row) -> OrderUpdate:
    return OrderUpdate(order=read_order(_named(as_row(row.get("o")), _ORDER)), at=moment(row, "E"))


def _fills(row: Row) -> list[Fill]:
    order = as_row(row.get("o"))
    if order.get("x") != "TRADE" and decimal(order, "l", "0") == 0:
        return []
    # A trade that cost nothing names no asset that it was paid in.
    return read_fills([_named({"n": "0", "N": "USDT", **order}, _FILL)])


def _account_update(row: Row) -> AccountUpdate:
    account = as_row(row.get("a"))
    return AccountUpdate(
        reason=text(account, "m"),
        wallets={text(each, "a"): decimal(each, "wb") for each in as_rows(account.get("B", []))},
        sizes={(text(each, "s"), text(each, "ps")): decimal(each, "pa") for each in as_rows(account.get("P", []))},
        at=moment(row, "E"),
    )


def _unwrapped(payload: Any) -> Row:
    row = as_row(payload)
    return as_row(row["data"]) if "stream" in row and "data" in row else row


def _named(row: Row, names: Mapping[str, str]) -> Row:
    """Return *row* with the names that answers spell out in place of the letters."""
    return {name: row[letter] for letter, name in names.items() if letter in row}
