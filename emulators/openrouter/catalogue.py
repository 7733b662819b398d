"""The models on offer: a slug, a constant made-up price, and a character."""

from dataclasses import dataclass
from decimal import Decimal

from emulators.openrouter import characters, traders
from emulators.openrouter.characters import Character, well_behaved
from emulators.openrouter.wire import Json

CREATED = 1_760_000_000
"""When every model appeared, and when the emulator's clock starts: seconds since 1970."""
CONTEXT_LENGTH = 128_000
MAX_COMPLETION_TOKENS = 16_384
# All declare structured outputs, as real endpoints do; declared support is not enforced support.
SUPPORTED_PARAMETERS = ["max_tokens", "response_format", "seed", "structured_outputs", "temperature"]
ARCHITECTURE: Json = {
    "modality": "text->text",
    "input_modalities": ["text"],
    "output_modalities": ["text"],
    "tokenizer": "Other",
    "instruct_type": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model. Prices are USD per token."""

    slug: str
    prompt_price: Decimal
    completion_price: Decimal
    character: Character

    @property
    def name(self) -> str:
        return f"Emulated: {self.slug.partition('/')[2].replace('-', ' ').title()}"

    def pricing(self) -> Json:
        """Prices as the service lists them: decimal strings per token."""
        return {"prompt": format(self.prompt_price, "f"), "completion": format(self.completion_price, "f")}

    def listing(self) -> Json:
        """The entry of this model in `GET /models`."""
        return {
            "id": self.slug,
            "canonical_slug": self.slug,
            "name": self.name,
            "created": CREATED,
            "description": "A scripted trader. It costs nothing, whatever its price says.",
            "context_length": CONTEXT_LENGTH,
            "architecture": ARCHITECTURE,
            "pricing": {**self.pricing(), "request": "0"},
            "top_provider": {
                "is_moderated": False,
                "context_length": CONTEXT_LENGTH,
                "max_completion_tokens": MAX_COMPLETION_TOKENS,
            },
            "per_request_limits": None,
            "default_parameters": None,
            "supported_parameters": SUPPORTED_PARAMETERS,
            "supported_voices": None,
            "links": {"details": f"/api/v1/models/{self.slug}/endpoints"},
            "expiration_date": None,
        }

    def endpoints(self) -> Json:
        """The answer of `GET /models/{author}/{slug}/endpoints`, without its `data` envelope."""
        endpoint = {
            "name": f"Emulated | {self.slug}",
            "model_id": self.slug,
            "model_name": self.name,
            "provider_name": "Emulated",
            "tag": "emulated",
            "context_length": CONTEXT_LENGTH,
            "max_completion_tokens": MAX_COMPLETION_TOKENS,
            "max_prompt_tokens": None,
            "quantization": "unknown",
            "pricing": self.pricing(),
            "supported_parameters": SUPPORTED_PARAMETERS,
            "status": 0,
            "uptime_last_5m": None,
            "uptime_last_30m": 100,
            "uptime_last_1d": None,
            "latency_last_30m": None,
            "throughput_last_30m": None,
            "supports_implicit_caching": False,
            "supports_diarization": False,
            "service_tier": None,
            "native_tools": {},
            "supports_tool_choice": {"auto": False, "none": True, "required": False, "function": False},
        }
        return {
            "id": self.slug,
            "name": self.name,
            "created": CREATED,
            "description": "",
            "architecture": ARCHITECTURE,
            "endpoints": [endpoint],
        }


def _model(name: str, prompt_price: str, completion_price: str, character: Character) -> Model:
    """*name* without the author; prices in USD per million tokens, as price lists print them."""
    million = Decimal(1_000_000)
    return Model(
        slug=f"emulated/{name}",
        prompt_price=(Decimal(prompt_price) / million).normalize(),
        completion_price=(Decimal(completion_price) / million).normalize(),
        character=character,
    )


MODELS = {
    model.slug: model
    for model in (
        _model("rule-follower", "0.30", "1.20", well_behaved(traders.RULE_FOLLOWER)),
        _model("trend-follower", "0.50", "1.50", well_behaved(traders.TREND_FOLLOWER)),
        _model("contrarian", "0.40", "1.60", well_behaved(traders.CONTRARIAN)),
        _model("coward", "0.05", "0.20", well_behaved(traders.COWARD)),
        _model("over-trader", "3.00", "15.00", well_behaved(traders.OVER_TRADER)),
        _model("fenced", "0.10", "0.40", characters.fenced),
        _model("thinker", "0.60", "2.40", characters.thinker),
        _model("truncated", "0.10", "0.40", characters.truncated),
        _model("refuser", "2.00", "8.00", characters.refuser),
        _model("hallucinator", "0.02", "0.08", characters.hallucinator),
        _model("numbers-as-strings", "0.10", "0.40", characters.numbers_as_strings),
        _model("not-json", "0.10", "0.40", characters.not_json),
        _model("empty", "0.60", "2.40", characters.empty),
        _model("one-bad-item", "0.10", "0.40", characters.one_bad_item),
    )
}
