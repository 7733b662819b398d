"""Authority: an account whose authority has ended, or that has none yet, only manages what is open, and says so."""

import logging
from dataclasses import replace
from datetime import datetime

from shared.domain.account import Account, AccountStatus
from shared.domain.authority import NEVER, NO_AUTHORITY
from shared.domain.work import Work

log = logging.getLogger("perpetua.trading")


async def mind_authority(work: Work, account: Account, now: datetime) -> Account:
    """Return the account as it may act: one that would trade and has no authority to is paused, and people are told."""
    if account.status is not AccountStatus.ACTIVE or account.may_trade(now):
        return account
    since = "yet" if account.authority_until in {None, NEVER} else f"since {account.authority_until:%Y-%m-%d %H:%M} UTC"
    reason = f"{NO_AUTHORITY} {since}: what is open is managed"
    for change in await work.changes.pending(account.id):
        reason += f"; change {change.id} waits until {change.due_at:%Y-%m-%d %H:%M} UTC or for a second person"
    await work.accounts.set_status(account.id, AccountStatus.PAUSED, reason)
    body = {"status": AccountStatus.PAUSED.value, "was": account.status.value, "reason": reason}
    await work.journal.event(account.id, "authority_ended", now, body)
    await work.journal.diary(account.id, now, now, reason, body)
    log.error("authority ended", extra={"account": account.id, "why": reason})
    return replace(account, status=AccountStatus.PAUSED)
