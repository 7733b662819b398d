"""An independent tool holds the running API against its document, with a history to show and emulators behind it."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from api import admission
from tests.api.conftest import Serve

TOKEN = "a-token-nobody-guesses"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,"
    "allow_header_conformance,ignored_auth"
)
RUN = (
    *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--workers", "1"),
    *("--generation-deterministic", "--continue-on-failure", "--request-timeout", "60", "--warnings", "off"),
    *("--suppress-health-check", "all", "--no-color"),
)


@pytest.fixture
def traded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an API whose account has run a cycle, and which minds neither haste nor wrong tokens."""
    monkeypatch.setattr(admission, "TRIES_EACH", 10**6)
    monkeypatch.setattr(admission, "TRIES_ALL", 10**6)
    url = serve(api_token=TOKEN, api_rate=10**6, api_burst=10**6)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    ran = httpx.post(f"{url}/functions/cycle/invocations", json={"account": "main"}, headers=headers, timeout=60)
    assert ran.status_code == 200, ran.text
    return url


def test_schemathesis_finds_no_violation_and_no_failure(traded: str, tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("schemathesis")
    ran = subprocess.run(
        [command, "run", f"{traded}/openapi.json", *RUN, "--header", f"Authorization: Bearer {TOKEN}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
