"""What trading has cost an account, beside what trades gained or lost."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What was paid within some time. USD; `funding` is negative where more of it was received."""

    fees: Decimal
    funding: Decimal
    models: Decimal
    """For every question to a model, those for comparison among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expenses:
    """What an account has paid, lately and since its books began."""

    today: Paid
    """Since the UTC day began."""
    in_all: Paid
