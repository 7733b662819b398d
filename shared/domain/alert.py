"""
What a person must know at once, and the rules that find it.

The rules look at how things stand, not at what has just happened: whoever looks, and however often, finds the same. An
alert stands as long as its rule finds it, and is one alert all that time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from shared.domain.account import AccountStatus
from shared.domain.authority import NO_AUTHORITY
from shared.domain.cycle import tick_at
from shared.domain.reconciliation import Difference
from shared.domain.stop import EMERGENCY_STOP

TOLD_FOR = timedelta(hours=1)
"""So long what has happened, and cannot be undone, stands as an alert."""

ALL_BUT_SPENT = Decimal("0.95")
"""Of a budget: what is left then is hardly enough for a question."""

MOST_MISSED = 1
"""Ticks that may go by unserved: a cycle serves its tick until the next one comes."""

UNRESOLVED_PATIENCE = timedelta(minutes=5)
"""The fate of an order is known when the exchange's window has closed, and a look has been taken since."""

HELD_BACK_PATIENCE = timedelta(minutes=1)
"""For a transaction that keeps later events from readers: none of ours takes a second."""


class AlertKind(StrEnum):
    """What is the matter."""

    ACCOUNT_HALTED = "account_halted"
    NO_AUTHORITY = "no_authority"
    BREAKER_TRIPPED = "breaker_tripped"
    POSITION_NAKED = "position_naked"
    CYCLES_MISSED = "cycles_missed"
    BUDGET_SPENT = "budget_spent"
    EXCHANGE_DOWN = "exchange_down"
    EXCHANGE_CLOSED = "exchange_closed"
    MODELS_DOWN = "models_down"
    LIQUIDATION = "liquidation"
    WALLET_UNEXPLAINED = "wallet_unexplained"
    ORDER_UNRESOLVED = "order_unresolved"
    EVENTS_HELD_BACK = "events_held_back"
    DATABASE_DOWN = "database_down"
    """Told past the queue, which is in the database."""
    TEST = "test"


class Severity(StrEnum):
    """CRITICAL: money is at risk, or nobody is at work. WARNING: it will not mend itself soon."""

    CRITICAL = "critical"
    WARNING = "warning"


SEVERITY: Mapping[AlertKind, Severity] = {
    AlertKind.ACCOUNT_HALTED: Severity.CRITICAL,
    AlertKind.NO_AUTHORITY: Severity.WARNING,
    AlertKind.BREAKER_TRIPPED: Severity.WARNING,
    AlertKind.POSITION_NAKED: Severity.CRITICAL,
    AlertKind.CYCLES_MISSED: Severity.CRITICAL,
    AlertKind.BUDGET_SPENT: Severity.WARNING,
    AlertKind.EXCHANGE_DOWN: Severity.CRITICAL,
    AlertKind.EXCHANGE_CLOSED: Severity.WARNING,
    AlertKind.MODELS_DOWN: Severity.WARNING,
    AlertKind.LIQUIDATION: Severity.CRITICAL,
    AlertKind.WALLET_UNEXPLAINED: Severity.WARNING,
    AlertKind.ORDER_UNRESOLVED: Severity.CRITICAL,
    AlertKind.EVENTS_HELD_BACK: Severity.WARNING,
    AlertKind.DATABASE_DOWN: Severity.CRITICAL,
    AlertKind.TEST: Severity.WARNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One thing that is the matter. Kind, account (None: the house) and subject name it while it lasts."""

    kind: AlertKind
    account_id: str | None = None
    subject: str = ""
    text: str

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return SEVERITY[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """How an account stands, as far as alerts go by it."""

    account_id: str
    status: AccountStatus
    status_reason: str
    interval: timedelta
    last_tick: datetime | None
    """Of the last cycle that came to its end; None before the first."""
    breakers: Mapping[str, str]
    """Those that stand, and why."""
    naked: Mapping[str, datetime]
    """The positions without a stop, and since when."""
    unresolved: Mapping[str, datetime]
    """The client ids of orders whose fate is unknown, and when each was sent."""
    spent: Decimal
    """USD on models today, with what is set aside for questions under way."""
    budget: Decimal | None
    manage_only_since: datetime | None
    manage_only_reason: str
    differences: Sequence[tuple[int, Difference, datetime, str]]
    """Those of TOLD_FOR that a person must know of: id, kind, when, and in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseFacts:
    """How the house stands."""

    exchange_answers: bool
    closed_until: datetime | None
    """Until when the exchange refuses everything that comes from our address."""
    held_back: timedelta
    """How long a running transaction has kept later events from readers."""


GRAVE = {
    Difference.LIQUIDATION: AlertKind.LIQUIDATION,
    Difference.DELEVERAGING: AlertKind.LIQUIDATION,
    Difference.WALLET_UNEXPLAINED: AlertKind.WALLET_UNEXPLAINED,
}
"""The differences that a person must know of at once."""


def alarms(
    accounts: Iterable[AccountFacts], house: HouseFacts, now: datetime, *, protection_deadline: timedelta
) -> list[Alarm]:
    """Return everything that is the matter at *now*."""
    found = [alarm for facts in accounts for alarm in _of_account(facts, now, protection_deadline)]
    return found + list(_of_the_house(house, now))


def _of_account(facts: AccountFacts, now: datetime, deadline: timedelta) -> Iterator[Alarm]:
    def alarm(kind: AlertKind, text: str, subject: str = "") -> Alarm:
        return Alarm(kind=kind, account_id=facts.account_id, subject=subject, text=text)

    if facts.status is AccountStatus.HALTED:
        again = "armed again" if facts.status_reason.startswith(EMERGENCY_STOP) else "resumed"
        yield alarm(AlertKind.ACCOUNT_HALTED, f"halted: {facts.status_reason}; it opens nothing until it is {again}")
    if facts.status is AccountStatus.PAUSED and facts.status_reason.startswith(NO_AUTHORITY):
        yield alarm(AlertKind.NO_AUTHORITY, facts.status_reason)
    for breaker, reason in facts.breakers.items():
        yield alarm(AlertKind.BREAKER_TRIPPED, f"{breaker}: {reason}", breaker)
    for position, since in facts.naked.items():
        if now - since > deadline:
            yield alarm(AlertKind.POSITION_NAKED, f"{position} has stood without a stop since {_told(since)}", position)
    missed = missed_cycles(facts.last_tick, facts.interval, now)
    if missed > MOST_MISSED:
        yield alarm(AlertKind.CYCLES_MISSED, f"no cycle has come to its end since that of {_told(facts.last_tick)}")
    for client_order_id, sent_at in facts.unresolved.items():
        if now - sent_at > UNRESOLVED_PATIENCE:
            text = f"what became of order {client_order_id} is unknown since {_told(sent_at)}"
            yield alarm(AlertKind.ORDER_UNRESOLVED, text, client_order_id)
    if facts.budget is not None and facts.spent > 0 and facts.spent >= facts.budget * ALL_BUT_SPENT:
        text = (
            f"{facts.spent:f} of today's {facts.budget:f} USD for models are spent: soon only what is open is managed"
        )
        yield alarm(AlertKind.BUDGET_SPENT, text, now.date().isoformat())
    if facts.manage_only_since is not None:
        text = f"no model has answered since {_told(facts.manage_only_since)}: {facts.manage_only_reason}"
        yield alarm(AlertKind.MODELS_DOWN, text)
    for number, difference, at, text in facts.differences:
        if now - at <= TOLD_FOR:
            # What is not explained is one matter, however often it is seen.
            subject = "" if difference is Difference.WALLET_UNEXPLAINED else str(number)
            yield alarm(GRAVE[difference], text, subject)


def _of_the_house(facts: HouseFacts, now: datetime) -> Iterator[Alarm]:
    if not facts.exchange_answers:
        yield Alarm(kind=AlertKind.EXCHANGE_DOWN, text="the exchange does not answer")
    if facts.closed_until is not None and facts.closed_until > now:
        text = f"the exchange refuses us until {_told(facts.closed_until)}: too much was asked of it"
        yield Alarm(kind=AlertKind.EXCHANGE_CLOSED, text=text)
    if facts.held_back > HELD_BACK_PATIENCE:
        text = f"a transaction that runs for {facts.held_back.total_seconds():.0f} s keeps what happened from readers"
        yield Alarm(kind=AlertKind.EVENTS_HELD_BACK, text=text)


def missed_cycles(last_tick: datetime | None, interval: timedelta, now: datetime) -> int:
    """Return how many ticks have gone by unserved, the one that is to be served at *now* left out."""
    if last_tick is None:
        return 0
    return max(0, (tick_at(now, interval) - last_tick) // interval - 1)


def _told(moment: datetime | None) -> str:
    return "the beginning" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait with a message that failed *attempts* times: from seconds to an hour."""
    return min(timedelta(seconds=5 * (1 << min(attempts, 20))), timedelta(hours=1))
