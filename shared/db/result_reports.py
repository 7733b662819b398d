"""
What came of it all: positions and their protection, round trips, where profit was earned, and what it cost.

Pages are pages, and what looks at single round trips looks at the newest EDGE_TRIPS at most, and says so.
"""

from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Unpack

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    select,
    text,
    true,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Date

from shared.db.curve_reports import CurveReports
from shared.db.paging import Page, columns_of, plain
from shared.db.reading import Narrowing, share, where
from shared.db.tables import allowances, model_spending, orders, positions, round_trips, trading_days
from shared.db.values import CleanText, Moment, Money
from shared.domain.allowance import SLICES, slice_of
from shared.domain.order import OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.domain.round_trip import ExitReason

EDGE_TRIPS = 10_000
"""The most round trips that are taken apart at once."""

EDGE_DIMENSIONS = ("holding_time", "direction", "symbol", "hour", "weekday", "model", "exit")

_STOPS = (OrderType.STOP_MARKET, OrderType.STOP)
_TARGETS = (OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT)
_RESTS = (OrderState.NEW, OrderState.PARTIALLY_FILLED)
_SPAN = ("first", "last")
_RESTING = ("price", "client_order_id", "venue_order_id", "since", "distance", "distance_r")

_NET = round_trips.c.realized - round_trips.c.fees + round_trips.c.funding
_ENTRY_PRICE = round_trips.c.entry_value / round_trips.c.entered
_RISK = round_trips.c.entered * func.abs(_ENTRY_PRICE - round_trips.c.stop_price)

# By what a position was, each in turn, and all together. Hours and weekdays are those of the entry, UTC.
_EDGE = text("""
WITH trips AS (
    SELECT symbol, direction, coalesce(model, '') AS model, exit, closed_at,
        realized - fees + funding AS net, fees, funding, entry_value,
        entered * abs(entry_value / entered - stop_price) AS risk,
        lpad(CAST(extract(hour FROM opened_at AT TIME ZONE 'UTC') AS text), 2, '0') AS hour,
        CAST(extract(isodow FROM opened_at AT TIME ZONE 'UTC') AS text) AS weekday,
        CASE
            WHEN closed_at - opened_at < interval '15 minutes' THEN 'under 15m'
            WHEN closed_at - opened_at < interval '1 hour' THEN '15m to 1h'
            WHEN closed_at - opened_at < interval '4 hours' THEN '1h to 4h'
            WHEN closed_at - opened_at < interval '1 day' THEN '4h to 1d'
            WHEN closed_at - opened_at < interval '7 days' THEN '1d to 7d'
            ELSE 'over 7d'
        END AS holding,
        extract(epoch FROM closed_at - opened_at) AS seconds
    FROM round_trips
    WHERE closed_at IS NOT NULL
        AND (CAST(:account AS text) IS NULL OR account_id = :account)
        AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
        AND closed_at >= coalesce(:since, '-infinity') AND closed_at < coalesce(:until, 'infinity')
    ORDER BY closed_at DESC
    LIMIT :most
)
SELECT
    CASE
        WHEN grouping(holding) = 0 THEN 'holding_time' WHEN grouping(direction) = 0 THEN 'direction'
        WHEN grouping(symbol) = 0 THEN 'symbol' WHEN grouping(hour) = 0 THEN 'hour'
        WHEN grouping(weekday) = 0 THEN 'weekday' WHEN grouping(model) = 0 THEN 'model'
        WHEN grouping(exit) = 0 THEN 'exit' ELSE 'total'
    END AS dimension,
    coalesce(holding, direction, symbol, hour, weekday, model, exit) AS value,
    CAST(count(*) AS integer) AS round_trips,
    CAST(avg(CASE WHEN net > 0 THEN 1.0 ELSE 0.0 END) AS double precision) AS win_rate,
    coalesce(sum(net), 0) AS profit,
    coalesce(sum(fees), 0) AS fees,
    coalesce(sum(funding), 0) AS funding,
    coalesce(sum(net) FILTER (WHERE net > 0), 0) AS gained,
    coalesce(-sum(net) FILTER (WHERE net < 0), 0) AS lost,
    CAST(avg(net / nullif(entry_value, 0)) AS double precision) AS mean_return,
    CAST(stddev_samp(net / nullif(entry_value, 0)) AS double precision) AS deviation,
    CAST(avg(net / nullif(risk, 0)) AS double precision) AS mean_r,
    min(closed_at) AS first, max(closed_at) AS last
FROM trips
GROUP BY GROUPING SETS ((holding), (direction), (symbol), (hour), (weekday), (model), (exit), ())
ORDER BY min(seconds) FILTER (WHERE holding IS NOT NULL), value
""").bindparams(
    bindparam("account", type_=CleanText),
    bindparam("symbol", type_=CleanText),
    bindparam("since", type_=Moment),
    bindparam("until", type_=Moment),
)

_COSTS = text("""
SELECT given.account, given.since AS day,
    coalesce(trading.trades, 0) AS trades, coalesce(trading.trips, 0) AS round_trips,
    coalesce(trading.turnover, 0) AS turnover, coalesce(trading.fees, 0) AS fees,
    coalesce(trading.funding, 0) AS funding,
    CAST(asked.calls AS integer) AS calls, CAST(asked.estimated AS integer) AS estimated,
    CAST(asked.decisions AS integer) AS decisions, asked.cost, asked.cost_estimated,
    CAST(entered.entries AS integer) AS entries,
    coalesce(trading.fees, 0) - coalesce(trading.funding, 0) + asked.cost AS total,
    trim_scale(round(asked.cost / nullif(asked.decisions, 0), 8)) AS cost_per_decision,
    trim_scale(round(asked.cost / nullif(entered.entries, 0), 8)) AS cost_per_entry,
    trim_scale(round(trading.fees / nullif(trading.trades, 0), 8)) AS fees_per_trade,
    trim_scale(round(
        (coalesce(trading.fees, 0) - coalesce(trading.funding, 0) + asked.cost) / nullif(trading.trips, 0), 8
    )) AS total_per_round_trip
FROM (
    SELECT account, day, CAST(day AS timestamp) AT TIME ZONE 'UTC' AS since,
        CAST(day + 1 AS timestamp) AT TIME ZONE 'UTC' AS until
    FROM unnest(:accounts, :days) AS chosen (account, day)
) AS given
LEFT JOIN trading_days AS trading ON trading.account_id = given.account AND trading.day = given.day
CROSS JOIN LATERAL (
    SELECT count(*) AS calls, count(*) FILTER (WHERE estimated) AS estimated, coalesce(sum(cost), 0) AS cost,
        coalesce(sum(cost) FILTER (WHERE estimated), 0) AS cost_estimated,
        count(DISTINCT tick) FILTER (WHERE content IS NOT NULL AND purpose IN ('decision', 'fallback')) AS decisions
    FROM model_calls WHERE account_id = given.account AND tick >= given.since AND tick < given.until
) AS asked
CROSS JOIN LATERAL (
    SELECT count(*) AS entries FROM decisions
    WHERE account_id = given.account AND tick >= given.since AND tick < given.until
        AND action IN ('buy', 'sell') AND verdict IN ('approved', 'clipped')
) AS entered
ORDER BY given.day DESC, given.account DESC
""").bindparams(bindparam("accounts", type_=ARRAY(CleanText)), bindparam("days", type_=ARRAY(Date)))


class ResultReports(CurveReports):
    """The reading side of a database, as far as results go."""

    async def positions(self, *, symbol: str | None = None, **narrowing: Unpack[Narrowing]) -> Page:
        """Return the open positions by account and symbol, each with what protects it and how far that is.

        Distances are shares of the mark price, and multiples of the risk that was taken at first: from the entry to the
        first stop. What rests was confirmed when the position was: `at`.
        """
        trip, stop, target = _open_trip(), _resting("stop", _STOPS), _resting("target", _TARGETS)
        sign = case((positions.c.direction == Direction.LONG, 1), else_=-1)
        risk = func.abs(positions.c.entry_price - trip.c.stop_price)
        away = func.abs(positions.c.mark_price - positions.c.liquidation_price)
        statement: Select[Any] = select(
            *columns_of(positions),
            trip.c.opened_at,
            trip.c.tick,
            trip.c.model,
            trip.c.fees,
            trip.c.funding,
            trip.c.realized,
            trip.c.stop_price.label("first_stop"),
            share((positions.c.mark_price - positions.c.entry_price) * sign, risk).label("r"),
            share(away, positions.c.mark_price).label("liquidation_distance"),
            *_protection("stop", stop, sign, risk),
            *_protection("target", target, -sign, risk),
        ).select_from(positions.outerjoin(trip, true()).outerjoin(stop, true()).outerjoin(target, true()))
        key = [positions.c.account_id, positions.c.symbol, positions.c.direction]
        statement = where(statement, {positions.c.symbol: symbol})
        page = await self._list(statement, key, positions.c.account_id, positions.c.at, narrowing, ascending=True)
        for row in page.rows:
            stands, aims = ({name: row.pop(f"{leg}_{name}") for name in _RESTING} for leg in ("stop", "target"))
            row["protection"] = {
                "naked": stands["client_order_id"] is None,
                "confirmed_at": row["at"],
                "stop": stands if stands["client_order_id"] else None,
                "target": aims if aims["client_order_id"] else None,
            }
        return page

    async def closed_positions(
        self,
        *,
        symbol: str | None = None,
        direction: Direction | None = None,
        model: str | None = None,
        exit_reason: ExitReason | None = None,
        **narrowing: Unpack[Narrowing],
    ) -> Page:
        """Return the positions that have ended, the last ended first, by when they ended."""
        statement = select(
            round_trips.c.account_id.label("account"),
            round_trips.c.symbol,
            round_trips.c.direction,
            round_trips.c.position_side,
            cast(round_trips.c.first_trade_id, Text).label("first_trade_id"),
            cast(round_trips.c.last_trade_id, Text).label("last_trade_id"),
            cast(round_trips.c.entry_order, Text).label("entry_order_id"),
            cast(round_trips.c.exit_order, Text).label("exit_order_id"),
            round_trips.c.opened_at,
            round_trips.c.closed_at,
            _seconds().label("holding_seconds"),
            round_trips.c.entered.label("quantity"),
            share(round_trips.c.entry_value, round_trips.c.entered).label("entry_price"),
            share(round_trips.c.exit_value, round_trips.c.exited).label("exit_price"),
            round_trips.c.trades,
            round_trips.c.realized,
            round_trips.c.fees,
            round_trips.c.funding,
            _NET.label("profit"),
            share(_NET, round_trips.c.entry_value).label("net_return"),
            share(_NET, _RISK).label("r"),
            round_trips.c.stop_price.label("first_stop"),
            round_trips.c.tick,
            round_trips.c.model,
            round_trips.c.exit,
        ).where(round_trips.c.closed_at.is_not(None))
        wanted = {
            round_trips.c.symbol: symbol,
            round_trips.c.direction: direction,
            round_trips.c.model: model,
            round_trips.c.exit: exit_reason,
        }
        key = [
            round_trips.c.closed_at,
            round_trips.c.account_id,
            round_trips.c.symbol,
            round_trips.c.position_side,
            round_trips.c.first_trade_id,
        ]
        return await self._list(
            where(statement, wanted), key, round_trips.c.account_id, round_trips.c.closed_at, narrowing
        )

    async def edge(
        self,
        *,
        account: str | None = None,
        symbol: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> dict[str, Any]:
        """Return where profit came from: positions that ended within [since, until), by what they were.

        Of more than EDGE_TRIPS the last ones; `since` tells from when on all are counted, `whole` whether all are.
        """
        wanted = {"account": account, "symbol": symbol, "since": since, "until": until, "most": EDGE_TRIPS}
        async with self._reading() as connection:
            rows = [plain(row) for row in await connection.execute(_EDGE, wanted)]
        by: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            by[row.pop("dimension")].append(row)
        [total] = by.pop("total")
        kept = {name: [{k: v for k, v in row.items() if k not in _SPAN} for row in found] for name, found in by.items()}
        return {
            "since": total["first"],
            "until": total["last"],
            "whole": total["round_trips"] < EDGE_TRIPS,
            "total": {name: value for name, value in total.items() if name not in _SPAN},
            "groups": {name: kept.get(name, []) for name in EDGE_DIMENSIONS},
        }

    async def costs(self, **narrowing: Unpack[Narrowing]) -> Page:
        """Return what an account's trading and models have cost, newest UTC day first: in all, and for each of what.

        `estimated` counts the questions whose cost the service did not tell, `cost_estimated` is what they are put at.
        """
        days = union(
            *(
                where(
                    select(
                        table.c.account_id,
                        func.timezone("UTC", cast(table.c.day, DateTime), type_=Moment).label("day"),
                    ),
                    {table.c.account_id: narrowing.get("account")},
                )
                for table in (trading_days, model_spending)
            )
        ).subquery()
        statement = select(days.c.account_id.label("account"), days.c.day)
        page = await self._list(statement, [days.c.day, days.c.account_id], days.c.account_id, days.c.day, narrowing)
        values = {
            "accounts": [row["account"] for row in page.rows],
            "days": [datetime.fromisoformat(row["day"]).date() for row in page.rows],
        }
        async with self._reading() as connection:
            rows = [plain(row) for row in await connection.execute(_COSTS, values)]
        return Page(rows=rows, next=page.next)

    async def model_money(self, account_id: str, day: date) -> Decimal:
        """Return what questions to models have cost on a UTC day, with what is set aside for those still open."""
        async with self._reading() as connection:
            money = await connection.scalar(
                select(model_spending.c.spent + model_spending.c.reserved).where(
                    model_spending.c.account_id == account_id, model_spending.c.day == day
                )
            )
        return money or Decimal(0)

    async def requests_taken(self, name: str, now: datetime) -> int:
        """Return what has been taken of a limit of the exchange in the last minute, or is set aside in it."""
        async with self._reading() as connection:
            taken = await connection.scalar(select(allowances.c.taken).where(allowances.c.name == name))
        present = slice_of(now)
        return sum(amount for number, amount in (taken or {}).items() if present - SLICES < int(number) <= present + 1)


def _seconds() -> ColumnElement[Any]:
    return func.trim_scale(func.extract("epoch", round_trips.c.closed_at - round_trips.c.opened_at), type_=Money)


def _open_trip() -> FromClause:
    """Return what the position is made of, as far as the books know."""
    return (
        select(round_trips)
        .where(
            round_trips.c.account_id == positions.c.account_id,
            round_trips.c.symbol == positions.c.symbol,
            round_trips.c.direction == positions.c.direction,
            round_trips.c.closed_at.is_(None),
        )
        .order_by(round_trips.c.first_trade_id.desc())
        .limit(1)
        .lateral("trip")
    )


def _resting(name: str, types: tuple[OrderType, ...]) -> FromClause:
    """Return the nearest order that rests and ends the whole of the position, whoever placed it."""
    closing = case((positions.c.direction == Direction.LONG, Side.SELL.value), else_=Side.BUY.value)
    rest = orders.c.quantity - orders.c.executed_quantity
    return (
        select(orders)
        .where(
            orders.c.account_id == positions.c.account_id,
            orders.c.symbol == positions.c.symbol,
            orders.c.direction == positions.c.direction,
            orders.c.side == closing,
            orders.c.type.in_(types),
            # Written out: a plan that is made for any state cannot use the index of the living.
            orders.c.state.in_(bindparam(f"{name}_rests", _RESTS, expanding=True, literal_execute=True)),
            orders.c.quantity.is_(None) | (rest >= positions.c.quantity),
        )
        .order_by(func.abs(orders.c.stop_price - positions.c.mark_price))
        .limit(1)
        .lateral(name)
    )


def _protection(
    leg: str, order: FromClause, sign: ColumnElement[int], risk: ColumnElement[Any]
) -> list[ColumnElement[Any]]:
    away = (positions.c.mark_price - order.c.stop_price) * sign
    told = (
        order.c.stop_price,
        order.c.client_order_id,
        cast(order.c.venue_order_id, Text),
        func.coalesce(order.c.sent_at, order.c.created_at),
        share(away, positions.c.mark_price),
        share(away, risk),
    )
    return [column.label(f"{leg}_{name}") for name, column in zip(_RESTING, told, strict=True)]
