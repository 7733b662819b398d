"""
The exchange's JSON: how orders, trades, income, balances and positions look over the wire.

Money, prices and sizes are decimal strings, ids and times integers, flags booleans, with the exceptions the exchange
makes: `leverage` is a string in positions, `isAutoAddMargin` too, brackets are all numbers.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ..holdings.accounts import Account
from ..holdings.brackets import brackets_of, max_notional
from ..holdings.margin import AccountMargin, PositionMargin, liquidation_price
from ..holdings.orders import TRAILING, Income, MarginChange, Order, Trade
from ..holdings.positions import ZERO, rounded
from ..prices.intervals import MINUTE
from ..prices.symbols import QUOTE, Instrument

Json = dict[str, Any]


def eight(amount: Decimal) -> str:
    """Return an amount with eight decimals."""
    return f"{rounded(amount):f}"


def plain(number: Decimal) -> str:
    """Return a number exactly, without exponent."""
    return f"{number:f}"


def order_answer(order: Order, instrument: Instrument) -> Json:
    """An order as placing or cancelling answers it."""
    decimals = max(5, instrument.price_decimals)
    average = order.quote / order.executed if order.executed else ZERO
    row = {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": instrument.price_text(order.price) if order.price else "0",
        "avgPrice": f"{average:.{decimals}f}",
        "origQty": plain(order.quantity),
        "executedQty": plain(order.executed),
        "cumQty": plain(order.executed),
        "cumQuote": plain(order.quote),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": instrument.price_text(order.stop_price) if order.stop_price else "0",
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_type,
        "updateTime": order.update_time,
    }
    if order.original_type == TRAILING:
        row |= {"activatePrice": instrument.price_text(order.activation), "priceRate": plain(order.callback_rate)}
    return row


def order_row(order: Order, instrument: Instrument) -> Json:
    """An order as queries answer it."""
    row = order_answer(order, instrument)
    del row["cumQty"]
    row["time"] = order.time
    return row


def trade_row(trade: Trade, instrument: Instrument) -> Json:
    """A trade as `userTrades` answers it; the commission is positive when the account paid."""
    return {
        "symbol": trade.symbol,
        "id": trade.id,
        "orderId": trade.order_id,
        "side": trade.side,
        "price": instrument.price_text(trade.price),
        "qty": plain(trade.quantity),
        "quoteQty": plain(trade.quantity * instrument.price(trade.price)),
        "realizedPnl": plain(trade.realized),
        "marginAsset": QUOTE,
        "commission": plain(trade.commission),
        "commissionAsset": QUOTE,
        "time": trade.time,
        "positionSide": trade.position_side,
        "maker": trade.maker,
        "buyer": trade.side == "BUY",
    }


def income_row(income: Income) -> Json:
    return {
        "symbol": income.symbol,
        "incomeType": income.kind,
        "income": eight(income.amount),
        "asset": QUOTE,
        "info": income.kind,
        "time": income.time,
        "tranId": str(income.id),
        "tradeId": str(income.trade_id) if income.trade_id else "",
    }


def balance_row(account: Account, margin: AccountMargin, now: int) -> Json:
    wallet, available = eight(margin.wallet), eight(margin.available)
    return {
        "accountAlias": account.id[-6:],
        "asset": QUOTE,
        "balance": wallet,
        "crossWalletBalance": eight(margin.cross_wallet),
        "crossUnPnl": eight(margin.cross_unrealized),
        "availableBalance": available,
        "maxWithdrawAmount": available,
        "marginAvailable": True,
        "updateTime": now,
    }


def account_answer(margin: AccountMargin, positions: list[Json], now: int, *, multi_assets: bool) -> Json:
    """An account as `accountWithJoinMargin` answers it: totals, its one asset, and a row for every symbol.

    In multi-assets mode the totals are in USD, which is not quite worth an USDT, and not always the same.
    """
    rate = 1 - Decimal(1 + now // MINUTE % 7).scaleb(-4) if multi_assets else Decimal(1)
    amounts = {
        "walletBalance": eight(margin.wallet),
        "unrealizedProfit": eight(margin.unrealized),
        "marginBalance": eight(margin.equity),
        "maintMargin": eight(margin.maintenance),
        "initialMargin": eight(margin.initial),
        "positionInitialMargin": eight(margin.position_initial),
        "openOrderInitialMargin": eight(margin.order_initial),
        "crossWalletBalance": eight(margin.cross_wallet),
        "crossUnPnl": eight(margin.cross_unrealized),
    }
    free = {"availableBalance": eight(margin.available), "maxWithdrawAmount": eight(margin.available)}
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        **{f"total{name[0].upper()}{name[1:]}": eight(Decimal(amount) * rate) for name, amount in amounts.items()},
        **free,
        "assets": [{"asset": QUOTE, **amounts, **free, "marginAvailable": True, "updateTime": now}],
        "positions": positions,
    }


def account_position(account: Account, symbol: str, margin: PositionMargin) -> Json:
    """A position as it stands in an account's answer."""
    position, leverage = margin.position, account.leverage(symbol)
    return {
        "symbol": symbol,
        "initialMargin": eight(margin.position_initial + margin.order_initial),
        "maintMargin": eight(margin.maintenance),
        "unrealizedProfit": eight(margin.unrealized),
        "positionInitialMargin": eight(margin.position_initial),
        "openOrderInitialMargin": eight(margin.order_initial),
        "leverage": str(leverage),
        "isolated": margin.isolated,
        "entryPrice": eight(position.entry_price),
        "maxNotional": plain(max_notional(symbol, leverage)),
        "positionSide": position.side,
        "positionAmt": plain(position.quantity),
        "notional": eight(margin.notional),
        "isolatedWallet": eight(position.isolated) if margin.isolated else "0",
        "updateTime": position.update_time,
    }


def position_risk(
    account: Account, symbol: str, margin: PositionMargin, *, mark: Decimal, whole: AccountMargin
) -> Json:
    """A position as `positionRisk` answers it."""
    position, leverage = margin.position, account.leverage(symbol)
    isolated_margin = position.isolated + margin.unrealized if margin.isolated else ZERO
    return {
        "symbol": symbol,
        "positionAmt": plain(position.quantity),
        "entryPrice": eight(position.entry_price),
        "markPrice": eight(mark),
        "unRealizedProfit": eight(margin.unrealized),
        "liquidationPrice": eight(liquidation_price(account, symbol, position, mark, whole)),
        "leverage": str(leverage),
        "maxNotionalValue": plain(max_notional(symbol, leverage)),
        "marginType": "isolated" if margin.isolated else "cross",
        "isolatedMargin": eight(isolated_margin),
        "isAutoAddMargin": "false",
        "positionSide": position.side,
        "notional": eight(margin.notional),
        "isolatedWallet": eight(position.isolated) if margin.isolated else "0",
        "updateTime": position.update_time,
    }


def margin_change_row(change: MarginChange) -> Json:
    return {
        "amount": plain(abs(change.amount)),
        "asset": QUOTE,
        "symbol": change.symbol,
        "time": change.time,
        "type": 1 if change.amount > 0 else 2,
        "positionSide": change.position_side,
    }


def bracket_answer(symbol: str) -> Json:
    brackets = [
        {
            "bracket": bracket.number,
            "initialLeverage": bracket.leverage,
            "notionalCap": int(bracket.cap),
            "notionalFloor": int(bracket.floor),
            "maintMarginRatio": float(bracket.ratio),
            "cum": float(bracket.cum),
        }
        for bracket in brackets_of(symbol)
    ]
    return {"symbol": symbol, "brackets": brackets}
