"""The market over real WebSockets: prices of an exchange whose market moves, candles as they are stored."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from api.live import market
from emulators import aster
from shared.db.unit_of_work import Database
from shared.domain.market import Series, Timeframe
from tests.api.conftest import Serve, serving
from tests.api.listening import Ear, listening
from tests.db.samples import TICK, a_candle, open_accounts

STREAM = "/ws/market-data"
BITCOIN, ETHER = Series("BTCUSDT", Timeframe.M5), Series("ETHUSDT", Timeframe.M5)
STEP = timedelta(minutes=5)


@pytest.fixture
def moving() -> Iterator[tuple[str, ExitStack]]:
    """An exchange whose market moves sixty times as fast as life, and what ends it."""
    with ExitStack() as stack:
        venue = aster.Venue(aster.synthetic_market(symbols=("BTCUSDT", "ETHUSDT")))
        app = aster.create_app(venue, speed=60, settings=aster.Settings(weight_limit=10**9))
        yield stack.enter_context(serving(app)), stack


async def store(database: Database, *numbers: int, series: Series = BITCOIN) -> None:
    async with database.open_work() as work:
        await work.candles.save({series: [a_candle(TICK + number * STEP) for number in numbers]})


async def closed(ear: Ear, count: int) -> list[dict[str, Any]]:
    """Return the next candles that have closed, whatever comes between."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = await ear.next()
        if message["type"] == "candle" and message["closed"]:
            found.append(message)
    return found


async def whether_live(ear: Ear, wanted: bool) -> dict[str, Any]:
    while (message := await ear.next())["type"] != "live" or message["live"] is not wanted:
        pass
    return message


async def test_prices_and_forming_candles_come_live(
    serve: Serve, moving: tuple[str, ExitStack], database: Database
) -> None:
    await open_accounts(database)
    async with listening(serve(asterdex_base_url=moving[0]), f"{STREAM}?symbol=BTCUSDT&timeframe=5m") as ear:
        await ear.first("snapshot")
        await whether_live(ear, True)
        seen = [await ear.next() for _ in range(6)]

    prices = [message for message in seen if message["type"] == "price"]
    forming = [message for message in seen if message["type"] == "candle"]
    assert {message["symbol"] for message in seen} == {"BTCUSDT"}
    assert float(prices[0]["mark"]) > 0
    assert "cursor" not in prices[0]
    assert [candle["closed"] for candle in forming] == [False] * len(forming)
    assert forming


async def test_a_stream_says_when_prices_are_not_live_any_more(
    serve: Serve, moving: tuple[str, ExitStack], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market, "QUIET_SECONDS", 0.5)
    await open_accounts(database)
    async with listening(serve(asterdex_base_url=moving[0]), STREAM) as ear:
        await whether_live(ear, True)
        moving[1].close()
        assert "market stream" in (await whether_live(ear, False))["detail"]


async def test_without_streams_prices_are_said_not_to_be_live(serve: Serve, database: Database) -> None:
    await open_accounts(database)
    async with listening(serve(streams=False), STREAM) as ear:
        await ear.first("snapshot")
        said = await ear.first("live")

    assert said["live"] is False
    assert "STREAMS" in said["detail"]


async def test_candles_are_told_as_they_are_stored_and_from_where_a_listener_left_off(
    serve: Serve, database: Database
) -> None:
    await open_accounts(database)
    await store(database, 0, 1)
    path = f"{STREAM}?timeframe=5m"
    url = serve()
    async with listening(url, path) as ear:
        snapshot = await ear.first("snapshot")
        await store(database, 2)
        await store(database, 2, series=ETHER)
        told = await closed(ear, 2)
    await store(database, 3, 4)

    assert [candle["opened"] for candle in snapshot["candles"]] == [(TICK + n * STEP).isoformat() for n in (0, 1)]
    assert {(candle["symbol"], candle["opened"]) for candle in told} == {
        (symbol, (TICK + 2 * STEP).isoformat()) for symbol in ("BTCUSDT", "ETHUSDT")
    }
    assert (told[0]["close"], told[0]["timeframe"]) == ("64000.1", "5m")

    async with listening(url, f"{path}&cursor={told[-1]['cursor']}") as ear:
        await ear.first("resumed")
        assert [candle["opened"] for candle in await closed(ear, 2)] == [(TICK + n * STEP).isoformat() for n in (3, 4)]
        await store(database, 5)
        [last] = await closed(ear, 1)
        assert last["opened"] == (TICK + 5 * STEP).isoformat()


async def test_who_missed_too_many_candles_begins_anew(
    serve: Serve, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market, "MOST_CANDLES", 3)
    await open_accounts(database)
    await store(database, 0)
    path = f"{STREAM}?symbol=BTCUSDT&timeframe=5m"
    url = serve()
    async with listening(url, path) as ear:
        cursor = (await ear.first("snapshot"))["cursor"]
    await store(database, 1, 2, 3, 4)

    async with listening(url, f"{path}&cursor={cursor}") as ear:
        snapshot = await ear.first("snapshot")
    assert snapshot["reason"] == "cursor_too_old"


async def test_a_listener_of_one_account_hears_of_what_that_account_trades(serve: Serve, database: Database) -> None:
    await open_accounts(database)
    async with listening(serve(), f"{STREAM}?account=main&timeframe=5m&symbol=btcusdt") as ear:
        await ear.first("snapshot")
        await store(database, 0, series=ETHER)
        await store(database, 0)
        [candle] = await closed(ear, 1)
    assert candle["symbol"] == "BTCUSDT"


@pytest.mark.parametrize(
    ("query", "code", "closes"),
    [
        ("symbol=DOGEUSDT", "unknown_symbol", 4404),
        ("timeframe=7m", "bad_parameter", 4400),
        ("timeframe=5m&cursor=seven", "bad_parameter", 4400),
    ],
)
async def test_what_cannot_be_asked_of_the_market_is_refused(
    serve: Serve, database: Database, query: str, code: str, closes: int
) -> None:
    await open_accounts(database)
    async with listening(serve(), f"{STREAM}?{query}") as ear:
        error, closed_with, _ = await ear.end()

    assert (error["code"], closed_with) == (code, closes)


async def test_a_market_that_says_nothing_new_pings(serve: Serve, database: Database) -> None:
    await open_accounts(database)
    async with listening(serve(), f"{STREAM}?timeframe=5m&heartbeat=1") as ear:
        cursor = (await ear.first("snapshot"))["cursor"]
        while (ping := await ear.next())["type"] != "ping":
            pass
    assert ping["cursor"] == cursor
