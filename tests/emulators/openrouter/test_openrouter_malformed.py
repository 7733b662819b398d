"""Every case of the table of malformed outputs, each by a slug of its own."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from emulators.openrouter.malformed import CASES
from tests.emulators.openrouter.conftest import SEARCH_TOOL, STRICT

EXAMPLE = {"decisions": [{"asset": "EXAMPLEUSDT", "action": "buy", "stop_loss": 1.11}]}
NO_JSON = {
    *("1", "2", "3", "4", "5", "6", "7", "7b", "9", "17", "19", "30", "31", "31b", "31c", "32", "33", "33b", "33c"),
    *("33d", "37", "37b", "40b", "41"),
}
"""What `json.loads` refuses as it comes; Python's takes NaN, Infinity and duplicate keys."""
NO_STRING = {"8", "42", "43", "43b"}


@pytest.fixture
def said(client, prompt):
    """What a case says, and its whole reply."""

    async def saying(name: str, **fields: Any) -> tuple[Any, Any]:
        messages = [
            {"role": "system", "content": f"The form of an answer:\n{json.dumps(EXAMPLE)}"},
            {"role": "user", "content": json.dumps(prompt())},
        ]
        body = {"model": f"malformed/{name}", "messages": messages} | fields
        reply = await client.post("/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        document = json.loads(reply.content.decode("utf-8", "surrogateescape"))
        return document["choices"][0]["message"]["content"], document

    return saying


def test_every_number_of_the_table_has_a_model() -> None:
    assert sorted({case.number for case in CASES.values()}) == list(range(1, 49))


@pytest.mark.parametrize("name", [name for name in CASES if name not in NO_STRING])
async def test_a_case_is_json_by_itself_or_is_not(said, name) -> None:
    content, _ = await said(name)

    try:
        json.loads(content)
    except (ValueError, RecursionError):
        is_json = False
    else:
        is_json = True

    # Ten thousand levels are JSON; how many of them a reader takes is its own affair.
    assert is_json == (name not in NO_JSON) or name == "39c"


def first(content: str) -> Any:
    return json.loads(content)["decisions"][0]


SPOILED: dict[str, Callable[[str], Any]] = {
    "10": lambda content: json.loads(content)[0]["action"] == "buy",
    "11": lambda content: json.loads(content)["action"] == "buy",
    "12": lambda content: json.loads(content)["BTCUSDT"]["action"] == "buy",
    "13": lambda content: list(json.loads(content)) == ["Decisions"],
    "14": lambda content: json.loads(json.loads(content))["decisions"][0]["action"] == "buy",
    "14b": lambda content: isinstance(json.loads(json.loads(content)), str),
    "15": lambda content: float(first(content)["stop_loss"]) < 95500,
    "16": lambda content: first(content)["stop_loss"].startswith("$95,"),
    "17": lambda content: '"stop_loss":95,000' in content,
    "18": lambda content: "-" in first(content)["stop_loss"],
    "19": lambda content: '"allocation_usd":1000*0.3,' in content,
    "20": lambda content: '"confidence":NaN' in content,
    "20c": lambda content: '"stop_loss":-Infinity' in content,
    "21": lambda content: first(content)["allocation_usd"] == float("inf"),
    "22b": lambda content: first(content)["confidence"] == "85%",
    "23": lambda content: first(content)["asset"] == "btc",
    "23c": lambda content: first(content)["asset"] == "BTC-PERP",
    "24": lambda content: first(content)["asset"] == "MOONX",
    "26b": lambda content: first(content)["action"] == "Open Long",
    "27": lambda content: first(content)["action"] == "buy or hold",
    "28": lambda content: {each["action"] for each in json.loads(content)["decisions"]} == {"buy", "sell"},
    "29": lambda content: (first(content)["action"], first(content)["asset"]) == ("close", "BTCUSDT"),
    "34": lambda content: first(content)["stop_loss"] < 0,
    "35": lambda content: first(content)["stop_loss"] is None,
    "35b": lambda content: "stop_loss" not in first(content),
    "36": lambda content: ".0000000001," in content,
    "38": lambda content: '"allocation_usd":10,"allocation_usd":10000' in content,
    "39": lambda content: len(json.loads(content)["decisions"]) == 500,
    "39b": lambda content: len(content) > 2_000_000,
    "39c": lambda content: content.count('{"text":') == 10_000,
    "44": lambda content: "\\ud83d" in content,
    "44b": lambda content: "\ud83d" in content,
    "44c": lambda content: "\udcff" in content,
    "45": lambda content: "SYSTEM" in first(content)["rationale"],
    "46": lambda content: json.loads(content)["type"] == "object",
    "47": lambda content: json.loads(content) == EXAMPLE,
    "48": lambda content: first(content)["allocation_usd"] is True,
}


@pytest.mark.parametrize("name", SPOILED)
async def test_a_case_is_spoiled_as_the_table_says(said, name) -> None:
    content, _ = await said(name)

    assert SPOILED[name](content)


async def test_what_is_spoiled_would_have_been_a_trade(said) -> None:
    content, _ = await said("1")

    order = first(content.removeprefix("```json\n").removesuffix("\n```"))

    assert (order["action"], order["asset"]) == ("buy", "BTCUSDT")
    assert order["stop_loss"] < 95500 < order["take_profit"]
    assert order["allocation_usd"] > 0


async def test_a_cut_says_so_or_hides_it(said) -> None:
    told, hidden = [(await said(name))[1]["choices"][0] for name in ("7", "7b")]

    assert (told["finish_reason"], told["message"]["content"][-12:]) == ("length", '"action":"bu')
    assert (hidden["finish_reason"], hidden["message"]["content"][-16:]) == ("stop", '"take_profit":96')


async def test_parts_and_calls_stand_where_the_content_should(said) -> None:
    parts, _ = await said("42")
    none_offered, invented = await said("43")
    _, offered = await said("43b", tools=[SEARCH_TOOL])
    [call] = offered["choices"][0]["message"]["tool_calls"]

    assert [part["type"] for part in parts] == ["thinking", "text", "text"]
    assert json.loads(parts[1]["text"] + parts[2]["text"])["decisions"]
    assert none_offered is None
    assert invented["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "submit_decisions_now"
    assert call["function"]["name"] == "look_up"
    assert json.loads(call["function"]["arguments"])["decisions"]


async def test_the_schema_that_comes_back_is_the_one_that_was_sent(said) -> None:
    content, _ = await said("46", response_format=STRICT)

    assert json.loads(content) == STRICT["json_schema"]["schema"]


async def test_a_malformed_answer_heeds_no_limit_and_is_billed_in_full(said) -> None:
    content, reply = await said("39b", max_tokens=100)

    assert len(content) > 2_000_000
    assert reply["usage"]["completion_tokens"] > 500_000
    assert reply["usage"]["cost"] > 0


@pytest.mark.parametrize("name", CASES)
async def test_no_case_stumbles_over_an_empty_prompt(client, name) -> None:
    body = {"model": f"malformed/{name}", "messages": [{"role": "user", "content": "{}"}]}

    assert (await client.post("/chat/completions", json=body)).status_code == 200
