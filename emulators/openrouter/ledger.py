"""
What the service keeps of its answers: who spent what, and how each one came about.

Ids and the clock depend on the seed and on the number of answers alone: the same calls get the same ids again.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from emulators.openrouter.catalogue import CREATED, Model
from emulators.openrouter.wire import Json

KEPT_GENERATIONS = 10_000
TOTAL_CREDITS = Decimal(100)
# Required by clients, of no meaning here.
ABSENT = (
    "upstream_id",
    "cache_discount",
    "upstream_inference_cost",
    "app_id",
    "moderation_latency",
    "native_tokens_completion_images",
    "num_media_prompt",
    "num_input_audio_prompt",
    "num_media_completion",
    "num_search_results",
    "external_user",
    "router",
    "provider_responses",
    "user_agent",
    "http_referer",
    "service_tier",
    "session_id",
    "request_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One answer: its id, when it was made (seconds since 1970), its tokens and what they cost in USD."""

    id: str
    created: int
    model: Model
    finish_reason: str
    native_finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    prompt_cost: Decimal
    completion_cost: Decimal

    @property
    def cost(self) -> Decimal:
        return self.prompt_cost + self.completion_cost

    def record(self) -> Json:
        """The answer of `GET /generation`, without its `data` envelope."""
        return {
            **dict.fromkeys(ABSENT),
            "id": self.id,
            "model": self.model.slug,
            "provider_name": "Emulated",
            "created_at": datetime.fromtimestamp(self.created, UTC).isoformat(),
            "api_type": "completions",
            "origin": "",
            "finish_reason": self.finish_reason,
            "native_finish_reason": self.native_finish_reason,
            "tokens_prompt": self.prompt_tokens,
            "tokens_completion": self.completion_tokens,
            "native_tokens_prompt": self.prompt_tokens,
            "native_tokens_completion": self.completion_tokens,
            "native_tokens_reasoning": self.reasoning_tokens,
            "native_tokens_cached": 0,
            "total_cost": self.cost,
            "usage": self.cost,
            "latency": 1,
            "generation_time": 1,
            "streamed": False,
            "cancelled": False,
            "is_byok": False,
        }


@dataclass(slots=True)
class Ledger:
    """The books of one run of the emulator."""

    seed: int
    _issued: int = 0
    _usage: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    _generations: dict[str, Generation] = field(default_factory=dict)

    def next_id(self) -> tuple[str, int]:
        """A fresh generation id and the second it is made in."""
        self._issued += 1
        created = CREATED + self._issued
        digest = hashlib.sha256(f"{self.seed}:{self._issued}".encode()).hexdigest()
        return f"gen-{created}-{digest[:20]}", created

    def book(self, key: str, generation: Generation) -> None:
        """Charge *generation* to the API key *key*."""
        self._usage[key] += generation.cost
        self._generations[generation.id] = generation
        if len(self._generations) > KEPT_GENERATIONS:
            del self._generations[next(iter(self._generations))]

    def generation(self, generation_id: str) -> Generation | None:
        return self._generations.get(generation_id)

    def key(self, key: str) -> Json:
        """The answer of `GET /key`, without its `data` envelope. The key has no cap and never started a new day."""
        usage = self._usage[key]
        return {
            "label": "emulated",
            "limit": None,
            "limit_remaining": None,
            "limit_reset": None,
            "include_byok_in_limit": False,
            **dict.fromkeys(("usage", "usage_daily", "usage_weekly", "usage_monthly"), usage),
            **dict.fromkeys(("byok_usage", "byok_usage_daily", "byok_usage_weekly", "byok_usage_monthly"), 0),
            "is_free_tier": False,
            "is_management_key": False,
            "is_provisioning_key": False,
            "creator_user_id": None,
            "organization_id": None,
            "workspace_id": None,
            "expires_at": None,
            "allowed_data_regions": [],
            "budgets": [],
            "effective_budget": None,
            "free_model_daily_requests": {"used": 0, "limit": 50, "remaining": 50},
            "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
        }

    def credits(self) -> Json:
        return {"total_credits": TOTAL_CREDITS, "total_usage": sum(self._usage.values(), Decimal(0))}
