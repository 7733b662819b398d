"""Whatever changes something is put on record, and done once where it carries a key."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from shared.db.idempotency import Answer, IdempotencyKeys
from shared.db.unit_of_work import Database
from tests.api.conftest import Serve

OWN = "a-token-nobody-guesses"


@pytest.fixture
async def admin(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {OWN}"}
    async with httpx.AsyncClient(base_url=serve(api_token=OWN), headers=headers, timeout=30) as client:
        yield client


async def trail(client: httpx.AsyncClient, **wanted: Any) -> list[dict[str, Any]]:
    answer = await client.get("/audit", params=wanted)
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def make(client: httpx.AsyncClient, name: str, **wanted: Any) -> dict[str, str]:
    made = await client.post("/tokens", json={"name": name, "scope": "operate", **wanted})
    return {"Authorization": f"Bearer {made.json()['token']}"}


async def test_an_action_is_on_record_with_who_from_where_what_and_what_came_of_it(admin: httpx.AsyncClient) -> None:
    await admin.post("/accounts/main/pause", headers={"X-Request-Id": "seen-1", "Idempotency-Key": "once"})

    (row,) = await trail(admin)
    assert row == {
        "id": row["id"],
        "at": row["at"],
        "caller": "API_TOKEN",
        "scope": "admin",
        "client": "127.0.0.1",
        "action": "POST /accounts/{account}/pause",
        "path": "/accounts/main/pause",
        "account": "main",
        "request_id": "seen-1",
        "idempotency_key": "once",
        "body": None,
        "status": 200,
        "code": None,
        "ended_at": row["ended_at"],
    }
    assert row["ended_at"] >= row["at"]


async def test_what_was_refused_is_on_record_too(admin: httpx.AsyncClient) -> None:
    reader = await make(admin, "desk", scope="read")
    await admin.post("/accounts/main/pause", headers=reader)
    await admin.post("/accounts/main/pause", headers={"Authorization": "Bearer wrong"})
    await admin.post("/accounts/nobody/pause")
    await admin.post("/functions/fetch/invocations", json={"account": "main", "tock": 1})
    await admin.post("/session", json={"token": "wrong"})

    rows = [(row["caller"], row["account"], row["status"], row["code"]) for row in await trail(admin, limit=5)]
    assert rows == [
        (None, None, 401, "token_wrong"),
        ("API_TOKEN", "main", 422, "bad_event"),
        ("API_TOKEN", "nobody", 404, "unknown_account"),
        (None, None, 401, "token_wrong"),
        ("desk", "main", 403, "scope_too_small"),
    ]


async def test_logins_and_changes_of_tokens_are_on_record_without_the_tokens(admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/tokens", json={"name": "desk", "scope": "read"})).json()
    await admin.post("/session", json={"token": made["token"]})
    await admin.delete(f"/tokens/{made['id']}")

    rows = await trail(admin)
    assert [(row["action"], row["caller"], row["status"]) for row in rows] == [
        ("DELETE /tokens/{token}", "API_TOKEN", 200),
        ("POST /session", "desk", 200),
        ("POST /tokens", "API_TOKEN", 201),
    ]
    assert rows[1]["body"] == {"token": "•••"}
    assert made["token"] not in json.dumps(rows)


async def test_looking_leaves_no_trace(admin: httpx.AsyncClient) -> None:
    await admin.get("/status")

    assert await trail(admin) == []


async def test_the_trail_is_read_by_the_page_and_by_who_what_and_on_which_account(admin: httpx.AsyncClient) -> None:
    desk = await make(admin, "desk")
    for path in ("/accounts/main/pause", "/accounts/main/resume", "/accounts/nobody/pause"):
        await admin.post(path, headers=desk)

    first = (await admin.get("/audit", params={"limit": 3})).json()
    rest = (await admin.get("/audit", params={"limit": 3, "before": first["next"]})).json()

    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 1, None)
    for wanted, count in (
        ({"caller": "desk"}, 3),
        ({"account": "main"}, 2),
        ({"action": "POST /accounts/{account}/pause"}, 2),
        ({"code": "unknown_account"}, 1),
        ({"since": first["items"][0]["at"]}, 1),
        ({"until": first["items"][-1]["at"]}, 1),
    ):
        assert (wanted, len(await trail(admin, **wanted))) == (wanted, count)


async def test_nothing_on_record_can_be_changed_or_taken_away(admin: httpx.AsyncClient, database_url: str) -> None:
    await admin.post("/accounts/main/pause")
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        for statement in (
            "UPDATE audit SET caller = 'nobody'",
            "DELETE FROM audit_outcomes",
            "TRUNCATE audit CASCADE",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added to"):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_what_cannot_be_put_on_record_is_not_done(admin: httpx.AsyncClient, database_url: str) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute("ALTER TABLE audit RENAME TO elsewhere")
    await connection.close()

    answer = await admin.post("/accounts/main/pause")

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert (await admin.get("/accounts/main")).json()["status"] == "active"


async def test_the_same_request_under_the_same_key_is_done_once(admin: httpx.AsyncClient) -> None:
    wanted = {"name": "desk", "scope": "read"}
    key = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}

    first = await admin.post("/tokens", json=wanted, headers=key)
    again = await admin.post("/tokens", json=wanted, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json() | {"token": f"{first.json()['prefix']}_•••"}
    assert len((await admin.get("/tokens")).json()["items"]) == 1
    assert [row["code"] for row in await trail(admin)] == ["replayed", None]


async def test_another_request_under_a_used_key_is_refused(admin: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}
    await admin.post("/accounts/main/pause", headers=key)

    others = [
        await admin.post("/accounts/main/resume", headers=key),
        await admin.post("/accounts/main/pause", headers=key, content=b"{}"),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in others] == [(422, "idempotency_key_reused")] * 2


async def test_keys_are_each_callers_own(admin: httpx.AsyncClient) -> None:
    desk = await make(admin, "desk")
    key = {"Idempotency-Key": "one"}
    await admin.post("/accounts/main/pause", headers=key)

    answer = await admin.post("/accounts/main/resume", headers={**key, **desk})

    assert (answer.status_code, answer.json()["status"]) == (200, "active")


async def test_what_was_refused_leaves_its_key_free(admin: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}

    for _ in range(2):
        answer = await admin.post("/accounts/nobody/pause", headers=key)
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (404, False)
    assert (await admin.post("/accounts/main/pause", headers=key)).status_code == 200


async def test_of_two_that_come_together_one_is_done_and_the_other_told_to_wait(admin: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}

    answers = await asyncio.gather(
        *(admin.post("/functions/fetch/invocations", json={"account": "main"}, headers=key) for _ in range(2))
    )

    done = sorted((answer.status_code, answer.headers.get("idempotency-replayed")) for answer in answers)
    assert done in ([(200, None), (409, None)], [(200, None), (200, "true")])


async def test_a_request_that_is_still_under_way_is_a_409(admin: httpx.AsyncClient, database: Database) -> None:
    await admin.post("/accounts/main/pause", headers={"Idempotency-Key": "one"})
    await _as_if_under_way(database)

    answer = await admin.post("/accounts/main/pause", headers={"Idempotency-Key": "one"})

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_under_way")
    assert answer.headers["retry-after"] == "1"


async def _as_if_under_way(database: Database, ago: str = "0 minutes") -> None:
    async with database.transaction() as connection:
        await connection.exec_driver_sql(
            f"UPDATE idempotency_keys SET ended_at = NULL, status = NULL, claimed_at = now() - interval '{ago}'"
        )


async def test_a_request_whose_process_died_is_never_done_again_under_its_key(
    admin: httpx.AsyncClient, database: Database
) -> None:
    await admin.post("/accounts/main/pause", headers={"Idempotency-Key": "one"})
    await admin.post("/accounts/main/resume")
    await _as_if_under_way(database, "16 minutes")

    answer = await admin.post("/accounts/main/pause", headers={"Idempotency-Key": "one"})

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_cut_short")
    assert "look whether it was" in answer.json()["detail"]
    assert (await admin.get("/accounts/main")).json()["status"] == "active"


async def test_answers_are_remembered_for_a_day(database: Database) -> None:
    keys = IdempotencyKeys(database)
    await keys.claim("desk", "one", "print")
    await keys.answer("desk", "one", Answer(200, {}, "{}"))
    await _as_if_under_way(database, "25 hours")

    assert await keys.claim("desk", "two", "print") is None
    assert await keys.claim("desk", "one", "another print") is None


async def test_a_failure_that_may_have_done_something_is_not_tried_again(serve: Serve) -> None:
    url = serve(asterdex_base_url="http://127.0.0.1:9")
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        failed = [
            await client.post(
                "/functions/fetch/invocations", json={"account": "main"}, headers={"Idempotency-Key": "one"}
            )
            for _ in range(2)
        ]

    assert [answer.status_code for answer in failed] == [502, 502]
    assert failed[1].json() == failed[0].json()
    assert failed[1].headers["idempotency-replayed"] == "true"
    assert failed[1].headers["content-type"] == "application/problem+json"


async def test_a_key_that_is_none_is_refused(admin: httpx.AsyncClient) -> None:
    for given in ("", '""', "x" * 256, "a b", "ä"):
        answer = await admin.post("/accounts/main/pause", headers=[(b"Idempotency-Key", given.encode())])

        assert (given, answer.status_code, answer.json()["code"]) == (given, 400, "bad_idempotency_key")
