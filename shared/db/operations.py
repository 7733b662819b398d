"""
How well the work was done, within a time: for each account the ticks that were missed, the seconds without a stop, the
orders that failed, how long it took to be back, and what a decision cost.

Read from what the cycles left, by indexes that hold account and time: as much work as there is in that time.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import text

from shared.db.paging import plain
from shared.db.unit_of_work import Database
from shared.domain.alert import missed_cycles
from shared.domain.model import OF_THE_CYCLE


async def operations(
    database: Database, *, account: str | None, since: datetime, until: datetime, now: datetime
) -> list[dict[str, Any]]:
    """Return the numbers of one account, or of each, within [since, until) as far as it has come at *now*.

    Raises DatabaseUnavailable.
    """
    until = min(until, now)
    asked = {"account": account, "since": since, "until": until, "purposes": [each.value for each in OF_THE_CYCLE]}
    async with database.reading() as connection:
        found = (await connection.execute(_NUMBERS, asked)).all()
    told = []
    for row in found:
        numbers = plain(row)
        interval, last = numbers.pop("interval"), numbers.pop("last")
        # Ticks since the last cycle count too: nobody may ever come to serve them.
        still = missed_cycles(max(row.last, since - interval), interval, until) if last else 0
        numbers["missed_cycles"] += still
        due = numbers["cycles"] + numbers["missed_cycles"]
        numbers["missed_rate"] = numbers["missed_cycles"] / due if due else None
        numbers["order_error_rate"] = row.order_errors / row.orders_sent if row.orders_sent else None
        told.append(numbers)
    return told


# A cycle came to its end when it was reconciled. A gap before one is an outage from the first tick that was not served
# to the end of that cycle.
_NUMBERS = text("""
    SELECT a.id AS account, a.interval, served.*, naked.*, sent.*, asked.*,
        trim_scale(round(asked.model_cost / nullif(asked.decisions, 0), 8)) AS cost_per_decision
    FROM (SELECT id, (config ->> 'interval')::interval AS interval FROM accounts WHERE removed_at IS NULL) a
    CROSS JOIN LATERAL (
        SELECT count(*) AS cycles,
            coalesce(sum(missed), 0)::integer AS missed_cycles,
            count(*) FILTER (WHERE missed > 0) AS outages,
            avg(extract(epoch FROM back - away)) FILTER (WHERE missed > 0)::float AS recovery_seconds,
            max(extract(epoch FROM back - away)) FILTER (WHERE missed > 0)::float AS longest_recovery_seconds,
            coalesce(max(tick), (
                SELECT max(tick) FROM stage_runs
                WHERE account_id = a.id AND stage = 'reconcile' AND tick < :since
            )) AS last
        FROM (
            SELECT tick, finished_at AS back, before + a.interval AS away,
                CASE WHEN before IS NULL THEN 0 ELSE
                    greatest(0, floor(extract(epoch FROM tick - greatest(before, :since - a.interval))
                                      / extract(epoch FROM a.interval)) - 1)
                END AS missed
            FROM (
                SELECT tick, finished_at, coalesce(lag(tick) OVER (ORDER BY tick), (
                    SELECT max(tick) FROM stage_runs
                    WHERE account_id = a.id AND stage = 'reconcile' AND tick < :since
                )) AS before
                FROM stage_runs
                WHERE account_id = a.id AND stage = 'reconcile' AND tick >= :since AND tick < :until
            ) runs
        ) gaps
    ) served
    CROSS JOIN LATERAL (
        SELECT count(*) AS naked_spells,
            coalesce(sum(seconds), 0)::float AS naked_seconds,
            coalesce(max(seconds), 0)::float AS longest_naked_seconds
        FROM (
            SELECT extract(epoch FROM least(coalesce(until, :until), :until) - greatest(since, :since)) AS seconds
            FROM naked_spells
            WHERE account_id = a.id AND since < :until AND coalesce(until, :until) >= :since
        ) spells
    ) naked
    CROSS JOIN LATERAL (
        SELECT count(*) AS orders_sent,
            count(*) FILTER (WHERE state IN ('REJECTED', 'ABSENT', 'UNRESOLVED')) AS order_errors
        FROM orders
        WHERE account_id = a.id AND tick >= :since AND tick < :until AND leg <> 'external' AND sent_at IS NOT NULL
    ) sent
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT tick) FILTER (WHERE content IS NOT NULL AND purpose = ANY(:purposes)) AS decisions,
            coalesce(sum(cost), 0) AS model_cost
        FROM model_calls WHERE account_id = a.id AND tick >= :since AND tick < :until
    ) asked
    WHERE CAST(:account AS text) IS NULL OR a.id = :account
    ORDER BY a.id
""")
