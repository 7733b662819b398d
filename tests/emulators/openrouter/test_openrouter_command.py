"""The emulator started as a user would start it."""

import signal
import socket
import subprocess
import sys

import httpx
import pytest

COMMAND = [sys.executable, "-m", "emulators.openrouter"]


def test_the_server_says_where_it_is_and_answers_there() -> None:
    with subprocess.Popen([*COMMAND, "--port", "0", "--seed", "3"], stdout=subprocess.PIPE, text=True) as process:
        ready = process.stdout.readline()
        base = ready.removeprefix("openrouter emulator ready on ").strip()

        reply = httpx.get(f"{base}/key", headers={"Authorization": "Bearer x"})
        process.send_signal(signal.SIGINT)
        process.wait(10)

    assert base.startswith("http://127.0.0.1:")
    assert reply.json()["data"]["usage"] == 0
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "high"], "'high' is not a port"),
        (["--port", "70000"], "'70000' is not a port"),
        (["--seed", "lucky"], "invalid int value: 'lucky'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_2(arguments, complaint) -> None:
    run = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)

    assert run.returncode == 2
    assert complaint in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        run = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)

    assert run.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in run.stderr
    assert run.stderr.count("\n") == 1
