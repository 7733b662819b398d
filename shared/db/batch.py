"""Many rows in one statement: each column travels as one array, so one row or thousands make the same statement."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, TableValuedAlias, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert


def given(table: Table, rows: Sequence[Mapping[str, Any]]) -> TableValuedAlias:
    """Return *rows*, one at least, as something to select from. They all name the same columns of *table*."""
    columns = [table.c[name] for name in rows[0]]
    # One dimension, or a JSON list among the values would pass for a second.
    arrays = [
        bindparam(None, [row[each.name] for row in rows], type_=ARRAY(each.type, dimensions=1), unique=True)
        for each in columns
    ]
    described = [column(each.name, each.type) for each in columns]
    return func.unnest(*arrays).table_valued(*described).render_derived(name="given")


def insert_all(table: Table, rows: Sequence[Mapping[str, Any]]) -> Insert:
    """Return the statement that inserts *rows*, one at least, in their order. They all name the same columns."""
    return insert(table).from_select(list(rows[0]), select(given(table, rows)))
