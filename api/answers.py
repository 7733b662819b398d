"""
What is answered. Money, prices and quantities are strings, moments ISO 8601 with their offset; null is what is not
known or not there. Whatever names its cycle, `account@tick`, belongs to the decision at `/decisions/{cycle}`.
"""

from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from shared.db.paging import Page
from shared.domain.access import Scope
from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage
from shared.domain.decision import Action
from shared.domain.market import Timeframe
from shared.domain.model import Purpose
from shared.domain.order import Leg, OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.domain.reconciliation import Difference
from shared.domain.risk import Verdict

Number = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["64000.10"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2025-05-06T16:05:00+00:00"])]
Cycle = Annotated[str, Field(description="account@tick", examples=["main@2025-05-06T16:05:00Z"])]
Document = dict[str, Any]
"""JSON that is passed on as it was recorded."""

Item = TypeVar("Item")


class Answer(BaseModel):
    """What every answer has in common: nothing in it that the document does not tell."""

    model_config = ConfigDict(extra="forbid")


class Listing(Answer, Generic[Item]):
    """A page: `next` is the cursor of the one that follows, null on the last."""

    items: list[Item]
    next: str | None

    @classmethod
    def of(cls, page: Page) -> Self:
        """Return *page* as an answer."""
        return cls.model_validate({"items": page.rows, "next": page.next})


# ---- accounts


class Account(Answer):
    """An account: its configuration, newest equity and tick, and why nothing opens, by breaker."""

    account: str
    status: AccountStatus
    status_reason: str
    config: Document
    created_at: Time
    updated_at: Time
    equity_at: Time | None
    equity: Number | None
    deposited: Number | None
    last_tick: Time | None
    open_positions: int
    breakers: dict[str, str]


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


class Position(Answer):
    """An open position as the exchange last reported it; account, symbol and direction name it."""

    account: str
    symbol: str
    direction: Direction
    quantity: Number
    entry_price: Number
    mark_price: Number
    unrealized: Number
    leverage: int
    liquidation_price: Number | None
    at: Time
    adopted: bool = Field(description="No order of ours opened it.")


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
    """What was wanted for one asset, and what risk said to it, rule by rule; cycle and position name it."""

    account: str
    cycle: Cycle
    tick: Time
    position: int = Field(description="Its place in the answer.")
    asset: str
    action: Action
    verdict: Verdict
    code: str | None = Field(description="The first rule that failed.")
    decision: Document
    review: Document
    model: str | None = Field(description="The model that answered; null where none did.")


class ModelCall(Answer):
    """A question to a model. Prompts, the raw reply and how it was read are null but in full answers."""

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
    parameters: Any
    content: str | None
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


class Costs(Answer):
    """What an account's models have cost on a UTC day, in USD."""

    account: str
    day: Time
    calls: int
    estimated: int = Field(description="Questions whose cost the service did not tell.")
    decisions: int
    cost: Number
    entries: int
    cost_per_decision: Number | None
    cost_per_entry: Number | None


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
