"""
Decisions that are not kept: their records, answers, model calls and snapshots, a day of an account at a time.

Documents follow once no decision has used them since. Each transaction is short, and stands in the way of no decision
that is being stored: one that uses a document again, keeps it. The whole can be cut off anywhere and done again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select

from shared.db.tables import answers, decisions, documents, model_calls, records, snapshots
from shared.db.unit_of_work import Database

DAY = timedelta(days=1)
HEXADECIMAL = "0123456789abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """How much was taken away."""

    decisions: int = 0
    model_calls: int = 0
    documents: int = 0


async def forget_decisions(database: Database, before: Mapping[str, datetime]) -> Forgotten:
    """Take away, for each account, what its cycles of *before* that midnight saw and said.

    Raises DatabaseUnavailable.
    """
    gone = dict.fromkeys((answers, decisions, model_calls, records, snapshots), 0)
    for account_id, end in before.items():
        async with database.transaction() as connection:
            began = [
                await connection.scalar(select(func.min(table.c.tick)).where(table.c.account_id == account_id))
                for table in gone
            ]
        first = min((tick for tick in began if tick is not None), default=end)
        while first < end:
            until = min(first + DAY, end)
            async with database.transaction() as connection:
                for table in gone:
                    of_the_day = and_(table.c.account_id == account_id, table.c.tick >= first, table.c.tick < until)
                    gone[table] += (await connection.execute(delete(table).where(of_the_day))).rowcount
            first = until
    unused = 0
    if before:
        # What is shared stays for whichever account still keeps the most.
        unused_since = documents.c.last_used < min(before.values()).date()
        for part in _parts():
            async with database.transaction() as connection:
                unused += (await connection.execute(delete(documents).where(part, unused_since))).rowcount
    return Forgotten(decisions=gone[decisions], model_calls=gone[model_calls], documents=unused)


def _parts() -> Iterator[ColumnElement[bool]]:
    """Yield conditions that cut the documents into sixteen parts by their names, which are spread evenly."""
    name = documents.c.name
    for first, second in zip(HEXADECIMAL, [*HEXADECIMAL[1:], None], strict=True):
        yield name >= first if second is None else and_(name >= first, name < second)
