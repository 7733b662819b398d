"""Spans of time as people write them in settings: `30s`, `5m`, `4h`, `1d`."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_duration(value: Any) -> Any:
    """Return the span that *value* writes. Raises ValueError with an example of the right form."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", str(value).strip())
    if match is None:
        raise ValueError(f"{str(value)!r} is no duration: write it like 30s, 5m, 4h or 1d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(read_duration)]
