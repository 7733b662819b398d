"""
Configuring: accounts are added, changed and removed while everything runs.

What is said is checked as at start-up before anything is stored, and no later than that every process follows it. What
would allow an account more has to wait where the settings say so. A removed account runs no more; its history stays.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from functions.run import Run, hold
from shared.accounts import ConfiguredAccount, merged, require_sayable
from shared.domain.account import AccountEntry
from shared.domain.authority import NEVER, Change
from shared.domain.cycle import between_ticks
from shared.domain.errors import AccountChanged, AccountExists, NotFlat, UnknownAccount, VenueError
from shared.domain.order import Order
from shared.domain.work import Work
from shared.roster import propose
from shared.runtime import Runtime
from shared.settings import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What came of it: what has to wait, and what is odd about the models."""

    waits: tuple[Change, ...]
    warnings: tuple[str, ...]


async def add_account(runtime: Runtime, account_id: str, said: Mapping[str, Any], *, by: str) -> Configured:
    """Add an account. Raises AccountExists, SettingsError with a line a problem, VenueError, DatabaseUnavailable."""
    await runtime.follow_accounts()
    if account_id in runtime.accounts:
        raise AccountExists(f"there is an account {account_id} already")
    said = {"id": account_id, **merged({}, said)}
    found, warnings = await _checked(runtime, account_id, said)
    now = runtime.clock.now()
    async with runtime.open_work() as work:
        # It has no authority, and opens nothing, until the terms have given it some.
        delayed = runtime.settings.terms.delay > timedelta(0)
        new = replace(found.account, authority_until=NEVER) if delayed else found.account
        if not await work.accounts.add(new, said):
            raise AccountExists(f"there is an account {account_id} already")
        waits = await propose(work, [found.account], by, now, runtime.settings)
        await work.journal.event(account_id, "account_added", now, {"by": by, "said": said})
        await work.journal.diary(account_id, now, now, f"account added: {by}", {"said": said})
    await runtime.follow_accounts()
    return Configured(waits=tuple(waits), warnings=tuple(warnings))


async def change_account(
    runtime: Runtime, account_id: str, said: Mapping[str, Any], *, version: int, by: str
) -> Configured:
    """Say something else of an account that is at *version*; null takes back what was said before.

    Raises AccountChanged where it is at another, UnknownAccount, and what `add_account` does.
    """
    async with runtime.open_work() as work:
        entry = _entry(await work.accounts.entries(), account_id)
    await runtime.follow_accounts()
    before = entry.said
    if not before and not runtime.roster.configures(account_id):
        raise UnknownAccount(f"no account {account_id!r} is configured here")
    after = merged(before, said)
    found, warnings = await _checked(runtime, account_id, after)
    now = runtime.clock.now()
    async with runtime.open_work() as work:
        if not await work.accounts.say(account_id, after, version):
            newest = _entry(await work.accounts.entries(), account_id)
            raise AccountChanged(f"account {account_id} is at version {newest.version}, not {version}: look again")
        waits = await propose(work, [found.account], by, now, runtime.settings)
        await work.journal.event(account_id, "account_changed", now, {"by": by, "said": dict(said)})
        await work.journal.diary(account_id, now, now, f"account changed: {by}", {"said": dict(said)})
    await runtime.follow_accounts()
    return Configured(waits=tuple(waits), warnings=tuple(warnings))


async def remove_account(runtime: Runtime, account_id: str, *, by: str) -> None:
    """Remove an account that is flat and has nothing resting.

    Raises NotFlat, StageBusy, UnknownAccount, ForeignBooks, VenueError.
    """
    await runtime.require_time()
    await runtime.recognise(account_id)
    exchange, request = runtime.exchange(account_id), between_ticks(account_id, runtime.clock.now())

    async def in_doubt(work: Work, _: Run) -> list[Order]:
        return [order for order in await work.orders.alive(account_id) if order.state.unsettled]

    async with hold(request, in_doubt, open_work=runtime.open_work, clock=runtime.clock) as (run, doubtful):
        holdings, resting = await exchange.holdings(urgent=True), await exchange.all_orders()
        left = [
            *(f"{held.direction.value} {held.quantity:f} {held.symbol} is held" for held in holdings.positions),
            *(f"{order.client_order_id} rests in {order.symbol}" for order in resting),
            *(f"nobody knows yet what became of {order.client_order_id}" for order in doubtful),
        ]
        if left:
            raise NotFlat(f"account {account_id} is not flat: {'; '.join(left)}")
        now = runtime.clock.now()
        async with run.ending() as work:
            await work.accounts.remove(account_id, now)
            await work.stops.rearm(account_id, now)
            for change in await work.changes.pending(account_id):
                await work.changes.withdraw(change.id, by, now)
            await work.journal.event(account_id, "account_removed", now, {"by": by})
            await work.journal.diary(account_id, now, now, f"account removed: {by}", {})
    await runtime.follow_accounts()


async def _checked(
    runtime: Runtime, account_id: str, said: Mapping[str, Any]
) -> tuple[ConfiguredAccount, Sequence[str]]:
    require_sayable(said)
    try:
        found = runtime.roster.amended(account_id, said)
    except SettingsError as exc:
        lines = [str(exc)]
        with suppress(VenueError):  # whoever says something that cannot work is told all of it at once, if that can be
            named = said.get("symbols") or ()
            lines += await runtime.unlisted(account_id, [each.upper() for each in named if isinstance(each, str)])
        raise SettingsError("\n".join(lines)) from None
    await runtime.require_time()
    return found, await runtime.verify_account(found)


def _entry(entries: Sequence[AccountEntry], account_id: str) -> AccountEntry:
    for entry in entries:
        if entry.account_id == account_id and not entry.removed:
            return entry
    raise UnknownAccount(f"there is no account {account_id!r}")
