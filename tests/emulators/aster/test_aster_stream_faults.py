"""Streams that misbehave on demand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from emulators.aster import Venue
from emulators.aster.streams.frames import Frame
from emulators.aster.streams.stream_faults import StreamFault, StreamFaults
from tests.emulators.aster.sockets import Listener, Site, serving
from tests.emulators.aster.traders import T0, Wallet, flat, market_of

SECOND = 1000
MARKS = "btcusdt@markPrice@1s"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving(Venue(market_of(*flat(50_000, 60)))) as served:
        yield served


async def seconds_told(site: Site, one: Listener, count: int) -> list[int]:
    """Let some seconds go by, one at a time, and return which of them were told of, in order of arrival."""
    begun = site.venue.now
    for _ in range(count):
        site.venue.advance(site.venue.now + SECOND)
    texts = await one.everything_so_far()
    return [(json.loads(text)["E"] - begun) // SECOND for text in texts]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"kind": "duplicate"}, [1, 1, 2, 3, 4, 5]),
        ({"kind": "duplicate", "count": 2}, [1, 1, 2, 2, 3, 4, 5]),
        ({"kind": "reorder"}, [2, 1, 3, 4, 5]),
        ({"kind": "reorder", "count": 2}, [2, 1, 4, 3, 5]),
        ({"kind": "silence", "count": 3}, [4, 5]),
        ({"kind": "silence", "count": None}, []),
        ({"kind": "silence", "count": None, "on": "markPriceUpdate"}, []),
        ({"kind": "silence", "count": None, "on": "ethusdt@markPrice@1s"}, [1, 2, 3, 4, 5]),
    ],
)
async def test_events_are_doubled_shuffled_or_kept_back_as_often_as_asked(
    site: Site, fault: dict[str, Any], told: list[int]
) -> None:
    async with site.listener(f"/ws/{MARKS}") as one:
        listed = await site.administer("POST", "stream-faults", **{"on": MARKS, **fault})
        assert [each["kind"] for each in listed] == [fault["kind"]]

        assert await seconds_told(site, one, 5) == told


async def test_a_fault_that_is_done_is_gone_and_the_others_can_be_cleared(site: Site) -> None:
    async with site.listener(f"/ws/{MARKS}") as one:
        await site.administer("POST", "stream-faults", kind="silence", count=1)
        await site.administer("POST", "stream-faults", kind="duplicate", count=None)
        assert await seconds_told(site, one, 2) == [2, 2]
        assert await site.administer("GET", "stream-faults") == [
            {"kind": "duplicate", "on": "*", "count": None, "probability": 1.0, "seed": 0}
        ]

        assert await site.administer("DELETE", "stream-faults") == []
        assert await seconds_told(site, one, 2) == [1, 2]


def test_a_probability_strikes_the_same_events_for_the_same_seed() -> None:
    def struck(seed: int) -> list[bool]:
        faults = StreamFaults()
        faults.add(StreamFault("silence", count=None, probability=0.3, seed=seed))
        return [not faults.spoil(Frame("s", at, {"e": "x"}))[0] for at in range(200)]

    assert struck(1) == struck(1) != struck(2)
    assert 30 < sum(struck(1)) < 90


async def test_a_disconnect_cuts_off_whom_the_event_was_for_and_nobody_else(site: Site) -> None:
    async with site.listener(f"/ws/{MARKS}") as one, site.listener("/ws/btcusdt@miniTicker") as other:
        await site.administer("POST", "stream-faults", kind="disconnect", on=MARKS)
        site.venue.advance(T0 + SECOND)

        with pytest.raises(ConnectionClosedError):
            await one.next()
        assert one.socket.close_code == 1006
        assert (await other.next())["e"] == "24hrMiniTicker"


async def test_sockets_can_be_cut_off_now(site: Site) -> None:
    async with site.listener(f"/ws/{MARKS}") as one, site.listener("/ws") as two:
        assert await site.administer("POST", "streams/disconnect", on=MARKS) == {"disconnected": 1}
        assert await one.closed() == 1006
        assert await site.administer("POST", "streams/disconnect") == {"disconnected": 1}
        assert await two.closed() == 1006


async def test_a_stream_that_has_gone_silent_still_answers_commands(site: Site) -> None:
    async with site.listener(f"/ws/{MARKS}") as one:
        await site.administer("POST", "stream-faults", kind="silence", count=None)

        assert await seconds_told(site, one, 3) == []
        assert (await one.command("LIST_SUBSCRIPTIONS"))["result"] == [MARKS]


@pytest.mark.parametrize(("told", "heard"), [(True, ["listenKeyExpired"]), (False, [])])
async def test_a_listen_key_can_die_before_its_time(site: Site, told: bool, heard: list[str]) -> None:
    wallet = Wallet()
    key = await site.listen_key(wallet)
    async with site.listener(f"/ws/{key}") as one:
        assert await site.administer("POST", "streams/kill-key", account=wallet.address, told=told) == {
            "account": wallet.address
        }
        await site.order(wallet, "BUY", quantity="0.010")

        assert [json.loads(text)["e"] for text in await one.everything_so_far()] == heard
    assert (await site.ask("PUT", "listenKey", wallet))["code"] == -1125
    assert await site.listen_key(wallet) != key


async def test_only_one_account_s_events_can_be_struck(site: Site) -> None:
    mine, other = Wallet(), Wallet("22" * 32)
    keys = [await site.listen_key(mine), await site.listen_key(other)]
    await site.administer("POST", "stream-faults", kind="silence", count=None, on=mine.address)
    async with site.listener(f"/stream?streams={'/'.join(keys)}") as one:
        await site.order(mine, "BUY", quantity="0.010")
        await site.order(other, "BUY", quantity="0.010")

        assert {json.loads(text)["stream"] for text in await one.everything_so_far()} == {keys[1]}


@pytest.mark.parametrize(
    ("name", "fields", "problem"),
    [
        ("stream-faults", {"kind": "gremlins"}, "unknown kind of stream fault: 'gremlins'"),
        ("stream-faults", {}, '"kind" must be a text'),
        ("stream-faults", {"kind": "silence", "count": 0}, "the count must be a positive number"),
        ("stream-faults", {"kind": "silence", "count": "all"}, '"count" must be a number, or null for ever'),
        ("stream-faults", {"kind": "silence", "probability": 2}, "the probability must be more than 0 and at most 1"),
        ("stream-faults", {"kind": "silence", "seed": "x"}, '"probability" and "seed" must be numbers'),
        ("streams/kill-key", {"account": "nobody"}, "account 'nobody' has no listen key"),
        ("streams/kill-key", {"account": "nobody", "told": 1}, '"told" must be true or false'),
        ("streams/disconnect", {"on": 7}, '"on" must be a text'),
    ],
)
async def test_what_makes_no_sense_is_said(site: Site, name: str, fields: dict[str, Any], problem: str) -> None:
    assert await site.administer("POST", name, **fields) == {"error": problem}
