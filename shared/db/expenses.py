"""What an account has paid: commissions, funding and models, out of the books that hold them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import fills, incomes, model_spending
from shared.domain.expenses import Expenses, Paid
from shared.domain.order import IncomeKind
from shared.domain.position import WALLET_ASSET


class ExpenseTable:
    """The `ExpenseBooks` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def paid(self, account_id: str, day: datetime) -> Expenses:
        """Return what the account has paid since *day* began, and in all. In one round trip."""
        fees = select(*_sums(fills.c.commission, fills.c.at >= day)).where(
            fills.c.account_id == account_id, fills.c.commission_asset == WALLET_ASSET
        )
        funding = select(*_sums(-incomes.c.amount, incomes.c.at >= day)).where(
            incomes.c.account_id == account_id,
            incomes.c.kind == IncomeKind.FUNDING_FEE,
            incomes.c.asset == WALLET_ASSET,
        )
        models = select(*_sums(model_spending.c.spent, model_spending.c.day >= day.date())).where(
            model_spending.c.account_id == account_id
        )
        found = await self._connection.execute(fees.union_all(funding, models))
        today, in_all = zip(*((row[0], row[1]) for row in found), strict=True)
        return Expenses(today=_paid(today), in_all=_paid(in_all))


def _sums(amount: ColumnElement[Decimal], lately: ColumnElement[bool]) -> list[ColumnElement[Any]]:
    none = Decimal(0)
    return [func.coalesce(func.sum(amount).filter(lately), none), func.coalesce(func.sum(amount), none)]


def _paid(sums: tuple[Decimal, ...]) -> Paid:
    fees, funding, models = sums
    return Paid(fees=fees, funding=funding, models=models)
