"""
How an account's models have been answering, and what follows from it.

An account whose models fail cycle after cycle only manages what is open: nothing is asked in most cycles, so nothing
opens, and stops, targets and exit plans do their work without a model. It still asks now and then, and one usable
answer ends it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

LONGEST_SILENCE = timedelta(days=1)
"""Whatever a service says, it is asked again after so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHealth:
    """`failures` counts cycles in a row without a usable answer. `reason` says why the account only manages."""

    failures: int = 0
    manage_only_since: datetime | None = None
    reason: str = ""
    asks_again_at: datetime | None = None

    def may_ask(self, now: datetime) -> bool:
        """Say whether a model is to be asked at *now*."""
        return self.asks_again_at is None or now >= self.asks_again_at

    def failed(self, why: str, now: datetime, *, allowed: int, asks_again_after: timedelta) -> "ModelHealth":
        """Return the health after one more cycle without a usable answer."""
        failures = self.failures + 1
        if failures < allowed:
            return replace(self, failures=failures)
        reason = f"{failures} cycles in a row without a usable answer, the last: {why}"
        return self._managing(now, reason, now + asks_again_after, failures)

    def closed(self, why: str, now: datetime, *, until: datetime | None, asks_again_after: timedelta) -> "ModelHealth":
        """Return the health after a service turned us away: not asked before it said it may let us in."""
        again = now + asks_again_after if until is None or until <= now else min(until, now + LONGEST_SILENCE)
        return self._managing(now, why, again, self.failures + 1)

    def spent(self, why: str, now: datetime) -> "ModelHealth":
        """Return the health after the day's budget did not allow a question: every cycle looks whether it does."""
        return self._managing(now, why, None, self.failures)

    def _managing(self, now: datetime, reason: str, again: datetime | None, failures: int) -> "ModelHealth":
        return ModelHealth(
            failures=failures, manage_only_since=self.manage_only_since or now, reason=reason, asks_again_at=again
        )
