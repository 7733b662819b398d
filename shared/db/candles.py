"""Candles: one partition a month, shared by all accounts, read as columns of floats."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, TableValuedAlias, and_, bindparam, column, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from shared.db.batch import insert_all
from shared.db.tables import candles
from shared.db.values import CleanText, Moment
from shared.domain.market import Candle, CandleWindow, Series

_PRICES = ("open", "high", "low", "close", "volume")
_BATCH = 10_000
"""Candles a statement, so that a backfill of any length stays within bounded memory."""


class CandleTable:
    """The `Candles` port. *months* holds the months that are known to have their partition."""

    def __init__(self, connection: AsyncConnection, months: frozenset[date] = frozenset()) -> None:
        self._connection = connection
        self._months = months
        self.made: frozenset[date] = frozenset()
        """Months whose partition this transaction made sure of: known to be there once it has committed."""

    async def extents(
        self, wanted: Mapping[Series, datetime], until: datetime
    ) -> Mapping[Series, tuple[int, datetime, datetime]]:
        """Return (count, first opened, last opened) of what is stored per series since its time and before *until*."""
        if not wanted:
            return {}
        series = _listed(wanted)
        stored = (
            select(
                func.count().label("number"),
                func.min(candles.c.opened).label("first"),
                func.max(candles.c.opened).label("last"),
            )
            .where(_of(series), candles.c.opened >= series.c.moment, candles.c.opened < until)
            .lateral()
        )
        found = await self._connection.execute(
            select(series.c.place, stored).select_from(series.join(stored, true())).where(stored.c.number > 0)
        )
        names = list(wanted)
        return {names[row.place - 1]: (row.number, row.first, row.last) for row in found}

    async def save(self, found: Mapping[Series, Sequence[Candle]]) -> None:
        """Insert or correct candles. In one order always, so that two savers never wait for each other in a circle."""
        rows = [
            {
                "symbol": series.symbol,
                "timeframe": series.timeframe,
                "opened": candle.opened,
                **{name: getattr(candle, name) for name in _PRICES},  # `asdict` would take as long as the database
            }
            for series, run in sorted(found.items(), key=lambda item: (item[0].symbol, item[0].timeframe))
            for candle in sorted({candle.opened: candle for candle in run}.values(), key=lambda each: each.opened)
        ]
        if not rows:
            return
        await self._make_room({row["opened"].date().replace(day=1) for row in rows})
        for start in range(0, len(rows), _BATCH):
            statement = insert_all(candles, rows[start : start + _BATCH])
            await self._connection.execute(
                statement.on_conflict_do_update(
                    index_elements=list(candles.primary_key),
                    set_={name: statement.excluded[name] for name in _PRICES},
                )
            )

    async def windows(self, series: Iterable[Series], *, before: datetime, count: int) -> Sequence[CandleWindow]:
        """Return the last *count* candles of each series that opened before then. An empty window where none are."""
        names = list(series)
        if not names:
            return []
        wanted = _listed(dict.fromkeys(names, before))
        last = (
            select(candles)
            .where(_of(wanted), candles.c.opened < before)
            .order_by(candles.c.opened.desc())
            .limit(count)
            .lateral()
        )
        columns = [last.c.opened, *(last.c[name].cast(DOUBLE_PRECISION) for name in _PRICES)]
        found = await self._connection.execute(
            select(wanted.c.place, *(_series(each, last.c.opened) for each in columns))
            .select_from(wanted.join(last, true()))
            .group_by(wanted.c.place)
        )
        stored = {names[place - 1]: run for place, *run in found}
        return [_window(name, stored.get(name, ([], [], [], [], [], []))) for name in names]

    async def _make_room(self, months: set[date]) -> None:
        """Create the partitions that are missing, while readers and writers of the others carry on."""
        new = sorted(months - self._months)
        if not new:
            return
        firsts = ", ".join(f"'{month}'" for month in new)
        await self._connection.exec_driver_sql(_MAKE_PARTITIONS.replace("{firsts}", firsts))
        self.made = self.made | frozenset(new)


# ATTACH PARTITION locks the parent against another ATTACH only; CREATE … PARTITION OF would shut readers out.
# The bounds are whole months in UTC, whatever the session's time zone.
_MAKE_PARTITIONS = """
DO $$
DECLARE
    first date;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('candle partitions'));
    FOREACH first IN ARRAY ARRAY[{firsts}]::date[] LOOP
        name := 'candles_' || to_char(first, 'YYYYMM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE candles)', name);
            EXECUTE format(
                'ALTER TABLE candles ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                name, to_char(first, 'YYYY-MM-DD+00'), to_char(first + interval '1 month', 'YYYY-MM-DD+00')
            );
        END IF;
    END LOOP;
END $$
"""


def _listed(wanted: Mapping[Series, datetime]) -> TableValuedAlias:
    """Return the series, each with its moment and its place (from 1), as something to join."""
    columns: dict[str, tuple[list[Any], Any]] = {
        "symbol": ([series.symbol for series in wanted], CleanText),
        "timeframe": ([series.timeframe for series in wanted], CleanText),
        "moment": (list(wanted.values()), Moment),
    }
    arrays = [bindparam(None, values, type_=ARRAY(kind), unique=True) for values, kind in columns.values()]
    described = [column(name, kind) for name, (_, kind) in columns.items()]
    return func.unnest(*arrays).table_valued(*described, with_ordinality="place").render_derived(name="wanted")


def _of(series: TableValuedAlias) -> ColumnElement[bool]:
    return and_(candles.c.symbol == series.c.symbol, candles.c.timeframe == series.c.timeframe)


def _series(values: ColumnElement[Any], opened: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the array of *values*, oldest first. It has no type for SQLAlchemy, which would go through every item."""
    return func.array_agg(aggregate_order_by(values, opened), type_=NullType())


def _window(series: Series, columns: Sequence[Sequence[Any]]) -> CandleWindow:
    return CandleWindow(series=series, **dict(zip(("opened", *_PRICES), columns, strict=True)))
