"""
What a day's questions to models have cost, and what is set aside for those still open.

One statement looks at the day's row and adds to it, so however many processes ask at once, what is spent and set aside
together stays within the budget.
"""

from datetime import date
from decimal import Decimal

from sqlalchemy import bindparam, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import model_spending
from shared.db.values import CleanText, Money


class ModelSpendingTable:
    """The `ModelSpending` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def reserve(self, account_id: str, day: date, amount: Decimal, budget: Decimal | None) -> bool:
        """Set *amount* aside unless the day would come to more than *budget*; say whether it was."""
        kept, limit = model_spending.c, bindparam("budget", budget, Money)
        asked = select(
            literal(account_id, CleanText), literal(day), literal(amount, Money), literal(Decimal(0), Money)
        ).where(or_(limit.is_(None), literal(amount, Money) <= limit))
        statement = insert(model_spending).from_select(["account_id", "day", "reserved", "spent"], asked)
        granted = await self._connection.scalar(
            statement.on_conflict_do_update(
                index_elements=[kept.account_id, kept.day],
                set_={"reserved": kept.reserved + statement.excluded.reserved},
                where=or_(limit.is_(None), kept.reserved + kept.spent + statement.excluded.reserved <= limit),
            ).returning(kept.day)
        )
        return granted is not None

    async def settle(self, account_id: str, day: date, reserved: Decimal, cost: Decimal) -> None:
        """Book *cost* in place of what was *reserved*."""
        kept = model_spending.c
        await self._connection.execute(
            update(model_spending)
            .where(kept.account_id == account_id, kept.day == day)
            .values(reserved=kept.reserved - reserved, spent=kept.spent + cost)
        )
