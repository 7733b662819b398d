"""What is answered about results: positions and their protection, the curve, the record, the edge, costs and limits.

Money and returns are strings, ratios and what is there to be drawn are numbers.
"""

from pydantic import Field

from api.answers import Answer, Cycle, Number, Time
from shared.domain.position import Direction
from shared.domain.round_trip import ExitReason
from shared.domain.usage import Effect, Unit


class Resting(Answer):
    """An order that rests and ends a position. Distances are from the mark price to it, as a share and in R."""

    price: Number
    client_order_id: str
    venue_order_id: str | None
    since: Time
    distance: Number
    distance_r: Number | None


class Protection(Answer):
    """What stands between a position and a large loss, and what takes its profit: the nearest of each."""

    naked: bool = Field(description="No stop of its full size rests at the exchange.")
    confirmed_at: Time
    stop: Resting | None
    target: Resting | None


class Position(Answer):
    """An open position as the exchange last reported it, and what protects it; account, symbol and direction name it.

    R is the risk that was taken at first: from the entry to the first stop.
    """

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
    opened_at: Time | None = Field(description="Null where its first trade is older than the books.")
    cycle: Cycle | None
    tick: Time | None
    model: str | None
    fees: Number | None
    funding: Number | None
    realized: Number | None
    first_stop: Number | None
    r: Number | None = Field(description="What it has gained so far, in R.")
    liquidation_distance: Number | None
    protection: Protection


class ClosedPosition(Answer):
    """A position from flat to flat; account, symbol, position side and first trade name it.

    `profit` is what it realized, less fees, with funding; `net_return` is that over the notional that was entered, and
    `r` over the risk that was taken at first.
    """

    account: str
    symbol: str
    direction: Direction
    position_side: str = Field(description="BOTH in one-way mode.")
    first_trade_id: str
    last_trade_id: str
    entry_order_id: str
    exit_order_id: str
    opened_at: Time
    closed_at: Time
    holding_seconds: Number
    quantity: Number = Field(description="All that was entered.")
    entry_price: Number
    exit_price: Number
    trades: int
    realized: Number
    fees: Number
    funding: Number
    profit: Number
    net_return: Number | None
    r: Number | None
    first_stop: Number | None
    cycle: Cycle | None
    tick: Time | None
    model: str | None
    exit: ExitReason


class PeriodReturn(Answer):
    """What a period came to, deposits taken out; account and start name it."""

    account: str
    start: Time
    total_return: Number
    profit: Number
    equity: Number = Field(description="At its end.")
    drawdown: Number = Field(description="The deepest fall from a peak that ended in it, as a share of the peak.")


class CurvePoint(Answer):
    """A point to draw. `growth` and `buy_and_hold` are what one USD of the account's first point has become."""

    at: Time
    growth: float
    drawdown: float = Field(description="The fall from the highest growth so far, as a share of it.")
    equity: Number | None = Field(description="Null where the point is no longer kept.")
    deposited: Number | None
    buy_and_hold: float | None


class Curve(Answer):
    """An equity curve without its deposits, thinned out to its extremes, beside what its symbols did by themselves."""

    account: str
    points: list[CurvePoint]
    symbols: list[str] = Field(description="What buying and holding bought, with equal money.")
    without: list[str] = Field(description="Symbols without a price at the first point.")


class Sample(Answer):
    """How much the closed trades prove: the interval holds their true mean return with a probability of 95 %."""

    trips: int
    enough: bool
    mean: float | None
    low: float | None
    high: float | None
    needed: int | None = Field(description="So many trades like these would tell their mean from chance.")
    word: str


class Benchmark(Answer):
    """What an account is held against, over the same time."""

    name: str = Field(description="buy_and_hold, random_entry or no_model.")
    total_return: Number | None = Field(description="Of random_entry, the median of its draws.")
    max_drawdown: Number | None
    quantiles: dict[str, Number] | None = None
    beaten: float | None = Field(default=None, description="The share of the draws that the account did better than.")
    own: Number | None = Field(default=None, description="What the account's same trades came to, over equity.")
    trips: int | None = Field(default=None, description="The trades that dice were thrown for: the last ones.")
    draws: int | None = None
    symbols: list[str] | None = None
    without: list[str] | None = None
    word: str


class ByValue(Answer):
    """What the positions with one value of a dimension came to."""

    value: str | None
    round_trips: int
    win_rate: float | None
    profit: Number
    fees: Number
    funding: Number
    gained: Number
    lost: Number
    mean_return: float | None
    deviation: float | None = Field(description="Of the returns, as of a sample.")
    mean_r: float | None


class TrackRecord(Answer):
    """How an account has done. Null is what there is too little to tell from."""

    account: str
    since: Time | None
    until: Time | None
    equity: Number | None
    deposited: Number
    profit: Number
    total_return: Number | None
    max_drawdown: Number | None
    days: int
    sharpe: float | None
    sharpe_error: float | None
    sortino: float | None
    round_trips: int
    win_rate: float | None
    profit_factor: float | None
    trades: int
    turnover: Number
    fees: Number
    funding: Number
    model_cost: Number = Field(description="What questions to models have cost: not taken off the profit.")
    sample: Sample
    caution: str | None = Field(description="The word of the sample where it is too small; null where it is not.")
    benchmarks: list[Benchmark]
    models: list[ByValue] = Field(description="What each model's entries came to; an empty value is nobody's.")


class Performance(Answer):
    """How the accounts have done."""

    annualisation: int
    items: list[TrackRecord]


class Edge(Answer):
    """Where profit came from, of the positions that ended within [since, until)."""

    since: Time | None
    until: Time | None
    whole: bool = Field(description="False where there were more, and the last ones were taken.")
    caution: str | None = Field(description="What is too little to go by; null where the sample is large enough.")
    total: ByValue
    groups: dict[str, list[ByValue]]


class Costs(Answer):
    """What an account's trading and its models have cost on a UTC day, in USD; account and day name it."""

    account: str
    day: Time
    trades: int
    round_trips: int = Field(description="Positions that ended.")
    turnover: Number
    fees: Number
    funding: Number = Field(description="What it paid; negative where it cost.")
    calls: int
    estimated: int = Field(description="Questions whose cost the service did not tell.")
    decisions: int
    entries: int
    cost: Number = Field(description="Of the questions to models.")
    cost_estimated: Number = Field(description="How much of that is an estimate.")
    cost_per_decision: Number | None
    cost_per_entry: Number | None
    fees_per_trade: Number | None
    total: Number = Field(description="Fees and models, less what funding paid.")
    total_per_round_trip: Number | None


class Limit(Answer):
    """How much of a limit is used: fractions are of equity, losses of what there was before, money in USD."""

    limit: str
    effect: Effect
    unit: Unit
    used: Number | None = Field(description="Null where it cannot be told: there is no equity.")
    allowed: Number | None = Field(description="Null where none is set.")
    share: Number | None
    standing: str | None = Field(description="Why its breaker stands; null where it does not.")


class Limits(Answer):
    """How much of its limits an account uses, by its last reconciliation."""

    account: str
    at: Time | None = Field(description="Of the last reconciliation; null before the first.")
    limits: list[Limit]


class AllLimits(Answer):
    """How much of their limits the accounts use. `requests` to the exchange, by the minute, are shared by all."""

    items: list[Limits]
