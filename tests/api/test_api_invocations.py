"""Stages over HTTP, in plain REST and by the SDK of AWS Lambda."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.client import BaseClient
from botocore.config import Config

from emulators import aster
from shared.db.unit_of_work import Database
from tests.api.conftest import Serve, serving


async def invoke(client: httpx.AsyncClient, stage: str, event: Any) -> httpx.Response:
    return await client.post(f"/functions/{stage}/invocations", json=event, timeout=30)


async def test_a_stage_runs_and_answers_with_its_result(client: httpx.AsyncClient) -> None:
    answer = await invoke(client, "fetch", {"account": "main"})

    assert answer.status_code == 200
    result = answer.json()
    assert (result["stage"], result["account"], result["repeated"]) == ("fetch", "main", False)


async def test_the_same_event_again_is_answered_with_the_stored_result(client: httpx.AsyncClient) -> None:
    first = (await invoke(client, "reconcile", {"account": "main"})).json()

    second = (await invoke(client, "reconcile", {"account": "main", "tick": first["tick"]})).json()

    assert second == {**first, "repeated": True}


async def test_a_whole_cycle_runs_through_the_four_stages(client: httpx.AsyncClient) -> None:
    outcome = (await invoke(client, "cycle", {"account": "main"})).json()

    assert {"fetch", "decide", "execute", "reconcile"} <= outcome.keys()
    assert not any("error" in part for part in outcome.values() if isinstance(part, dict))


async def test_an_event_that_names_no_cycle_is_refused_in_words(client: httpx.AsyncClient) -> None:
    for event, says in (
        ({"account": "nobody"}, "no account 'nobody'"),
        ({"account": ["main"]}, "no account ['main']"),
        ({"account": "main", "tock": 1}, "unknown field 'tock'"),
        ({"account": "main", "tick": "soon"}, "tick must be a time"),
        ([], "must be a JSON object"),
        (None, "must be a JSON object"),
    ):
        answer = await client.post("/functions/fetch/invocations", content=json.dumps(event))

        assert (event, answer.status_code, answer.json()["code"]) == (event, 422, "bad_event")
        assert says in answer.json()["detail"]


async def test_a_tick_that_has_not_come_is_refused(client: httpx.AsyncClient) -> None:
    answer = await invoke(client, "fetch", {"account": "main", "tick": "2999-01-01T00:00:00Z"})

    assert (answer.status_code, answer.json()["code"]) == (422, "stale_request")


async def test_a_stage_that_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    answer = await invoke(client, "gamble", {"account": "main"})

    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_stage")


async def test_a_body_that_is_not_json_is_a_400(client: httpx.AsyncClient) -> None:
    for body in (b"{", b"\xff", b"[" * 60_000):
        answer = await client.post("/functions/fetch/invocations", content=body)

        assert (answer.status_code, answer.json()["code"]) == (400, "bad_json")


async def test_a_body_without_end_is_cut_short(client: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1024

    answer = await client.post("/functions/fetch/invocations", content=endless())

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_an_account_that_another_copy_works_on_is_a_409(client: httpx.AsyncClient, database: Database) -> None:
    async with database.open_work() as work:
        await work.stages.take_lease("main", "another copy", 60)

    answer = await invoke(client, "fetch", {"account": "main"})

    assert (answer.status_code, answer.json()["code"]) == (409, "stage_busy")


def test_an_exchange_that_does_not_take_our_key_is_a_502(serve: Serve) -> None:
    market = aster.synthetic_market(symbols=("BTCUSDT", "ETHUSDT"))
    with serving(aster.create_app(aster.Venue(market), chain=714)) as elsewhere:
        url = serve(asterdex_base_url=elsewhere)

        answer = httpx.post(f"{url}/functions/fetch/invocations", json={"account": "main"}, timeout=30)

    assert (answer.status_code, answer.json()["code"]) == (502, "venue_not_authorised")


@pytest.fixture
def aws(serve: Serve) -> Iterator[BaseClient]:
    """The SDK's client of Lambda, pointed here."""
    client = boto3.client(
        "lambda",
        endpoint_url=serve(),
        region_name="eu-central-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def test_the_sdk_of_lambda_invokes_a_stage(aws: Any) -> None:
    reply = aws.invoke(FunctionName="reconcile", Payload=json.dumps({"account": "main"}))

    assert (reply["StatusCode"], reply["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in reply
    assert json.load(reply["Payload"])["stage"] == "reconcile"


def test_the_sdk_of_lambda_is_told_of_a_failure_as_by_lambda(aws: Any) -> None:
    reply = aws.invoke(FunctionName="fetch", Payload=json.dumps({"account": "nobody"}))

    assert (reply["StatusCode"], reply["FunctionError"]) == (200, "Unhandled")
    failure = json.load(reply["Payload"])
    assert failure["errorType"] == "BadEvent"
    assert "no account 'nobody'" in failure["errorMessage"]


def test_the_sdk_of_lambda_takes_no_payload_for_an_empty_event(aws: Any) -> None:
    reply = aws.invoke(FunctionName="fetch")

    assert json.load(reply["Payload"])["errorType"] == "BadEvent"


def test_the_sdk_of_lambda_recognises_what_is_wrong_with_a_call(aws: Any) -> None:
    with pytest.raises(aws.exceptions.ResourceNotFoundException, match="Function not found: gamble"):
        aws.invoke(FunctionName="gamble")
    with pytest.raises(aws.exceptions.InvalidRequestContentException, match="not JSON"):
        aws.invoke(FunctionName="fetch", Payload=b"{")
    with pytest.raises(aws.exceptions.RequestTooLargeException, match="larger than 65536"):
        aws.invoke(FunctionName="fetch", Payload=b" " * 70_000)
    with pytest.raises(aws.exceptions.InvalidParameterValueException, match="RequestResponse"):
        aws.invoke(FunctionName="fetch", InvocationType="Event")
