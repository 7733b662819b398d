"""`python -m functions replay-decision` and its neighbours as somebody at a terminal knows them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from scripts.benchmarks.emulated import emulator
from shared.llm.prompt import DEFAULT_TEMPLATE
from tests.house import built_house

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    with emulator("emulators.openrouter") as url:
        yield url


@pytest.fixture
async def decided(database_url: str) -> str:
    """The name of a decision that two entries came from."""
    async with built_house(database_url) as house:
        house.model.will_decide(await house.wish(), await house.wish("ETHUSDT", "sell"))
        await house.cycle()
        return f"main@{house.request.tick:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def environment(database_url: str, model_url: str) -> dict[str, str]:
    """No exchange answers there: what is on record needs none."""
    return {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
        "ENVIRONMENT": "testing",
        "DATABASE_URL": database_url,
        "ASTERDEX_BASE_URL": "http://127.0.0.1:1",
        "OPENROUTER_BASE_URL": model_url,
        "ASSETS": "BTCUSDT,ETHUSDT",
    }


def run(environment: dict[str, str], *arguments: str) -> tuple[int, list[str], str]:
    """Return the exit code, the lines that were printed and what was complained of."""
    command = [sys.executable, "-m", "functions", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute(statement)
    await connection.close()


async def test_a_decision_is_said_to_be_the_same_and_after_a_change_to_be_broken(
    environment: dict[str, str], decided: str
) -> None:
    code, said, complaint = run(environment, "replay-decision", decided)
    assert (code, complaint) == (0, "")
    assert said[0].startswith(f"same: {decided}, record ")
    assert [line.partition(" USD")[0] for line in said[1:]] == ["BTCUSDT: buy 1000", "ETHUSDT: sell 1000"]

    forged = "UPDATE decisions SET verdict = 'refused', review = jsonb_set(review, '{verdict}', '\"refused\"')"
    await execute(environment["DATABASE_URL"], forged)
    code, said, _ = run(environment, "replay-decision", decided)
    assert code == 1
    assert said[0].startswith(f"otherwise: {decided}")
    assert '  acted upon: 0.review.verdict: "approved" → "refused"' in said

    await execute(environment["DATABASE_URL"], "UPDATE documents SET body = replace(body, 'as told', 'as sold')")
    code, said, _ = run(environment, "replay-decision", decided)
    assert code == 1
    assert "is not as it was written: calls.0.content was changed; calls.0.raw was changed" in said[0]


def test_other_limits_are_given_by_name_or_by_file(environment: dict[str, str], decided: str, tmp_path: Path) -> None:
    limits = tmp_path / "careful.yaml"
    limits.write_text("max_positions: 1\ncooldown: 1h\n")

    code, said, _ = run(environment, "replay-decision", decided, "--limits", str(limits), "min_confidence=0.9")

    assert code == 0
    assert said[2].startswith("now : limits ")
    assert "max_positions=1" in said[2]
    assert "cooldown=3600.0" in said[2]
    assert "min_confidence=0.9" in said[2]
    assert said[3] == "BTCUSDT: changed"
    assert "refused, " in said[5]
    assert "confidence 0.8 is below 0.9" in said[5]


def test_another_model_and_another_prompt_are_held_beside_what_was_said(
    environment: dict[str, str], decided: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text(DEFAULT_TEMPLATE.read_text(encoding="utf-8") + "\nBe brief.\n", encoding="utf-8")

    arguments = ["replay-decision", decided, "--model", "emulated/coward", "--prompt", str(mine)]
    code, said, complaint = run(environment, *arguments)

    assert (code, complaint) == (0, "")
    assert said[1].startswith("then: model scripted/model, prompt_version v2-")
    assert said[2].startswith("now : model emulated/coward, prompt_version mine-")
    assert "0.0012 USD" in said[1]
    assert said[3:5] == ["BTCUSDT: changed", said[4]]
    assert said[5] == "  now : hold 0 USD at leverage 1, held"
    assert run(environment, "replay-decision", decided)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["main@noon"], "'noon' is no tick: write it with its time zone"),
        (["main@2020-01-01T00:00Z"], "there is no decision on record of account main at 2020-01-01T00:00:00Z"),
        (["DECIDED", "--limits", "max_leverag=2"], "max_leverag is no limit: did you mean max_leverage?"),
        (["DECIDED", "--limits", "max_leverage=two"], "max_leverage: Input should be a valid integer"),
        (["DECIDED", "--limits", "nowhere.yaml"], "--limits nowhere.yaml: neither name=value nor a file"),
        (["DECIDED", "--limits", "max_leverage=2", "--model", "a/b"], "--limits goes without --model and --prompt"),
        (["DECIDED", "--prompt", "nowhere.md"], "--prompt: the prompt template nowhere.md cannot be read"),
    ],
)
def test_what_cannot_be_done_ends_with_one_line(
    environment: dict[str, str], decided: str, arguments: list[str], complaint: str
) -> None:
    code, said, told = run(
        environment, "replay-decision", *(decided if word == "DECIDED" else word for word in arguments)
    )

    assert (code, said) == (2, [])
    assert told.startswith(f"perpetua: {complaint}")
    assert told.count("\n") == 1


def test_models_are_compared_in_a_few_lines_with_a_word_of_caution(environment: dict[str, str], decided: str) -> None:
    code, said, _ = run(environment, "compare-models", "--account", "main")

    assert code == 0
    assert said[0].startswith("main: scripted/model, prompt v2-")
    assert said[1] == "  asked 1, answered 1, entries 2, approved 2, scored 0, cost 0.0012 USD"
    assert said[2] == "  hit rate —, mean return —, left after 1h —, 4h —, 24h —"
    assert said[3] == "  0 scored entries tell little: wait for 30"
    assert run(environment, "compare-models", "--account", "nobody")[1] == ["no model was asked yet"]


def test_a_preview_shows_the_exact_messages_their_size_and_their_price_and_asks_nobody(
    environment: dict[str, str], decided: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text("Trade. At most $$$max_position_usd.\n", encoding="utf-8")

    code, said, complaint = run(environment, "preview-prompt", "--account", "main", "--prompt", str(mine))

    assert (code, complaint) == (0, "")
    assert said[:2] == ["---- system", "Trade. At most $5000.00."]
    assert said[4] == "---- user"
    assert said[6].startswith('{"time":"2025-01-01T00:00:')
    assert said[-2].startswith("---- main@2025-01-01T00:00:00+00:00, model emulated/rule-follower, prompt mine-")
    assert "tokens and an answer of at most 8000, at most 0.0" in said[-1]
    before = run(environment, "compare-models")[1]
    assert before[1].startswith("  asked 1,")
    assert run(environment, "preview-prompt", "--account", "nobody")[0] == 2


def test_old_decisions_are_taken_away_only_where_somebody_said_so(decided: str, environment: dict[str, str]) -> None:
    assert run(environment, "prune-records")[:2] == (0, ["RECORD_RETENTION is not set: every decision is kept"])

    code, said, complaints = run(environment | {"RECORD_RETENTION": "30d"}, "prune-records")

    assert (code, said) == (2, [])
    assert complaints.startswith("perpetua: no exchange answers at http://127.0.0.1:1")
