"""The points of an equity curve, and what losses are measured from."""

from collections.abc import Collection
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
    def of(cls, now: Decimal, standing: "Standing | None") -> "EquityMarks":
        """Return the marks for an equity of *now*. What the curve does not tell is measured against *now*."""
        if standing is None:
            return cls(day=now, peak=now, deposited=now)
        deposited = standing.last.deposited
        return cls(
            day=standing.first.equity + deposited - standing.first.deposited,
            peak=now if standing.peak is None else max(now, standing.peak + deposited),
            deposited=deposited,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an account stands, by its curve."""

    last: EquityPoint
    first: EquityPoint
    """The last point before the day began, or else the first since."""
    peak: Decimal | None
    """The highest equity less deposits; None where the curve does not go back so far."""
    exposure: Decimal
    """The notional of its positions."""


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

    @classmethod
    def of(cls, standings: Collection[Standing]) -> "Combined | None":
        """Return the accounts that stand like that together; None where there are none."""
        if not standings:
            return None
        marks = [EquityMarks.of(each.last.equity, each) for each in standings]
        return cls(
            accounts=len(standings),
            equity=sum((each.last.equity for each in standings), Decimal(0)),
            day=sum((each.day for each in marks), Decimal(0)),
            peak=sum((each.peak for each in marks), Decimal(0)),
            exposure=sum((each.exposure for each in standings), Decimal(0)),
        )
