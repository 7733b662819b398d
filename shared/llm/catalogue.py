"""
What a service says of its models: price, size, what they understand, when they end.

Asked for when first needed and once a day from then on. A service without such a list is no reason not to trade: what
is not known is None.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from shared.domain.errors import ModelUnavailable
from shared.domain.model import ModelOptions, Price
from shared.domain.ports import Clock
from shared.llm.client import OpenRouterClient
from shared.llm.request import Feature

log = logging.getLogger("perpetua.llm")

KEPT_FOR = timedelta(days=1)
ASKED_AGAIN_AFTER = timedelta(minutes=10)
SECONDS = 10
NEAR_ITS_END = timedelta(days=14)
LARGEST_PRICE = Decimal(1)
"""USD per token."""
ROUTES = ("nitro", "floor", "online", "exacto", "extended")
"""Suffixes that choose a route to a model, and no other model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One model as its service lists it. None is what it does not say."""

    context_length: int | None
    longest_answer: int | None
    """In tokens."""
    price: Price | None
    understands: frozenset[str] | None
    """The names of the parameters it declares support for."""
    ends: date | None

    @property
    def lacks(self) -> frozenset[Feature]:
        """What it does not declare support for, as far as it declares any."""
        if self.understands is None:
            return frozenset()
        named = {
            Feature.TOOLS: "tools",
            Feature.JSON_SCHEMA: "structured_outputs",
            Feature.JSON_OBJECT: "response_format",
            Feature.SEED: "seed",
            Feature.TEMPERATURE: "temperature",
            Feature.REASONING: "reasoning",
        }
        lacks = {feature for feature, name in named.items() if name not in self.understands}
        if "max_tokens" not in self.understands and "max_completion_tokens" in self.understands:
            lacks.add(Feature.MAX_TOKENS)
        return frozenset(lacks)


class Catalogue:
    """The list of one service, for all that ask there."""

    def __init__(self, client: OpenRouterClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._entries: dict[str, Mapping[str, Any]] | None = None
        self._due: datetime | None = None
        self._asking = asyncio.Lock()

    async def listing(self, model: str) -> Listing | None:
        """Return what the service says of *model*; None when it does not list it, or lists nothing."""
        async with self._asking:  # whoever comes second wants the answer too
            await self._refresh()
        entries = self._entries or {}
        name, _, suffix = model.partition(":")
        entry = entries.get(model) or (entries.get(name) if suffix in ROUTES else None)
        return None if entry is None else _listing(entry)

    async def warning(self, model: str, options: ModelOptions) -> str | None:
        """Return in one line what is not as it should be with *model*; None when nothing is known to be wrong."""
        listing = await self.listing(model)
        if listing is None:
            listed = self._entries
            return f"{self._client.base_url} lists no model {model}: check the name" if listed else None
        problems = []
        if listing.ends is not None and listing.ends - self._clock.now().date() <= NEAR_ITS_END:
            problems.append(f"it ends on {listing.ends}")
        if listing.context_length is not None and listing.context_length <= options.max_tokens:
            problems.append(f"its {listing.context_length} tokens leave no room beside LLM_MAX_TOKENS")
        if options.daily_budget is not None and (listing.price or options.price) is None:
            problems.append("its price is not known: set LLM_PRICE, or the budget counts only what replies say")
        asked = {
            Feature.SEED: options.seed,
            Feature.TEMPERATURE: options.temperature,
            Feature.REASONING: options.reasoning,
            Feature.TOOLS: options.tool_rounds or None,
            Feature.JSON_SCHEMA: True,
        }
        if unknown := [feature.value for feature in listing.lacks if asked.get(feature) is not None]:
            problems.append(f"it does not declare {', '.join(sorted(unknown))}, which is left out")
        return f"model {model}: {'; '.join(problems)}" if problems else None

    async def _refresh(self) -> None:
        now = self._clock.now()
        if self._due is not None and now < self._due:
            return
        self._due = now + ASKED_AGAIN_AFTER
        try:
            entries = await self._client.models(seconds=SECONDS)
        except ModelUnavailable as exc:
            log.warning("no list of models", extra={"service": self._client.base_url, "why": str(exc)})
            return
        self._due = now + KEPT_FOR
        self._entries = {str(entry["id"]): entry for entry in entries if isinstance(entry, dict) and "id" in entry}


def _listing(entry: Mapping[str, Any]) -> Listing:
    understands, provider = entry.get("supported_parameters"), entry.get("top_provider")
    return Listing(
        context_length=_tokens(entry.get("context_length")),
        longest_answer=_tokens(provider.get("max_completion_tokens")) if isinstance(provider, dict) else None,
        price=_price(entry.get("pricing")),
        understands=frozenset(map(str, understands)) if isinstance(understands, list) and understands else None,
        ends=_date(entry.get("expiration_date")),
    )


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _price(pricing: object) -> Price | None:
    """Return the most that a token may cost, or None: dearer for long prompts, thoughts or some hours of the day."""
    if not isinstance(pricing, dict):
        return None
    overrides = pricing.get("overrides")
    listed = [pricing, *(each for each in (overrides if isinstance(overrides, list) else ()) if isinstance(each, dict))]

    def dearest(*names: str) -> Decimal | None:
        amounts = [_amount(each[name]) for each in listed for name in names if name in each]
        known = [amount for amount in amounts if amount is not None]
        return max(known) if known and len(known) == len(amounts) else None

    prompt, completion = dearest("prompt", "input_cache_write"), dearest("completion", "internal_reasoning")
    if prompt is None or completion is None:
        return None
    return Price(prompt=prompt, completion=completion, request=dearest("request") or Decimal(0))


def _amount(value: object) -> Decimal | None:
    """Return USD, or None for what is no price: routers that choose a model list a negative one."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= LARGEST_PRICE else None


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
