"""
The roster: which accounts there are, as the configuration and the API have it, and as they are in force.

Every process keeps one and follows it by asking the database, which costs one short transaction. A change that cannot
be followed here, because a variable that it names is not set, leaves the account as it was here and touches no other.
What an account may do is what the database says; keys and templates are this process's own.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.accounts import (
    ConfiguredAccount,
    Entry,
    amended_entry,
    configured_accounts,
    configured_entries,
    made_account,
    require_one_account_a_key,
)
from shared.domain.account import Account, AccountEntry, AccountStatus
from shared.domain.authority import CONFIGURATION, ENOUGH_WORDS, NO_AUTHORITY, Change
from shared.domain.work import Work
from shared.settings import Settings, SettingsError

log = logging.getLogger("perpetua.app")


class Roster:
    """The accounts of one process, by id. Those of the configuration, until it is told what was said since."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError."""
        self._settings = settings
        self._configured: Mapping[str, Entry] = configured_entries(settings)
        self.accounts: Mapping[str, ConfiguredAccount] = configured_accounts(settings)
        self._entries: Sequence[AccountEntry] = ()
        self._in_force: Sequence[Account] = ()

    async def record(self, work: Work, now: datetime) -> None:
        """Bring the accounts table up to the configuration, as far as that allows nobody more at once."""
        entries = await work.accounts.entries()
        self.accounts = self._made(entries)
        wanted = [found.account for found in self.accounts.values()]
        await propose(work, wanted, CONFIGURATION, now, self._settings)
        await self.follow(work, now)

    async def follow(self, work: Work, now: datetime) -> bool:
        """Put in force what is due, take over what was said since, and return whether anything is different."""
        await put_in_force(work, now, self._settings)
        entries, in_force = await work.accounts.entries(), await work.accounts.all()
        if (entries, in_force) == (self._entries, self._in_force):
            return False
        made = self._made(entries)
        allowed = {account.id: account for account in in_force}
        self.accounts = {
            account_id: replace(found, account=replace(allowed[account_id], status=found.account.status))
            for account_id, found in made.items()
            if account_id in allowed
        }
        self._entries, self._in_force = entries, in_force
        return True

    def amended(self, account_id: str, said: Mapping[str, Any]) -> ConfiguredAccount:
        """Return the account as it would be if that were said of it. Raises SettingsError, a line for each problem."""
        found = made_account(amended_entry(account_id, self._configured.get(account_id), said), self._settings)
        require_one_account_a_key([*(each for each in self.accounts.values() if each.account.id != account_id), found])
        return found

    def configures(self, account_id: str) -> bool:
        """Return whether the configuration names the account."""
        return account_id in self._configured

    def _made(self, entries: Iterable[AccountEntry]) -> dict[str, ConfiguredAccount]:
        known = {entry.account_id: entry for entry in entries}
        made: dict[str, ConfiguredAccount] = {}
        for account_id in (*self._configured, *(each for each in known if each not in self._configured)):
            entry = known.get(account_id)
            if entry and entry.removed:
                continue
            if account_id not in self._configured and not (entry and entry.said):
                continue  # of another process's configuration, or of an earlier one
            try:
                found = made_account(
                    amended_entry(account_id, self._configured.get(account_id), entry.said if entry else {}),
                    self._settings,
                )
                require_one_account_a_key([*made.values(), found])
                made[account_id] = found
            except SettingsError as exc:
                log.warning("account not followed here", extra={"account": account_id, "why": str(exc)})
                if account_id in self.accounts:
                    made[account_id] = self.accounts[account_id]
        return made


async def propose(
    work: Work, wanted: Sequence[Account], by: str, now: datetime, settings: Settings
) -> Sequence[Change]:
    """Configure accounts on the terms of the settings, and tell of what has to wait."""
    before = {change.id for change in await work.changes.pending()} if settings.terms.delay else set()
    waits = await work.changes.settle(wanted, by, now, settings.terms)
    for change in waits:
        if change.id not in before:
            body = {"change": change.id, "raises": list(change.raises), "by": by, "due": change.due_at.isoformat()}
            await work.journal.event(change.account_id, "change_proposed", now, body)
    return waits


async def put_in_force(work: Work, now: datetime, settings: Settings) -> None:
    """Put in force what has waited long enough."""
    if settings.terms.delay:
        for change in await work.changes.pending():
            if change.due_at <= now:
                await apply(work, change, "time", now, settings)


async def approve(work: Work, change: Change, who: str, now: datetime, settings: Settings) -> bool:
    """Add a word for a change, and put it in force if that is enough; return whether it was."""
    words = await work.changes.speak(change.id, who)
    await work.journal.event(change.account_id, "change_approved", now, {"change": change.id, "by": who})
    if len(words) < ENOUGH_WORDS:
        return False
    await apply(work, change, " and ".join(words), now, settings)
    return True


async def withdraw(work: Work, change: Change, who: str, now: datetime) -> None:
    """Have a change wait no longer, and tell of it."""
    await work.changes.withdraw(change.id, who, now)
    await work.journal.event(change.account_id, "change_withdrawn", now, {"change": change.id, "by": who})


async def apply(work: Work, change: Change, by: str, now: datetime, settings: Settings) -> None:
    """Put a change in force. An account that was paused for want of authority trades again."""
    current = await work.changes.get(change.id)
    if current is None or current.state is not change.state:
        return  # another process was faster
    account = await work.changes.apply(current, by, now, settings.terms)
    until = account.authority_until.isoformat() if account.authority_until else None
    body = {"change": change.id, "raises": list(current.raises), "by": by, "authority_until": until}
    await work.journal.event(account.id, "change_in_force", now, body)
    words = f"in force: {'; '.join(current.raises)} ({by})"
    await work.journal.diary(account.id, now, now, words, body)
    if account.status is AccountStatus.PAUSED and account.may_trade(now):
        reason = await work.accounts.reason(account.id)
        if reason.startswith(NO_AUTHORITY):
            await work.accounts.set_status(account.id, AccountStatus.ACTIVE, words)
