"""The `provider` object of a request: which endpoints it may go to."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from emulators.openrouter.errors import ServiceError

SORTS = ("price", "throughput", "latency")
QUANTIZATIONS = ("int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown")
LISTS = ("order", "only", "ignore", "quantizations")
SWITCHES = ("allow_fallbacks", "require_parameters", "zdr", "enforce_distillable_text")
REORDERS = ("preferred_min_throughput", "preferred_max_latency", "options")
KNOWN = frozenset({*LISTS, *SWITCHES, *REORDERS, "data_collection", "sort", "max_price"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Providers by name or tag in lower case; prices in USD per token."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    quantizations: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    denies_collection: bool = False
    zdr: bool = False
    sort: str | None = None
    max_prompt_price: Decimal | None = None
    max_completion_price: Decimal | None = None


def read_preferences(document: object) -> Preferences:
    """Read the object; a `ServiceError` of status 400 says what is wrong with it."""
    if not isinstance(document, dict):
        _refuse("provider must be an object")
    unknown = sorted(document.keys() - KNOWN)
    if unknown:
        _refuse(f"provider: Unrecognized key(s) in object: '{unknown[0]}'")
    stated = {name: value for name, value in document.items() if value is not None}
    for name in LISTS:
        if not isinstance(stated.get(name, []), list) or not all(
            isinstance(each, str) for each in stated.get(name, [])
        ):
            _refuse(f"provider.{name} must be an array of strings")
    for name in SWITCHES:
        if not isinstance(stated.get(name, False), bool):
            _refuse(f"provider.{name} must be true or false")
    if stated.get("data_collection", "allow") not in ("allow", "deny"):
        _refuse("provider.data_collection must be allow or deny")
    if not set(stated.get("quantizations", [])) <= set(QUANTIZATIONS):
        _refuse(f"provider.quantizations: known are {', '.join(QUANTIZATIONS)}")
    sort = stated.get("sort")
    by = sort.get("by") if isinstance(sort, dict) else sort
    if by is not None and by not in SORTS:
        _refuse(f"provider.sort must be one of {', '.join(SORTS)}")
    prices = stated.get("max_price", {})
    if not isinstance(prices, dict):
        _refuse("provider.max_price must be an object")
    return Preferences(
        order=_names(stated, "order"),
        only=_names(stated, "only"),
        ignore=_names(stated, "ignore"),
        quantizations=_names(stated, "quantizations"),
        allow_fallbacks=stated.get("allow_fallbacks", True),
        require_parameters=stated.get("require_parameters", False),
        denies_collection=stated.get("data_collection") == "deny",
        zdr=stated.get("zdr", False),
        sort=by,
        max_prompt_price=_price(prices, "prompt"),
        max_completion_price=_price(prices, "completion"),
    )


def _names(stated: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(each.lower() for each in stated.get(name, []))


def _price(prices: Mapping[str, Any], name: str) -> Decimal | None:
    """USD per token from USD per million, as a number or its text: the service's documents show one, its client sends
    the other."""
    value = prices.get(name)
    if value is None:
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        price = Decimal("NaN")
    if isinstance(value, bool) or not price.is_finite() or price < 0:
        _refuse(f"provider.max_price.{name} must be a price in USD per million tokens")
    return price / 1_000_000


def _refuse(message: str) -> NoReturn:
    raise ServiceError(400, message)
