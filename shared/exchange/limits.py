"""
The exchange's limits, kept before it has to remind us.

It allows so much request weight a minute to all that comes from one address, and so many orders a minute to an account,
and says after each request how much was used. Ordinary requests leave a reserve to what protects money: exits,
protective orders, cancellations.

The weight is shared by every process behind the address: a process draws a share for ten seconds from what the
runtime handed in, spends it by itself and gives back what was left. While the shared account does not answer, each
process makes do with a tenth of the limit, and what protects money goes on. An account's orders need no such thing: one
process at a time acts for an account, and the exchange's count tells it of the one before.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import httpx

from shared.domain.allowance import LONGEST_BAN, Allowance, Grant, Report, ordinary_room, slice_of
from shared.domain.errors import DatabaseUnavailable, RateLimited
from shared.domain.ports import Clock
from shared.domain.work import Allowances

log = logging.getLogger("perpetua.trading")

WEIGHT_A_MINUTE, ORDERS_A_MINUTE = 2400, 1200
SHARE = 60
"""What is drawn at once, or as much as is waited for: so much at most may lie idle in a process, for a minute."""
OWN_PART = 10
"""A process alone makes do with this part of the limit while the shared account does not answer."""
PATIENCE_SECONDS = 1.0
"""For the shared account's answer."""
_POLL_SECONDS = 0.25  # market time may run faster than ours, so a wait looks at the clock again and again
_MINUTE = timedelta(minutes=1)

Sleep = Callable[[float], Awaitable[None]]


class Budget:
    """What is left of one limit. Shared by everybody in the process, and by other processes once `share` was called."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """What is allowed in a minute: as known by heart, until the exchange says."""
        self._shared: Allowances | None = None
        self._name = ""
        self._own = Allowance()
        """The account where it is not shared, or the shared one does not answer."""
        self._drawing = asyncio.Lock()
        self._waiting = 0
        self._slice, self._left = 0, 0
        self._unused: dict[int, int] = {}
        self._told: tuple[datetime | None, int] = (None, 0)
        self._closed_until: datetime | None = None
        self._others_know = True
        self._full: tuple[int, int, datetime] | None = None
        """The slice in which how much was not granted, and when it may be."""
        self._silent_in: int | None = None
        """The slice in which the shared account did not answer: it is asked again in the next."""

    def share(self, allowances: Allowances, name: str) -> None:
        """From now on have it in common with all who draw on *name*."""
        self._shared, self._name = allowances, name
        self._drawing = asyncio.Lock()  # of the running loop, as whoever shares is

    def part(self, allowances: Allowances) -> None:
        """Have it in common through *allowances* no longer."""
        if self._shared is allowances:
            self._shared = None

    async def reserve(self, weight: int, *, clock: Clock, sleep: Sleep, patience: float, urgent: bool) -> datetime:
        """Take *weight* and return the minute it was taken from, waiting for it if need be.

        Raises RateLimited when that would take more than *patience* seconds of the exchange's time.
        """
        self._waiting += weight
        try:
            while (wait := await self._take(weight, clock, urgent=urgent)) > 0:
                if wait > patience:
                    raise RateLimited(f"the request limit is used up for another {wait:.0f} s", retry_after=wait)
                await sleep(min(wait, _POLL_SECONDS))
        finally:
            self._waiting -= weight
        return _minute_of(clock.now())

    def learn(self, minute: datetime, used: int) -> None:
        """Take the exchange's word for what was *used* when it served a request reserved in *minute*."""
        known, before = self._told
        self._told = (minute, max(used, before) if known == minute else used)
        if self._told[1] + self._left > ordinary_room(self.limit):
            self._give_back()  # others at our address use more than we knew

    async def close(self, seconds: float, *, clock: Clock) -> None:
        """Let nothing through for so long, and be careful afterwards: the exchange has refused us.

        All who share the limit are told: at once, or with the next share that is drawn.
        """
        now = clock.now()
        self._shut_for(seconds, now)
        log.warning("refused by the exchange", extra={"limit": self._name, "closed_seconds": seconds})
        async with self._drawing:
            self._give_back()
            self._others_know = False
            await self._settle(Report(now=now, limit=self.limit), is_set=clock.is_set)

    async def _take(self, weight: int, clock: Clock, *, urgent: bool) -> float:
        """Take *weight* and return 0, or return in how many seconds there may be room for it."""
        wait = self._shut(weight, clock.now(), urgent=urgent)
        if not wait and not self._holds(weight, clock.now()):
            async with self._drawing:  # one draws for all who wait
                wait = 0.0 if self._holds(weight, clock.now()) else await self._draw(weight, clock, urgent=urgent)
        if not wait:
            self._left -= weight
        return wait

    def _shut(self, weight: int, now: datetime, *, urgent: bool) -> float:
        """Return for how many seconds nothing may be sent, as far as that is known without asking."""
        return self._closed_for(now) or (self._used_up(weight, now, self.limit) if urgent else 0.0)

    def _closed_for(self, now: datetime) -> float:
        # An end further ahead than any was noted by a clock since put right.
        if self._closed_until is not None and now < self._closed_until <= now + LONGEST_BAN:
            return (self._closed_until - now).total_seconds()
        return 0.0

    def _shut_for(self, seconds: float, now: datetime) -> None:
        if seconds > self._closed_for(now):
            self._closed_until = now + timedelta(seconds=seconds)

    def _used_up(self, weight: int, now: datetime, room: int) -> float:
        """Return how long the present minute lasts if the exchange said that *weight* exceeds *room* in it."""
        minute, used = self._told
        if minute != _minute_of(now) or used + weight <= room:
            return 0.0
        return (minute + _MINUTE - now).total_seconds()

    def _holds(self, weight: int, now: datetime) -> bool:
        return self._slice == slice_of(now) and self._left >= weight

    async def _draw(self, weight: int, clock: Clock, *, urgent: bool) -> float:
        """Draw a share that holds *weight* and return 0, or return in how many seconds there may be one."""
        now = clock.now()
        if self._full is not None and not urgent:
            refused_in, refused, until = self._full
            if refused_in == slice_of(now) and refused <= weight and now < until:
                return (until - now).total_seconds()
        self._give_back()
        minute, told = self._told
        report = Report(
            now=now,
            limit=self.limit,
            urgent=urgent,
            wanted=max(self._waiting, SHARE),
            least=weight,
            told=told if minute == _minute_of(now) else 0,
        )
        grant = await self._settle(report, is_set=clock.is_set)
        if clock.is_set:
            self._shut_for(grant.closed_for, now)
        self._slice, self._left = slice_of(now), grant.amount
        if grant.wait and not urgent:
            self._full = (self._slice, weight, now + timedelta(seconds=grant.wait))
        return grant.wait

    async def _settle(self, report: Report, *, is_set: bool) -> Grant:
        """Settle with whoever keeps the account, and make do with a small part of the limit when nobody answers."""
        now = report.now
        assert now is not None  # noqa: S101 - every report of ours says when it was
        if not self._others_know:
            report = replace(report, closed_for=self._closed_for(now), careful=True)
        if self._shared is None:
            self._others_know = True
            unused, self._unused = self._unused, {}
            return self._own.settle(replace(report, spent=unused))
        if self._silent_in != slice_of(now):
            spent = {n: self._own.taken.get(n, 0) + self._unused.get(n, 0) for n in {*self._own.taken, *self._unused}}
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    told = replace(report, spent=spent, now=now if is_set else None)
                    grant = await self._shared.settle(self._name, told)
            except (DatabaseUnavailable, TimeoutError) as exc:
                self._silent_in = slice_of(now)
                log.warning("on a part of the request limit alone", extra={"limit": self._name, "why": str(exc)})
            else:
                if is_set:
                    self._own, self._unused, self._others_know = Allowance(), {}, True
                    return grant
                if grant.closed_for:
                    return replace(grant, wait=grant.closed_for)
        self._unused = {}  # whether that was given back is not known
        if not report.urgent and (wait := self._used_up(report.least, now, ordinary_room(self.limit))):
            return Grant(amount=0, wait=wait)
        return self._own.settle(replace(report, limit=self.limit // OWN_PART, told=0))

    def _give_back(self) -> None:
        """Part with what is left of our share: it is told with the next one."""
        if self._left:
            self._unused[self._slice] = self._unused.get(self._slice, 0) - self._left
            self._left = 0


def _minute_of(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)


class _Budgets:
    """What one process may use at one address of the exchange."""

    def __init__(self) -> None:
        self.weight = Budget(WEIGHT_A_MINUTE)
        self.orders: dict[str, Budget] = {}
        self.orders_a_minute = ORDERS_A_MINUTE


class _Process:
    """Stands for all connections that nobody handed in."""


_PROCESS = _Process()
_BUDGETS: WeakKeyDictionary[object, dict[str, _Budgets]] = WeakKeyDictionary()


def weight_budget(base_url: str, transport: httpx.AsyncBaseTransport | None) -> Budget:
    """Return the process's budget of request weight at *base_url*. A transport that was handed in has its own."""
    return _budgets(base_url, transport).weight


def order_budget(base_url: str, transport: httpx.AsyncBaseTransport | None, signer: str) -> Budget:
    """Return the process's budget of orders for the account that *signer* signs for."""
    budgets = _budgets(base_url, transport)
    return budgets.orders.setdefault(signer, Budget(budgets.orders_a_minute))


def learn_limits(base_url: str, transport: httpx.AsyncBaseTransport | None, payload: Any) -> None:
    """Take the exchange's word for what it allows, if *payload* is its `exchangeInfo`."""
    budgets, limits = _budgets(base_url, transport), read_limits(payload)
    budgets.weight.limit = limits.get("REQUEST_WEIGHT", budgets.weight.limit)
    budgets.orders_a_minute = limits.get("ORDERS", budgets.orders_a_minute)
    for budget in budgets.orders.values():
        budget.limit = budgets.orders_a_minute


def read_limits(payload: Any) -> dict[str, int]:
    """Return what `exchangeInfo` says is allowed in a minute, by its name for it; nothing of any other payload."""
    rows = payload.get("rateLimits") if isinstance(payload, dict) else None
    found = {}
    for row in rows if isinstance(rows, list) else ():
        known = isinstance(row, dict) and (row.get("interval"), row.get("intervalNum")) == ("MINUTE", 1)
        if known and type(row.get("limit")) is int and row["limit"] > 0:
            found[str(row.get("rateLimitType"))] = row["limit"]
    return found


def _budgets(base_url: str, transport: httpx.AsyncBaseTransport | None) -> _Budgets:
    return _BUDGETS.setdefault(transport or _PROCESS, {}).setdefault(base_url.rstrip("/"), _Budgets())
