"""What becomes of each item of an answer, and what no answer whatsoever can make the reader do."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.decision import (
    Action,
    Comparison,
    Condition,
    Decision,
    ExitPlan,
    Expiry,
    IndicatorRule,
    Invalidation,
)
from shared.domain.errors import ModelError, UnusableReply
from shared.domain.market import Timeframe
from shared.llm.completion import read_completion
from shared.llm.reply import read
from tests.llm.soundness import assert_sound

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "rationale": "trend",
        "asset": "BTCUSDT",
        "action": "buy",
        "allocation_usd": 500.5,
        "leverage": 3,
        "stop_loss": 94000,
        "take_profit": 99000,
        "confidence": 0.7,
        "exit_plan": {
            "text": "below the average",
            "invalidation": {"timeframe": "5m", "condition": "close_below", "price": 94200.5},
        },
    } | changes


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in entry().items() if name != field}


def answer(*items: Any) -> str:
    return json.dumps({"reasoning": "Calm.", "decisions": items})


def decided(*items: Any) -> list[tuple[str, str]]:
    return [(decision.asset, decision.action.value) for decision in read(answer(*items), SYMBOLS).decisions]


def codes(*items: Any) -> list[str]:
    return [item.code for item in read(answer(*items), SYMBOLS).unread]


def test_a_sound_entry_is_read_to_the_last_field_without_any_repair() -> None:
    found = read(answer(entry()), SYMBOLS)

    assert found.reasoning == "Calm."
    assert found.repairs == ()
    assert found.decisions == (
        Decision(
            asset="BTCUSDT",
            action=Action.BUY,
            allocation_usd=Decimal("500.5"),
            leverage=3,
            stop_loss=Decimal(94000),
            take_profit=Decimal(99000),
            confidence=Decimal("0.7"),
            exit_plan=ExitPlan(
                text="below the average",
                invalidation=Invalidation(
                    timeframe=Timeframe.M5, condition=Condition.CLOSE_BELOW, price=Decimal("94200.5")
                ),
            ),
            rationale="trend",
        ),
    )


def test_a_bad_item_never_sinks_the_rest() -> None:
    items = [
        {"asset": "ETHUSDT", "action": "close"},
        "buy bitcoin",
        {"action": "buy", "leverage": "very high"},
        entry(),
    ]

    assert decided(*items) == [("ETHUSDT", "close"), ("BTCUSDT", "buy")]
    assert codes(*items) == ["not_an_object", "missing_asset"]


def test_a_dropped_item_is_kept_with_what_it_said() -> None:
    (item,) = read(answer(entry(asset="MOONX")), SYMBOLS).unread

    assert item.reason == "MOONX is none of the symbols asked about"
    assert '"asset": "MOONX"' in item.raw


@pytest.mark.parametrize(
    "flaws",
    [
        {"allocation_usd": "a lot", "leverage": 1000, "confidence": "high"},
        {"stop_loss": -1, "exit_plan": 7, "rationale": None},
        {"coin": "BTCUSDT", "exit_plan": {"invalidation": {"price": "never"}}},
    ],
)
def test_a_close_needs_its_asset_and_nothing_else(flaws: dict[str, Any]) -> None:
    assert decided({"asset": "BTCUSDT", "action": "close"} | flaws) == [("BTCUSDT", "close")]


@pytest.mark.parametrize("action", ["hold", "close"])
def test_a_hold_or_a_close_carries_no_order(action: str) -> None:
    (decision,) = read(answer(entry(action=action)), SYMBOLS).decisions

    assert decision.leverage == 1
    assert (decision.stop_loss, decision.take_profit) == (None, None)


@pytest.mark.parametrize(
    ("said", "part"),
    [(120.5, "120.5"), ("$1,200", "1200"), (0, "0"), (None, "0"), (-5, "0"), ("half", "0"), ("1e99", "0")],
)
def test_a_close_may_say_how_much_and_closes_all_where_that_cannot_be_read(said: object, part: str) -> None:
    (decision,) = read(answer(entry(action="close", allocation_usd=said)), SYMBOLS).decisions

    assert decision.allocation_usd == Decimal(part)


def test_a_hold_asks_for_nothing_whatever_it_says() -> None:
    (decision,) = read(answer(entry(action="hold", allocation_usd=100)), SYMBOLS).decisions

    assert decision.allocation_usd == 0


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (without("asset"), "missing_asset"),
        (without("action"), "missing_action"),
        (without("allocation_usd"), "bad_allocation_usd"),
        (without("leverage"), "bad_leverage"),
        (without("confidence"), "bad_confidence"),
        (entry(allocation_usd=0), "bad_allocation_usd"),
        (entry(allocation_usd=1e15), "bad_allocation_usd"),
        (entry(leverage=0), "bad_leverage"),
        (entry(leverage=2.5), "bad_leverage"),
        (entry(leverage=1000), "bad_leverage"),
        (entry(confidence=-0.1), "bad_confidence"),
        (entry(confidence="150%"), "bad_confidence"),
        (entry(asset=["BTCUSDT"]), "unknown_symbol"),
        (entry(action=1), "unknown_action"),
        (entry(stop_loss="$1,2,3"), "bad_stop_loss"),
        (entry(stop_loss="0,123"), "bad_stop_loss"),
        (entry(stop_loss=[94000]), "bad_stop_loss"),
        (entry(symbol="ETHUSDT"), "unknown_symbol"),
        (entry(StopLoss=93000), "conflicting_fields"),
    ],
)
def test_an_entry_with_a_doubtful_field_is_dropped(item: dict[str, Any], code: str) -> None:
    assert decided(item) == []
    assert codes(item) == [code]


@pytest.mark.parametrize("absent", [None, "n/a", "None", ""])
def test_an_absent_stop_stays_absent_for_the_risk_review_to_refuse(absent: str | None) -> None:
    (decision,) = read(answer(entry(stop_loss=absent, take_profit=absent)), SYMBOLS).decisions

    assert (decision.stop_loss, decision.take_profit) == (None, None)


def test_an_exit_plan_may_be_missing_or_plain_text() -> None:
    plans = [
        decision.exit_plan
        for decision in read(
            answer(without("exit_plan"), entry(asset="ETHUSDT", exit_plan="when it turns")), SYMBOLS
        ).decisions
    ]

    assert plans == [ExitPlan(text=""), ExitPlan(text="when it turns")]


def plan_of(**said: Any) -> ExitPlan:
    (decision,) = read(answer(entry(exit_plan={"text": "x"} | said)), SYMBOLS).decisions
    return decision.exit_plan


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        (
            {"timeframe": "4h", "name": "rsi_14", "comparison": "above", "value": 70, "than": None},
            IndicatorRule(timeframe=Timeframe.H4, name="rsi_14", comparison=Comparison.ABOVE, value=Decimal(70)),
        ),
        (
            {"timeframe": "5m", "name": "RSI(14)", "comparison": "below", "value": "-0.5"},
            IndicatorRule(timeframe=Timeframe.M5, name="rsi_14", comparison=Comparison.BELOW, value=Decimal("-0.5")),
        ),
        (
            {"timeframe": "5m", "name": "close", "comparison": "crosses_below", "value": None, "than": "EMA20"},
            IndicatorRule(timeframe=Timeframe.M5, name="close", comparison=Comparison.CROSSES_BELOW, than="ema_20"),
        ),
    ],
)
def test_a_rule_on_an_indicator_is_read(said: dict[str, Any], rule: IndicatorRule) -> None:
    assert plan_of(indicator=said).indicator == rule


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"after_candles": 12, "timeframe": "5m", "at": None}, Expiry(candles=12, timeframe=Timeframe.M5)),
        ({"at": "2026-03-02T14:00+02:00"}, Expiry(at=datetime(2026, 3, 2, 12, tzinfo=UTC))),
        (
            {"after_candles": "3", "timeframe": "4h", "at": "2026-03-02T12:00:00Z"},
            Expiry(candles=3, timeframe=Timeframe.H4, at=datetime(2026, 3, 2, 12, tzinfo=UTC)),
        ),
    ],
)
def test_an_expiry_is_read(said: dict[str, Any], rule: Expiry) -> None:
    assert plan_of(expiry=said).expiry == rule


@pytest.mark.parametrize("condition", ["mark_above", "mark_below"])
def test_a_rule_on_the_mark_price_knows_no_timeframe(condition: str) -> None:
    plan = plan_of(invalidation={"timeframe": "5m", "condition": condition, "price": 1.5})

    assert plan.invalidation == Invalidation(condition=Condition(condition), price=Decimal("1.5"))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("invalidation", "below 94000"),
        ("invalidation", {"timeframe": "7m", "condition": "close_below", "price": 1}),
        ("invalidation", {"timeframe": "5m", "condition": "touch", "price": 1}),
        ("invalidation", {"timeframe": "5m", "condition": "close_below", "price": None}),
        ("invalidation", {"timeframe": "5m", "condition": "close_below", "price": -1}),
        ("invalidation", {"timeframe": None, "condition": "close_below", "price": 1}),
        ("invalidation", {"timeframe": ["5m"], "condition": ["close_below"], "price": [1]}),
        ("indicator", {}),
        ("indicator", {"timeframe": "5m", "name": "rsi_14", "comparison": "above", "value": None, "than": None}),
        ("indicator", {"timeframe": "5m", "name": "rsi_14", "comparison": "above", "value": 70, "than": "ema_20"}),
        ("indicator", {"timeframe": "5m", "name": "rsi_14", "comparison": "above", "value": "70 or so"}),
        ("indicator", {"timeframe": "5m", "name": "rsi_14", "comparison": "over", "value": 70}),
        ("indicator", {"timeframe": "5m", "name": "rsi; drop", "comparison": "above", "value": 70}),
        ("indicator", {"timeframe": "5m", "name": 14, "comparison": "above", "value": True}),
        ("expiry", {"after_candles": None, "at": None}),
        ("expiry", {"after_candles": 12}),
        ("expiry", {"after_candles": 2.5, "timeframe": "5m"}),
        ("expiry", {"after_candles": 0, "timeframe": "5m"}),
        ("expiry", {"after_candles": True, "timeframe": "5m"}),
        ("expiry", {"at": "tomorrow"}),
        ("expiry", {"at": "2026-03-02T12:00:00"}),
        ("expiry", {"at": 1772452800}),
    ],
)
def test_what_is_no_rule_that_code_can_check_is_kept_as_text_and_costs_nothing_else(rule: str, said: Any) -> None:
    plan = plan_of(**{rule: said})

    assert (plan.invalidation, plan.indicator, plan.expiry) == (None, None, None)
    [kept] = plan.unenforced
    assert kept.startswith(f"{rule}: ")


def test_a_plan_that_is_no_plan_is_kept_as_text() -> None:
    (decision,) = read(answer(entry(exit_plan=[7, "at noon"])), SYMBOLS).decisions

    assert decision.exit_plan == ExitPlan(text="", unenforced=("[Decimal('7'), 'at noon']",))


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT",
        "btcusdt",
        "BTC",
        "btc",
        "BTC/USDT",
        "BTC-USDT",
        "BTC_USDT",
        "BTC/USD",
        "BTC-PERP",
        "BTC/USDT:USDT",
        " BTC ",
    ],
)
def test_a_symbol_goes_by_many_names(name: str) -> None:
    assert decided({"asset": name, "action": "close"}) == [("BTCUSDT", "close")]


def test_a_name_that_fits_two_symbols_fits_none() -> None:
    found = read(answer(entry(asset="BTC"), entry(asset="BTCUSDC")), ("BTCUSDT", "BTCUSDC"))

    assert [decision.asset for decision in found.decisions] == ["BTCUSDC"]
    assert [item.code for item in found.unread] == ["unknown_symbol"]


def test_a_multiple_of_a_coin_is_not_the_coin() -> None:
    found = read(answer(entry(asset="PEPE"), entry(asset="1000PEPE")), ("1000PEPEUSDT",))

    assert [decision.asset for decision in found.decisions] == ["1000PEPEUSDT"]


CLOSE = {"asset": "BTCUSDT", "action": "close"}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([CLOSE, CLOSE | {"rationale": "again"}], [("BTCUSDT", "close")], id="two closes agree"),
        pytest.param([entry(), entry()], [("BTCUSDT", "buy")], id="the same entry twice"),
        pytest.param([entry(), entry(allocation_usd=900)], [], id="two sizes"),
        pytest.param([entry(), entry(action="sell")], [], id="two directions"),
        pytest.param([CLOSE, entry()], [], id="a close and an entry"),
        pytest.param([CLOSE, {"asset": "BTC", "action": "hold"}], [], id="a close and a hold"),
        pytest.param(
            [CLOSE, entry(leverage="very high")], [("BTCUSDT", "close")], id="a close and an unreadable entry"
        ),
        pytest.param([entry(), entry(leverage="very high")], [], id="an entry and an unreadable one"),
    ],
)
def test_of_items_on_one_asset_only_what_is_not_in_doubt_is_kept(
    items: list[dict[str, Any]], expected: list[tuple[str, str]]
) -> None:
    other = {"asset": "ETHUSDT", "action": "close"}

    assert decided(*items, other) == [*expected, ("ETHUSDT", "close")]


def test_the_same_answer_twice_is_one_answer() -> None:
    content = answer(CLOSE)

    assert read(f"{content}\n\n{content}", SYMBOLS).repairs == ("repeated",)


def test_bracketed_words_are_prose_and_broken_json_is_not() -> None:
    assert read(f"{{each asset}} deserves [RSI: 70] a look [1]: {answer(CLOSE)}", SYMBOLS).decisions
    with pytest.raises(UnusableReply, match="broken JSON"):
        read(f'{{"decisions": [{{"asset": BTCUSDT}}]}} {answer(CLOSE)}', SYMBOLS)


def test_a_tolerant_reading_knows_the_escapes_of_json_and_no_others() -> None:
    content = r"{decisions: [{asset: 'BTCUSDT', action: 'close', rationale: 'it\'s\tover \u20ac'}]}"

    (decision,) = read(content, SYMBOLS).decisions

    assert decision.rationale == "it's over €"
    with pytest.raises(UnusableReply, match="no escape"):
        read(content.replace(r"\t", r"\q"), SYMBOLS)


def test_a_symbol_of_no_known_quote_asset_goes_by_its_own_name() -> None:
    assert [decision.asset for decision in read(answer(entry(asset="btceur")), ["BTCEUR"]).decisions] == ["BTCEUR"]


def test_numbers_in_scientific_notation_are_written_out() -> None:
    (decision,) = read(answer(entry(stop_loss="9.4E+4")), SYMBOLS).decisions

    assert str(decision.stop_loss) == "94000"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
PLAN = {
    "text": "out",
    "invalidation": {"timeframe": None, "condition": "mark_below", "price": "93,000"},
    "indicator": {"timeframe": "4h", "name": "RSI(14)", "comparison": "above", "value": 70.5, "than": None},
    "expiry": {"after_candles": 12, "timeframe": "5m", "at": "2026-03-02T12:00Z"},
}
ENTRIES = st.fixed_dictionaries(
    {"asset": st.sampled_from(["BTCUSDT", "btc", "ETH", "SOLUSDT", "SOL", "ALL", "USDT", "BTCUSDTX"])},
    optional={
        "action": st.sampled_from(["buy", "sell", "hold", "close", "Open Long", "buy or hold"]),
        "allocation_usd": st.sampled_from([100, "$1,000", "5%", 0]),
        "leverage": st.sampled_from([1, "3x", 1e400, 126]),
        "stop_loss": st.sampled_from([None, "94000", -1]),
        "confidence": st.sampled_from([0.5, "85%", 85]),
        "exit_plan": st.sampled_from([None, "text\0", {"text": "\ud800"}, PLAN, 7]),
    },
).map(lambda fields: entry(**fields))
ITEMS = ENTRIES | st.builds(
    lambda item, field, value: item | {field: value}, ENTRIES, st.sampled_from(list(entry())), JSON
)
SOUND = answer(entry(exit_plan=PLAN), {"asset": "ETHUSDT", "action": "close"})
FRAGMENTS = st.sampled_from(
    [
        *"[]{}\"',:-0.e｛”",
        "<think>",
        "</think>",
        "```",
        "NaN",
        "1e999",
        "\\u",
        "//",
        "/*",
        "\0",
        "\ud800",
        "SOLUSDT",
        SOUND,
    ]
)


def spliced(cuts: list[tuple[int, int, str]]) -> str:
    """A sound answer with pieces cut out and others put in."""
    content = SOUND
    for start, length, piece in cuts:
        content = content[:start] + piece + content[start + length :]
    return content


SPLICED = st.lists(
    st.tuples(st.integers(0, len(SOUND)), st.integers(0, 12), FRAGMENTS | st.text(max_size=3)), max_size=3
).map(spliced)


def assert_read_or_refused(content: str) -> None:
    try:
        found = read(content, SYMBOLS)
    except UnusableReply as exc:
        refusal = exc
    else:
        assert_sound(found, content, SYMBOLS)
        return
    assert refusal.code != UnusableReply("").code


@settings(deadline=None, derandomize=True, max_examples=400)
@given(SPLICED | st.text() | st.lists(FRAGMENTS | st.text(max_size=3)).map("".join))
def test_whatever_the_text_reading_it_ends_in_an_answer_or_a_refusal(content: str) -> None:
    assert_read_or_refused(content)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(ITEMS | ITEMS | JSON, max_size=4))
def test_whatever_the_items_nothing_in_the_answer_is_made_up(items: list[Any]) -> None:
    assert_read_or_refused(json.dumps({"decisions": items}))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.binary(max_size=60), st.integers(0, len(SOUND)))
def test_whatever_the_bytes_reading_them_ends_in_an_answer_or_a_refusal(damage: bytes, place: int) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SOUND}}
    body = json.dumps({"id": "gen-1", "model": "acme/m1", "choices": [choice]}).encode()
    try:
        content = read_completion(200, body[:place] + damage + body[place + len(damage) :]).answer()
    except ModelError:
        return
    assert_read_or_refused(content)
