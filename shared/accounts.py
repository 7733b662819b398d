"""
The accounts that configuration names, with their credentials: one from plain variables, or many from `accounts.yaml`.

In the file `${VAR}` stands for a variable of the environment or of `.env`, so that no secret need be written into it.
What an entry leaves out, it takes from the plain variables, its exchange key excepted: two accounts with one wallet
would undo each other's work. In paper trading an account without a key gets a throw-away wallet of its own, always the
same one: the emulator opens a paper account for whoever signs correctly.

What was said of an account over the API goes before what the configuration says of it, field by field; an account that
was made over the API has nothing else. It is written as in the file, its secrets as `${VAR}` and in no other way.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from shared.domain.account import Account, Breaker, Cap, Grounding, RiskLimits
from shared.domain.model import ModelOptions, Price
from shared.durations import Duration
from shared.moments import Moment
from shared.secrets import remember
from shared.settings import (
    PAPER_MODEL,
    Budget,
    Fraction,
    HttpUrl,
    MaxTokens,
    Mode,
    Prices,
    ProviderPreferences,
    Reasoning,
    Settings,
    SettingsError,
    Temperature,
    Timeframes,
    ToolRounds,
    at_least_one,
    environment,
)

A_MILLION = 1_000_000
MOST_PROMPT = 50_000
"""Characters of a template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeKeys:
    """What signs for an account: a signer wallet's key (current), or an API key and its secret (legacy)."""

    private_key: SecretStr | None = None
    user: str | None = None
    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class ShadowModel:
    """A model that is asked what the account's own was, for comparison, with the account's prompt or one of its own."""

    model: str
    prompt_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredAccount:
    """An account, the keys it trades with, the prompt it is asked with, and the models it is compared with."""

    account: Account
    exchange_keys: ExchangeKeys
    model_key: SecretStr
    model_url: str
    prompt_file: Path | None = None
    prompt: str | None = None
    """The text of its template, where it was given as such."""
    shadows: tuple[ShadowModel, ...] = ()


class _Limits(BaseModel):
    model_config = ConfigDict(extra="forbid")

    max_leverage: int | None = Field(default=None, ge=1, le=125)
    max_position_fraction: Decimal | None = Field(default=None, gt=0)
    max_exposure_fraction: Decimal | None = Field(default=None, gt=0)
    max_positions: int | None = Field(default=None, ge=1)
    risk_per_trade: Fraction | None = None
    min_margin_left: Decimal | None = Field(default=None, ge=0, lt=1)
    min_stop_distance: Fraction | None = None
    max_stop_distance: Fraction | None = None
    min_reward_to_risk: Decimal | None = Field(default=None, ge=0)
    min_confidence: Decimal | None = Field(default=None, ge=0, le=1)
    max_daily_loss: Fraction | None = None
    max_drawdown: Fraction | None = None
    cooldown: Duration | None = None
    flip_cooldown: Duration | None = None
    max_funding_rate: Decimal | None = Field(default=None, ge=0)
    grounding: Grounding | None = None
    holding_time: Duration | None = None
    max_spread: Fraction | None = None
    max_price_move: Fraction | None = None
    max_quote_age: Duration | None = None
    min_flip_confidence: Decimal | None = Field(default=None, ge=0, le=1)
    max_entries_per_day: int | None = Field(default=None, ge=1)
    max_flips_per_day: int | None = Field(default=None, ge=0)
    clip: tuple[Cap, ...] | None = None
    max_exposure_held: Decimal | None = Field(default=None, gt=0)
    max_losses_in_a_row: int | None = Field(default=None, ge=1)
    max_model_failures: int | None = Field(default=None, ge=1)
    max_order_refusals: int | None = Field(default=None, ge=1)
    global_max_daily_loss: Fraction | None = None
    global_max_drawdown: Fraction | None = None
    global_max_exposure_fraction: Decimal | None = Field(default=None, gt=0)
    global_max_exposure_held: Decimal | None = Field(default=None, gt=0)
    cool_off: Duration | None = None
    lift_next_day: tuple[Breaker, ...] | None = None
    lift_by_hand: tuple[Breaker, ...] | None = None
    flatten_on: tuple[Breaker, ...] | None = None


class _Exchange(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    private_key: SecretStr | None = None
    user: str | None = None
    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.private_key is not None:
            key = self.private_key.get_secret_value().removeprefix("0x")
            if not re.fullmatch(r"[0-9A-Fa-f]{64}", key):
                raise ValueError("the private key must be 64 hexadecimal digits, with or without 0x")
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("the API key and the API secret go together: set both or neither")
        if self.private_key is not None and self.api_key is not None:
            raise ValueError("give a private key or an API key, not both")
        return self


class _Llm(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    api_key: SecretStr | None = None
    base_url: HttpUrl | None = None
    max_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    seed: int | None = None
    reasoning: Reasoning | None = None
    require_parameters: bool | None = None
    provider: ProviderPreferences | None = None
    daily_budget_usd: Budget | None = None
    price: Prices | None = None
    tool_rounds: ToolRounds | None = None
    tool_indicators: tuple[str, ...] | None = None
    failures_allowed: int | None = Field(default=None, ge=1)
    asks_again_after: Duration | None = None


class _Shadow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1)
    prompt_file: Path | None = None


def _symbols(value: Any) -> Any:
    return tuple(str(symbol).upper() for symbol in value) if isinstance(value, list) else value


class Entry(BaseModel):
    """What is said of an account in accounts.yaml, and over the API."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    symbols: Annotated[tuple[str, ...], BeforeValidator(_symbols), AfterValidator(at_least_one)] | None = None
    timeframes: Timeframes | None = None
    interval: Duration | None = None
    model: str | None = None
    fallback_models: tuple[str, ...] | None = None
    prompt_file: Path | None = None
    prompt: str | None = Field(default=None, min_length=1, max_length=MOST_PROMPT)
    shadows: tuple[_Shadow, ...] | None = None
    authority_until: Moment | None = None
    leverage: int | None = Field(default=None, ge=1, le=125)
    risk: _Limits = _Limits()
    exchange: _Exchange = _Exchange()
    llm: _Llm = _Llm()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    accounts: list[Entry] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [entry.id for entry in self.accounts]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"the id {twice[0]} is used twice")
        return self


def configured_accounts(settings: Settings) -> dict[str, ConfiguredAccount]:
    """Return the accounts by id, and have their secrets masked from now on. Raises SettingsError."""
    path = settings.accounts_file
    where = "" if path is None else f"{path}: "
    accounts = {
        account_id: made_account(entry, settings, where=where)
        for account_id, entry in configured_entries(settings).items()
    }
    require_one_account_a_key(accounts.values(), where)
    secrets = (settings.api_token, settings.database_url, settings.alert_webhook_url, settings.alert_webhook_secret)
    remember(secret.get_secret_value() for secret in (*secrets, *settings.alert_urls) if secret)
    return accounts


def configured_entries(settings: Settings) -> dict[str, Entry]:
    """Return what the configuration says of each account, by id. Raises SettingsError."""
    path = settings.accounts_file
    entries = _plain(settings) if path is None else _from_file(path)
    return {entry.id: entry for entry in entries}


def amended_entry(account_id: str, configured: Entry | None, said: Mapping[str, Any]) -> Entry:
    """Return *configured* with what was *said* of the account over the API before it. Raises SettingsError."""
    where = f"account {account_id}"
    base = configured.model_dump(exclude_unset=True) if configured else {}
    try:
        return Entry.model_validate(merged(base, _filled_in(said, where, environment())) | {"id": account_id})
    except ValidationError as exc:
        raise SettingsError(
            "\n".join(_problem(where, problem) for problem in exc.errors(include_input=False))
        ) from None


def merged(before: Any, patch: Any) -> Any:
    """Return *before* changed by *patch*: what it names is replaced, and null takes it away (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    after = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = merged(after.get(name), value)
    return after


def require_sayable(said: Mapping[str, Any]) -> None:
    """Refuse what is for the configuration alone: a secret itself, a file of the machine, where a key is sent to.

    Raises SettingsError with a line for each; none of them repeats a secret.
    """
    problems = [
        f"{group}.{name}: over the API a secret is named, never told: write ${{MAIN_KEY}} and set that variable"
        for group, names in SECRETS.items()
        for name in names
        if (value := _within(said, group, name)) is not None and not _names_a_variable(value)
    ]
    if "prompt_file" in said or any(
        "prompt_file" in each for each in said.get("shadows") or () if isinstance(each, dict)
    ):
        problems.append("prompt_file: names a file of the machine: over the API give the template itself as `prompt`")
    if _within(said, "llm", "base_url") is not None:
        problems.append("llm.base_url: where keys are sent to is said in the configuration alone")
    if stray := _references(said) - {
        f"{group}.{name}" for group, names in SECRETS.items() for name in (*names, "user")
    }:
        problems.append(f"{min(stray)}: a variable may be named for a key only")
    if problems:
        raise SettingsError("\n".join(problems))


SECRETS = {"exchange": ("private_key", "api_key", "api_secret"), "llm": ("api_key",)}


def _within(said: Mapping[str, Any], group: str, name: str) -> Any:
    inner = said.get(group)
    return inner.get(name) if isinstance(inner, Mapping) else None


def _names_a_variable(value: Any) -> bool:
    """One variable and nothing else; none of our own settings, such as the database's address."""
    found = re.fullmatch(r"\$\{(\w+)\}", value) if isinstance(value, str) else None
    return found is not None and found[1].lower() not in Settings.model_fields.keys() - MAY_BE_NAMED


MAY_BE_NAMED = {"asterdex_private_key", "asterdex_api_key", "asterdex_api_secret", "openrouter_api_key"}


def _references(value: Any, path: str = "") -> set[str]:
    """Return where in *value* a variable is named."""
    if isinstance(value, str):
        return {path} if "${" in value else set()
    if isinstance(value, Mapping):
        parts = [(f"{path}.{name}" if path else str(name), item) for name, item in value.items()]
    else:
        parts = [(path, item) for item in value] if isinstance(value, list) else []
    return {found for name, item in parts for found in _references(item, name)}


def require_one_account_a_key(accounts: Iterable[ConfiguredAccount], where: str = "") -> None:
    """Refuse two accounts with one key: at the exchange they are one, and each would undo the other's trades.

    Raises SettingsError.
    """
    owners: dict[str, str] = {}
    for found in accounts:
        secret = found.exchange_keys.private_key or found.exchange_keys.api_key
        key = secret.get_secret_value().removeprefix("0x").lower() if secret else ""
        other = owners.setdefault(key, found.account.id)
        if other != found.account.id:
            raise SettingsError(f"{where}accounts {other} and {found.account.id} have the same exchange key")


def _plain(settings: Settings) -> list[Entry]:
    try:
        exchange = _Exchange(
            private_key=settings.asterdex_private_key,
            user=settings.asterdex_user,
            api_key=settings.asterdex_api_key,
            api_secret=settings.asterdex_api_secret,
        )
    except ValidationError as exc:
        message = exc.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise SettingsError(f"ASTERDEX_PRIVATE_KEY, ASTERDEX_API_KEY: {message}") from None
    return [Entry(id=settings.account_id, exchange=exchange)]


def _from_file(path: Path) -> list[Entry]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise SettingsError(f"ACCOUNTS_FILE: {path} cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"ACCOUNTS_FILE: {path} is not UTF-8 text") from None
    try:
        return _File.model_validate(_filled_in(yaml.safe_load(text), path, environment())).accounts
    except yaml.YAMLError as exc:
        # Where, and nothing more: the error's own words quote the line, and a secret with it.
        mark = getattr(exc, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise SettingsError(f"{place}: this is not YAML: check colons, quotes and indentation") from None
    except ValidationError as exc:
        raise SettingsError("\n".join(_problem(path, problem) for problem in exc.errors(include_input=False))) from None


def _problem(path: Path | str, problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "there is no such setting"
    if problem["type"] == "model_type":
        message = "must be a mapping of names to values" if where else "must begin with `accounts:` and a list of them"
    return f"{path}: {where}: {message}" if where else f"{path}: {message}"


def _filled_in(value: Any, path: Path | str, variables: Mapping[str, str]) -> Any:
    """Replace `${VAR}` in the values that were read, not in the text: a comment or a quote in a secret stays inert."""
    if isinstance(value, str):

        def named(match: re.Match[str]) -> str:
            if not variables.get(match[1]):
                raise SettingsError(f"{path} refers to ${{{match[1]}}}, which is not set")
            return variables[match[1]]

        return re.sub(r"\$\{(\w+)\}", named, value)
    if isinstance(value, dict):
        return {key: _filled_in(item, path, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, path, variables) for item in value]
    return value


def made_account(entry: Entry, settings: Settings, *, where: str = "") -> ConfiguredAccount:
    """Return the account that *entry* and, for what it leaves out, *settings* describe; its secrets are masked now.

    Raises SettingsError.
    """
    paper = settings.trading_mode is Mode.PAPER
    model = entry.model or settings.llm_model or (PAPER_MODEL if paper else None)
    model_key = entry.llm.api_key or settings.openrouter_api_key or (SecretStr("paper") if paper else None)
    keys = ExchangeKeys(**dict(entry.exchange))
    if keys.private_key is None and keys.api_key is None and paper:
        keys = ExchangeKeys(private_key=_paper_wallet(entry.id))
    if keys.private_key is None and keys.api_key is None:
        name = "exchange.private_key" if where else "ASTERDEX_PRIVATE_KEY"
        raise SettingsError(f"{where}account {entry.id} has no exchange key: set {name}")
    if model is None:
        raise SettingsError(f"{where}account {entry.id} has no model: set LLM_MODEL, such as author/model-name")
    if model_key is None:
        raise SettingsError(f"{where}account {entry.id} has no model key: set OPENROUTER_API_KEY")
    limits = _limits(entry.risk, settings)
    if limits.min_stop_distance > limits.max_stop_distance:
        raise SettingsError(
            f"{where}account {entry.id} has RISK_MIN_STOP_DISTANCE above RISK_MAX_STOP_DISTANCE: no stop can be right"
        )
    for ours in ("max_exposure", "global_max_exposure"):
        if getattr(limits, f"{ours}_held") < getattr(limits, f"{ours}_fraction"):
            name = f"RISK_{ours.upper()}"
            raise SettingsError(
                f"{where}account {entry.id} has {name}_HELD below {name}_FRACTION: entries would trip the breaker"
            )
    account = Account(
        id=entry.id,
        symbols=entry.symbols or settings.assets,
        timeframes=entry.timeframes or settings.timeframes,
        interval=entry.interval or settings.interval,
        model=model,
        fallback_models=settings.llm_fallback_models if entry.fallback_models is None else entry.fallback_models,
        model_options=_options(entry.llm, settings),
        leverage=entry.leverage or settings.leverage,
        limits=limits,
        authority_until=entry.authority_until,
    )
    remember(
        secret.get_secret_value() for secret in (keys.private_key, keys.api_key, keys.api_secret, model_key) if secret
    )
    return ConfiguredAccount(
        account=account,
        exchange_keys=keys,
        model_key=model_key,
        model_url=entry.llm.base_url or settings.model_url,
        prompt_file=entry.prompt_file or settings.prompt_file,
        prompt=entry.prompt,
        shadows=_shadows(entry, settings),
    )


def _options(own: _Llm, settings: Settings) -> ModelOptions:
    def chosen(name: str) -> Any:
        stated = getattr(own, name)
        return getattr(settings, f"llm_{name}") if stated is None else stated

    temperature, reasoning, price = chosen("temperature"), chosen("reasoning"), chosen("price")
    thinking = {"max_tokens" if isinstance(reasoning, int) else "effort": reasoning}
    preferences = chosen("provider") or ProviderPreferences()
    strict = {"require_parameters": True} if chosen("require_parameters") else {}
    return ModelOptions(
        max_tokens=chosen("max_tokens"),
        temperature=None if temperature == "default" else temperature,
        seed=chosen("seed"),
        reasoning=None if reasoning is None else thinking,
        provider=strict | preferences.model_dump(mode="json", exclude_none=True),
        tool_rounds=chosen("tool_rounds"),
        indicators=tuple(name.upper() for name in chosen("tool_indicators")),
        daily_budget=chosen("daily_budget_usd"),
        price=price and Price(prompt=price[0] / A_MILLION, completion=price[1] / A_MILLION),
        failures_allowed=chosen("failures_allowed"),
        asks_again_after=chosen("asks_again_after"),
    )


def _shadows(entry: Entry, settings: Settings) -> tuple[ShadowModel, ...]:
    if entry.shadows is None:
        return tuple(ShadowModel(model) for model in settings.shadow_models)
    return tuple(ShadowModel(shadow.model, shadow.prompt_file) for shadow in entry.shadows)


def changed_limits(limits: RiskLimits, changes: Mapping[str, Any]) -> RiskLimits:
    """Return *limits* with *changes*, named and written as in the `risk` of an account. Raises SettingsError."""
    try:
        stated = _Limits.model_validate(changes)
    except ValidationError as exc:
        problem = exc.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, _Limits.model_fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_Limits.model_fields)}"
            raise SettingsError(f"{name} is no limit: {hint}") from None
        raise SettingsError(f"{name}: {problem['msg'].removeprefix('Value error, ')}") from None
    return replace(limits, **{name: getattr(stated, name) for name in stated.model_fields_set})


def _limits(own: _Limits, settings: Settings) -> RiskLimits:
    values = {}
    for name in _Limits.model_fields:
        common = getattr(settings, name if name == "risk_per_trade" else f"risk_{name}")
        stated = getattr(own, name)
        values[name] = common if stated is None else stated
    return RiskLimits(**values)


def _paper_wallet(account_id: str) -> SecretStr:
    return SecretStr(hashlib.sha256(f"perpetua paper account {account_id}".encode()).hexdigest())
