"""
What a query may say, path by path. Anything else is refused by name: a misspelt filter that went unnoticed would show
the wrong rows.
"""

from collections import Counter
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import HTTPConnection

from api.errors import Problem
from shared.domain.account import AccountStatus
from shared.domain.authority import ChangeState
from shared.domain.curve import Period
from shared.domain.decision import Action
from shared.domain.market import Timeframe
from shared.domain.model import Purpose
from shared.domain.order import OrderState
from shared.domain.position import Direction
from shared.domain.reconciliation import Difference
from shared.domain.risk import Verdict
from shared.domain.round_trip import ExitReason
from shared.moments import Moment

AccountId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="An account.", examples=["main"])]
Symbol = Annotated[
    str,
    Field(pattern=r"^[^\s\x00-\x1f\x7f]{1,40}$", description="A contract, in small letters too.", examples=["BTCUSDT"]),
    BeforeValidator(str.upper),
]
Limit = Annotated[int, Field(ge=1, le=1000)]
ModelName = Annotated[str, Field(description="A model as it is named to its service.", examples=["author/model"])]
CycleId = Annotated[
    str,
    Field(
        description="A decision: `account@tick`, or at least six digits of its record's name.",
        examples=["main@2025-05-06T16:05:00Z"],
    ),
]


Since = Annotated[Moment | None, Field(description="From this moment on.", examples=["2025-05-06T00:00:00Z"])]
Until = Annotated[Moment | None, Field(description="Before this moment.", examples=["2025-05-07T00:00:00Z"])]
Width = Annotated[Timeframe, Field(description="How much of time a candle is of.", examples=["5m"])]


ClientOrderId = Annotated[
    str,
    Field(pattern=r"^[\x21-\x7e]{1,36}$", description="As /orders names it.", examples=["pp-entry-0123456789abcdef"]),
]
ChangeId = Annotated[int, Field(ge=1, le=2**63 - 1, description="As /changes names it.")]


class Query(BaseModel):
    """What every query has in common: nothing but that it is known in full."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoQuery(Query):
    """A path that takes no parameters."""


class AccountQuery(Query):
    """One account, or all of them."""

    account: AccountId | None = None


class Format(StrEnum):
    """A page as JSON, or all there is as a file."""

    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"


class DownloadQuery(Query):
    """A list by the page, or all of it as a file."""

    cursor: ClassVar[str]
    """The parameter that takes the `next` of the page before."""

    limit: Limit = Field(default=100, description="Rows of a page; of a download that names it, rows in all.")
    format: Format = Field(
        default=Format.JSON, exclude=True, description="`csv` and `jsonl` download every row that is asked for."
    )


class PageQuery(DownloadQuery):
    """A page of what happened within [since, until). `before` is the `next` of the page before."""

    cursor = "before"

    since: Since = None
    until: Until = None
    before: str | None = Field(default=None, description="The `next` of the page before.")


class ListQuery(PageQuery, AccountQuery):
    """A page of a list that belongs to accounts."""


class AccountsQuery(ListQuery):
    """Accounts by status, and by when they were added."""

    status: AccountStatus | None = Field(default=None, description="Whether it trades.")


class SymbolQuery(ListQuery):
    """A list that can be narrowed to one symbol."""

    symbol: Symbol | None = None


class OrdersQuery(SymbolQuery):
    """Orders by state."""

    state: OrderState | None = Field(default=None, description="What has become of it.")


class DecisionsQuery(SymbolQuery):
    """Decisions by what was wanted and by what risk said.

    `full` shows the whole of both, with every rule and the numbers it saw.
    """

    action: Action | None = Field(default=None, description="What was wanted.")
    verdict: Verdict | None = Field(default=None, description="What risk made of it.")
    model: ModelName | None = None
    full: bool = Field(default=False, description="The whole of both, too.")


class DiscrepanciesQuery(SymbolQuery):
    """Discrepancies by class."""

    kind: Difference | None = Field(default=None, description="How they differed.")


class ModelCallsQuery(ListQuery):
    """Calls of models, by why and whom; by what their cycle decided about a symbol, or to do.

    `full` shows prompts, parameters and replies too.
    """

    purpose: Purpose | None = Field(default=None, description="Why it was asked.")
    model: ModelName | None = None
    symbol: Symbol | None = None
    action: Action | None = Field(default=None, description="What its cycle decided to do, with the `symbol` if any.")
    full: bool = Field(default=False, description="Prompts, parameters and replies, too.")


class CandlesQuery(PageQuery):
    """Candles of one series, by when they opened."""

    symbol: Symbol
    timeframe: Width


class QuotesQuery(AccountQuery):
    """Quotes of every symbol, or of one."""

    symbol: Symbol | None = None


class IndicatorQuery(Query):
    """One TA-Lib function over the last candles of a series that had closed before a moment."""

    symbol: Symbol
    timeframe: Width
    function: Annotated[
        str,
        Field(pattern=r"^[A-Z0-9_]{1,20}$", description="The name of a function of TA-Lib.", examples=["EMA"]),
        BeforeValidator(str.upper),
    ]
    parameters: str | None = Field(
        default=None,
        pattern=r"^[a-z]{1,30}:-?[0-9]{1,9}(\.[0-9]{1,9})?(,[a-z]{1,30}:-?[0-9]{1,9}(\.[0-9]{1,9})?){0,9}$",
        description="Those of the function's that are not as usual.",
        examples=["timeperiod:50"],
    )
    until: Until = None
    limit: Limit = Field(default=300, description="Candles.")


class EventsQuery(DownloadQuery, AccountQuery):
    """What happened after a cursor; from the beginning without one."""

    cursor = "after"

    kind: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,80}$", examples=["order"])] | None = Field(
        default=None, description="What happened, in a word."
    )
    after: str | None = Field(default=None, description="The `next` of the answer before.")


class ClosedPositionsQuery(SymbolQuery):
    """Positions by when they ended, and by what they were: `model` opened them, `exit` ended them."""

    direction: Direction | None = Field(default=None, description="Which way it was.")
    model: ModelName | None = None
    exit: ExitReason | None = Field(default=None, description="What ended it.")


class EdgeQuery(AccountQuery):
    """Positions that ended within [since, until)."""

    symbol: Symbol | None = None
    since: Since = None
    until: Until = None


class ReturnsQuery(ListQuery):
    """Periods by when they begin."""

    period: Period = Field(default=Period.DAY, description="How much of time a row is of.")


class CurveQuery(Query):
    """A stretch of one account's curve, [since, until), in so many points at most."""

    account: AccountId
    since: Since = None
    until: Until = None
    points: int = Field(default=500, ge=5, le=2000, description="At most.")


class PerformanceQuery(AccountQuery):
    """How many days make a year for the ratios: markets that never close have 365, exchanges 252."""

    annualisation: Literal["365", "252"] = Field(default="365", description="Days of a year.")


class RecordQuery(Query):
    """The record of a decision; `full` shows every part of it."""

    full: bool = Field(default=False, description="The body, too.")


class ComparisonQuery(AccountQuery):
    """What models made of the cycles within [since, until)."""

    since: Since = None
    until: Until = None


class ChangesQuery(ListQuery):
    """Changes by what became of them."""

    state: ChangeState | None = Field(default=None, description="What has become of it.")


class RemovalQuery(Query):
    """How to remove an account."""

    flatten: bool = Field(default=False, description="Close what it holds and cancel what rests, by an emergency stop.")


Q = TypeVar("Q", bound=Query)


def read_query(request: HTTPConnection, kind: type[Q]) -> Q:
    """Return the query string of *request* as *kind* describes it. Raises Problem, naming the parameter."""
    given = request.query_params.multi_items()
    if twice := [name for name, count in Counter(name for name, _ in given).items() if count > 1]:
        raise _bad_parameter(twice[0], f"{twice[0]} is given twice")
    try:
        return kind.model_validate(dict(given))
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_context=False)[0]
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(kind.model_fields) or "none"
        raise _bad_parameter(name, f"{request.scope['path']} has no parameter {name}: it takes {known}")
    raise _bad_parameter(name, f"{name}: {problem['msg'].removeprefix('Value error, ')}")


def _bad_parameter(name: str, detail: str) -> Problem:
    return Problem(400, "bad_parameter", detail, parameter=name)
