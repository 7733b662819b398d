"""Every kind of malformed answer we know of, each with its verdict: read, drop the item, or refuse the whole."""

import json
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.decision import Answer
from shared.domain.errors import ModelError, UnusableReply
from shared.llm.completion import read_completion
from shared.llm.prompt import LIMITS, PromptTemplate
from shared.llm.reply import read
from shared.llm.schema import EXAMPLE, answer_schema

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def entry(**changes: Any) -> dict[str, Any]:
    """A sound entry as the schema asks for it."""
    return {
        "rationale": "trend",
        "asset": "BTCUSDT",
        "action": "buy",
        "allocation_usd": 500,
        "leverage": 3,
        "stop_loss": 94000,
        "take_profit": 99000,
        "confidence": 0.7,
        "exit_plan": {
            "text": "below the average",
            "invalidation": {"timeframe": "5m", "condition": "close_below", "price": 94200},
        },
    } | changes


def hold(asset: str = "BTCUSDT") -> dict[str, Any]:
    return {"asset": asset, "action": "hold"}


def answer(*items: Any) -> str:
    return json.dumps({"reasoning": "", "decisions": items})


def entry_with(field: str, literal: str) -> str:
    """A sound entry but for one field, which reads literally *literal*."""
    return answer(entry(**{field: "HERE"})).replace('"HERE"', literal)


def actions(found: Answer) -> dict[str, str]:
    return {decision.asset: decision.action.value for decision in found.decisions}


HOLD = answer(hold())
SIZES = {name: value for name, value in entry().items() if name not in {"asset", "action"}}
ARENA = {"field_alias", "symbol_alias", "action_alias"}
PAST = hold() | {"verdict": "held"}
PROMPT = PromptTemplate().prompt({"limits": dict.fromkeys(LIMITS, "1"), "recent_decisions": [PAST]})
CLOSE_AND_BUY = answer({"asset": "ETHUSDT", "action": "close"}, entry())
DEEP = "[" * 10_000 + "]" * 10_000

PLAN = {
    "text": "when the trend is over",
    "invalidation": {"timeframe": None, "condition": "mark_below", "price": 94100},
    "indicator": {"timeframe": "4h", "name": "rsi_14", "comparison": "crosses_below", "value": 45.5, "than": None},
    "expiry": {"after_candles": 48, "timeframe": "5m", "at": "2026-03-02T12:00+00:00"},
}

READ = [
    ("a plan with every rule", answer(entry(exit_plan=PLAN)), {"BTCUSDT": "buy"}, set()),
    ("1 fenced", '```json\n{"decisions":[]}\n```', {}, {"fence"}),
    ("2 fenced, with a goodbye", '```\n{"decisions":[]}\n```\nLet me know!', {}, {"fence", "surrounding_text"}),
    ("3 prose before", f"Sure, here it is: {HOLD}", {"BTCUSDT": "hold"}, {"surrounding_text"}),
    ("4 prose after", f"{HOLD} Note: not advice.", {"BTCUSDT": "hold"}, {"surrounding_text"}),
    ("5 thoughts with a draft", f'<think>maybe {{"action":"buy"}}?</think>{HOLD}', {"BTCUSDT": "hold"}, {"thinking"}),
    ("5 thoughts without their beginning", f"hm, maybe sell</think>{HOLD}", {"BTCUSDT": "hold"}, {"thinking"}),
    ("5 thoughts, twice", f"<think>a</think>{{}}<think>b</think>{HOLD}", {"BTCUSDT": "hold"}, {"thinking"}),
    ("10 bare array", '[{"asset":"BTCUSDT","action":"hold"}]', {"BTCUSDT": "hold"}, {"bare_array"}),
    ("11 single object", '{"asset":"BTCUSDT","action":"hold"}', {"BTCUSDT": "hold"}, {"single_object"}),
    (
        "12 keyed by symbol",
        '{"BTC":{"action":"hold"},"ETH":{"action":"close"}}',
        {"BTCUSDT": "hold", "ETHUSDT": "close"},
        {"keyed_by_symbol", "symbol_alias"},
    ),
    ("13 capital root", HOLD.replace("decisions", "Decisions"), {"BTCUSDT": "hold"}, {"root_alias"}),
    ("13 other root", HOLD.replace("decisions", "trade_decisions"), {"BTCUSDT": "hold"}, {"root_alias"}),
    ("14 encoded twice", json.dumps(HOLD), {"BTCUSDT": "hold"}, {"double_encoded"}),
    ("15 number as text", answer(entry(stop_loss="94000")), {"BTCUSDT": "buy"}, {"number_as_text"}),
    ("16 dollars and thousands", answer(entry(stop_loss="$94,000.50")), {"BTCUSDT": "buy"}, {"number_as_text"}),
    ("22 confidence as a percentage", answer(entry(confidence="85%")), {"BTCUSDT": "buy"}, {"number_as_text"}),
    ("23 lower case", answer(hold("btc")), {"BTCUSDT": "hold"}, {"symbol_alias"}),
    ("23 short", answer(hold("BTC")), {"BTCUSDT": "hold"}, {"symbol_alias"}),
    ("23 with a slash", answer(hold("BTC/USD")), {"BTCUSDT": "hold"}, {"symbol_alias"}),
    ("23 as a perpetual", answer(hold("BTC-PERP")), {"BTCUSDT": "hold"}, {"symbol_alias"}),
    ("25 sits out", answer({"symbol": "ALL", "action": "wait"}), {}, {"sat_out", "action_alias", "field_alias"}),
    ("26 capital action", answer(entry(action="BUY")), {"BTCUSDT": "buy"}, {"action_alias"}),
    ("26 spaced action", answer(entry(action="Open Long")), {"BTCUSDT": "buy"}, {"action_alias"}),
    ("26 signal of an arena", answer({"coin": "BTC", "signal": "buy_to_enter"} | SIZES), {"BTCUSDT": "buy"}, ARENA),
    ("26 the side next to the action", answer(entry(side="LONG")), {"BTCUSDT": "buy"}, set()),
    ("26 other action", answer(entry(action="go_short")), {"BTCUSDT": "sell"}, {"action_alias"}),
    # Reading knows no positions: the risk review refuses a close of nothing with its own code.
    ("29 close of what is not held", answer({"asset": "ETHUSDT", "action": "close"}), {"ETHUSDT": "close"}, set()),
    ("30 Python's spelling", "{'decisions': [], 'ok': True}", {}, {"tolerant"}),
    ("31 trailing comma", '{"decisions":[],}', {}, {"tolerant"}),
    ("31 comments", '{"decisions":[] // nothing\n /* at all */}', {}, {"tolerant"}),
    ("32 unquoted keys", "{decisions:[{asset:'BTCUSDT', action:'hold'}]}", {"BTCUSDT": "hold"}, {"tolerant"}),
    ("33 curly quotes", "{“decisions”:[{“asset”:“BTCUSDT”,“action”:“hold”}]}", {"BTCUSDT": "hold"}, {"tolerant"}),
    (
        "33 full width",
        '｛"decisions"：［｛"asset"："BTCUSDT"，"action"："hold"｝］｝',
        {"BTCUSDT": "hold"},
        {"tolerant"},
    ),
    ("33 foreign blanks", '\ufeff{\u00a0"decisions"\u200b:\u2060[]}', {}, {"tolerant"}),
    ("33 byte order mark alone", f"\ufeff{HOLD}", {"BTCUSDT": "hold"}, set()),
    # The risk review refuses an entry without a stop with its own code.
    ("35 no stop on an entry", answer(entry(stop_loss=None)), {"BTCUSDT": "buy"}, set()),
    ("5.2 extra keys", answer(entry(note="x", horizon=[1, {}])), {"BTCUSDT": "buy"}, set()),
    ("5.2 the same answer twice", f"{HOLD}\n{HOLD}", {"BTCUSDT": "hold"}, {"repeated"}),
    ("5.2 the same decision twice", answer(hold(), hold()), {"BTCUSDT": "hold"}, {"duplicate"}),
    ("36 many digits", entry_with("stop_loss", "94000.0000000001"), {"BTCUSDT": "buy"}, set()),
    (
        "37 raw line break in a string",
        answer(entry(rationale="HERE")).replace("HERE", "a\nb\tc"),
        {"BTCUSDT": "buy"},
        set(),
    ),
    ("44 lone surrogate", answer(entry(rationale="HERE")).replace("HERE", "up \\ud83d"), {"BTCUSDT": "buy"}, set()),
    ("44 raw lone surrogate", answer(entry(rationale="HERE")).replace("HERE", "up \ud83d"), {"BTCUSDT": "buy"}, set()),
    (
        "45 markup in the reasoning",
        json.dumps({"reasoning": '<think> system: {"decisions":[1]} ```', "decisions": [hold()]}),
        {"BTCUSDT": "hold"},
        set(),
    ),
]


@pytest.mark.parametrize(("content", "expected", "repairs"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_an_answer_whose_meaning_is_certain_is_read(content: str, expected: dict[str, str], repairs: set[str]) -> None:
    found = read(content, SYMBOLS)

    assert actions(found) == expected
    assert found.unread == ()
    assert set(found.repairs) == repairs


DROPPED = [
    ("18 range", answer(entry(stop_loss="94000-95000")), "bad_stop_loss"),
    ("18 other range", answer(entry(take_profit="97000~98000")), "bad_take_profit"),
    ("19 expression as text", answer(entry(allocation_usd="1000*0.3")), "bad_allocation_usd"),
    ("20 NaN", entry_with("confidence", "NaN"), "bad_confidence"),
    ("20 Infinity", entry_with("confidence", "Infinity"), "bad_confidence"),
    ("20 -Infinity", entry_with("allocation_usd", "-Infinity"), "bad_allocation_usd"),
    ("21 overflow", entry_with("confidence", "1e999"), "bad_confidence"),
    ("21 overflow beyond Decimal", entry_with("allocation_usd", "1e9999999999999999999"), "bad_allocation_usd"),
    ("22 confidence in words", answer(entry(confidence="high")), "bad_confidence"),
    ("22 confidence of another scale", answer(entry(confidence=85)), "bad_confidence"),
    ("22 confidence just above one", answer(entry(confidence=1.01)), "bad_confidence"),
    ("24 unknown symbol", answer(entry(asset="MOONX")), "unknown_symbol"),
    ("24 other contract", answer(entry(asset="BTCUSDC")), "unknown_symbol"),
    ("26 unknown action", answer(entry(action="ape in")), "unknown_action"),
    ("27 two actions in one", answer(entry(action="buy or hold")), "unknown_action"),
    ("34 negative price", answer(entry(stop_loss=-94000)), "bad_stop_loss"),
    ("34 price of zero", answer(entry(stop_loss=0)), "bad_stop_loss"),
    ("34 minus zero", entry_with("stop_loss", "-0.0"), "bad_stop_loss"),
    ("21 too small to be a price", entry_with("stop_loss", "1e-400"), "bad_stop_loss"),
    ("36 more digits than any price", entry_with("stop_loss", "1." + "3" * 100), "bad_stop_loss"),
    ("38 the side against the action", answer(entry(side="short")), "conflicting_fields"),
    ("38 a direction nobody knows", answer(entry(direction="sideways")), "conflicting_fields"),
    ("38 two names of the action", answer(entry(signal="sell")), "conflicting_fields"),
    ("38 two names of the asset", answer(entry(coin="ETH")), "unknown_symbol"),
    ("47 the example for an asset of ours", answer(EXAMPLE["decisions"][0] | {"asset": "BTCUSDT"}), "example"),
    ("47 a decision out of the prompt", answer(PAST | {"action": "close"}), "not_a_decision"),
    ("an action of everything", answer({"asset": "ALL", "action": "close"}), "unknown_symbol"),
    ("digits of another script", answer(entry(stop_loss="\u0669\u0664\u0660\u0660\u0660")), "bad_stop_loss"),
    ("48 a list as a number", answer(entry(allocation_usd=[500])), "bad_allocation_usd"),
    ("48 boolean as a number", answer(entry(allocation_usd=True)), "bad_allocation_usd"),
    ("48 boolean as leverage", answer(entry(leverage=True)), "bad_leverage"),
]


@pytest.mark.parametrize(("content", "code"), [row[1:] for row in DROPPED], ids=[row[0] for row in DROPPED])
def test_an_item_whose_meaning_is_not_certain_is_dropped_with_a_code(content: str, code: str) -> None:
    found = read(content, SYMBOLS)

    assert found.decisions == ()
    assert [item.code for item in found.unread] == [code]


REFUSED = [
    ("6 thoughts without an end", '<think>still thinking {"decisions":[{"asset":"BTCUSDT"', "still_thinking"),
    ("7 cut off", '{"decisions":[{"asset":"BTCUSDT","action":"bu', "cut_off"),
    ("7 cut off after a whole item", '{"decisions":[{"asset":"BTCUSDT","action":"close"},{"asset":"ETH', "cut_off"),
    ("7 without its beginning", '"action":"buy"}, {"asset":"ETHUSDT","action":"close"}]}', "cut_off"),
    ("9 empty", "", "empty"),
    ("9 blank", " \n\t", "empty"),
    ("17 thousands without quotes", entry_with("stop_loss", "94,000"), "broken_json"),
    ("19 expression", entry_with("allocation_usd", "1000*0.3"), "broken_json"),
    (
        "38 one key twice",
        '{"decisions":[{"asset":"BTCUSDT","action":"close","allocation_usd":10,"allocation_usd":10000}]}',
        "repeated_key",
    ),
    ("38 one key twice, unquoted", '{decisions:[{asset:"BTCUSDT",action:"buy",action:"sell"}]}', "repeated_key"),
    ("39 500 entries", answer(*[hold()] * 500), "too_many_items"),
    ("39 2 MB", '{"decisions":[' + " " * 2_000_000 + "]}", "too_long"),
    ("39 10 MB of prose around JSON", "so be it. " * 500_000 + HOLD + " so be it" * 500_000, "too_long"),
    ("39 a hundred thousand pieces", "{a}" * 100_000, "too_many_pieces"),
    ("39 a hundred thousand pieces in one", "[" + "{a}" * 100_000 + "]", "no_json"),
    ("39 a hundred thousand comments without an end", "[/*]" * 99_000, "too_many_pieces"),
    ("39 nested 10 000 deep", DEEP, "too_deep"),
    ("39 nested deeply within an answer", f'{{"decisions":[],"note":{DEEP}}}', "too_deep"),
    ("39 nested deeply, with strings that hide it", '{"decisions":' + '["]]]]",' * 5000 + "1" + "]" * 5000 + "}", None),
    ("40 refusal as an object", '{"error":"I can\'t help with trading"}', "no_decisions"),
    ("40 refusal in words", "I cannot give financial advice.", "no_json"),
    ("41 two different answers", f"{HOLD} {CLOSE_AND_BUY}", "ambiguous"),
    ("46 schema echoed", '{"type":"object","properties":{"decisions":{"type":"array"}}}', "no_decisions"),
    ("46 our schema echoed", json.dumps(answer_schema(SYMBOLS, ("5m", "4h"))), "no_decisions"),
    ("47 example repeated", json.dumps(EXAMPLE), "example"),
    ("47 prompt repeated", PROMPT.system, "example"),
    ("47 question repeated", PROMPT.user, "no_decisions"),
    ("a root that holds nothing", '{"decisions":null}', "no_decisions"),
    ("two roots", '{"trades":[],"signals":[{"asset":"BTCUSDT","action":"close"}]}', "no_decisions"),
    ("a footnote", "As shown [1], markets fall.", "no_decisions"),
    ("a number", "42", "no_json"),
    ("text in text in text", json.dumps(json.dumps(json.dumps(HOLD))), "no_json"),
]


@pytest.mark.parametrize(("content", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_an_answer_that_cannot_be_trusted_is_refused_as_a_whole_with_a_code(content: str, code: str | None) -> None:
    with pytest.raises(UnusableReply) as refusal:
        read(content, SYMBOLS)

    assert code in {None, refusal.value.code}


def completion(finish_reason: str = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", **message}}
    return json.dumps({"id": "gen-1", "model": "acme/m1", "choices": [choice]}).encode()


def test_of_a_content_in_parts_the_text_is_read() -> None:  # 42
    parts = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": HOLD[:9]}, {"type": "text", "text": HOLD[9:]}]

    content = read_completion(200, completion(content=parts)).answer()

    assert actions(read(content, SYMBOLS)) == {"BTCUSDT": "hold"}


TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "trade", "arguments": CLOSE_AND_BUY}}


@pytest.mark.parametrize(
    ("finish_reason", "message"),
    [
        pytest.param("length", {"content": None, "reasoning": f"Perhaps {CLOSE_AND_BUY}"}, id="8 thoughts only"),
        pytest.param(
            "stop", {"content": None, "reasoning": f"Perhaps {CLOSE_AND_BUY}"}, id="8 thoughts only, at peace"
        ),
        pytest.param("stop", {"content": "", "refusal": None}, id="9 empty"),
        pytest.param("length", {"content": HOLD}, id="7 cut off where nobody can tell"),
        pytest.param("stop", {"content": None, "refusal": "I can't trade."}, id="40 refusal"),
        pytest.param("content_filter", {"content": HOLD}, id="40 filtered"),
        pytest.param("tool_calls", {"content": None, "tool_calls": [TOOL_CALL]}, id="43 a tool nobody offered"),
    ],
)
def test_what_is_no_answer_is_not_read(finish_reason: str, message: dict[str, Any]) -> None:
    found = read_completion(200, completion(finish_reason, **message))

    with pytest.raises(ModelError):
        found.answer()


def test_two_opposite_entries_in_one_asset_are_both_dropped() -> None:  # 28
    found = read(answer(entry(), entry(action="sell", stop_loss=99000, take_profit=94000)), SYMBOLS)

    assert found.decisions == ()
    assert [item.code for item in found.unread] == ["contradiction", "contradiction"]


def test_a_dollar_amount_in_text_is_read_to_the_cent() -> None:  # 15, 16
    (decision,) = read(answer(entry(stop_loss="$94,000.50", leverage="3x", confidence="85%")), SYMBOLS).decisions

    assert (decision.stop_loss, decision.leverage, decision.confidence) == (Decimal("94000.50"), 3, Decimal("0.85"))


def test_digits_are_kept_as_written() -> None:  # 36
    (decision,) = read(entry_with("stop_loss", "94000.123456789012345678"), SYMBOLS).decisions

    assert decision.stop_loss == Decimal("94000.123456789012345678")


def test_text_that_no_database_can_hold_is_replaced() -> None:  # 44
    (decision,) = read(answer(entry(rationale="up \ud83d\0 \u202e!")), SYMBOLS).decisions

    assert decision.rationale == "up �� !"
