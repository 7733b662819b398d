"""
Alerts, the facts that they are found in, and the queue of what people have yet to be told.

A delivery is claimed by putting off when it is due, in a transaction that ends before anything is sent: a sender that
dies leaves it to the next one. So each is sent at least once, and its id tells a repeat.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import alerts, allowances, deliveries, heartbeats
from shared.domain.account import AccountStatus
from shared.domain.alert import GRAVE, TOLD_FOR, AccountFacts, Alarm, AlertKind
from shared.domain.reconciliation import Difference

CLAIM_SECONDS = 60.0
"""How long a claimed delivery is left to who claimed it."""

KEPT = timedelta(days=1)
"""News that could not be delivered for so long is no news any more."""

RAISED, RESOLVED = "raised", "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A piece of news to send, claimed."""

    id: int
    channel: str
    news: str
    attempts: int
    claimed_at: datetime
    alert: Mapping[str, Any]


class AlertTable:
    """Alerts and their deliveries, on one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def facts(self, now: datetime) -> list[AccountFacts]:
        """Return how every account stands that was not removed, in as many queries for many as for one."""
        rows = (await self._connection.execute(_ACCOUNTS, {"now": now})).all()
        standing: dict[str, dict[str, dict[str, Any]]] = {row.id: defaultdict(dict) for row in rows}
        for name, statement in (("breakers", _BREAKERS), ("naked", _NAKED), ("unresolved", _UNRESOLVED)):
            given = {"now": now} if name == "breakers" else {}
            for row in await self._connection.execute(statement, given):
                if row.account_id in standing:
                    standing[row.account_id][name][row.subject] = row.value
        differences: defaultdict[str, list[tuple[int, Difference, datetime, str]]] = defaultdict(list)
        asked = {"since": now - TOLD_FOR, "kinds": [kind.value for kind in GRAVE]}
        for row in await self._connection.execute(_DIFFERENCES, asked):
            words = f"{row.kind.replace('_', ' ')}: {row.symbol or 'the wallet'}, ours {row.ours}, theirs {row.theirs}"
            differences[row.account_id].append((row.id, Difference(row.kind), row.at, words))
        return [
            AccountFacts(
                account_id=row.id,
                status=AccountStatus(row.status),
                status_reason=row.status_reason,
                interval=row.interval,
                last_tick=row.last_tick,
                breakers=standing[row.id]["breakers"],
                naked=standing[row.id]["naked"],
                unresolved=standing[row.id]["unresolved"],
                spent=row.spent,
                budget=row.budget,
                manage_only_since=row.manage_only_since,
                manage_only_reason=row.reason or "",
                differences=differences[row.id],
            )
            for row in rows
        ]

    async def closed_until(self, name: str) -> datetime | None:
        """Return until when the exchange refuses what comes from the address of that limit."""
        found: datetime | None = await self._connection.scalar(
            select(allowances.c.closed_until).where(allowances.c.name == name)
        )
        return found

    async def held_back(self) -> timedelta:
        """Return for how long a transaction has been running that keeps later events from readers."""
        return timedelta(seconds=float(await self._connection.scalar(HELD_BACK)))

    async def beat(self, name: str) -> None:
        """Say that the process of that name is there."""
        now = func.clock_timestamp()
        await self._connection.execute(
            insert(heartbeats)
            .values(name=name, at=now)
            .on_conflict_do_update(index_elements=[heartbeats.c.name], set_={"at": now})
        )

    async def settle(
        self,
        found: Collection[Alarm],
        at: datetime,
        *,
        channels: Sequence[str],
        judged: Collection[AlertKind] | None = None,
    ) -> None:
        """Let *found* be all that stands: raise what is new, resolve what is over, and queue both for *channels*.

        Where only some kinds could be *judged*, those of other kinds stand on.

        Of two who settle at once the second waits, and finds the work done.
        """
        await self._connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('alerts'))"))
        standing = {
            (row.kind, row.account_id, row.subject): row.id
            for row in await self._connection.execute(
                select(alerts.c.id, alerts.c.kind, alerts.c.account_id, alerts.c.subject).where(
                    alerts.c.resolved_at.is_(None)
                )
            )
        }
        wanted = {(alarm.kind.value, alarm.account_id, alarm.subject): alarm for alarm in found}
        over = [
            number for name, number in standing.items() if name not in wanted and (judged is None or name[0] in judged)
        ]
        if over:
            await self._connection.execute(update(alerts).where(alerts.c.id.in_(over)).values(resolved_at=at))
        await self._queue(over, RESOLVED, channels)
        new = [alarm for name, alarm in wanted.items() if name not in standing]
        await self._queue(await self.raise_(new, at), RAISED, channels)

    async def raise_(self, new: Sequence[Alarm], at: datetime) -> list[int]:
        """Record alerts that do not stand yet, and return their ids."""
        if not new:
            return []
        rows = [
            {
                "kind": alarm.kind,
                "account_id": alarm.account_id,
                "subject": alarm.subject,
                "severity": alarm.severity,
                "text": alarm.text,
                "raised_at": at,
            }
            for alarm in new
        ]
        return list(await self._connection.scalars(insert_all(alerts, rows).returning(alerts.c.id)))

    async def _queue(self, numbers: Sequence[int], news: str, channels: Sequence[str]) -> None:
        rows = [{"alert_id": number, "news": news, "channel": each} for number in numbers for each in channels]
        if rows:
            await self._connection.execute(insert_all(deliveries, rows).on_conflict_do_nothing())

    async def claim(self, channels: Sequence[str], limit: int) -> list[Delivery]:
        """Return deliveries that are due for *channels*, and leave them to the caller for CLAIM_SECONDS."""
        now = func.clock_timestamp()
        due = (
            select(deliveries.c.id)
            .where(
                deliveries.c.channel.in_(channels),
                deliveries.c.delivered_at.is_(None),
                deliveries.c.due_at <= now,
                deliveries.c.queued_at > now - KEPT,
            )
            .order_by(deliveries.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = (
            update(deliveries)
            .where(deliveries.c.id.in_(due.scalar_subquery()), alerts.c.id == deliveries.c.alert_id)
            .values(due_at=now + timedelta(seconds=CLAIM_SECONDS), attempts=deliveries.c.attempts + 1)
            .returning(
                deliveries.c.id.label("delivery"),
                deliveries.c.channel,
                deliveries.c.news,
                deliveries.c.attempts,
                now.label("claimed_at"),
                *alerts.c,
            )
        )
        found = [
            Delivery(
                id=row.delivery,
                channel=row.channel,
                news=row.news,
                attempts=row.attempts,
                claimed_at=row.claimed_at,
                alert={column.name: row._mapping[column] for column in alerts.c},
            )
            for row in await self._connection.execute(claimed)
        ]
        return sorted(found, key=lambda each: each.id)

    async def delivered(self, number: int) -> None:
        """Note that the channel has taken it."""
        await self._connection.execute(
            update(deliveries)
            .where(deliveries.c.id == number)
            .values(delivered_at=func.clock_timestamp(), failure=None)
        )

    async def failed(self, number: int, why: str, *, again_in: timedelta) -> None:
        """Note why it was not taken, and when to try again."""
        await self._connection.execute(
            update(deliveries)
            .where(deliveries.c.id == number)
            .values(failure=why, due_at=func.clock_timestamp() + again_in)
        )

    async def acknowledge(self, number: int, by: str, at: datetime) -> None:
        """Note who has seen to the alert, unless somebody has before."""
        await self._connection.execute(
            update(alerts)
            .where(alerts.c.id == number, alerts.c.acknowledged_at.is_(None))
            .values(acknowledged_by=by, acknowledged_at=at)
        )


# What a running transaction that writes keeps back: readers of the outbox go no further than the oldest of them.
HELD_BACK = text("""
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
""")

# One row an account: the newest tick comes out of an index, the rest are tables of a row an account.
_ACCOUNTS = text("""
    SELECT a.id, a.status, a.status_reason,
        (a.config ->> 'interval')::interval AS interval,
        (a.config #>> '{model_options,daily_budget}')::numeric AS budget,
        (SELECT max(tick) FROM stage_runs WHERE account_id = a.id AND stage = 'reconcile') AS last_tick,
        coalesce(s.spent + s.reserved, 0) AS spent,
        h.manage_only_since, h.reason
    FROM accounts a
    LEFT JOIN model_spending s ON s.account_id = a.id AND s.day = (CAST(:now AS timestamptz) AT TIME ZONE 'UTC')::date
    LEFT JOIN model_health h ON h.account_id = a.id
    WHERE a.removed_at IS NULL
    ORDER BY a.id
""")

_BREAKERS = text("""
    SELECT account_id, breaker AS subject, reason AS value FROM breakers
    WHERE lifted_at IS NULL AND (lifts_at IS NULL OR lifts_at > :now)
""")

_NAKED = text("""
    SELECT account_id, direction || ' ' || symbol AS subject, since AS value FROM naked_spells WHERE until IS NULL
""")

_UNRESOLVED = text("""
    SELECT account_id, client_order_id AS subject, sent_at AS value FROM orders
    WHERE state = 'UNRESOLVED' AND state IN ('INTENDED', 'UNRESOLVED', 'NEW', 'PARTIALLY_FILLED')
        AND sent_at IS NOT NULL
""")

_DIFFERENCES = text("""
    SELECT id, account_id, at, kind, symbol, ours, theirs FROM discrepancies
    WHERE at > :since AND kind = ANY(:kinds) ORDER BY at, id
""")
