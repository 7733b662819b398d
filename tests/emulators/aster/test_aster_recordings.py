"""Reading recorded candles."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pandas
import pytest

from emulators.aster import UnusableMarket, recorded_market
from emulators.aster.prices.intervals import DAY
from tests.emulators.aster.traders import MINUTE, T0

HEADER = "open_time,open,high,low,close,volume"


def rows(count: int, price: float = 100.5, step: int = MINUTE) -> list[str]:
    return [f"{T0 + each * step},{price},{price + 1},{price - 1},{price},3.5" for each in range(count)]


def write(path: Path, lines: list[str]) -> Path:
    text = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def test_a_folder_of_zipped_csv_with_funding_is_a_market(tmp_path: Path) -> None:
    write(tmp_path / "BTCUSDT-klines-1m.csv.gz", [HEADER, *rows(10)])
    write(tmp_path / "ETHUSDT-klines-1m.csv.gz", [HEADER, *rows(5)])
    write(tmp_path / "BTCUSDT-funding-8h.csv.gz", ["funding_time,funding_rate", f"{T0 + 8},0.00037000"])
    write(tmp_path / "BTCUSDT-mark-8h.csv.gz", ["open_time,open,high,low,close", f"{T0},1,1,1,1"])

    market = recorded_market(tmp_path)

    assert list(market.instruments) == ["BTCUSDT", "ETHUSDT"]
    assert market.price("BTCUSDT", T0) == 1005
    assert market.end == T0 + 10 * MINUTE
    assert market.funding_rate("BTCUSDT", T0) == Decimal("0.00037")
    assert market.funding_rate("ETHUSDT", T0) == Decimal("0.0001")


def test_a_dump_of_the_exchange_has_twelve_columns_and_needs_no_header(tmp_path: Path) -> None:
    lines = [f"{row},{T0 + 59_999},1,2,3,4,0" for row in rows(4)]
    plain = write(tmp_path / "BTCUSDT-1m-2025-05.csv", lines)
    headed = write(tmp_path / "ETHUSDT-1m-2025-05.csv", [f"{HEADER},close_time,quote,count,a,b,ignore", *lines])

    assert recorded_market(plain).price("BTCUSDT", T0) == 1005
    assert recorded_market(headed).price("ETHUSDT", T0) == 10050


def test_several_files_of_a_symbol_are_joined(tmp_path: Path) -> None:
    lines = rows(10)
    write(tmp_path / "BTCUSDT-1m-2025-06.csv", [HEADER, *lines[5:]])
    write(tmp_path / "BTCUSDT-1m-2025-05.csv", [HEADER, *lines[:5]])

    assert len(recorded_market(tmp_path).candles("BTCUSDT", 0)) == 10


def test_parquet_may_hold_many_symbols(tmp_path: Path) -> None:
    frame = pandas.DataFrame([[float(value) for value in row.split(",")] for row in rows(3)], columns=HEADER.split(","))
    both = pandas.concat([frame.assign(symbol="BTCUSDT"), frame.assign(symbol="ETHUSDT")])
    both.to_parquet(tmp_path / "candles.parquet")
    frame.to_parquet(tmp_path / "SOLUSDT.parquet")

    assert list(recorded_market(tmp_path / "candles.parquet").instruments) == ["BTCUSDT", "ETHUSDT"]
    assert recorded_market(tmp_path).price("SOLUSDT", T0) == 100_500


def test_the_finest_candles_are_the_market_and_trading_begins_after_two_days(tmp_path: Path) -> None:
    write(tmp_path / "BTCUSDT-klines-5m.csv", [HEADER, *rows(1000, step=5 * MINUTE)])
    write(tmp_path / "BTCUSDT-klines-1h.csv", [HEADER, *rows(100, step=60 * MINUTE)])

    market = recorded_market(tmp_path)

    assert market.base == "5m"
    assert market.start == T0 + 2 * DAY


def test_a_symbol_nobody_knows_gets_filters_from_its_prices(tmp_path: Path) -> None:
    write(tmp_path / "WIFUSDT-klines-1m.csv", [HEADER, *rows(3, price=2.1234)])

    instrument = recorded_market(tmp_path).instruments["WIFUSDT"]

    assert (instrument.tick, instrument.step) == (Decimal("0.0001"), Decimal("0.1"))
    assert instrument.entry["baseAsset"] == "WIF"


def test_prices_finer_than_the_tick_on_file_make_the_tick_finer(tmp_path: Path) -> None:
    write(tmp_path / "BTCUSDT-klines-1m.csv", [HEADER, *rows(3, price=100.25)])

    market = recorded_market(tmp_path)

    assert market.instruments["BTCUSDT"].tick == Decimal("0.01")
    assert market.instruments["BTCUSDT"].price_text(market.price("BTCUSDT", T0) or 0) == "100.25"


@pytest.mark.parametrize(
    ("third_row", "complaint"),
    [
        (f"{T0 + MINUTE},1,1,1,1,1", "line 4: open_time does not rise"),
        (f"{T0 + 2 * MINUTE},5,4,3,4,1", "line 4: high is not the highest price"),
        (f"{T0 + 2 * MINUTE},5,6,5.5,6,1", "line 4: low is not the lowest price"),
        (f"{T0 + 2 * MINUTE},0,6,0,6,1", "line 4: a price is not positive"),
        (f"{T0 + 2 * MINUTE},5,6,5,6,-1", "line 4: volume is negative"),
        (f"{T0 + 2 * MINUTE},5,inf,5,6,1", "line 4: a number is infinite"),
        (f"{T0 + 2 * MINUTE},5,,5,6,1", "line 4: high is no number"),
        (f"{T0 + 2 * MINUTE},5,six,5,6,1", "line 4: high is no number: six"),
        (f"{T0 + 2 * MINUTE + 7},5,6,5,6,1", "line 4: open_time is not the beginning of a 1m candle"),
    ],
)
def test_the_first_bad_row_is_named(tmp_path: Path, third_row: str, complaint: str) -> None:
    file = write(tmp_path / "BTCUSDT-1m.csv", [HEADER, *rows(2), third_row, *rows(5)[3:]])

    with pytest.raises(UnusableMarket) as caught:
        recorded_market(file)

    assert str(caught.value).startswith(f"{file}, {complaint}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("BTCUSDT-1m.csv", b"open_time,open,high,low,close\n1,2,3,1,2\n", "the column volume is missing"),
        ("BTCUSDT-1m.csv", b"", "cannot be read"),
        ("BTCUSDT-1m.csv", HEADER.encode() + b"\n", "no candles"),
        ("BTCUSDT-1m.csv.gz", b"not a zip", "cannot be read"),
        ("BTCUSDT.parquet", b"not parquet", "cannot be read"),
        ("BTCUSDT.txt", b"hello", "neither CSV"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(UnusableMarket, match=complaint) as caught:
        recorded_market(tmp_path / name)

    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_market_without_the_symbol_or_the_start_asked_for_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "BTCUSDT-1m.csv", [HEADER, *rows(3)])

    with pytest.raises(UnusableMarket, match="no candles of ETHUSDT"):
        recorded_market(file, symbols=["ETHUSDT"])
    with pytest.raises(UnusableMarket, match="lies outside the recording"):
        recorded_market(file, start=T0 - 1)
    with pytest.raises(UnusableMarket, match="no such file or folder"):
        recorded_market(tmp_path / "nowhere" / "BTCUSDT.csv")


def test_files_that_overlap_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "BTCUSDT-1m-a.csv", [HEADER, *rows(3)])
    write(tmp_path / "BTCUSDT-1m-b.csv", [HEADER, *rows(3)])

    with pytest.raises(UnusableMarket, match="overlaps"):
        recorded_market(tmp_path)
