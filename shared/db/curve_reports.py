"""
How an account has done: the record, the curve, returns by the period, and what it is held against.

No call reads all points or all trades: sums are those of days, and a curve is drawn from the extremes of its days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Unpack

from sqlalchemy import BigInteger, Text, any_, bindparam, cast, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Date

from shared.db.paging import Page
from shared.db.reading import Narrowing, Reader, share, where, within
from shared.db.tables import equity, equity_days, model_spending, round_trips, trading_days
from shared.db.values import CleanText, Moment, Money
from shared.domain.assessment import Traded
from shared.domain.curve import CurvePoint, EquityDay, Period, drawn, outline, thinned, walk
from shared.domain.market import WIDTH, Timeframe
from shared.domain.performance import EquityPoint

WHOLE_DAYS = 7
"""Of a longer stretch of the curve the extremes of each day are drawn, of a shorter one every point."""

STALE = timedelta(days=7)
"""A price that is older is none."""

_DAY = [column for column in equity_days.columns if column.name != "account_id"]
_POINT = [equity.c.at, equity.c.wallet, equity.c.unrealized, equity.c.deposited, equity.c.unexplained]

# One look into the index each: the bounds let PostgreSQL pass over all months but one or two.
_CLOSES = text("""
SELECT asked.symbol, asked.timeframe, asked.number, candle.opened, candle.close
FROM unnest(:symbols, :timeframes, :numbers, :sinces, :untils) AS asked (symbol, timeframe, number, since, until)
CROSS JOIN LATERAL (
    SELECT opened, close FROM candles
    WHERE symbol = asked.symbol AND timeframe = asked.timeframe AND opened > asked.since AND opened <= asked.until
    ORDER BY opened DESC LIMIT 1
) AS candle
""").bindparams(
    bindparam("symbols", type_=ARRAY(CleanText)),
    bindparam("timeframes", type_=ARRAY(CleanText)),
    bindparam("numbers", type_=ARRAY(BigInteger)),
    bindparam("sinces", type_=ARRAY(Moment)),
    bindparam("untils", type_=ARRAY(Moment)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What there is to know of the whole record of an account."""

    days: Sequence[EquityDay]
    traded: Traded
    model_cost: Decimal
    """What questions to models have cost, USD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTrip:
    """A round trip as the dice are thrown for it: its money in USD, and what the account was worth before it."""

    opened_at: datetime
    closed_at: datetime
    notional: Decimal
    entry_price: Decimal
    stop_price: Decimal | None
    """Of its first stop."""
    fees: Decimal
    net: Decimal
    equity: Decimal


class CurveReports(Reader):
    """The reading side of a database, as far as curves go."""

    async def record(self, account_id: str) -> Outline:
        """Return what an account's record is judged by."""
        names = [field.name for field in fields(Traded)]
        summed = select(*(func.sum(trading_days.c[name]).label(name) for name in names)).where(
            trading_days.c.account_id == account_id
        )
        spent = select(func.coalesce(func.sum(model_spending.c.spent), 0)).where(
            model_spending.c.account_id == account_id
        )
        curve = select(*_DAY).where(equity_days.c.account_id == account_id).order_by(equity_days.c.day)
        async with self._reading() as connection:
            days = [EquityDay(**row) for row in (await connection.execute(curve)).mappings()]
            sums = (await connection.execute(summed)).mappings().one()
            cost = await connection.scalar(spent)
        traded = Traded() if sums["trades"] is None else Traded(**sums)
        return Outline(days=days, traded=traded, model_cost=cost or Decimal(0))

    async def begun(self, account_id: str) -> datetime | None:
        """Return when the curve of an account began."""
        async with self._reading() as connection:
            first: datetime | None = await connection.scalar(
                select(func.min(equity_days.c.first_at)).where(equity_days.c.account_id == account_id)
            )
        return first

    async def returns(self, *, period: Period, **narrowing: Unpack[Narrowing]) -> Page:
        """Return what each period came to, the newest first, deposits taken out; an account's first begins with it.

        `since` and `until` are about when a period begins.
        """
        start = func.date_trunc(period.value, cast(cast(equity_days.c.day, Text), Moment), "UTC", type_=Moment)
        begun = start.label("start")
        rows = where(
            select(
                equity_days.c.account_id,
                begun,
                equity_days.c.equity,
                equity_days.c.deposited,
                equity_days.c.growth,
                func.row_number()
                .over(partition_by=(equity_days.c.account_id, start), order_by=equity_days.c.day.desc())
                .label("back"),
                func.max(equity_days.c.drawdown).over(partition_by=(equity_days.c.account_id, start)).label("drawdown"),
            ),
            {equity_days.c.account_id: narrowing.get("account")},
        )
        numbered = rows.subquery()
        growth_before = func.lag(numbered.c.growth).over(partition_by=numbered.c.account_id, order_by=numbered.c.start)
        growth = func.coalesce(growth_before, 1)
        gained = numbered.c.equity - numbered.c.deposited
        gained_before = func.lag(gained).over(partition_by=numbered.c.account_id, order_by=numbered.c.start)
        told = (
            select(
                numbered.c.account_id,
                numbered.c.start,
                numbered.c.equity,
                numbered.c.drawdown,
                share(numbered.c.growth - growth, growth).label("total_return"),
                (gained - func.coalesce(gained_before, 0)).label("profit"),
            )
            .where(numbered.c.back == 1)
            .subquery()
        )
        statement = select(
            told.c.account_id.label("account"),
            told.c.start,
            told.c.total_return,
            told.c.profit,
            told.c.equity,
            func.trim_scale(func.round(told.c.drawdown, 8), type_=Money).label("drawdown"),
        )
        return await self._list(
            statement, [told.c.start, told.c.account_id], told.c.account_id, told.c.start, narrowing
        )

    async def curve(
        self, account_id: str, *, since: datetime | None, until: datetime | None, most: int
    ) -> tuple[list[CurvePoint], Mapping[datetime, EquityPoint]]:
        """Return at most *most* points of the curve within [since, until), oldest first, and what they are made of.

        The highest, the lowest and the deepest are among them. Of a point that is no longer kept nothing but the curve
        is known.
        """
        mine = select(*_DAY).where(equity_days.c.account_id == account_id)
        wanted = mine if since is None else mine.where(equity_days.c.day >= since.date())
        wanted = wanted if until is None else wanted.where(equity_days.c.day <= until.date())
        async with self._reading() as connection:
            found = await connection.execute(wanted.order_by(equity_days.c.day))
            days = [EquityDay(**row) for row in found.mappings()]
            if not days:
                return [], {}
            earlier = mine.where(equity_days.c.day < days[0].day).order_by(equity_days.c.day.desc()).limit(1)
            row = (await connection.execute(earlier)).mappings().one_or_none()
            before = None if row is None else EquityDay(**row)
            points = outline(days, before)
            if len(days) <= WHOLE_DAYS:
                kept = within(select(*_POINT), equity.c.at, _midnight(days[0].day), until)
                read = await connection.execute(kept.where(equity.c.account_id == account_id).order_by(equity.c.at))
                points = [drawn(day) for day in walk(before, (EquityPoint(**row) for row in read.mappings()))]
            points = [
                point
                for point in points
                if (since is None or point.at >= since) and (until is None or point.at < until)
            ]
            chosen = thinned(points, most)
            those = select(*_POINT).where(
                equity.c.account_id == account_id,
                equity.c.at == any_(literal([each.at for each in chosen], ARRAY(Moment))),
            )
            made_of = {row["at"]: EquityPoint(**row) for row in (await connection.execute(those)).mappings()}
        return chosen, made_of

    async def prices(
        self, symbols: Sequence[str], timeframes: Sequence[Timeframe], moments: Sequence[datetime]
    ) -> dict[str, list[float | None]]:
        """Return the price of each symbol at each moment: the close of the last candle then, of any of the timeframes.

        None where the last one is STALE.
        """
        asked = [
            (symbol, timeframe, number, moment)
            for symbol in symbols
            for timeframe in timeframes
            for number, moment in enumerate(moments)
        ]
        found: dict[tuple[str, int], tuple[datetime, float]] = {}
        if asked:
            widths = {timeframe: WIDTH.get(timeframe, timedelta(days=31)) for timeframe in timeframes}
            values = {
                "symbols": [symbol for symbol, *_ in asked],
                "timeframes": [timeframe.value for _, timeframe, *_ in asked],
                "numbers": [number for _, _, number, _ in asked],
                "untils": [moment - widths[timeframe] for _, timeframe, _, moment in asked],
                "sinces": [moment - widths[timeframe] - STALE for _, timeframe, _, moment in asked],
            }
            async with self._reading() as connection:
                for row in await connection.execute(_CLOSES, values):
                    closed = row.opened + widths[Timeframe(row.timeframe)]
                    key = (row.symbol, row.number)
                    if key not in found or closed > found[key][0]:
                        found[key] = (closed, float(row.close))
        return {
            symbol: [found[symbol, number][1] if (symbol, number) in found else None for number in range(len(moments))]
            for symbol in symbols
        }

    async def last_trips(self, account_id: str, count: int) -> list[EndedTrip]:
        """Return the last positions that ended, the last first."""
        worth = (
            select(equity_days.c.equity)
            .where(
                equity_days.c.account_id == account_id,
                equity_days.c.day < cast(func.timezone("UTC", round_trips.c.opened_at), Date),
            )
            .order_by(equity_days.c.day.desc())
            .limit(1)
            .scalar_subquery()
        )
        first = (
            select(equity_days.c.equity)
            .where(equity_days.c.account_id == account_id)
            .order_by(equity_days.c.day)
            .limit(1)
            .scalar_subquery()
        )
        statement = (
            select(
                round_trips.c.opened_at,
                round_trips.c.closed_at,
                round_trips.c.entry_value.label("notional"),
                (round_trips.c.entry_value / round_trips.c.entered).label("entry_price"),
                round_trips.c.stop_price,
                round_trips.c.fees,
                (round_trips.c.realized - round_trips.c.fees + round_trips.c.funding).label("net"),
                func.coalesce(worth, first, 0).label("equity"),
            )
            .where(round_trips.c.account_id == account_id, round_trips.c.closed_at.is_not(None))
            .order_by(round_trips.c.closed_at.desc())
            .limit(count)
        )
        async with self._reading() as connection:
            return [EndedTrip(**row) for row in (await connection.execute(statement)).mappings()]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
