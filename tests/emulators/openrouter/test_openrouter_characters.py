"""The bad habits of the misbehaving models."""

import json
import re

import pytest

from tests.emulators.openrouter.conftest import a_position


@pytest.fixture
def content(ask):
    async def of(model, document, **fields):
        return (await ask(model, document, **fields))["choices"][0]["message"]["content"]

    return of


async def test_the_fenced_model_wraps_the_rule_followers_answer_in_prose(content, prompt) -> None:
    sound = await content("rule-follower", prompt())
    fenced = await content("fenced", prompt())

    before, inside, after = fenced.split("```")
    assert inside == f"json\n{sound}\n"
    assert before.strip()
    assert after.strip()


async def test_the_thinker_thinks_aloud_with_braces_before_it_answers(content, prompt) -> None:
    thought, answer = (await content("thinker", prompt())).split("</think>\n")

    assert thought.startswith("<think>")
    assert "{" in thought
    assert answer == await content("rule-follower", prompt())


async def test_the_truncated_model_stops_in_the_middle_of_its_json(ask, content, prompt) -> None:
    choice = (await ask("truncated", prompt()))["choices"][0]

    assert choice["finish_reason"] == "length"
    assert (await content("rule-follower", prompt())).startswith(choice["message"]["content"])
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice["message"]["content"])


async def test_the_refuser_refuses(ask, prompt) -> None:
    choice = (await ask("refuser", prompt()))["choices"][0]

    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["content"] is None
    assert "financial advice" in choice["message"]["refusal"]


async def test_the_hallucinator_invents_symbols_stops_and_leverage(content, prompt) -> None:
    dreams = {item["asset"]: item for item in json.loads(await content("hallucinator", prompt()))["decisions"]}

    assert set(dreams) == {"BTCUSDT", "MOONUSDT"}
    assert dreams["BTCUSDT"]["action"] == "buy"
    assert dreams["BTCUSDT"]["stop_loss"] > 95500 > dreams["BTCUSDT"]["take_profit"]
    assert dreams["BTCUSDT"]["leverage"] == 1000


async def test_numbers_come_as_strings_and_nulls_stay_null(content, prompt, position) -> None:
    sound = json.loads(await content("rule-follower", prompt()))["decisions"][0]
    quoted = json.loads(await content("numbers-as-strings", prompt()))["decisions"][0]
    held = json.loads(await content("numbers-as-strings", prompt(positions=[position()])))["decisions"][0]

    assert isinstance(quoted["stop_loss"], str)
    assert float(quoted["stop_loss"]) == sound["stop_loss"]
    assert quoted["leverage"] == str(sound["leverage"])
    assert held["stop_loss"] is None


async def test_prose_says_what_it_would_do_and_is_not_json(content, prompt) -> None:
    prose = await content("not-json", prompt())

    assert "I would buy BTCUSDT." in prose
    assert "{" not in prose


async def test_the_empty_model_spends_its_tokens_thinking(ask, prompt) -> None:
    reply = await ask("empty", prompt(), max_tokens=50)
    [choice] = reply["choices"]

    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "length"
    assert choice["message"]["reasoning"] == choice["message"]["reasoning_details"][0]["text"]
    assert reply["usage"]["completion_tokens"] == 50
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 50


async def test_one_bad_item_stands_beside_a_sound_close(content, prompt, position) -> None:
    short = position(side="SHORT", exit_plan={})
    sound, broken = json.loads(await content("one-bad-item", prompt(positions=[short])))["decisions"]

    assert (sound["asset"], sound["action"]) == ("BTCUSDT", "close")
    assert "asset" not in broken
    assert broken["allocation_usd"] == "a lot"


@pytest.mark.parametrize("document", [{}, {"market": []}, {"market": {"BTCUSDT": None}}])
@pytest.mark.parametrize(
    "model",
    ["rule-follower", "over-trader", "fenced", "hallucinator", "numbers-as-strings", "not-json", "one-bad-item"],
)
async def test_no_model_stumbles_over_an_empty_prompt(ask, model, document) -> None:
    reply = await ask(model, document)

    assert '"buy","asset":"BTCUSDT"' not in str(reply["choices"][0]["message"]["content"])
    assert reply["choices"][0]["finish_reason"] == "stop"


async def test_the_echo_says_its_prompt_back(content, prompt) -> None:
    said = await content("echo", prompt())

    assert said.startswith("Answer with JSON only.\nHere is the market.\n")
    assert json.dumps(prompt()) in said


async def test_the_novelist_writes_ten_megabytes_whatever_the_limit(ask, prompt) -> None:
    reply = await ask("novelist", prompt(), max_tokens=500)

    assert len(reply["choices"][0]["message"]["content"]) > 10_000_000
    assert "{" not in reply["choices"][0]["message"]["content"]


async def test_half_a_surrogate_pair_goes_over_the_wire_as_an_escape(client, prompt) -> None:
    messages = [{"role": "user", "content": json.dumps(prompt())}]
    reply = await client.post("/chat/completions", json={"model": "emulated/surrogates", "messages": messages})

    content = reply.json()["choices"][0]["message"]["content"]
    assert b"To the moon \\ud83d" in reply.content
    assert json.loads(content)["decisions"][0]["action"] == "buy"
    with pytest.raises(UnicodeEncodeError):
        content.encode()


async def test_the_fabulist_trades_soundly_for_reasons_it_made_up(decisions, prompt) -> None:
    document = prompt()
    bought = (await decisions("fabulist", document))["BTCUSDT"]

    cited = re.findall(r"\d{4,}(?:\.\d+)?", bought["rationale"] + bought["exit_plan"]["text"])
    assert bought["stop_loss"] < 95500 < bought["take_profit"]
    assert len(cited) == 3
    assert not [price for price in cited if price in json.dumps(document)]


@pytest.mark.parametrize(
    ("past", "side", "action"),
    [
        ([], None, "buy"),
        ([("12:05", "buy")], None, "sell"),
        ([("12:05", "buy")], "LONG", "sell"),
        ([("12:10", "sell"), ("12:05", "buy")], "LONG", "buy"),
        ([("12:05", "buy"), ("12:15", "hold"), ("12:10", "sell")], None, "buy"),
        ([], "LONG", "sell"),
        ([], "SHORT", "buy"),
    ],
)
async def test_the_flipper_takes_the_other_side_of_its_last_decision(decisions, prompt, past, side, action) -> None:
    recent = [{"time": f"2025-05-06T{time}:00Z", "asset": "BTCUSDT", "action": made} for time, made in past]
    document = prompt(recent_decisions=recent, positions=[a_position(side=side)] if side else [])

    assert (await decisions("flipper", document))["BTCUSDT"]["action"] == action


async def test_the_gamblers_dice_fall_the_same_for_the_same_question_and_seed(content, prompt, rising) -> None:
    document = prompt(market={f"COIN{number}USDT": rising for number in range(12)})

    first, again, other = [await content("gambler", document, seed=seed) for seed in (1, 1, 2)]
    actions = {decision["action"] for decision in json.loads(first)["decisions"]}

    assert first == again != other
    assert actions == {"hold", "buy", "sell"}


async def test_the_planner_has_a_close_to_end_each_trade_by(decisions, prompt, rising) -> None:
    made = await decisions("planner", prompt(market={"BTCUSDT": rising, "ETHUSDT": rising}))

    conditions = [each["exit_plan"]["invalidation"]["condition"] for each in made.values()]
    assert [each["action"] for each in made.values()] == ["buy", "sell"]
    assert conditions == ["close_below", "close_above"]


def nullable(schema):
    return {"anyOf": [schema, {"type": "null"}]}


def an_object(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TIMEFRAME = {"type": "string", "enum": ["5m", "4h"]}
ENDS = {
    "invalidation": nullable(
        an_object(
            timeframe=TIMEFRAME,
            condition={"type": "string", "enum": ["close_above", "close_below"]},
            price={"type": "number"},
        )
    ),
    "indicator": nullable(
        an_object(
            timeframe=TIMEFRAME,
            name={"type": "string", "enum": ["atr_14", "rsi_14"]},
            comparison={"type": "string", "enum": ["above", "below"]},
            value={"type": ["number", "null"]},
            than=nullable({"type": "string", "enum": ["ema_20"]}),
        )
    ),
    "expiry": nullable(an_object(after_candles={"type": ["integer", "null"]}, at={"type": ["string", "null"]})),
}


async def test_the_planner_fills_in_whatever_ends_the_schema_knows(decisions, prompt, rising) -> None:
    text = {"type": "string"}
    decision = an_object(asset=text, action=text, exit_plan=an_object(text=text, **ENDS))
    schema = an_object(decisions={"type": "array", "items": decision})
    response_format = {"type": "json_schema", "json_schema": {"name": "plans", "strict": True, "schema": schema}}

    # Where one thing may be null because another says the same, assets take turns.
    made = await decisions(
        "planner", prompt(market={"AUSDT": rising, "BUSDT": rising}), response_format=response_format
    )
    first, second = made["AUSDT"]["exit_plan"], made["BUSDT"]["exit_plan"]

    assert first["invalidation"]["condition"] == "close_below"
    assert 94000 < first["invalidation"]["price"] < 95500
    assert first["indicator"] == {
        "timeframe": "5m",
        "name": "rsi_14",
        "comparison": "below",
        "value": 30,
        "than": None,
    }
    assert (first["expiry"]["after_candles"], first["expiry"]["at"]) == (5, None)
    assert second["invalidation"]["condition"] == "close_above"
    assert (second["indicator"]["value"], second["indicator"]["than"]) == (None, "ema_20")
    assert second["expiry"]["at"] == "2025-05-06T20:05:00+00:00"


@pytest.mark.parametrize(
    ("fields", "thought"),
    [
        ({}, 1000),
        ({"max_tokens": 1000}, 500),
        ({"max_tokens": 1000, "reasoning": {"effort": "low"}}, 200),
        ({"max_tokens": 1000, "reasoning_effort": "minimal"}, 100),
        ({"max_tokens": 1000, "reasoning": {"max_tokens": 321}}, 321),
        ({"max_tokens": 1000, "reasoning": {"enabled": False}}, 0),
        ({"max_tokens": 1000, "reasoning": {"effort": "none"}}, 0),
    ],
)
async def test_the_reasoner_thinks_as_much_as_it_is_told(ask, prompt, fields, thought) -> None:
    reply = await ask("reasoner", prompt(), **fields)
    message, usage = reply["choices"][0]["message"], reply["usage"]

    assert usage["completion_tokens_details"]["reasoning_tokens"] == thought
    assert usage["completion_tokens"] == thought + -(-len(message["content"]) // 4)
    assert ("reasoning" in message) == (thought > 0)
    assert json.loads(message["content"])["decisions"]


async def test_thoughts_that_are_not_shown_are_still_billed(ask, prompt) -> None:
    shown, hidden = [
        await ask("reasoner", prompt(), max_tokens=1000, reasoning={"effort": "low", "exclude": exclude})
        for exclude in (False, True)
    ]

    assert "reasoning" not in hidden["choices"][0]["message"]
    assert hidden["usage"] == shown["usage"]


async def test_thoughts_can_eat_the_whole_limit_or_cut_the_answer(ask, prompt) -> None:
    everything = await ask("reasoner", prompt(), max_tokens=100, reasoning={"max_tokens": 100})
    most = await ask("reasoner", prompt(), max_tokens=100, reasoning={"max_tokens": 90})

    assert [each["choices"][0]["finish_reason"] for each in (everything, most)] == ["length", "length"]
    assert everything["choices"][0]["message"]["content"] is None
    assert len(most["choices"][0]["message"]["content"]) == 40
    assert [each["usage"]["completion_tokens"] for each in (everything, most)] == [100, 100]


async def test_who_must_think_cannot_be_told_not_to(client, ask) -> None:
    body = {"model": "emulated/brooder", "messages": [{"role": "user", "content": "{}"}]}

    refused = await client.post("/chat/completions", json=body | {"reasoning": {"effort": "none"}})

    assert refused.status_code == 400
    assert "mandatory" in refused.json()["error"]["message"]


async def test_a_small_model_loses_the_middle_of_a_long_prompt_unless_that_is_forbidden(
    client, content, prompt
) -> None:
    long = {"before": "x" * 40_000} | prompt() | {"after": "x" * 40_000}
    forbidden = {"plugins": [{"id": "context-compression", "enabled": False}]}
    body = {"model": "emulated/small", "messages": [{"role": "user", "content": json.dumps(long)}]}

    refused = await client.post("/chat/completions", json=body | forbidden)
    lost = json.loads(await content("small", long))

    assert refused.json()["error"]["metadata"]["error_type"] == "context_length_exceeded"
    assert lost["decisions"] == []  # the market stood in the middle
    assert json.loads(await content("small", prompt(), **forbidden))["decisions"][0]["action"] == "buy"


async def test_the_briefing_is_found_wherever_it_stands(client, prompt) -> None:
    def messages(*texts: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": text} for text in texts]

    briefing = json.dumps(prompt())
    for conversation in (
        messages(f'Mind {{"this": 1}} and {{that}}. {briefing}'),
        messages(briefing, "That was no JSON. Once more, please."),
        messages("Here it comes.", briefing),
    ):
        body = {"model": "emulated/rule-follower", "messages": conversation}
        reply = (await client.post("/chat/completions", json=body)).json()

        assert json.loads(reply["choices"][0]["message"]["content"])["decisions"][0]["action"] == "buy"
