"""
The door to the database: one transaction at a time, committed whole or not at all.

With a lease, the transaction begins by locking the lease's row and comparing the fencing number: as long as it runs
nobody can take the lease over, and whoever was overtaken writes nothing. Nothing is retried here: whoever repeats a
stage finds what was committed by its keys.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.accounts import AccountTable
from shared.db.breakers import BreakerTable
from shared.db.candle_defects import CandleDefectTable
from shared.db.candles import CandleTable
from shared.db.changes import ChangeTable
from shared.db.decisions import DecisionTable
from shared.db.engine import create_engine, database_failures
from shared.db.errands import ErrandTable
from shared.db.expenses import ExpenseTable
from shared.db.fills import FillTable
from shared.db.holds import HoldTable
from shared.db.incomes import IncomeTable
from shared.db.journal import JournalTables
from shared.db.model_calls import ModelCallTable
from shared.db.model_health import ModelHealthTable
from shared.db.model_spending import ModelSpendingTable
from shared.db.naked_spells import NakedSpellTable
from shared.db.opinions import OpinionTable
from shared.db.orders import OrderTable
from shared.db.owners import OwnerTables
from shared.db.records import RecordTable
from shared.db.snapshots import SnapshotTable
from shared.db.stages import StageTable
from shared.db.stops import StopTable
from shared.domain import work as promised


class UnitOfWork:
    """The `Work` port: the named queries, all on one transaction."""

    def __init__(self, connection: AsyncConnection, candles: promised.Candles) -> None:
        self.accounts: promised.Accounts = AccountTable(connection)
        self.stages: promised.Stages = StageTable(connection)
        self.candles: promised.Candles = candles
        self.candle_defects: promised.CandleDefects = CandleDefectTable(connection)
        self.snapshots: promised.Snapshots = SnapshotTable(connection)
        self.model_calls: promised.ModelCalls = ModelCallTable(connection)
        self.model_spending: promised.ModelSpending = ModelSpendingTable(connection)
        self.model_health: promised.ModelHealths = ModelHealthTable(connection)
        self.decisions: promised.Decisions = DecisionTable(connection)
        self.records: promised.Records = RecordTable(connection)
        self.opinions: promised.Opinions = OpinionTable(connection)
        self.orders: promised.Orders = OrderTable(connection)
        self.fills: promised.Fills = FillTable(connection)
        self.incomes: promised.Incomes = IncomeTable(connection)
        self.expenses: promised.ExpenseBooks = ExpenseTable(connection)
        self.holds: promised.Holds = HoldTable(connection)
        self.naked: promised.NakedSpells = NakedSpellTable(connection)
        self.breakers: promised.Breakers = BreakerTable(connection)
        self.changes: promised.Changes = ChangeTable(connection)
        self.stops: promised.Stops = StopTable(connection)
        self.errands: promised.Errands = ErrandTable(connection)
        self.owners: promised.Owners = OwnerTables(connection)
        self.journal: promised.Journal = JournalTables(connection)


class Database:
    """A database and the connections to it. Opens nothing before its first use."""

    def __init__(self, url: str, *, long_lived: bool, pooled: bool = False) -> None:
        """See `create_engine` for the arguments. Raises ValueError for a URL that cannot be read."""
        self._engine = create_engine(url, long_lived=long_lived, pooled=pooled)
        self._pooled = pooled or not long_lived
        self._months: frozenset[date] = frozenset()

    @asynccontextmanager
    async def open_work(self, lease: promised.Lease | None = None) -> AsyncIterator[promised.Work]:
        """
        Begin a transaction; leaving the block commits it, an exception rolls it back.

        Raises LeaseLost unless *lease* still holds, DatabaseUnavailable when the whole should be tried again, and
        UnknownAccount for a row of an account that is not there.
        """
        async with self.transaction() as connection:
            if lease is not None:
                await StageTable(connection).hold(lease)
            candles = CandleTable(connection, self._months)
            yield UnitOfWork(connection, candles)
        self._months |= candles.made

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for one transaction. Raises DatabaseUnavailable."""
        with database_failures(self._engine.url):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for one transaction that can write nothing. Raises DatabaseUnavailable."""
        with database_failures(self._engine.url):
            async with self._engine.execution_options(postgresql_readonly=True).begin() as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection that can write nothing and sees the database as it is now until it is given back.

        Raises DatabaseUnavailable.
        """
        with database_failures(self._engine.url):
            options = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
            async with self._engine.execution_options(**options).begin() as connection:
                yield connection

    @asynccontextmanager
    async def listening(self, channel: str, heard: Callable[[], None]) -> AsyncIterator[AsyncConnection]:
        """Have *heard* called at every NOTIFY on *channel*, and lend the connection, to read by for as long.

        It takes no place of the pool. Each statement is a transaction of its own, or ends with a rollback. Behind a
        pooler in transaction mode nothing is ever heard. Raises DatabaseUnavailable.
        """
        with database_failures(self._engine.url):
            async with self._engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                if not self._pooled:
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.run_sync(lambda each: each.detach())
                try:
                    await driver.add_listener(channel, lambda *_: heard())
                    yield connection
                finally:
                    # SQLAlchemy loses a detached connection whose last words were cut short.
                    driver.terminate()

    def forget_months(self) -> None:
        """Take no month's partition for granted any longer: some were dropped."""
        self._months = frozenset()

    async def close(self) -> None:
        """Give every connection back."""
        await self._engine.dispose()
