"""
An account in our own words, as the exchange's payloads tell it, and our orders in its words.

A reader raises Unreadable rather than guess.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.domain.order import Fill, Income, IncomeKind, Intent, OrderState, OrderType, Side, VenueOrder
from shared.domain.position import Balance, Direction, Position
from shared.exchange.fields import (
    Row,
    as_row,
    as_rows,
    decimal,
    flag,
    identifier,
    integer,
    moment,
    number,
    text,
    word,
)

_INCOME_KINDS = {kind.value: kind for kind in IncomeKind}


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
    row = as_row(payload)
    balance = Balance(
        wallet=decimal(row, "totalWalletBalance"),
        unrealized=decimal(row, "totalUnrealizedProfit"),
        available=decimal(row, "availableBalance"),
        initial_margin=decimal(row, "totalInitialMargin"),
        maintenance_margin=decimal(row, "totalMaintMargin"),
    )
    positions = as_rows(row.get("positions"))
    return AccountReport(balance, _sizes(positions), _hedged(positions))


@dataclass(frozen=True, slots=True)
class PositionReport:
    """The open positions, one for each symbol and position side, their sizes, and whether that is hedge mode."""

    positions: tuple[Position, ...]
    sizes: Sizes
    hedged: bool | None


def read_positions(payload: Any) -> PositionReport:
    """Read the open positions of `positionRisk`, of an account in one-way or in hedge mode."""
    rows = as_rows(payload)
    held = tuple(_position(row) for row in rows if decimal(row, "positionAmt") != 0)
    return PositionReport(held, _sizes(rows), _hedged(rows))


def read_hedged(payload: Any) -> bool:
    """Read the answer of `positionSide/dual`: whether the account is in hedge mode."""
    return flag(as_row(payload), "dualSidePosition")


def _sizes(rows: Iterable[Row]) -> Sizes:
    sizes = {(text(row, "symbol"), _position_side(row)): decimal(row, "positionAmt") for row in rows}
    return {key: size for key, size in sizes.items() if size != 0}


def _hedged(rows: Iterable[Row]) -> bool | None:
    """Say whether the rows are those of hedge mode: it has LONG and SHORT ones, one-way mode nothing but BOTH."""
    sides = {_position_side(row) for row in rows}
    return sides != {None} if sides else None


def _position_side(row: Row) -> Direction | None:
    return None if text(row, "positionSide") == "BOTH" else word(row, "positionSide", Direction)


def _position(row: Row) -> Position:
    size = decimal(row, "positionAmt")
    direction = _position_side(row) or (Direction.LONG if size > 0 else Direction.SHORT)
    liquidation_price = decimal(row, "liquidationPrice", "0")
    return Position(
        symbol=text(row, "symbol"),
        direction=direction,
        quantity=abs(size),
        entry_price=decimal(row, "entryPrice"),
        mark_price=decimal(row, "markPrice"),
        unrealized=decimal(row, "unRealizedProfit"),
        leverage=integer(row, "leverage"),
        liquidation_price=liquidation_price if liquidation_price > 0 else None,
    )


def read_order(payload: Any) -> VenueOrder:
    """Read an order. A triggered one keeps the type it was placed with, though it executes as another."""
    row = as_row(payload)
    executed = decimal(row, "executedQty")
    average = decimal(row, "avgPrice", "0")
    if average == 0 and executed > 0:  # answers to a cancellation leave the average out
        average = decimal(row, "cumQuote") / executed
    return VenueOrder(
        client_order_id=text(row, "clientOrderId"),
        venue_order_id=integer(row, "orderId"),
        symbol=text(row, "symbol"),
        side=word(row, "side", Side),
        type=word(row, "origType" if row.get("origType") else "type", OrderType),
        state=word(row, "status", OrderState),
        quantity=decimal(row, "origQty"),
        executed_quantity=executed,
        average_price=average,
        price=decimal(row, "price", "0"),
        stop_price=decimal(row, "stopPrice", "0"),
        reduce_only=flag(row, "reduceOnly"),
        closes_position=flag(row, "closePosition"),
        updated_at=moment(row, "updateTime"),
        position_side=_position_side(row),
    )


def read_orders(payload: Any) -> list[VenueOrder]:
    """Read a list of orders."""
    return [read_order(row) for row in as_rows(payload)]


def read_fills(payload: Any) -> list[Fill]:
    """Read `userTrades`, by trade id. A commission is a cost in either sign: negative in the manual, positive live."""
    fills = [
        Fill(
            trade_id=integer(row, "id"),
            venue_order_id=integer(row, "orderId"),
            symbol=text(row, "symbol"),
            side=word(row, "side", Side),
            price=decimal(row, "price"),
            quantity=decimal(row, "qty"),
            realized_pnl=decimal(row, "realizedPnl"),
            commission=abs(decimal(row, "commission")),
            commission_asset=text(row, "commissionAsset"),
            maker=flag(row, "maker"),
            at=moment(row, "time"),
            position_side=_position_side(row),
        )
        for row in as_rows(payload)
    ]
    return sorted(fills, key=lambda fill: fill.trade_id)


def read_incomes(payload: Any) -> list[Income]:
    """Read `income`, oldest first. Its transaction ids are unique within a kind only, so ours carry the kind."""
    return sorted((_income(row) for row in as_rows(payload)), key=lambda row: row.at)


def _income(row: Row) -> Income:
    kind = text(row, "incomeType")
    return Income(
        transaction_id=f"{kind}:{identifier(row, 'tranId')}",
        kind=_INCOME_KINDS.get(kind, IncomeKind.OTHER),
        symbol=row.get("symbol") or None,
        amount=decimal(row, "income"),
        asset=text(row, "asset"),
        at=moment(row, "time"),
    )


def read_taker_fee(payload: Any) -> Decimal:
    """Read the answer of `commissionRate`."""
    return decimal(as_row(payload), "takerCommissionRate")


def read_nothing(payload: Any) -> None:
    """Read an answer that says no more than that it was done."""
    as_row(payload)


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
