"""Reads are asked again, writes never; what arrives is what was signed; the limit is kept before it is reached."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from shared.domain.allowance import ordinary_room
from shared.domain.errors import NotAuthorised, OutcomeUnknown, RateLimited, Refused, VenueError, VenueUnreachable
from shared.exchange import client as client_module
from shared.exchange.auth import ApiKey, KeySigner, SignerWallet, WalletSigner
from shared.exchange.client import AsterClient
from shared.exchange.limits import WEIGHT_A_MINUTE
from shared.exchange.market_wire import read_open_interest

WALLET = SignerWallet("0x" + "11" * 32)
KEY = ApiKey("some-key", "some-secret")
ORDINARY_SHARE = ordinary_room(WEIGHT_A_MINUTE)
TIME, ORDER = "GET /fapi/v3/time", "POST /fapi/v3/order"
AN_ID = {"newClientOrderId": "a:b/c d+e%2F"}


def as_it_is(payload: Any) -> Any:
    return payload


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        ConnectionResetError("reset"),
        (502, "<html>"),
        (503, ""),
        (400, {"code": -1007, "msg": "Timeout."}),
        (200, '{"serverTime": 1'),
    ],
    ids=repr,
)
async def test_a_read_that_got_lost_is_asked_again(venue: Any, lost: Any) -> None:
    venue.answer(TIME, lost, lost, {"serverTime": 1})

    payload = await venue.client().read("time", weight=1, into=as_it_is)

    assert payload == {"serverTime": 1}
    assert venue.calls() == [TIME] * 3
    assert venue.slept == [0.5, 1.0]  # twice as long each time, but for the jitter


async def test_a_read_is_given_up_after_a_few_attempts(venue: Any) -> None:
    venue.answer(TIME, (503, "busy"))

    with pytest.raises(VenueUnreachable, match="GET /fapi/v3/time: HTTP 503: busy"):
        await venue.client().read("time", weight=1, into=as_it_is)

    assert len(venue.received) == client_module.ATTEMPTS


async def test_a_read_that_hangs_is_given_up(venue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Hanging()
    monkeypatch.setattr(client_module, "ATTEMPT_SECONDS", 0.01)
    client = AsterClient("http://venue", clock=venue.clock, transport=hanging, sleep=venue.sleep)

    with pytest.raises(VenueUnreachable, match="no answer: TimeoutError"):
        await client.read("time", weight=1, into=as_it_is)

    assert hanging.requests == client_module.ATTEMPTS


async def test_all_attempts_of_a_read_together_have_a_deadline(venue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "READ_SECONDS", 0.01)
    client = AsterClient("http://venue", clock=venue.clock, transport=Hanging(), sleep=venue.sleep)

    with pytest.raises(VenueUnreachable, match="no answer within"):
        await client.read("time", weight=1, into=as_it_is)


@pytest.mark.parametrize(
    ("answer", "error"), [((400, {"code": -1121, "msg": "Invalid symbol."}), Refused), ({"surprise": 1}, VenueError)]
)
async def test_a_read_that_was_answered_is_not_asked_again(venue: Any, answer: Any, error: type[VenueError]) -> None:
    venue.answer("GET /fapi/v3/openInterest", answer)

    with pytest.raises(error):
        await venue.client().read("openInterest", weight=1, into=read_open_interest)

    assert len(venue.received) == 1


@pytest.mark.parametrize(
    ("lost", "error"),
    [
        (httpx.ReadTimeout("late"), OutcomeUnknown),
        (httpx.ConnectError("refused"), VenueUnreachable),
        (ConnectionResetError("reset"), OutcomeUnknown),
        ((503, ""), OutcomeUnknown),
        ((502, "<html>"), OutcomeUnknown),
        ((400, {"code": -1006, "msg": "?"}), OutcomeUnknown),
        ((400, {"code": -4225, "msg": "Nonce Expired"}), VenueError),
        ((200, "{"), OutcomeUnknown),
        ((429, ""), RateLimited),
    ],
    ids=repr,
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_write_is_sent_once_whatever_comes_back(
    venue: Any, method: str, lost: Any, error: type[VenueError]
) -> None:
    venue.answer(f"{method} /fapi/v3/order", lost)

    with pytest.raises(error):
        await venue.client(WALLET).write(method, "order", AN_ID, into=as_it_is)

    assert len(venue.received) == 1
    assert venue.slept == []


async def test_a_write_that_hangs_may_have_happened(venue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Hanging()
    monkeypatch.setattr(client_module, "ATTEMPT_SECONDS", 0.01)
    client = AsterClient("http://venue", clock=venue.clock, transport=hanging)

    with pytest.raises(OutcomeUnknown):
        await client.write("POST", "order", {}, into=as_it_is)

    assert hanging.requests == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_wallet_s_request_arrives_byte_for_byte_as_signed(venue: Any, method: str) -> None:
    venue.answer(f"{method} /fapi/v3/order", {})

    await send(venue, method, WALLET)

    (received,) = venue.received
    in_body = method in {"POST", "PUT"}
    content = received.body if in_body else received.query
    assert (received.query if in_body else received.body) == b""
    message, _, signature = content.decode().rpartition("&signature=0x")
    assert message.startswith("newClientOrderId=a%3Ab%2Fc+d%2Be%252F&nonce=")
    assert signature == WalletSigner(WALLET).signature(message)
    if in_body:
        assert received.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_key_s_request_arrives_byte_for_byte_as_signed(venue: Any, method: str) -> None:
    venue.answer(f"{method} /fapi/v1/order", {})

    await send(venue, method, KEY)

    (received,) = venue.received
    message, _, signature = (received.query + received.body).decode().rpartition("&signature=")
    assert signature == KeySigner(KEY).signature(message)
    assert received.headers["x-mbx-apikey"] == "some-key"


async def test_a_read_that_is_asked_again_is_signed_again(venue: Any) -> None:
    venue.answer("GET /fapi/v3/order", (503, ""), {})

    await venue.client(WALLET).read("order", weight=1, into=as_it_is)

    first, second = (int(received.params["nonce"]) for received in venue.received)
    assert first < second


async def test_what_is_public_carries_no_signature(venue: Any) -> None:
    venue.answer("GET /fapi/v3/klines", [])

    await venue.client().read("klines", {"symbol": "BTCUSDT"}, weight=1, into=as_it_is)

    assert venue.received[0].query == b"symbol=BTCUSDT"


async def test_ordinary_requests_wait_a_minute_rather_than_use_up_the_reserve(venue: Any) -> None:
    venue.answer(TIME, (200, {}, {"X-MBX-USED-WEIGHT-1M": str(ORDINARY_SHARE)}), {})
    client = venue.client()
    await client.read("time", weight=1, into=as_it_is)

    await client.read("time", weight=1, into=as_it_is)

    assert sum(venue.slept) == 65  # what was used from 12:00:00 to 12:00:10 is a minute ago at 12:01:10


async def test_a_write_does_not_wait_and_an_urgent_one_draws_on_the_reserve(venue: Any) -> None:
    venue.answer(TIME, (200, {}, {"X-MBX-USED-WEIGHT-1M": str(ORDINARY_SHARE)}))
    venue.answer(ORDER, (200, {}, {"X-MBX-USED-WEIGHT-1M": str(WEIGHT_A_MINUTE)}))
    client = venue.client()
    await client.read("time", weight=1, into=as_it_is)

    with pytest.raises(RateLimited) as ordinary:
        await client.write("POST", "order", {}, into=as_it_is)
    await client.write("POST", "order", {}, into=as_it_is, urgent=True)
    with pytest.raises(RateLimited):
        await client.write("POST", "order", {}, into=as_it_is, urgent=True)

    assert ordinary.value.retry_after == 65
    assert venue.calls() == [TIME, ORDER]


async def test_the_weight_of_requests_under_way_counts_before_the_exchange_says_so(venue: Any) -> None:
    venue.answer(TIME, {})
    client = venue.client()

    await asyncio.gather(*(client.read("time", weight=ORDINARY_SHARE // 2, into=as_it_is) for _ in range(3)))

    assert sum(venue.slept) == 65


async def test_a_refused_reader_waits_as_long_as_it_is_told(venue: Any) -> None:
    venue.answer(TIME, (429, "", {"Retry-After": "30"}), {})

    await venue.client().read("time", weight=1, into=as_it_is)

    assert sum(venue.slept) == pytest.approx(30, abs=0.01)


async def test_nobody_at_that_address_insists_during_a_ban(venue: Any) -> None:
    venue.answer(TIME, (418, "", {"Retry-After": "120"}))
    one, other = venue.client(), venue.client(WALLET)
    with pytest.raises(RateLimited):
        await one.read("time", weight=1, into=as_it_is)

    with pytest.raises(RateLimited, match="another 120 s"):
        await other.read("time", weight=1, into=as_it_is)
    with pytest.raises(RateLimited):
        await other.write("POST", "order", {}, into=as_it_is, urgent=True)

    assert venue.calls() == [TIME]


async def test_a_transport_that_was_handed_in_stays_open(venue: Any) -> None:
    venue.answer(TIME, {})
    async with venue.client():
        pass

    assert await venue.client().read("time", weight=1, into=as_it_is) == {}


async def test_an_exchange_that_is_not_there_is_unreachable(venue: Any) -> None:
    async with AsterClient("http://127.0.0.1:1", clock=venue.clock, sleep=venue.sleep) as client:
        with pytest.raises(VenueUnreachable, match="cannot be reached"):
            await client.write("POST", "order", {}, into=as_it_is)


async def test_a_connection_cut_after_the_request_is_an_unknown_outcome_to_a_write(
    venue: Any, rude_server: str
) -> None:
    async with AsterClient(rude_server, clock=venue.clock, sleep=venue.sleep) as client:
        with pytest.raises(OutcomeUnknown, match="no answer"):
            await client.write("POST", "order", {}, into=as_it_is)
        with pytest.raises(VenueUnreachable):
            await client.read("time", weight=1, into=as_it_is)


async def test_a_refused_identity_says_what_to_check(venue: Any) -> None:
    venue.answer("GET /fapi/v3/accountWithJoinMargin", (400, {"code": -1000, "msg": "No agent found"}))

    with pytest.raises(NotAuthorised) as refusal:
        await venue.account(WALLET).verify_identity()

    words = str(refusal.value)
    assert "signer 0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A on chain 1666" in words
    assert "one network" in words
    assert "\n" not in words


class Hanging(httpx.AsyncBaseTransport):
    """Takes a request and never answers."""

    def __init__(self) -> None:
        self.requests = 0

    async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
        self.requests += 1
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
async def rude_server() -> AsyncIterator[str]:
    """A server that reads a request and hangs up."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def send(venue: Any, method: str, credentials: SignerWallet | ApiKey) -> None:
    client = venue.client(credentials)
    if method == "GET":
        await client.read("order", AN_ID, weight=1, into=as_it_is)
    else:
        await client.write(method, "order", AN_ID, into=as_it_is)
