"""What the exchange and the network say when something goes wrong, and what that means to a read and to a write."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shared.domain import errors
from shared.domain.errors import (
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    Refused,
    VenueError,
    VenueUnreachable,
)
from shared.exchange.failures import CODES, Call, answer_of, venue_failures
from shared.exchange.fields import Unreadable

NOW = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
READ, WRITE = Call("GET", "/fapi/v3/order"), Call("POST", "/fapi/v3/order")
HTML = "<html><body>Bad Gateway</body></html>"

EXPECTED = {
    -1000: "OutcomeUnknown",
    -1001: "OutcomeUnknown",
    -1002: "NotAuthorised",
    -1003: "RateLimited",
    -1006: "OutcomeUnknown",
    -1007: "OutcomeUnknown",
    -1011: "NotAuthorised",
    -1015: "RateLimited",
    -1016: "OutcomeUnknown",
    -1021: "ClockSkewed",
    -1022: "NotAuthorised",
    -1102: "Refused",
    -1111: "Refused",
    -1121: "Refused",
    -2010: "Refused",
    -2011: "OrderNotFound",
    -2013: "OrderNotFound",
    -2014: "NotAuthorised",
    -2015: "NotAuthorised",
    -2018: "InsufficientMargin",
    -2019: "InsufficientMargin",
    -2021: "WouldTrigger",
    -2022: "NothingToReduce",
    -2024: "NothingToReduce",
    -2025: "Refused",
    -2027: "InsufficientMargin",
    -2028: "InsufficientMargin",
    -2030: "Refused",
    -4003: "Refused",
    -4014: "Refused",
    -4046: "NoChangeNeeded",
    -4050: "InsufficientMargin",
    -4051: "InsufficientMargin",
    -4052: "NoChangeNeeded",
    -4054: "NothingToReduce",
    -4056: "NotAuthorised",
    -4057: "NotAuthorised",
    -4059: "NoChangeNeeded",
    -4061: "PositionModeChanged",
    -4062: "PositionModeChanged",
    -4116: "OutcomeUnknown",
    -4118: "NothingToReduce",
    -4131: "Refused",
    -4142: "WouldTrigger",
    -4164: "Refused",
    -4225: "ClockSkewed",
    -5060: "Refused",
    -5076: "Refused",
    -9999: "Refused",
}


def reply(status: int, payload: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    content = payload if isinstance(payload, str) else json.dumps(payload)
    return httpx.Response(status, content=content.encode(), headers=headers)


def error_of(response: httpx.Response, call: Call) -> VenueError:
    with pytest.raises(VenueError) as caught:
        answer_of(response, call, NOW)
    return caught.value


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("code", "name"), EXPECTED.items())
def test_each_code_tells_a_writer_what_to_do_next(code: int, name: str, status: int) -> None:
    error = error_of(reply(status, {"code": code, "msg": "Some words."}), WRITE)

    assert type(error) is getattr(errors, name)
    assert error.code == code
    assert "Some words." in str(error)


def test_every_code_we_know_is_among_those_tested() -> None:
    assert {code for codes in CODES.values() for code in codes} <= EXPECTED.keys()


@pytest.mark.parametrize("code", CODES[OutcomeUnknown])
def test_a_read_with_an_unknown_outcome_may_just_be_asked_again(code: int) -> None:
    assert type(error_of(reply(400, {"code": code, "msg": "?"}), READ)) is VenueUnreachable


@pytest.mark.parametrize("words", ["No agent found", "Signature check failed"])
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
