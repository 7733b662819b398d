"""WebSockets as such: paths, commands, answers, and what ends a connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emulators.aster import Venue
from emulators.aster.streams import streams as streams_module
from emulators.aster.streams.subscriptions import METHODS, Subscriptions
from tests.emulators.aster.sockets import Site, serving
from tests.emulators.aster.traders import MINUTE, T0, flat, market_of

HOUR = 60 * MINUTE
PONGLESS = b"GET /ws HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + (
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving(Venue(market_of(*flat(50_000, 60)))) as served:
        yield served


async def test_ws_carries_events_as_they_are_and_stream_carries_them_with_their_name(site: Site) -> None:
    async with (
        site.listener("/ws/btcusdt@markPrice@1s") as raw,
        site.listener("/stream?streams=btcusdt@markPrice@1s/btcusdt@kline_1m") as combined,
    ):
        site.venue.advance(T0 + 1000)

        event = await raw.next()
        assert event["e"] == "markPriceUpdate"
        first, second = await combined.take(2)
        assert first == {"stream": "btcusdt@markPrice@1s", "data": event}
        assert (second["stream"], second["data"]["e"]) == ("btcusdt@kline_1m", "kline")


async def test_a_bare_ws_says_nothing_until_it_subscribes(site: Site) -> None:
    async with site.listener("/ws") as one:
        assert await one.command("LIST_SUBSCRIPTIONS", id=3) == {"result": [], "id": 3}
        assert await one.command("SUBSCRIBE", "btcusdt@ticker", "btcusdt@markPrice@1s") == {"result": None, "id": 1}
        assert (await one.command("LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@ticker", "btcusdt@markPrice@1s"]

        site.venue.advance(T0 + 1000)
        assert [event["e"] for event in await one.take(2)] == ["24hrTicker", "markPriceUpdate"]

        assert await one.command("UNSUBSCRIBE", "btcusdt@ticker") == {"result": None, "id": 1}
        site.venue.advance(T0 + 2000)
        assert [json.loads(text)["e"] for text in await one.everything_so_far()] == ["markPriceUpdate"]


async def test_several_raw_streams_may_stand_in_one_path(site: Site) -> None:
    async with site.listener("/ws/btcusdt@ticker/btcusdt@miniTicker") as one:
        site.venue.advance(T0 + 500)

        assert [event["e"] for event in await one.take(2)] == ["24hrTicker", "24hrMiniTicker"]


async def test_whether_events_carry_their_name_can_be_changed(site: Site) -> None:
    async with site.listener("/ws/btcusdt@miniTicker") as raw, site.listener("/stream") as combined:
        assert await combined.command("GET_PROPERTY", "combined", id=2) == {"result": True, "id": 2}
        assert await raw.command("GET_PROPERTY", "combined", id=2) == {"result": False, "id": 2}
        assert await raw.command("SET_PROPERTY", "combined", True, id=5) == {"result": None, "id": 5}

        site.venue.advance(T0 + 500)
        assert (await raw.next())["stream"] == "btcusdt@miniTicker"


async def test_an_id_may_be_missing(site: Site) -> None:
    async with site.listener("/stream") as one:
        assert await one.say('{"method":"SUBSCRIBE","params":["btcusdt@ticker"]}') == {"result": None, "id": None}


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ('{"method":"GET_PROPERTY","params":["speed"],"id":1}', {"code": 0, "msg": "Unknown property"}),
        (
            '{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}',
            {"code": 1, "msg": "Invalid value type: expected Boolean"},
        ),
        (
            '{"method":"GET_PROPERTY","params":[7],"id":1}',
            {"code": 2, "msg": "Invalid request: property name must be a string"},
        ),
        (
            '{"method":"GET_PROPERTY","params":["combined","combined"],"id":1}',
            {"code": 2, "msg": "Invalid request: too many parameters"},
        ),
        (
            '{"method":"LIST_SUBSCRIPTIONS","id":"one"}',
            {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"},
        ),
        (
            '{"method":"LIST_SUBSCRIPTIONS","id":-1}',
            {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"},
        ),
        (
            '{"method":"SHOUT","id":1}',
            {
                "code": 2,
                "msg": "Invalid request: unknown variant `SHOUT`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
                "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 25",
            },
        ),
        ('{"id":1}', {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 8"}),
        ('{"method":', {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 11"}),
        ("[1]", {"code": 2, "msg": "Invalid request: invalid type, expected a command at line 1 column 3"}),
        (
            '{"method":"SUBSCRIBE","params":"btcusdt@ticker","id":1}',
            {"code": 2, "msg": "Invalid request: invalid type: params must be a sequence"},
        ),
        (
            '{"method":"SUBSCRIBE","params":[["btcusdt@ticker"]],"id":1}',
            {"code": 2, "msg": "Invalid request: invalid type: stream names must be strings"},
        ),
    ],
)
async def test_a_command_that_makes_no_sense_is_answered_and_the_socket_goes_on(
    site: Site, said: str, answered: dict[str, Any]
) -> None:
    async with site.listener("/ws") as one:
        assert await one.say(said) == answered
        assert await one.command("LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}


@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["method", "params", "id"]), inner),
        ).map(json.dumps),
        st.sampled_from(METHODS).flatmap(
            lambda method: st.lists(
                st.none() | st.booleans() | st.text(max_size=9) | st.just("combined"), max_size=3
            ).map(lambda params: json.dumps({"method": method, "params": params, "id": 1}))
        ),
        st.sampled_from(["[" * 100_000, '{"method":"SUBSCRIBE","id":' + "9" * 10_000 + "}"]),
    )
)
def test_whatever_is_said_it_is_answered_and_only_a_good_command_has_an_effect(said: str) -> None:
    subscriptions = Subscriptions(["btcusdt@ticker"], combined=False)

    answer = json.loads(subscriptions.answer(said))

    assert answer.keys() in ({"result", "id"}, {"code", "msg"})
    if "code" in answer:
        assert (list(subscriptions.streams), subscriptions.combined) == (["btcusdt@ticker"], False)


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT@ticker", "nosuch@ticker", "btcusdt@nosuch", "btcusdt@kline_7m", "btcusdt@depth7", "btcusdt@ticker@1s"],
)
async def test_nothing_is_heard_of_a_stream_that_does_not_exist(site: Site, name: str) -> None:
    async with site.listener(f"/ws/{name}") as one:
        site.venue.advance(T0 + 5 * MINUTE)

        assert await one.everything_so_far() == []
        assert (await one.command("LIST_SUBSCRIPTIONS"))["result"] == [name]


async def test_a_socket_has_two_hundred_streams_and_no_more(site: Site) -> None:
    names = [f"symbol{number}@ticker" for number in range(200)]
    async with site.listener("/ws") as one:
        assert await one.command("SUBSCRIBE", *names) == {"result": None, "id": 1}
        refused = await one.command("SUBSCRIBE", "btcusdt@ticker")
        assert refused == {"code": 2, "msg": "Invalid request: too many parameters"}
        assert (await one.command("LIST_SUBSCRIPTIONS"))["result"] == names


async def test_a_client_that_says_too_much_in_a_second_is_shown_out(site: Site) -> None:
    async with site.listener("/ws") as one:
        for _ in range(11):
            await one.socket.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')

        assert await one.closed() == 1008


@pytest.mark.parametrize("path", ["/", "/wss", "/fapi/v3/order", f"/ws/{'/'.join(f'a{n}@ticker' for n in range(201))}"])
async def test_other_paths_lead_nowhere(site: Site, path: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        await connect(f"ws://127.0.0.1:{site.port}{path}", proxy=None)


async def test_a_socket_ends_after_a_day_of_market_time() -> None:
    async with serving(Venue(market_of(*flat(50_000, 3 * 24 * 60)))) as site, site.listener("/ws") as old:
        site.venue.advance(T0 + 23 * HOUR)
        async with site.listener("/ws") as young:
            site.venue.advance(T0 + 24 * HOUR)

            assert await old.closed() == 1001
            assert (await young.command("LIST_SUBSCRIPTIONS"))["result"] == []


async def test_how_long_a_socket_lives_can_be_chosen() -> None:
    venue = Venue(market_of(*flat(50_000, 60)))
    async with serving(venue, socket_lifetime_ms=1000) as site, site.listener("/ws") as one:
        venue.advance(T0 + 1000)

        assert await one.closed() == 1001


async def test_pings_come_and_who_does_not_answer_them_is_let_go() -> None:
    venue = Venue(market_of(*flat(50_000, 60)))
    async with serving(venue, ping_ms=50) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(PONGLESS)
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
            ping = await reader.readexactly(6)
            rest = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert ping[:2] == b"\x89\x04"
    assert rest[:1] == b"\x88"


def test_pings_follow_the_speed_of_the_market_within_reason() -> None:
    def times(speed: float | None, ping_ms: int = 300_000) -> tuple[float, float]:
        settings = streams_module.keepalive(speed, ping_ms)
        return settings["ws_ping_interval"], settings["ws_ping_timeout"]

    assert times(None) == (300, 900)
    assert times(1.0) == (300, 900)
    assert times(10.0) == (30, 90)
    assert times(1e6) == (1, 20)
    assert times(10.0, 5000) == (1, 15)


async def test_a_reader_that_falls_behind_is_cut_off_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "QUEUE_MOST", 50)
    venue = Venue(market_of(*[(50_000, 50_000 + n % 7 * 500, 50_000, 50_000) for n in range(3000)]))
    async with serving(venue) as site, site.listener("/ws/btcusdt@markPrice@1s") as quick:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
        writer.write(PONGLESS.replace(b"/ws", b"/ws/btcusdt@depth@100ms"))
        await reader.readuntil(b"\r\n\r\n")
        seen, now = [], T0
        while len(await site.administer("GET", "streams")) == 2:
            now += 20_000
            venue.advance(now)
            seen.append((await quick.next())["E"])
            assert now < T0 + 2900 * MINUTE, "the slow reader was never cut off"
        writer.close()

    assert len(seen) > 50
    assert seen[-1] == now


async def test_nobody_listens_to_the_venue_once_all_sockets_are_gone(site: Site) -> None:
    async with site.listener("/ws/btcusdt@ticker"):
        assert await site.administer("GET", "streams") == [{"streams": ["btcusdt@ticker"], "combined": False}]
    async with asyncio.timeout(10):
        while await site.administer("GET", "streams"):
            pass

    assert site.venue.ledger._listeners == []
