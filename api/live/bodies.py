"""
What the events of each kind tell: their bodies, as they go over the wire, and by which members each is known again.

Most are rows that told of themselves (see the migrations); the others are written where they happen. More kinds may
come.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from api.answers import Answer, Document, Number, Recorded, Time
from shared.domain.account import AccountStatus
from shared.domain.alert import AlertKind, Severity
from shared.domain.authority import ChangeKind, ChangeState
from shared.domain.cycle import Stage
from shared.domain.decision import Action
from shared.domain.model import Purpose
from shared.domain.order import Leg, OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.domain.reconciliation import Difference
from shared.domain.risk import Verdict
from shared.domain.round_trip import ExitReason

Wanted = Annotated[str | int | None, Field(description="As it was decided.")]


class Body(Answer):
    """What an event tells. Together with its account, `key` says what it is of: members of it, or of the event."""

    kinds: ClassVar[tuple[str, ...]]
    key: ClassVar[tuple[str, ...]] = ()


class OrderBody(Body):
    """An order, at every change. `was` is the state before, null when it is new."""

    kinds = ("order",)
    key = ("id",)

    id: int
    symbol: str
    leg: Leg
    attempt: int
    tick: Time | None
    client_order_id: str
    side: Side
    direction: Direction
    type: OrderType
    quantity: Number | None
    stop_price: Number | None
    reduce_only: bool
    state: OrderState
    venue_order_id: str | None
    executed_quantity: Number
    average_price: Number
    reason: str | None
    sent_at: Time | None
    was: OrderState | None


class FillBody(Body):
    """A trade."""

    kinds = ("fill",)
    key = ("symbol", "trade_id")

    symbol: str
    trade_id: str
    venue_order_id: str
    side: Side
    price: Number
    quantity: Number
    realized_pnl: Number
    commission: Number
    commission_asset: str
    maker: bool
    position_side: str | None


class PositionBody(Body):
    """A position, at each look at the exchange that finds it otherwise."""

    kinds = ("position_opened", "position_changed", "position_closed")
    key = ("symbol", "direction")

    symbol: str
    direction: Direction
    quantity: Number
    entry_price: Number
    mark_price: Number
    unrealized: Number
    leverage: int
    liquidation_price: Number | None
    adopted: bool


class Ending(Answer):
    """An order that ends a position."""

    client_order_id: str
    type: OrderType
    stop_price: Number | None
    quantity: Number | None = Field(description="Null: all of it.")


class ProtectionBody(Body):
    """The resting orders that end a position, whenever one comes, moves or goes."""

    kinds = ("protection",)
    key = ("symbol", "direction")

    symbol: str
    direction: Direction
    stops: list[Ending]
    targets: list[Ending]


class DecisionBody(Body):
    """What was wanted for one asset, and what risk made of it."""

    kinds = ("decision",)
    key = ("tick", "position")

    tick: Time
    position: int
    asset: str
    action: Action
    verdict: Verdict
    code: str | None
    allocation_usd: Wanted
    leverage: Wanted
    confidence: Wanted
    stop_loss: Wanted
    take_profit: Wanted
    direction: Direction | None
    quantity: Recorded | None
    price: Recorded | None


class StageBody(Body):
    """A stage has finished; `reconcile` ends a cycle."""

    kinds = ("stage",)
    key = ("tick", "stage")

    stage: Stage
    tick: Time
    result: Document
    started_at: Time


class EquityBody(Body):
    """What the account is worth; `at` of the event names it."""

    kinds = ("equity",)
    key = ("at",)

    wallet: Number
    unrealized: Number
    deposited: Number
    unexplained: Number


class IncomeBody(Body):
    """Funding, transfers and the rest."""

    kinds = ("income",)
    key = ("income_kind", "transaction_id")

    income_kind: str
    transaction_id: str
    symbol: str | None
    amount: Number
    asset: str


class DiscrepancyBody(Body):
    """How ours and the exchange's books differed, and what was done."""

    kinds = ("discrepancy",)
    key = ("id",)

    id: int
    discrepancy_kind: Difference
    symbol: str | None
    ours: str
    theirs: str
    action: str


class DiaryBody(Body):
    """A line of the diary."""

    kinds = ("diary",)
    key = ("id",)

    id: int
    tick: Time
    text: str
    body: Document


class AccountBody(Body):
    """An account's status or configuration. `was` is the status before, null when it is new."""

    kinds = ("account",)
    key = ("account",)

    status: AccountStatus
    status_reason: str
    config: Document
    was: AccountStatus | None


class BreakerBody(Body):
    """A breaker has tripped, or was lifted."""

    kinds = ("breaker",)
    key = ("breaker",)

    breaker: str
    standing: bool
    tripped_at: Time
    lifts_at: Time | None
    lifted_at: Time | None
    flatten: bool
    reason: str
    saw: Document


class ModelCallBody(Body):
    """A question to a model, and never what was said."""

    kinds = ("model_call",)
    key = ("id",)

    id: int
    tick: Time
    purpose: Purpose
    turn: int
    asked_model: str
    answered_model: str | None
    provider: str | None
    prompt_version: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost: Number
    estimated: bool
    latency_ms: int
    error: str | None


class RoundTripBody(Body):
    """A position from nothing to nothing, as it goes on."""

    kinds = ("round_trip",)
    key = ("symbol", "position_side", "first_trade_id")

    symbol: str
    position_side: str
    direction: Direction
    opened_at: Time
    closed_at: Time | None
    trades: int
    tick: Time | None
    model: str | None
    exit: ExitReason | None
    first_trade_id: str
    last_trade_id: str
    held: Number
    entered: Number
    entry_value: Number
    exited: Number
    exit_value: Number
    realized: Number
    fees: Number
    funding: Number
    stop_price: Number | None


class NakedBody(Body):
    """A position stands without a stop, or does no longer."""

    kinds = ("naked",)
    key = ("id",)

    id: int
    symbol: str
    direction: Direction
    since: Time
    until: Time | None


class AlertBody(Body):
    """An alert was raised, seen to, or is over. Of no account: it is about the house."""

    kinds = ("alert",)
    key = ("id",)

    id: int
    alert_kind: AlertKind
    subject: str
    severity: Severity
    text: str
    raised_at: Time
    resolved_at: Time | None
    acknowledged_at: Time | None
    acknowledged_by: str | None


class ChangeBody(Body):
    """What is to be allowed to an account: it waits, somebody is for it, or it was decided."""

    kinds = ("change",)
    key = ("id",)

    id: int
    change_kind: ChangeKind
    raises: list[str]
    proposed_by: str
    proposed_at: Time
    due_at: Time
    words: list[str]
    state: ChangeState
    decided_by: str | None
    decided_at: Time | None


class StopBody(Body):
    """The emergency stop of an account, after each attempt."""

    kinds = ("stop",)
    key = ("account",)

    asked_at: Time
    asked_by: str
    left: list[str]
    finished_at: Time | None
    rearmed_at: Time | None


class ProposalBody(Body):
    """An entry that a model wanted, and how it would have ended."""

    kinds = ("proposal",)
    key = ("tick", "model", "prompt_version", "asset")

    tick: Time
    model: str
    prompt_version: str
    asset: str
    approved: bool
    due_at: Time
    score: Document | None


class ExchangeStreamBody(Body):
    """Whether an account's stream at the exchange, or of no account that of the market, is listened to."""

    kinds = ("exchange_stream",)
    key = ("account",)

    connected: bool


class AuditBody(Body):
    """Something was done, or has come to its end; `/audit` has it. `at` is by the database's clock."""

    kinds = ("audit",)
    key = ("id",)

    id: int


class UnprotectedBody(Body):
    """Symbols that could not be given a stop."""

    kinds = ("unprotected",)

    symbols: list[str]


class ManageOnlyBody(Body):
    """The models failed: the account only manages what is open."""

    kinds = ("manage_only",)

    reason: str
    asks_again_at: Time | None


class AnswersAgainBody(Body):
    """A model answers again."""

    kinds = ("models_answer_again",)

    since: Time
    reason: str


BODIES: Mapping[str, type[Body]] = {kind: body for body in Body.__subclasses__() for kind in body.kinds}

OTHERS: Mapping[str, str] = {
    "reconciled": "The result of every look at the exchange, between two ticks too.",
    "authority_ended": "The account may open nothing any more.",
    "account_added": "By whom, and what was said of it.",
    "account_changed": "By whom, and what was said of it.",
    "account_removed": "By whom.",
    "change_proposed": "By whom, and what it raises; `change` tells the same as it goes on.",
    "change_approved": "By whom.",
    "change_withdrawn": "By whom.",
    "change_in_force": "By whom, and until when.",
    "closed_by_hand": "Somebody had a position closed: by whom, and what became of it.",
    "cancelled_by_hand": "Somebody had orders cancelled: by whom, and what became of them.",
    "stopping": "An emergency stop goes on; `stop` tells the same.",
    "stopped": "An emergency stop has left nothing.",
    "rearmed": "The account was armed again.",
}
"""Kinds that are told in words of their own, for people rather than programs: what is in their bodies may change."""
