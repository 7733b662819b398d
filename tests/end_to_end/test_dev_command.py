"""One command runs the whole system; Ctrl-C stops it cleanly; the next start goes on where it was."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
A_CYCLE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d) │ main .*equity ([\d,.]+)")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Free ports and a folder of its own, and none of the machine's settings."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    api, exchange, model = (each.getsockname()[1] for each in sockets)
    for each in sockets:
        each.close()
    return {
        "PATH": os.environ["PATH"],
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        "API_PORT": str(api),
        "ASTERDEX_BASE_URL": f"http://127.0.0.1:{exchange}",
        "OPENROUTER_BASE_URL": f"http://127.0.0.1:{model}/api/v1",
        "DATA_FOLDER": str(tmp_path / "data"),
        "LOG_FOLDER": str(tmp_path / "logs"),
    }


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.dev", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def cycles(process: subprocess.Popen[str], count: int) -> list[tuple[str, str]]:
    """Read the output until so many cycles were printed; return (tick, equity) of each."""
    seen, heard = [], []
    assert process.stdout is not None
    for line in process.stdout:
        heard.append(line)
        if match := A_CYCLE.match(line):
            seen.append((match[1], match[2]))
        if len(seen) == count:
            return seen
    raise AssertionError("it ended early:\n" + "".join(heard))


def stopped(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=40)
    return process.returncode, output


def test_it_trades_stops_cleanly_and_goes_on_where_it_was(environment: dict[str, str]) -> None:
    first = start(environment, "--speed", "240")
    before = cycles(first, 4)
    with urllib.request.urlopen(f"http://127.0.0.1:{environment['API_PORT']}/status") as answer:
        status = json.load(answer)
    code, output = stopped(first)
    second = start(environment, "--speed", "240")
    after = cycles(second, 2)
    again, _ = stopped(second)

    assert (code, again) == (0, 0), output
    assert status["mode"] == "paper"
    assert [account["account"] for account in status["accounts"]] == ["main"]
    ticks = [tick for tick, _ in before + after]
    assert ticks == sorted(set(ticks))
    assert ticks[-1][:10] == ticks[0][:10]  # it went on within the same day of the market


def test_a_port_that_is_taken_is_one_clear_line(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["API_PORT"]))):
        process = start(environment)
        output, _ = process.communicate(timeout=30)

    assert process.returncode == 2
    assert output.splitlines() == [
        f"perpetua: port {environment['API_PORT']} is taken: stop what uses it, or choose another with API_PORT"
    ]


def test_a_market_that_cannot_be_read_is_one_clear_line(environment: dict[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "BTCUSDT-klines-1m.csv"
    broken.write_text("open_time,open,high,low,close,volume\n1746374400000,1,0.5,2,1,1\n")

    process = start(environment, "--market", str(broken))
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "BTCUSDT-klines-1m.csv" in output
    assert "Traceback" not in output


def test_a_symbol_that_the_exchange_does_not_list_is_one_clear_line(environment: dict[str, str]) -> None:
    process = start({**environment, "ASSETS": "BTCUSDT,NOSUCHUSDT"})
    output, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "NOSUCHUSDT is unknown; there are BTCUSDT, " in output
    assert "Traceback" not in output
