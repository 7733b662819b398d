"""The points of an equity curve, and what losses are measured from."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityPoint:
    """What the account was worth at one moment, in USD, and how much of it was ever paid in."""

    at: datetime
    wallet: Decimal
    unrealized: Decimal
    deposited: Decimal
    """Transfers in less transfers out, since the account is known."""
    unexplained: Decimal = Decimal(0)
    """What of the wallet neither trades nor the ledger have accounted for: rows that are late, or never come."""

    @property
    def equity(self) -> Decimal:
        """Wallet balance plus unrealized profit and loss."""
        return self.wallet + self.unrealized


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityMarks:
    """What equity is measured against, deposits since then taken into account. USD."""

    day: Decimal
    """Equity when the UTC day began."""
    peak: Decimal
    deposited: Decimal

    @classmethod
    def of(
        cls, now: Decimal, point: "EquityPoint | None", day: "EquityPoint | None", peak: Decimal | None
    ) -> "EquityMarks":
        """Return the marks for an equity of *now*.

        *point* is the newest point of the curve, *day* the one the day began with, *peak* the highest equity less
        deposits. What the curve does not tell is measured against *now*.
        """
        if point is None or day is None:
            return cls(day=now, peak=now, deposited=now)
        return cls(
            day=day.equity + point.deposited - day.deposited,
            peak=now if peak is None else max(now, peak + point.deposited),
            deposited=point.deposited,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """Several accounts together, each as it was last reconciled. USD; `day` and `peak` are sums of `EquityMarks`."""

    accounts: int
    equity: Decimal
    day: Decimal
    peak: Decimal
    """The sum of each account's own: they need not have stood there at one time, so a fall from it errs on the large
    side."""
    exposure: Decimal
    """The notional of all their positions."""
