"""Accounts: one from plain variables or many from a file, each with keys of its own, and no secret in any complaint."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import SecretStr

from shared.accounts import ConfiguredAccount, ShadowModel, changed_limits, configured_accounts
from shared.domain.account import Breaker, Cap, RiskLimits
from shared.domain.market import Timeframe
from shared.domain.model import ModelOptions, Price
from shared.secrets import MASK, mask_text
from shared.settings import PAPER_MODEL, Mode, Settings, SettingsError, TestingSettings

ROOT = Path(__file__).parents[2]
KEY = "ab" * 32
FILE = Path("accounts.yaml")


def some_settings(**changes: Any) -> Settings:
    return TestingSettings(**changes)


def on_testnet(**changes: Any) -> Settings:
    return some_settings(trading_mode=Mode.TESTNET, **changes)


def from_file(text: str, **changes: Any) -> dict[str, ConfiguredAccount]:
    FILE.write_text(dedent(text))
    return configured_accounts(some_settings(accounts_file=FILE, **changes))


def complaint(text: str, **changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        from_file(text, **changes)
    return str(caught.value)


def test_plain_variables_make_one_account() -> None:
    settings = some_settings(
        account_id="solo", assets=("dogeusdt",), timeframes="1h", interval="15m", leverage=2, llm_fallback_models="b/c"
    )
    [(name, found)] = configured_accounts(settings).items()

    assert (name, found.account.id, found.account.symbols) == ("solo", "solo", ("DOGEUSDT",))
    assert found.account.timeframes == (Timeframe.H1,)
    assert found.account.interval == timedelta(minutes=15)
    assert (found.account.model, found.account.fallback_models) == (PAPER_MODEL, ("b/c",))
    assert found.account.leverage == 2


def test_prompts_and_shadows_are_the_accounts_own_or_those_of_the_settings() -> None:
    accounts = from_file(
        """
        accounts:
          - id: usual
          - id: own
            prompt_file: own.md
            shadows: [{model: a/b}, {model: a/b, prompt_file: bold.md}]
        """,
        prompt_file=Path("house.md"),
        shadow_models=("c/d",),
    )

    usual, own = accounts["usual"], accounts["own"]
    assert (usual.prompt_file, usual.shadows) == (Path("house.md"), (ShadowModel("c/d"),))
    assert own.prompt_file == Path("own.md")
    assert own.shadows == (ShadowModel("a/b"), ShadowModel("a/b", Path("bold.md")))


def test_limits_are_changed_by_the_names_and_in_the_units_of_the_file() -> None:
    limits = changed_limits(RiskLimits(), {"max_leverage": "2", "cooldown": "1h", "min_confidence": 0.9})

    assert limits == RiskLimits(max_leverage=2, cooldown=timedelta(hours=1), min_confidence=Decimal("0.9"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_leverag": 2}, "max_leverag is no limit: did you mean max_leverage?"),
        ({"luck": 2}, "luck is no limit: there are max_leverage, "),
        ({"max_leverage": 0}, "max_leverage: Input should be greater than or equal to 1"),
        ({"cooldown": "soon"}, "cooldown: "),
    ],
)
def test_limits_that_cannot_be_are_refused_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as told:
        changed_limits(RiskLimits(), changes)

    assert str(told.value).startswith(says)
    assert "\n" not in str(told.value)


def test_defaults_of_the_settings_are_the_defaults_of_the_limits() -> None:
    [found] = configured_accounts(some_settings()).values()

    assert found.account.limits == RiskLimits()


def in_yaml(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds())}s"
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


def test_plain_variables_say_how_its_models_are_asked() -> None:
    [found] = configured_accounts(
        some_settings(
            llm_temperature="default",
            llm_seed=7,
            llm_reasoning="2000",
            llm_provider='{"only": ["acme"], "max_price": {"prompt": 1.5, "completion": 6}}',
            llm_daily_budget_usd="2.50",
            llm_price="0.30,1.20",
            llm_tool_indicators="rsi,EMA",
        )
    ).values()

    assert found.account.model_options == ModelOptions(
        temperature=None,
        seed=7,
        reasoning={"max_tokens": 2000},
        provider={
            "require_parameters": True,
            "only": ["acme"],
            "max_price": {"prompt": 1.5, "completion": 6.0},
        },
        daily_budget=Decimal("2.50"),
        price=Price(prompt=Decimal("3E-7"), completion=Decimal("0.0000012")),
        tool_rounds=2,
        indicators=("RSI", "EMA"),
    )


def test_each_account_of_a_file_asks_its_models_in_its_own_way() -> None:
    accounts = from_file(
        """
        accounts:
          - id: one
            llm:
              base_url: http://localhost:8080/v1/
              temperature: 0
              reasoning: none
              require_parameters: false
              provider: {order: [a, b], data_collection: deny}
              daily_budget_usd: 0.5
              price: [0, 0]
              tool_rounds: 0
              failures_allowed: 5
              asks_again_after: 1h
          - id: two
        """,
        llm_temperature=1.5,
        llm_reasoning="high",
    )
    one, two = accounts["one"], accounts["two"]

    assert (one.model_url, two.model_url) == ("http://localhost:8080/v1", "http://127.0.0.1:3002/api/v1")
    options = one.account.model_options
    assert (options.temperature, options.reasoning) == (0, {"effort": "none"})
    assert options.provider == {"order": ["a", "b"], "data_collection": "deny"}
    assert (options.daily_budget, options.tool_rounds, options.failures_allowed) == (Decimal("0.5"), 0, 5)
    assert options.price == Price(prompt=Decimal(0), completion=Decimal(0))
    assert options.asks_again_after == timedelta(hours=1)
    assert (two.account.model_options.temperature, two.account.model_options.reasoning) == (1.5, {"effort": "high"})


def test_a_preference_that_no_provider_knows_is_one_line_that_names_it() -> None:
    says = complaint("accounts: [{id: one, llm: {provider: {ordr: [a]}}}]")

    assert says == "accounts.yaml: accounts.0.llm.provider.ordr: there is no such setting"


def test_every_limit_can_be_set() -> None:
    changed = RiskLimits(
        max_leverage=9,
        max_position_fraction=Decimal("0.11"),
        max_exposure_fraction=Decimal("0.12"),
        max_positions=8,
        risk_per_trade=Decimal("0.013"),
        min_margin_left=Decimal("0.14"),
        min_stop_distance=Decimal("0.015"),
        max_stop_distance=Decimal("0.16"),
        min_reward_to_risk=Decimal("1.7"),
        min_confidence=Decimal("0.18"),
        max_daily_loss=Decimal("0.19"),
        max_drawdown=Decimal("0.21"),
        cooldown=timedelta(minutes=22),
        flip_cooldown=timedelta(minutes=23),
        max_funding_rate=Decimal("0.0024"),
        holding_time=timedelta(minutes=25),
        max_spread=Decimal("0.0026"),
        max_price_move=Decimal("0.0027"),
        max_quote_age=timedelta(seconds=28),
        min_flip_confidence=Decimal("0.29"),
        max_entries_per_day=31,
        max_flips_per_day=32,
        clip=(Cap.LEVERAGE,),
        max_exposure_held=Decimal("3.3"),
        max_losses_in_a_row=34,
        max_model_failures=35,
        max_order_refusals=36,
        global_max_daily_loss=Decimal("0.37"),
        global_max_drawdown=Decimal("0.38"),
        global_max_exposure_fraction=Decimal("0.39"),
        global_max_exposure_held=Decimal("4.1"),
        cool_off=timedelta(minutes=42),
        lift_next_day=(Breaker.LOSING_STREAK,),
        lift_by_hand=(),
        flatten_on=(Breaker.DRAWDOWN, Breaker.EXPOSURE),
    )
    stated = {name: getattr(changed, name) for name in RiskLimits.__slots__}
    plain = {name if name.startswith("risk_") else f"risk_{name}": value for name, value in stated.items()}
    lines = "".join(f"      {name}: {in_yaml(value)}\n" for name, value in stated.items())
    for name, value in plain.items():
        if isinstance(value, tuple):
            plain[name] = ",".join(value) or "none"

    [by_variables] = configured_accounts(some_settings(**plain)).values()
    [by_file] = from_file(f"accounts:\n  - id: one\n    risk:\n{lines}").values()

    assert by_variables.account.limits == changed
    assert by_file.account.limits == changed


def test_on_paper_an_account_without_a_key_has_always_the_same_wallet_of_its_own() -> None:
    def wallet(name: str) -> SecretStr | None:
        return configured_accounts(some_settings(account_id=name))[name].exchange_keys.private_key

    assert wallet("one") == wallet("one")
    assert wallet("one") != wallet("two")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "account main has no exchange key: set ASTERDEX_PRIVATE_KEY"),
        ({"asterdex_private_key": KEY}, "account main has no model: set LLM_MODEL, such as author/model-name"),
        (
            {"asterdex_private_key": KEY, "llm_model": "a/b"},
            "account main has no model key: set OPENROUTER_API_KEY",
        ),
    ],
)
def test_outside_paper_trading_nothing_is_made_up(settings: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        configured_accounts(on_testnet(**settings))

    assert str(caught.value) == says


def test_a_whole_set_up_outside_paper_trading_is_taken_as_it_is() -> None:
    settings = on_testnet(
        asterdex_api_key="key-key", asterdex_api_secret="sec-sec", llm_model="a/b", openrouter_api_key="sk-or-12345678"
    )
    [found] = configured_accounts(settings).values()

    assert found.exchange_keys.api_key == SecretStr("key-key")
    assert found.exchange_keys.private_key is None
    assert (found.account.model, found.model_key) == ("a/b", SecretStr("sk-or-12345678"))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"asterdex_private_key": "hunter2"}, "the private key must be 64 hexadecimal digits, with or without 0x"),
        ({"asterdex_api_key": "hunter2"}, "the API key and the API secret go together: set both or neither"),
        (
            {"asterdex_private_key": f"0x{KEY}", "asterdex_api_key": "hunter2", "asterdex_api_secret": "hunter2"},
            "give a private key or an API key, not both",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused_unread(keys: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        configured_accounts(some_settings(**keys))

    assert str(caught.value) == f"ASTERDEX_PRIVATE_KEY, ASTERDEX_API_KEY: {says}"


def test_a_file_names_many_accounts_each_its_own() -> None:
    accounts = from_file(
        """
        accounts:
          - id: fast
            symbols: [dogeusdt, SOLUSDT]
            timeframes: [1m, 1M]
            interval: 1m
            model: x/fast
            fallback_models: [x/slow]
            leverage: 4
            risk: {max_leverage: 6, risk_per_trade: 0.015, cooldown: 90s}
          - id: plain
        """,
        llm_model="a/b",
        risk_max_positions=2,
    )
    fast, plain = accounts["fast"].account, accounts["plain"].account

    assert fast.symbols == ("DOGEUSDT", "SOLUSDT")
    assert fast.timeframes == (Timeframe.M1, Timeframe.MONTH)
    assert (fast.interval, fast.model, fast.fallback_models) == (timedelta(minutes=1), "x/fast", ("x/slow",))
    assert (fast.leverage, fast.limits.max_leverage, fast.limits.risk_per_trade) == (4, 6, Decimal("0.015"))
    assert fast.limits.cooldown == timedelta(seconds=90)
    assert (plain.model, plain.symbols, plain.leverage) == ("a/b", ("BTCUSDT", "ETHUSDT", "SOLUSDT"), 3)
    assert (fast.limits.max_positions, plain.limits.max_positions) == (2, 2)


def test_no_fallback_is_something_an_entry_can_say() -> None:
    accounts = from_file("accounts: [{id: one, fallback_models: []}, {id: two}]", llm_fallback_models="a/b")

    assert [accounts[name].account.fallback_models for name in ("one", "two")] == [(), ("a/b",)]


def test_variables_stand_for_secrets_and_a_secret_stays_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD_SECRET", '# no: "comment" ${HOME}')
    [found] = from_file(
        """
        accounts:
          - id: one
            exchange: {api_key: "prefix-${ODD_SECRET}", api_secret: "${ODD_SECRET}"}
        """
    ).values()

    assert found.exchange_keys.api_key is not None
    assert found.exchange_keys.api_key.get_secret_value() == 'prefix-# no: "comment" ${HOME}'


def test_an_accounts_exchange_key_is_always_its_own() -> None:
    says = complaint("accounts: [{id: one}]", trading_mode=Mode.TESTNET, asterdex_private_key=KEY, llm_model="a/b")

    assert says == "accounts.yaml: account one has no exchange key: set exchange.private_key"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("accounts: [{id: one}, {id: one}]", "accounts.yaml: the id one is used twice"),
        ("accounts: [{id: One}]", "accounts.yaml: accounts.0.id: String should match pattern"),
        ("accounts: [{}]", "accounts.yaml: accounts.0.id: Field required"),
        ("accounts: []", "accounts.yaml: accounts: List should have at least 1 item"),
        ("accounts: [one]", "accounts.yaml: accounts.0: must be a mapping of names to values"),
        ("", "accounts.yaml: must begin with `accounts:` and a list of them"),
        ("- id: one", "accounts.yaml: must begin with `accounts:` and a list of them"),
        (
            "accounts: [{id: one, risk: {max_leverge: 2}}]",
            "accounts.yaml: accounts.0.risk.max_leverge: there is no such",
        ),
        ("accounts: [{id: one, risk: {risk_per_trade: 2}}]", "accounts.yaml: accounts.0.risk.risk_per_trade: Input"),
        ("accounts: [{id: one, symbols: BTCUSDT}]", "accounts.yaml: accounts.0.symbols: Input should be a valid tuple"),
        ("accounts: [{id: one, symbols: []}]", "accounts.yaml: accounts.0.symbols: must name at least one"),
        ("accounts: [{id: one, timeframes: [7m]}]", "accounts.yaml: accounts.0.timeframes.0: Input should be '1m'"),
        ("accounts: [{id: one, interval: 300}]", "accounts.yaml: accounts.0.interval: '300' is no duration"),
        (
            "accounts: [{id: one, authority_until: 2030}]",
            "accounts.yaml: accounts.0.authority_until: is no date and time",
        ),
        (
            "accounts: [{id: one, authority_until: 2030-01-01}]",
            "accounts.yaml: accounts.0.authority_until: is no date and time",
        ),
        ("accounts: [{id: one, leverage: 0}]", "accounts.yaml: accounts.0.leverage: Input should be greater than or"),
        (
            "accounts: [{id: one, exchange: {private_key: abc}}]",
            "accounts.yaml: accounts.0.exchange: the private key must be 64 hexadecimal digits",
        ),
        (
            "accounts: [{id: one, risk: {min_stop_distance: 0.2}}]",
            "accounts.yaml: account one has RISK_MIN_STOP_DISTANCE above RISK_MAX_STOP_DISTANCE",
        ),
        (
            "accounts: [{id: one, risk: {max_exposure_fraction: 2.1}}]",
            "accounts.yaml: account one has RISK_MAX_EXPOSURE_HELD below RISK_MAX_EXPOSURE_FRACTION",
        ),
        (
            "accounts: [{id: one, risk: {global_max_exposure_held: 1.4}}]",
            "accounts.yaml: account one has RISK_GLOBAL_MAX_EXPOSURE_HELD below RISK_GLOBAL_MAX_EXPOSURE_FRACTION",
        ),
        ("accounts: [{id: one, risk: {clip: [size]}}]", "accounts.yaml: accounts.0.risk.clip.0: Input should be"),
        (
            "accounts: [{id: one, llm: {api_key: '${NO_SUCH_KEY}'}}]",
            "accounts.yaml refers to ${NO_SUCH_KEY}, which is not set",
        ),
        ("accounts:\n  - id: one\n   name: x", "accounts.yaml, line 3: this is not YAML"),
        ("accounts: \x07", "accounts.yaml: this is not YAML"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_where(text: str, says: str) -> None:
    [line] = complaint(text).splitlines()

    assert line.startswith(says)


def test_every_problem_in_a_file_has_its_own_line() -> None:
    text = "accounts: [{id: One, leverage: 0}]"

    assert len(complaint(text).splitlines()) == 2


def test_a_variable_that_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY_KEY", "")

    assert "${EMPTY_KEY}, which is not set" in complaint("accounts: [{id: one, llm: {api_key: '${EMPTY_KEY}'}}]")


@pytest.mark.parametrize(
    "text",
    [
        "accounts: [{id: one, exchange: {private_key: hunter2-hunter2}}]",
        "accounts: [{id: one, exchange: {api_key: [hunter2-hunter2]}}]",
        "accounts: [{id: one, llm: {api_kee: hunter2-hunter2}}]",
        "accounts:\n  - id: one\n    llm: {api_key: hunter2-hunter2: x",  # the flaw is on the secret's own line
        "accounts:\n  - id: one\n    llm: {api_key: 'hunter2-hunter2}",
    ],
)
def test_no_secret_in_a_file_is_shown_by_an_error(text: str) -> None:
    assert "hunter2" not in complaint(text)


def test_a_file_that_is_not_there_or_no_text_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^ACCOUNTS_FILE: nowhere.yaml cannot be read: No such file or directory$"):
        configured_accounts(some_settings(accounts_file=Path("nowhere.yaml")))

    FILE.write_bytes(b"accounts: \xff")
    with pytest.raises(SettingsError, match=r"^ACCOUNTS_FILE: accounts.yaml is not UTF-8 text$"):
        configured_accounts(some_settings(accounts_file=FILE))


def test_what_was_configured_is_masked_from_then_on() -> None:
    from_file(
        """
        accounts:
          - {id: one, exchange: {api_key: first-exchange-key, api_secret: first-exchange-secret}}
          - {id: two, llm: {api_key: second-model-key}}
        """,
        api_token="the-api-token",
        database_url="postgresql://trader:database-word@db/perpetua",
    )
    secrets = ("first-exchange-key", "first-exchange-secret", "second-model-key", "the-api-token")

    assert [mask_text(secret) for secret in secrets] == [MASK] * 4
    assert "database-word" not in mask_text("no answer from postgresql://trader:database-word@db/perpetua")
    assert mask_text("paper trading") == "paper trading"


def test_nothing_shows_the_keys_of_a_configured_account() -> None:
    [found] = configured_accounts(some_settings(asterdex_private_key=KEY)).values()

    assert KEY not in repr(found)


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.TESTNET])
def test_the_example_file_loads(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STEADY_WALLET", "STEADY_MODEL_KEY", "LEGACY_API_KEY", "LEGACY_API_SECRET", "LEGACY_MODEL_KEY"):
        monkeypatch.setenv(name, f"{name.lower()}-value")
    monkeypatch.setenv("STEADY_PRIVATE_KEY", KEY)

    accounts = configured_accounts(some_settings(trading_mode=mode, accounts_file=ROOT / "accounts.example.yaml"))

    assert set(accounts) == {"steady", "legacy"}
    assert accounts["steady"].account.limits.risk_per_trade == Decimal("0.01")
    assert accounts["steady"].exchange_keys.user == "steady_wallet-value"
    assert accounts["legacy"].account.timeframes == (Timeframe.M5, Timeframe.H4)
