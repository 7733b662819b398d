"""`python -m api` as somebody at a terminal knows it, and the same application behind API Gateway."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(database_url: str, exchange_url: str, model_url: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
        "ENVIRONMENT": "testing",
        "DATABASE_URL": database_url,
        "ASTERDEX_BASE_URL": exchange_url,
        "ASTERDEX_PRIVATE_KEY": token_hex(32),  # the exchange has seen nonces of the usual one
        "OPENROUTER_BASE_URL": model_url,
        "API_PORT": "0",
    }


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "api"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def line_saying(message: str, process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    return next(line for line in map(json.loads, process.stdout) if line["message"] == message)


def test_it_says_where_it_listens_serves_and_ends_when_told(process: subprocess.Popen[str]) -> None:
    url = line_saying("listening", process)["url"]

    assert httpx.get(f"{url}/health/live").json() == {"status": "live"}
    assert line_saying("request", process)["path"] == "/health/live"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=15) == 0


def test_a_port_that_is_taken_is_one_clear_line_before_any_database_is_started(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        own_database = {**environment, "API_PORT": str(port), "DATABASE_URL": "", "DATA_FOLDER": str(tmp_path)}
        ended = subprocess.run(
            [sys.executable, "-m", "api"], cwd=ROOT, env=own_database, capture_output=True, text=True, check=False
        )

    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"perpetua: cannot listen on 127.0.0.1:{port} (Address already in use): choose another API_HOST or API_PORT"
    ]
    assert list(tmp_path.iterdir()) == []


GATEWAY = """
import json, sys
from api.on_lambda import handler

def event(method, path, body=None):
    headers = {"host": "x.execute-api.eu-central-1.amazonaws.com", "authorization": "Bearer a-long-token"}
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "test"}
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": {"http": http, "stage": "$default"}, "body": body, "isBase64Encoded": False,
    }

for asked in [("GET", "/status"), ("POST", "/functions/reconcile/invocations", '{"account": "main"}'), ("GET", "/no")]:
    sys.stderr.write(json.dumps(handler(event(*asked), None)) + "\\n")
"""


def gateway(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", GATEWAY],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_behind_api_gateway_one_runtime_answers_call_after_call(environment: dict[str, str]) -> None:
    ended = gateway({**environment, "API_TOKEN": "a-long-token"})

    answers = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [answer["statusCode"] for answer in answers] == [200, 200, 404]
    assert json.loads(answers[0]["body"])["mode"] == "paper"
    assert json.loads(answers[1]["body"])["stage"] == "reconcile"
    assert answers[2]["headers"]["content-type"] == "application/problem+json"
    assert [json.loads(line)["message"] for line in ended.stdout.splitlines()].count("prepared") == 1


def test_behind_api_gateway_a_token_must_be_set(environment: dict[str, str]) -> None:
    ended = gateway(environment)

    assert ended.returncode != 0
    assert ended.stderr.splitlines()[-1].endswith("API_TOKEN must be set: a function is reachable from outside")
