"""Moments as people write them, in queries and in what is said of an account: date, time and offset, all of it."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1971, 9998


def _written_out(value: Any) -> Any:
    """A number would be read as seconds since 1970, and a date as its midnight: neither was promised."""
    if not isinstance(value, datetime) and not DATE_AND_TIME.match(str(value)):
        raise ValueError("is no date and time such as 2025-05-06T16:05:00Z")
    return value


def _utc(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:  # so that days can be added to it, or taken off, wherever it is used
        raise ValueError(f"must lie within the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_utc), BeforeValidator(_written_out)]
