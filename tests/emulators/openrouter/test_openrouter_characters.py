"""The bad habits of the misbehaving models."""

import json

import pytest


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
