"""
What the service keeps of its answers: how each one came about and what it cost.

Ids depend on the seed, the number of answers and the clock alone: the same calls get the same ids again. The costs of
all generations of a key add up to what the key has spent, to the last digit.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from emulators.openrouter.clock import Clock
from emulators.openrouter.endpoints import Endpoint
from emulators.openrouter.wire import Json

KEPT_GENERATIONS = 10_000
# Required by clients, of no meaning here.
ABSENT = (
    "upstream_id",
    "upstream_inference_cost",
    "app_id",
    "moderation_latency",
    "native_tokens_completion_images",
    "num_media_prompt",
    "num_input_audio_prompt",
    "num_media_completion",
    "num_search_results",
    "num_fetches",
    "web_search_engine",
    "preset_id",
    "workspace_id",
    "external_user",
    "router",
    "provider_responses",
    "user_agent",
    "http_referer",
    "service_tier",
    "request_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One answer of *model*: its id, when it was made (seconds since 1970), its tokens and what they cost in USD."""

    id: str
    created: int
    model: str
    endpoint: Endpoint
    finish_reason: str | None
    native_finish_reason: str | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    is_charged: bool
    streamed: bool
    session_id: str | None

    @property
    def prompt_cost(self) -> Decimal:
        fresh = (self.prompt_tokens - self.cached_tokens) * self.endpoint.prompt_price
        return (fresh + self.cached_tokens * self.endpoint.cache_read_price) * self.is_charged

    @property
    def completion_cost(self) -> Decimal:
        return self.completion_tokens * self.endpoint.completion_price * self.is_charged

    @property
    def cost(self) -> Decimal:
        return self.prompt_cost + self.completion_cost

    @property
    def cache_discount(self) -> Decimal:
        saved = self.endpoint.prompt_price - self.endpoint.cache_read_price
        return self.cached_tokens * saved * self.is_charged

    def record(self) -> Json:
        """The answer of `GET /generation`, without its `data` envelope."""
        return {
            **dict.fromkeys(ABSENT),
            "id": self.id,
            "model": self.model,
            "provider_name": self.endpoint.provider.name,
            "created_at": datetime.fromtimestamp(self.created, UTC).isoformat(),
            "api_type": "completions",
            "origin": "",
            "data_region": "global",
            "finish_reason": self.finish_reason,
            "native_finish_reason": self.native_finish_reason,
            "tokens_prompt": self.prompt_tokens,
            "tokens_completion": self.completion_tokens,
            "native_tokens_prompt": self.prompt_tokens,
            "native_tokens_completion": self.completion_tokens,
            "native_tokens_reasoning": self.reasoning_tokens,
            "native_tokens_cached": self.cached_tokens,
            "cache_discount": self.cache_discount,
            "total_cost": self.cost,
            "usage": self.cost,
            "latency": self.endpoint.provider.latency_ms,
            "generation_time": self.completion_tokens * 1000 // self.endpoint.provider.throughput,
            "streamed": self.streamed,
            "cancelled": False,
            "is_byok": False,
            "session_id": self.session_id,
        }


@dataclass(slots=True)
class Ledger:
    """The answers of one run of the emulator, the latest ten thousand."""

    seed: int
    clock: Clock
    _issued: int = 0
    _generations: dict[str, tuple[str, Generation]] = field(default_factory=dict)

    def next_id(self) -> tuple[str, int]:
        """A fresh generation id and the second it is made in."""
        self._issued += 1
        created = self.clock.tick()
        digest = hashlib.sha256(f"{self.seed}:{self._issued}".encode()).hexdigest()
        return f"gen-{created}-{digest[:20]}", created

    def book(self, owner: str, generation: Generation) -> None:
        """Keep *generation* for whoever has the key of *owner*."""
        self._generations[generation.id] = owner, generation
        if len(self._generations) > KEPT_GENERATIONS:
            del self._generations[next(iter(self._generations))]

    def generation(self, owner: str, generation_id: str) -> Generation | None:
        """Nobody sees what another key has asked."""
        whose, found = self._generations.get(generation_id, ("", None))
        return found if whose == owner else None
