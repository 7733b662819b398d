"""What befalls an account, over real sockets: each trade once, nothing backwards, and a word after every gap."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.errors import NotAuthorised, VenueUnreachable
from shared.domain.news import AccountUpdate, Gap, OrderUpdate
from shared.domain.order import Fill, OrderState
from shared.exchange.fields import milliseconds
from shared.exchange.listen_keys import ListenKeys
from shared.exchange.user_stream import UserStream
from tests.exchange.streams import NOW, Heard, Hours, Streams, eventually, running
from tests.exchange.test_stream_reading import ACCOUNT, ORDER, ORDER_UPDATE

SECOND = timedelta(seconds=1)


class Keys(ListenKeys):
    """Gives listen keys, `key-1` first; one that died is followed by another."""

    def __init__(self) -> None:
        self.number = 1
        self.kept = 0
        self.answers: list[bool | Exception] = []
        """What the next keepings come to."""

    async def make(self) -> str:
        return f"key-{self.number}"

    async def keep(self) -> bool:
        self.kept += 1
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def keys() -> Keys:
    return Keys()


def a_stream(streams: Streams, keys: Keys, hours: Hours, **changes: Any) -> UserStream:
    return UserStream("main", streams.url, keys, hours, sleep=hours.sleep, **changes)


def an_order(at: datetime, *, trade: int = 0, filled: str = "0", state: str = "NEW", number: int = 1) -> dict[str, Any]:
    fields = {"x": "TRADE" if trade else "NEW", "X": state, "i": number, "z": filled, "t": trade}
    fields |= {"l": "0.001" if trade else "0", "T": milliseconds(at), "c": f"pp-{number}"}
    return ORDER_UPDATE | {"E": milliseconds(at), "o": ORDER | fields}


async def test_the_account_is_heard_by_its_key_after_a_word_that_listening_begins(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        await streams.say(an_order(NOW, trade=1, filled="0.001", state="PARTIALLY_FILLED"))
        await heard.next(OrderUpdate)

    assert streams.paths == ["/ws/key-1"]
    assert [type(news) for news in heard.all] == [Gap, Fill, OrderUpdate]
    assert heard.all[0].since is None


async def test_a_trade_told_twice_or_late_is_told_once_and_an_order_never_goes_back(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    rests = an_order(NOW)
    half = an_order(NOW + SECOND, trade=1, filled="0.001", state="PARTIALLY_FILLED")
    whole = an_order(NOW + 2 * SECOND, trade=2, filled="0.002", state="FILLED")
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        for event in (whole, half, rests, half, whole, rests):
            await streams.say(event)
        await streams.say(an_order(NOW, number=2))
        await heard.next(OrderUpdate, 2)

    assert [fill.trade_id for fill in heard.of(Fill)] == [2, 1]
    assert [(told.order.venue_order_id, told.order.state) for told in heard.of(OrderUpdate)] == [
        (1, OrderState.FILLED),
        (2, OrderState.NEW),
    ]


async def test_of_two_events_of_one_moment_the_end_of_an_order_wins(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        await streams.say(an_order(NOW, state="CANCELED"))
        await streams.say(an_order(NOW, state="NEW"))
        await streams.say(an_order(NOW, number=2))
        await heard.next(OrderUpdate, 2)

    assert heard.of(OrderUpdate)[0].order.state is OrderState.CANCELED


async def test_a_balance_that_was_overtaken_is_left_out(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    late = {"a": {"m": "ORDER", "B": [{"a": "USDT", "wb": "1"}], "P": [{"s": "ETHUSDT", "pa": "2", "ps": "BOTH"}]}}
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        await streams.say(ACCOUNT)
        await streams.say(ACCOUNT | {"E": ACCOUNT["E"] - 1} | late)
        told = await heard.next(AccountUpdate, 2)

    assert (told.wallets, told.sizes) == ({}, {("ETHUSDT", "BOTH"): Decimal(2)})


async def test_an_event_that_cannot_be_read_is_a_gap(streams: Streams, keys: Keys, hours: Hours, heard: Heard) -> None:
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        await streams.say(ORDER_UPDATE | {"o": ORDER | {"ot": "LIQUIDATION"}})
        gap = await heard.next(Gap, 2)

    assert "LIQUIDATION" in gap.why


async def test_a_broken_connection_is_a_gap_since_the_last_that_was_heard(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        hours.passes(timedelta(minutes=1))
        await streams.say(an_order(NOW))
        await heard.next(OrderUpdate)
        hours.passes(timedelta(minutes=1))
        streams.cut()
        gap = await heard.next(Gap, 2)

    assert gap.since == NOW + timedelta(minutes=1)


async def test_the_silence_of_an_open_connection_is_a_gap(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, keys, hours, most_silent=0.2), heard):
        gap = await heard.next(Gap, 2)

    assert "nothing heard" in gap.why


async def test_a_connection_is_replaced_before_the_day_is_over_without_a_gap(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        await eventually(hours, lambda: "closed" in streams.history, timedelta(hours=1))
        await streams.say(an_order(NOW))
        await heard.next(OrderUpdate)

    assert streams.history[:2] == ["opened", "opened"]
    assert len(heard.of(Gap)) == 1


async def test_the_key_is_kept_twice_an_hour_of_the_exchange_s_time(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        began = hours.now()
        await eventually(hours, lambda: keys.kept == 4)

    assert timedelta(hours=2) <= hours.now() - began < timedelta(hours=2, minutes=5)


async def test_a_key_that_could_not_be_kept_is_kept_again_soon(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    keys.answers = [VenueUnreachable("as told"), VenueUnreachable("as told")]
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        began = hours.now()
        await eventually(hours, lambda: keys.kept == 3)

    assert hours.now() - began < timedelta(minutes=40)
    assert len(heard.of(Gap)) == 1


async def test_a_dead_key_is_followed_by_a_new_one(streams: Streams, keys: Keys, hours: Hours, heard: Heard) -> None:
    keys.answers = [False]
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        keys.number = 2
        await eventually(hours, lambda: len(heard.of(Gap)) == 2)

    assert heard.of(Gap)[1].why == "the listen key is dead"
    assert streams.paths == ["/ws/key-1", "/ws/key-2"]


async def test_an_expired_key_is_followed_by_a_new_one(
    streams: Streams, keys: Keys, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, keys, hours), heard):
        await heard.next(Gap)
        keys.number = 2
        await streams.say({"e": "listenKeyExpired", "E": milliseconds(NOW)})
        gap = await heard.next(Gap, 2)

    assert gap.why == "the listen key has expired"
    assert streams.paths == ["/ws/key-1", "/ws/key-2"]


async def test_an_account_that_gets_no_key_has_no_stream_until_it_does(
    streams: Streams, hours: Hours, heard: Heard
) -> None:
    class Refusing(Keys):
        refusals = 3

        async def make(self) -> str:
            self.refusals -= 1
            if self.refusals >= 0:
                raise NotAuthorised("as told")
            return await super().make()

    async with running(a_stream(streams, Refusing(), hours), heard):
        await eventually(hours, lambda: heard.of(Gap))

    assert streams.paths == ["/ws/key-1"]


@pytest.mark.parametrize("seed", range(5))
async def test_with_whatever_faults_no_trade_is_missed_and_none_is_counted_twice(
    seed: int, streams: Streams, keys: Keys, hours: Hours
) -> None:
    """Events are lost, doubled and reordered, connections break and keys die; after a gap the truth is asked for."""
    dice = random.Random(seed)
    happened: list[int] = []
    known: list[int] = []

    class Account(Heard):
        def __call__(self, news: Any) -> None:
            if isinstance(news, Gap):  # what reconcile does: it asks for the trades it does not know
                known.extend(trade for trade in happened if trade not in known)
            elif isinstance(news, Fill) and news.trade_id not in known:
                known.append(news.trade_id)
            super().__call__(news)

    async def trades(count: int) -> list[dict[str, Any]]:
        first = len(happened) + 1
        happened.extend(range(first, first + count))
        at = NOW + len(happened) * SECOND
        return [an_order(at, trade=trade, filled="0.001", state="FILLED", number=trade) for trade in happened[-count:]]

    account = Account()
    async with running(a_stream(streams, keys, hours), account):
        for _ in range(30):
            await eventually(hours, lambda: streams.open)
            events = await trades(dice.randint(1, 4))
            events += dice.sample(events, k=dice.randint(0, len(events)))
            dice.shuffle(events)
            fault = dice.random()
            if fault < 0.3:  # the rest of it is never told
                for event in events[: len(events) // 2]:
                    await streams.say(event)
                streams.cut()
                await streams.until(lambda: not streams.open)
            elif fault < 0.5:
                keys.number += 1
                await streams.say({"e": "listenKeyExpired", "E": 1})
                await streams.until(lambda: not streams.open)
            else:
                for event in events:
                    await streams.say(event)
        gaps = len(account.of(Gap))
        streams.cut()
        await eventually(hours, lambda: len(account.of(Gap)) > gaps)

    assert sorted(known) == happened
    told = [fill.trade_id for fill in account.of(Fill)]
    assert len(told) == len(set(told))
