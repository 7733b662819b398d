"""`python -m functions.candles` as somebody at a terminal knows it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from scripts.benchmarks.emulated import emulator

ROOT = Path(__file__).parents[2]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def exchange_url() -> Iterator[str]:
    options = ("--symbols", "BTCUSDT,ETHUSDT", "--stepped", "--start", NEW_YEAR.isoformat())
    with emulator("emulators.aster", *options) as url:
        yield url


@pytest.fixture
def environment(database_url: str, exchange_url: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
        "ENVIRONMENT": "testing",
        "DATABASE_URL": database_url,
        "ASTERDEX_BASE_URL": exchange_url,
        "ASSETS": "BTCUSDT",
    }


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit code, what was printed and what was complained of."""
    command = [sys.executable, "-m", "functions.candles", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute(statement)
    await connection.close()


async def test_a_range_is_brought_a_gap_is_seen_and_repaired(environment: dict[str, str]) -> None:
    ranged = ["--symbols", "btcusdt,ETHUSDT", "--timeframes", "5m,4h", "--since", "2025-12-01", "--until", "2025-12-11"]

    code, said, progress = run(environment, "backfill", *ranged)
    assert (code, said) == (0, "5,880 candles of 4 series brought, 5,880 were missing\n")
    assert progress.splitlines()[-1] == "5,880 of 5,880 candles"
    assert run(environment, "backfill", *ranged) == (0, "0 candles of 4 series brought, 0 were missing\n", "")

    hole = "DELETE FROM candles WHERE symbol = 'ETHUSDT' AND opened BETWEEN '2025-12-05' AND '2025-12-05 01:00'"
    await execute(environment["DATABASE_URL"], hole)
    found = run(environment, "gaps", *ranged)
    assert found[0] == 1
    assert found[1].splitlines() == [
        "ETHUSDT 4h  2025-12-05 00:00 to 2025-12-05 00:00  1 candles",
        "ETHUSDT 5m  2025-12-05 00:00 to 2025-12-05 01:00  13 candles",
        "14 candles are missing, in 2 gaps",
    ]
    assert run(environment, "repair", *ranged)[:2] == (0, "14 candles of 4 series brought, 14 were missing\n")


def test_what_was_interrupted_says_so_and_goes_on(environment: dict[str, str]) -> None:
    arguments = ["backfill", "--timeframes", "1m", "--since", "2025-11-10", "--until", "2025-11-24"]
    command = [sys.executable, "-m", "functions.candles", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)

    assert first.endswith("of 20,160 candles\n")
    assert process.returncode == 130
    assert complaints.splitlines()[-1] == "stopped; the same command goes on from here"
    code, said, _ = run(environment, *arguments)
    brought, missing = (int(word.replace(",", "")) for word in said.split() if word[0].isdigit() and len(word) > 2)
    assert code == 0
    assert brought == missing < 20160


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["backfill", "--since", "yesterday"], "--since 'yesterday' is no date: write it like 2024-01-01"),
        (
            ["backfill", "--since", "2030-01-01"],
            "--since 2030-01-01 is in the future: at the exchange it is 2026-01-01",
        ),
        (["backfill", "--since", "2025-01-02", "--until", "2025-01-01"], "--until 2025-01-01 is not after --since"),
        (["backfill", "--since", "2025-01-01", "--timeframes", "7m"], "'7m' is no timeframe: there are 1m 3m 5m"),
        (["repair", "--symbols", "NOSUCH"], "does not list NOSUCH"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    environment: dict[str, str], arguments: list[str], complaint: str
) -> None:
    code, said, complaints = run(environment, *arguments)

    assert (code, said, complaints.count("\n")) == (2, "", 1)
    assert complaints.startswith("perpetua: ")
    assert complaint in complaints


async def test_what_is_too_old_is_taken_away_by_command(environment: dict[str, str]) -> None:
    old = ["--since", "2025-11-10", "--until", "2025-11-20"]
    assert run(environment, "prune")[:2] == (0, "CANDLE_RETENTION is not set: every candle is kept\n")
    assert run(environment, "backfill", *old, "--timeframes", "30m,4h")[0] == 0
    limited = environment | {"CANDLE_RETENTION": "30d"}

    assert run(limited, "prune")[:2] == (0, "1 months and 0 single candles taken away\n")
    assert run(limited, "gaps", *old, "--timeframes", "4h")[:2] == (0, "0 candles are missing, in 0 gaps\n")
    code, said, complaint = run(limited, "backfill", *old, "--timeframes", "5m")
    assert (code, said) == (2, "")
    assert "older than CANDLE_RETENTION" in complaint


async def test_what_was_wrong_is_listed(environment: dict[str, str]) -> None:
    row = """
        INSERT INTO candle_defects (symbol, timeframe, kind, opened, until, detail, first_seen, last_seen, times)
        VALUES ('BTCUSDT', '5m', 'gap', '2025-12-05Z', '2025-12-05 00:10Z', '3 not to be had', '2025-12-06Z',
            '2025-12-07 01:00Z', 2)
    """
    await execute(environment["DATABASE_URL"], row)

    code, said, _ = run(environment, "defects")

    gap = "BTCUSDT 5m  gap  2025-12-05 00:00 to 2025-12-05 00:10  3 not to be had, seen 2 times, last 2025-12-07 01:00"
    assert (code, said.splitlines()) == (0, [gap, "1 defects"])
