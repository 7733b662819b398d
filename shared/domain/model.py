"""What a language model was asked, what it answered, and what that cost."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The messages of one question. `version` names the template they were made from."""

    version: str
    system: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One request to a model, answered or failed. Money in USD."""

    asked_model: str
    answered_model: str | None
    provider: str | None
    prompt: Prompt
    content: str | None
    """The text of the answer; None when there was none."""
    raw: dict[str, Any] = field(default_factory=dict)
    """The reply as received, or what there was of it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)
    latency_ms: int = 0
    error: str | None = None
    at: datetime
