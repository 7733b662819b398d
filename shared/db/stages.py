"""
What each stage did, and the lease that lets one copy act.

A lease expires by the database's clock, so holders need not agree on the time. Its fencing number only grows: whoever
was overtaken is told so by the transaction it tries to write in.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.accounts import from_json
from shared.db.tables import accounts, leases, stage_runs
from shared.domain.account import Account
from shared.domain.cycle import Duty, Stage, StageRequest, StageResult
from shared.domain.errors import LeaseLost, StageBusy, UnknownAccount
from shared.domain.work import Lease


class StageTable:
    """The `Stages` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def look(self, stage: Stage, request: StageRequest) -> tuple[Account, StageResult | None]:
        """Return the account, and what the stage did for that cycle, marked as repeated; None when it has not finished.

        In one round trip. Raises UnknownAccount.
        """
        found = await self._connection.execute(
            select(accounts.c.config, accounts.c.status, stage_runs.c.result)
            .outerjoin(
                stage_runs,
                and_(
                    stage_runs.c.account_id == accounts.c.id,
                    stage_runs.c.tick == request.tick,
                    stage_runs.c.stage == stage,
                ),
            )
            .where(accounts.c.id == request.account_id, accounts.c.removed_at.is_(None))
        )
        row = found.one_or_none()
        if row is None:
            raise UnknownAccount(f"there is no account {request.account_id!r}")
        account = from_json(row.config, row.status)
        if row.result is None:
            return account, None
        return account, StageResult(stage=stage, request=request, details=row.result, repeated=True)

    async def latest_tick(self, account_id: str) -> datetime | None:
        """Return the newest tick whose cycle came to its end, which is to be reconciled."""
        tick: datetime | None = await self._connection.scalar(
            select(func.max(stage_runs.c.tick)).where(
                stage_runs.c.account_id == account_id, stage_runs.c.stage == Stage.RECONCILE
            )
        )
        return tick

    async def take_lease(self, account_id: str, holder: str, seconds: float, duty: Duty = Duty.ACT) -> int:
        """
        Return a fencing number larger than every earlier one of that duty.

        The lease lasts for *seconds* of the database's time. A transaction that writes under the lease is waited for.
        Raises StageBusy while a lease runs, whoever holds it.
        """
        now = func.clock_timestamp()
        expires_at = now + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        fence: int | None = await self._connection.scalar(
            insert(leases)
            .values(account_id=account_id, duty=duty, fence=1, holder=holder, expires_at=expires_at)
            .on_conflict_do_update(
                index_elements=[leases.c.account_id, leases.c.duty],
                set_={"fence": leases.c.fence + 1, "holder": holder, "expires_at": expires_at},
                where=leases.c.expires_at <= now,
            )
            .returning(leases.c.fence)
        )
        if fence is None:
            raise StageBusy(f"another copy is at work on account {account_id}")
        return fence

    async def renew_lease(self, account_id: str, fence: int, seconds: float, duty: Duty = Duty.ACT) -> None:
        """Let the lease last for *seconds* from now, if it still runs and is ours: one given back stays given back."""
        now = func.clock_timestamp()
        await self._connection.execute(
            update(leases)
            .where(_is(account_id, duty), leases.c.fence == fence, leases.c.expires_at > now)
            .values(expires_at=now + func.make_interval(0, 0, 0, 0, 0, 0, seconds))
        )

    async def release_lease(self, account_id: str, fence: int, duty: Duty = Duty.ACT) -> None:
        """Give the lease back if it is still ours."""
        await self._connection.execute(
            update(leases)
            .where(_is(account_id, duty), leases.c.fence == fence)
            .values(expires_at=func.clock_timestamp())
        )

    async def give_back(self, lease: Lease) -> None:
        """Give *lease* back when this transaction ends, and let nobody take it before. Raises LeaseLost as `hold`."""
        given = await self._connection.execute(
            update(leases)
            .where(_is(lease.account_id, lease.duty), leases.c.fence == lease.fence)
            .values(expires_at=func.clock_timestamp())
        )
        if given.rowcount == 0:
            raise LeaseLost(f"another copy took over account {lease.account_id}: fence {lease.fence} is no more")

    async def revoke_lease(self, account_id: str, duty: Duty = Duty.ACT) -> None:
        """Take the lease from whoever holds it: that copy writes no more, and anybody may take it at once."""
        await self._connection.execute(
            update(leases)
            .where(_is(account_id, duty))
            .values(fence=leases.c.fence + 1, expires_at=func.clock_timestamp())
        )

    async def hold(self, lease: Lease) -> None:
        """Let nobody take *lease* over before this transaction ends. Raises LeaseLost when somebody has already."""
        fence = await self._connection.scalar(
            select(leases.c.fence).where(_is(lease.account_id, lease.duty)).with_for_update(read=True)
        )
        if fence != lease.fence:
            raise LeaseLost(f"another copy took over account {lease.account_id}: fence {lease.fence} became {fence}")

    async def finish(self, result: StageResult, *, started_at: datetime, finished_at: datetime) -> None:
        """Store the result. Raises LeaseLost when another copy has stored one, so that nothing is written twice."""
        request = result.request
        stored = await self._connection.execute(
            insert(stage_runs)
            .values(
                account_id=request.account_id,
                tick=request.tick,
                stage=result.stage,
                result=result.details,
                started_at=started_at,
                finished_at=finished_at,
            )
            .on_conflict_do_nothing()
        )
        if stored.rowcount == 0:
            raise LeaseLost(f"another copy finished {result.stage} of {request.account_id} at {request.tick}")


def _is(account_id: str, duty: Duty) -> ColumnElement[bool]:
    return and_(leases.c.account_id == account_id, leases.c.duty == duty)
