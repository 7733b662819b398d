"""
Every knob the operator has, read once from the environment and `.env`; nothing else looks at the environment.

`ENVIRONMENT` chooses the variant: development (the default), testing or production. Units stand in the names, secrets
are hidden, and a set-up that cannot work is refused at the door, in one line that names the variable.
"""

import base64
import difflib
import json
import math
import os
import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.domain.account import Breaker, Cap, Grounding
from shared.domain.authority import Terms
from shared.domain.errors import PerpetuaError
from shared.domain.market import Timeframe
from shared.durations import Duration

DOTENV = ".env"
ALL_BUT = 0.85
"""How alike a name must be to one of ours to be taken for it misspelled."""
OUR_PREFIXES = ("ALERT_", "ASTERDEX_", "OPENROUTER_", "LLM_", "RISK_", "INDICATOR_")
LIVE_CONFIRMATION = "yes, with real money"
CURRENT_DATA = Path(".perpetua/current")
"""By default every market has a folder of its own under `.perpetua`; this one leads to the one last traded on, and
stands for the one that is in use."""

LEAST_RETENTION = timedelta(days=7)
LEAST_ON_RECORD = timedelta(days=90)
"""A window of 300 candles of half an hour is hardly shorter."""

RAISE_DELAY = timedelta(hours=24)
LEAST_RAISE_DELAY = timedelta(hours=1)
"""With real money: a setting that took the delay away would be a way around it."""

HOTTEST = 2
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

LOOPBACK = {"127.0.0.1", "localhost", "::1"}

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets begin
LEAST_WEBHOOK_SECRET = 24
SERVICE_URL = re.compile(r"[a-z][a-z0-9]{1,31}://\S+")


class SettingsError(PerpetuaError):
    """The configuration cannot work. One line a problem, each naming the variable and what to do."""


class Mode(StrEnum):
    """Whose exchange: the emulator's, the test network's or the real one's. Nothing else differs."""

    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"


EXCHANGE_URL = {
    Mode.PAPER: "http://127.0.0.1:3001",
    Mode.TESTNET: "https://fapi.asterdex-testnet.com",
    Mode.LIVE: "https://fapi.asterdex.com",
}
MODEL_URL = {
    Mode.PAPER: "http://127.0.0.1:3002/api/v1",
    Mode.TESTNET: "https://openrouter.ai/api/v1",
    Mode.LIVE: "https://openrouter.ai/api/v1",
}
STREAM_URL = {Mode.TESTNET: "wss://fstream5.asterdex-testnet.com", Mode.LIVE: "wss://fstream.asterdex.com"}
"""An exchange on paper serves its streams where it serves everything."""
PAPER_MODEL = "emulated/rule-follower"


def _words(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _words_or_none(value: Any) -> Any:
    """An empty value counts as not set, so what is to be an empty list is written `none`."""
    return () if value == "none" else _words(value)


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('must be JSON such as {"data_collection": "deny"}') from None


def _temperature(value: Any) -> Any:
    try:
        number = None if value == "default" else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if number is not None and not 0 <= number <= HOTTEST:
        raise ValueError(f"must be `default` or a number from 0 to {HOTTEST}")
    return value if number is None else number


def _reasoning(value: Any) -> Any:
    if value in EFFORTS:
        return value
    if isinstance(value, bool) or not str(value).isdecimal() or int(value) < 1:
        raise ValueError(f"must be {', '.join(EFFORTS)}, or a number of tokens")
    return int(value)


def at_least_one(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *value*. Raises ValueError when there is nothing in it."""
    if not value:
        raise ValueError("must name at least one")
    return value


def _address(*schemes: str) -> AfterValidator:
    """Return what accepts an address of one of the *schemes*, the last of which an example shows."""

    def check(value: str) -> str:
        parts = urlsplit(value)
        try:
            complete = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:  # the port is no number, or too large for one
            complete = False
        if not complete:
            raise ValueError(f"must be an address such as {schemes[-1]}://example.com:8443")
        return value.rstrip("/")

    return AfterValidator(check)


def _postgres_url(value: SecretStr) -> SecretStr:
    # No parser here: what it says of a bad address quotes the password.
    scheme = value.get_secret_value().partition("://")[0]
    if scheme not in {"postgres", "postgresql", "postgresql+asyncpg"}:
        raise ValueError("must be a PostgreSQL address such as postgresql://user:password@host:5432/name")
    return value


def _webhook_url(value: SecretStr) -> SecretStr:
    # Secret as a whole: the path of such an address is often what lets a message in.
    parts = urlsplit(value.get_secret_value())
    inside = parts.hostname in LOOPBACK or "." not in (parts.hostname or ".")
    if not parts.hostname or parts.scheme not in ({"https", "http"} if inside else {"https"}):
        raise ValueError("must be an address such as https://example.com/alerts; http:// stays on this machine")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(value.get_secret_value().removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not value.get_secret_value().startswith(WEBHOOK_SECRET_PREFIX) or len(key) < LEAST_WEBHOOK_SECRET:
        raise ValueError(f"must be {WEBHOOK_SECRET_PREFIX} and at least {LEAST_WEBHOOK_SECRET} random bytes in base64")
    return value


def _service_urls(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for number, url in enumerate(value, 1):
        if not SERVICE_URL.match(url.get_secret_value()):
            raise ValueError(f"address {number} is no address of apprise, such as slack://… or mailto://…")
    return value


def _long_enough(value: timedelta | None) -> timedelta | None:
    if value is not None and value < LEAST_RETENTION:
        raise ValueError(f"must be at least {LEAST_RETENTION.days}d: indicators look back so far")
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or f"{parts.scheme}://{parts.netloc}" != origin or not parts.hostname:
            raise ValueError(f"{origin!r} is no origin: write it like https://desk.example.com, without a path")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for network in value:
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(f"{network!r} is no address or network: write it like 10.0.0.5 or 10.0.0.0/24") from None
    return value


def _recent_enough(value: timedelta | None) -> timedelta | None:
    if value is not None and value < LEAST_RETENTION:
        raise ValueError(f"must be at least {LEAST_RETENTION.days}d: the review and the model look back so far")
    return value


def _long_on_record(value: timedelta | None) -> timedelta | None:
    if value is not None and value < LEAST_ON_RECORD:
        raise ValueError(f"must be at least {LEAST_ON_RECORD.days}d: who did what has to be there when it is asked for")
    return value


def _an_hour_at_least(value: timedelta) -> timedelta:
    if value < timedelta(hours=1):
        raise ValueError("must be at least 1h: whoever listens may be away for so long")
    return value


Period = Annotated[int, Field(ge=1, le=250)]
"""In candles. Values are computed from 300 of them, so a longer one would hardly have any."""
Periods = Annotated[tuple[Period, ...], NoDecode, BeforeValidator(_words)]
ThreePeriods = Annotated[tuple[Period, Period, Period], NoDecode, BeforeValidator(_words)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Timeframes = Annotated[tuple[Timeframe, ...], AfterValidator(at_least_one)]
HttpUrl = Annotated[str, _address("http", "https")]
StreamUrl = Annotated[str, _address("ws", "wss")]
Fraction = Annotated[Decimal, Field(gt=0, le=1)]
Caps = Annotated[tuple[Cap, ...], NoDecode, BeforeValidator(_words_or_none)]
Breakers = Annotated[tuple[Breaker, ...], NoDecode, BeforeValidator(_words_or_none)]


MaxTokens = Annotated[int, Field(ge=256)]
Temperature = Annotated[Literal["default"] | float, BeforeValidator(_temperature)]
"""Or the provider's own: some models take none."""
Reasoning = Annotated[str | int, BeforeValidator(_reasoning)]
"""How hard a model thinks, or for how many tokens."""
Budget = Annotated[Decimal, Field(ge=0)]
Prices = tuple[Budget, Budget]
"""USD for a million tokens: of the prompt, of the answer."""
ToolRounds = Annotated[int, Field(ge=0, le=8)]
TOOL_INDICATORS = (
    *("EMA", "SMA", "WMA", "DEMA", "TEMA", "KAMA", "BBANDS", "SAR"),
    *("RSI", "STOCH", "STOCHRSI", "MACD", "CCI", "MFI", "WILLR", "ROC", "MOM", "AROON", "ULTOSC"),
    *("ADX", "PLUS_DI", "MINUS_DI", "ATR", "NATR", "OBV", "AD", "ADOSC", "STDDEV", "LINEARREG_SLOPE"),
)


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MaxPrice(_Wire):
    """USD for a million tokens, or for one request."""

    prompt: float | None = Field(default=None, ge=0)
    completion: float | None = Field(default=None, ge=0)
    request: float | None = Field(default=None, ge=0)


class ProviderPreferences(_Wire):
    """OpenRouter's `provider` object, checked: one unknown key would have every question refused."""

    order: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    allow_fallbacks: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    quantizations: tuple[str, ...] | None = None
    sort: Literal["price", "throughput", "latency"] | None = None
    max_price: MaxPrice | None = None
    preferred_min_throughput: float | None = Field(default=None, gt=0)
    preferred_max_latency: float | None = Field(default=None, gt=0)


class Settings(BaseSettings):
    """The settings shared by every variant."""

    model_config = SettingsConfigDict(env_file=DOTENV, extra="ignore", frozen=True, env_ignore_empty=True)

    environment: Literal["development", "testing", "production"] = "development"

    trading_mode: Mode = Mode.PAPER
    live_trading_confirmed: str = ""

    # The account named by plain variables; ACCOUNTS_FILE names many.
    account_id: str = Field(default="main", pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    accounts_file: Path | None = None
    assets: Annotated[Words, AfterValidator(at_least_one)] = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    interval: Duration = Field(default="5m", validate_default=True)
    timeframes: Annotated[Timeframes, NoDecode, BeforeValidator(_words)] = (Timeframe.M5, Timeframe.H4)
    indicator_ema: Periods = (20, 50)
    indicator_sma: Periods = (50,)
    indicator_rsi: Periods = (7, 14)
    indicator_atr: Periods = (3, 14)
    indicator_adx: Periods = (14,)
    indicator_macd: ThreePeriods = (12, 26, 9)
    indicator_bollinger: int = Field(default=20, ge=2, le=250)
    indicator_bollinger_width: FiniteFloat = Field(default=2, gt=0)
    indicator_stochastic: ThreePeriods = (14, 3, 3)
    leverage: int = Field(default=3, ge=1, le=125)
    llm_model: str | None = None
    llm_fallback_models: Words = ()

    asterdex_base_url: HttpUrl | None = None
    egress: str | None = None
    asterdex_stream_url: StreamUrl | None = None
    streams: bool = True
    asterdex_private_key: SecretStr | None = None
    asterdex_user: str | None = None
    asterdex_api_key: SecretStr | None = None
    asterdex_api_secret: SecretStr | None = None

    openrouter_base_url: HttpUrl | None = None
    openrouter_api_key: SecretStr | None = None
    llm_timeout_seconds: FiniteFloat = Field(default=90, gt=0)
    llm_max_tokens: MaxTokens = 8000
    llm_temperature: Temperature = 0.2
    llm_seed: int | None = None
    llm_reasoning: Reasoning | None = None
    llm_require_parameters: bool = True
    llm_provider: Annotated[ProviderPreferences | None, NoDecode, BeforeValidator(_json)] = None
    llm_daily_budget_usd: Budget = Decimal(10)
    llm_price: Annotated[Prices | None, NoDecode, BeforeValidator(_words)] = None
    llm_tool_rounds: ToolRounds = 2
    llm_tool_indicators: Words = TOOL_INDICATORS
    llm_failures_allowed: int = Field(default=3, ge=1)
    llm_asks_again_after: Duration = Field(default="30m", validate_default=True)
    prompt_file: Path | None = None
    shadow_models: Words = ()
    shadow_budget_fraction: Decimal = Field(default=Decimal("0.25"), ge=0, le=1)

    risk_max_leverage: int = Field(default=5, ge=1, le=125)
    risk_max_position_fraction: Decimal = Field(default=Decimal("0.5"), gt=0)
    risk_max_exposure_fraction: Decimal = Field(default=Decimal("1.5"), gt=0)
    risk_max_positions: int = Field(default=3, ge=1)
    risk_per_trade: Fraction = Decimal("0.02")
    risk_min_margin_left: Decimal = Field(default=Decimal("0.1"), ge=0, lt=1)
    risk_min_stop_distance: Fraction = Decimal("0.002")
    risk_max_stop_distance: Fraction = Decimal("0.10")
    risk_min_reward_to_risk: Decimal = Field(default=Decimal("1.2"), ge=0)
    risk_min_confidence: Decimal = Field(default=Decimal("0.5"), ge=0, le=1)
    risk_max_daily_loss: Fraction = Decimal("0.05")
    risk_max_drawdown: Fraction = Decimal("0.20")
    risk_cooldown: Duration = Field(default="15m", validate_default=True)
    risk_flip_cooldown: Duration = Field(default="1h", validate_default=True)
    risk_max_funding_rate: Decimal = Field(default=Decimal("0.001"), ge=0)
    risk_grounding: Grounding = Grounding.REFUSE_CLAIMS
    risk_holding_time: Duration = Field(default="8h", validate_default=True)
    risk_max_spread: Fraction = Decimal("0.002")
    risk_max_price_move: Fraction = Decimal("0.005")
    risk_max_quote_age: Duration = Field(default="60s", validate_default=True)
    risk_min_flip_confidence: Decimal = Field(default=Decimal("0.6"), ge=0, le=1)
    risk_max_entries_per_day: int = Field(default=50, ge=1)
    risk_max_flips_per_day: int = Field(default=6, ge=0)
    risk_clip: Caps = tuple(Cap)
    risk_max_exposure_held: Decimal = Field(default=Decimal(2), gt=0)
    risk_max_losses_in_a_row: int = Field(default=6, ge=1)
    risk_max_model_failures: int = Field(default=6, ge=1)
    risk_max_order_refusals: int = Field(default=6, ge=1)
    risk_global_max_daily_loss: Fraction = Decimal("0.05")
    risk_global_max_drawdown: Fraction = Decimal("0.20")
    risk_global_max_exposure_fraction: Decimal = Field(default=Decimal("1.5"), gt=0)
    risk_global_max_exposure_held: Decimal = Field(default=Decimal(2), gt=0)
    risk_cool_off: Duration = Field(default="4h", validate_default=True)
    risk_lift_next_day: Breakers = (Breaker.DAILY_LOSS, Breaker.GLOBAL_DAILY_LOSS)
    risk_lift_by_hand: Breakers = (Breaker.DRAWDOWN, Breaker.GLOBAL_DRAWDOWN)
    risk_flatten_on: Breakers = ()

    database_url: Annotated[SecretStr, AfterValidator(_postgres_url)] | None = None
    candle_retention: Annotated[Duration | None, AfterValidator(_long_enough)] = None
    record_retention: Annotated[Duration | None, AfterValidator(_recent_enough)] = None
    audit_retention: Annotated[Duration | None, AfterValidator(_long_on_record)] = None
    event_retention: Annotated[Duration, AfterValidator(_an_hour_at_least)] = Field(default="7d", validate_default=True)
    data_folder: Path = CURRENT_DATA
    postgres_bin: Path | None = None

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=3000, ge=0, le=65535)
    api_token: SecretStr | None = None
    cors_origins: Annotated[Words, AfterValidator(_origins)] = ()
    trusted_proxies: Annotated[Words, AfterValidator(_networks)] = ()
    api_rate: FiniteFloat = Field(default=100, gt=0)
    api_burst: int = Field(default=1000, ge=1)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_folder: Path | None = Path("logs")
    logging_config: Path | None = None

    alert_webhook_url: Annotated[SecretStr, AfterValidator(_webhook_url)] | None = None
    alert_webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] | None = None
    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_words), AfterValidator(_service_urls)] = ()
    alert_check_seconds: FiniteFloat = Field(default=15, ge=1)
    raise_delay: Duration | None = None
    authority_lasts: Duration = Field(default="30d", validate_default=True)

    protection_deadline_seconds: FiniteFloat = Field(default=30, ge=3)
    tick_delay_seconds: FiniteFloat = Field(default=2, ge=0)

    @field_validator("assets")
    @classmethod
    def _symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(symbol.upper() for symbol in value)

    @property
    def exchange_url(self) -> str:
        """Where the exchange of this mode answers."""
        return self.asterdex_base_url or EXCHANGE_URL[self.trading_mode]

    @property
    def egress_name(self) -> str:
        """What names the request limit: it is of this exchange, for all that comes from one address."""
        return f"{self.exchange_url} from {self.egress}" if self.egress else self.exchange_url

    @property
    def stream_url(self) -> str:
        """Where the exchange of this mode serves its streams."""
        own = STREAM_URL.get(self.trading_mode) or self.exchange_url.replace("http", "ws", 1)
        return self.asterdex_stream_url or own

    @property
    def model_url(self) -> str:
        """Where the models of this mode answer."""
        return self.openrouter_base_url or MODEL_URL[self.trading_mode]

    @property
    def terms(self) -> Terms:
        """On what terms accounts are allowed more: at once but for real money, unless a delay is set."""
        delay = self.raise_delay or (RAISE_DELAY if self.trading_mode is Mode.LIVE else timedelta(0))
        return Terms(mode=self.trading_mode, delay=delay, lasts=self.authority_lasts if delay else None)

    @property
    def chain_id(self) -> int:
        """The chain that signatures name: 1666 for the main network (and the emulator), 714 for the test network."""
        return 714 if self.trading_mode is Mode.TESTNET else 1666

    @property
    def guarded(self) -> bool:
        """Whether nothing is served without a token: everywhere but in development, on this machine alone."""
        return self.environment == "production" or self.api_host not in LOOPBACK or self.api_token is not None

    @model_validator(mode="after")
    def _whose_money(self) -> Self:
        if self.trading_mode is Mode.LIVE and self.live_trading_confirmed != LIVE_CONFIRMATION:
            raise ValueError(f"TRADING_MODE=live also needs LIVE_TRADING_CONFIRMED='{LIVE_CONFIRMATION}'")
        for name, url, secure in (
            ("ASTERDEX_BASE_URL", self.exchange_url, "https"),
            ("ASTERDEX_STREAM_URL", self.stream_url, "wss"),
        ):
            host = urlsplit(url).hostname or ""
            if self.trading_mode is not Mode.LIVE and host.rstrip(".").endswith("asterdex.com"):
                raise ValueError(f"{name} is the real exchange, but TRADING_MODE is {self.trading_mode.value}")
            if self.trading_mode is not Mode.PAPER and urlsplit(url).scheme != secure:
                raise ValueError(f"{name} must begin with {secure}:// outside paper trading")
        return self

    @model_validator(mode="after")
    def _webhooks_are_signed(self) -> Self:
        if self.alert_webhook_url is not None and self.alert_webhook_secret is None:
            raise ValueError("ALERT_WEBHOOK_URL needs ALERT_WEBHOOK_SECRET: messages are signed with it")
        return self

    @model_validator(mode="after")
    def _haste(self) -> Self:
        if self.trading_mode is Mode.LIVE and self.raise_delay and self.raise_delay < LEAST_RAISE_DELAY:
            raise ValueError("RAISE_DELAY must be at least 1h when TRADING_MODE=live")
        return self


class DevelopmentSettings(Settings):
    """A person at a terminal: everything has a default."""


class TestingSettings(Settings):
    """Tests: no `.env` and no log files, so that nothing of the machine leaks in or out."""

    __test__ = False
    model_config = SettingsConfigDict(env_file=None)
    environment: Literal["testing"] = "testing"
    log_folder: Path | None = None


class ProductionSettings(Settings):
    """A server: the database is named, and logs go to stdout for the platform to keep."""

    environment: Literal["production"] = "production"
    log_folder: Path | None = None

    @model_validator(mode="after")
    def _database_is_named(self) -> Self:
        if self.database_url is None:
            raise ValueError("DATABASE_URL must be set when ENVIRONMENT=production")
        return self


VARIANTS: dict[str, type[Settings]] = {
    "development": DevelopmentSettings,
    "testing": TestingSettings,
    "production": ProductionSettings,
}


def environment(dotenv: str | None = DOTENV) -> dict[str, str]:
    """Return the variables of `.env` and of the process, which wins. Raises SettingsError."""
    try:
        written = dotenv_values(dotenv) if dotenv else {}
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f".env cannot be read: {exc}") from None
    return {name: value for name, value in written.items() if value is not None} | dict(os.environ)


class _Choice(BaseSettings):
    """The one setting that says how the others are read."""

    model_config = SettingsConfigDict(env_file=DOTENV, extra="ignore", env_ignore_empty=True)
    environment: Literal["development", "testing", "production"] = "development"


def read_settings(**overrides: Any) -> Settings:
    """Read the settings of the variant that ENVIRONMENT names; *overrides* win over it all. Raises SettingsError."""
    problems = _unknown(environment())
    try:
        chosen = _Choice(**{name: value for name, value in overrides.items() if name == "environment"})
        settings = VARIANTS[chosen.environment](**overrides)
    except ValidationError as exc:
        raise SettingsError("\n".join([*problems, *_problems(exc)])) from None
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _unknown(names: Iterable[str]) -> list[str]:
    """Other programs share the environment and `.env`: only names that begin like ours, or all but are ours, matter."""
    problems = []
    for name in sorted(names):
        if name.lower() in Settings.model_fields:
            continue
        near = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1, cutoff=ALL_BUT)
        close = near or difflib.get_close_matches(name.lower(), Settings.model_fields, n=1)
        if near or name.startswith(OUR_PREFIXES):
            hint = f"; did you mean {close[0].upper()}?" if close else ""
            problems.append(f"{name.upper()} is not a setting{hint}")
    return problems


def _problems(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        first, *within = [part for part in problem["loc"] if isinstance(part, str)] or [""]
        name = ".".join([first.upper(), *within])
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message}" if name else message)
    return lines
