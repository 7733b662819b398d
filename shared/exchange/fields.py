"""
Fields of the exchange's payloads, and the numbers and times in them.

Numbers are read exactly, from text or from JSON numbers. What cannot be read for certain is not read at all: a reader
raises Unreadable rather than guess. Keys that nobody asked for are ignored: the exchange adds some now and then.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from shared.domain.market import EPOCH

Row = Mapping[str, Any]
Word = TypeVar("Word", bound=StrEnum)

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_MILLISECOND = timedelta(milliseconds=1)


class Unreadable(Exception):
    """The payload is not what the exchange's manual says. The message names what is wrong with it."""


def parse(content: str | bytes) -> Any:
    """Return the JSON in *content*, its fractions as exact decimals. Raises Unreadable, on NaN and Infinity too."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise Unreadable(f"no JSON: {exc}") from exc


def milliseconds(at: datetime) -> int:
    """Return *at* as the exchange writes it, rounded down."""
    return (at - EPOCH) // _MILLISECOND


def moment_at(since_epoch: int) -> datetime:
    """Return the moment that many milliseconds after 1970, UTC."""
    try:
        return EPOCH + since_epoch * _MILLISECOND
    except OverflowError:
        raise Unreadable(f"{since_epoch} is no time") from None


def number(value: Decimal) -> str:
    """Return *value* in plain digits; the exchange reads no exponents."""
    return format(value, "f")


def as_row(payload: Any) -> Row:
    """Return *payload* as the object it has to be."""
    if not isinstance(payload, dict):
        raise Unreadable(f"an object was due, not {str(payload)[:40]!r}")
    return payload


def as_rows(payload: Any) -> Sequence[Row]:
    """Return *payload* as the list of objects it has to be."""
    if not isinstance(payload, list):
        raise Unreadable(f"a list was due, not {str(payload)[:40]!r}")
    return [as_row(entry) for entry in payload]


def text(row: Row, key: str) -> str:
    """Return a text that is not empty."""
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{key} is {value!r}, not a text")
    return value


def word(row: Row, key: str, words: type[Word]) -> Word:
    """Return one of the *words* that we know."""
    try:
        return words(text(row, key))
    except ValueError:
        raise Unreadable(f"{key} is {row[key]!r}, which we do not know") from None


def decimal(row: Row, key: str, absent: str | None = None) -> Decimal:
    """Return a number, exactly; *absent* where the key is missing."""
    return exact(row.get(key, absent), key)


def exact(value: Any, name: str) -> Decimal:
    """Return the number that *value* is, exactly; it is called *name*."""
    digits = value if isinstance(value, str) else ""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        digits = str(value)
    if not _NUMBER.fullmatch(digits):
        raise Unreadable(f"{name} is {value!r}, not a number")
    return Decimal(value)


def integer(row: Row, key: str) -> int:
    """Return a whole number."""
    value = decimal(row, key)
    if value != value.to_integral_value():
        raise Unreadable(f"{key} is {value}, not a whole number")
    return int(value)


def moment(row: Row, key: str) -> datetime:
    """Return a time, told in milliseconds."""
    return moment_at(integer(row, key))


def flag(row: Row, key: str) -> bool:
    """Return true or false: not a text that says so."""
    value = row.get(key)
    if not isinstance(value, bool):
        raise Unreadable(f"{key} is {value!r}, not true or false")
    return value


def identifier(row: Row, key: str) -> str:
    """Return an id, which some answers tell as a number and others as a text."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Unreadable(f"{key} is {value!r}, not an id")
    return str(value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
