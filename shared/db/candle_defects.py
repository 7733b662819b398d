"""What was wrong with candles, and what the exchange was asked for in vain, so that it is not asked all the time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Interval, and_, exists, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.candles import CandleTable
from shared.db.tables import candle_defects, candles
from shared.domain.candle_defects import CandleDefect, DefectKind, KeptDefect
from shared.domain.market import Series, Span, Timeframe

AGAIN = timedelta(hours=1)
"""When something asked for in vain is asked for again; twice as long after each time, up to ten days."""

_DOUBLINGS = 8
_ABSENCES = (DefectKind.GAP, DefectKind.START)


class CandleDefectTable:
    """The `CandleDefects` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, defects: Iterable[CandleDefect], at: datetime) -> None:
        """Record what was seen; a defect seen before is counted once more."""
        rows = {
            (each.series, each.kind, each.span.since): {
                "symbol": each.series.symbol,
                "timeframe": each.series.timeframe,
                "kind": each.kind,
                "opened": each.span.since,
                "until": each.span.until,
                "detail": each.detail,
                "first_seen": at,
                "last_seen": at,
            }
            for each in defects
        }
        if not rows:
            return
        statement = insert_all(candle_defects, list(rows.values()))
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(candle_defects.primary_key),
                set_={
                    "until": statement.excluded.until,
                    "detail": statement.excluded.detail,
                    "last_seen": at,
                    "times": candle_defects.c.times + 1,
                    "healed_at": None,
                },
            )
        )

    async def absent(self, series: Iterable[Series], at: datetime) -> Mapping[Series, Sequence[Span]]:
        """Return what the exchange said it does not have, so lately that it need not be asked again."""
        doublings = func.least(candle_defects.c.times - 1, _DOUBLINGS)
        seconds = AGAIN.total_seconds() * func.power(2, doublings)
        patience = func.make_interval(0, 0, 0, 0, 0, 0, seconds, type_=Interval)
        return await self._absences(and_(_open_absence_of(series), candle_defects.c.last_seen + patience > at))

    async def settle(self, asked_in_vain: Mapping[Series, Sequence[Span]], at: datetime) -> Sequence[CandleDefect]:
        """
        Record what the exchange does not have of each series, and that it has by now what else was missing there.

        Returns the gaps that are new.
        """
        within = and_(
            candles.c.symbol == candle_defects.c.symbol,
            candles.c.timeframe == candle_defects.c.timeframe,
            candles.c.opened.between(candle_defects.c.opened, candle_defects.c.until),
        )
        await self._connection.execute(
            update(candle_defects)
            .where(_open_absence_of(asked_in_vain), exists(select(candles.c.opened).where(within)))
            .values(healed_at=at)
        )
        in_vain = [(series, span) for series, spans in asked_in_vain.items() for span in spans]
        if not in_vain:
            return []
        known = await self._absences(_open_absence_of(asked_in_vain))
        began = await CandleTable(self._connection).began({series for series, _ in in_vain})
        new, absences = [], []
        for series, span in in_vain:
            kind = DefectKind.START if series not in began or span.until < began[series] else DefectKind.GAP
            same = [other for other in known.get(series, ()) if other.meets(span)]
            # One stretch is one row, however the questions about it were cut.
            whole = Span(min(each.since for each in [span, *same]), max(each.until for each in [span, *same]))
            number = series.timeframe.number(whole.since, whole.until)
            defect = CandleDefect(series, kind, whole, f"{number} not to be had")
            absences.append(defect)
            if kind is DefectKind.GAP and not same:
                new.append(defect)
        await self.save(absences, at)
        return new

    async def recent(self, series: Iterable[Series], limit: int) -> Sequence[KeptDefect]:
        """Return the defects that were seen last, newest first."""
        found = await self._connection.execute(
            select(candle_defects)
            .where(_of(series))
            .order_by(candle_defects.c.last_seen.desc(), candle_defects.c.symbol, candle_defects.c.opened.desc())
            .limit(limit)
        )
        return [
            KeptDefect(
                CandleDefect(
                    Series(row.symbol, Timeframe(row.timeframe)),
                    DefectKind(row.kind),
                    Span(row.opened, row.until),
                    row.detail,
                ),
                last_seen=row.last_seen,
                times=row.times,
                healed_at=row.healed_at,
            )
            for row in found
        ]

    async def _absences(self, which: ColumnElement[bool]) -> dict[Series, list[Span]]:
        found = await self._connection.execute(
            select(candle_defects.c.symbol, candle_defects.c.timeframe, candle_defects.c.opened, candle_defects.c.until)
            .where(which)
            .order_by(candle_defects.c.opened)
        )
        absences: dict[Series, list[Span]] = {}
        for symbol, timeframe, since, until in found:
            absences.setdefault(Series(symbol, Timeframe(timeframe)), []).append(Span(since, until))
        return absences


def _of(series: Iterable[Series]) -> ColumnElement[bool]:
    return tuple_(candle_defects.c.symbol, candle_defects.c.timeframe).in_(
        [(each.symbol, each.timeframe) for each in series]
    )


def _open_absence_of(series: Iterable[Series]) -> ColumnElement[bool]:
    return and_(
        _of(series),
        candle_defects.c.kind.in_(_ABSENCES),
        candle_defects.c.healed_at.is_(None),
    )
