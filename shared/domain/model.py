"""How language models are asked, what one was asked, what it answered, and what that cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Purpose(StrEnum):
    """Why a model was asked: the account's own, one that stands in for it, or one that is only compared with it."""

    DECISION = "decision"
    FALLBACK = "fallback"
    SHADOW = "shadow"
    REPLAY = "replay"
    """Asked again, by hand, what another was asked before."""


OF_THE_CYCLE = (Purpose.DECISION, Purpose.FALLBACK)
"""What the cycle's decision came from; the rest is compared with it."""


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A template as it stood when it was used: the text of the file, and the version that follows from it."""

    version: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs, in USD per token and per request."""

    prompt: Decimal
    completion: Decimal
    request: Decimal = Decimal(0)

    def of(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """Return what a question costs, in USD."""
        return self.prompt * prompt_tokens + self.completion * completion_tokens + self.request


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one question would come to, before anybody is asked."""

    prompt_tokens: int
    """About so many: only the model's own tokenizer knows."""
    max_tokens: int
    """Of the answer, at most."""
    worst_cost: Decimal | None
    """USD at most; None where the price is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How an account's models are asked, and how much they may cost. What is None is left to the provider."""

    max_tokens: int = 8000
    """Of an answer, thoughts included."""
    temperature: float | None = None
    seed: int | None = None
    reasoning: dict[str, Any] | None = None
    provider: dict[str, Any] = field(default_factory=dict)
    """OpenRouter's preferences about who serves the model."""
    tool_rounds: int = 0
    """How often a model may ask to look things up before it must decide."""
    indicators: tuple[str, ...] = ()
    """The TA-Lib functions it may ask for."""
    daily_budget: Decimal | None = None
    """USD within a UTC day."""
    price: Price | None = None
    """Where the service lists none."""
    failures_allowed: int = 3
    """Cycles in a row without a usable answer, after which the account only manages what is open."""
    asks_again_after: timedelta = timedelta(minutes=30)
    """How often a model is asked all the same from then on."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """USD of a UTC day's budget, set aside for one question."""

    day: date
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The messages of one question. `version` names the template they were made from."""

    version: str
    system: str
    user: str
    turns: tuple[Mapping[str, Any], ...] = ()
    """What was said since: the model's own messages, as received, and the answers of the tools it called."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Every message in order, as chat completions take them."""
        opening = {"system": self.system, "user": self.user}
        return [{"role": role, "content": text} for role, text in opening.items()] + [dict(turn) for turn in self.turns]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One request to a model: answered, failed, or answered by calling tools, with neither content nor error.

    Money in USD.
    """

    purpose: Purpose = Purpose.DECISION
    turn: int = 0
    """How many answers of the same model, each asking for tools, came before."""
    asked_model: str
    answered_model: str | None
    provider: str | None
    prompt: Prompt
    parameters: dict[str, Any] = field(default_factory=dict)
    """What was sent beside the messages; the schema and the tools as their hashes."""
    content: str | None
    """The text of the answer; None when there was none."""
    raw: dict[str, Any] = field(default_factory=dict)
    """The reply as received, or what there was of it."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's."""
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    """Of the completion's."""
    cost: Decimal = Decimal(0)
    estimated: bool = False
    """True when the service did not say what it charged: then `cost` is the most it can have been."""
    latency_ms: int = 0
    error: str | None = None
    at: datetime

    @property
    def calls_tools(self) -> bool:
        """True when the model wants tools answered before it decides."""
        return self.content is None and self.error is None
