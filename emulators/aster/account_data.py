"""Signed endpoints about an account: balance, positions, fills, income, and its settings."""

from __future__ import annotations

from .accounts import between, since_id
from .calls import Answer, Call, Endpoint
from .errors import Refusal
from .margin import symbol_margin
from .parameters import choice, flag, integer, limit, period, text
from .wire import (
    account_answer,
    account_position,
    balance_row,
    bracket_answer,
    income_row,
    plain,
    position_risk,
    trade_row,
)

SUCCESS = {"code": 200, "msg": "success"}


async def balance(call: Call) -> Answer:
    return [balance_row(call.account, call.venue.margin(call.account), call.now)]


async def account(call: Call) -> Answer:
    holder = call.account
    positions = [
        account_position(holder, each, symbol_margin(holder, each, call.venue.engine.mark(each.symbol)))
        for each in call.instruments()
    ]
    return account_answer(call.venue.margin(holder), positions, call.now)


async def positions(call: Call) -> Answer:
    holder, whole = call.account, call.venue.margin(call.account)
    rows = []
    for instrument in call.instruments():
        mark = call.venue.engine.mark(instrument.symbol)
        margin = symbol_margin(holder, instrument, mark)
        rows.append(position_risk(holder, instrument, margin, mark=mark, whole=whole))
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
    return [trade_row(trade, instrument) for trade in found]


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
    """Cross margin is what every account has; isolated margin is not offered yet."""
    call.venue.instrument(text(call.parameters, "symbol"))
    kind = choice(call.parameters, "marginType", frozenset({"CROSSED", "ISOLATED"}), -1102)
    raise Refusal(-4046 if kind == "CROSSED" else -4084)


async def position_mode(call: Call) -> Answer:
    return {"dualSidePosition": call.account.hedge_mode}


async def set_position_mode(call: Call) -> Answer:
    text(call.parameters, "dualSidePosition")
    call.venue.set_hedge_mode(call.account, flag(call.parameters, "dualSidePosition"))
    return SUCCESS


async def multi_assets_mode(call: Call) -> Answer:
    return {"multiAssetsMargin": False}


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
    Endpoint("GET", "positionSide/dual", position_mode, weight=30, signed=True),
    Endpoint("POST", "positionSide/dual", set_position_mode, signed=True),
    Endpoint("GET", "multiAssetsMargin", multi_assets_mode, weight=30, signed=True),
)
