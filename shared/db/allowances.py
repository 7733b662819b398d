"""
The exchange's limits as our processes share them: a row a limit, settled in a transaction of its own.

No transaction is held across a request: a share is drawn, committed, and then spent. A row is kept for what outlives a
process: until when the exchange refuses us. That is noted in its time and in the database's, for a process that has
just begun knows no other.
"""

from sqlalchemy import extract, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shared.db.tables import allowances
from shared.db.unit_of_work import Database
from shared.domain.allowance import Allowance, Grant, Report


class AllowanceTable:
    """The `Allowances` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settle(self, name: str, report: Report) -> Grant:
        """Take *report* to the account of that limit and return what it is granted."""
        async with self._database.transaction() as connection:
            if report.now is None:
                left = extract("epoch", allowances.c.lifted_at - func.clock_timestamp())
                closed_for = await connection.scalar(select(left).where(allowances.c.name == name))
                return Grant(amount=0, closed_for=max(0.0, float(closed_for or 0)))
            account_of = select(allowances).where(allowances.c.name == name).with_for_update()
            kept = (await connection.execute(account_of)).one_or_none()
            if kept is None:
                await connection.execute(insert(allowances).values(name=name, taken={}).on_conflict_do_nothing())
                kept = (await connection.execute(account_of)).one()
            account = Allowance(
                taken={int(number): amount for number, amount in kept.taken.items()},
                closed_until=kept.closed_until,
                careful_until=kept.careful_until,
            )
            grant = account.settle(report)
            await connection.execute(
                update(allowances)
                .where(allowances.c.name == name)
                .values(
                    taken={str(number): amount for number, amount in account.taken.items()},
                    closed_until=account.closed_until,
                    careful_until=account.careful_until,
                    lifted_at=func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, grant.closed_for),
                )
            )
            return grant
