"""The market as it moves, over real sockets: gaps are told and filled, and nothing is told twice or backwards."""

import asyncio
import logging
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.errors import VenueUnreachable
from shared.domain.instrument import Instrument
from shared.domain.market import Candle, Quote, Series, Timeframe
from shared.domain.news import BookTop, CandleUpdate, PublicTrade, Resynced
from shared.exchange.fields import milliseconds
from shared.exchange.market_stream import MarketStream
from tests.exchange.streams import NOW, Heard, Hours, Streams, eventually, running, serving
from tests.exchange.test_stream_reading import BAR, BOOK, KLINE, MARK, TRADE

M1 = Series("BTCUSDT", Timeframe.M1)
MINUTE = timedelta(minutes=1)


class Answers:
    """The market over HTTP: a quote of 7 for whatever is asked, and a candle for every minute."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self.out_of_order = 0
        """How many questions find nobody there."""
        self.open = asyncio.Event()
        """Answers are given when this is set."""
        self.open.set()

    async def instruments(self) -> Mapping[str, Instrument]:
        raise AssertionError("a stream needs no instruments")

    async def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        if self.out_of_order:
            self.out_of_order -= 1
            raise VenueUnreachable("as told")
        seven = Decimal(7)
        at = self._hours.now()
        await self.open.wait()
        return {
            symbol: Quote(
                symbol=symbol,
                mark_price=seven,
                index_price=seven,
                funding_rate=Decimal(0),
                next_funding_at=at,
                open_interest=None,
                at=at,
            )
            for symbol in symbols
        }

    async def candles(self, series: Series, *, since: datetime, until: datetime) -> Sequence[Candle]:
        count = (until - since) // MINUTE + 1
        one = Decimal(1)
        return [
            Candle(opened=since + n * MINUTE, open=one, high=one, low=one, close=one, volume=one) for n in range(count)
        ]


@pytest.fixture
def answers(hours: Hours) -> Answers:
    return Answers(hours)


def a_stream(streams: Streams, answers: Answers, hours: Hours, **wanted: Any) -> MarketStream:
    return MarketStream(streams.url, answers, hours, sleep=hours.sleep, **({"quotes": ["BTCUSDT"]} | wanted))


def a_mark(at: datetime, price: str = "65001.2", symbol: str = "BTCUSDT") -> dict[str, Any]:
    return MARK | {"s": symbol, "E": milliseconds(at), "p": price}


def a_bar(opened: datetime, *, closed: bool = True) -> dict[str, Any]:
    times = {"t": milliseconds(opened), "T": milliseconds(opened + MINUTE) - 1, "x": closed}
    return KLINE | {"E": milliseconds(opened + MINUTE), "k": BAR | times}


async def test_what_is_subscribed_to_is_heard_after_the_state_it_began_with(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    wanted = {"books": ["BTCUSDT"], "trades": ["BTCUSDT"], "candles": [M1]}
    async with running(a_stream(streams, answers, hours, **wanted), heard):
        first = await heard.next(Resynced)
        for event in (a_mark(NOW), BOOK, TRADE, a_bar(NOW, closed=False)):
            await streams.say({"stream": "any", "data": event})
        await heard.next(CandleUpdate)

    assert (first.since, first.quotes["BTCUSDT"].mark_price, first.candles) == (None, 7, {})
    assert [type(news) for news in heard.all] == [Resynced, Quote, BookTop, PublicTrade, CandleUpdate]
    assert streams.paths == ["/stream"]
    assert streams.commands[0]["params"] == [
        "btcusdt@markPrice@1s",
        "btcusdt@bookTicker",
        "btcusdt@aggTrade",
        "btcusdt@kline_1m",
    ]


async def test_after_a_broken_connection_the_quotes_and_the_candles_that_closed_unheard_are_told(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, answers, hours, candles=[M1]), heard):
        await heard.next(Resynced)
        await streams.say(a_bar(NOW))
        await heard.next(CandleUpdate)
        hours.passes(5 * MINUTE)
        streams.cut()
        again = await heard.next(Resynced, 2)

    assert again.since == NOW
    assert [candle.opened for candle in again.candles[M1]] == [NOW + n * MINUTE for n in range(1, 5)]
    assert again.quotes["BTCUSDT"].at == hours.now()


async def test_a_candle_that_never_came_is_asked_for(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, answers, hours, candles=[M1]), heard):
        await heard.next(Resynced)
        hours.passes(3 * MINUTE)
        await streams.say(a_bar(NOW))
        await streams.say(a_bar(NOW + 2 * MINUTE))
        missed = await heard.next(Resynced, 2)

    assert missed.candles[M1][0].opened == NOW + MINUTE


async def test_what_was_told_already_is_not_told_again_nor_is_anything_older(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, answers, hours, books=["BTCUSDT"], trades=["BTCUSDT"]), heard):
        await heard.next(Resynced)
        second = NOW + timedelta(seconds=1)
        for event in (a_mark(second), a_mark(second), a_mark(NOW), BOOK, BOOK, BOOK | {"u": 1}, TRADE, TRADE):
            await streams.say(event)
        await streams.say(a_mark(second + timedelta(seconds=1)))
        await heard.next(Quote, 2)

    assert [type(news) for news in heard.all] == [Resynced, Quote, BookTop, PublicTrade, Quote]


async def test_a_quote_asked_for_is_not_told_over_a_newer_one_that_was_heard(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    answers.open.clear()
    async with running(a_stream(streams, answers, hours, quotes=["BTCUSDT", "ETHUSDT"]), heard):
        await streams.until(lambda: "answered" in streams.history)
        await streams.say(a_mark(NOW + timedelta(hours=1)))
        await heard.next(Quote)
        answers.open.set()
        resynced = await heard.next(Resynced)

    assert list(resynced.quotes) == ["ETHUSDT"]


async def test_what_cannot_be_asked_for_at_once_is_asked_for_again_until_it_is_told(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    answers.out_of_order = 3
    async with running(a_stream(streams, answers, hours), heard):
        await streams.until(lambda: "answered" in streams.history)
        await eventually(hours, lambda: heard.all)

    assert [type(news) for news in heard.all] == [Resynced]


async def test_what_cannot_be_read_is_counted_and_passed_over(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(a_stream(streams, answers, hours), heard):
        await heard.next(Resynced)
        for frame in ("<html>", "[1", '{"e":"markPriceUpdate"}', "NaN"):
            await streams.say(frame)
        await streams.say(a_mark(NOW))
        await heard.next(Quote)

    [line] = [record for record in caplog.records if "cannot be read" in record.getMessage()]
    assert line.__dict__["count"] == 1


async def test_a_connection_that_grows_old_is_replaced_before_it_is_dropped_and_nothing_is_missed(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, answers, hours), heard):
        await heard.next(Resynced)
        await eventually(hours, lambda: "closed" in streams.history, timedelta(hours=1))
        await streams.say(a_mark(NOW))
        await heard.next(Quote)

    assert streams.history[:4] == ["opened", "answered", "opened", "answered"]
    assert [type(news) for news in heard.all] == [Resynced, Quote]


async def test_a_connection_that_is_open_and_dead_is_given_up(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    async with running(a_stream(streams, answers, hours, most_silent=0.2), heard):
        again = await heard.next(Resynced, 2)

    assert "nothing heard" in again.why


async def test_streams_are_subscribed_to_in_few_messages_and_split_over_connections(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard
) -> None:
    symbols = [f"C{number}USDT" for number in range(201)]
    async with running(a_stream(streams, answers, hours, quotes=symbols), heard):
        await heard.next(Resynced, 2)

    assert len(streams.paths) == 2
    assert sorted(len(command["params"]) for command in streams.commands) == [1, 50, 50, 50, 50]


async def test_an_exchange_without_streams_is_one_line_of_warning_and_asked_again_now_and_then(
    answers: Answers, hours: Hours, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stream = MarketStream(f"ws://127.0.0.1:{port}", answers, hours, quotes=["BTCUSDT"], sleep=hours.sleep)
    with caplog.at_level(logging.INFO):
        async with running(stream, heard):
            await eventually(hours, lambda: caplog.messages.count("no stream") == 4)
            async with serving(port):
                await eventually(hours, lambda: heard.all)

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == ["no stream"]
    assert "the stream is there again" in caplog.messages


async def test_a_refused_subscription_is_no_stream(
    streams: Streams, answers: Answers, hours: Hours, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    streams.refuses_commands = True
    async with running(a_stream(streams, answers, hours), heard):
        await streams.until(lambda: "closed" in streams.history)
        streams.refuses_commands = False
        await eventually(hours, lambda: heard.all)

    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "the command was refused" in warning.__dict__["why"]
