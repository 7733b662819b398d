"""
An account in our own words, as the exchange's payloads tell it. A reader raises Unreadable rather than guess.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.domain.order import Fill, Income, IncomeKind, OrderState, OrderType, Side, VenueOrder
from shared.domain.position import WALLET_ASSET, Balance, Direction, Position
from shared.exchange.fields import (
    Row,
    Unreadable,
    as_row,
    as_rows,
    decimal,
    flag,
    identifier,
    integer,
    moment,
    text,
    word,
)

_INCOME_KINDS = {kind.value: kind for kind in IncomeKind}


Sizes = dict[tuple[str, Direction | None], Decimal]
"""Signed position sizes by symbol and position side, flat ones left out."""


@dataclass(frozen=True, slots=True)
class AccountReport:
    """The totals of an account and the sizes they rest on."""

    balance: Balance
    sizes: Sizes
    hedged: bool | None
    """Whether it is in hedge mode; None where no row tells."""
    may_trade: bool
    isolated: frozenset[str]
    """The symbols with isolated margin."""


def read_account(payload: Any) -> AccountReport:
    """Read the answer of `accountWithJoinMargin`.

    Its totals are of all assets in multi-assets mode, valued at rates that move: they add up with no ledger.
    """
    row = as_row(payload)
    settled = next((each for each in as_rows(row.get("assets")) if each.get("asset") == WALLET_ASSET), None)
    if settled is None:
        raise Unreadable(f"it tells of no {WALLET_ASSET}")
    balance = Balance(
        wallet=decimal(settled, "walletBalance"),
        unrealized=decimal(settled, "unrealizedProfit"),
        available=decimal(row, "availableBalance"),
        initial_margin=decimal(row, "totalInitialMargin"),
        maintenance_margin=decimal(row, "totalMaintMargin"),
    )
    positions = as_rows(row.get("positions"))
    isolated = frozenset(text(row, "symbol") for row in positions if flag(row, "isolated"))
    may_trade = flag(row, "canTrade")
    return AccountReport(balance, _sizes(positions), _hedged(positions), may_trade=may_trade, isolated=isolated)


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
    """Read an order. A triggered one that rests is what it has become; any other has the type it was placed with."""
    row = as_row(payload)
    state = word(row, "status", OrderState)
    kind = word(row, "origType" if row.get("origType") else "type", OrderType)
    if state.working:
        kind = word(row, "type", OrderType)
    executed = decimal(row, "executedQty")
    average = decimal(row, "avgPrice", "0")
    if average == 0 and executed > 0:  # answers to a cancellation leave the average out
        average = decimal(row, "cumQuote") / executed
    return VenueOrder(
        client_order_id=text(row, "clientOrderId"),
        venue_order_id=integer(row, "orderId"),
        symbol=text(row, "symbol"),
        side=word(row, "side", Side),
        type=kind,
        state=state,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetBalance:
    """What an account holds of one asset."""

    asset: str
    wallet: Decimal
    available: Decimal
    unrealized: Decimal
    carries: bool
    """True where it may be margin."""


def read_balances(payload: Any) -> list[AssetBalance]:
    """Read the answer of `balance`."""
    return [
        AssetBalance(
            asset=text(row, "asset"),
            wallet=decimal(row, "balance"),
            available=decimal(row, "availableBalance"),
            unrealized=decimal(row, "crossUnPnl"),
            carries=flag(row, "marginAvailable"),
        )
        for row in as_rows(payload)
    ]


def read_alias(payload: Any) -> str:
    """Read from the answer of `balance` the code that the exchange has for the account alone; empty if untold."""
    return next((str(row["accountAlias"]) for row in as_rows(payload) if row.get("accountAlias")), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Of positions worth more than `floor` and at most `cap`: maintenance is `ratio` times the notional less `less`."""

    max_leverage: int
    floor: Decimal
    cap: Decimal
    ratio: Decimal
    less: Decimal


def read_brackets(payload: Any) -> dict[str, tuple[Bracket, ...]]:
    """Read the answer of `leverageBracket`, one object or a list, the smallest positions first."""
    rows = as_rows(payload if isinstance(payload, list) else [payload])
    return {text(row, "symbol"): _brackets(as_rows(row.get("brackets"))) for row in rows}


def _brackets(rows: Iterable[Row]) -> tuple[Bracket, ...]:
    found = (
        Bracket(
            max_leverage=integer(row, "initialLeverage"),
            floor=decimal(row, "notionalFloor"),
            cap=decimal(row, "notionalCap"),
            ratio=decimal(row, "maintMarginRatio"),
            less=decimal(row, "cum"),
        )
        for row in rows
    )
    return tuple(sorted(found, key=lambda bracket: bracket.floor))


@dataclass(frozen=True, slots=True)
class Fees:
    """What a trade costs, as fractions of its notional."""

    maker: Decimal
    taker: Decimal


def read_fees(payload: Any) -> Fees:
    """Read the answer of `commissionRate`."""
    row = as_row(payload)
    return Fees(decimal(row, "makerCommissionRate"), decimal(row, "takerCommissionRate"))


def read_adl_quantiles(payload: Any) -> dict[tuple[str, Direction | None], int]:
    """Read the answer of `adlQuantile`: by symbol and direction, None in one-way mode."""
    return {
        (text(row, "symbol"), side): integer(quantiles, name)
        for row in as_rows(payload)
        for quantiles in [as_row(row.get("adlQuantile"))]
        for name, side in _ADL_SIDES.items()
        if name in quantiles
    }


_ADL_SIDES: dict[str, Direction | None] = {"LONG": Direction.LONG, "SHORT": Direction.SHORT, "BOTH": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginChange:
    """What was put into the isolated margin of a position, or taken out of it when negative."""

    symbol: str
    position_side: Direction | None
    amount: Decimal
    asset: str
    at: datetime


def read_margin_changes(payload: Any) -> list[MarginChange]:
    """Read the answer of `positionMargin/history`, oldest first."""
    return sorted((_margin_change(row) for row in as_rows(payload)), key=lambda change: change.at)


def _margin_change(row: Row) -> MarginChange:
    kind = integer(row, "type")
    if kind not in {1, 2}:
        raise Unreadable(f"type is {kind}, neither 1 nor 2")
    return MarginChange(
        symbol=text(row, "symbol"),
        position_side=_position_side(row),
        amount=decimal(row, "amount") * (1 if kind == 1 else -1),
        asset=text(row, "asset"),
        at=moment(row, "time"),
    )


def read_multi_assets(payload: Any) -> bool:
    """Read the answer of `multiAssetsMargin`."""
    return flag(as_row(payload), "multiAssetsMargin")


def read_listen_key(payload: Any) -> str:
    """Read the answer to the making of a `listenKey`."""
    return text(as_row(payload), "listenKey")


def read_done(payload: Any) -> None:
    """Read an answer that says no more than that it was done."""
    as_row(payload)
