"""Signed endpoints about an account: balance, positions, fills, income, and its settings."""

from __future__ import annotations

from ..errors import Refusal
from ..holdings.accounts import between, since_id
from ..holdings.adl import adl_row
from ..holdings.margin import position_margins
from ..holdings.orders import DELEVERAGING, LIQUIDATION
from ..matching.admission import SELF_TRADES
from ..parameters import choice, flag, integer, limit, needed_decimal, period, text
from ..prices.intervals import DAY
from ..prices.symbols import QUOTE
from .calls import Answer, Call, Endpoint, with_symbol
from .wire import (
    account_answer,
    account_position,
    balance_row,
    bracket_answer,
    income_row,
    margin_change_row,
    order_row,
    plain,
    position_risk,
    trade_row,
)

UNDOCUMENTED = frozenset({"notional", "isolatedWallet"})
"""What real answers of `positionRisk` have beyond its documentation."""
SUCCESS = {"code": 200, "msg": "success"}


async def balance(call: Call) -> Answer:
    return [balance_row(call.account, call.venue.margin(call.account), call.now)]


async def account(call: Call) -> Answer:
    holder = call.account
    positions = [
        account_position(holder, each.symbol, margin)
        for each in call.instruments()
        for margin in position_margins(holder, each, call.venue.engine.mark(each.symbol))
    ]
    return account_answer(call.venue.margin(holder), positions, call.now, multi_assets=holder.multi_assets)


async def positions(call: Call) -> Answer:
    holder, whole = call.account, call.venue.margin(call.account)
    rows = []
    for instrument in call.instruments():
        mark = call.venue.engine.mark(instrument.symbol)
        for margin in position_margins(holder, instrument, mark):
            row = position_risk(holder, instrument.symbol, margin, mark=mark, whole=whole)
            if margin.position.quantity or call.venue.habits.flat_positions:
                rows.append(row)
    if call.venue.habits.documented_positions:
        rows = [{name: value for name, value in row.items() if name not in UNDOCUMENTED} for row in rows]
    return rows


async def user_trades(call: Call) -> Answer:
    instrument = call.venue.instrument(text(call.parameters, "symbol"))
    rows = limit(call.parameters, default=500, most=1000)
    history = call.account.trades_of[instrument.symbol]
    first_id = integer(call.parameters, "fromId")
    if first_id is not None:
        if call.parameters.get("startTime") or call.parameters.get("endTime"):
            raise Refusal(-1128)
        found = since_id(history, first_id)[:rows]
    else:
        found = between(history, *period(call.parameters, now=call.now, days=7))
        found = found[:rows] if call.parameters.get("startTime") else found[-rows:]
    answer = [trade_row(trade, instrument) for trade in found]
    if call.venue.habits.negative_commission:
        for row, trade in zip(answer, found, strict=True):
            row["commission"] = plain(-trade.commission)
    return answer


async def income(call: Call) -> Answer:
    rows = limit(call.parameters, default=100, most=1000)
    symbol, kind = call.parameters.get("symbol"), call.parameters.get("incomeType")
    start, end = period(call.parameters, now=call.now, days=7)
    found = [
        each
        for each in between(call.account.income, start, end)
        if (not symbol or each.symbol == symbol) and (not kind or each.kind == kind)
    ]
    return [income_row(each) for each in (found[:rows] if call.parameters.get("startTime") else found[-rows:])]


async def commission_rate(call: Call) -> Answer:
    ledger = call.venue.ledger
    return {
        "symbol": call.venue.instrument(text(call.parameters, "symbol")).symbol,
        "makerCommissionRate": plain(ledger.maker_fee),
        "takerCommissionRate": plain(ledger.taker_fee),
    }


async def leverage_brackets(call: Call) -> Answer:
    if call.parameters.get("symbol"):
        return bracket_answer(call.venue.instrument(call.parameters["symbol"]).symbol)
    return [bracket_answer(symbol) for symbol in call.venue.market.instruments]


async def set_leverage(call: Call) -> Answer:
    symbol, leverage = text(call.parameters, "symbol"), integer(call.parameters, "leverage")
    if leverage is None:
        raise Refusal(-1102, "leverage")
    most = call.venue.set_leverage(call.account, symbol, leverage)
    return {"leverage": leverage, "maxNotionalValue": plain(most), "symbol": symbol}


async def set_margin_type(call: Call) -> Answer:
    symbol = text(call.parameters, "symbol")
    kind = choice(call.parameters, "marginType", frozenset({"CROSSED", "ISOLATED"}), -1102)
    call.venue.set_isolated(call.account, symbol, kind == "ISOLATED")
    return SUCCESS


async def move_margin(call: Call) -> Answer:
    symbol, amount = text(call.parameters, "symbol"), needed_decimal(call.parameters, "amount")
    kind = choice(call.parameters, "type", frozenset({"1", "2"}), -1130)
    side = choice(call.parameters, "positionSide", frozenset({"BOTH", "LONG", "SHORT"}), -4060, "BOTH")
    call.venue.move_margin(call.account, symbol, side, amount, add=kind == "1")
    return {
        "amount": float(amount),
        "code": 200,
        "msg": "Successfully modify position margin.",
        "type": int(kind),
    }


async def margin_history(call: Call) -> Answer:
    symbol = call.venue.instrument(text(call.parameters, "symbol")).symbol
    kind = call.parameters.get("type")
    start, end = integer(call.parameters, "startTime") or 0, integer(call.parameters, "endTime") or call.now
    rows = limit(call.parameters, default=500, most=1000)
    found = [each for each in between(call.account.margin_changes, start, end) if each.symbol == symbol]
    return [margin_change_row(each) for each in found if not kind or (each.amount > 0) == (kind == "1")][-rows:]


async def position_mode(call: Call) -> Answer:
    return {"dualSidePosition": call.account.hedge_mode}


async def set_position_mode(call: Call) -> Answer:
    text(call.parameters, "dualSidePosition")
    call.venue.set_hedge_mode(call.account, flag(call.parameters, "dualSidePosition"))
    return SUCCESS


async def multi_assets_mode(call: Call) -> Answer:
    return {"multiAssetsMargin": call.account.multi_assets}


async def set_multi_assets_mode(call: Call) -> Answer:
    text(call.parameters, "multiAssetsMargin")
    call.venue.set_multi_assets(call.account, flag(call.parameters, "multiAssetsMargin"))
    return SUCCESS


async def self_trade_mode(call: Call) -> Answer:
    return {"stpMode": call.account.self_trade}


async def set_self_trade_mode(call: Call) -> Answer:
    call.venue.set_self_trade(call.account, choice(call.parameters, "stpMode", SELF_TRADES, -1130))
    return SUCCESS


async def adl_quantiles(call: Call) -> Answer:
    return [adl_row(call.account, each, call.venue.engine.mark(each.symbol)) for each in call.instruments()]


async def forced_orders(call: Call) -> Answer:
    symbol, rows = call.parameters.get("symbol"), limit(call.parameters, default=50, most=100)
    kinds = {"LIQUIDATION": LIQUIDATION, "ADL": DELEVERAGING}
    kind = call.parameters.get("autoCloseType")
    if kind and kind not in kinds:
        raise Refusal(-1130, "autoCloseType")
    start, end = integer(call.parameters, "startTime"), integer(call.parameters, "endTime") or call.now
    begin = end - 7 * DAY if start is None else start
    found = [
        order_row(order, call.venue.instrument(order.symbol))
        for order in call.account.orders.values()
        if order.forced
        and begin <= order.time <= end
        and (not symbol or order.symbol == symbol)
        and (not kind or order.client_id.startswith(kinds[kind]))
    ]
    return found[-rows:]


async def transfer(call: Call) -> Answer:
    amount, client_id = needed_decimal(call.parameters, "amount"), text(call.parameters, "clientTranId")
    kind = choice(call.parameters, "kindType", frozenset({"FUTURE_SPOT", "SPOT_FUTURE"}), -1130)
    if text(call.parameters, "asset") != QUOTE:
        raise Refusal(-1108)
    if len(client_id) >= 64:
        raise Refusal(-4114)
    if amount <= 0:
        raise Refusal(-4055)
    done = call.venue.transfer(call.account, amount if kind == "SPOT_FUTURE" else -amount, client_id)
    return {"tranId": done.id, "status": "SUCCESS"}


TRANSFER = Endpoint("POST", "asset/wallet/transfer", transfer, weight=5, signed=True)
ENDPOINTS = (
    Endpoint("GET", "balance", balance, versions=("v2", "v3"), weight=5, signed=True),
    Endpoint("GET", "account", account, versions=("v2", "v3", "v4"), weight=5, signed=True),
    Endpoint("GET", "accountWithJoinMargin", account, versions=("v3",), weight=5, signed=True),
    Endpoint("GET", "positionRisk", positions, versions=("v2", "v3"), weight=5, signed=True),
    Endpoint("GET", "userTrades", user_trades, weight=5, signed=True),
    Endpoint("GET", "income", income, weight=30, signed=True),
    Endpoint("GET", "commissionRate", commission_rate, weight=20, signed=True),
    Endpoint("GET", "leverageBracket", leverage_brackets, signed=True),
    Endpoint("POST", "leverage", set_leverage, signed=True),
    Endpoint("POST", "marginType", set_margin_type, signed=True),
    Endpoint("POST", "positionMargin", move_margin, signed=True),
    Endpoint("GET", "positionMargin/history", margin_history, signed=True),
    Endpoint("GET", "positionSide/dual", position_mode, weight=30, signed=True),
    Endpoint("POST", "positionSide/dual", set_position_mode, signed=True),
    Endpoint("GET", "multiAssetsMargin", multi_assets_mode, weight=30, signed=True),
    Endpoint("POST", "multiAssetsMargin", set_multi_assets_mode, signed=True),
    Endpoint("GET", "stpMode", self_trade_mode, versions=("v3",), weight=30, signed=True),
    Endpoint("POST", "stpMode", set_self_trade_mode, versions=("v3",), signed=True),
    Endpoint("GET", "adlQuantile", adl_quantiles, weight=5, signed=True),
    Endpoint("GET", "forceOrders", forced_orders, weight=with_symbol(20, 50), signed=True),
    TRANSFER,
)
