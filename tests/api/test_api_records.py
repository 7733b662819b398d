"""Decisions on record over HTTP: shown, proved, made again, asked anew, reviewed under other limits."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shared.db.unit_of_work import Database
from shared.llm.prompt import DEFAULT_TEMPLATE

Decided = str


@pytest.fixture
async def decided(client: httpx.AsyncClient) -> Decided:
    """A decision that the emulated rule-follower made."""
    answer = await client.post("/functions/cycle/invocations", json={"account": "main"}, timeout=60)
    return f"main@{answer.json()['decide']['tick']}"


async def replayed(client: httpx.AsyncClient, decision: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/decisions/{decision}/replay", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_record_is_shown_by_the_names_of_its_parts_and_in_full_when_asked_for(
    client: httpx.AsyncClient, decided: Decided
) -> None:
    short = (await client.get(f"/decisions/{decided}/record")).json()
    full = (await client.get(f"/decisions/{short['record'][:10]}/record", params={"full": "true"})).json()

    assert (short["account"], short["sound"], short["problems"]) == ("main", True, [])
    assert short["body"] is None
    assert {"snapshot.quotes", "context.quotes", "prompt.text", "calls.0.content"} <= short["parts"].keys()
    assert short["parts"]["snapshot.quotes"] == short["parts"]["context.quotes"]
    assert full["body"]["calls"][0]["asked_model"] == "emulated/rule-follower"
    assert full["body"]["context"]["account"]["limits"]["max_leverage"] == 5
    assert full["body"]["judgement"]["why"] == ""


async def test_a_decision_made_again_is_the_same_until_somebody_changes_a_byte(
    client: httpx.AsyncClient, decided: Decided, database: Database
) -> None:
    assert (await replayed(client, decided, kind="rerun"))["same"] is True

    async with database.transaction() as connection:
        await connection.execute(text("UPDATE documents SET body = replace(body, 'equity', 'equitY')"))

    shown = (await client.get(f"/decisions/{decided}/record")).json()
    refused = await client.post(f"/decisions/{decided}/replay", json={"kind": "rerun"})
    assert shown["sound"] is False
    assert "calls.0.prompt.user was changed" in shown["problems"]
    assert (refused.status_code, refused.json()["code"]) == (409, "record_broken")


async def test_another_model_is_asked_the_same_and_paid_for_as_a_replay(
    client: httpx.AsyncClient, decided: Decided
) -> None:
    told = await replayed(client, decided, kind="reask", model="emulated/coward")

    assert (told["before"]["model"], told["after"]["model"]) == ("emulated/rule-follower", "emulated/coward")
    assert told["before"]["prompt_version"] == told["after"]["prompt_version"]
    assert {each["action"] for each in told["after"]["decisions"]} == {"hold"}
    assert float(told["after"]["cost_usd"]) > 0
    calls = (await client.get("/llm-interactions", params={"purpose": "replay"})).json()["items"]
    assert [(call["asked_model"], call["purpose"]) for call in calls] == [("emulated/coward", "replay")]
    [mine] = (await client.get("/models", params={"account": "main"})).json()["items"]
    assert (mine["model"], mine["asked"], mine["purpose"]) == ("emulated/rule-follower", 1, "decision")


async def test_another_prompt_is_posted_as_text(client: httpx.AsyncClient, decided: Decided) -> None:
    prompt = DEFAULT_TEMPLATE.read_text(encoding="utf-8") + "\nBe brief.\n"

    told = await replayed(client, decided, kind="reask", prompt=prompt)

    assert told["after"]["prompt_version"].startswith("posted-")
    assert told["after"]["model"] == "emulated/rule-follower"


async def test_other_limits_show_what_they_would_have_changed(client: httpx.AsyncClient, decided: Decided) -> None:
    told = await replayed(client, decided, kind="rereview", limits={"min_confidence": "1", "max_leverage": 1})

    assert told["after"]["limits"] == "max_leverage=1, min_confidence=1"
    assert len(told["before"]["decisions"]) == len(told["after"]["decisions"])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "kind: Field required"),
        ({"kind": "guess"}, "kind: Input should be 'rerun', 'reask' or 'rereview'"),
        ({"kind": "rerun", "model": "a/b"}, "a rerun takes nothing else"),
        ({"kind": "reask"}, "a reask takes model or prompt"),
        ({"kind": "rereview", "model": "a/b"}, "a rereview takes limits"),
        ({"kind": "rereview", "limits": {"max_leverag": 1}}, "max_leverag is no limit: did you mean max_leverage?"),
        ({"kind": "reask", "prompt": "At most 5$."}, "the prompt template posted holds a lone $"),
        ({"kind": "rerun", "file": "/etc/passwd"}, "the body has an unknown field file"),
        ([], "the body must be a JSON object with kind"),
    ],
)
async def test_a_body_that_cannot_be_served_is_refused_in_one_line(
    client: httpx.AsyncClient, decided: Decided, body: Any, says: str
) -> None:
    answer = await client.post(f"/decisions/{decided}/replay", json=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_body")
    assert answer.json()["detail"].startswith(says)


async def test_what_names_no_decision_is_told_apart_from_one_that_is_not_there(client: httpx.AsyncClient) -> None:
    nonsense = await client.get("/decisions/yesterday/record")
    missing = await client.get("/decisions/abcdef012345/record")

    assert (nonsense.status_code, nonsense.json()["code"]) == (422, "bad_request")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_record")


async def test_a_preview_shows_what_would_be_asked_and_asks_nobody(client: httpx.AsyncClient) -> None:
    nothing = await client.get("/accounts/main/prompt")
    await client.post("/functions/fetch/invocations", json={"account": "main"}, timeout=60)

    shown = (await client.get("/accounts/main/prompt")).json()

    assert (nothing.status_code, nothing.json()["code"]) == (422, "bad_request")
    assert [message["role"] for message in shown["messages"]] == ["system", "user"]
    assert shown["prompt_tokens"] > 1000
    assert 0 < float(shown["worst_cost_usd"]) < 1
    assert (await client.get("/llm-interactions")).json()["items"] == []
    assert (await client.get("/accounts/nobody/prompt")).status_code == 404
