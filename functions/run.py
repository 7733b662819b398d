"""
One run of one stage: the law that every stage obeys, in one place.

Same request, same stored result, no second effect: the result is found again by its key (account, tick, stage). Two
copies at once: a lease with a fencing number, checked in every transaction that writes. Whoever waits for a model holds
one of its own, so that protection never waits for a model. Requests older than the account's patience are refused by
age, and the refusal is the stored result. An account whose key the exchange refuses is halted, and no other is touched.

A reconciliation between two ticks obeys the lease alone: it belongs to no cycle, so it leaves no result to find again.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from functions.authority import mind_authority
from shared.domain.account import Account, AccountStatus
from shared.domain.cycle import Duty, Stage, StageRequest, StageResult, tick_at
from shared.domain.errors import DatabaseUnavailable, NotAuthorised, StaleRequest
from shared.domain.ports import Clock
from shared.domain.work import OpenWork, Work

log = logging.getLogger("perpetua.app")

LEASE_SECONDS = 30.0
"""So long after a copy died another may take over. A copy that lives renews its lease well before that."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """The right to write for an account while nobody has taken it over."""

    account_id: str
    fence: int
    duty: Duty


@dataclass(slots=True, kw_only=True)
class Run:
    """A stage at work on one cycle. `result` is set when there is nothing left to do."""

    stage: Stage
    request: StageRequest
    account: Account
    lease: HeldLease
    started_at: datetime
    clock: Clock
    result: StageResult | None = None
    finished: bool = False

    async def finish(self, work: Work, details: Mapping[str, Any]) -> StageResult:
        """Store the result, and give the lease back, in the transaction that writes what the result tells of."""
        result = StageResult(stage=self.stage, request=self.request, details=dict(details))
        if not self.request.between:
            await work.stages.finish(result, started_at=self.started_at, finished_at=self.clock.now())
        await work.stages.release_lease(self.account.id, self.lease.fence, self.lease.duty)
        self.finished = True
        return result

    async def halt(self, work: Work, reason: str) -> None:
        """Let the account open nothing more until a person resumes it; one that is halted keeps its first reason."""
        if self.account.status is AccountStatus.HALTED:
            return
        now = self.clock.now()
        await work.accounts.set_status(self.account.id, AccountStatus.HALTED, reason)
        await work.journal.diary(self.account.id, self.request.tick, now, f"halted: {reason}", {})
        self.account = replace(self.account, status=AccountStatus.HALTED)
        log.error("account halted", extra={"why": reason})


@asynccontextmanager
async def begin(
    stage: Stage, request: StageRequest, *, open_work: OpenWork, clock: Clock, ages: bool = True
) -> AsyncIterator[Run]:
    """Take the account's lease for one stage and give it back at the end.

    With *ages*, a tick older than the account's patience is refused. Raises StageBusy while another copy is at work,
    UnknownAccount, and StaleRequest for a tick that is none or has not come yet.
    """
    now = clock.now()
    duty = Duty.THINK if stage is Stage.DECIDE else Duty.ACT
    async with open_work() as work:
        account = await mind_authority(work, await work.accounts.get(request.account_id), now)
        if request.tick > now:
            raise StaleRequest(f"tick {request.tick.isoformat()} has not come yet: it is {now.isoformat()}")
        if not request.between and tick_at(request.tick, account.interval) != request.tick:
            raise StaleRequest(f"{request.tick.isoformat()} is no tick of account {account.id} ({account.interval})")
        # A holder of its own for each run: two runs in one process must exclude each other too.
        fence = await work.stages.take_lease(account.id, uuid.uuid4().hex, LEASE_SECONDS, duty)
        result = await work.stages.result(stage, request)
    run = Run(
        stage=stage,
        request=request,
        account=account,
        lease=HeldLease(account.id, fence, duty),
        started_at=now,
        clock=clock,
        result=result,
    )
    renewal = asyncio.create_task(_renew(run.lease, open_work))
    try:
        if run.result is None and ages and now - request.tick > account.patience:
            async with open_work(run.lease) as work:
                run.result = await run.finish(work, {"refused": f"the tick is {now - request.tick} old"})
        yield run
    except NotAuthorised as exc:
        async with open_work(run.lease) as work:
            await run.halt(work, str(exc))
        raise
    finally:
        renewal.cancel()
        if not run.finished:
            async with open_work() as work:
                await work.stages.release_lease(account.id, fence, duty)


async def _renew(lease: HeldLease, open_work: OpenWork) -> None:
    """Keep the lease for as long as the stage is at work: a model may think longer than a lease lasts."""
    while True:
        await asyncio.sleep(LEASE_SECONDS / 3)
        try:
            async with open_work() as work:
                await work.stages.renew_lease(lease.account_id, lease.fence, LEASE_SECONDS, lease.duty)
        except DatabaseUnavailable as exc:  # the stage itself will find out, if it lasts
            log.warning("the lease could not be renewed", extra={"why": str(exc)})
