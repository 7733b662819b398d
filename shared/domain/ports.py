"""What the stages need from the world outside: few and small promises, so that each can have a twin in memory."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from shared.domain.decision import Answer
from shared.domain.instrument import Instrument
from shared.domain.market import Candle, CandleWindow, Quote, Series, Timeframe
from shared.domain.model import Estimate, ModelCall, Prompt, PromptVersion, Purpose, Reservation
from shared.domain.order import Fill, Income, Intent, VenueOrder
from shared.domain.position import Holdings
from shared.domain.risk import ReviewedDecision
from shared.domain.snapshot import Indicators


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the time at the exchange, UTC."""
        ...

    @property
    def is_set(self) -> bool:
        """True when `now` is the exchange's own time and no guess."""
        ...

    async def assure(self, *, doubted: bool = False) -> None:
        """Be sure of the exchange's time; where that is in doubt, or *doubted* by the exchange, ask for it.

        Raises ClockSkewed when it cannot be known: then nothing may be signed.
        """
        ...


class MarketData(Protocol):
    """Public prices. Raises VenueError."""

    async def instruments(self) -> Mapping[str, Instrument]:
        """Return every contract by symbol; afresh once an order has shown that one is not what we knew of it."""
        ...

    async def candles(self, series: Series, *, since: datetime, until: datetime) -> Sequence[Candle]:
        """Return what the exchange says of the candles that opened within [since, until], the running one left out.

        As it was told: `inspect` says which of it is sound.
        """
        ...

    async def first_opened(self, series: Series, since: datetime, until: datetime) -> datetime | None:
        """Return when the first candle within [since, until] opened, or None where there is none."""
        ...

    async def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return the present quote of each symbol that the exchange knows."""
        ...


class Exchange(Protocol):
    """
    One account at the exchange. Every call raises VenueError; `place` and `cancel` may leave the outcome unknown.

    What protection rests on goes ahead of others when the request limit runs short: a look that is *urgent*, orders and
    trades looked up, exits, protective orders, cancellations.
    """

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        """Return the balance and the open positions."""
        ...

    async def open_orders(
        self, symbols: Collection[str], *, elsewhere: bool = False, urgent: bool = False
    ) -> Sequence[VenueOrder]:
        """Return every resting order in *symbols*, whoever placed it; *elsewhere* too, but there only now and then."""
        ...

    async def all_orders(self) -> Sequence[VenueOrder]:
        """Return every resting order of the account, whoever placed it and wherever: dear, for emergencies."""
        ...

    async def find_order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Return the latest order with that client id, or None when the exchange says it knows none."""
        ...

    async def order_of_trade(self, fill: Fill) -> VenueOrder | None:
        """Return the order that *fill* belongs to, or None when the exchange no longer tells."""
        ...

    async def fills(self, symbol: str, *, after_trade_id: int | None, since: datetime) -> Sequence[Fill]:
        """Return the trades after that id, or since that time when no id is known, oldest first, all of them."""
        ...

    async def incomes(self, *, since: datetime) -> Sequence[Income]:
        """Return every change of the wallet since then, oldest first, all of them."""
        ...

    async def taker_fee(self, symbol: str) -> Decimal:
        """Return the fraction of notional that a market order costs."""
        ...

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage that later entries in *symbol* use."""
        ...

    async def place(self, intent: Intent) -> VenueOrder:
        """Send the order once. Raises OutcomeUnknown when it may have landed."""
        ...

    async def cancel(self, symbol: str, client_order_id: str) -> VenueOrder:
        """Cancel a resting order. Raises OrderNotFound when it no longer rests."""
        ...

    async def cancel_after(self, symbol: str, delay: timedelta) -> None:
        """Have the exchange cancel every order of *symbol*, stops too, after *delay*; zero takes that back."""
        ...


class Analyst(Protocol):
    """Candles in, numbers out."""

    def study(self, window: CandleWindow) -> Indicators:
        """Return the configured indicators over *window*."""
        ...

    def compute(
        self, function: str, window: CandleWindow, parameters: Mapping[str, Any]
    ) -> Mapping[str, Sequence[float | None]]:
        """Return the outputs of one TA-Lib function over *window*, by name and oldest first.

        Raises BadQuestion for a function or parameters that cannot be computed, MarketDataUnusable.
        """
        ...

    def parameters(self, function: str) -> Mapping[str, int | float]:
        """Return the parameters of a TA-Lib function with their usual values. Raises BadQuestion for an unknown one."""
        ...


class CallBook(Protocol):
    """Where the questions of one cycle are paid for and kept."""

    async def reserve(self, amount: Decimal) -> Reservation | None:
        """Set *amount* USD of the day's budget aside; None when not that much is left."""
        ...

    async def keep(self, call: ModelCall, reservation: Reservation) -> None:
        """Store *call*, and book its cost in place of what was set aside for it: both or neither."""
        ...


class Lookup(Protocol):
    """What a model may look up while it decides: read-only, and nothing in it newer than the cycle's snapshot.

    Every call raises BadQuestion, with words for the model, for what is not there.
    """

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols that may be asked for."""
        ...

    async def indicator(
        self, symbol: str, timeframe: Timeframe, function: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Sequence[float | None]]:
        """Return the outputs of a TA-Lib function over a series, by name and oldest first."""
        ...

    def parameters(self, function: str) -> Mapping[str, int | float]:
        """Return the parameters of a TA-Lib function with their usual values."""
        ...

    async def candles(self, symbol: str, timeframe: Timeframe) -> CandleWindow:
        """Return the closed candles of a series."""
        ...

    async def fills(self, count: int) -> Sequence[Fill]:
        """Return the account's latest trades, newest first."""
        ...

    async def decisions(self, count: int) -> Sequence[tuple[datetime, ReviewedDecision]]:
        """Return the account's latest decisions that were not plain holds, newest first."""
        ...


class Engine(Protocol):
    """A language model behind its provider, with its prompt and its reading glasses."""

    @property
    def template(self) -> PromptVersion:
        """What prompts are made from."""
        ...

    def prompt(self, briefing: Mapping[str, Any]) -> Prompt:
        """Return the messages that put *briefing* before the model."""
        ...

    async def estimate(self, prompt: Prompt, model: str) -> Estimate:
        """Return what putting *prompt* before *model* would come to. Asks no model."""
        ...

    async def ask(
        self,
        prompt: Prompt,
        models: Sequence[str],
        *,
        book: CallBook,
        lookup: Lookup | None = None,
        said: Sequence[ModelCall] = (),
        purpose: Purpose = Purpose.DECISION,
    ) -> Sequence[ModelCall]:
        """Ask the models in order until one answers, and return every call, those already *said* first.

        The last call holds the answer, if any did. Goes on from where *said* ends. Raises what *book* raises.
        """
        ...

    def closed_until(self, call: ModelCall) -> datetime | None:
        """Return when the service lets us in again that turned *call* away; None where it did not say."""
        ...

    def read(self, content: str, symbols: Sequence[str]) -> Answer:
        """Return the decisions in *content*, item by item. Raises UnusableReply when it holds none to trust."""
        ...
