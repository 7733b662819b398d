"""
What the stages need from the database: a transaction with one small promise a noun, the right to write in it, and what
all our processes share.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from shared.domain.account import Account, AccountEntry, AccountStatus, Breaker, RiskLimits
from shared.domain.allowance import Grant, Report
from shared.domain.authority import Change, Terms
from shared.domain.breakers import BreakerState, Trip
from shared.domain.candle_defects import CandleDefect, KeptDefect
from shared.domain.cycle import Duty, Stage, StageRequest, StageResult
from shared.domain.decision import Answer, ExitPlan
from shared.domain.expenses import Expenses
from shared.domain.market import Candle, CandleWindow, Series, Span
from shared.domain.model import ModelCall, PromptVersion, Purpose
from shared.domain.model_health import ModelHealth
from shared.domain.opinion import Answerer, ModelScore, Opinion, Unscored
from shared.domain.order import Fill, Income, IncomeKind, Intent, Order, OrdersAround, VenueOrder
from shared.domain.outcome import Proposal, Score
from shared.domain.owner import Owner, Wallet
from shared.domain.performance import Combined, EquityPoint, Standing
from shared.domain.position import Direction, Modes, Position, Sighting
from shared.domain.protection import NakedSpell
from shared.domain.reconciliation import Discrepancy, Reconciled
from shared.domain.record import DecisionRecord, RecordId, StoredRecord
from shared.domain.risk import Activity, Review, ReviewedDecision
from shared.domain.round_trip import Ending
from shared.domain.rules import Exit
from shared.domain.snapshot import Snapshot
from shared.domain.stop import Stop


class Accounts(Protocol):
    """The accounts table."""

    async def get(self, account_id: str) -> Account:
        """Return the account. Raises UnknownAccount."""
        ...

    async def all(self) -> Sequence[Account]:
        """Return every account that was not removed, by id."""
        ...

    async def entries(self) -> Sequence[AccountEntry]:
        """Return what was said of each account over the API, those that were removed among them."""
        ...

    async def say(self, account_id: str, said: Mapping[str, Any], version: int) -> bool:
        """Store what is said of the account in place of *version*; False where that is not the newest any more."""
        ...

    async def add(self, account: Account, said: Mapping[str, Any]) -> bool:
        """Store a new account, or take over one that was removed or nobody configures; False where there is one."""
        ...

    async def remove(self, account_id: str, at: datetime) -> None:
        """Have the account run no more; its history stays. Raises UnknownAccount."""
        ...

    async def configure(self, accounts: Sequence[Account]) -> None:
        """Insert or update what configuration says; an existing account keeps its status."""
        ...

    async def set_status(self, account_id: str, status: AccountStatus, reason: str) -> None:
        """Change the status; one made active trades in whatever modes it is found. Raises UnknownAccount."""
        ...

    async def reason(self, account_id: str) -> str:
        """Return why the account has the status that it has; empty where nobody said."""
        ...

    async def sighting(self, account_id: str) -> Sighting:
        """Return what is known of the account before it is looked at."""
        ...

    async def remember_modes(self, account_id: str, modes: Modes) -> None:
        """Store how the account holds positions."""
        ...


class Stages(Protocol):
    """The record of stage runs and the lease that lets one copy act."""

    async def look(self, stage: Stage, request: StageRequest) -> tuple[Account, StageResult | None]:
        """Return the account, and what the stage did for that cycle, marked as repeated; None when it has not finished.

        Raises UnknownAccount.
        """
        ...

    async def latest_tick(self, account_id: str) -> datetime | None:
        """Return the newest tick whose cycle came to its end, which is to be reconciled."""
        ...

    async def take_lease(self, account_id: str, holder: str, seconds: float, duty: Duty = Duty.ACT) -> int:
        """Return a fencing number larger than every earlier one of that duty. Raises StageBusy while a lease runs."""
        ...

    async def renew_lease(self, account_id: str, fence: int, seconds: float, duty: Duty = Duty.ACT) -> None:
        """Let the lease last for *seconds* from now, if it still runs and is ours: one given back stays given back."""
        ...

    async def release_lease(self, account_id: str, fence: int, duty: Duty = Duty.ACT) -> None:
        """Give the lease back if it is still ours."""
        ...

    async def give_back(self, lease: "Lease") -> None:
        """Give *lease* back when this transaction ends, and let nobody take it before.

        Raises LeaseLost when somebody has taken it already.
        """
        ...

    async def revoke_lease(self, account_id: str, duty: Duty = Duty.ACT) -> None:
        """Take the lease from whoever holds it: that copy writes no more, and anybody may take it at once."""
        ...

    async def finish(self, result: StageResult, *, started_at: datetime, finished_at: datetime) -> None:
        """Store the result. Part of the transaction that writes what the result tells of."""
        ...


class Candles(Protocol):
    """Candles, shared by all accounts."""

    async def holes(self, wanted: Mapping[Series, Span]) -> Mapping[Series, Sequence[Span]]:
        """Return what is not stored within each span, oldest first; a series that is whole is left out."""
        ...

    async def began(self, series: Iterable[Series]) -> Mapping[Series, datetime]:
        """Return when the first stored candle of each series opened; nothing for one that has none."""
        ...

    async def save(self, found: Mapping[Series, Sequence[Candle]]) -> Sequence[CandleDefect]:
        """Insert or correct candles, and return the corrections: what was stored already, and otherwise."""
        ...

    async def windows(self, series: Iterable[Series], *, before: datetime, count: int) -> Sequence[CandleWindow]:
        """Return the last *count* candles of each series that opened before then. An empty window where none are."""
        ...


class CandleDefects(Protocol):
    """What was wrong with candles, and what the exchange was asked for in vain."""

    async def save(self, defects: Iterable[CandleDefect], at: datetime) -> None:
        """Record what was seen; a defect seen before is counted once more."""
        ...

    async def absent(self, series: Iterable[Series], at: datetime) -> Mapping[Series, Sequence[Span]]:
        """Return what the exchange said it does not have, so lately that it need not be asked again."""
        ...

    async def settle(self, asked_in_vain: Mapping[Series, Sequence[Span]], at: datetime) -> Sequence[CandleDefect]:
        """Record what the exchange does not have of each series, and that it has by now what else was missing there.

        Returns the gaps that are new.
        """
        ...

    async def recent(self, series: Iterable[Series], limit: int) -> Sequence[KeptDefect]:
        """Return the defects that were seen last, newest first."""
        ...


class Snapshots(Protocol):
    """What each decision was made from."""

    async def save(self, snapshot: Snapshot) -> None:
        """Store the snapshot of a cycle."""
        ...

    async def get(self, request: StageRequest) -> Snapshot | None:
        """Return the snapshot of a cycle."""
        ...

    async def latest_tick(self, account_id: str) -> datetime | None:
        """Return the tick of the account's newest snapshot."""
        ...


class ModelCalls(Protocol):
    """Every question to a model."""

    async def save(self, request: StageRequest, calls: Sequence[ModelCall]) -> None:
        """Store calls of a cycle."""
        ...

    async def of_cycle(self, request: StageRequest) -> Sequence[ModelCall]:
        """Return the calls that a cycle's decision came from, in the order they were made: no shadow's, no replay's."""
        ...

    async def spent(self, account_id: str, day: date, purpose: Purpose) -> Decimal:
        """Return what calls of that purpose have cost within a UTC day, in USD."""
        ...


class ModelSpending(Protocol):
    """What the account's models have cost within a UTC day, and what is set aside for questions still open. USD."""

    async def reserve(self, account_id: str, day: date, amount: Decimal, budget: Decimal | None) -> bool:
        """Set *amount* aside unless the day would come to more than *budget*; say whether it was."""
        ...

    async def settle(self, account_id: str, day: date, reserved: Decimal, cost: Decimal) -> None:
        """Book *cost* in place of what was *reserved*."""
        ...


class ModelHealths(Protocol):
    """How the accounts' models have been answering."""

    async def get(self, account_id: str) -> ModelHealth:
        """Return it; a sound one where nothing is known."""
        ...

    async def save(self, account_id: str, health: ModelHealth) -> None:
        """Store it."""
        """Return the calls that a cycle was decided by, in the order they were made."""
        ...


class Decisions(Protocol):
    """Decisions, each with its review."""

    async def save(self, request: StageRequest, reviewed: Sequence[ReviewedDecision], answer: Answer | None) -> None:
        """Store decisions with their reviews, and the items that could not be read."""
        ...

    async def of_cycle(self, request: StageRequest) -> Sequence[ReviewedDecision]:
        """Return the decisions of a cycle in the order of the answer."""
        ...

    async def recent(
        self, account_id: str, limit: int, *, before: datetime
    ) -> Sequence[tuple[datetime, ReviewedDecision]]:
        """Return the latest decisions *before* that tick that were no plain holds, with their ticks, newest first."""
        ...

    async def activity(self, account_id: str, since: datetime) -> Activity:
        """Return what was approved for ticks since then, and where the fate of an order is not known."""
        ...

    async def plans(
        self, account_id: str, symbols: Sequence[str]
    ) -> Mapping[tuple[str, Direction], tuple[datetime, ExitPlan, Review]]:
        """Return, per symbol and direction, since when a position has its exit plan, the plan, and the latest review.

        The plan is that of the latest entry that filled and did not only add to a position without saying a plan. The
        review is that of the latest approved entry: its stop and target rest whether it filled or not. A position that
        no order of ours opened has none.
        """
        ...


class Records(Protocol):
    """What decisions saw and said, kept so that nobody can change it unnoticed."""

    async def save(self, record: DecisionRecord) -> str:
        """Store the record of a cycle and return its name."""
        ...

    async def find(self, wanted: RecordId) -> tuple[StageRequest, StoredRecord]:
        """Return the cycle that is meant, and what is kept of it. Raises UnknownRecord, and RecordBroken."""
        ...

    async def get(self, wanted: RecordId) -> DecisionRecord:
        """Return the record that is meant, once every part proved to be as written. Raises as `find` does."""
        ...

    async def keep_prompt(self, prompt: PromptVersion) -> None:
        """Store the text of a template."""
        ...

    async def prompt(self, version: str) -> PromptVersion | None:
        """Return the template that had that version."""
        ...


class Opinions(Protocol):
    """What each model made of each cycle, and how the entries among it would have ended."""

    async def claim(self, request: StageRequest, answerer: Answerer, purpose: Purpose, at: datetime) -> bool:
        """Say that the model is about to be asked; False when it was already, or decided the cycle itself."""
        ...

    async def save(
        self,
        request: StageRequest,
        answerer: Answerer,
        opinion: Opinion,
        entries: Mapping[str, tuple[Proposal, bool]],
        *,
        purpose: Purpose,
        at: datetime,
    ) -> None:
        """Store what became of the question, claimed or not, and the entries, each with whether risk let it pass."""
        ...

    async def unscored(self, account_id: str, at: datetime, limit: int) -> Sequence[Unscored]:
        """Return entries whose time has passed by then and that have no score, oldest first."""
        ...

    async def set_score(self, scored: Unscored, score: Score) -> None:
        """Store what became of an entry."""
        ...

    async def compare(
        self, *, account_id: str | None, since: datetime | None, until: datetime | None
    ) -> Sequence[ModelScore]:
        """Return how each model and prompt version has done, by account."""
        ...


class Orders(Protocol):
    """Orders as we believe them to be. The exchange has the last word."""

    async def promise(self, intents: Sequence[Intent], at: datetime) -> None:
        """Record intents as INTENDED at that time. One that stands already is left as it is."""
        ...

    async def of_cycle(self, request: StageRequest) -> Sequence[Order]:
        """Return the orders of a cycle, oldest first."""
        ...

    async def alive(self, account_id: str) -> Sequence[Order]:
        """Return the orders that rest at the exchange, or may, oldest first."""
        ...

    async def save(self, orders: Sequence[Order]) -> None:
        """Update state, executed quantity, average price, venue id, reason and sending time."""
        ...

    async def adopt(self, account_id: str, orders: Sequence[VenueOrder], at: datetime) -> Sequence[Order]:
        """Record orders that the exchange has and we had not, with the leg that their names tell.

        Those known already get the state that the exchange tells, unless we know better, as `order_after` says. Return
        those that this changed, as they now stand.
        """
        ...

    async def named(self, account_id: str, client_order_id: str) -> Order | None:
        """Return the order of that name."""
        ...

    async def around(self, request: StageRequest) -> OrdersAround:
        """Return the orders that concern a cycle."""
        ...

    async def fired(self, account_id: str, symbols: Collection[str]) -> frozenset[tuple[str, Direction]]:
        """Return symbol and direction of which the last stop that the exchange took has expired."""
        ...

    async def known(self, account_id: str, venue_order_ids: Sequence[int]) -> frozenset[int]:
        """Return those of the exchange's order ids that we have a row for."""
        ...


class Fills(Protocol):
    """Trades, each counted once."""

    async def last_trade_ids(self, account_id: str) -> Mapping[str, int]:
        """Return the largest known trade id per symbol."""
        ...

    async def save(self, account_id: str, fills: Sequence[Fill]) -> Sequence[Fill]:
        """Store trades; return those that were new."""
        ...

    async def endings(self, account_id: str, fills: Sequence[Fill]) -> Sequence[Ending]:
        """Return the positions that those trades, which were just stored, have ended, oldest first."""
        ...

    async def recent(self, account_id: str, limit: int, *, before: datetime) -> Sequence[Fill]:
        """Return the latest trades *before* that moment, newest first."""
        ...

    async def last_moves(self, account_id: str, since: datetime) -> tuple[Mapping[str, Exit], Mapping[str, datetime]]:
        """Return the last trades since then, by symbol: those that reduced a position, and when one opened or added."""
        ...


class Incomes(Protocol):
    """Changes of the wallet that no trade tells: funding, transfers and the rest."""

    async def save(self, account_id: str, incomes: Sequence[Income]) -> Sequence[Income]:
        """Store rows; return those that were new."""
        ...

    async def keys_since(self, account_id: str, since: datetime) -> frozenset[tuple[IncomeKind, str]]:
        """Return (kind, transaction id) of the rows stored since then: what names a row at the exchange."""
        ...


class ExpenseBooks(Protocol):
    """What accounts have paid, out of the books."""

    async def paid(self, account_id: str, day: datetime) -> Expenses:
        """Return what the account has paid since *day* began, and in all."""
        ...


class Holds(Protocol):
    """Positions and equity as last reported by the exchange."""

    async def positions(self, account_id: str) -> Sequence[Position]:
        """Return the open positions of the last reconciliation."""
        ...

    async def replace_positions(
        self,
        account_id: str,
        positions: Sequence[Position],
        at: datetime,
        *,
        adopted: Collection[tuple[str, Direction]] = (),
    ) -> None:
        """Make these the open positions; *adopted* names those that no order of ours opened."""
        ...

    async def reconciled(self, account_id: str) -> Reconciled | None:
        """Return how the account stood when it was last reconciled; None before the first time."""
        ...

    async def add_equity(self, account_id: str, point: EquityPoint) -> None:
        """Add a point to the equity curve; a second one of the same time replaces the first."""
        ...

    async def last_equity(self, account_id: str) -> EquityPoint | None:
        """Return the newest point."""
        ...

    async def last_sound(self, account_id: str) -> EquityPoint | None:
        """Return the newest point up to which the books add up: nothing of it is unexplained."""
        ...

    async def standings(
        self, account_id: str, day: datetime, since: datetime | None, *, alive_since: datetime
    ) -> tuple[Standing | None, Combined | None]:
        """Return how the account stands, and all others together, by what they were *day* and *since*.

        Those that were not reconciled since *alive_since* are left out of the others: nobody trades them. None where
        nothing was ever recorded.
        """
        ...


class NakedSpells(Protocol):
    """When positions stood without a stop."""

    async def add(self, account_id: str, spells: Sequence[NakedSpell]) -> None:
        """Record spells. One that stands still is not begun anew."""
        ...

    async def stand(self, account_id: str, naked: Mapping[tuple[str, Direction], datetime], at: datetime) -> None:
        """Let these be the positions that are naked at *at*, each since then; the spell of any other has ended."""
        ...


class Breakers(Protocol):
    """What stops an account, and what counts towards that."""

    async def standing(self, account_id: str, now: datetime) -> Sequence[Trip]:
        """Return the breakers that stand, the first tripped first."""
        ...

    async def trip(self, account_id: str, trips: Sequence[Trip]) -> None:
        """Record that they were tripped."""
        ...

    async def expire(self, account_id: str, now: datetime) -> Sequence[Breaker]:
        """Record which of them time has lifted, and return those that it had not been recorded of."""
        ...

    async def lift(self, account_id: str, now: datetime) -> Sequence[Breaker]:
        """Lift all that stand, and return them."""
        ...

    async def state(self, account_id: str, now: datetime) -> BreakerState:
        """Return which breakers stand *now*, and when the others were lifted."""
        ...

    async def in_a_row(
        self, account_id: str, limits: RiskLimits, lifted: Mapping[Breaker, datetime]
    ) -> tuple[int, int, int]:
        """Return how many, one after the other and since its breaker was *lifted*, up to its limit.

        Of the last exits those that lost, fees included; of the last cycles those in which a model was asked and gave
        no usable answer; of the last entries those that the exchange refused.
        """
        ...


class Changes(Protocol):
    """What is to be allowed to accounts and is not yet."""

    async def settle(self, wanted: Sequence[Account], by: str, now: datetime, terms: Terms) -> Sequence[Change]:
        """Configure the accounts as far as that allows them no more than now; return the changes that are to wait.

        A change that waits already, and for no less, keeps its time. One that is wanted no more waits no longer.
        """
        ...

    async def pending(self, account_id: str | None = None) -> Sequence[Change]:
        """Return the changes that wait, of one account or of all, oldest first."""
        ...

    async def get(self, change_id: int) -> Change | None:
        """Return a change, whatever became of it."""
        ...

    async def speak(self, change_id: int, who: str) -> Sequence[str]:
        """Add a word for a change that waits; return who is for it."""
        ...

    async def apply(self, change: Change, by: str, now: datetime, terms: Terms) -> Account:
        """Put a change that waits in force and return the account as it is from now on."""
        ...

    async def withdraw(self, change_id: int, by: str, now: datetime) -> None:
        """Have a change wait no longer."""
        ...


class Stops(Protocol):
    """Emergency stops, one an account, from when it is asked for until a person arms the account again."""

    async def ask(self, account_id: str, by: str, at: datetime) -> bool:
        """Have the account stopped; False where that is under way already. One that is over begins anew."""
        ...

    async def get(self, account_id: str) -> Stop | None:
        """Return the stop in force."""
        ...

    async def unfinished(self) -> Sequence[Stop]:
        """Return the stops that have left something, by account."""
        ...

    async def note(self, account_id: str, left: Sequence[str], at: datetime) -> None:
        """Record what is left; nothing, and the stop is over."""
        ...

    async def rearm(self, account_id: str, at: datetime) -> None:
        """Lift the stop."""
        ...


class Errands(Protocol):
    """What people had done by hand, each named by a key of theirs."""

    async def moment(self, account_id: str, key: str, at: datetime) -> datetime:
        """Return the moment that names the errand: that of its first time, or one at or just before *at*.

        No other errand of the account has it, nor has an order, so that the errand's client order ids are its own.
        """
        ...


class Journal(Protocol):
    """What happened, for people and for streams: written in the transaction of the change it tells of."""

    async def event(self, account_id: str, kind: str, at: datetime, body: Mapping[str, Any]) -> None:
        """Add to the outbox."""
        ...

    async def diary(self, account_id: str, tick: datetime, at: datetime, text: str, body: Mapping[str, Any]) -> None:
        """Add a line to the trading diary."""
        ...

    async def discrepancies(self, account_id: str, at: datetime, found: Sequence[Discrepancy]) -> None:
        """Record how ours and theirs differed and what was done."""
        ...


class Owners(Protocol):
    """Whose books these are, from the first time that somebody was to write into them."""

    async def get(self) -> Owner | None:
        """Return the exchange that the database belongs to."""
        ...

    async def claim(self, exchange: Owner) -> Owner:
        """Have the database belong to that exchange unless it belongs to one; return the one that it belongs to."""
        ...

    async def wallet(self, account_id: str) -> Wallet | None:
        """Return the wallet that the account's books are of."""
        ...

    async def keep_wallet(self, account_id: str, wallet: Wallet) -> None:
        """Remember the wallet that the account's books are of, and its key. Raises UnknownAccount."""
        ...


class Work(Protocol):
    """One transaction: everything written through it is committed together, or nothing is."""

    accounts: Accounts
    stages: Stages
    candles: Candles
    candle_defects: CandleDefects
    snapshots: Snapshots
    model_calls: ModelCalls
    model_spending: ModelSpending
    model_health: ModelHealths
    decisions: Decisions
    records: Records
    opinions: Opinions
    orders: Orders
    fills: Fills
    incomes: Incomes
    expenses: ExpenseBooks
    holds: Holds
    naked: NakedSpells
    breakers: Breakers
    changes: Changes
    stops: Stops
    errands: Errands
    owners: Owners
    journal: Journal


class Lease(Protocol):
    """The right to write for an account, as long as nobody took it over."""

    @property
    def account_id(self) -> str:
        """The account."""
        ...

    @property
    def fence(self) -> int:
        """The fencing number."""
        ...

    @property
    def duty(self) -> Duty:
        """What it gives the right to."""
        ...


class OpenWork(Protocol):
    """Begins a transaction; leaving the block commits it, an exception rolls it back."""

    def __call__(self, lease: Lease | None = None) -> AbstractAsyncContextManager[Work]:
        """Begin. With a *lease*, raises LeaseLost unless it still holds; the check is part of the transaction."""
        ...


class Allowances(Protocol):
    """The exchange's limits as all our processes share them, each under a name. Raises DatabaseUnavailable."""

    async def settle(self, name: str, report: Report) -> Grant:
        """Take *report* to the account of that limit and return what it is granted."""
        ...


class Lanes(Protocol):
    """The lanes of nonces. Each is one process's alone as long as it holds it. Raises DatabaseUnavailable."""

    async def take(self, holder: str) -> int:
        """Return a lane that nobody has held lately, and hold it for LANE_SECONDS."""
        ...

    async def keep(self, lane: int, holder: str) -> bool:
        """Hold the lane for another LANE_SECONDS; False when it is no longer that holder's."""
        ...

    async def leave(self, lane: int, holder: str) -> None:
        """Let others have the lane, after a rest."""
        ...
