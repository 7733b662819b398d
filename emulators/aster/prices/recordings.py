"""
Reading recorded candles and funding rates from files.

What is read, a single file or a folder of them:

- CSV, plain or gzip, with a header naming `open_time, open, high, low, close, volume` in any order among others, or
  without a header in the exchanges' own kline order (open time, open, high, low, close, volume, ...);
- Parquet with those columns, either of one symbol or with a column `symbol`;
- funding rates as CSV with the columns `funding_time, funding_rate`, in files named like `BTCUSDT-funding-8h.csv.gz`.

The symbol is the first part of the file's name (`BTCUSDT-1m-2025-05.csv`); several files of a symbol are joined. Times
are in seconds, milliseconds or microseconds since the epoch. Files of mark prices are passed over: the mark price of
this venue is the path's price. Candles may be missing, but none may be doubtful: the first bad row is refused with
its file and line.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas
from numpy.typing import NDArray

from .intervals import MINUTE
from .market import UnusableMarket

COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Table:
    """The candles of one symbol in one file, times in milliseconds, prices as they were written."""

    file: Path
    symbol: str
    lines: NDArray[np.int64]
    """Where each candle stands in the file, counted from one, a header included."""
    time: NDArray[np.int64]
    numbers: NDArray[np.float64]
    """Rows of open, high, low, close, volume."""


def read_files(path: Path) -> tuple[list[Table], dict[str, dict[int, Decimal]]]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    tables: list[Table] = []
    funding: dict[str, dict[int, Decimal]] = {}
    for file in files:
        parts = file.name.split(".")[0].split("-")
        if "mark" in parts:
            continue
        try:
            if "funding" in parts:
                funding.setdefault(parts[0], {}).update(_read_funding(file))
            elif file.suffix == ".parquet":
                tables.extend(_read_parquet(file, parts[0]))
            elif file.name.endswith((".csv", ".csv.gz")):
                tables.append(_read_csv(file, parts[0]))
            elif not path.is_dir():
                raise UnusableMarket(f"{file}: neither CSV (.csv, .csv.gz) nor Parquet (.parquet)")
        except (OSError, EOFError, ValueError, KeyError, ImportError) as exc:
            raise UnusableMarket(f"{file}: cannot be read: {exc}") from exc
    return tables, funding


def _read_csv(file: Path, symbol: str) -> Table:
    head = pandas.read_csv(file, header=None, nrows=1, dtype=str)
    named = not str(head.iat[0, 0]).isdigit()
    frame = pandas.read_csv(file, header=0 if named else None)
    if not named:
        frame = frame.rename(columns=dict(enumerate(COLUMNS)))
    frame.index += 2 if named else 1
    return _table(frame, file, symbol)


def _read_parquet(file: Path, symbol: str) -> list[Table]:
    frame = pandas.read_parquet(file).reset_index(drop=True)
    frame.index += 1
    if "symbol" not in frame.columns:
        return [_table(frame, file, symbol)]
    return [_table(part, file, str(name)) for name, part in frame.groupby("symbol", sort=True)]


def _table(frame: pandas.DataFrame, file: Path, symbol: str) -> Table:
    """Return the candles of a frame whose index counts the lines of the file."""
    lacking = [column for column in COLUMNS if column not in frame.columns]
    if lacking:
        raise UnusableMarket(f"{file}: the column {lacking[0]} is missing")
    if frame.empty:
        raise UnusableMarket(f"{file}: no candles")
    columns = [_numeric(frame[column], file) for column in COLUMNS]
    lines = frame.index.to_numpy(np.int64)
    table = Table(file, symbol, lines, _milliseconds(columns[0]), np.stack(columns[1:]))
    _refuse_bad_rows(table)
    return table


def _numeric(column: pandas.Series, file: Path) -> NDArray[np.float64]:
    """Return a column as numbers, or refuse the first value that is none."""
    numbers = pandas.to_numeric(column, errors="coerce")
    if numbers.isna().any():
        row = int(np.flatnonzero(numbers.isna())[0])
        line, value = column.index[row], column.iloc[row]
        raise UnusableMarket(f"{file}, line {line}: {column.name} is no number: {value}")
    values: NDArray[np.float64] = numbers.to_numpy(np.float64)
    return values


def _refuse_bad_rows(table: Table) -> None:
    opened, high, low, closed, volume = table.numbers
    faults = {
        "open_time does not rise": np.diff(table.time, prepend=table.time[0] - 1) <= 0,
        "a number is infinite": ~np.isfinite(table.numbers).all(axis=0),
        "a price is not positive": table.numbers[:4].min(axis=0) <= 0,
        "high is not the highest price": high < np.maximum(opened, closed),
        "low is not the lowest price": low > np.minimum(opened, closed),
        "volume is negative": volume < 0,
    }
    for reason, bad in faults.items():
        if bad.any():
            raise UnusableMarket(f"{table.file}, line {table.lines[bad][0]}: {reason}")


def _milliseconds(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return times in milliseconds, told from seconds and microseconds by their size."""
    scale = 1000.0 if times[0] < 1e11 else 0.001 if times[0] > 1e14 else 1.0
    scaled: NDArray[np.int64] = np.rint(times * scale).astype(np.int64)
    return scaled


def _read_funding(file: Path) -> dict[int, Decimal]:
    frame = pandas.read_csv(file, dtype={"funding_time": np.int64, "funding_rate": str})
    times: list[int] = frame["funding_time"].tolist()
    rates: list[str] = frame["funding_rate"].tolist()
    # Exchanges stamp settlements up to some seconds late; the minute tells which one is meant.
    return {time // MINUTE: Decimal(rate) for time, rate in zip(times, rates, strict=True)}
