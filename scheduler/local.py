"""
APScheduler runs every account at its interval, aligned to candle close plus a small delay.

One job an account and never two of the same at once, so a slow cycle delays its account's next one and nobody else's.
A cycle and a reconciliation between two ticks take turns, so that neither finds the other in its way; while a model
thinks, it is the other's turn.
What is said of accounts over the API is followed within seconds, and an emergency stop left unfinished goes on.
A second scheduler does no harm: the lease lets one of the two act, and a cycle that is done answers with its result.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from functions.cycle import run_cycle
from functions.forgetting import forget
from functions.history import prune
from functions.invoke import invoke_compare, invoke_stage
from functions.pruning import prune_access, prune_events
from functions.run import LEASE_SECONDS
from functions.stopping import as_json, carry_on
from scheduler.plan import due, next_due
from shared.domain.account import Account
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.errors import DatabaseUnavailable, PerpetuaError, StageBusy, VenueError
from shared.runtime import Runtime

log = logging.getLogger("perpetua.app")

GRACE_SECONDS = 10

SYNCHRONISE_MINUTES = 10

ROLL_CALL_SECONDS = 5
"""How often accounts that were added, paused, resumed or removed are noticed."""


class TickTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler carries no types
    """Fires at each tick of an interval, in the time of the exchange, which may run faster than ours."""

    def __init__(self, interval: timedelta, *, delay: timedelta, runtime: Runtime) -> None:
        self.interval = interval
        self._delay = delay
        self._runtime = runtime

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return the moment of our own time at which the next tick is due at the exchange; the first time, at once."""
        if previous is None:
            return now
        moment = self._runtime.clock.now()
        ahead = next_due(moment, self.interval, self._delay) - moment
        return now + ahead / self._runtime.speed


class LocalScheduler:
    """Keeps one job for each account that configuration names. One that is not active is only reconciled."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._jobs = AsyncIOScheduler(timezone=UTC)
        self._stopping = asyncio.Event()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def turn(self, account_id: str) -> asyncio.Lock:
        """Return what to hold while at work on the account."""
        return self._turns[account_id]

    async def start(self) -> None:
        """Begin. What was due while we were away is caught up with at once, one cycle an account."""
        await self._roll_call()
        self._jobs.add_job(self._look_around, "interval", seconds=ROLL_CALL_SECONDS, max_instances=1, coalesce=True)
        self._jobs.add_job(self._synchronise, "interval", minutes=SYNCHRONISE_MINUTES, max_instances=1, coalesce=True)
        settings = self._runtime.settings
        duties = (
            (self._prune, settings.candle_retention),
            (self._forget, settings.record_retention),
            (self._prune_events, settings.event_retention),
            (self._prune_access, settings.event_retention),  # always: what has ended is of no use to anybody
        )
        for duty, retention in duties:
            if retention is not None:
                self._jobs.add_job(duty)  # at once: a process that never lives for a day would never get to it
                self._jobs.add_job(duty, "interval", days=1, max_instances=1, coalesce=True)
        self._jobs.start()

    async def stop(self) -> None:
        """Start no more cycles and give those under way a few seconds; one cut short is mended by the next start."""
        self._jobs.pause()
        self._stopping.set()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            # Cancelled once and waited for, so that each gives its lease back.
            await asyncio.gather(*late, return_exceptions=True)
        self._jobs.shutdown(wait=False)

    async def _synchronise(self) -> None:
        try:
            await self._runtime.synchronise()
        except VenueError as exc:
            log.warning("the clock could not be set", extra={"why": str(exc)})

    async def _prune(self) -> None:
        retention = self._runtime.settings.candle_retention
        assert retention is not None  # noqa: S101 - there is no such job without
        try:
            pruned = await prune(self._runtime.database, self._runtime.clock, retention)
        except DatabaseUnavailable as exc:
            log.warning("old candles could not be taken away", extra={"why": str(exc)})
        else:
            log.info("old candles taken away", extra={"months": pruned.months, "candles": pruned.rows})

    async def _forget(self) -> None:
        retention = self._runtime.settings.record_retention
        assert retention is not None  # noqa: S101 - there is no such job without
        try:
            gone = await forget(self._runtime.database, self._runtime.clock, retention)
        except DatabaseUnavailable as exc:
            log.warning("old decisions could not be taken away", extra={"why": str(exc)})
        else:
            log.info("old decisions taken away", extra=asdict(gone))

    async def _prune_events(self) -> None:
        try:
            pruned = await prune_events(self._runtime.database, self._runtime.settings)
        except DatabaseUnavailable as exc:
            log.warning("old events could not be taken away", extra={"why": str(exc)})
        else:
            log.info("old events taken away", extra={"events": pruned})

    async def _prune_access(self) -> None:
        try:
            ended = await prune_access(self._runtime.database, self._runtime.settings)
        except DatabaseUnavailable as exc:
            log.warning("what has ended could not be taken away", extra={"why": str(exc)})
        else:
            log.info("what has ended taken away", extra=asdict(ended))

    async def _look_around(self) -> None:
        try:
            await self._roll_call()
        except DatabaseUnavailable as exc:
            log.warning("the accounts could not be looked up", extra={"why": str(exc)})

    async def _roll_call(self) -> None:
        await self._runtime.follow_accounts()
        wanted = {account_id: found.account for account_id, found in self._runtime.accounts.items()}
        present = {job.id: job for job in self._jobs.get_jobs() if job.id.startswith("cycle:")}
        for gone in present.keys() - {f"cycle:{account_id}" for account_id in wanted}:
            present[gone].remove()
        for account in wanted.values():
            job = present.get(f"cycle:{account.id}")
            if job is None or job.trigger.interval != account.interval:
                self._add(account)
        async with self._runtime.open_work() as work:
            unfinished = await work.stops.unfinished()
        for stop in unfinished:
            if stop.account_id in wanted:
                self._aside(f"stop:{stop.account_id}", self._stop(stop.account_id))

    def _add(self, account: Account) -> None:
        delay = timedelta(seconds=self._runtime.settings.tick_delay_seconds)
        trigger = TickTrigger(account.interval, delay=delay, runtime=self._runtime)
        self._jobs.add_job(
            self._job,
            trigger,
            args=[account.id],
            id=f"cycle:{account.id}",
            replace_existing=True,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )

    async def _job(self, account_id: str) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine job runs in a task
        self._under_way.add(task)
        try:
            while (wait := await self._cycle(account_id)) and not self._stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait)
        except Exception:
            # The next tick is another chance, and no account's trouble may reach another.
            log.exception("cycle failed", extra={"account": account_id})
        finally:
            self._under_way.discard(task)

    async def _cycle(self, account_id: str) -> float:
        """Run the cycle that is due, if any. Return after how many seconds to look again, 0 for at the next tick.

        A copy in our way may be dead, and a reconciliation that failed may have left a position without its stop:
        neither can wait for the next tick.
        """
        runtime = self._runtime
        await runtime.require_time()
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self.turn(account_id))
            return await self._serve(account_id, turn)

    async def _serve(self, account_id: str, turn: AsyncExitStack) -> float:
        """Do so while *turn* is held, which is let go of while a model thinks."""
        runtime = self._runtime
        async with runtime.open_work() as work:
            served = await work.stages.latest_tick(account_id)
        interval = runtime.intervals.get(account_id)
        found = due(runtime.clock.now(), interval, served) if interval else None
        if found is None:  # or the account was removed a moment ago
            return 0
        if found.missed:
            log.warning("ticks missed", extra={"account": account_id, "missed": found.missed})

        async def one(stage: Stage, request: StageRequest) -> StageResult:
            if stage is not Stage.DECIDE:
                return await invoke_stage(runtime, stage, request)
            await turn.aclose()
            try:
                return await invoke_stage(runtime, stage, request)
            finally:
                await turn.enter_async_context(self.turn(account_id))

        try:
            request = StageRequest(account_id, found.tick)
            outcome = await run_cycle(request, invoke=one, open_work=runtime.open_work)
        except StageBusy as exc:
            log.info("standby", extra={"account": account_id, "why": str(exc)})
            return LEASE_SECONDS
        if "record" in outcome.get(Stage.DECIDE, {}):
            self._compare(request)
        return runtime.settings.protection_deadline_seconds / 3 if "error" in outcome["reconcile"] else 0

    async def _stop(self, account_id: str) -> None:
        """Go on with an emergency stop that whoever asked for it could not see to the end."""
        try:
            async with self.turn(account_id):
                stopped = await carry_on(self._runtime, account_id)
        except PerpetuaError as exc:
            log.warning("not stopped yet", extra={"account": account_id, "why": str(exc)})
        except Exception:
            log.exception("stopping failed", extra={"account": account_id})
        else:
            log.info("stopped" if stopped.flat else "not stopped yet", extra={"outcome": as_json(stopped)})

    def _compare(self, request: StageRequest) -> None:
        """Have shadow models asked and entries scored, in nobody's way; one that is slow forgoes its next cycle."""
        self._aside(f"compare:{request.account_id}", self._compared(request))

    def _aside(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Have *work* done beside the cycles, unless it is under way already."""
        if any(task.get_name() == name for task in self._under_way):
            work.close()
            return
        task = asyncio.create_task(work, name=name)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _compared(self, request: StageRequest) -> None:
        try:
            log.info("compared", extra={"outcome": await invoke_compare(self._runtime, request)})
        except PerpetuaError as exc:
            log.warning("not compared", extra={"account": request.account_id, "why": str(exc)})
        except Exception:
            log.exception("comparing failed", extra={"account": request.account_id})
