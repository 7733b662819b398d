"""Tokens: what each may do, when it ends, and that only its owner ever sees it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shared.db.unit_of_work import Database
from tests.api.conftest import Serve

ROOT = Path(__file__).parents[2]
OWN = "a-token-nobody-guesses"


@pytest.fixture
def guarded(serve: Serve) -> str:
    return serve(api_token=OWN)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def make(url: str, name: str, **wanted: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/tokens", json={"name": name, "scope": "read", **wanted}, headers=bearer(OWN))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def status(url: str, token: str) -> int:
    return httpx.get(f"{url}/status", headers=bearer(token)).status_code


def test_a_token_that_was_made_opens_the_door_and_says_who_comes(guarded: str) -> None:
    made = make(guarded, "desk", scope="operate", account="main", expires_in="90d")

    told = httpx.get(f"{guarded}/session", headers=bearer(made["token"])).json()

    assert made["token"].startswith(f"{made['prefix']}_")
    assert told == {"name": "desk", "scope": "operate", "account": "main", "expires": told["expires"]}
    assert told["expires"].replace("Z", "+00:00") == made["expires_at"]


def test_a_token_is_shown_once_and_only_its_hash_is_kept(guarded: str) -> None:
    made = make(guarded, "desk")
    secret = made["token"].removeprefix(made["prefix"])

    listed = httpx.get(f"{guarded}/tokens", headers=bearer(OWN))

    assert [row["name"] for row in listed.json()["items"]] == ["desk"]
    assert secret not in listed.text
    assert "hash" not in listed.text


async def test_no_table_holds_a_token(guarded: str, database: Database) -> None:
    async with httpx.AsyncClient(base_url=guarded) as client:
        wanted = {"name": "desk", "scope": "read"}
        made = (await client.post("/tokens", json=wanted, headers={**bearer(OWN), "Idempotency-Key": "once"})).json()
        await client.post("/session", json={"token": made["token"]})
    secret = made["token"].removeprefix(made["prefix"])

    async with database.reading() as connection:
        for table in ("tokens", "sessions", "audit", "idempotency_keys"):
            rows = (await connection.execute(text(f"SELECT * FROM {table}"))).all()
            assert rows
            assert secret not in str(rows)


def test_a_revoked_token_opens_nothing_and_stays_on_the_list(guarded: str) -> None:
    made = make(guarded, "desk")
    assert status(guarded, made["token"]) == 200

    revoked = httpx.delete(f"{guarded}/tokens/{made['id']}", headers=bearer(OWN))

    assert revoked.json()["revoked_at"]
    assert status(guarded, made["token"]) == 401
    assert httpx.delete(f"{guarded}/tokens/{made['id']}", headers=bearer(OWN)).json() == revoked.json()
    assert httpx.delete(f"{guarded}/tokens/999", headers=bearer(OWN)).json()["code"] == "unknown_token"


async def test_an_expired_token_opens_nothing(guarded: str, database: Database) -> None:
    made = make(guarded, "desk", expires_in="1h")
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE tokens SET expires_at = now()"))

    assert status(guarded, made["token"]) == 401


def test_it_is_known_when_a_token_was_used_last(guarded: str) -> None:
    made = make(guarded, "desk")
    assert made["last_used_at"] is None

    status(guarded, made["token"])

    (row,) = httpx.get(f"{guarded}/tokens", headers=bearer(OWN)).json()["items"]
    assert row["last_used_at"] >= made["created_at"]


def test_a_name_is_never_used_twice_nor_taken_from_the_house(guarded: str) -> None:
    made = make(guarded, "desk")
    httpx.delete(f"{guarded}/tokens/{made['id']}", headers=bearer(OWN))

    def refused(**wanted: Any) -> tuple[int, str]:
        answer = httpx.post(f"{guarded}/tokens", json={"scope": "read", **wanted}, headers=bearer(OWN))
        return answer.status_code, answer.json()["code"]

    assert refused(name="desk") == (422, "bad_request")
    assert refused(name="API_TOKEN") == (400, "bad_body")
    assert refused(name="other", account="nobody") == (404, "unknown_account")
    assert refused(name="other", expires_in="soon") == (400, "bad_body")
    assert refused(name="other", scope="root") == (400, "bad_body")


def test_the_first_start_makes_a_token_that_may_do_everything_and_shows_it_once(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    url = serve(api_host="0.0.0.0")
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "ppt_" in line]

    told = httpx.get(f"{url}/session", headers=bearer(line.rpartition(" ")[2])).json()

    assert told == {"name": "first", "scope": "admin", "account": None, "expires": None}
    assert httpx.get(f"{url}/status").status_code == 401
    serve(api_host="0.0.0.0")
    assert "ppt_" not in capfd.readouterr().err


async def test_two_processes_that_start_together_make_one_token(database_url: str) -> None:
    command = "import asyncio, sys; from tests.api.starting import start; asyncio.run(start(sys.argv[1]))"
    together = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", command, database_url, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = [(await process.communicate())[1].decode() for process in together]

    assert [process.returncode for process in together] == [0, 0, 0]
    assert "".join(said).count("ppt_") == 1


def test_tokens_are_made_listed_and_revoked_by_hand_and_that_is_on_record(guarded: str, database_url: str) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = {**kept, "ENVIRONMENT": "testing", "DATABASE_URL": database_url, "USER": "ada"}
        whole = [sys.executable, "-m", "api.tokens", *words]
        return subprocess.run(whole, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    made = command("create", "desk", "--scope", "operate", "--account", "main", "--expires-in", "1d")
    token = made.stdout.split()[-1]
    assert status(guarded, token) == 200
    assert token[:12] in command("list").stdout
    assert "lets nobody in" in command("revoke", "1").stdout
    assert command("create", "desk").stderr.startswith("perpetua: there is, or was, a token named desk")
    assert command("create", "No Name").returncode == 2

    items = httpx.get(f"{guarded}/audit", headers=bearer(OWN)).json()["items"]
    assert [(row["action"].rpartition(" ")[2], row["caller"], row["status"]) for row in items] == [
        ("create", "ada at a terminal", 422),
        ("revoke", "ada at a terminal", 200),
        ("create", "ada at a terminal", 200),
    ]
    assert token not in str(items)
