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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

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
    """A stage at work on one cycle."""

    stage: Stage
    request: StageRequest
    account: Account
    lease: HeldLease
    started_at: datetime
    clock: Clock
    open_work: OpenWork
    over: bool = False
    """The lease was given back."""

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[Work]:
        """Open the transaction that ends the run: it gives the lease back, but to nobody before it has ended.

        Raises LeaseLost when another copy has taken the account over.
        """
        async with self.open_work() as work:
            await work.stages.give_back(self.lease)
            yield work
        self.over = True

    async def finish(self, work: Work, details: Mapping[str, Any]) -> StageResult:
        """Store the result in the transaction that ends the run and writes what the result tells of."""
        result = StageResult(stage=self.stage, request=self.request, details=dict(details))
        if not self.request.between:
            await work.stages.finish(result, started_at=self.started_at, finished_at=self.clock.now())
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


T = TypeVar("T")

Load = Callable[[Work, Run], Awaitable[T]]
"""Reads what a run begins with, in the transaction that takes the lease."""


@asynccontextmanager
async def begin(
    stage: Stage, request: StageRequest, load: Load[T], *, open_work: OpenWork, clock: Clock, ages: bool = True
) -> AsyncIterator[StageResult | tuple[Run, T]]:
    """Take the account's lease for one stage and give it back at the end; yield the run with what *load* returns.

    Where the stage has done its work for that cycle before, its result is all there is. With *ages*, so it is for a
    tick older than the account's patience: it is refused. Raises what `hold` raises.
    """

    async def look(work: Work, run: Run, done: StageResult | None) -> StageResult | T:
        age = run.started_at - request.tick
        if done is None and not (ages and age > run.account.patience):
            return await load(work, run)
        await work.stages.give_back(run.lease)
        run.over = True
        return done or await run.finish(work, {"refused": f"the tick is {age} old"})

    async with _held(stage, request, look, open_work=open_work, clock=clock) as (run, found):
        yield found if isinstance(found, StageResult) else (run, found)


@asynccontextmanager
async def hold(
    request: StageRequest, load: Load[T], *, open_work: OpenWork, clock: Clock
) -> AsyncIterator[tuple[Run, T]]:
    """Take the account's lease between two ticks, give it back at the end; yield the run with what *load* returns.

    Raises StageBusy while another copy is at work, UnknownAccount, and StaleRequest for a moment that has not come yet.
    """

    async def look(work: Work, run: Run, _: StageResult | None) -> T:
        return await load(work, run)

    async with _held(Stage.RECONCILE, request, look, open_work=open_work, clock=clock) as held:
        yield held


@asynccontextmanager
async def _held(
    stage: Stage,
    request: StageRequest,
    look: Callable[[Work, Run, StageResult | None], Awaitable[T]],
    *,
    open_work: OpenWork,
    clock: Clock,
) -> AsyncIterator[tuple[Run, T]]:
    now, account_id = clock.now(), request.account_id
    if request.tick > now:
        raise StaleRequest(f"tick {request.tick.isoformat()} has not come yet: it is {now.isoformat()}")
    duty = Duty.THINK if stage is Stage.DECIDE else Duty.ACT
    async with open_work() as work:
        # A holder of its own for each run: two runs in one process must exclude each other too.
        fence = await work.stages.take_lease(account_id, uuid.uuid4().hex, LEASE_SECONDS, duty)
        account, done = await work.stages.look(stage, request)
        if not request.between and tick_at(request.tick, account.interval) != request.tick:
            raise StaleRequest(f"{request.tick.isoformat()} is no tick of account {account.id} ({account.interval})")
        run = Run(
            stage=stage,
            request=request,
            account=await mind_authority(work, account, now),
            lease=HeldLease(account_id, fence, duty),
            started_at=now,
            clock=clock,
            open_work=open_work,
        )
        found = await look(work, run, done)
    renewal = asyncio.create_task(_renew(run.lease, open_work))
    try:
        yield run, found
    except NotAuthorised as exc:
        async with open_work(run.lease) as work:
            await run.halt(work, str(exc))
        raise
    finally:
        renewal.cancel()
        if not run.over:
            async with open_work() as work:
                await work.stages.release_lease(account_id, fence, duty)


async def _renew(lease: HeldLease, open_work: OpenWork) -> None:
    """Keep the lease for as long as the stage is at work: a model may think longer than a lease lasts."""
    while True:
        await asyncio.sleep(LEASE_SECONDS / 3)
        try:
            async with open_work() as work:
                await work.stages.renew_lease(lease.account_id, lease.fence, LEASE_SECONDS, lease.duty)
        except DatabaseUnavailable as exc:  # the stage itself will find out, if it lasts
            log.warning("the lease could not be renewed", extra={"why": str(exc)})
