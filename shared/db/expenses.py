"""What an account has paid: commissions, funding and models, out of the books that hold them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import model_spending, trading_days
from shared.domain.expenses import Expenses, Paid


class ExpenseTable:
    """The `ExpenseBooks` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def paid(self, account_id: str, day: datetime) -> Expenses:
        """Return what the account has paid since *day* began, and in all: by the books of days, in one round trip."""
        today = day.date()
        traded = (
            select(
                *_sums(trading_days.c.fees, trading_days.c.day >= today),
                *_sums(-trading_days.c.funding, trading_days.c.day >= today),
            )
            .where(trading_days.c.account_id == account_id)
            .subquery()
        )
        asked = (
            select(*_sums(model_spending.c.spent, model_spending.c.day >= today))
            .where(model_spending.c.account_id == account_id)
            .subquery()
        )
        found = await self._connection.execute(select(traded, asked).select_from(traded.join(asked, true())))
        fees_today, fees, funding_today, funding, models_today, models = found.one()
        return Expenses(
            today=Paid(fees=fees_today, funding=funding_today, models=models_today),
            in_all=Paid(fees=fees, funding=funding, models=models),
        )


def _sums(amount: ColumnElement[Decimal], lately: ColumnElement[bool]) -> list[ColumnElement[Any]]:
    none = Decimal(0)
    return [func.coalesce(func.sum(amount).filter(lately), none), func.coalesce(func.sum(amount), none)]
