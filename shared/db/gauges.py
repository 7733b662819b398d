"""
What metrics are made of: totals that only grow, and how things stand.

A handful of statements, whatever the number of accounts and however long the history: totals are read, never counted,
and what is counted is what stands now, by an index that holds nothing else. Each call is one read-only transaction and
raises DatabaseUnavailable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, func, select, text

from shared.db.alerts import HELD_BACK, KEPT
from shared.db.exchange_streams import ExchangeStreamTable, Listening
from shared.db.tables import allowances, tallies
from shared.db.unit_of_work import Database
from shared.domain.allowance import Allowance
from shared.domain.tally import Counted

Rows = Sequence[Row[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Everything that is measured, of one moment."""

    totals: dict[Counted, Decimal]
    accounts: Rows
    """account, status, interval, last_tick, equity, spent, budget, positions, exposure, naked_since"""
    orders: Rows
    """account, state, number of those that are alive"""
    series: Rows
    """symbol, timeframe, opened: the newest candle of each series that an account follows"""
    weight_used: int
    closed_until: datetime | None
    held_back_seconds: float
    waiting: Rows
    """channel, number, seconds: of deliveries, the oldest's"""
    alerts: Rows
    """account, kind, severity, number of those that stand"""
    heartbeats: Rows = field(default_factory=list)
    """name, seconds since it was there"""
    streams: Sequence[tuple[str | None, Listening]] = ()
    """How each stream at the exchange stands, by account; of no account is the market's"""


async def read_gauges(database: Database, *, limit_name: str, now: datetime) -> Gauges:
    """Return everything that is measured, as it is *now* by the exchange's time."""
    async with database.reading() as connection:
        totals = await connection.execute(select(tallies))
        kept = (await connection.execute(select(allowances).where(allowances.c.name == limit_name))).one_or_none()
        taken = Allowance({int(number): amount for number, amount in kept.taken.items()}) if kept else Allowance()
        return Gauges(
            totals={Counted(row.name, row.account_id, row.subject, row.outcome): row.value for row in totals},
            accounts=(await connection.execute(_ACCOUNTS, {"now": now})).all(),
            orders=(await connection.execute(_ORDERS)).all(),
            series=(await connection.execute(_SERIES, {"now": now})).all(),
            weight_used=taken.used_at(now),
            closed_until=kept.closed_until if kept else None,
            held_back_seconds=float(await connection.scalar(HELD_BACK) or 0),
            waiting=(await connection.execute(_WAITING, {"kept": KEPT})).all(),
            alerts=(await connection.execute(_ALERTS)).all(),
            heartbeats=(await connection.execute(_HEARTBEATS)).all(),
            streams=await ExchangeStreamTable(connection).read(),
        )


async def read_freshness(database: Database, now: datetime) -> tuple[Rows, Rows, str | None]:
    """Return (the newest candle of each series that is followed, heartbeats, the migration the database is at)."""
    async with database.reading() as connection:
        return (
            (await connection.execute(_SERIES, {"now": now})).all(),
            (await connection.execute(_HEARTBEATS)).all(),
            await connection.scalar(select(func.max(text("version_num"))).select_from(text("alembic_version"))),
        )


_ACCOUNTS = text("""
    SELECT a.id AS account, a.status,
        (a.config ->> 'interval')::interval AS interval,
        (a.config #>> '{model_options,daily_budget}')::numeric AS budget,
        (SELECT max(tick) FROM stage_runs WHERE account_id = a.id AND stage = 'reconcile') AS last_tick,
        (SELECT wallet + unrealized FROM equity WHERE account_id = a.id ORDER BY at DESC LIMIT 1) AS equity,
        coalesce(s.spent + s.reserved, 0) AS spent,
        (SELECT count(*) FROM positions WHERE account_id = a.id) AS positions,
        (SELECT coalesce(sum(quantity * mark_price), 0) FROM positions WHERE account_id = a.id) AS exposure,
        (SELECT min(since) FROM naked_spells WHERE account_id = a.id AND until IS NULL) AS naked_since
    FROM accounts a
    LEFT JOIN model_spending s ON s.account_id = a.id AND s.day = (CAST(:now AS timestamptz) AT TIME ZONE 'UTC')::date
    WHERE a.removed_at IS NULL
    ORDER BY a.id
""")

_ORDERS = text("""
    SELECT account_id AS account, state, count(*) AS number FROM orders
    WHERE state IN ('INTENDED', 'UNRESOLVED', 'NEW', 'PARTIALLY_FILLED') GROUP BY 1, 2
""")

# A candle of a month may have opened two months ago; what opened earlier is in partitions that need not be looked at.
_SERIES = text("""
    WITH followed AS (
        SELECT DISTINCT symbol, timeframe FROM accounts,
            jsonb_array_elements_text(config -> 'symbols') AS symbol,
            jsonb_array_elements_text(config -> 'timeframes') AS timeframe
        WHERE removed_at IS NULL
    )
    SELECT symbol, timeframe, (
        SELECT opened FROM candles
        WHERE candles.symbol = followed.symbol AND candles.timeframe = followed.timeframe
            AND opened > CAST(:now AS timestamptz) - interval '70 days'
        ORDER BY opened DESC LIMIT 1
    ) AS opened
    FROM followed ORDER BY 1, 2
""")

_WAITING = text("""
    SELECT channel, count(*) AS number, extract(epoch FROM clock_timestamp() - min(queued_at)) AS seconds
    FROM deliveries WHERE delivered_at IS NULL AND queued_at > clock_timestamp() - CAST(:kept AS interval)
    GROUP BY channel
""")

_ALERTS = text("""
    SELECT account_id AS account, kind, severity, count(*) AS number FROM alerts
    WHERE resolved_at IS NULL GROUP BY 1, 2, 3
""")

_HEARTBEATS = text("SELECT name, extract(epoch FROM clock_timestamp() - at) AS seconds FROM heartbeats ORDER BY name")
