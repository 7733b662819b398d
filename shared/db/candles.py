"""Candles: one partition a month, shared by all accounts, read as columns of floats."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    TableValuedAlias,
    and_,
    bindparam,
    column,
    func,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, INTERVAL, aggregate_order_by, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from shared.db.batch import given
from shared.db.tables import candles
from shared.db.values import CleanText, Moment
from shared.domain.candle_defects import CandleDefect, DefectKind
from shared.domain.market import WIDTH, Candle, CandleWindow, Series, Span, Timeframe

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

    async def holes(self, wanted: Mapping[Series, Span]) -> Mapping[Series, Sequence[Span]]:
        """Return what is not stored within each span, oldest first; a series that is whole is left out."""
        if not wanted:
            return {}
        extents = await self._extents(wanted)
        torn = {
            series: Span(first, last)
            for series, (number, first, last) in extents.items()
            if number != series.timeframe.number(first, last)
        }
        gaps = await self._gaps(torn)
        holes = {}
        for series, span in wanted.items():
            if series not in extents:
                holes[series] = [span]
                continue
            _, first, last = extents[series]
            back, following = series.timeframe.back, series.timeframe.following
            head = [Span(span.since, back(first, 1))] if span.since < first else []
            tail = [Span(following(last), span.until)] if last < span.until else []
            if found := [*head, *gaps.get(series, ()), *tail]:
                holes[series] = found
        return holes

    async def began(self, series: Iterable[Series]) -> Mapping[Series, datetime]:
        """Return when the first stored candle of each series opened; nothing for one that has none."""
        began = {}
        for each in series:
            of_it = and_(candles.c.symbol == each.symbol, candles.c.timeframe == each.timeframe)
            # Ordered rather than min(): no month is read after the first that has one.
            first = select(candles.c.opened).where(of_it).order_by(candles.c.opened).limit(1)
            if opened := await self._connection.scalar(first):
                began[each] = opened
        return began

    async def _extents(self, wanted: Mapping[Series, Span]) -> dict[Series, tuple[int, datetime, datetime]]:
        """Return (count, first opened, last opened) of what is stored within each span; nothing where nothing is."""
        series = _listed(wanted)
        stored = (
            select(
                func.count().label("number"),
                func.min(candles.c.opened).label("first"),
                func.max(candles.c.opened).label("last"),
            )
            .where(_within(series, wanted))
            .lateral()
        )
        found = await self._connection.execute(
            select(series.c.place, stored).select_from(series.join(stored, true())).where(stored.c.number > 0)
        )
        names = list(wanted)
        return {names[row.place - 1]: (row.number, row.first, row.last) for row in found}

    async def _gaps(self, torn: Mapping[Series, Span]) -> dict[Series, list[Span]]:
        """Return the holes between stored candles: each candle is compared with the next one, in the index alone."""
        if not torn:
            return {}
        series = _listed(torn)
        run = (
            select(candles.c.opened, func.lead(candles.c.opened).over(order_by=candles.c.opened).label("next"))
            .where(_within(series, torn))
            .lateral()
        )
        due = func.timezone("UTC", func.timezone("UTC", run.c.opened) + series.c.width.cast(INTERVAL))
        found = await self._connection.execute(
            select(series.c.place, due.label("since"), run.c.next)
            .select_from(series.join(run, true()))
            .where(run.c.next > due)
            .order_by(series.c.place, run.c.next)
        )
        gaps: dict[Series, list[Span]] = {}
        names = list(torn)
        for place, since, after in found:
            name = names[place - 1]
            gaps.setdefault(name, []).append(Span(since, name.timeframe.back(after, 1)))
        return gaps

    async def save(self, found: Mapping[Series, Sequence[Candle]]) -> Sequence[CandleDefect]:
        """Insert or correct candles, and return the corrections: what was stored already, and otherwise.

        In one order always, so that two savers never wait for each other in a circle.
        """
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
            return []
        await self._make_room({row["opened"].date().replace(day=1) for row in rows})
        corrections: list[CandleDefect] = []
        for start in range(0, len(rows), _BATCH):
            changed = await self._connection.execute(_saving(rows[start : start + _BATCH]))
            corrections += map(_correction, changed)
        return corrections

    async def windows(self, series: Iterable[Series], *, before: datetime, count: int) -> Sequence[CandleWindow]:
        """Return the last *count* candles of each series that opened before then. An empty window where none are."""
        names = list(series)
        if not names:
            return []
        wanted = _listed(dict.fromkeys(names, Span(before, before)))
        # Months hang together in their order: the read stops where it has found enough, and looks at none before that.
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

    async def after(self, marks: Mapping[Series, datetime], limit: int) -> Mapping[Series, Sequence[Candle]]:
        """Return the candles of each series that opened after its mark, oldest first, *limit* at most of each."""
        if not marks:
            return {}
        wanted = _listed({series: Span(mark, mark) for series, mark in marks.items()})
        following = (
            select(candles)
            .where(_of(wanted), candles.c.opened > wanted.c.since, candles.c.opened > min(marks.values()))
            .order_by(candles.c.opened)
            .limit(limit)
            .lateral()
        )
        rows = await self._connection.execute(
            select(following).select_from(wanted.join(following, true())).order_by(following.c.opened)
        )
        found: dict[Series, list[Candle]] = {}
        for row in rows:
            candle = Candle(opened=row.opened, **{name: getattr(row, name) for name in _PRICES})
            found.setdefault(Series(row.symbol, Timeframe(row.timeframe)), []).append(candle)
        return found

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


def _listed(wanted: Mapping[Series, Span]) -> TableValuedAlias:
    """Return the series, each with its span, the width of its candles and its place (from 1), as something to join."""
    columns: dict[str, tuple[list[Any], Any]] = {
        "symbol": ([series.symbol for series in wanted], CleanText),
        "timeframe": ([series.timeframe for series in wanted], CleanText),
        "since": ([span.since for span in wanted.values()], Moment),
        "until": ([span.until for span in wanted.values()], Moment),
        "width": ([_width(series.timeframe) for series in wanted], CleanText),
    }
    arrays = [bindparam(None, values, type_=ARRAY(kind), unique=True) for values, kind in columns.values()]
    described = [column(name, kind) for name, (_, kind) in columns.items()]
    return func.unnest(*arrays).table_valued(*described, with_ordinality="place").render_derived(name="wanted")


def _of(series: TableValuedAlias) -> ColumnElement[bool]:
    return and_(candles.c.symbol == series.c.symbol, candles.c.timeframe == series.c.timeframe)


def _width(timeframe: Timeframe) -> str:
    return f"{WIDTH[timeframe].total_seconds():.0f} seconds" if timeframe in WIDTH else "1 month"


def _within(series: TableValuedAlias, wanted: Mapping[Series, Span]) -> ColumnElement[bool]:
    """Each series within its span; the bounds of all of them once more, for the plan to leave out whole months by."""
    return and_(
        _of(series),
        candles.c.opened.between(series.c.since, series.c.until),
        candles.c.opened.between(
            min(span.since for span in wanted.values()), max(span.until for span in wanted.values())
        ),
    )


def _saving(rows: Sequence[Mapping[str, Any]]) -> Select[Any]:
    """Return the statement that saves *rows* and tells which of them were stored otherwise before, with both values."""
    new = select(given(candles, rows)).cte("new")
    same_key = and_(*(candles.c[column.name] == new.c[column.name] for column in candles.primary_key))
    changed = (
        select(new, *(candles.c[name].label(f"old_{name}") for name in _PRICES))
        .join(candles, same_key)
        .where(tuple_(*(candles.c[name] for name in _PRICES)) != tuple_(*(new.c[name] for name in _PRICES)))
        .cte("changed")
    )
    insertion = insert(candles).from_select([column.name for column in new.c], select(new))
    update = insertion.on_conflict_do_update(
        index_elements=list(candles.primary_key),
        set_={name: insertion.excluded[name] for name in _PRICES},
        where=tuple_(*(candles.c[name] for name in _PRICES)) != tuple_(*(insertion.excluded[name] for name in _PRICES)),
    )
    return select(changed).add_cte(update.cte("saved"))


def _correction(row: Row[Any]) -> CandleDefect:
    changes = [
        f"{name} {getattr(row, f'old_{name}'):f} → {getattr(row, name):f}"
        for name in _PRICES
        if getattr(row, f"old_{name}") != getattr(row, name)
    ]
    series = Series(row.symbol, Timeframe(row.timeframe))
    return CandleDefect(series, DefectKind.CORRECTION, Span(row.opened, row.opened), ", ".join(changes))


def _series(values: ColumnElement[Any], opened: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the array of *values*, oldest first. It has no type for SQLAlchemy, which would go through every item."""
    return func.array_agg(aggregate_order_by(values, opened), type_=NullType())


def _window(series: Series, columns: Sequence[Sequence[Any]]) -> CandleWindow:
    return CandleWindow(series=series, **dict(zip(("opened", *_PRICES), columns, strict=True)))
