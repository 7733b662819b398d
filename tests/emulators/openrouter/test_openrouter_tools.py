"""Models that call tools, and what the service refuses in a conversation with tools."""

import json
from typing import Any

import pytest

from tests.emulators.openrouter.conftest import SEARCH_TOOL, a_market, a_prompt

CANDLES: Any = {
    "type": "function",
    "function": {
        "name": "candles",
        "parameters": {
            "type": "object",
            "properties": {
                "asset": {"type": "string"},
                "timeframe": {"type": "string", "enum": ["1m", "1h"]},
                "last": {"type": "integer"},
                "until": {"type": "string"},
                "columns": {"type": "array", "items": {"type": "string", "enum": ["close"]}},
                "adjusted": {"type": "boolean"},
                "shift": {"type": "integer", "minimum": 0, "maximum": 1},
                "level": {"anyOf": [{"type": "null"}, {"type": "number"}]},
            },
            "required": [],
        },
    },
}
TOOLS = [SEARCH_TOOL, CANDLES]


@pytest.fixture
def talk(client):
    """Have a conversation with a model, answering every call; the message of every turn comes back."""

    async def talking(model: str, *, turns: int = 12, keep: bool = True, **fields: Any) -> list[Any]:
        document = a_prompt(market={"BTCUSDT": a_market(), "ETHUSDT": a_market()})
        messages: list[Any] = [{"role": "user", "content": json.dumps(document)}]
        said = []
        for _ in range(turns):
            body = {"model": f"emulated/{model}", "messages": messages, "tools": TOOLS} | fields
            reply = await client.post("/chat/completions", json=body)
            assert reply.status_code == 200, reply.text
            choice = reply.json()["choices"][0]
            said.append(choice["message"] | {"finish_reason": choice["finish_reason"]})
            calls = choice["message"].get("tool_calls", [])
            if not calls:
                break
            kept = dict(choice["message"])
            if not keep:
                kept.pop("reasoning_details")
            messages.append(kept)
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": "61.2"} for call in calls]
        return said

    return talking


def called(messages: list[Any]) -> list[tuple[str, str]]:
    calls = [call["function"] for each in messages for call in each.get("tool_calls", [])]
    return [(call["name"], call["arguments"]) for call in calls]


async def test_the_analyst_looks_at_something_else_each_time_and_then_decides(talk) -> None:
    *rounds, answer = await talk("analyst")
    calls = called(rounds)

    assert [each["finish_reason"] for each in rounds] == ["tool_calls"] * 3
    assert len(set(calls)) == len(calls) == 6
    assert {name for name, _ in calls} == {"look_up", "candles"}
    assert "Read 6 tool results." in json.loads(answer["content"])["reasoning"]
    ids = [call["id"] for each in rounds for call in each["tool_calls"]]
    assert len(set(ids)) == 6


async def test_arguments_fit_the_schema_of_the_tool(talk) -> None:
    first, *_ = await talk("analyst")
    looked, candles = (json.loads(arguments) for _, arguments in called([first]))

    assert looked["symbol"] == "BTCUSDT"
    assert 2 <= looked["length"] <= 30
    assert candles["asset"] in {"BTCUSDT", "ETHUSDT"}
    assert candles["timeframe"] in {"1m", "1h"}
    assert candles["until"].startswith("2025-05-06T20:05:00")
    assert (candles["columns"], candles["adjusted"], candles["shift"]) == (["close"], True, 1)


async def test_a_single_caller_asks_once_for_everything_with_a_word_on_it(talk) -> None:
    *rounds, answer = await talk("single-caller")

    assert [name for name, _ in called(rounds)] == ["look_up", "candles"]
    assert all(each["content"] for each in rounds)
    assert json.loads(answer["content"])["decisions"]


async def test_calls_come_one_at_a_time_when_told_so(talk) -> None:
    rounds = await talk("analyst", parallel_tool_calls=False)

    assert all(len(each["tool_calls"]) == 1 for each in rounds[:-1])


async def test_the_insatiable_stops_only_when_there_is_nothing_to_call(talk) -> None:
    rounds = await talk("insatiable", turns=9)
    [answer] = await talk("insatiable", tool_choice="none")

    assert len(rounds) == 9
    assert all(each["tool_calls"] for each in rounds)
    assert json.loads(answer["content"])["decisions"]


async def test_the_tireless_calls_even_when_it_may_not(talk) -> None:
    [forbidden] = await talk("tireless", turns=1, tool_choice="none")
    [unoffered] = await talk("tireless", turns=1, tools=[])

    assert forbidden["tool_calls"]
    assert unoffered["tool_calls"][0]["function"]["name"] == "get_candles"


async def test_the_clumsy_caller_gets_it_right_in_the_end(talk) -> None:
    *rounds, answer = await talk("clumsy-caller")
    arguments = [text for _, text in called(rounds)]

    assert len(arguments) == 6
    assert arguments[3] == ""
    assert arguments[4].startswith("```json")
    assert "cosmic_ray" in arguments[1]
    for text in (arguments[0], arguments[3], arguments[4]):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    assert isinstance(json.loads(arguments[2]), list)
    assert isinstance(json.loads(arguments[5]), dict)
    assert json.loads(answer["content"])["decisions"]


async def test_the_inventor_calls_what_nobody_offered(talk) -> None:
    *rounds, answer = await talk("tool-inventor")

    assert [name for name, _ in called(rounds)] == ["get_insider_news"] * 2
    assert answer["content"]


async def test_two_calls_can_bear_one_id(talk) -> None:
    asked, answer = await talk("same-id-caller")

    assert [call["id"] for call in asked["tool_calls"]] == ["call_1", "call_1"]
    assert answer["content"]


async def test_a_choice_of_tool_is_obeyed(talk) -> None:
    [required] = await talk("analyst", turns=1, tool_choice="required")
    [forced] = await talk("analyst", turns=1, tool_choice={"type": "function", "function": {"name": "candles"}})

    assert required["tool_calls"]
    assert {call["function"]["name"] for call in forced["tool_calls"]} == {"candles"}


async def test_a_well_behaved_trader_needs_no_tools(talk) -> None:
    [answer] = await talk("rule-follower")

    assert json.loads(answer["content"])["decisions"]


async def test_the_thinking_analyst_wants_its_thoughts_back(talk) -> None:
    *rounds, answer = await talk("thinking-analyst")

    assert len(rounds) == 3
    assert all(each["reasoning_details"] for each in rounds)
    assert answer["content"]
    with pytest.raises(AssertionError, match="reasoning_details"):
        await talk("thinking-analyst", keep=False)


async def test_max_tokens_cuts_arguments_short(talk) -> None:
    [cut] = await talk("single-caller", turns=1, max_tokens=15)

    assert cut["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut["tool_calls"][0]["function"]["arguments"])


async def test_tools_and_calls_count_as_prompt(ask) -> None:
    plain = await ask("coward", a_prompt())
    offered = await ask("coward", a_prompt(), tools=TOOLS)

    assert offered["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"] + 100


CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "call_1", "content": "5"}
USER = {"role": "user", "content": "{}"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"messages": [USER, ASKED]}, "missing: call_1"),
        ({"messages": [USER, ASKED, USER]}, "missing: call_1"),
        ({"messages": [USER, ANSWERED]}, "must answer a tool_call"),
        ({"messages": [USER, ASKED, ANSWERED, ANSWERED]}, "must answer a tool_call"),
        ({"messages": [USER | {"tool_calls": [CALL]}]}, "role assistant"),
        ({"messages": [USER, ASKED | {"tool_calls": [{"id": "call_1"}]}, ANSWERED]}, "an id and a function"),
        ({"messages": [USER, ASKED | {"tool_calls": [CALL | {"id": 5}]}, ANSWERED]}, "must be strings"),
        ({"tools": "look_up"}, "tools must be an array"),
        ({"tools": [{"name": "look_up"}]}, "must be a function with a name"),
        ({"tools": [SEARCH_TOOL, SEARCH_TOOL]}, "same name"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]}, "JSON Schema"),
        (
            {"tools": [{"type": "function", "function": SEARCH_TOOL["function"] | {"strict": True}}]},
            "additionalProperties",
        ),
        ({"tool_choice": "must"}, "tool_choice must be one of"),
        ({"tool_choice": "required"}, "required without tools"),
        ({"tool_choice": {"type": "function", "function": {"name": "b"}}, "tools": [SEARCH_TOOL]}, "must name one"),
    ],
)
async def test_a_conversation_that_makes_no_sense_is_refused(client, changes, complaint) -> None:
    body = {"model": "emulated/analyst", "messages": [USER]} | changes

    reply = await client.post("/chat/completions", json=body)

    assert reply.status_code == 400
    assert complaint in reply.json()["error"]["message"]
