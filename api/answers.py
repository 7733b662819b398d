"""
What is answered. Money, prices and quantities are strings, moments ISO 8601 with their offset; null is what is not
known or not there. Whatever names its cycle, `account@tick`, belongs to the decision at `/decisions/{cycle}`.
"""

from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel

from shared.db.paging import Page
from shared.domain.access import Scope
from shared.domain.account import AccountStatus
from shared.domain.authority import ChangeKind, ChangeState
from shared.domain.cycle import Stage
from shared.domain.decision import Action
from shared.domain.market import Timeframe
from shared.domain.model import Purpose
from shared.domain.order import Leg, OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.domain.reconciliation import Difference
from shared.domain.risk import Verdict

Number = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["64000.10"])]
Recorded = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?(E[+-]?\d+)?$", examples=["64000.10"])]
"""A number as it stands in a record, where a very small one has an exponent."""
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2025-05-06T16:05:00+00:00"])]
Cycle = Annotated[str, Field(description="account@tick", examples=["main@2025-05-06T16:05:00Z"])]
Document = dict[str, Any]
"""JSON that is passed on as it was recorded."""

Item = TypeVar("Item")


class Answer(BaseModel):
    """What every answer has in common: nothing in it that the document does not tell."""

    # Built when it is first answered with: a cold start answers one of the many.
    model_config = ConfigDict(extra="forbid", defer_build=True)


class Listing(Answer, Generic[Item]):
    """A page: `next` is the cursor of the one that follows, null on the last."""

    items: list[Item]
    next: str | None

    @classmethod
    def of(cls, page: Page) -> Self:
        """Return *page* as an answer."""
        return cls.model_validate({"items": page.rows, "next": page.next})

    @property
    def more(self) -> bool:
        """Whether it is worth asking for the page that follows."""
        return self.next is not None


# ---- accounts


class Stop(Answer):
    """An emergency stop in force. `left` is what stood after the last attempt."""

    asked_at: Time
    asked_by: str
    finished_at: Time | None
    left: list[str]


class Account(Answer):
    """An account: its configuration, newest equity and tick, and why nothing opens, by breaker."""

    account: str
    status: AccountStatus
    status_reason: str
    config: Document = Field(description="In force.")
    version: int = Field(description="One more with everything that is said: what a change has to name.")
    said: Document = Field(
        description="What was said over the API, and goes before the configuration; in lists without its `prompt`."
    )
    authority_until: Time | None = Field(
        description="When it may open nothing any more; null: never; 1970: it was never allowed to."
    )
    removed_at: Time | None
    stop: Stop | None
    change: int | None = Field(description="The id of the change that waits: see /changes.")
    created_at: Time
    updated_at: Time
    equity_at: Time | None
    equity: Number | None
    deposited: Number | None
    last_tick: Time | None
    open_positions: int
    breakers: dict[str, str]


class Configured(Answer):
    """An account as it is now, and what is odd about its models: nothing that keeps it from trading."""

    account: Account
    warnings: list[str]


class Change(Answer):
    """What is to be allowed to an account, and is not before `due_at` or the word of a second person."""

    id: int
    account: str
    kind: ChangeKind
    raises: list[str] = Field(description="What would be more than now.")
    proposed_by: str
    proposed_at: Time
    due_at: Time
    words: list[str] = Field(description="Who is for it.")
    state: ChangeState
    decided_by: str | None
    decided_at: Time | None


class Stopped(Answer):
    """How an emergency stop stands: what is left is gone on with until nothing is."""

    account: str
    flat: bool
    left: list[str]
    trouble: str | None = Field(description="What the last attempt failed on.")


class OrderDone(Answer):
    """An order that was sent, or cancelled."""

    client_order_id: str
    symbol: str
    leg: Leg
    state: OrderState
    executed_quantity: Number
    reason: str | None


class Steered(Answer):
    """What became of it. `repeated`: it was done before, and nothing was sent again."""

    done: bool
    left: list[str]
    repeated: bool
    trouble: str | None
    orders: list[OrderDone]


class Run(Answer):
    """The last run of a stage."""

    cycle: Cycle
    tick: Time
    started_at: Time
    finished_at: Time
    result: Document


class Models(Answer):
    """How an account's models have been answering, and the newest day's money in USD."""

    failures: int
    manage_only_since: Time | None
    reason: str
    asks_again_at: Time | None
    day: str | None
    spent: Number | None
    reserved: Number | None


class Standing(Answer):
    """Where an account stands. `stages` lacks those that never ran; `next_tick` is null where no scheduler runs it."""

    account: str
    status: AccountStatus
    status_reason: str
    equity_at: Time | None
    equity: Number | None
    deposited: Number | None
    last_tick: Time | None
    next_tick: Time | None
    open_positions: int
    unsettled_orders: int
    stages: dict[Stage, Run]
    models: Models


class Status(Answer):
    """Where everything stands, at the exchange's time."""

    mode: str
    time: Time
    accounts: list[Standing]


# ---- what is held and was done


class Order(Answer):
    """An order: ours, or one that was found at the exchange and belongs to no cycle."""

    id: int
    account: str
    cycle: Cycle | None
    tick: Time | None
    leg: Leg
    attempt: int
    symbol: str
    client_order_id: str
    side: Side
    direction: Direction
    type: OrderType
    quantity: Number | None = Field(description="Null: the whole position.")
    stop_price: Number | None
    reduce_only: bool
    state: OrderState
    venue_order_id: str | None
    executed_quantity: Number
    average_price: Number
    reason: str | None
    sent_at: Time | None
    created_at: Time
    updated_at: Time


class Fill(Answer):
    """A trade; account, symbol and the exchange's id name it."""

    account: str
    cycle: Cycle | None = Field(description="Whose decision it came of; null where the order was not ours.")
    tick: Time | None
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
    at: Time
    position_side: str | None = Field(description="Null in one-way mode.")


class Decision(Answer):
    """What was wanted for one asset, and what risk said to it; cycle and position name it.

    The whole of both, rule by rule, is null but in full answers: `/decisions/{cycle}` is one.
    """

    account: str
    cycle: Cycle
    tick: Time
    position: int = Field(description="Its place in the answer.")
    asset: str
    action: Action
    verdict: Verdict
    code: str | None = Field(description="The first rule that failed.")
    reason: str | None = Field(description="That rule's, in words.")
    allocation_usd: Number = Field(description="The notional that was asked for.")
    quantity: Number = Field(description="What risk lets through, of the contract; 0 where nothing.")
    price: Number = Field(description="The mark price the review rested on; 0 where it looked at none.")
    confidence: Number
    rationale: str = Field(description="Why it was wanted; a long one is cut, and ends with `…`.")
    model: str | None = Field(description="The model that answered; null where none did.")
    decision: Document | None = None
    review: Document | None = None


class ModelCall(Answer):
    """A question to a model. Its prompts and parameters, the reply and how it was read are null but in full answers."""

    id: int
    account: str
    cycle: Cycle
    tick: Time
    at: Time
    purpose: Purpose
    turn: int
    asked_model: str
    answered_model: str | None
    provider: str | None
    prompt_version: str
    prompt_system: str | None = None
    prompt_user: str | None = None
    prompt_turns: Any = None
    parameters: Any = None
    content: str | None = None
    raw: Any = None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost: Number
    estimated: bool = Field(description="The service did not tell the cost.")
    latency_ms: int
    error: str | None
    repairs: list[str] | None = None
    unread: list[Document] | None = None


class Candle(Answer):
    """A closed candle; symbol, timeframe and the moment it opened name it."""

    symbol: str
    timeframe: Timeframe
    opened: Time
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number


class Equity(Answer):
    """A point of an account's equity curve; account and moment name it."""

    account: str
    at: Time
    wallet: Number
    unrealized: Number
    deposited: Number
    unexplained: Number
    equity: Number


class DiaryLine(Answer):
    """A line of the trading diary."""

    id: int
    account: str
    cycle: Cycle
    tick: Time
    at: Time
    text: str
    body: Document


class Discrepancy(Answer):
    """How ours and the exchange's books differed, and what was done."""

    id: int
    account: str
    at: Time
    kind: Difference
    symbol: str | None
    ours: str
    theirs: str
    action: str


class Event(Answer):
    """Something that happened, as streams tell it; the cursor names it."""

    cursor: str
    account: str | None = Field(description="Null: it is about the house.")
    kind: str
    at: Time
    body: Document


class Events(Listing[Event]):
    """What happened after a cursor, oldest first. `next` is always the cursor to go on from."""

    next: str | None = Field(description="Null only where nothing has happened yet.")

    @property
    def more(self) -> bool:
        """Whether it is worth asking at once: there may always be something, sooner or later."""
        return bool(self.items)


# ---- one of many, with all that belongs to it


class OrderDetail(Order):
    """An order and its fills, oldest first."""

    fills: list[Fill]


class Asked(Answer):
    """Which model had the last word in a cycle, and what the cycle's questions came to."""

    model: str
    prompt_version: str
    questions: int
    prompt_tokens: int
    completion_tokens: int
    latency_ms: int
    cost: Number
    answer: str | None = Field(description="The last word as it came.")


class Context(Answer):
    """What a cycle saw, in short. Lists and numbers are as the record has them."""

    taken_at: Time
    quotes: list[Document]
    defects: dict[str, str] = Field(description="Symbols whose data could not be trusted, and why.")
    balance: Document
    positions: list[Document]
    open_orders: int
    taker_fee: Recorded
    indicators: dict[str, dict[Timeframe, dict[str, float | None]]] = Field(description="The latest values.")


class Grounded(Answer):
    """Whether what a decision cites had been shown to the model."""

    asset: str
    finding: Document


class Opinion(Answer):
    """What a model made of the cycle: the one that decided it, or one that was asked the same and moved nothing."""

    account: str
    cycle: Cycle
    tick: Time
    model: str
    prompt_version: str
    purpose: Purpose
    at: Time
    judgement: Document | None
    cost: Number
    latency_ms: int


class Proposal(Answer):
    """An entry that a model wanted, and how it would have ended; null as long as that is not known."""

    account: str
    cycle: Cycle
    tick: Time
    model: str
    prompt_version: str
    asset: str
    proposal: Document
    approved: bool
    due_at: Time
    score: Document | None


class Outcome(Answer):
    """What the cycle's own orders, stops and targets among them, have brought so far."""

    realized_pnl: Number
    commission: dict[str, Number] = Field(description="By asset.")
    proposals: list[Proposal]


class Dossier(Answer):
    """One cycle: what it saw, asked, was told, decided, sent and got. The review ledger stands in `decisions`."""

    account: str
    cycle: Cycle
    tick: Time
    record: str | None = Field(description="The name of what is on record of it.")
    stages: dict[Stage, Run]
    context: Context | None
    asked: Asked | None
    calls: list[ModelCall]
    reasoning: str | None
    repairs: list[str]
    unread: list[Document]
    decisions: list[Decision]
    grounding: list[Grounded]
    orders: list[Order]
    fills: list[Fill]
    opinions: list[Opinion]
    outcome: Outcome
    diary: list[DiaryLine]


# ---- prices


class Quote(Answer):
    """What a contract cost when an account's last cycle looked. Fractions and prices; null is what was not told."""

    symbol: str
    mark_price: Recorded
    index_price: Recorded
    funding_rate: Recorded
    next_funding_at: Time
    open_interest: Recorded | None
    at: Time
    bid: Recorded | None
    ask: Recorded | None
    change_24h: Recorded | None
    high_24h: Recorded | None
    low_24h: Recorded | None
    turnover_24h: Recorded | None
    funding_interval: str | None = Field(description="An ISO 8601 duration.")


class Values(Answer):
    """The outputs of an indicator at the close of a candle; null where the history is too short."""

    opened: Time
    values: dict[str, float | None]


class Indicator(Answer):
    """An indicator over a series, newest candle first."""

    symbol: str
    timeframe: Timeframe
    function: str
    parameters: dict[str, float]
    items: list[Values]


# ---- decisions on record


class Record(Answer):
    """What is on record of a decision: the names of its parts, and whether each is as it was written."""

    account: str
    tick: Time
    record: str
    sound: bool
    problems: list[str]
    parts: dict[str, str]
    body: Document | None = Field(default=None, description="The whole of it, in full answers of sound records.")


class Replayed(Answer):
    """A decision that was made again from what it was made from."""

    account: str
    tick: Time
    record: str
    same: bool
    differences: list[str]
    code_changed: list[str]
    candles_changed: list[str]
    decisions: list[Document]
    no_answer: str | None


class Way(Answer):
    """One of two ways in which a decision was made: by which model and prompt, or under which limits."""

    model: str | None = None
    prompt_version: str | None = None
    limits: str | None = None
    cost_usd: Number | None
    no_answer: str | None
    reasoning: str | None
    decisions: list[Document]


class Contrast(Answer):
    """A decision as it was made and as it would have been; `changed` names the assets that differ."""

    account: str
    tick: Time
    record: str
    before: Way
    after: Way
    changed: list[str]


class Preview(Answer):
    """What an account's model would be asked now, and the most that costs."""

    account: str
    tick: Time
    model: str
    prompt_version: str
    messages: list[Document]
    prompt_tokens: int
    max_tokens: int
    worst_cost_usd: Number | None


class ModelScore(Answer):
    """How a model with one version of a prompt has done."""

    account: str
    model: str
    prompt_version: str
    purpose: Purpose
    asked: int
    answered: int
    entries: int
    approved: int
    scored: int
    targets: int
    stops: int
    mean_result: float | None
    mean_after: dict[str, float | None]
    cost: Recorded
    latency_ms: int
    hit_rate: float | None
    cost_per_decision: Number | None
    caution: str | None = Field(description="That the numbers tell little.")


class Result(RootModel[Document]):
    """What a stage did, as it is stored: `stage`, `account`, `tick`, `repeated`, and what the stage has to tell."""


# ---- who may


class Identity(Answer):
    """Who asks, what they may do, on which account alone, and until when: null for all accounts, and for always."""

    name: str
    scope: Scope
    account: str | None
    expires: Time | None


class Token(Answer):
    """A token, without what lets somebody in. It begins with `prefix`."""

    id: int
    name: str
    prefix: str
    scope: Scope
    account: str | None
    created_by: str
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class MadeToken(Token):
    """A token that was just made: `token` is shown this once."""

    token: str


class Audited(Answer):
    """What somebody did, or was refused: `status` is null while it is under way, and of what was cut short."""

    id: int
    at: Time
    caller: str | None
    scope: Scope | None
    client: str | None
    action: str
    path: str | None
    account: str | None
    request_id: str | None
    idempotency_key: str | None
    body: Document | None
    status: int | None
    code: str | None
    ended_at: Time | None
