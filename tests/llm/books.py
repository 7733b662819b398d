"""A `CallBook` in memory: what a cycle's questions were given, and what they cost."""

from datetime import date
from decimal import Decimal

from shared.domain.model import ModelCall, Reservation

DAY = date(2025, 5, 6)


class Book:
    """Grants whatever the *budget* has room for, without one everything."""

    def __init__(self, budget: Decimal | None = None) -> None:
        self.kept: list[ModelCall] = []
        self.asked: list[Decimal] = []
        self.left = budget

    async def reserve(self, amount: Decimal) -> Reservation | None:
        self.asked.append(amount)
        if self.left is not None and amount > self.left:
            return None
        self.left = None if self.left is None else self.left - amount
        return Reservation(DAY, amount)

    async def keep(self, call: ModelCall, reservation: Reservation) -> None:
        self.left = None if self.left is None else self.left + reservation.amount - call.cost
        self.kept.append(call)
