"""The models on offer: a slug, a constant made-up price, a character, and what goes wrong with it by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType

from emulators.openrouter import analysts, characters, malformed, traders
from emulators.openrouter.characters import Character, well_behaved
from emulators.openrouter.clock import START
from emulators.openrouter.endpoints import BARE, EMULATED, SECONDHAND, SLOPPY, Endpoint, Provider
from emulators.openrouter.errors import AVAILABILITIES, MEANINGS
from emulators.openrouter.faults import KINDS, WITH_RETRY_AFTER, Fault
from emulators.openrouter.wire import Json

MILLION = Decimal(1_000_000)
CACHED = Decimal("0.1")
"""What a cached prompt token costs of one that is not."""
FREE = ":free"
VARIANTS = (FREE, ":nitro", ":floor", ":exacto", ":extended")
ARCHITECTURE: Json = {
    "modality": "text->text",
    "input_modalities": ["text"],
    "output_modalities": ["text"],
    "tokenizer": "Other",
    "instruct_type": None,
}
REASONING: Json = {
    "mandatory": False,
    "default_enabled": True,
    "supported_efforts": ["max", "xhigh", "high", "medium", "low", "minimal", "none"],
    "default_effort": "medium",
}
FOREVER = 600_000
"""Milliseconds no client waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """
    One model. Prices are USD per token, before a provider's surcharge.

    *troubles* befall its answers by themselves, the first whose dice say so. With *needs_its_thoughts* it refuses a
    conversation in which its own `reasoning_details` are missing. One that *is_boundless* heeds no `max_tokens`.
    """

    slug: str
    told: str
    prompt_price: Decimal
    completion_price: Decimal
    character: Character
    providers: tuple[Provider, ...] = (EMULATED,)
    context_length: int = 128_000
    max_completion_tokens: int = 16_384
    reasoning: Mapping[str, object] | None = None
    needs_its_thoughts: bool = False
    is_boundless: bool = False
    expires: str | None = None
    troubles: tuple[Fault, ...] = field(default=())

    @property
    def name(self) -> str:
        author, _, slug = self.slug.partition("/")
        return f"{author.title()}: {slug.replace('-', ' ').title()}"

    @property
    def is_free(self) -> bool:
        return self.slug.endswith(FREE)

    @property
    def supported_parameters(self) -> list[str]:
        """What any of its providers supports."""
        return sorted({parameter for provider in self.providers for parameter in provider.supports})

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                provider=provider,
                prompt_price=self.prompt_price * provider.surcharge,
                completion_price=self.completion_price * provider.surcharge,
                cache_read_price=self.prompt_price * provider.surcharge * CACHED,
                max_completion_tokens=self.max_completion_tokens,
            )
            for provider in self.providers
        ]

    def listing(self) -> Json:
        """The entry of this model in `GET /models`."""
        first = self.endpoints[0]
        return {
            "id": self.slug,
            "canonical_slug": self.slug,
            "name": self.name,
            "created": START,
            "description": f"A scripted model. {self.told}",
            "context_length": self.context_length,
            "architecture": ARCHITECTURE,
            "pricing": {**_pricing(first), "request": "0"},
            "top_provider": {
                "is_moderated": False,
                "context_length": self.context_length,
                "max_completion_tokens": self.max_completion_tokens,
            },
            "per_request_limits": None,
            "default_parameters": None,
            "supported_parameters": self.supported_parameters,
            "supported_voices": None,
            "links": {"details": f"/api/v1/models/{self.slug}/endpoints"},
            "expiration_date": self.expires,
            **({"reasoning": dict(self.reasoning)} if self.reasoning else {}),
        }

    def endpoint_listing(self) -> Json:
        """The answer of `GET /models/{author}/{slug}/endpoints`, without its `data` envelope."""
        return {
            "id": self.slug,
            "name": self.name,
            "created": START,
            "description": self.told,
            "architecture": ARCHITECTURE,
            "endpoints": [self._endpoint_entry(endpoint) for endpoint in self.endpoints],
        }

    def _endpoint_entry(self, endpoint: Endpoint) -> Json:
        provider = endpoint.provider
        tools = "tools" in provider.supports
        latency = {f"p{part}": provider.latency_ms * part // 50 for part in (50, 75, 90, 99)}
        throughput = {f"p{part}": provider.throughput * 50 // part for part in (50, 75, 90, 99)}
        return {
            "name": f"{provider.name} | {self.slug}",
            "model_id": self.slug,
            "model_name": self.name,
            "provider_name": provider.name,
            "tag": provider.tag,
            "context_length": self.context_length,
            "max_completion_tokens": self.max_completion_tokens,
            "max_prompt_tokens": None,
            "quantization": provider.quantization,
            "pricing": _pricing(endpoint),
            "supported_parameters": sorted(provider.supports),
            "status": 0,
            "uptime_last_5m": None,
            "uptime_last_30m": 100,
            "uptime_last_1d": None,
            "latency_last_30m": latency,
            "throughput_last_30m": throughput,
            "supports_implicit_caching": True,
            "supports_diarization": False,
            "service_tier": None,
            "native_tools": {},
            "supports_tool_choice": dict.fromkeys(("auto", "required", "function"), tools) | {"none": True},
        }


def _pricing(endpoint: Endpoint) -> Json:
    """Prices as the service lists them: decimal strings per token."""
    return {
        "prompt": format(endpoint.prompt_price, "f"),
        "completion": format(endpoint.completion_price, "f"),
        "input_cache_read": format(endpoint.cache_read_price, "f"),
    }


def _model(
    name: str,
    told: str,
    character: Character,
    *,
    prices: tuple[str, str] = ("0.10", "0.40"),
    author: str = "emulated",
    providers: tuple[Provider, ...] = (EMULATED,),
    troubles: tuple[Fault, ...] = (),
    is_boundless: bool = False,
) -> Model:
    """*prices* of prompt and completion in USD per million tokens, as price lists print them."""
    slug = f"{author}/{name}"
    prompt_price, completion_price = ((Decimal(price) / MILLION).normalize() for price in prices)
    return Model(
        slug=slug,
        told=told,
        prompt_price=prompt_price,
        completion_price=completion_price,
        character=character,
        providers=providers,
        troubles=tuple(replace(each, model=slug) for each in troubles),
        is_boundless=is_boundless,
    )


def _trouble(kind: str, **fields: object) -> Fault:
    return Fault(kind=kind, count=None, **fields)  # type: ignore[arg-type]


FOLLOWER = well_behaved(traders.RULE_FOLLOWER)
HOUSES = (EMULATED, SECONDHAND, SLOPPY, BARE)
FLAKY = tuple(
    _trouble(kind, probability=0.05, **fields)
    for kind, fields in (
        ("status", {"status": 429, "retry_after": 1}),
        ("status", {"status": 503}),
        ("status", {"status": 502}),
        ("200-with-error", {}),
        ("choice-error", {}),
        ("html", {"status": 524}),
        ("empty", {}),
        ("reset", {}),
    )
)

_TRADERS = (
    _model(
        "rule-follower",
        "Joins a trend after a pullback, stays within every limit, keeps its plans. Served by four houses.",
        FOLLOWER,
        prices=("0.30", "1.20"),
        providers=HOUSES,
    ),
    _model(
        "trend-follower",
        "Follows strong trends.",
        well_behaved(traders.TREND_FOLLOWER),
        prices=("0.50", "1.50"),
        providers=(EMULATED, SECONDHAND),
    ),
    _model(
        "contrarian",
        "Fades closes outside the Bollinger bands.",
        well_behaved(traders.CONTRARIAN),
        prices=("0.40", "1.60"),
    ),
    _model("coward", "Always holds.", well_behaved(traders.COWARD), prices=("0.05", "0.20")),
    _model("over-trader", "Chases every candle.", well_behaved(traders.OVER_TRADER), prices=("3.00", "15.00")),
    _model("gambler", "Decides by dice: anything valid, the same for the same question.", characters.gambler),
    _model("flipper", "Takes the other side of its last decision, every time.", characters.flipper),
    _model("planner", "Opens everything, each with another kind of machine-checkable exit.", characters.planner),
    _model("fabulist", "Opens soundly and cites prices it was never shown.", characters.fabulist),
)
_MISBEHAVING = (
    _model("fenced", "A fence and prose around its answer.", characters.fenced),
    _model("thinker", "Thinks aloud in its answer.", characters.thinker, prices=("0.60", "2.40")),
    _model("truncated", "Stops in the middle.", characters.truncated),
    _model("refuser", "Refuses.", characters.refuser, prices=("2.00", "8.00")),
    _model(
        "hallucinator",
        "Opens everything, stops on the wrong side, leverage of 1000, and a coin nobody listed.",
        characters.hallucinator,
        prices=("0.02", "0.08"),
    ),
    _model("numbers-as-strings", "Writes every number in quotes.", characters.numbers_as_strings),
    _model("not-json", "Answers in prose.", characters.not_json),
    _model("empty", "Spends its tokens on thinking.", characters.empty, prices=("0.60", "2.40")),
    _model("cold", "Says nothing, for no reason and no charge.", characters.cold),
    _model("one-bad-item", "One decision of several is broken.", characters.one_bad_item),
    _model("echo", "Says its prompt back.", characters.echo),
    _model("novelist", "Ten megabytes of prose.", characters.novelist, is_boundless=True),
    _model("surrogates", "Half a surrogate pair in every sentence.", characters.surrogates),
)
_THINKING = (
    replace(
        _model(
            "reasoner",
            "Thinks as much as `reasoning` and `max_tokens` say, and is billed for it.",
            characters.reasoner,
            prices=("0.60", "2.40"),
        ),
        reasoning=MappingProxyType(REASONING),
    ),
    replace(
        _model("brooder", "Must think: refuses to be told not to.", characters.reasoner, prices=("0.60", "2.40")),
        reasoning=MappingProxyType(REASONING | {"mandatory": True}),
    ),
)
_TOOL_CALLING = (
    _model("analyst", "Three rounds of tools, two calls in each, then decides.", analysts.analyst),
    _model("single-caller", "Every tool once, one in a round, then decides.", analysts.single_caller),
    _model("insatiable", "Calls tools as long as there are any.", analysts.insatiable),
    _model("tireless", "Calls a tool whatever it is told.", analysts.tireless),
    _model("clumsy-caller", "Five rounds of bad arguments, one of good ones, then decides.", analysts.clumsy_caller),
    _model("tool-inventor", "Calls a tool nobody offered, twice, then decides.", analysts.tool_inventor),
    _model("same-id-caller", "Two calls with one id, then decides.", analysts.same_id_caller),
    replace(
        _model(
            "thinking-analyst",
            "An analyst who insists on its `reasoning_details` coming back.",
            analysts.thinking_analyst,
        ),
        needs_its_thoughts=True,
    ),
)
_ODD_HOUSES = (
    _model("sloppy", "Its only house knows JSON mode and no schemas.", FOLLOWER, providers=(SLOPPY,)),
    _model("bare", "Its only house knows no response formats and no tools.", FOLLOWER, providers=(BARE,)),
    replace(
        _model("small", "8192 tokens of context; the middle of a longer prompt is lost, unless forbidden.", FOLLOWER),
        context_length=8192,
        max_completion_tokens=2048,
    ),
    replace(_model("leaver", "Its listing says that it ends on 20 October 2025.", FOLLOWER), expires="2025-10-20"),
    _model("slow", "Two seconds of silence.", FOLLOWER, troubles=(_trouble("slow-first-byte", ms=2000),)),
    _model("mute", "Ten minutes of silence.", FOLLOWER, troubles=(_trouble("slow-first-byte", ms=FOREVER),)),
    _model("dripper", "Two seconds of white space.", FOLLOWER, troubles=(_trouble("whitespace-drip", ms=2000),)),
    _model(
        "endless-dripper", "Ten minutes of white space.", FOLLOWER, troubles=(_trouble("whitespace-drip", ms=FOREVER),)
    ),
    _model("flaky", "Fails a third of the time, by the emulator's seed.", FOLLOWER, troubles=FLAKY),
)
_MALFORMED = tuple(
    _model(
        name,
        f"Malformed case {case.number}: {case.told}; to be {case.verdict}.",
        case,
        author="malformed",
        is_boundless=True,
    )
    for name, case in malformed.CASES.items()
)
_FAULTY = (
    *(
        _model(
            str(status),
            f"Always HTTP {status}.",
            FOLLOWER,
            author="faulty",
            troubles=(_trouble("status", status=status),),
        )
        for status in MEANINGS
    ),
    *(
        _model(
            f"{status}-retry-after",
            f"Always HTTP {status}, with a Retry-After of 1.",
            FOLLOWER,
            author="faulty",
            troubles=(_trouble("status", status=status, retry_after=1),),
        )
        for status in WITH_RETRY_AFTER
    ),
    *(
        _model(
            code,
            f"Always the availability error {code}.",
            FOLLOWER,
            author="faulty",
            troubles=(_trouble("availability", code=code),),
        )
        for code in AVAILABILITIES
    ),
    *(
        _model(kind, f"Always {told}.", FOLLOWER, author="faulty", troubles=(_trouble(kind),))
        for kind, told in KINDS.items()
        if kind not in {"status", "availability"}
    ),
)

MODELS: Mapping[str, Model] = {
    model.slug: model
    for model in (*_TRADERS, *_MISBEHAVING, *_THINKING, *_TOOL_CALLING, *_ODD_HOUSES, *_MALFORMED, *_FAULTY)
}


def find(slug: str) -> Model | None:
    """The model of *slug*, which may carry a variant such as `:free` or `:nitro`."""
    variant = next((each for each in VARIANTS if slug.endswith(each)), "")
    model = MODELS.get(slug.removesuffix(variant))
    if model is None or not variant:
        return model
    if variant == FREE:
        model = replace(model, prompt_price=Decimal(0), completion_price=Decimal(0))
    return replace(model, slug=slug)
