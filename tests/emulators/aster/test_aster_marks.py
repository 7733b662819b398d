"""Mark and index price beside the last traded one."""

from __future__ import annotations

from decimal import Decimal

from emulators.aster import Venue, synthetic_market
from emulators.aster.prices.live import LiveMarket
from emulators.aster.prices.symbols import instrument
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of


async def test_the_mark_price_lags_behind_and_its_wicks_are_half_as_long() -> None:
    market = market_of((50_000, 50_200, 49_000, 50_100), *flat(50_100, 2))

    assert market.mark("BTCUSDT", T0) == 500_000 * 10
    assert market.mark("BTCUSDT", T0 + 18_000) == 495_000 * 10  # halfway from the body to the low
    assert market.index("BTCUSDT", T0 + 18_000) == 500_000 * 10  # no wick at all
    assert market.mark("BTCUSDT", T0 + MINUTE - 1) == 500_900 * 10
    assert market.index("BTCUSDT", T0 + MINUTE - 1) == 500_800 * 10
    assert market.mark("BTCUSDT", T0 + MINUTE) == 500_900 * 10  # the next candle begins where this one ended
    assert market.mark("BTCUSDT", T0 + 3 * MINUTE) == market.index("BTCUSDT", T0 + 3 * MINUTE) == 501_000 * 10


async def test_a_gap_of_the_price_reaches_the_mark_price_only_as_the_path_goes_on() -> None:
    market = market_of((50_000,) * 4, (51_000,) * 4)

    assert market.price("BTCUSDT", T0 + MINUTE) == 510_000
    assert market.mark("BTCUSDT", T0 + MINUTE) == 500_000 * 10
    assert market.mark("BTCUSDT", T0 + MINUTE + 42_000) == 510_000 * 10


async def test_the_premium_index_shows_three_different_prices_while_the_market_moves() -> None:
    one = Trader(Venue(market_of((50_000, 50_200, 49_000, 50_100), *flat(50_100, 2))))
    one.venue.advance(T0 + MINUTE - 1)

    row = (await one.http.get("/fapi/v3/premiumIndex?symbol=BTCUSDT")).json()
    last = (await one.http.get("/fapi/v3/ticker/price?symbol=BTCUSDT")).json()["price"]

    assert (row["markPrice"], row["indexPrice"], last) == ("50090.00000000", "50080.00000000", "50100.0")


def test_extremes_of_the_mark_price_are_those_of_its_path() -> None:
    market = synthetic_market(seed=4, symbols=("BTCUSDT",))
    for begin in range(0, 50 * MINUTE, 7 * MINUTE + 13):
        after, until = market.start + begin, market.start + begin + 40_000
        path = [market.mark("BTCUSDT", at) for at in range(after + 1, until + 1, 1)]
        low, high = market.mark_extremes("BTCUSDT", after, until)
        assert (low, high) == (min(path), max(path))


def test_a_live_market_takes_mark_and_index_from_the_venue() -> None:
    market = LiveMarket("http://nowhere", {"BTCUSDT": instrument("BTCUSDT")})
    row = {"symbol": "BTCUSDT", "markPrice": "100.03", "indexPrice": "99.98", "lastFundingRate": "0.0001"}
    market.take_premiums([row, {**row, "symbol": "OTHERUSDT"}], T0)
    market.take_premiums([row | {"markPrice": "101.5"}], T0 + 1000)

    assert market.mark("BTCUSDT", T0 + 999) == 10_003
    assert market.index("BTCUSDT", T0 + 999) == 9_998
    assert market.mark_extremes("BTCUSDT", T0, T0 + 1000) == (10_003, 10_150)
    assert market.funding_rate("BTCUSDT", T0) == Decimal("0.0001")


async def test_symbols_settle_funding_every_eight_four_or_one_hours() -> None:
    one = Trader(Venue(synthetic_market(symbols=("BTCUSDT", "DOGEUSDT", "LINKUSDT"))))
    hour = 60 * MINUTE
    start = one.venue.now

    info = (await one.http.get("/fapi/v3/fundingInfo")).json()
    index = (await one.http.get("/fapi/v3/premiumIndex")).json()
    rates = (await one.http.get(f"/fapi/v3/fundingRate?symbol=LINKUSDT&startTime={start - 3 * hour}")).json()

    assert [row["fundingIntervalHours"] for row in info] == [8, 4, 1]
    assert [row["nextFundingTime"] - start for row in index] == [8 * hour, 4 * hour, hour]
    assert [row["fundingTime"] - start for row in rates] == [-3 * hour, -2 * hour, -hour, 0]
