"""
What a process counts of what leaves no row behind: requests to the exchange, stages that failed.

Counts are kept in memory and written down at the end of each stage, in one statement. A process that dies before that
takes with it what it counted since.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted: its name, whose it is (None: the house's), of what and with which outcome."""

    name: str
    account_id: str | None = None
    subject: str = ""
    outcome: str = ""


class Tally:
    """What this process has counted and not written down yet."""

    def __init__(self) -> None:
        self._counts: Counter[Counted] = Counter()

    def count(self, what: Counted, times: int = 1) -> None:
        """Add to what was counted."""
        self._counts[what] += times

    def take(self) -> Mapping[Counted, int]:
        """Return what was counted since the last call, to be written down by whoever takes it."""
        taken, self._counts = self._counts, Counter()
        return taken

    def put_back(self, counts: Mapping[Counted, int]) -> None:
        """Take back what could not be written down."""
        self._counts.update(counts)


def outcome_of(failure: BaseException) -> str:
    """Return the failure's name as a label: `rate_limited` for RateLimited."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(failure).__name__).lower()
