"""The path through candles, timeframes, and candles as they are served."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from emulators.aster.errors import Refusal
from emulators.aster.prices.intervals import SPANS, bar_ends, bar_of, bar_starts
from emulators.aster.prices.market import first_time
from tests.emulators.aster.traders import MINUTE, T0, flat, market_of


async def klines(market: Any, interval: str, now: int, **asked: Any) -> list[Any]:
    asked = {"start": None, "end": None, "limit": 500, "kind": "last", **asked}
    return json.loads(await market.klines("BTCUSDT", interval, now=now, **asked))


def test_a_rising_candle_visits_its_low_first_and_closes_in_its_last_millisecond() -> None:
    market = market_of((100, 110, 90, 105))

    prices = [market.price("BTCUSDT", T0 + at) for at in (0, 18_000, 42_000, 59_999)]

    assert prices == [1000, 900, 1100, 1050]


def test_a_falling_candle_visits_its_high_first() -> None:
    market = market_of((100, 110, 90, 95))

    prices = [market.price("BTCUSDT", T0 + at) for at in (0, 18_000, 42_000, 59_999)]

    assert prices == [1000, 1100, 900, 950]


def test_the_path_is_straight_between_its_corners_and_shows_a_tick_only_once_it_is_reached() -> None:
    market = market_of((100, 110, 90, 105))

    assert market.price("BTCUSDT", T0 + 9_000) == 950
    assert market.price("BTCUSDT", T0 + 179) == 1000
    assert market.price("BTCUSDT", T0 + 180) == 999
    assert market.price("BTCUSDT", T0 + 18_119) == 900
    assert market.price("BTCUSDT", T0 + 18_120) == 901


def test_the_extremes_of_a_stretch_are_those_of_every_millisecond_in_it() -> None:
    market = market_of((100, 103, 99, 101), (104, 105, 101, 102), (102, 102.5, 97, 98), (98, 98, 98, 98))
    candles = market.candles("BTCUSDT", T0)
    dice = np.random.default_rng(1)

    for begin in dice.integers(0, 4 * MINUTE - 1000, 100).tolist():
        end = begin + int(dice.integers(0, 1000))
        part = [candles.price(T0 + at) for at in range(begin, end + 1)]
        assert candles.extremes(T0 + begin - 1, T0 + end) == (min(part), max(part))


def test_the_first_time_of_something_is_found_to_the_millisecond() -> None:
    market = market_of(*flat(100, 5000), (100, 110, 90, 105), *flat(105, 5000))
    candles = market.candles("BTCUSDT", T0)

    found = first_time(lambda after, until: candles.extremes(after, until)[0] <= 950, T0, T0 + 10_001 * MINUTE)

    assert found == T0 + 5000 * MINUTE + 9_000
    assert first_time(lambda after, until: candles.extremes(after, until)[0] <= 899, T0, T0 + 10_001 * MINUTE) is None


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        ("5m", "2025-05-07T13:35", "2025-05-07T13:40"),
        ("4h", "2025-05-07T12:00", "2025-05-07T16:00"),
        ("1d", "2025-05-07T00:00", "2025-05-08T00:00"),
        ("1w", "2025-05-05T00:00", "2025-05-12T00:00"),  # weeks begin on Monday
        ("1M", "2025-05-01T00:00", "2025-06-01T00:00"),
    ],
)
def test_bars_begin_where_the_exchange_begins_them(interval: str, start: str, end: str) -> None:
    def ms(iso: str) -> int:
        return int(datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp() * 1000)

    time = ms("2025-05-07T13:37")

    assert bar_of(time, interval) == (ms(start), ms(end))
    starts = bar_starts(np.array([time]), interval)
    assert (int(starts[0]), int(bar_ends(starts, interval)[0])) == (ms(start), ms(end))


async def test_served_candles_are_exact_decimals_of_twelve_fields() -> None:
    market = market_of((100.1, 110.5, 90.2, 105.3), *flat(105.3, 1))

    row = (await klines(market, "1m", T0 + MINUTE))[-2]

    assert row == [
        T0, "100.1", "110.5", "90.2", "105.3", "10.000", T0 + 59_999, "1015.2500", 60, "6.000", "609.1500", "0",
    ]  # fmt: skip


async def test_a_longer_bar_is_made_of_the_shorter_ones() -> None:
    market = market_of((100, 101, 99, 100), (100, 107, 100, 106), (106, 106, 95, 96), (96, 97, 96, 97), *flat(97, 4))

    bars = await klines(market, "5m", T0 + 6 * MINUTE, limit=2)

    assert [bar[1:6] for bar in bars] == [
        ["100.0", "107.0", "95.0", "97.0", "50.000"],
        ["97.0", "97.0", "97.0", "97.0", "10.000"],
    ]


async def test_nobody_is_shown_the_future() -> None:
    """The running bar of every timeframe knows only the path so far."""
    market = market_of((100, 110, 90, 105), *flat(200, 100))

    for interval in SPANS:
        running = (await klines(market, interval, T0 + 18_000, limit=1))[0]
        assert running[3:5] == ["90.0", "90.0"], interval
        assert float(running[2]) == 100, interval


async def test_the_running_bar_has_the_share_of_the_volume_that_has_passed() -> None:
    running = (await klines(market_of(*flat(100, 3)), "1m", T0 + 15_000))[-1]

    assert running[5] == "2.500"


async def test_a_start_time_gives_the_first_candles_and_an_end_time_the_last() -> None:
    market = market_of(*flat(100, 60))
    now = T0 + 60 * MINUTE

    from_start = await klines(market, "1m", now, start=T0 + 1, limit=3)
    to_end = await klines(market, "1m", now, end=T0 + 10 * MINUTE, limit=3)
    between = await klines(market, "1m", now, start=T0, end=T0 + MINUTE)

    assert [row[0] for row in from_start] == [T0 + MINUTE, T0 + 2 * MINUTE, T0 + 3 * MINUTE]
    assert [row[0] for row in to_end] == [T0 + 8 * MINUTE, T0 + 9 * MINUTE, T0 + 10 * MINUTE]
    assert [row[0] for row in between] == [T0, T0 + MINUTE]


async def test_candles_finer_than_the_recording_are_refused() -> None:
    with pytest.raises(Refusal, match="finest candles are 1h"):
        await klines(market_of(*flat(100, 3), base="1h"), "5m", T0 + 1)
