"""What the exchange and the network say when something goes wrong, and what that means to a read and to a write."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.domain.errors import (
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    Refused,
    VenueError,
    VenueUnreachable,
)
from shared.exchange.failures import CODES, Call, answer_of, element_of, venue_failures
from shared.exchange.fields import Unreadable
from tests.exchange.error_codes import ERROR_CODES

NOW = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
READ, WRITE = Call("GET", "/fapi/v3/order"), Call("POST", "/fapi/v3/order")
HTML = "<html><body>Bad Gateway</body></html>"


def reply(status: int, payload: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    content = payload if isinstance(payload, str) else json.dumps(payload)
    return httpx.Response(status, content=content.encode(), headers=headers)


def error_of(response: httpx.Response, call: Call) -> VenueError:
    with pytest.raises(VenueError) as caught:
        answer_of(response, call, NOW)
    return caught.value


@pytest.mark.parametrize("spelling", [int, str])
@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize("code", ERROR_CODES)
def test_each_code_tells_a_writer_what_to_do_next(code: int, status: int, spelling: type) -> None:
    _, kind = ERROR_CODES[code]

    error = error_of(reply(status, {"code": spelling(code), "msg": "Some words."}), WRITE)

    assert type(error) is kind
    assert error.code == code
    assert "Some words." in str(error)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_each_code_means_the_same_to_one_order_of_a_batch(code: int) -> None:
    _, kind = ERROR_CODES[code]

    failure = element_of({"code": code, "msg": "Some words."})

    assert type(failure) is kind
    assert failure.code == code
    assert str(failure) == f"Some words. ({code})"


@pytest.mark.parametrize("code", ERROR_CODES)
def test_each_code_means_the_same_to_a_reader_but_that_nothing_can_have_happened(code: int) -> None:
    _, kind = ERROR_CODES[code]

    error = error_of(reply(400, {"code": code, "msg": "Some words."}), READ)

    assert type(error) is (VenueUnreachable if kind is OutcomeUnknown else kind)


def test_the_table_holds_every_code_that_is_more_than_a_refusal() -> None:
    told = {code: kind for kind, codes in CODES.items() for code in codes}

    assert told == {code: kind for code, (_, kind) in ERROR_CODES.items() if kind is not Refused}


@pytest.mark.parametrize("payload", [{"orderId": 1, "code": 200}, {"orderId": 1}, [], None, "-2011"])
def test_what_carries_no_error_code_is_no_failure_of_an_order_of_a_batch(payload: Any) -> None:
    assert element_of(payload) is None


@pytest.mark.parametrize("code", CODES[OutcomeUnknown])
def test_a_read_with_an_unknown_outcome_may_just_be_asked_again(code: int) -> None:
    assert type(error_of(reply(400, {"code": code, "msg": "?"}), READ)) is VenueUnreachable


@pytest.mark.parametrize("words", ["No agent found", "Signature check failed", "Invalid signature."])
def test_an_unknown_error_that_names_the_signer_is_about_the_credentials(words: str) -> None:
    assert type(error_of(reply(400, {"code": -1000, "msg": words}), WRITE)) is NotAuthorised


@pytest.mark.parametrize(
    "response",
    [
        reply(500, HTML),
        reply(502, HTML),
        reply(503, {"code": -2019, "msg": "Whatever a gateway says, the order may be live."}),
        reply(504, ""),
        reply(408, ""),
        reply(404, HTML),
        reply(302, ""),
        reply(200, HTML),
        reply(200, ""),
        reply(200, "null"),
        reply(200, '{"orderId": 1, "price": NaN}'),
        reply(200, '{"orderId": 1, "pri'),
    ],
    ids=str,
)
def test_a_write_whose_answer_tells_nothing_may_have_happened(response: httpx.Response) -> None:
    assert type(error_of(response, WRITE)) is OutcomeUnknown


@pytest.mark.parametrize("response", [reply(502, HTML), reply(503, ""), reply(200, HTML), reply(200, "{")], ids=str)
def test_a_read_whose_answer_tells_nothing_may_be_asked_again(response: httpx.Response) -> None:
    error = error_of(response, READ)

    assert type(error) is VenueUnreachable
    assert str(error).startswith("GET /fapi/v3/order: HTTP ")


def test_a_reader_whom_nobody_knows_is_told_so_by_the_status_too() -> None:
    assert type(error_of(reply(401, HTML), READ)) is NotAuthorised
    assert type(error_of(reply(401, HTML), WRITE)) is OutcomeUnknown


def test_a_path_that_does_not_exist_is_not_asked_for_again() -> None:
    assert type(error_of(reply(404, HTML), READ)) is Refused


@pytest.mark.parametrize(
    ("status", "payload", "headers", "seconds"),
    [
        (429, {"code": -1003, "msg": "Too many requests."}, {"Retry-After": "7"}, 7.0),
        (429, {"code": -1015, "msg": "Too many orders."}, {}, 20.0),  # to the end of the minute
        (429, HTML, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 20.0),
        (403, HTML, {}, 20.0),
        (418, {"code": -1003, "msg": "Way too many requests; IP banned until 1750000300000."}, {}, 300.0),
        (418, {"code": -1003, "msg": "IP banned until 2025-06-15T15:11:40+00:00."}, {}, 300.0),
        (418, {"code": -1003, "msg": "IP banned until 2025-06-15 15:11:40"}, {}, 300.0),
        (418, {"code": -1003, "msg": "IP banned until 2025-06-31 15:11:40"}, {}, 120.0),  # there is no such day
        (418, "", {}, 120.0),
        (400, {"code": -1003, "msg": "Too many requests."}, {}, 20.0),
    ],
)
@pytest.mark.parametrize("call", [READ, WRITE])
def test_a_limit_says_how_long_to_wait(
    call: Call, status: int, payload: Any, headers: dict[str, str], seconds: float
) -> None:
    error = error_of(reply(status, payload, headers), call)

    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "payload", [{"code": "200", "msg": "done"}, {"code": 200, "msg": "success"}, {}, [], [{"code": -1}]]
)
def test_success_may_carry_a_code_too(payload: Any) -> None:
    assert answer_of(reply(200, payload), WRITE, NOW) == payload


REQUEST = httpx.Request("POST", "http://venue/")


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused"), httpx.ConnectTimeout(""), httpx.PoolTimeout("full"), httpx.ProxyError("no")],
    ids=repr,
)
@pytest.mark.parametrize("call", [READ, WRITE])
def test_what_never_left_changed_nothing(call: Call, failure: Exception) -> None:
    with pytest.raises(VenueUnreachable) as caught, venue_failures(call):
        raise failure

    assert caught.value.__cause__ is failure


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("late"),
        httpx.WriteTimeout(""),
        httpx.ReadError("reset"),
        httpx.WriteError("broken pipe"),
        httpx.RemoteProtocolError("cut off"),
        httpx.DecodingError("not gzip"),
        ConnectionResetError("reset"),
        TimeoutError(),
    ],
    ids=repr,
)
def test_what_may_have_left_may_have_happened(failure: Exception) -> None:
    with pytest.raises(OutcomeUnknown), venue_failures(WRITE):
        raise failure
    with pytest.raises(VenueUnreachable), venue_failures(READ):
        raise failure


def test_an_answer_we_cannot_understand_is_an_unknown_outcome_to_a_write_only() -> None:
    with pytest.raises(OutcomeUnknown, match="unreadable answer: side is None"), venue_failures(WRITE):
        raise Unreadable("side is None, not a text")
    with pytest.raises(VenueError, match="unreadable answer") as caught, venue_failures(READ):
        raise Unreadable("side is None, not a text")
    assert type(caught.value) is VenueError


def test_the_manual_says_of_each_failure_which_codes_mean_it() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()
    rows = [line.split("|") for line in manual.splitlines() if re.match(r"\| `[A-Z]\w+` \|", line)]

    told = {kind.strip("` "): {int(code) for code in re.findall(r"-[0-9]{4}", codes)} for _, kind, *_, codes, _ in rows}

    assert told == {
        **{kind.__name__: set(codes) for kind, codes in CODES.items()},
        "VenueUnreachable": set(),
        "Refused": set(),
    }
