"""
Market streams, as their listeners get them.

`pushes.json` beside this file holds example pushes of the exchange's documentation, as JKorf/Aster.Net (MIT licence,
commit e1c9116fd89ca9c08eac50ba2f4ab3a450ee992b) keeps them for its own tests.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulators.aster import RecordedMarket, Venue, synthetic_market
from emulators.aster.streams import streams
from emulators.aster.streams.market_streams import Bars
from tests.emulators.aster.sockets import Listener, serving
from tests.emulators.aster.traders import MINUTE, T0, flat, market_of

PUSHES = {
    example["name"]: example["data"] for example in json.loads((Path(__file__).parent / "pushes.json").read_text())
}
SECOND = 1000
HOUR = 60 * MINUTE
LASTING = {"socket_lifetime_ms": 365 * 24 * HOUR}


def shape(value: Any) -> Any:
    """Return a payload with every value replaced by its kind; of a list, the first element's."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.fixture(autouse=True)
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the listeners of these tests ask more often than ten times a second whether that was all."""
    monkeypatch.setattr(streams, "MESSAGES_A_SECOND", 10_000)


def eventful() -> Venue:
    return Venue(synthetic_market(seed=7, symbols=("BTCUSDT", "ETHUSDT", "XRPUSDT")))


async def stepped(listener: Listener, venue: Venue, by: int) -> list[Any]:
    """Move the market and return what was said about it."""
    venue.advance(venue.now + by)
    return [json.loads(text) for text in await listener.everything_so_far()]


@pytest.mark.parametrize(
    ("stream", "example"),
    [
        ("btcusdt@aggTrade", "Trades"),
        ("btcusdt@markPrice", "MarkPrice"),
        ("btcusdt@markPrice@1s", "MarkPrice"),
        ("btcusdt@kline_1m", "Klines"),
        ("btcusdt@kline_1M", "Klines"),
        ("btcusdt@miniTicker", "MiniTicker"),
        ("btcusdt@ticker", "Ticker"),
        ("btcusdt@bookTicker", "BookTicker"),
        ("!bookTicker", "BookTicker"),
        ("btcusdt@depth5", "OrderBook"),
        ("btcusdt@depth10@500ms", "OrderBook"),
        ("btcusdt@depth20@100ms", "OrderBook"),
        ("btcusdt@depth", "OrderBook"),
        ("btcusdt@depth@100ms", "OrderBook"),
        ("btcusdt@depth@500ms", "OrderBook"),
    ],
)
async def test_every_stream_says_what_the_exchange_says_in_the_same_letters(stream: str, example: str) -> None:
    venue = eventful()
    async with serving(venue) as site, site.listener(f"/ws/{stream}") as one:
        first, *_ = await stepped(one, venue, 3 * SECOND)

    assert shape(first) == shape(PUSHES[example])
    assert first["e"] == PUSHES[example]["e"]


@pytest.mark.parametrize(
    ("stream", "example"),
    [
        ("!markPrice@arr", "MarkPrice"),
        ("!markPrice@arr@1s", "MarkPrice"),
        ("!miniTicker@arr", "MiniTicker"),
        ("!ticker@arr", "Ticker"),
    ],
)
async def test_streams_of_all_symbols_are_lists(stream: str, example: str) -> None:
    venue = eventful()
    async with serving(venue) as site, site.listener(f"/ws/{stream}") as one:
        (everything,) = await stepped(one, venue, 3 * SECOND)

    assert shape(everything) == [shape(PUSHES[example])]
    assert [row["s"] for row in everything] == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]


async def test_streams_keep_their_rhythm() -> None:
    venue = eventful()
    rhythms = {
        "btcusdt@markPrice": 3000,
        "btcusdt@markPrice@1s": 1000,
        "btcusdt@kline_5m": 250,
        "btcusdt@ticker": 500,
        "!miniTicker@arr": 1000,
        "btcusdt@depth5": 250,
        "btcusdt@depth10@500ms": 500,
        "btcusdt@depth20@100ms": 100,
    }
    times: dict[str, list[int]] = {name: [] for name in rhythms}
    begun = venue.now
    async with serving(venue) as site, site.listener(f"/stream?streams={'/'.join(rhythms)}") as one:
        while venue.now < begun + 20 * SECOND:
            for event in await stepped(one, venue, 43 + venue.now % 7):
                data = event["data"][0] if isinstance(event["data"], list) else event["data"]
                times[event["stream"]].append(data["E"])

    for name, period in rhythms.items():
        assert all(at % period == 0 for at in times[name])
        gaps = {later - earlier for earlier, later in zip(times[name], times[name][1:], strict=False)}
        assert gaps <= {period}, name


async def test_a_bar_is_told_once_more_when_it_is_complete_and_is_then_what_rest_says() -> None:
    venue = eventful()
    async with serving(venue) as site, site.listener("/ws/btcusdt@kline_1m") as one:
        begun = venue.now
        said = await stepped(one, venue, 3 * MINUTE + 30 * SECOND)
        rows = await site.ask("GET", "klines", symbol="BTCUSDT", interval="1m", startTime=begun)

    assert [(event["k"]["x"], event["E"] - begun) for event in said] == [
        (True, MINUTE),
        (True, 2 * MINUTE),
        (True, 3 * MINUTE),
        (False, 3 * MINUTE + 30 * SECOND),
    ]
    told = [
        [bar["t"], bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], bar["T"], bar["q"], bar["n"], bar["V"], bar["Q"]]
        for bar in (event["k"] for event in said)
    ]
    assert told == [row[:11] for row in rows]


async def test_a_bar_that_was_complete_before_is_not_told_of() -> None:
    venue = eventful()
    venue.advance(venue.now + MINUTE)
    async with serving(venue) as site, site.listener("/ws/btcusdt@kline_1m") as one:
        said = await stepped(one, venue, SECOND)

    assert [(event["k"]["x"], event["k"]["t"]) for event in said] == [(False, venue.now - SECOND)]


class LaggingMarket(RecordedMarket):
    """A market whose candles come in from elsewhere, a second and a half late."""

    real_time = True

    async def klines(self, symbol: str, interval: str, *, now: int, **options: Any) -> bytes:
        return await super().klines(symbol, interval, now=now - 1500, **options)


async def test_a_bar_that_comes_in_late_is_complete_once_the_next_one_is_seen() -> None:
    rows = [(50_000, 50_100, 49_900, 50_050), (50_050, 50_200, 50_000, 50_150), *flat(50_150, 3)]
    recorded = market_of(*rows)
    market = LaggingMarket(
        recorded.instruments, {"BTCUSDT": recorded.candles("BTCUSDT", T0)}, {"BTCUSDT": {}}, base="1m", start=T0
    )
    bars = Bars(Venue(market), market.instruments["BTCUSDT"], "1m", T0)
    said = [event for at in range(T0, T0 + 3 * MINUTE, 250) for _, event in await bars.events(at)]

    complete = [event for event in said if event["k"]["x"]]
    assert [event["k"]["t"] - T0 for event in complete] == [0, MINUTE]
    assert [event["k"]["c"] for event in complete] == ["50050.0", "50150.0"]
    assert not any(event["k"]["t"] == T0 for event in said[said.index(complete[0]) + 1 :])


async def test_trades_add_up_to_the_bar_they_belong_to() -> None:
    venue = eventful()
    async with serving(venue) as site, site.listener("/ws/btcusdt@kline_1m/btcusdt@aggTrade") as one:
        said = await stepped(one, venue, MINUTE)

    *trades, bar, next_bar = said
    assert (bar["k"]["x"], next_bar["k"]["x"]) == (True, False)
    assert sum(Decimal(trade["q"]) for trade in trades) == Decimal(bar["k"]["v"])
    assert (trades[0]["f"], trades[-1]["l"]) == (bar["k"]["f"], bar["k"]["L"])
    assert trades[-1]["p"] == bar["k"]["c"]
    assert [trade["a"] for trade in trades] == list(range(trades[0]["a"], trades[0]["a"] + 60))


async def test_tickers_say_what_rest_says() -> None:
    venue = eventful()
    async with serving(venue) as site, site.listener("/ws/ethusdt@ticker/ethusdt@bookTicker") as one:
        book, day = await stepped(one, venue, 500)
        rest = await site.ask("GET", "ticker/24hr", symbol="ETHUSDT")
        best = await site.ask("GET", "ticker/bookTicker", symbol="ETHUSDT")

    if book["e"] != "bookTicker":
        book, day = day, book
    assert (day["c"], day["o"], day["h"], day["l"]) == tuple(
        rest[name] for name in ("lastPrice", "openPrice", "highPrice", "lowPrice")
    )
    assert (day["v"], day["q"], day["P"], day["n"]) == tuple(
        rest[name] for name in ("volume", "quoteVolume", "priceChangePercent", "count")
    )
    assert (book["b"], book["B"], book["a"], book["A"]) == tuple(
        best[name] for name in ("bidPrice", "bidQty", "askPrice", "askQty")
    )


async def test_the_best_prices_are_told_only_when_they_change() -> None:
    venue = Venue(market_of(*flat(50_000, 10), (51_000,) * 4))
    async with serving(venue) as site, site.listener("/ws/btcusdt@bookTicker") as one:
        assert [event["b"] for event in await stepped(one, venue, SECOND)] == ["50000.0"]
        assert await stepped(one, venue, 5 * MINUTE) == []
        assert [event["b"] for event in await stepped(one, venue, 5 * MINUTE)] == ["51000.0"]


class LocalBook:
    """A book kept as the exchange's documentation says: from a snapshot, by the diffs after it."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.update: int = snapshot["lastUpdateId"]
        self.bids = {Decimal(price): Decimal(size) for price, size in snapshot["bids"]}
        self.asks = {Decimal(price): Decimal(size) for price, size in snapshot["asks"]}
        self._before: int | None = None

    def apply(self, event: dict[str, Any]) -> None:
        if self._before is None:
            if event["u"] < self.update:
                return
            assert event["U"] <= self.update <= event["u"]
        else:
            assert event["pu"] == self._before
        self._before = event["u"]
        for side, changes in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, size in changes:
                if Decimal(size):
                    side[Decimal(price)] = Decimal(size)
                else:
                    side.pop(Decimal(price), None)

    def shown(self) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())


@pytest.mark.parametrize("pace", ["@100ms", "", "@500ms"])
async def test_a_book_kept_by_the_diffs_is_the_book_that_rest_shows(pace: str) -> None:
    venue = eventful()
    # Steps that fall between the updates, a crash of thousands of levels, and moves there and back.
    steps = [70, 130, 90, 333, 77, 1000, 10, 20, 30, 40, 5000, HOUR, 120, 24 * HOUR, 60, 990, MINUTE, 410, 500, 1000]
    async with serving(venue, **LASTING) as site, site.listener(f"/ws/btcusdt@depth{pace}") as one:
        buffered = await stepped(one, venue, 610)
        book = LocalBook(await site.ask("GET", "depth", symbol="BTCUSDT", limit=1000))
        for event in buffered:
            book.apply(event)
        compared = 0
        for by in steps:
            for event in await stepped(one, venue, by):
                book.apply(event)
            if venue.now % 500 == 0:
                continue
            venue.advance(venue.now + 500 - venue.now % 500)
            for text in await one.everything_so_far():
                book.apply(json.loads(text))
            shown = LocalBook(await site.ask("GET", "depth", symbol="BTCUSDT", limit=1000))
            assert book.shown() == shown.shown()
            compared += 1

    assert compared > 10


async def test_a_book_kept_by_the_diffs_knows_what_orders_took_and_that_it_comes_back() -> None:
    venue = Venue(synthetic_market(seed=7, symbols=("BTCUSDT",)), balance=Decimal(100_000_000))
    account = venue.open_account("whale")
    # Small bites, one that empties several levels, some within one second and some in the next one.
    bites = [
        ("BUY", "0.010", 40),
        ("SELL", "8.000", 30),
        ("BUY", "7.000", 350),
        ("SELL", "0.500", 700),
        ("BUY", "3.000", 90),
    ]
    async with serving(venue) as site, site.listener("/ws/btcusdt@depth@100ms") as one:
        events = await stepped(one, venue, 120)
        book = LocalBook(await site.ask("GET", "depth", symbol="BTCUSDT", limit=1000))
        for side, quantity, wait in bites:
            venue.place(account, {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": quantity})
            events += await stepped(one, venue, wait)
            events += await stepped(one, venue, 100 - venue.now % 100)
            for event in events:
                book.apply(event)
            events.clear()
            shown = LocalBook(await site.ask("GET", "depth", symbol="BTCUSDT", limit=1000))
            assert book.shown() == shown.shown()


async def test_the_best_prices_are_told_when_an_order_took_from_them() -> None:
    venue = Venue(market_of(*flat(50_000, 10)))
    account = venue.open_account("someone")
    async with serving(venue) as site, site.listener("/ws/btcusdt@bookTicker/btcusdt@depth5@100ms") as one:
        whole, _ = await stepped(one, venue, 100)
        venue.place(account, {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.100"})
        less, shown = await stepped(one, venue, 100)
        best = await site.ask("GET", "ticker/bookTicker", symbol="BTCUSDT")
        again, *_ = await stepped(one, venue, 1000)

    assert Decimal(less["A"]) == Decimal(whole["A"]) - Decimal("0.100")
    assert (less["A"], less["B"]) == (best["askQty"], best["bidQty"])
    assert shown["a"][0] == [less["a"], less["A"]]
    assert (again["A"], again["B"]) == (whole["A"], whole["B"])


async def test_a_snapshot_taken_at_any_moment_can_be_continued() -> None:
    venue = eventful()
    async with serving(venue) as site, site.listener("/ws/btcusdt@depth") as one:
        books, events = [], []
        for by in (40, 70, 110, 30, 50, 90, 10, 100):
            events += await stepped(one, venue, by)
            books.append(LocalBook(await site.ask("GET", "depth", symbol="BTCUSDT", limit=1000)))
        events += await stepped(one, venue, 750 - venue.now % 250)
        now = LocalBook(await site.ask("GET", "depth", symbol="BTCUSDT", limit=1000)).shown()

    for book in books:
        for event in events:
            book.apply(event)
        assert book.shown() == now


async def test_however_long_a_step_what_is_said_of_it_is_bounded() -> None:
    venue = eventful()
    names = "btcusdt@aggTrade/btcusdt@kline_1m/btcusdt@depth@100ms/btcusdt@markPrice@1s/btcusdt@depth20"
    async with serving(venue, **LASTING) as site, site.listener(f"/stream?streams={names}") as one:
        said = await stepped(one, venue, 3 * 24 * HOUR)

    counted = {name: [each["data"] for each in said if each["stream"] == name] for name in names.split("/")}
    assert [len(events) for events in counted.values()] == [1000, 1000 + 1, 1, 1, 1]  # and the running bar
    assert counted["btcusdt@aggTrade"][-1]["T"] == venue.now - 1
    assert counted["btcusdt@kline_1m"][-1]["E"] == venue.now


async def test_everything_is_said_in_the_order_of_market_time() -> None:
    venue = eventful()
    async with serving(venue) as site, site.listener("/ws/btcusdt@markPrice/btcusdt@kline_1m/btcusdt@aggTrade") as one:
        times = [event["E"] for event in await stepped(one, venue, 10 * MINUTE)]

    assert times == sorted(times)


async def test_the_same_seed_and_the_same_steps_say_the_same_byte_for_byte() -> None:
    async def told() -> list[str]:
        venue = eventful()
        names = "btcusdt@aggTrade/!bookTicker/btcusdt@depth/!ticker@arr/!markPrice@arr/ethusdt@kline_5m/xrpusdt@depth5"
        texts: list[str] = []
        async with serving(venue) as site, site.listener(f"/stream?streams={names}") as one:
            for by in (100, 250, 999, 12_345, HOUR):
                venue.advance(venue.now + by)
                texts += await one.everything_so_far()
        return texts

    first = await told()
    assert first == await told()
    assert len(first) > 1000


async def test_a_running_market_speaks_by_itself() -> None:
    venue = eventful()
    async with serving(venue, speed=600) as site, site.listener("/ws/btcusdt@kline_1m") as one:
        while not (event := await one.next())["k"]["x"]:
            pass

    assert event["E"] == event["k"]["T"] + 1


async def test_a_symbol_that_is_not_listed_yet_says_nothing_until_it_is() -> None:
    venue = Venue(market_of(*flat(50_000, 60)))
    venue.engine.now = T0 - 48 * HOUR
    async with (
        serving(venue, **LASTING) as site,
        site.listener("/ws/btcusdt@ticker/btcusdt@kline_1m/btcusdt@depth/!ticker@arr") as one,
    ):
        assert await stepped(one, venue, HOUR) == []
        assert len(await stepped(one, venue, 47 * HOUR)) > 4


async def test_a_liquidation_is_told_to_everyone_at_the_end_of_its_second() -> None:
    venue = Venue(market_of(*flat(50_000, 2), (50_000, 50_000, 30_000, 30_000), *flat(30_000, 2)))
    account = venue.open_account("someone")
    venue.set_leverage(account, "BTCUSDT", 100)
    venue.place(account, {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1.000"})
    async with serving(venue) as site, site.listener("/stream?streams=btcusdt@forceOrder/!forceOrder@arr") as one:
        said = await stepped(one, venue, 5 * MINUTE)

    assert [event["stream"] for event in said] == ["btcusdt@forceOrder", "!forceOrder@arr"]
    assert shape(said[0]["data"]) == shape(PUSHES["Liquidation"])
    order = said[0]["data"]["o"]
    assert (order["S"], order["q"], order["X"], order["z"]) == ("SELL", "1.000", "FILLED", "1.000")
    assert said[0]["data"]["E"] % SECOND == 0
    assert 0 < said[0]["data"]["E"] - order["T"] <= SECOND
