"""
How our values become PostgreSQL's and come back the same.

Money and quantities are NUMERIC without bounds, so a Decimal returns equal. Moments are TIMESTAMPTZ. Objects of the
domain are JSONB, their numbers as strings. Text may come from anywhere: the two things that PostgreSQL cannot store in
it, the character NUL and lone surrogates, are replaced, so that no answer of a model can stop a transaction.
"""

import json
import math
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import DateTime, Dialect, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, UserDefinedType

Money = Numeric
Moment = DateTime(timezone=True)

T = TypeVar("T")


class CleanText(TypeDecorator[str]):
    """TEXT that takes any string."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return *value* without what PostgreSQL refuses."""
        return None if value is None else storable(value)


class Document(TypeDecorator[T], Generic[T]):
    """JSONB that holds one object of the domain: objects go in and objects come out."""

    impl = JSONB
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__(none_as_null=True)
        self.kind = kind

    @cached_property
    def adapter(self) -> TypeAdapter[T]:
        """The way between object and JSON; built at first use because that takes milliseconds."""
        return TypeAdapter(self.kind)

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:
        """Return *value* as JSON."""
        return None if value is None else self.adapter.dump_python(value, mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> T | None:
        """Return the object that was stored."""
        return None if value is None else self.adapter.validate_python(value)


class TransactionId(UserDefinedType[int]):
    """xid8: the 64-bit number of a transaction, as `pg_current_xact_id()` gives it."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return PostgreSQL's name of the type."""
        return "xid8"


def json_text(value: Any) -> str:
    """Return *value* as JSON that JSONB takes, whatever strings and floats it holds."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:  # a number that is none, or a lone surrogate
        return json.dumps(storable(value), ensure_ascii=False)
    return json.dumps(storable(value), ensure_ascii=False) if "\\u0000" in text else text


def storable(value: Any) -> Any:
    """Return *value*, text or anything made of JSON's parts, with what PostgreSQL refuses replaced."""
    match value:
        case str():
            return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {storable(name): storable(item) for name, item in value.items()}
        case list() | tuple():
            return [storable(item) for item in value]
        case _:
            return value
