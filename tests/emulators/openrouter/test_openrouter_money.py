"""What answers cost, who may spend what, and that it all adds up."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.emulators.openrouter.conftest import a_prompt

KEY = "sk-or-v1-secret"
BODY = {"model": "emulated/over-trader", "messages": [{"role": "user", "content": "{}"}]}
FREE = BODY | {"model": "emulated/coward:free"}


@pytest.fixture
def administer(client):
    async def administering(path: str, **document: Any) -> Any:
        reply = await client.post(f"http://emulator/emulator/{path}", json=document)
        assert reply.status_code == 200, reply.text
        return reply.json()

    return administering


@pytest.fixture
def read(client):
    async def reading(path: str, **options: Any) -> Any:
        reply = await client.get(path, **options)
        return json.loads(reply.content, parse_float=Decimal)["data"]

    return reading


async def test_the_generations_of_a_key_add_up_to_what_it_spent_to_the_last_digit(ask, read, client) -> None:
    names = ["rule-follower", "reasoner", "hallucinator", "empty", "analyst", "cold", "novelist", "flipper"]
    replies = [await ask(name, a_prompt()) for name in [*names, *names]]
    await client.post("/chat/completions", json=BODY | {"stream": True})
    await client.post("/chat/completions", json=BODY, headers={"Authorization": "Bearer another"})

    generations = [await read("/generation", params={"id": reply["id"]}) for reply in replies]
    key, credit = await read("/key"), await read("/credits")

    assert [each["total_cost"] for each in generations] == [each["usage"]["cost"] for each in replies]
    streamed = key["usage"] - sum(each["total_cost"] for each in generations)
    assert streamed > 0
    assert key["usage"] == key["usage_daily"] == key["usage_weekly"] == key["usage_monthly"]
    assert credit["total_usage"] == key["usage"] + streamed


async def test_a_cost_is_its_tokens_times_its_prices(ask, read) -> None:
    listed = {model["id"]: model["pricing"] for model in await read("/models")}
    for name in ("rule-follower", "reasoner", "echo"):
        usage = (await ask(name, a_prompt()))["usage"]
        prompt, completion = (Decimal(listed[f"emulated/{name}"][kind]) for kind in ("prompt", "completion"))

        assert usage["cost"] == usage["prompt_tokens"] * prompt + usage["completion_tokens"] * completion
        details = usage["cost_details"]
        assert usage["cost"] == sum(value for value in details.values() if value is not None)


async def test_a_prompt_that_begins_as_the_one_before_is_cheaper_that_far(ask) -> None:
    long = a_prompt(notes="x" * 9000)

    first, second = [(await ask("coward", long))["usage"] for _ in range(2)]
    changed = (await ask("coward", a_prompt(notes="y" * 9000)))["usage"]

    cached = second["prompt_tokens_details"]["cached_tokens"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert 2048 <= cached <= second["prompt_tokens"]
    assert cached % 128 == 0
    assert first["cost"] - second["cost"] == cached * Decimal("0.00000005") * Decimal("0.9")
    assert changed["prompt_tokens_details"]["cached_tokens"] == 0


async def test_a_short_prompt_is_never_cached(ask) -> None:
    first, second = [(await ask("coward", a_prompt()))["usage"] for _ in range(2)]

    assert first == second


async def test_a_cache_is_of_one_model_and_one_key_and_lasts_five_minutes(client, ask, administer) -> None:
    def cached(reply: Any) -> int:
        return reply["usage"]["prompt_tokens_details"]["cached_tokens"]

    long = a_prompt(notes="x" * 9000)
    await ask("coward", long)
    body = {"model": "emulated/coward", "messages": [{"role": "user", "content": json.dumps(long)}]}
    stranger = await client.post("/chat/completions", json=body, headers={"Authorization": "Bearer another"})

    assert cached(await ask("contrarian", long)) == 0
    assert cached(stranger.json()) == 0
    assert cached(await ask("coward", long)) > 0
    await administer("clock", advance=301)
    assert cached(await ask("coward", long)) == 0


@pytest.mark.parametrize("status", [402, 403])
async def test_a_key_whose_limit_is_reached_is_refused_until_the_limit_starts_anew(
    client, read, administer, status
) -> None:
    await administer("keys", key=KEY, limit="0.0003", limit_reset="daily", exhausted_status=status)
    statuses = [(await client.post("/chat/completions", json=BODY)).status_code for _ in range(6)]
    refused = await client.post("/chat/completions", json=BODY)
    spent = await read("/key")

    paid = statuses.count(200)
    assert statuses == [200] * paid + [status] * (6 - paid)
    assert 1 <= paid < 6
    metadata = refused.json()["error"]["metadata"]
    assert metadata["limit_source"] == "openrouter_key_limit"
    assert metadata["resets_at"] == spent["effective_budget"]["resets_at"] == "2025-10-10T00:00:00+00:00"
    assert (spent["limit"], spent["limit_remaining"], spent["limit_reset"]) == (Decimal("0.0003"), 0, "daily")
    assert spent["budgets"] == [spent["effective_budget"]]

    await administer("clock", advance=86_400)
    fresh = await read("/key")
    again = await client.post("/chat/completions", json=BODY)

    assert again.status_code == 200
    assert (fresh["usage_daily"], fresh["limit_remaining"]) == (0, Decimal("0.0003"))
    assert fresh["usage"] == fresh["usage_weekly"] == spent["usage"]


async def test_a_limit_is_one_keys_own_and_can_be_lifted(client, administer) -> None:
    await administer("keys", key=KEY, limit=0)

    refused = await client.post("/chat/completions", json=BODY)
    other = await client.post("/chat/completions", json=BODY, headers={"Authorization": "Bearer another"})
    await administer("keys", key=KEY, limit=None)
    lifted = await client.post("/chat/completions", json=BODY)

    assert [each.status_code for each in (refused, other, lifted)] == [403, 200, 200]
    assert refused.json()["error"]["metadata"]["resets_at"] is None


async def test_a_disabled_key_opens_nothing(client, administer) -> None:
    await administer("keys", key=KEY, disabled=True)

    refused = [(await client.get(f"/{path}")).status_code for path in ("key", "models", "credits")]

    assert refused == [401] * 3


async def test_without_credit_fewer_tokens_may_still_be_paid_for(client, administer) -> None:
    await administer("credits", total="0.01")

    much = await client.post("/chat/completions", json=BODY | {"max_tokens": 4000})
    little = await client.post("/chat/completions", json=BODY | {"max_tokens": 100})
    await administer("credits", total=0)
    none = await client.post("/chat/completions", json=BODY | {"max_tokens": 100})

    assert [each.status_code for each in (much, little, none)] == [402, 200, 402]
    assert "You requested up to 4000 tokens, but can only afford 666." in much.json()["error"]["message"]
    assert much.json()["error"]["metadata"]["error_type"] == "payment_required"


async def test_a_free_variant_costs_nothing_and_has_a_limit_each_minute(client, read, administer) -> None:
    answers = [await client.post("/chat/completions", json=FREE) for _ in range(21)]
    refused = answers[-1]
    key = await read("/key")
    await administer("clock", advance=60)
    again = await client.post("/chat/completions", json=FREE)

    assert [each.status_code for each in answers] == [200] * 20 + [429]
    assert answers[0].json()["model"] == "emulated/coward:free"
    assert "x-ratelimit-limit" not in answers[0].headers
    assert (refused.headers["x-ratelimit-limit"], refused.headers["x-ratelimit-remaining"]) == ("20", "0")
    assert int(refused.headers["x-ratelimit-reset"]) > 1_760_000_000_000
    assert (key["usage"], key["free_model_daily_requests"]["used"]) == (0, 20)
    assert again.status_code == 200


async def test_an_account_without_credit_has_fewer_free_calls_a_day(client, read, administer) -> None:
    await administer("credits", total=5)
    statuses = []
    for _ in range(6):
        statuses += [(await client.post("/chat/completions", json=FREE)).status_code for _ in range(10)]
        await administer("clock", advance=60)

    assert statuses == [200] * 50 + [429] * 10
    assert (await read("/key"))["free_model_daily_requests"]["remaining"] == 0


async def test_what_says_nothing_for_no_reason_costs_nothing(ask, read) -> None:
    reply = await ask("cold", a_prompt())

    assert reply["choices"][0]["finish_reason"] is None
    assert (reply["choices"][0]["message"]["content"], reply["usage"]["cost"]) == ("", 0)
    assert (await read("/key"))["usage"] == 0


async def test_an_answer_cut_short_is_billed_in_full(ask) -> None:
    usage = (await ask("truncated", a_prompt()))["usage"]

    assert usage["cost"] == usage["prompt_tokens"] * Decimal("1E-7") + usage["completion_tokens"] * Decimal("4E-7")


async def test_nobody_sees_what_another_key_has_asked(client, ask) -> None:
    reply = await ask("coward", a_prompt())

    params, headers = {"id": reply["id"]}, {"Authorization": "Bearer another"}
    assert (await client.get("/generation", params=params, headers=headers)).status_code == 404


@pytest.mark.parametrize(
    ("path", "document", "complaint"),
    [
        ("keys", {"limit": 1}, "key must be the API key"),
        ("keys", {"key": KEY, "colour": "red"}, "unknown field colour"),
        ("keys", {"key": KEY, "limit": "a lot"}, "limit must be an amount"),
        ("keys", {"key": KEY, "limit": -1}, "limit must be an amount"),
        ("keys", {"key": KEY, "limit_reset": "hourly"}, "limit_reset"),
        ("keys", {"key": KEY, "exhausted_status": 500}, "402 or 403"),
        ("keys", {"key": KEY, "disabled": "yes"}, "disabled"),
        ("credits", {"sum": 5}, "total"),
        ("clock", {"advance": -5}, "advance"),
        ("clock", {"now": 5}, "advance"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_in_one_line(client, path, document, complaint) -> None:
    reply = await client.post(f"http://emulator/emulator/{path}", json=document)

    assert reply.status_code == 400
    assert complaint in reply.json()["error"]["message"]
    assert KEY not in reply.text
