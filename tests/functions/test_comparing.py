"""Shadow models answer what the cycle was decided by, in nobody's way, and are scored by what came after."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from emulators import openrouter
from functions.invoke import invoke_compare
from shared.domain.cycle import Stage
from shared.domain.model import Purpose
from shared.domain.opinion import ModelScore
from shared.domain.record import RecordId
from shared.llm.prompt import DEFAULT_TEMPLATE
from shared.settings import SettingsError
from tests.house import House, built_house

SHADOWS = ("emulated/trend-follower", "emulated/coward", "emulated/not-json")


@pytest.fixture
async def watched(database_url: str) -> AsyncIterator[House]:
    """A house whose models are the emulator's: one decides, three are compared with it."""
    models = httpx.ASGITransport(app=openrouter.create_app())
    chosen = {"llm_model": "emulated/rule-follower", "shadow_models": SHADOWS, "shadow_budget_fraction": Decimal(1)}
    async with built_house(database_url, models=models, **chosen) as built:
        yield built


async def scores(house: House) -> dict[str, ModelScore]:
    async with house.runtime.open_work() as work:
        found = await work.opinions.compare(account_id="main", since=None, until=None)
    return {score.model: score for score in found}


async def asked(house: House, purpose: Purpose) -> list[str]:
    statement = "SELECT asked_model FROM model_calls WHERE purpose = :purpose AND error IS NULL ORDER BY asked_model"
    async with house.runtime.database.reading() as connection:
        return list(await connection.scalars(text(statement), {"purpose": purpose}))


async def test_shadows_answer_the_same_question_and_move_nothing(watched: House) -> None:
    await watched.cycle()
    before = await watched.venue_orders()

    told = await invoke_compare(watched.runtime, watched.request)

    assert [each["model"] for each in told["shadows"]] == list(SHADOWS)
    assert await asked(watched, Purpose.SHADOW) == ["emulated/coward", "emulated/trend-follower"]
    assert await watched.venue_orders() == before
    async with watched.runtime.database.reading() as connection:
        questions = await connection.scalar(text("SELECT count(DISTINCT prompt_user) FROM model_calls"))
    assert questions == 1
    found = await scores(watched)
    assert {model: (score.purpose, score.asked, score.answered) for model, score in found.items()} == {
        "emulated/rule-follower": (Purpose.DECISION, 1, 1),
        "emulated/trend-follower": (Purpose.SHADOW, 1, 1),
        "emulated/coward": (Purpose.SHADOW, 1, 1),
        "emulated/not-json": (Purpose.SHADOW, 1, 0),
    }
    assert all(score.cost > 0 for score in found.values())


async def test_a_shadow_is_asked_once_a_cycle_and_never_before_the_decision_stands(watched: House) -> None:
    await watched.stage(Stage.FETCH)
    with pytest.raises(Exception, match="there is no decision on record of account main at"):
        await invoke_compare(watched.runtime, watched.request)
    await watched.cycle()

    first = await invoke_compare(watched.runtime, watched.request)
    second = await invoke_compare(watched.runtime, watched.request)

    assert (len(first["shadows"]), second["shadows"]) == (3, [])


async def test_what_a_shadow_says_leaves_the_record_of_the_decision_as_it_was(watched: House) -> None:
    outcome = await watched.cycle()
    await invoke_compare(watched.runtime, watched.request)

    async with watched.runtime.open_work() as work:
        record = await work.records.get(RecordId(account_id="main", tick=watched.request.tick))
        calls = await work.model_calls.of_cycle(watched.request)

    assert list(record.calls) == list(calls)
    assert outcome["decide"]["model"] == "emulated/rule-follower"


async def test_a_shadow_that_cannot_be_reached_is_told_and_harms_nobody(database_url: str) -> None:
    async with built_house(database_url, shadow_models=("scripted/other",)) as house:
        house.model.will_decide(await house.wish())
        outcome = await house.cycle()
        house.model.answers += 9 * [401]

        told = await invoke_compare(house.runtime, house.request)

        assert "HTTP 401" in told["shadows"][0]["no_answer"]
        assert outcome["decide"]["decisions"][0]["verdict"] == "approved"
        assert (await house.venue_positions())["BTCUSDT"] > 0


async def test_entries_are_scored_by_stop_or_target_once_a_day_has_passed(database_url: str) -> None:
    async with built_house(database_url, shadow_models=("scripted/bear",), interval="5m") as house:
        far = {"stop_loss": 1.0, "take_profit": 10.0**9}
        house.model.will_decide(await house.wish(), await house.wish("ETHUSDT", **far))
        await house.cycle()
        house.model.will_decide(await house.wish("ETHUSDT", "sell"))
        await invoke_compare(house.runtime, house.request)
        assert (await scores(house))["scripted/model"].scored == 0

        await house.pass_time(timedelta(hours=24))
        await house.cycle()
        told = await invoke_compare(house.runtime, house.request)

        assert told["scored"] == 3
        found = await scores(house)
        own, bear = found["scripted/model"], found["scripted/bear"]
        assert (own.asked, own.entries, own.approved, own.scored, own.targets + own.stops) == (2, 2, 1, 1, 1)
        assert (bear.entries, bear.approved, bear.scored, bear.targets + bear.stops) == (1, 1, 1, 1)
        assert own.hit_rate in {0, 1}
        assert own.mean_result is not None
        assert 0.01 < abs(own.mean_result) < 0.045
        assert set(own.mean_after) == {"1h", "4h", "24h"}
        assert own.caution == "1 scored entries tell little: wait for 30"
        assert (await invoke_compare(house.runtime, house.request))["scored"] == 0


async def test_a_shadow_may_have_a_prompt_of_its_own_and_its_text_is_kept(database_url: str, tmp_path: Path) -> None:
    bold = tmp_path / "bold.md"
    bold.write_text(DEFAULT_TEMPLATE.read_text(encoding="utf-8") + "\nBe bold.\n", encoding="utf-8")
    accounts = tmp_path / "accounts.yaml"
    entry = {
        "id": "main",
        "model": "scripted/model",
        "shadows": [{"model": "scripted/model", "prompt_file": str(bold)}],
    }
    accounts.write_text(json.dumps({"accounts": [entry]}), encoding="utf-8")
    async with built_house(database_url, accounts_file=accounts) as house:
        await house.cycle()
        await invoke_compare(house.runtime, house.request)

        own, shadow = house.model.questions
        assert own["messages"][1] == shadow["messages"][1]
        assert shadow["messages"][0]["content"].endswith("Be bold.\n")
        async with house.runtime.open_work() as work:
            found = await work.opinions.compare(account_id="main", since=None, until=None)
            kept = [await work.records.prompt(score.prompt_version) for score in found]
        assert [score.prompt_version.partition("-")[0] for score in found] == ["v2", "bold"]
        assert [prompt is not None and "Be bold." in prompt.text for prompt in kept] == [False, True]


async def test_shadows_have_a_part_of_the_budget_and_the_account_s_own_model_the_rest(database_url: str) -> None:
    models = httpx.ASGITransport(app=openrouter.create_app())
    chosen = {"llm_model": "emulated/rule-follower", "shadow_models": SHADOWS, "llm_daily_budget_usd": "1"}
    async with built_house(database_url, models=models, shadow_budget_fraction=Decimal(0), **chosen) as house:
        outcome = await house.cycle()
        told = await invoke_compare(house.runtime, house.request)

        assert outcome["decide"]["no_answer"] is None
        assert {each["no_answer"] for each in told["shadows"]} == {
            "the shadows' part of the day's budget is too little"
        }
        assert await asked(house, Purpose.SHADOW) == []


async def test_a_prompt_that_cannot_be_read_is_refused_before_anything_starts(database_url: str) -> None:
    with pytest.raises(SettingsError, match=r"^PROMPT_FILE: the prompt template nowhere\.md cannot be read"):
        async with built_house(database_url, prompt_file="nowhere.md"):
            pass
