"""
Open endpoints: what the market looks like. Nobody needs an account for these.

The book is the liquidity orders trade with (see `liquidity`); the open interest is made up but the same for everyone.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from ..errors import Refusal
from ..parameters import Parameters, integer, interval, limit, text
from ..prices.intervals import HOUR, MINUTE
from ..prices.market import Kind, next_funding_time
from ..prices.public_trades import SECOND, PublicTrade, trades_between
from ..prices.symbols import QUOTE, Instrument
from .calls import Answer, Call, Endpoint, with_symbol
from .limits import depth_weight, kline_weight
from .wire import eight, plain

DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
INTEREST_RATE = "0.00010000"
MOST_TRADES = 1000


async def ping(call: Call) -> Answer:
    return {}


async def server_time(call: Call) -> Answer:
    """Tell the time and, in fields that the exchange does not have, whose books these are and how fast it runs.

    The latter where that is not the pace of life.
    """
    pace = {} if call.speed == 1 else {"speed": call.speed}
    return {"serverTime": call.now + call.skew, "books": call.venue.books} | pace


async def exchange_info(call: Call) -> Answer:
    market = call.venue.market
    symbols = []
    for instrument in market.instruments.values():
        listed = market.price(instrument.symbol, call.now) is not None
        symbols.append(instrument.entry if listed else {**instrument.entry, "status": "PENDING_TRADING"})
    rates = {"interval": "MINUTE", "intervalNum": 1}
    return {
        "timezone": "UTC",
        "serverTime": call.now + call.skew,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", **rates, "limit": call.limits.weights.limit},
            {"rateLimitType": "ORDERS", **rates, "limit": call.limits.orders.limit},
        ],
        "exchangeFilters": [],
        "assets": [{"asset": QUOTE, "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": symbols,
    }


async def spot_exchange_info(call: Call) -> Answer:
    """Say that nothing is traded on the spot market, to clients that ask both before they begin."""
    return {
        "timezone": "UTC",
        "serverTime": call.now + call.skew,
        "rateLimits": [],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [],
    }


async def depth(call: Call) -> Answer:
    instrument = call.instrument()
    levels = integer(call.parameters, "limit") or 500
    if levels not in DEPTHS:
        raise Refusal(-4021)
    bids, asks = call.venue.engine.depth(instrument.symbol, levels)
    return {
        "lastUpdateId": call.now,
        "E": call.now,
        "T": call.now,
        "bids": [[instrument.price_text(ticks), plain(size)] for ticks, size in bids],
        "asks": [[instrument.price_text(ticks), plain(size)] for ticks, size in asks],
    }


async def klines(call: Call) -> Answer:
    return await _klines(call, text(call.parameters, "symbol"), "last")


async def mark_price_klines(call: Call) -> Answer:
    return await _klines(call, text(call.parameters, "symbol"), "mark")


async def index_price_klines(call: Call) -> Answer:
    return await _klines(call, text(call.parameters, "pair"), "index")


async def _klines(call: Call, symbol: str, kind: Kind) -> Answer:
    call.venue.instrument(symbol)
    start, end = integer(call.parameters, "startTime"), integer(call.parameters, "endTime")
    if start is not None and end is not None and start > end:
        raise Refusal(-1023)
    rows = limit(call.parameters, default=500, most=1500)
    timeframe = interval(call.parameters)
    return await call.venue.market.klines(symbol, timeframe, now=call.now, start=start, end=end, limit=rows, kind=kind)


async def premium_index(call: Call) -> Answer:
    def row(instrument: Instrument) -> dict[str, Any]:
        market = call.venue.market
        every = market.funding_interval(instrument.symbol)
        index = eight(instrument.fine_price(market.index(instrument.symbol, call.now)))
        return {
            "symbol": instrument.symbol,
            "markPrice": eight(call.venue.engine.mark(instrument.symbol)),
            "indexPrice": index,
            "estimatedSettlePrice": index,
            "lastFundingRate": eight(market.funding_rate(instrument.symbol, call.now // every * every)),
            "interestRate": INTEREST_RATE,
            "nextFundingTime": next_funding_time(call.now, every),
            "time": call.now,
        }

    return _one_or_all(call, [row(each) for each in call.instruments()])


async def funding_rate(call: Call) -> Answer:
    rows = limit(call.parameters, default=100, most=1000)
    start, end = integer(call.parameters, "startTime"), integer(call.parameters, "endTime")
    if start is not None and end is not None and start > end:
        raise Refusal(-1023)
    until = call.now if end is None else min(end, call.now)
    market = call.venue.market
    settlements: list[tuple[int, str, Decimal]] = []
    for instrument in call.instruments():
        every = market.funding_interval(instrument.symbol)
        begin = until // every * every - (rows - 1) * every if start is None else start
        history = await market.funding_history(instrument.symbol, begin, until, rows)
        settlements.extend((time, instrument.symbol, rate) for time, rate in history)
    return [
        {"symbol": symbol, "fundingRate": eight(rate), "fundingTime": time}
        for time, symbol, rate in sorted(settlements)[:rows]
    ]


async def funding_info(call: Call) -> Answer:
    def row(instrument: Instrument) -> dict[str, Any]:
        every = call.venue.market.funding_interval(instrument.symbol)
        return {
            "symbol": instrument.symbol,
            "interestRate": INTEREST_RATE,
            "time": call.now // every * every,
            "fundingIntervalHours": every // HOUR,
            "fundingFeeCap": 0.03,
            "fundingFeeFloor": -0.03,
        }

    return [row(each) for each in call.instruments()]


async def day_ticker(call: Call) -> Answer:
    rows = []
    for instrument in call.instruments():
        day = await call.venue.market.day(instrument.symbol, call.now)
        change = instrument.price(day.last - day.open)
        average = day.quote_volume / day.volume if day.volume else instrument.price(day.last)
        rows.append(
            {
                "symbol": instrument.symbol,
                "priceChange": plain(change),
                "priceChangePercent": f"{(day.last - day.open) * 100 / day.open:.3f}",
                "weightedAvgPrice": f"{average:.{instrument.price_decimals + 1}f}",
                "prevClosePrice": instrument.price_text(day.open),
                "lastPrice": instrument.price_text(day.last),
                "lastQty": plain(instrument.min_quantity),
                "openPrice": instrument.price_text(day.open),
                "highPrice": instrument.price_text(day.high),
                "lowPrice": instrument.price_text(day.low),
                "volume": plain(day.volume),
                "quoteVolume": f"{day.quote_volume:.4f}",
                "openTime": day.open_time,
                "closeTime": day.close_time,
                "firstId": day.open_time // 1000,
                "lastId": day.open_time // 1000 + day.trades - 1,
                "count": day.trades,
            }
        )
    return _one_or_all(call, rows)


async def price_ticker(call: Call) -> Answer:
    rows = [
        {
            "symbol": each.symbol,
            "price": each.price_text(call.venue.engine.bid(each.symbol)),
            "time": call.now,
        }
        for each in call.instruments()
    ]
    return _one_or_all(call, rows)


async def book_ticker(call: Call) -> Answer:
    rows = []
    for instrument in call.instruments():
        ((bid, bid_size),), ((ask, ask_size),) = call.venue.engine.depth(instrument.symbol, 1)
        rows.append(
            {
                "symbol": instrument.symbol,
                "bidPrice": instrument.price_text(bid),
                "bidQty": plain(bid_size),
                "askPrice": instrument.price_text(ask),
                "askQty": plain(ask_size),
                "time": call.now,
            }
        )
    return _one_or_all(call, rows)


async def open_interest(call: Call) -> Answer:
    instrument = call.instrument()
    # A slow wave of a few per cent around the value of a large market, one value a minute.
    wave = 1 + 0.05 * math.sin(call.now / (37 * HOUR)) + 0.02 * math.sin(call.now / (5 * HOUR))
    value = Decimal(round(500_000_000 * wave)) / call.venue.engine.mark(instrument.symbol)
    minute = call.now // MINUTE * MINUTE
    return {"symbol": instrument.symbol, "openInterest": f"{value:.3f}", "time": minute}


async def index_references(call: Call) -> Answer:
    symbol = text(call.parameters, "symbol")
    if symbol not in call.venue.market.instruments:
        raise Refusal(-1000, text="Invalid symbol.")
    weights = (("binance", "0.40000000"), ("okex", "0.25000000"), ("bybit", "0.20000000"), ("coinbase", "0.15000000"))
    references = [{"exchange": exchange, "symbol": symbol, "weight": weight} for exchange, weight in weights]
    return {"symbol": symbol, "time": call.now, "references": references}


async def trades(call: Call) -> Answer:
    return [_trade_row(call, each) for each in _last_trades(call)]


async def historical_trades(call: Call) -> Answer:
    first = integer(call.parameters, "fromId")
    found = _last_trades(call) if first is None else _trades_from(call, first * SECOND - 1, call.now)
    return [_trade_row(call, each) for each in found]


async def aggregate_trades(call: Call) -> Answer:
    """Every trade is an aggregate of itself alone: the market makes one a second."""
    first, start, end = (integer(call.parameters, name) for name in ("fromId", "startTime", "endTime"))
    if start is not None and end is not None:
        if start > end:
            raise Refusal(-1023)
        if end - start >= HOUR:
            raise Refusal(-1127)
    until = call.now if end is None else min(end, call.now)
    if first is not None:
        found = _trades_from(call, first * SECOND - 1, until)
    elif start is not None:
        found = _trades_from(call, start - 1, until)
    else:
        found = _last_trades(call, until)
    instrument = call.instrument()
    return [
        {
            "a": each.id,
            "p": instrument.price_text(each.price),
            "q": plain(each.quantity),
            "f": each.id,
            "l": each.id,
            "T": each.time,
            "m": each.buyer_made,
        }
        for each in found
    ]


def _last_trades(call: Call, until: int | None = None) -> list[PublicTrade]:
    """Return the trades of the last seconds, as many as were asked for."""
    rows, symbol = limit(call.parameters, default=500, most=MOST_TRADES), call.instrument().symbol
    until = call.now if until is None else until
    return list(trades_between(call.venue.market, symbol, until - rows * SECOND, until, rows))


def _trades_from(call: Call, after: int, until: int) -> list[PublicTrade]:
    """Return the first trades after a time, of no more seconds than trades were asked for."""
    rows, symbol = limit(call.parameters, default=500, most=MOST_TRADES), call.instrument().symbol
    return list(trades_between(call.venue.market, symbol, after, min(until, after + rows * SECOND), rows))


def _trade_row(call: Call, trade: PublicTrade) -> dict[str, Any]:
    price = call.instrument().price(trade.price)
    return {
        "id": trade.id,
        "price": plain(price),
        "qty": plain(trade.quantity),
        "quoteQty": plain(price * trade.quantity),
        "time": trade.time,
        "isBuyerMaker": trade.buyer_made,
    }


def _one_or_all(call: Call, rows: list[dict[str, Any]]) -> Answer:
    return rows[0] if call.parameters.get("symbol") else rows


def _klines_weight(parameters: Parameters) -> int:
    return kline_weight(integer(parameters, "limit") or 500)


def _depth_weight(parameters: Parameters) -> int:
    return depth_weight(integer(parameters, "limit") or 500)


ENDPOINTS = (
    Endpoint("GET", "ping", ping),
    Endpoint("GET", "time", server_time),
    Endpoint("GET", "exchangeInfo", exchange_info),
    Endpoint("GET", "depth", depth, weight=_depth_weight),
    Endpoint("GET", "klines", klines, weight=_klines_weight),
    Endpoint("GET", "markPriceKlines", mark_price_klines, weight=_klines_weight),
    Endpoint("GET", "indexPriceKlines", index_price_klines, weight=_klines_weight),
    Endpoint("GET", "premiumIndex", premium_index),
    Endpoint("GET", "fundingRate", funding_rate),
    Endpoint("GET", "fundingInfo", funding_info),
    Endpoint("GET", "ticker/24hr", day_ticker, weight=with_symbol(1, 40)),
    Endpoint("GET", "ticker/price", price_ticker, weight=with_symbol(1, 2)),
    Endpoint("GET", "ticker/bookTicker", book_ticker, weight=with_symbol(1, 2)),
    Endpoint("GET", "openInterest", open_interest),
    Endpoint("GET", "indexreferences", index_references),
    Endpoint("GET", "trades", trades),
    Endpoint("GET", "historicalTrades", historical_trades, weight=20),
    Endpoint("GET", "aggTrades", aggregate_trades, weight=20),
)
SPOT_EXCHANGE_INFO = Endpoint("GET", "exchangeInfo", spot_exchange_info)
