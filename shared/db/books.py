"""
The books: round trips, what trading came to day by day, and the curve day by day, kept in the transaction that brings
the news, so that no report ever reads all trades or all points.

Whatever is booked is worked out anew from the rows it is of: the trips from their trades, a day from its own trades,
trips and funding. What comes late, or twice, is therefore booked right. What comes in order, as it nearly always does,
costs no more than what is new.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping, Select, and_, bindparam, delete, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, dialect, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Date

from shared.db.batch import given, insert_all
from shared.db.tables import equity, equity_days, fills, round_trips
from shared.db.values import CleanText, Moment
from shared.domain.curve import EquityDay, day_after
from shared.domain.order import Fill, Income, IncomeKind, Side
from shared.domain.performance import EquityPoint
from shared.domain.position import Direction
from shared.domain.round_trip import PositionKey, RoundTrip, book

BOTH = "BOTH"
"""The exchange's word for the position side in one-way mode."""

FOREVER = datetime.max.replace(tzinfo=UTC)

CHUNK = 10_000
"""Points or trades that are read at a time where all of them have to be."""

_TRIP = [column for column in round_trips.columns if column.name in {each.name for each in fields(RoundTrip)}]
_DAY = [column for column in equity_days.columns if column.name != "account_id"]
_POINT = [equity.c.at, equity.c.wallet, equity.c.unrealized, equity.c.deposited, equity.c.unexplained]
FILL_COLUMNS = [column for column in fills.columns if column.name != "account_id"]


def _funding(trip: str) -> str:
    """Return the query of what funding paid while *trip* lasted.

    Where a LONG and a SHORT of one symbol stood at once, the exchange does not say whose it was: it is in neither.
    """
    return f"""
        SELECT coalesce(sum(paid.amount), 0) FROM incomes AS paid
        WHERE paid.account_id = :account AND paid.symbol = {trip}.symbol AND paid.kind = 'FUNDING_FEE'
            AND paid.at > {trip}.opened_at AND paid.at <= coalesce({trip}.closed_at, 'infinity')
            AND ({trip}.position_side = 'BOTH' OR NOT EXISTS (
                SELECT FROM round_trips AS other
                WHERE other.account_id = :account AND other.symbol = {trip}.symbol
                    AND other.position_side <> {trip}.position_side AND other.opened_at < paid.at
                    AND (other.closed_at >= paid.at OR other.closed_at IS NULL)
            ))
    """  # noqa: S608 - the name of an alias, ours


_NAMES = ", ".join(column.name for column in _TRIP)
_POSTGRESQL = dialect()  # type: ignore[no-untyped-call]
_TYPES = ", ".join(f"{column.name} {column.type.compile(_POSTGRESQL)}" for column in _TRIP)
_CHANGED = ", ".join(
    f"{column.name} = excluded.{column.name}"
    for column in round_trips.columns
    if column.name not in {"account_id", "symbol", "position_side", "first_trade_id"}
)

# With where each trip came from and what ended it, as far as there are orders of ours.
_SAVE_TRIPS = text(f"""
INSERT INTO round_trips (account_id, {_NAMES}, tick, model, stop_price, exit, funding)
SELECT CAST(:account AS text), given.*, entered.tick, entered.model, entered.stop_price, ended.exit,
    ({_funding("given")})
FROM jsonb_to_recordset(:trips) AS given ({_TYPES})
LEFT JOIN LATERAL (
    SELECT entry.tick,
        (
            SELECT coalesce(call.answered_model, call.asked_model) FROM model_calls AS call
            WHERE call.account_id = entry.account_id AND call.tick = entry.tick AND call.content IS NOT NULL
                AND call.purpose IN ('decision', 'fallback')
            ORDER BY call.id DESC LIMIT 1
        ) AS model,
        (
            SELECT stop.stop_price FROM orders AS stop
            WHERE stop.account_id = entry.account_id AND stop.tick = entry.tick AND stop.symbol = entry.symbol
                AND stop.leg = 'stop' AND stop.direction = given.direction
            ORDER BY stop.attempt LIMIT 1
        ) AS stop_price
    FROM orders AS entry
    WHERE entry.account_id = :account AND entry.venue_order_id = given.entry_order AND entry.symbol = given.symbol
        AND entry.leg = 'entry'
    LIMIT 1
) AS entered ON true
LEFT JOIN LATERAL (
    SELECT coalesce(
        (
            SELECT CASE
                WHEN leaving.leg IN ('stop', 'target', 'external') THEN leaving.leg
                WHEN leaving.leg = 'entry' OR EXISTS (
                    SELECT FROM decisions AS decided
                    WHERE decided.account_id = :account AND decided.tick = leaving.tick
                        AND decided.asset = leaving.symbol AND decided.verdict IN ('approved', 'clipped')
                        AND decided.decision ->> 'source' IS DISTINCT FROM 'exit plan'
                ) THEN 'decision'
                WHEN EXISTS (
                    SELECT FROM errands AS errand
                    WHERE errand.account_id = :account AND errand.tick = leaving.tick
                ) OR EXISTS (
                    SELECT FROM stops AS stopped
                    WHERE stopped.account_id = :account AND leaving.sent_at >= stopped.asked_at
                        AND (stopped.rearmed_at IS NULL OR leaving.sent_at < stopped.rearmed_at)
                ) THEN 'hand'
                ELSE 'guard'
            END
            FROM orders AS leaving
            WHERE leaving.account_id = :account AND leaving.venue_order_id = given.exit_order
                AND leaving.symbol = given.symbol
            LIMIT 1
        ),
        'external'
    ) AS exit
) AS ended ON given.closed_at IS NOT NULL
ON CONFLICT (account_id, symbol, position_side, first_trade_id) DO UPDATE SET {_CHANGED}
""").bindparams(bindparam("trips", type_=JSONB))  # noqa: S608 - names of columns, ours

_PAY_TRIPS = text(f"""
UPDATE round_trips AS trip SET funding = ({_funding("trip")})
WHERE trip.account_id = :account AND trip.symbol = ANY(:symbols) AND trip.opened_at < :until
    AND (trip.closed_at >= :since OR trip.closed_at IS NULL)
RETURNING trip.closed_at
""").bindparams(  # noqa: S608 - the name of an alias, ours
    bindparam("symbols", type_=ARRAY(CleanText)), bindparam("since", type_=Moment), bindparam("until", type_=Moment)
)

_BOOK_DAYS = text("""
INSERT INTO trading_days
SELECT CAST(:account AS text), given.day, traded.*, paid.*, ended.*
FROM (
    SELECT day, CAST(day AS timestamp) AT TIME ZONE 'UTC' AS since,
        CAST(day + 1 AS timestamp) AT TIME ZONE 'UTC' AS until
    FROM unnest(:days) AS days (day)
) AS given
CROSS JOIN LATERAL (
    SELECT count(*), coalesce(sum(price * quantity), 0),
        coalesce(sum(commission) FILTER (WHERE commission_asset = 'USDT'), 0)
    FROM fills WHERE account_id = :account AND at >= since AND at < until
) AS traded
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount), 0)
    FROM incomes WHERE account_id = :account AND at >= since AND at < until AND kind = 'FUNDING_FEE' AND asset = 'USDT'
) AS paid
CROSS JOIN LATERAL (
    SELECT count(*), count(*) FILTER (WHERE net > 0), count(*) FILTER (WHERE net < 0),
        coalesce(sum(net) FILTER (WHERE net > 0), 0), coalesce(-sum(net) FILTER (WHERE net < 0), 0),
        coalesce(sum(CAST(net / nullif(entry_value, 0) AS double precision)), 0),
        coalesce(sum(CAST(net / nullif(entry_value, 0) AS double precision) ^ 2), 0)
    FROM (
        SELECT realized - fees + funding AS net, entry_value FROM round_trips
        WHERE account_id = :account AND closed_at >= since AND closed_at < until
    ) AS trips
) AS ended
ON CONFLICT (account_id, day) DO UPDATE SET
    trades = excluded.trades, turnover = excluded.turnover, fees = excluded.fees, funding = excluded.funding,
    trips = excluded.trips, wins = excluded.wins, losses = excluded.losses, gained = excluded.gained,
    lost = excluded.lost, returns = excluded.returns, squares = excluded.squares
""").bindparams(bindparam("days", type_=ARRAY(Date)))


class Books:
    """The books of one account, on one transaction."""

    def __init__(self, connection: AsyncConnection, account_id: str) -> None:
        self._connection = connection
        self._account = account_id

    async def add_fills(self, new: Sequence[Fill]) -> None:
        """Book trades that have just been stored."""
        if not new:
            return
        days = {fill.at.date() for fill in new}
        by_key: dict[PositionKey, list[Fill]] = {}
        for fill in sorted(new, key=lambda fill: fill.trade_id):
            by_key.setdefault((fill.symbol, fill.position_side), []).append(fill)
        newest = await self._newest(by_key)
        running, following = {}, []
        for key, found in by_key.items():
            last = newest.get(key)
            if last is not None and found[0].trade_id > last.last_trade_id:
                following += found
                if last.closed_at is None:
                    running[key] = last
            else:
                days |= await self._rebook(key, found[0].trade_id)
        days |= await self._save(book(running, following))
        await self._book_days(days)

    async def add_incomes(self, new: Sequence[Income]) -> None:
        """Book funding that has just been stored."""
        funding = [row for row in new if row.kind is IncomeKind.FUNDING_FEE]
        if not funding:
            return
        ended = await self._pay({row.symbol for row in funding if row.symbol}, [row.at for row in funding])
        await self._book_days(ended | {row.at.date() for row in funding})

    async def add_point(self, point: EquityPoint) -> None:
        """Store and book a point of the curve; a second one of the same time replaces the first."""
        values = asdict(point)
        stored = (
            insert(equity)
            .values(account_id=self._account, **values)
            .on_conflict_do_update(index_elements=[equity.c.account_id, equity.c.at], set_=values)
        )
        last = await self._day(self._newest_day().add_cte(stored.cte("stored")))
        if last is None:
            await self._begin()
        elif point.at > last.at:
            await self._save_days([day_after(last, point)])
        else:
            day = point.at.date()
            await self._redraw(await self._day(self._newest_day().where(equity_days.c.day < day)), day)

    async def _begin(self) -> None:
        """Book all there is: of an account that is new, or older than these books."""
        await self._redraw(None, None)
        keys = await self._connection.execute(
            select(fills.c.symbol, fills.c.position_side).where(fills.c.account_id == self._account).distinct()
        )
        for symbol, side in list(keys):
            await self._book_days(await self._rebook((symbol, side and Direction(side)), 0))
        paid = await self._connection.scalars(
            text("SELECT DISTINCT CAST(at AT TIME ZONE 'UTC' AS date) FROM incomes WHERE account_id = :account"),
            {"account": self._account},
        )
        await self._book_days(set(paid))

    async def _newest(self, keys: Collection[PositionKey]) -> dict[PositionKey, RoundTrip]:
        """Return the newest trip of each position."""
        named = given(round_trips, [{"symbol": symbol, "position_side": side or BOTH} for symbol, side in keys])
        newest = (
            select(*_TRIP)
            .where(
                round_trips.c.account_id == self._account,
                round_trips.c.symbol == named.c.symbol,
                round_trips.c.position_side == named.c.position_side,
            )
            .order_by(round_trips.c.first_trade_id.desc())
            .limit(1)
            .lateral()
        )
        found = await self._connection.execute(select(newest).select_from(named.join(newest, true())))
        return {trip.key: trip for trip in map(_trip, found.mappings())}

    async def _rebook(self, key: PositionKey, trade_id: int) -> set[date]:
        """Put together anew what came with or after *trade_id*; return the days on which trips ended, or had ended."""
        symbol, side = key
        ours = and_(
            round_trips.c.account_id == self._account,
            round_trips.c.symbol == symbol,
            round_trips.c.position_side == (side or BOTH),
        )
        following = round_trips.alias("following")
        turned = (
            select(following.c.first_trade_id)
            .where(
                following.c.account_id == self._account,
                following.c.symbol == symbol,
                following.c.position_side == (side or BOTH),
                following.c.first_trade_id == round_trips.c.last_trade_id,
                following.c.first_trade_id > round_trips.c.first_trade_id,
            )
            .exists()
        )
        # The last moment before at which nothing was held.
        flat = await self._connection.scalar(
            select(round_trips.c.last_trade_id)
            .where(ours, round_trips.c.last_trade_id < trade_id, round_trips.c.closed_at.is_not(None), ~turned)
            .order_by(round_trips.c.first_trade_id.desc())
            .limit(1)
        )
        begin = -1 if flat is None else flat
        gone = await self._connection.scalars(
            delete(round_trips).where(ours, round_trips.c.first_trade_id > begin).returning(round_trips.c.closed_at)
        )
        days = {closed_at.date() for closed_at in gone if closed_at}
        running: dict[PositionKey, RoundTrip] = {}
        while True:
            found = await self._connection.execute(
                select(*FILL_COLUMNS)
                .where(
                    fills.c.account_id == self._account,
                    fills.c.symbol == symbol,
                    fills.c.trade_id > begin,
                    fills.c.position_side.is_not_distinct_from(side),
                )
                .order_by(fills.c.trade_id)
                .limit(CHUNK)
            )
            traded = [fill_of(row) for row in found.mappings()]
            if not traded:
                return days
            begin = traded[-1].trade_id
            days |= {fill.at.date() for fill in traded}
            trips = book(running, traded)
            running = {trip.key: trip for trip in trips if trip.closed_at is None}
            days |= await self._save(trips)

    async def _save(self, trips: Sequence[RoundTrip]) -> set[date]:
        """Store trips, and return the days on which they ended."""
        if not trips:
            return set()
        rows = [_plain(trip) for trip in trips]
        await self._connection.execute(_SAVE_TRIPS, {"account": self._account, "trips": rows})
        days = {trip.closed_at.date() for trip in trips if trip.closed_at}
        if hedged := [trip for trip in trips if trip.position_side]:
            # What this side has done decides whose the other side's funding was.
            moments = [moment for trip in hedged for moment in (trip.opened_at, trip.closed_at or FOREVER)]
            days |= await self._pay({trip.symbol for trip in hedged}, moments)
        return days

    async def _pay(self, symbols: Collection[str], moments: Collection[datetime]) -> set[date]:
        """Count funding anew for the trips in *symbols* that stood at those *moments* or between them.

        Return the days on which they ended.
        """
        span = {"since": min(moments), "until": max(moments)}
        found = await self._connection.scalars(
            _PAY_TRIPS, {"account": self._account, "symbols": sorted(symbols), **span}
        )
        return {closed_at.date() for closed_at in found if closed_at}

    async def _book_days(self, days: Collection[date]) -> None:
        if days:
            await self._connection.execute(_BOOK_DAYS, {"account": self._account, "days": sorted(days)})

    def _newest_day(self) -> Select[Any]:
        return (
            select(*_DAY).where(equity_days.c.account_id == self._account).order_by(equity_days.c.day.desc()).limit(1)
        )

    async def _day(self, statement: Select[Any]) -> EquityDay | None:
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        return None if row is None else EquityDay(**row)

    async def _redraw(self, before: EquityDay | None, first: date | None) -> None:
        """Work the curve out anew from the day *first* on, which comes after *before*."""
        gone = delete(equity_days).where(equity_days.c.account_id == self._account)
        await self._connection.execute(gone if first is None else gone.where(equity_days.c.day >= first))
        reached = None if first is None else datetime.combine(first, time(), UTC)
        inclusive = True
        while True:
            statement = select(*_POINT).where(equity.c.account_id == self._account)
            if reached is not None:
                statement = statement.where(equity.c.at >= reached if inclusive else equity.c.at > reached)
            found = await self._connection.execute(statement.order_by(equity.c.at).limit(CHUNK))
            points = [EquityPoint(**row) for row in found.mappings()]
            if not points:
                return
            days: dict[date, EquityDay] = {}
            for point in points:
                before = day_after(before, point)
                days[before.day] = before
            await self._save_days(days.values())
            reached, inclusive = points[-1].at, False

    async def _save_days(self, days: Iterable[EquityDay]) -> None:
        rows = [{"account_id": self._account, **asdict(day)} for day in days]
        statement = insert_all(equity_days, rows)
        changed = {column.name: statement.excluded[column.name] for column in _DAY if column.name != "day"}
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["account_id", "day"], set_=changed)
        )


def fill_of(row: RowMapping | Mapping[str, Any]) -> Fill:
    """Return the trade that a row of FILL_COLUMNS tells of."""
    side = row["position_side"]
    return Fill(**{**row, "side": Side(row["side"]), "position_side": None if side is None else Direction(side)})


def _trip(row: RowMapping) -> RoundTrip:
    side = row["position_side"]
    return RoundTrip(
        **{
            **row,
            "direction": Direction(row["direction"]),
            "position_side": None if side == BOTH else Direction(side),
        }
    )


def _plain(trip: RoundTrip) -> dict[str, Any]:
    row = asdict(trip) | {"position_side": trip.position_side or BOTH}
    return {
        name: str(value) if isinstance(value, Decimal) else value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
