"""The emulator as its users start it: a process of its own, over TCP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulators.aster import UnusableState, Venue, create_app, live_market, synthetic_market
from emulators.aster.__main__ import main
from emulators.aster.holdings.register import LINES, NONCES_KEPT, Register
from emulators.aster.prices.live import LiveMarket
from emulators.aster.prices.symbols import instrument
from tests.emulators.aster.traders import T0, Wallet

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "emulators.aster")


@asynccontextmanager
async def emulator(*options: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Start an emulator on a free port; give its URL and process, and stop it afterwards."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--port", "0", *options, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        assert "ready on http://127.0.0.1:" in line, line
        yield line.split("ready on ")[1].split()[0], process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def ask(http: httpx.AsyncClient, wallet: Wallet, method: str, name: str, **parameters: Any) -> Any:
    signed = wallet.signed(parameters, time.time_ns() // 1000)
    return (await http.request(method, f"/fapi/v3/{name}?{signed}")).json()


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    wallet, options = Wallet(), ("--state", str(tmp_path), "--speed", "60", "--symbols", "BTCUSDT,ETHUSDT")
    order = {"symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.100"}
    acknowledged = []
    async with emulator(*options) as (url, process), httpx.AsyncClient(base_url=url) as http:
        for _ in range(20):
            acknowledged.append((await ask(http, wallet, "POST", "order", **order))["orderId"])
        seen = (await http.get("/fapi/v1/time")).json()["serverTime"]
        books = (await http.get(f"/emulator/books?account={wallet.address}")).json()
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()

    async with emulator(*options) as (url, _), httpx.AsyncClient(base_url=url) as http:
        again = (await http.get(f"/emulator/books?account={wallet.address}")).json()
        now = (await http.get("/emulator/clock")).json()["now"]

    assert [row["orderId"] for row in again["orders"]] == acknowledged
    assert again == books
    assert seen <= now < seen + 60 * 60_000  # it paused while the emulator was off


async def test_a_nonce_used_before_kill_9_is_used_after_it(tmp_path: Path) -> None:
    options = ("--state", str(tmp_path), "--symbols", "BTCUSDT", "--weight-limit", "1000", "--duplicate-nonce", "-1000")
    signed = Wallet().signed({}, time.time_ns() // 1000)
    async with emulator(*options) as (url, process), httpx.AsyncClient(base_url=url) as http:
        first = await http.get(f"/fapi/v3/balance?{signed}")
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()

    async with emulator(*options) as (url, _), httpx.AsyncClient(base_url=url) as http:
        again = await http.get(f"/fapi/v3/balance?{signed}")

    assert first.status_code == 200
    assert again.json() == {"code": -1000, "msg": "Nonce Duplicated"}


def test_what_a_nonce_file_holds_that_is_no_line_is_named(tmp_path: Path) -> None:
    Venue(synthetic_market(symbols=("BTCUSDT",)), state=tmp_path).close()
    (tmp_path / "doors.jsonl").write_text('["nonce",["0x1",1]]\n["surprise",1]\n')

    with pytest.raises(UnusableState, match=r"doors.jsonl, line 2: damaged"):
        Venue(synthetic_market(symbols=("BTCUSDT",)), state=tmp_path)


def test_a_register_that_has_grown_long_is_written_anew(tmp_path: Path) -> None:
    register = Register(tmp_path)
    for nonce in range(LINES + 50):
        assert register.use_nonce("0x1", nonce) is None
    register.close()

    lines = (tmp_path / "doors.jsonl").read_bytes().count(b"\n")
    again = Register(tmp_path)

    assert lines <= NONCES_KEPT + 50
    assert again.use_nonce("0x1", LINES + 49) == "duplicate"
    assert again.use_nonce("0x1", 0) == "expired"
    again.close()


async def test_time_runs_at_the_speed_asked_for() -> None:
    async with emulator("--speed", "1000", "--symbols", "BTCUSDT") as (url, _), httpx.AsyncClient(base_url=url) as http:
        first = (await http.get("/emulator/clock")).json()
        began = time.monotonic()
        while time.monotonic() - began < 0.2:
            second = (await http.get("/emulator/clock")).json()

    assert first["speed"] == 1000
    assert 150_000 < second["now"] - first["now"] < 2_000_000


async def test_a_reset_breaks_the_connection_without_an_answer() -> None:
    wallet = Wallet()
    fault = {"method": "POST", "path": "/fapi/v3/order", "kind": "reset-after"}
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010", "newClientOrderId": "gk-1"}
    async with emulator("--stepped", "--symbols", "BTCUSDT") as (url, process), httpx.AsyncClient(base_url=url) as http:
        await http.post("/emulator/faults", json=fault)

        with pytest.raises(httpx.TransportError):
            await ask(http, wallet, "POST", "order", **order)

        found = await ask(http, wallet, "GET", "order", symbol="BTCUSDT", origClientOrderId="gk-1")
        process.terminate()
        _, complaints = await process.communicate()

    assert found["status"] == "FILLED"
    assert complaints == b""


def recording(folder: Path) -> Path:
    rows = [f"{T0 + each * 60_000},100,101,99,100,1" for each in range(10)]
    file = folder / "BTCUSDT-1m.csv"
    file.write_text("open_time,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    return file


async def test_recorded_candles_are_served_from_the_command_line(tmp_path: Path) -> None:
    start = "2025-05-05T00:05:00"
    options = ("--market", str(recording(tmp_path)), "--stepped", "--start", start, "--balance", "123.45")
    async with emulator(*options) as (url, _), httpx.AsyncClient(base_url=url) as http:
        now = (await http.get("/fapi/v3/time")).json()["serverTime"]
        opened = await http.post("/emulator/accounts", json={"apiKey": "k", "secret": "s"})

    assert now == T0 + 5 * 60_000
    assert opened.json()["wallet"] == "123.45000000"


async def test_doors_and_habits_are_chosen_on_the_command_line() -> None:
    options = ("--symbols", "BTCUSDT", "--numeric-success-code", "--no-newcomers", "--weight-limit", "77")
    async with emulator(*options) as (url, _), httpx.AsyncClient(base_url=url) as http:
        wallet = Wallet()
        stranger = await ask(http, wallet, "DELETE", "allOpenOrders", symbol="BTCUSDT")
        await http.post("/emulator/accounts", json={"address": wallet.address})
        known = await ask(http, wallet, "DELETE", "allOpenOrders", symbol="BTCUSDT")
        limits = (await http.get("/fapi/v3/exchangeInfo")).json()["rateLimits"]

    assert stranger["code"] == -1000
    assert known["code"] == 200
    assert limits[0]["limit"] == 77


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--market", "{folder}/nowhere.csv"), "nowhere.csv: there is no such file or folder"),
        (("--market", "{folder}/bad.csv"), "bad.csv, line 3: high is not the highest price"),
        (("--symbols", "BTCUSDT,NOPEUSDT"), "--symbols: NOPEUSDT is unknown"),
        (("--port", "{taken}"), "--port: cannot listen on 127.0.0.1:{taken}"),
        (("--port", "99999"), "--port: 99999 is no port"),
        (("--speed", "0"), "--speed: must be more than 0"),
        (("--start", "yesterday"), "--start: 'yesterday' is no ISO 8601 time"),
        (("--balance", "lots"), "--balance: 'lots' is no amount"),
        (("--market", "live:http://127.0.0.1:{closed}"), "no market data"),
        (("--market", "live", "--start", "2025-01-01"), "--start: a live market begins now"),
        (("--state", "{folder}/bad.csv"), "cannot keep state here"),
        (("--weight-limit", "lots"), "--weight-limit: 'lots' is no count"),
        (("--weight-limit", "never"), "--weight-limit: 'never' is no count"),
        (("--ban-after", "-1"), "--ban-after: '-1' is no count"),
        (("--signature-refusal", "-5"), "--signature-refusal: invalid choice: -5 (choose from -1022, -1000)"),
        (("--sped", "3"), "unrecognized arguments: --sped 3"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], complaint: str
) -> None:
    (tmp_path / "bad.csv").write_text("open_time,open,high,low,close,volume\n60000,1,1,1,1,1\n120000,5,4,3,4,1\n")
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as closed:
        values = {"folder": tmp_path, "taken": taken.getsockname()[1], "closed": closed.getsockname()[1]}
        closed.close()

        code = main([option.format(**values) for option in options])

    output, complaints = capsys.readouterr()
    assert (code, output) == (2, "")
    assert complaint.format(**values) in complaints
    assert complaints.count("\n") == 1


async def test_the_process_ends_with_the_code_and_the_line() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--symbols", "NOPEUSDT", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )

    output, complaints = await process.communicate()

    assert (process.returncode, output) == (2, b"")
    assert complaints.startswith(b"--symbols: NOPEUSDT is unknown; there are BTCUSDT, ")


# The live market: another emulator plays the exchange.


async def test_a_live_market_trades_on_paper_against_the_prices_of_another_venue() -> None:
    async with (
        emulator("--speed", "60", "--symbols", "BTCUSDT") as (url, _),
        emulator("--market", f"live:{url}", "--symbols", "BTCUSDT") as (paper_url, _),
        httpx.AsyncClient(base_url=url) as real,
        httpx.AsyncClient(base_url=paper_url) as paper,
    ):
        wallet = Wallet()
        clock = (await paper.get("/emulator/clock")).json()
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "MARKET",
            "quantity": "0.010",
            "newOrderRespType": "RESULT",
        }
        bought = await ask(paper, wallet, "POST", "order", **order)
        price = Decimal((await real.get("/fapi/v1/ticker/price?symbol=BTCUSDT")).json()["price"])
        history = (await paper.get("/fapi/v3/klines?symbol=BTCUSDT&interval=4h&limit=100")).json()
        day = (await paper.get("/fapi/v3/ticker/24hr?symbol=BTCUSDT")).json()
        rates = (await paper.get("/fapi/v3/fundingRate?symbol=BTCUSDT&limit=1")).json()
        first = (await paper.get("/fapi/v3/ticker/price?symbol=BTCUSDT")).json()
        async with asyncio.timeout(10):
            while (await paper.get("/fapi/v3/ticker/price?symbol=BTCUSDT")).json()["price"] == first["price"]:
                pass  # each look is a request to another process
        unreal = Decimal((await ask(paper, wallet, "GET", "positionRisk", symbol="BTCUSDT"))[0]["positionAmt"])

    assert clock["speed"] == 1.0
    assert abs(clock["now"] / 1000 - time.time()) < 60
    assert (bought["status"], unreal) == ("FILLED", Decimal("0.010"))
    assert abs(Decimal(bought["avgPrice"]) - price) < price / 50
    assert len(history) == 100
    assert Decimal(day["lastPrice"]) > 0
    assert isinstance(rates, list)


async def test_a_live_market_that_is_gone_keeps_its_last_price_and_says_so() -> None:
    async with emulator("--stepped", "--symbols", "BTCUSDT") as (url, _):
        market = live_market(url, ("BTCUSDT",))
    app = create_app(Venue(market))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://venue") as http:
        price = await http.get("/fapi/v3/ticker/price?symbol=BTCUSDT")
        candles = await http.get("/fapi/v3/klines?symbol=BTCUSDT&interval=5m")
    async with app.router.lifespan_context(app):
        pass  # closes the connections

    assert price.status_code == 200
    assert (candles.status_code, candles.json()["code"]) == (503, -1001)


def candle(opened: int, first: str, high: str, low: str, last: str) -> list[Any]:
    return json.loads(json.dumps([opened, first, high, low, last, "12.5"]))


def test_a_high_between_two_looks_is_a_price_that_was_there() -> None:
    market = LiveMarket("http://nowhere", {"BTCUSDT": instrument("BTCUSDT")})
    market.take_candle("BTCUSDT", candle(T0, "100", "101", "99", "100.5"), T0 + 10_000)

    market.take_candle("BTCUSDT", candle(T0, "100", "103", "99", "101"), T0 + 11_000)
    market.take_candle("BTCUSDT", candle(T0 + 60_000, "101", "101.2", "95", "100"), T0 + 61_000)

    assert market.price("BTCUSDT", T0 + 9_999) is None
    assert market.price("BTCUSDT", T0 + 10_999) == 1030
    assert market.extremes("BTCUSDT", T0 + 10_000, T0 + 11_000) == (1005, 1030)
    assert market.extremes("BTCUSDT", T0 + 11_000, T0 + 61_000) == (950, 1012)
    assert market.price("BTCUSDT", T0 + 70_000) == 1000
    assert market.minute_volume("BTCUSDT", T0 + 60_000) == Decimal("12.5")
    assert market.minute_volume("BTCUSDT", T0) == 0
