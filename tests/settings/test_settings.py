"""Settings: read once, refused at the door, one line a problem, and never a secret in it."""

import os
import re
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from shared.domain.market import Timeframe
from shared.settings import (
    DevelopmentSettings,
    Mode,
    ProductionSettings,
    Settings,
    SettingsError,
    TestingSettings,
    read_settings,
)

ROOT = Path(__file__).parents[2]
LIVE = {"TRADING_MODE": "live", "LIVE_TRADING_CONFIRMED": "yes, with real money"}
DATABASE = "postgresql://trader:hunter2-hunter2@db.example:5432/perpetua"


def put(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def complaint() -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings()
    return str(caught.value)


def test_with_nothing_set_the_defaults_trade_on_paper() -> None:
    settings = read_settings()

    assert isinstance(settings, DevelopmentSettings)
    assert settings.trading_mode is Mode.PAPER
    assert settings.exchange_url == "http://127.0.0.1:3001"
    assert settings.model_url == "http://127.0.0.1:3002/api/v1"
    assert settings.interval == timedelta(minutes=5)
    assert settings.timeframes == (Timeframe.M5, Timeframe.H4)
    assert (settings.log_folder, settings.database_url) == (Path("logs"), None)


def test_every_kind_of_value_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        monkeypatch,
        ASSETS=" btcusdt, ETHUSDT,",
        TIMEFRAMES="15m,1M",
        INTERVAL="4h",
        RISK_PER_TRADE="0.0125",
        LLM_REQUIRE_PARAMETERS="false",
        LOG_FOLDER="/var/log/perpetua",
        OPENROUTER_BASE_URL="https://models.example/v1/",
        LLM_FALLBACK_MODELS="a/b,c/d",
    )
    settings = read_settings()

    assert settings.assets == ("BTCUSDT", "ETHUSDT")
    assert settings.timeframes == (Timeframe.M15, Timeframe.MONTH)
    assert settings.interval == timedelta(hours=4)
    assert settings.risk_per_trade == Decimal("0.0125")
    assert settings.llm_require_parameters is False
    assert settings.log_folder == Path("/var/log/perpetua")
    assert settings.model_url == "https://models.example/v1"
    assert settings.llm_fallback_models == ("a/b", "c/d")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("LEVERAGE=2\nASSETS=DOGEUSDT\n")
    put(monkeypatch, LEVERAGE="4")
    settings = read_settings()

    assert (settings.leverage, settings.assets) == (4, ("DOGEUSDT",))


def test_an_empty_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("INTERVAL=\n")
    put(monkeypatch, DATABASE_URL="", ENVIRONMENT="", LEVERAGE="")

    assert read_settings() == DevelopmentSettings()


@pytest.mark.parametrize(
    ("switches", "address"),
    [
        ({}, "ws://127.0.0.1:3001"),
        ({"ASTERDEX_BASE_URL": "https://paper.example:8443"}, "wss://paper.example:8443"),
        ({"TRADING_MODE": "testnet"}, "wss://fstream5.asterdex-testnet.com"),
        (LIVE, "wss://fstream.asterdex.com"),
        (LIVE | {"ASTERDEX_BASE_URL": "https://fapi3.asterdex.com"}, "wss://fstream.asterdex.com"),
        ({"ASTERDEX_STREAM_URL": "wss://streams.example/"}, "wss://streams.example"),
    ],
)
def test_streams_are_where_the_mode_has_them_or_where_one_says(
    monkeypatch: pytest.MonkeyPatch, switches: dict[str, str], address: str
) -> None:
    put(monkeypatch, **switches)

    assert read_settings().stream_url == address


def test_what_the_command_line_says_wins_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, ACCOUNTS_FILE="a.yaml", ENVIRONMENT="production")
    settings = read_settings(accounts_file=Path("b.yaml"), environment="development")

    assert isinstance(settings, DevelopmentSettings)
    assert settings.accounts_file == Path("b.yaml")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ENVIRONMENT", "staging", "ENVIRONMENT: Input should be 'development', 'testing' or 'production'"),
        ("TRADING_MODE", "demo", "TRADING_MODE: Input should be 'paper', 'testnet' or 'live'"),
        ("ACCOUNT_ID", "My Account", "ACCOUNT_ID: String should match pattern"),
        ("ASSETS", ",", "ASSETS: must name at least one"),
        ("INTERVAL", "5 minutes", "INTERVAL: '5 minutes' is no duration: write it like 30s, 5m, 4h or 1d"),
        ("INTERVAL", "0m", "INTERVAL: '0m' is no duration"),
        ("RISK_COOLDOWN", "9999999999d", "RISK_COOLDOWN: '9999999999d' is no duration"),
        ("TIMEFRAMES", "7m", "TIMEFRAMES: Input should be '1m', '3m'"),
        ("TIMEFRAMES", ",", "TIMEFRAMES: must name at least one"),
        ("LEVERAGE", "many", "LEVERAGE: Input should be a valid integer"),
        ("LEVERAGE", "0", "LEVERAGE: Input should be greater than or equal to 1"),
        ("LEVERAGE", "126", "LEVERAGE: Input should be less than or equal to 125"),
        ("ASTERDEX_BASE_URL", "fapi.example.com", "ASTERDEX_BASE_URL: must be an address such as https://"),
        ("ASTERDEX_BASE_URL", "http://127.0.0.1:port", "ASTERDEX_BASE_URL: must be an address such as https://"),
        ("ASTERDEX_STREAM_URL", "https://a.example", "ASTERDEX_STREAM_URL: must be an address such as wss://"),
        ("ASTERDEX_STREAM_URL", "wss://", "ASTERDEX_STREAM_URL: must be an address such as wss://"),
        ("OPENROUTER_BASE_URL", "https://", "OPENROUTER_BASE_URL: must be an address such as https://"),
        ("OPENROUTER_BASE_URL", "http://a:99999", "OPENROUTER_BASE_URL: must be an address such as https://"),
        ("OPENROUTER_BASE_URL", "https://[models", "OPENROUTER_BASE_URL: Invalid IPv6 URL"),
        ("LLM_TIMEOUT_SECONDS", "0", "LLM_TIMEOUT_SECONDS: Input should be greater than 0"),
        ("LLM_TIMEOUT_SECONDS", "inf", "LLM_TIMEOUT_SECONDS: Input should be a finite number"),
        ("LLM_TEMPERATURE", "3", "LLM_TEMPERATURE: must be `default` or a number from 0 to 2"),
        ("LLM_TEMPERATURE", "warm", "LLM_TEMPERATURE: must be `default` or a number from 0 to 2"),
        (
            "LLM_REASONING",
            "hard",
            "LLM_REASONING: must be none, minimal, low, medium, high, xhigh, max, or a number",
        ),
        ("LLM_PROVIDER", "{", "LLM_PROVIDER: must be JSON such as"),
        ("LLM_PROVIDER", '{"ordr": ["a"]}', "LLM_PROVIDER.ordr: Extra inputs are not permitted"),
        ("LLM_PROVIDER", '{"max_price": {"prompt": -1}}', "LLM_PROVIDER.max_price.prompt: Input should be greater"),
        ("LLM_DAILY_BUDGET_USD", "-1", "LLM_DAILY_BUDGET_USD: Input should be greater than or equal to 0"),
        ("LLM_PRICE", "0.3", "LLM_PRICE: Field required"),
        ("LLM_TOOL_ROUNDS", "9", "LLM_TOOL_ROUNDS: Input should be less than or equal to 8"),
        ("LLM_REQUIRE_PARAMETERS", "perhaps", "LLM_REQUIRE_PARAMETERS: Input should be a valid boolean"),
        ("RISK_PER_TRADE", "2", "RISK_PER_TRADE: Input should be less than or equal to 1"),
        ("RISK_PER_TRADE", "NaN", "RISK_PER_TRADE: Input should be a finite number"),
        ("RISK_MAX_DRAWDOWN", "20%", "RISK_MAX_DRAWDOWN: Input should be a valid decimal"),
        ("RISK_MIN_MARGIN_LEFT", "1", "RISK_MIN_MARGIN_LEFT: Input should be less than 1"),
        ("DATABASE_URL", "mysql://db", "DATABASE_URL: must be a PostgreSQL address such as postgresql://"),
        ("CANDLE_RETENTION", "6d", "CANDLE_RETENTION: must be at least 7d: indicators look back so far"),
        ("RECORD_RETENTION", "6d", "RECORD_RETENTION: must be at least 7d: the review and the model look back so far"),
        (
            "AUDIT_RETENTION",
            "89d",
            "AUDIT_RETENTION: must be at least 90d: who did what has to be there when it is asked for",
        ),
        ("CANDLE_RETENTION", "forever", "CANDLE_RETENTION: 'forever' is no duration"),
        ("API_PORT", "70000", "API_PORT: Input should be less than or equal to 65535"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("TICK_DELAY_SECONDS", "-1", "TICK_DELAY_SECONDS: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    put(monkeypatch, **{name: value})

    [line] = complaint().splitlines()
    assert line.startswith(says)


def test_every_problem_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, LEVERAGE="0", RISK_PER_TRADE="2", RISK_MAX_DRAWDON="0.1")

    assert [line.split()[0] for line in complaint().splitlines()] == [
        "RISK_MAX_DRAWDON",
        "LEVERAGE:",
        "RISK_PER_TRADE:",
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("RISK_MAX_LEVERGE", "RISK_MAX_LEVERGE is not a setting; did you mean RISK_MAX_LEVERAGE?"),
        ("ASTERDEX_PRIVATEKEY", "ASTERDEX_PRIVATEKEY is not a setting; did you mean ASTERDEX_PRIVATE_KEY?"),
        ("LLM_XYZZY_PLUGH", "LLM_XYZZY_PLUGH is not a setting"),
    ],
)
def test_a_limit_spelled_wrong_is_refused_not_ignored(monkeypatch: pytest.MonkeyPatch, name: str, says: str) -> None:
    put(monkeypatch, **{name: "1"})

    assert complaint() == says


def test_a_name_in_the_file_that_is_all_but_a_setting_is_refused() -> None:
    Path(".env").write_text("TRADNG_MODE=paper\n")

    assert complaint() == "TRADNG_MODE is not a setting; did you mean TRADING_MODE?"


def test_a_name_in_the_file_that_another_program_reads_is_left_alone() -> None:
    Path(".env").write_text("POSTGRES_PASSWORD=of-the-compose-file\n")

    assert read_settings().trading_mode == "paper"


def test_a_file_that_is_no_text_is_one_clear_line() -> None:
    Path(".env").write_bytes(b"ASSETS=\xff\xfe")

    assert complaint().startswith(".env cannot be read: ")


@pytest.mark.parametrize(
    ("switches", "says"),
    [
        ({**LIVE, "RAISE_DELAY": "1m"}, "RAISE_DELAY must be at least 1h when TRADING_MODE=live"),
        ({"TRADING_MODE": "live"}, "TRADING_MODE=live also needs LIVE_TRADING_CONFIRMED='yes, with real money'"),
        (
            {"TRADING_MODE": "live", "LIVE_TRADING_CONFIRMED": "yes"},
            "TRADING_MODE=live also needs LIVE_TRADING_CONFIRMED='yes, with real money'",
        ),
        (
            {"ASTERDEX_BASE_URL": "https://fapi.asterdex.com"},
            "ASTERDEX_BASE_URL is the real exchange, but TRADING_MODE is paper",
        ),
        (
            {"ASTERDEX_BASE_URL": "https://FAPI3.AsterDEX.com./", "TRADING_MODE": "testnet"},
            "ASTERDEX_BASE_URL is the real exchange, but TRADING_MODE is testnet",
        ),
        (
            {**LIVE, "ASTERDEX_BASE_URL": "http://fapi.asterdex.com"},
            "ASTERDEX_BASE_URL must begin with https:// outside paper trading",
        ),
        (
            {"ASTERDEX_STREAM_URL": "wss://fstream.asterdex.com"},
            "ASTERDEX_STREAM_URL is the real exchange, but TRADING_MODE is paper",
        ),
        (
            {**LIVE, "ASTERDEX_STREAM_URL": "ws://fstream.asterdex.com"},
            "ASTERDEX_STREAM_URL must begin with wss:// outside paper trading",
        ),
        ({"ENVIRONMENT": "production"}, "DATABASE_URL must be set when ENVIRONMENT=production"),
    ],
)
def test_a_set_up_that_cannot_work_or_would_trade_by_mistake_is_refused(
    monkeypatch: pytest.MonkeyPatch, switches: dict[str, str], says: str
) -> None:
    put(monkeypatch, **switches)

    assert complaint() == says


def test_two_switches_make_it_live(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, **LIVE)
    settings = read_settings()

    assert settings.trading_mode is Mode.LIVE
    assert settings.exchange_url == "https://fapi.asterdex.com"
    assert settings.model_url == "https://openrouter.ai/api/v1"
    assert settings.chain_id == 1666


def test_the_test_network_has_an_address_and_a_chain_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, TRADING_MODE="testnet")
    settings = read_settings()

    assert (settings.exchange_url, settings.chain_id) == ("https://fapi.asterdex-testnet.com", 714)


@pytest.mark.parametrize(
    ("variables", "guarded"),
    [
        ({}, False),
        ({"API_HOST": "::1"}, False),
        ({"API_HOST": "0.0.0.0"}, True),
        ({"API_TOKEN": "a-long-token"}, True),
        ({"ENVIRONMENT": "production", "DATABASE_URL": DATABASE}, True),
    ],
)
def test_only_development_on_this_machine_alone_goes_unguarded(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], guarded: bool
) -> None:
    put(monkeypatch, **variables)

    assert read_settings().guarded is guarded


def test_the_variant_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, ENVIRONMENT="production", DATABASE_URL=DATABASE)
    settings = read_settings()

    assert isinstance(settings, ProductionSettings)
    assert settings.log_folder is None


def test_the_variant_is_chosen_by_the_file_too() -> None:
    Path(".env").write_text("ENVIRONMENT=production\n")

    assert complaint() == "DATABASE_URL must be set when ENVIRONMENT=production"


def test_tests_read_no_file_and_write_no_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("ASSETS=DOGEUSDT\nNONSENSE=1\n")
    put(monkeypatch, ENVIRONMENT="testing")
    settings = read_settings()

    assert isinstance(settings, TestingSettings)
    assert settings.assets == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert settings.log_folder is None


SECRETS = {
    "ASTERDEX_PRIVATE_KEY": "ab" * 32,
    "ASTERDEX_API_KEY": "key-1234567",
    "ASTERDEX_API_SECRET": "secret-7654321",
    "OPENROUTER_API_KEY": "sk-or-v1-0123456789",
    "DATABASE_URL": DATABASE,
    "API_TOKEN": "a-long-token",
}


def test_no_secret_is_shown_by_the_settings_that_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, **SECRETS)
    settings = read_settings()

    assert [value for value in SECRETS.values() if value in f"{settings!r} {settings} {settings.model_dump()}"] == []
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == DATABASE


@pytest.mark.parametrize(
    "variables",
    [
        {**SECRETS, "LEVERAGE": "0"},
        {**SECRETS, "TRADING_MODE": "live"},
        {"DATABASE_URL": "mysql://trader:hunter2-hunter2@db"},
        {"DATABASE_URL": "postgres//trader:[hunter2-hunter2]@db"},
        {"ASTERDEX_APIKEY": "hunter2-hunter2"},
    ],
)
def test_no_secret_is_shown_by_an_error(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    put(monkeypatch, **variables)
    said = complaint()

    assert [value for value in (*SECRETS.values(), "hunter2") if value in said] == []


def test_brackets_in_a_password_are_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, DATABASE_URL="postgresql://trader:pa[ss]word@db/perpetua")

    assert read_settings().database_url is not None


def written(default: Any) -> str:
    """A default as one writes it into `.env`."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Enum):
        return str(default.value)
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


DEFAULTS = [(name.upper(), written(field.default)) for name, field in Settings.model_fields.items()]
"""Every setting in its order, with its default."""


def test_the_example_file_holds_exactly_the_settings_there_are_and_their_defaults() -> None:
    example = (ROOT / ".env.example").read_text()

    assert sorted(re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE)) == sorted(DEFAULTS)


def test_every_setting_in_the_example_file_has_a_comment() -> None:
    paragraphs = (ROOT / ".env.example").read_text().split("\n\n")

    assert [text for text in paragraphs if re.search(r"^#[A-Z_]+=", text, re.MULTILINE) and text[:2] != "# "] == []


def test_the_example_file_changes_nothing_whether_commented_or_not() -> None:
    example = (ROOT / ".env.example").read_text()

    for text in (example, re.sub(r"^#([A-Z_]+=)", r"\1", example, flags=re.MULTILINE)):
        Path(".env").write_text(text)
        assert read_settings() == DevelopmentSettings(_env_file=None)


def test_the_manual_tells_of_exactly_the_settings_there_are_and_their_defaults() -> None:
    manual = (ROOT / "docs" / "settings.md").read_text()
    told = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`|—) \| [^|]*\| [^|]{10,}\|$", manual, re.MULTILINE)

    assert told == DEFAULTS


def test_settings_are_read_without_touching_the_environment() -> None:
    before = dict(os.environ)
    read_settings()

    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("variables", "delay", "lasts"),
    [
        ({}, timedelta(0), None),
        ({"RAISE_DELAY": "1m"}, timedelta(minutes=1), timedelta(days=30)),
        (LIVE, timedelta(hours=24), timedelta(days=30)),
        (LIVE | {"RAISE_DELAY": "2h", "AUTHORITY_LASTS": "7d"}, timedelta(hours=2), timedelta(days=7)),
    ],
)
def test_with_real_money_what_allows_an_account_more_waits(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], delay: timedelta, lasts: timedelta | None
) -> None:
    put(monkeypatch, **variables)

    terms = read_settings().terms

    assert (terms.delay, terms.lasts) == (delay, lasts)
