"""Totals that only grow. Most are added to by the database itself; what a process alone saw is added here."""

from collections.abc import Mapping
from dataclasses import astuple

from shared.db.batch import insert_all
from shared.db.tables import tallies
from shared.db.unit_of_work import Database
from shared.domain.tally import Counted, Tally


async def write_down(database: Database, tally: Tally) -> None:
    """Add what *tally* holds to the totals, in one statement. Raises DatabaseUnavailable; then the tally keeps it."""
    counts = tally.take()
    if not counts:
        return
    try:
        async with database.transaction() as connection:
            statement = insert_all(tallies, _rows(counts))
            total = tallies.c.value + statement.excluded.value
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["name", "account_id", "subject", "outcome"], set_={"value": total}
                )
            )
    except BaseException:
        tally.put_back(counts)
        raise


def _rows(counts: Mapping[Counted, int]) -> list[dict[str, object]]:
    # In one order everywhere, so that two processes never wait for each other crosswise.
    ordered = sorted(counts.items(), key=lambda item: [part or "" for part in astuple(item[0])])
    return [
        {
            "name": what.name,
            "account_id": what.account_id,
            "subject": what.subject,
            "outcome": what.outcome,
            "value": times,
        }
        for what, times in ordered
    ]
