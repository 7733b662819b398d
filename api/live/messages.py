"""What goes over a stream: one JSON object a frame, `type` first. The feed writes those of type `event`."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.answers import Account, Answer, Candle, Document, Number, Order, Time
from api.results import Position
from shared.domain.market import Timeframe

Cursor = Annotated[
    str,
    Field(description="Where the stream is: bring it along to go on from there.", examples=["91835-40211"]),
]
Reason = Annotated[
    Literal["began", "cursor_too_old"],
    Field(description="Why it begins with how things are: `cursor_too_old` where the cursor leads nowhere any more."),
]


class Message(Answer):
    """What every message has in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def written(self) -> str:
        """Return the frame. A cursor that there is not is left out."""
        return self.model_dump_json(exclude={"cursor"} if getattr(self, "cursor", "") is None else None)


class TradingSnapshot(Message):
    """First, unless a cursor was good: how things are. It replaces whatever the client knew."""

    type: Literal["snapshot"] = "snapshot"
    cursor: Cursor
    reason: Reason
    accounts: list[Account]
    positions: list[Position]
    orders: list[Order] = Field(description="Those that rest, or may.")


class PositionsSnapshot(Message):
    """First, unless a cursor was good: what is held and what rests. It replaces whatever the client knew."""

    type: Literal["snapshot"] = "snapshot"
    cursor: Cursor
    reason: Reason
    positions: list[Position]
    orders: list[Order] = Field(description="Those that rest, or may.")


class MarketSnapshot(Message):
    """First, unless a cursor was good: the newest candles of each series, oldest first; none without a timeframe."""

    type: Literal["snapshot"] = "snapshot"
    cursor: Cursor | None = None
    reason: Reason
    candles: list[Candle]


class Resumed(Message):
    """First, when the cursor that was brought is good: what was missed follows."""

    type: Literal["resumed"] = "resumed"
    cursor: Cursor


class Event(Message):
    """Something happened to an account, or to the house. Pass over kinds that you do not know."""

    type: Literal["event"] = "event"
    cursor: Cursor
    kind: str
    account: str | None = Field(description="Null: it is about the house.")
    at: Time
    body: Document


class Forming(Message):
    """The candle that is forming has moved."""

    type: Literal["candle"] = "candle"
    closed: Literal[False] = False
    symbol: str
    timeframe: Timeframe
    opened: Time
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number


class Closed(Message):
    """A candle was stored."""

    type: Literal["candle"] = "candle"
    cursor: Cursor
    closed: Literal[True] = True
    symbol: str
    timeframe: Timeframe
    opened: Time
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number


class Price(Message):
    """The newest mark price of a symbol; whoever is slow gets the newest alone."""

    type: Literal["price"] = "price"
    symbol: str
    mark: Number
    index: Number
    funding_rate: Number
    next_funding_at: Time
    at: Time


class Live(Message):
    """Whether prices are those of now: soon after the first message, and at every change."""

    type: Literal["live"] = "live"
    live: bool
    detail: str = Field(description="If not, why.")


class Ping(Message):
    """The stream is alive, and this far. After two heartbeats without any message, take it for dead."""

    type: Literal["ping"] = "ping"
    cursor: Cursor | None = None
    at: Time


class Error(Message):
    """Last: why the stream is closed, with 4000 and the status that HTTP has for it."""

    type: Literal["error"] = "error"
    code: str
    detail: str


OF_ALL = (Resumed, Ping, Error)
OF_TRADING = (TradingSnapshot, Event, *OF_ALL)
OF_POSITIONS = (PositionsSnapshot, Event, *OF_ALL)
OF_THE_MARKET = (MarketSnapshot, Closed, Forming, Price, Live, *OF_ALL)
